"""Copies the data of an application's volumes from one cluster to another, while the application is stopped.

Here belongs all that knows of PersistentVolumeClaims: which ones an application has (`plan`), how its workloads are stopped and
started again (`stopping`), the pair of Jobs that carries the data (`pair`, and `transfer`, the script that they run), and the
steps from one to the next (`copying`). When an application moves at all is decided elsewhere.

A move with volumes goes on like this, each time anything happens:

1. `has_claims` says whether the application has volumes to take along (unless ``spec.storage_migration`` is ``none``).
2. `step` does what is next and returns how far it is. What it returns as ``volumes`` is written to ``status.volumes`` before
   it is called again: it names all that is made on the clusters, so nothing is made that is not written down.
3. Once it says ``done``, the workloads on the source are stopped, the claims with their data are on the target, and nothing
   else of the copy is left: the new copy of the application can be made.
4. If it says ``failed``, or the move is given up for another reason: `resume` starts the application again where it runs, and
   `clean` takes from any place that it has left, or did not get to, what was made there, claims included. The same `clean`,
   after a move that succeeded, takes from the former place the claims that StatefulSets made there. Once both say that nothing
   is left, ``status.volumes`` is emptied.

All of them may be called at any time, as often as one likes, by any controller: what is next is read from the clusters.
"""

from krake.controller.kubernetes.application.volumes.copying import Progress, clean, resume, step
from krake.controller.kubernetes.application.volumes.plan import has_claims

__all__ = ["Progress", "clean", "has_claims", "resume", "step"]
