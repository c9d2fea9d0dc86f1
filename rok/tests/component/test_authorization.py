"""Who the user is, and what that user may do."""

from collections.abc import AsyncIterator

import pytest
from command import Rok
from fixtures.api import Serve

RULE = {"api": "kubernetes", "resources": ["applications"], "namespaces": ["red"], "verbs": ["list", "get"]}


@pytest.fixture
async def ann(serve_api: Serve, rok: Rok) -> AsyncIterator[Rok]:
    """Runs commands as ann, who may read the applications in the namespace red."""
    async with serve_api() as admin:
        await admin.post("/core/roles", {"metadata": {"name": "reader"}, "rules": [RULE]})
        await admin.post("/core/rolebindings", {"metadata": {"name": "red"}, "users": ["ann"], "roles": ["reader"]})
    static = {"strategy": {"static": {"enabled": True, "name": "ann"}}}
    async with serve_api(authorization="RBAC", authentication=static) as http:
        rok.use(http.url, user="red")
        yield rok


async def test_who_am_i(ann: Rok) -> None:
    assert (await ann("auth whoami")).rows == {"user": "ann", "roles": "reader"}
    assert (await ann("auth whoami -o json")).json == {"user": "ann", "roles": ["reader"]}


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ("get applications", True),
        ("list app -n red", None),
        ("watch application -n red", True),
        ("get applications -n blue", False),
        ("list applications --all-namespaces", False),
        ("list applications -a", False),
        ("delete Application", False),
        ("update applications/status", False),
        ("patch applications/status", False),
        ("get applications.kubernetes", True),
        ("get applications.core", False),
        ("get roles", False),
        ("get *", False),
    ],
)
async def test_can_i(ann: Rok, words: str, allowed: bool | None) -> None:
    done = await ann(f"auth can-i {words}")
    if allowed is None:
        assert (done.status, done.out) == (2, "")
        assert "there is no resource 'app'" in done.err
    else:
        assert (done.status, done.out.split(":")[0].strip()) == ((0, "yes") if allowed else (1, "no"))


async def test_why_not(ann: Rok) -> None:
    done = await ann("auth can-i delete applications")
    assert done.out == "no: None of the roles of user 'ann' allows to delete kubernetes applications in namespace 'red'.\n"
    assert (await ann("auth can-i delete applications -o json")).json["allowed"] is False


async def test_what_may_i(ann: Rok) -> None:
    done = await ann("auth can-i --list")
    assert done.lines == [["kubernetes", "applications", "red", "list, get"]]
    assert (await ann("auth can-i --list -o json")).json == [RULE]


@pytest.mark.parametrize("words", ["", "get", "eat applications"])
async def test_questions_that_are_none(ann: Rok, words: str) -> None:
    done = await ann(f"auth can-i {words}")
    assert (done.status, done.out) == (2, "")
