"""Who may do what: the rules of roles, the ways to decide by them, and that nobody grants more than they hold,
or has the secrets of others sent to themselves."""

from krake.api.authorization.authorizers import (
    AlwaysAllow,
    AlwaysDeny,
    Authorizer,
    RoleBased,
    Verdict,
    make_authorizer,
    roles_of,
)
from krake.api.authorization.escalation import Escalation
from krake.api.authorization.finalizers import check_finalizers
from krake.api.authorization.redirection import Redirection
from krake.api.authorization.rules import Permission, allows, covers

__all__ = [
    "AlwaysAllow",
    "AlwaysDeny",
    "Authorizer",
    "Escalation",
    "Permission",
    "Redirection",
    "RoleBased",
    "Verdict",
    "allows",
    "check_finalizers",
    "covers",
    "make_authorizer",
    "roles_of",
]
