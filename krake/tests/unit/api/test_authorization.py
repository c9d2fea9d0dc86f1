"""When a rule grants a permission."""

from typing import Any

import pytest

from krake.api.authorization import Permission, allows
from krake.data.core import RoleRule
from krake.data.metadata import Verb

RULE = {"api": "core", "resources": ["metrics"], "namespaces": ["red"], "verbs": ["get", "list"]}
GET = Permission("core", ("metrics",), Verb.get, "red")


@pytest.mark.parametrize(
    ("rule", "permission", "granted", "why"),
    [
        ({}, {}, True, "all parts fit"),
        ({"api": ""}, {}, True, "the empty API stands for all"),
        ({"api": "kubernetes"}, {}, False, "another API"),
        ({"resources": [""]}, {}, True, "the empty resource stands for all"),
        ({"resources": []}, {}, False, "no resource at all"),
        ({"resources": ["metrics/status"]}, {}, False, "a subresource is not its object"),
        ({}, {"resources": ("metrics/status",)}, False, "an object is not its subresource"),
        ({"resources": ["b"]}, {"resources": ("a", "b")}, True, "one of several names suffices"),
        ({}, {"verb": Verb.delete}, False, "another verb"),
        ({"verbs": []}, {}, False, "no verb at all"),
        ({}, {"namespace": "blue"}, False, "another namespace"),
        ({"namespaces": [""]}, {"namespace": "blue"}, True, "the empty namespace stands for all"),
        ({"namespaces": []}, {}, False, "no namespace at all"),
        ({"namespaces": []}, {"namespace": None}, True, "kinds without namespaces do not ask for one"),
        ({}, {"verb": Verb.list, "namespace": None, "everywhere": True}, False, "one namespace is not all"),
        ({"namespaces": [""]}, {"verb": Verb.list, "namespace": None, "everywhere": True}, True, "all namespaces"),
        (
            {"namespaces": [""], "verbs": ["list_all"]},
            {"verb": Verb.list, "namespace": None, "everywhere": True},
            True,
            "list_all lists everywhere",
        ),
        ({"namespaces": [""], "verbs": ["list_all"]}, {"verb": Verb.list}, False, "but not in one namespace"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rules(rule: dict[str, Any], permission: dict[str, Any], granted: bool, why: str) -> None:
    assert allows(RoleRule.deserialize(RULE | rule), GET._replace(**permission)) is granted, why
