"""What rules grant. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from krake.data.core import RoleRule
from krake.data.kinds import KINDS
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
    if permission.namespace is None:
        return _has_global_reach(rule) or any(name and name in rule.resources for name in permission.resources)
    return "" in rule.namespaces or permission.namespace in rule.namespaces


def _has_global_reach(rule: RoleRule) -> bool:
    """Whether the empty text among the resources of a rule stands for kinds without namespaces, too.

    Whoever is granted everything in one namespace is not meant to get what belongs to all.
    """
    return "" in rule.resources and (not rule.namespaces or "" in rule.namespaces)


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
    # Kinds without namespaces that a rule names are granted whatever namespaces it names, even if it names none.
    if "" not in rule.namespaces:
        yield from (Permission(rule.api, (resource,), verb) for resource in _missing_globally(rule, held))
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


def _missing_globally(rule: RoleRule, held: Sequence[RoleRule]) -> list[str]:
    """Return those resources without a namespace that *rule* grants and none of the rules *held* does."""
    if any(_has_global_reach(each) for each in held):
        return []
    granted = {name for each in held for name in each.resources if name}
    granting = [name for name in dict.fromkeys(rule.resources) if name or _has_global_reach(rule)]
    return [name for name in granting if name not in granted and not _is_namespaced(rule.api, name)]


def _is_namespaced(api: str, resource: str) -> bool:
    plural = resource.partition("/")[0]
    kinds = [kind.definition for kind in KINDS.values() if kind.definition.plural == plural]
    found = [kind.namespaced for kind in kinds if api in ("", kind.api)]
    return bool(found) and all(found)
