"""The real Infrastructure Manager (IM, of GRyCAP) on loopback, for tests and demos.

What belongs here: installing it into the user's cache and running it (``manager``, with its ``server``), what stands in for
an OpenStack's machines when there are none (``stand_in``, and ``types.yaml`` for the types of TOSCA that an IM without the
internet can not fetch), and the command line (``command``). Nothing here imports Krake: this is a service that exists without
it.
"""
