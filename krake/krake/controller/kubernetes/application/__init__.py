"""Keeps applications on their clusters as they are declared.

Pure: ``desired`` is what should be there, ``delta`` how that differs from what is, ``observe`` and ``services`` what is told
about it, ``health`` what the Pods say, ``lifecycle`` what to do next and what to write about it, ``migration`` how it gets to
another cluster, and ``departure`` what is written while it goes. ``site`` is all that is known of one cluster, ``sites`` are
all of them, and ``deploy`` changes what is there. ``placing``, ``moving``, ``asking`` and ``leaving`` do what is next, by means
of the ``workplace`` that they share, and ``controller`` has them do it. ``hooks`` are by which applications tell of their end,
and are asked to prepare for it, ``volumes`` takes their data along, and ``translating`` makes manifests of their templates.
"""
