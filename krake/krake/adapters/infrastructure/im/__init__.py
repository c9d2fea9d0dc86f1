"""Infrastructures made by an Infrastructure Manager (IM, of GRyCAP), over its REST API.

``authorization`` writes who asks, ``templates`` what is asked for, and ``answers`` reads what comes back, of which
``playbooks`` reads what Ansible said; these are pure. ``infrastructures`` sends and receives.
"""

from krake.adapters.infrastructure.im.infrastructures import ImInfrastructures
from krake.adapters.infrastructure.im.memory import Memory

__all__ = ["ImInfrastructures", "Memory"]
