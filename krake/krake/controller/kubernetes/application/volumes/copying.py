"""The steps of a copy: what is there on both clusters decides what is done next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from krake.controller.kubernetes.application.desired import Declared
from krake.controller.kubernetes.application.settings import MigrationConfig
from krake.controller.kubernetes.application.site import Site
from krake.data.kubernetes import Application, VolumeCopy
from krake.data.metadata import Reason, ResourceRef


@dataclass(frozen=True)
class Progress:
    """How far a copy is.

    :param volumes: what to write to ``status.volumes`` before the next step.
    :param done: whether the new copy of the application can be made now.
    :param problem: why it does not go on at the moment, or has failed.
    :param failed: whether the move is to be given up. Otherwise there is a next step: soon if *volumes* has changed, else when a
        site calls for the application, or after half a second.
    """

    volumes: list[VolumeCopy]
    done: bool = False
    problem: Reason | None = None
    failed: bool = False


async def step(
    app: Application, source: Site, target: Site, declared: Sequence[Declared], config: MigrationConfig, now: datetime
) -> Progress:
    """Do what is next to stop an application and have its volumes copied.

    Both sites must have been entered; one that does not answer is lost to its site, and told as a problem.

    :param declared: what is going to be on the target.
    """
    raise NotImplementedError


async def resume(app: Application, site: Site) -> bool:
    """Start again what was stopped, where the application runs; true once that is so and nothing of the copy is left there.

    What was deleted in order to stop it (Pods, Jobs that had not ended) is made again by the next deployment.

    :raises ClusterError: the cluster does not answer, or refuses.
    """
    raise NotImplementedError


async def clean(app: Application, site: Site, place: ResourceRef) -> bool:
    """Delete all that was made for a copy; true once nothing is left.

    The claims named in ``status.volumes`` go as well, with their data, unless the application runs at the *place*.

    :raises ClusterError: the cluster does not answer, or refuses.
    """
    raise NotImplementedError
