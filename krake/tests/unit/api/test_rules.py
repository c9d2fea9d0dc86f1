"""Whether rules are covered by others: compared with trying out every permission of a small world."""

from dataclasses import replace
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from krake.api.authorization import Permission, allows, covers
from krake.api.authorization.rules import EVERYTHING, uncovered
from krake.data.core import RoleRule
from krake.data.metadata import Verb

VERBS = [Verb.list, Verb.list_all, Verb.get]


def subsets(*names: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), max_size=3)


RULES = st.builds(
    RoleRule,
    api=st.sampled_from(["", "a", "b"]),
    resources=subsets("", "r", "s"),
    namespaces=subsets("", "m", "n"),
    verbs=st.lists(st.sampled_from(VERBS), max_size=3),
)


def world() -> list[Permission]:
    """All permissions that a request can need; ``z`` is what no rule names."""
    permissions = []
    for api, resource in product("abz", "rsz"):
        permissions.append(Permission(api, (resource,), Verb.list, everywhere=True))
        for verb, namespace in product([Verb.list, Verb.get], ["m", "n", "z", None]):
            permissions.append(Permission(api, (resource,), verb, namespace))
    return permissions


@given(st.lists(RULES, max_size=4), RULES)
def test_rules_cover_another_if_it_grants_nothing_that_they_do_not(held: list[RoleRule], rule: RoleRule) -> None:
    granted = [permission for permission in world() if allows(rule, permission)]
    assert covers(held, rule) == all(any(allows(each, permission) for each in held) for permission in granted)


@given(st.lists(RULES, max_size=4), RULES)
def test_what_is_not_covered_is_granted_by_the_rule_only(held: list[RoleRule], rule: RoleRule) -> None:
    for permission in uncovered(held, rule):
        assert allows(rule, permission)
        assert not any(allows(each, permission) for each in held)


@given(RULES)
def test_a_rule_covers_itself_and_everything_covers_all(rule: RoleRule) -> None:
    assert covers([rule], rule)
    assert covers([EVERYTHING], rule)


def test_everything_in_a_namespace_is_nothing_of_all() -> None:
    tenant = RoleRule(api="", resources=[""], namespaces=["m"], verbs=list(Verb))
    for resource in ("roles", "roles/escalate", "globalclouds/secrets", "authorizations", "unheard-of"):
        assert not allows(tenant, Permission("core", (resource,), Verb.update))
    assert allows(replace(tenant, resources=["roles"]), Permission("core", ("roles",), Verb.update))
    assert allows(replace(tenant, namespaces=[]), Permission("core", ("roles",), Verb.update))


def test_everything_in_a_namespace_covers_the_kinds_that_are_there_only() -> None:
    tenant = RoleRule(api="", resources=[""], namespaces=["m"], verbs=list(Verb))
    assert covers([tenant], replace(tenant, resources=["applications", "clusters/secrets"]))
    assert not covers([tenant], replace(tenant, resources=["globalclouds/secrets"]))
    assert not covers([tenant], replace(tenant, resources=["roles/escalate"]))
    assert not covers([tenant], replace(tenant, namespaces=[]))


def test_large_rules_are_compared_quickly() -> None:
    names = [f"n{number}" for number in range(20_000)]
    large = RoleRule(api="a", resources=names, namespaces=["m", "n"], verbs=list(Verb))
    assert covers([large], large)
    assert covers([EVERYTHING], RoleRule(api="a", resources=["r"], namespaces=names, verbs=list(Verb)))
