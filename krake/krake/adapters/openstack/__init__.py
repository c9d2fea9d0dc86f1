"""Reaches OpenStack clouds: who logs in there (``login``), and as whom its services are asked (``session``)."""

from krake.adapters.openstack.login import Login, login_to_cloud, login_to_project
from krake.adapters.openstack.session import Session

__all__ = ["Login", "Session", "login_to_cloud", "login_to_project"]
