"""Real Kubernetes clusters on loopback, for tests and demos.

What belongs here: getting the binaries (``build``, ``binaries``, ``apt``, ``cache``), starting and stopping control planes
(``control_plane``, ``etcd``, ``certificates``, ``admin``, ``process``), the simulated node that stands in for machines
(``fake_node``, ``pod_life``), nodes that run real containers (``pods``), clusters that exist already (``existing``), and
the command line (``command``). Nothing here imports Krake: it is a user's cluster, seen from outside.
"""
