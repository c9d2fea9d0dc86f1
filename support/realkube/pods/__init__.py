"""Kubernetes clusters that run real containers, in namespaces of their own on this machine.

What belongs here, from outside to inside: the programs (``packages``) and what a machine needs (``machine``); the
sandbox that holds all of it and is swept away with it (``sandbox``, ``sweeper``); what goes on inside (``inside``): its
mounts and network (``mounts``), control planes with real nodes (``cluster``, ``node``), images without a registry in the
world (``images``, ``registry``), and the connections to the machine's loopback (``relay``, ``node_ports``).
"""
