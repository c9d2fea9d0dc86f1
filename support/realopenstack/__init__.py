"""A real OpenStack on loopback, for tests and demos: all but the virtual machines, which its compute service only pretends.

What belongs here: installing it into a root folder in the user's cache (``installing``), the files that its services read
(``configuration``, and ``plugins`` that run inside them), the life of the services (``services``, ``sandbox``), what a
project finds there (``contents``), and the command line (``command``).
Nothing here imports Krake: this is an OpenStack that exists without it.
"""
