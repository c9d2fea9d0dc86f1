"""A simulated OpenStack cloud: users who log in at Keystone, and a catalogue of the services that take their tokens.

`directory` is pure: users, projects, credentials and tokens. `identity` speaks Keystone's REST API. `cloud` serves it together
with the other services of a cloud, on one port; each service adds its routes there, and its endpoint to the catalogue.
"""

from krake.simulator.openstack.cloud import SimulatedCloud
from krake.simulator.openstack.directory import Directory, Token

__all__ = ["Directory", "SimulatedCloud", "Token"]
