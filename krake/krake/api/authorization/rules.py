"""What rules grant. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from krake.data.core import RoleRule
from krake.data.metadata import Verb


class Permission(NamedTuple):
    """What a request needs.

    In place of an API, a resource or a namespace, the empty text asks for all of them.

    :param resources: any of which allows the request, for example ``applications/status``.
    :param namespace: ``None`` for a kind without namespaces, and for all namespaces if *everywhere*.
    """

    api: str
    resources: tuple[str, ...]
    verb: Verb
    namespace: str | None = None
    everywhere: bool = False

    def __str__(self) -> str:
        what = f"{self.verb.name} {self.api or '(any API)'} {self.resources[0] or '(any resource)'}"
        if self.everywhere or self.namespace == "":
            return f"{what} in all namespaces"
        return what if self.namespace is None else f"{what} in namespace '{self.namespace}'"


_LISTING = (Verb.list, Verb.list_all)
EVERYTHING = RoleRule(api="", resources=[""], namespaces=[""], verbs=list(Verb))
"""Grants all there is."""


def allows(rule: RoleRule, permission: Permission) -> bool:
    """Whether a rule grants a permission; in rules, the empty text stands for all."""
    if rule.api not in ("", permission.api):
        return False
    if "" not in rule.resources and not set(permission.resources) & set(rule.resources):
        return False
    if permission.everywhere:
        return "" in rule.namespaces and (permission.verb in rule.verbs or Verb.list_all in rule.verbs)
    if permission.verb not in rule.verbs:
        return False
    return permission.namespace is None or "" in rule.namespaces or permission.namespace in rule.namespaces


def covers(held: Sequence[RoleRule], rule: RoleRule) -> bool:
    """Whether every permission that *rule* grants is granted by one of the rules *held*."""
    return next(uncovered(held, rule), None) is None


def uncovered(held: Sequence[RoleRule], rule: RoleRule) -> Iterator[Permission]:
    """Yield what *rule* grants and none of the rules *held* does.

    An empty text in *rule* grants also what nobody has thought of yet; only an empty text grants that.
    """
    relevant = [each for each in held if each.api in ("", rule.api)]
    for verb in dict.fromkeys(rule.verbs):
        if verb in _LISTING and "" in rule.namespaces:
            listing = [each for each in relevant if "" in each.namespaces and not set(_LISTING).isdisjoint(each.verbs)]
            for resource in _missing(rule.resources, listing):
                yield Permission(rule.api, (resource,), Verb.list, everywhere=True)
        if verb is not Verb.list_all:
            yield from _uncovered_in_places([each for each in relevant if verb in each.verbs], rule, verb)


def _uncovered_in_places(held: Sequence[RoleRule], rule: RoleRule, verb: Verb) -> Iterator[Permission]:
    # Kinds without namespaces are granted whatever namespaces a rule names, even if it names none.
    if not rule.namespaces:
        yield from (Permission(rule.api, (resource,), verb) for resource in _missing(rule.resources, held))
        return
    # Roles may name thousands of resources and namespaces; not each pair of them is looked at.
    anywhere = _missing(rule.resources, [each for each in held if "" in each.namespaces])
    if not anywhere:
        return
    in_place: dict[str, list[RoleRule]] = defaultdict(list)
    for each in held:
        for namespace in each.namespaces:
            in_place[namespace].append(each)
    for namespace in dict.fromkeys(rule.namespaces):
        for resource in _missing(anywhere, in_place.get(namespace, [])):
            yield Permission(rule.api, (resource,), verb, namespace)


def _missing(resources: Sequence[str], held: Sequence[RoleRule]) -> list[str]:
    """Return those of *resources* that none of the rules *held* names."""
    granted = {name for each in held for name in each.resources}
    return [] if "" in granted else [name for name in dict.fromkeys(resources) if name not in granted]
