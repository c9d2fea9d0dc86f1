"""What exists: the kinds, their fields and their constraints. Pure: no input, no output, no clock.

Importing the package fills the registry :data:`krake.data.kinds.KINDS`.
"""

from krake.data import core, events, infrastructure, kubernetes, openstack, placements, plans, quotas
from krake.data.kinds import KINDS, Kind, Listing, Resource
from krake.data.metadata import Key, Metadata, Reason, ReasonCode, ResourceRef

__all__ = [
    "KINDS",
    "Key",
    "Kind",
    "Listing",
    "Metadata",
    "Reason",
    "ReasonCode",
    "Resource",
    "ResourceRef",
    "core",
    "events",
    "infrastructure",
    "kubernetes",
    "openstack",
    "placements",
    "plans",
    "quotas",
]
