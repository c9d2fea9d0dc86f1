"""The roles that Krake ships: complete in themselves, without misspelt names, and without more than is meant."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from krake.api.actions import ACTIONS
from krake.api.authorization import Permission, allows
from krake.data import KINDS
from krake.data.core import Role, RoleBinding
from krake.data.metadata import Verb
from krake.data.schema import Purpose, load

FILE = Path(__file__).parents[4] / "templates" / "bootstrapping" / "base_roles.yaml"
USERS = [
    "system:admin",
    "system:gc",
    "system:scheduler",
    "system:kubernetes-application",
    "system:complete-hook",
    "system:shutdown-hook",
    "system:kubernetes-cluster",
    "system:infrastructure",
    "system:magnum",
]


def documents(kind: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(FILE.read_text()) if each["kind"] == kind]


ROLES = {role.metadata.name: role for role in (load(Role, each, Purpose.CREATE) for each in documents("Role"))}
BINDINGS = [load(RoleBinding, each, Purpose.CREATE) for each in documents("RoleBinding")]


def known_resources() -> set[tuple[str, str]]:
    """Every resource that any route or secret asks for, with its API."""
    known = {("core", "roles/escalate"), ("core", "rolebindings/bind"), ("core", "authorizations")}
    for kind in KINDS.values():
        definition = kind.definition
        known |= {(definition.api, f"{definition.plural}{suffix}") for suffix in ("", "/secrets")}
        if definition.has_status:
            known.add((definition.api, f"{definition.plural}/status"))
    for (kind, _), action in ACTIONS.items():
        known |= {(kind.definition.api, name) for name in action.permissions}
    return known


def test_each_user_has_one_role_of_its_name() -> None:
    assert [user for binding in BINDINGS for user in binding.users] == USERS
    for binding in BINDINGS:
        (user,), (role,) = binding.users, binding.roles
        suffix = "system" if user == "system:admin" else user
        assert (binding.metadata.name, role) == (f"rolebinding:{suffix}", f"role:{suffix}")
        assert role in ROLES
    assert len(BINDINGS) == len(ROLES)


def test_no_name_is_misspelt() -> None:
    known = known_resources()
    for name, role in ROLES.items():
        for rule in role.rules:
            if name != "role:system":
                assert {(rule.api, resource) for resource in rule.resources} <= known
            assert rule.namespaces == [""]
            assert Verb.list_all not in rule.verbs


def may(user: str, verb: str, api: str, resource: str) -> bool:
    permission = Permission(api, (resource,), Verb[verb], namespace="red")
    bound = [name for binding in BINDINGS if user in binding.users for name in binding.roles]
    return any(allows(rule, permission) for name in bound for rule in ROLES[name].rules)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if not kind.definition.transient], ids=lambda kind: kind.__name__
)
def test_the_garbage_collector_collects_every_kind_and_sees_no_secrets(kind: Any) -> None:
    api, plural = kind.definition.api, kind.definition.plural
    assert all(may("system:gc", verb, api, plural) for verb in ("list", "update", "delete"))
    assert not may("system:gc", "create", api, plural)
    assert not may("system:gc", "get", api, f"{plural}/secrets")


@pytest.mark.parametrize(
    ("user", "secrets"),
    [
        ("system:scheduler", {"globalmetricsproviders", "metricsproviders"}),
        ("system:kubernetes-application", {"applications", "clusters"}),
        ("system:kubernetes-cluster", {"clusters"}),
        (
            "system:infrastructure",
            {"clusters", "globalinfrastructureproviders", "infrastructureproviders", "globalclouds", "clouds"},
        ),
        ("system:magnum", {"projects", "clusters"}),
        ("system:complete-hook", set()),
        ("system:shutdown-hook", set()),
    ],
)
def test_each_component_sees_its_secrets_only(user: str, secrets: set[str]) -> None:
    for kind in KINDS.values():
        plural = kind.definition.plural
        assert may(user, "get", kind.definition.api, f"{plural}/secrets") == (plural in secrets)


def test_nobody_but_the_administrator_grants_anything() -> None:
    for user in USERS:
        for resource in ("roles", "rolebindings"):
            assert may(user, "create", "core", resource) == (user == "system:admin")
        for resource in ("roles/escalate", "rolebindings/bind"):
            assert may(user, "update", "core", resource) == (user == "system:admin")


def test_hooks_do_nothing_but_tell_of_their_end() -> None:
    for hook in ("complete", "shutdown"):
        allowed = {
            resource for _, resource in known_resources() if may(f"system:{hook}-hook", "update", "kubernetes", resource)
        }
        assert allowed == {f"applications/{hook}"}
