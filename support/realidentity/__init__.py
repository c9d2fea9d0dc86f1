"""Real services that know users, on loopback, for tests and demos.

What belongs here: installing them into the user's cache (``installing``), OpenStack's ``keystone`` with the server that runs it
(``keystone_server``), an OpenID ``provider`` with its own (``provider.mjs``), and the command lines (``command``).
Nothing here imports Krake: these are services that exist without it.
"""
