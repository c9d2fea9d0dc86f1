"""The ways to decide who may do what."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from krake.api.authentication import ANONYMOUS, unauthenticated
from krake.api.authorization.rules import EVERYTHING, Permission, allows
from krake.api.cache import Cache
from krake.api.problem import Problem, unavailable
from krake.data.core import Role, RoleBinding, RoleRule


class Verdict(NamedTuple):
    """Whether someone may do something, and a sentence that says why."""

    allowed: bool
    reason: str


class Authorizer(Protocol):
    """A way to decide."""

    def check(self, user: str, permission: Permission) -> None:
        """Return if *user* has the permission.

        :raises Problem: 401 or 403 if not, 503 if that is not known now.
        """
        ...

    def allows(self, user: str, permission: Permission) -> bool:
        """Whether *user* has the permission; for what is not the request itself, such as seeing secrets in the answer."""
        ...

    def judge(self, user: str, permission: Permission) -> Verdict:
        """Decide, and say why."""
        ...

    def rules_of(self, user: str) -> list[RoleRule]:
        """Return all rules that grant something to *user*."""
        ...


class AlwaysAllow:
    """Everybody may do everything."""

    def check(self, user: str, permission: Permission) -> None:
        return

    def allows(self, user: str, permission: Permission) -> bool:
        return True

    def judge(self, user: str, permission: Permission) -> Verdict:
        return Verdict(True, "Everybody may do everything here.")

    def rules_of(self, user: str) -> list[RoleRule]:
        return [EVERYTHING]


class AlwaysDeny:
    """Nobody may do anything."""

    def check(self, user: str, permission: Permission) -> None:
        raise _forbidden(user, permission)

    def allows(self, user: str, permission: Permission) -> bool:
        return False

    def judge(self, user: str, permission: Permission) -> Verdict:
        return Verdict(False, "Nobody may do anything here.")

    def rules_of(self, user: str) -> list[RoleRule]:
        return []


class Grant(NamedTuple):
    """A rule, and how a user came by it."""

    rule: RoleRule
    role: str
    binding: str


class RoleBased:
    """Users may do what the rules of their roles allow, according to the roles and bindings in the watch cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._known = (-1, -1)
        self._grants: Mapping[str, list[Grant]] = {}

    def check(self, user: str, permission: Permission) -> None:
        if user == ANONYMOUS:
            raise unauthenticated("Anonymous users have no permissions here; log in.")
        if not self._cache.readable:
            raise unavailable("The roles cannot be read now; try again.")
        if not self.allows(user, permission):
            raise _forbidden(user, permission)

    def allows(self, user: str, permission: Permission) -> bool:
        return any(allows(grant.rule, permission) for grant in self._grants_of(user))

    def judge(self, user: str, permission: Permission) -> Verdict:
        if user == ANONYMOUS:
            return Verdict(False, "Anonymous users have no permissions here.")
        grants = self._grants_of(user)
        for grant in grants:
            if allows(grant.rule, permission):
                return Verdict(True, f"Role '{grant.role}' allows it, bound to the user by '{grant.binding}'.")
        if not grants:
            return Verdict(False, f"No role is bound to user '{user}'.")
        return Verdict(False, f"None of the roles of user '{user}' allows to {permission}.")

    def rules_of(self, user: str) -> list[RoleRule]:
        return [grant.rule for grant in self._grants_of(user)]

    def _grants_of(self, user: str) -> list[Grant]:
        known = (self._cache[Role].changed, self._cache[RoleBinding].changed)
        if known != self._known:
            self._grants = _grants_by_user(self._cache)
            self._known = known
        return self._grants.get(user, []) if user != ANONYMOUS else []


def roles_of(user: str, cache: Cache) -> list[str]:
    """Return the names of the roles that are bound to a user, in order."""
    bound = (binding.roles for binding in _alive_bindings(cache) if user in binding.users)
    return sorted({role for roles in bound for role in roles})


def _grants_by_user(cache: Cache) -> Mapping[str, list[Grant]]:
    records = (item.record for item in cache[Role].select(Role.definition.prefix))
    roles = {record.metadata.name: record for record in records if isinstance(record, Role) and not record.metadata.deleted}
    grants: dict[str, list[Grant]] = defaultdict(list)
    for binding in _alive_bindings(cache):
        granted = [
            Grant(rule, name, binding.metadata.name) for name in binding.roles if name in roles for rule in roles[name].rules
        ]
        for user in binding.users:
            grants[user] += granted
    return grants


def _alive_bindings(cache: Cache) -> Iterator[RoleBinding]:
    for item in cache[RoleBinding].select(RoleBinding.definition.prefix):
        if isinstance(item.record, RoleBinding) and item.record.metadata.deleted is None:
            yield item.record


def _forbidden(user: str, permission: Permission) -> Problem:
    return Problem(403, f"User '{user}' may not {permission}.")


def make_authorizer(strategy: str, cache: Cache) -> Authorizer:
    """Return the way to decide called *strategy*. Raises ValueError if there is none."""
    match strategy:
        case "always-allow":
            return AlwaysAllow()
        case "always-deny":
            return AlwaysDeny()
        case "RBAC":
            return RoleBased(cache)
    raise ValueError(f"Unknown authorization strategy '{strategy}'")
