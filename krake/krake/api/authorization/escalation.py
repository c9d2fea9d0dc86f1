"""Nobody grants more than they hold, unless they are trusted to: as in Kubernetes."""

from collections.abc import Iterator, Sequence
from itertools import islice

from krake.api.authorization.authorizers import Authorizer
from krake.api.authorization.rules import Permission, uncovered
from krake.api.cache import Cache
from krake.api.problem import FieldError, Problem
from krake.data.core import Role, RoleBinding, RoleRule
from krake.data.kinds import Resource
from krake.data.metadata import Key, Verb

ESCALATE = Permission("core", ("roles/escalate",), Verb.update)
"""Whoever has it may write any rules into roles."""
BIND = Permission("core", ("rolebindings/bind",), Verb.update)
"""Whoever has it may bind any role, also one that does not exist yet."""

_Rules = Sequence[RoleRule]
_SHOWN = 3


class Escalation:
    """Checks what is written into roles and bindings against what the writer holds."""

    def __init__(self, authorizer: Authorizer, cache: Cache) -> None:
        self._authorizer = authorizer
        self._cache = cache

    def check(self, user: str, old: Resource | None, new: Resource) -> None:
        """Refuse a change by which *user* would grant what they do not hold.

        :raises Problem: 403, saying what is missing.
        """
        if isinstance(new, Role):
            rules = old.rules if isinstance(old, Role) else []
            self._refuse(user, ESCALATE, _excess(self._authorizer.rules_of(user), rules, new.rules, "rules"))
        elif isinstance(new, RoleBinding):
            self._refuse(user, BIND, self._bound(user, old if isinstance(old, RoleBinding) else None, new))

    def _bound(self, user: str, old: RoleBinding | None, new: RoleBinding) -> Iterator[FieldError]:
        """Yield what is wrong with each role that somebody newly gets."""
        held = self._authorizer.rules_of(user)
        known = set(old.roles) if old is not None and set(new.users) <= set(old.users) else set()
        for index, name in enumerate(new.roles):
            if name in known:
                continue
            field = f"roles[{index}]"
            item = self._cache[Role].get(Key(None, name))
            role = item.record if item is not None else None
            if not isinstance(role, Role) or role.metadata.deleted is not None:
                yield field, f"There is no role '{name}'; what it will grant one day cannot be told."
            else:
                yield from ((field, message) for _, message in _excess(held, [], role.rules, ""))

    def _refuse(self, user: str, trust: Permission, errors: Iterator[FieldError]) -> None:
        found = list(islice(errors, _SHOWN))
        if found and not self._authorizer.allows(user, trust):
            named = " ".join(f"{field}: {message}" for field, message in found)
            raise Problem(
                403, f"User '{user}' may not grant more than they hold without the permission to {trust}. {named}", errors=found
            )


def _excess(
    held: Sequence[RoleRule], before: Sequence[RoleRule], after: Sequence[RoleRule], field: str
) -> Iterator[FieldError]:
    for index, rule in enumerate(after):
        for permission in uncovered([*held, *before], rule):
            yield f"{field}[{index}]", f"The permission to {permission} is not held."
