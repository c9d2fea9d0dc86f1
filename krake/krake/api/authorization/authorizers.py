"""Who may do what."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from krake.api.authentication import ANONYMOUS, unauthenticated
from krake.api.cache import Cache
from krake.api.problem import Problem, unavailable
from krake.data.core import Role, RoleBinding, RoleRule
from krake.data.metadata import Verb


class Permission(NamedTuple):
    """What a request needs.

    :param resources: any of which allows the request, for example ``applications/status``.
    :param namespace: ``None`` for a kind without namespaces, and for all namespaces if *everywhere*.
    """

    api: str
    resources: tuple[str, ...]
    verb: Verb
    namespace: str | None = None
    everywhere: bool = False


class Authorizer(Protocol):
    """A way to decide."""

    def check(self, user: str, permission: Permission) -> None:
        """Return if *user* has the permission.

        :raises Problem: 401 or 403 if not.
        """
        ...

    def allows(self, user: str, permission: Permission) -> bool:
        """Whether *user* has the permission; for what is not the request itself, such as seeing secrets in the answer."""
        ...


class AlwaysAllow:
    """Everybody may do everything."""

    def check(self, user: str, permission: Permission) -> None:
        return

    def allows(self, user: str, permission: Permission) -> bool:
        return True


class AlwaysDeny:
    """Nobody may do anything."""

    def check(self, user: str, permission: Permission) -> None:
        raise _forbidden(user, permission)

    def allows(self, user: str, permission: Permission) -> bool:
        return False


class RoleBased:
    """Users may do what the rules of their roles allow, according to the roles and bindings in the watch cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._known = (-1, -1)
        self._rules: Mapping[str, list[RoleRule]] = {}

    def check(self, user: str, permission: Permission) -> None:
        if user == ANONYMOUS:
            raise unauthenticated("Anonymous users have no permissions here; log in.")
        if not self._cache.readable:
            raise unavailable("The roles cannot be read now; try again.")
        if not self.allows(user, permission):
            raise _forbidden(user, permission)

    def allows(self, user: str, permission: Permission) -> bool:
        return any(allows(rule, permission) for rule in self._current_rules().get(user, ()))

    def _current_rules(self) -> Mapping[str, list[RoleRule]]:
        known = (self._cache[Role].changed, self._cache[RoleBinding].changed)
        if known != self._known:
            self._rules = _rules_by_user(self._cache)
            self._known = known
        return self._rules


def allows(rule: RoleRule, permission: Permission) -> bool:
    """Whether a rule grants a permission; the empty text stands for all."""
    if rule.api not in ("", permission.api):
        return False
    if "" not in rule.resources and not set(permission.resources) & set(rule.resources):
        return False
    if permission.everywhere:
        return "" in rule.namespaces and (permission.verb in rule.verbs or Verb.list_all in rule.verbs)
    if permission.verb not in rule.verbs:
        return False
    return permission.namespace is None or "" in rule.namespaces or permission.namespace in rule.namespaces


def roles_of(user: str, cache: Cache) -> list[str]:
    """Return the names of the roles that are bound to a user, in order."""
    bound = (binding.roles for binding in _alive_bindings(cache) if user in binding.users)
    return sorted({role for roles in bound for role in roles})


def _rules_by_user(cache: Cache) -> Mapping[str, list[RoleRule]]:
    records = (item.record for item in cache[Role].select(Role.definition.prefix))
    roles = {record.metadata.name: record for record in records if isinstance(record, Role) and not record.metadata.deleted}
    rules: dict[str, list[RoleRule]] = defaultdict(list)
    for binding in _alive_bindings(cache):
        granted = [rule for name in binding.roles if name in roles for rule in roles[name].rules]
        for user in binding.users:
            rules[user] += granted
    return rules


def _alive_bindings(cache: Cache) -> Iterator[RoleBinding]:
    for item in cache[RoleBinding].select(RoleBinding.definition.prefix):
        if isinstance(item.record, RoleBinding) and item.record.metadata.deleted is None:
            yield item.record


def _forbidden(user: str, permission: Permission) -> Problem:
    place = "in all namespaces" if permission.everywhere else f"in namespace '{permission.namespace}'"
    where = f" {place}" if permission.everywhere or permission.namespace else ""
    what = f"{permission.verb.name} {permission.api} {permission.resources[0]}{where}"
    return Problem(403, f"User '{user}' may not {what}.")


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
