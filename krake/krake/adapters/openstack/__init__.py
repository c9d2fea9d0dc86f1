"""Reaches OpenStack clouds: who logs in there (``login``), as whom its services are asked (``session``), and which of these
accesses are kept (``sessions``)."""

from krake.adapters.openstack.login import Login, login_to_cloud, login_to_project
from krake.adapters.openstack.session import Session
from krake.adapters.openstack.sessions import Sessions

__all__ = ["Login", "Session", "Sessions", "login_to_cloud", "login_to_project"]
