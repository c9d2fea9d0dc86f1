"""Nobody grants more than they hold, and everybody can ask what they hold."""

from typing import Any

import pytest
from fixtures.api import Answer, Http, Serve

ADMIN_RULE = {"api": "", "resources": [""], "namespaces": [""], "verbs": ["create", "list", "get", "update", "delete"]}
KEEPER_RULE = {"api": "core", "resources": ["roles", "rolebindings"], "namespaces": [""], "verbs": ["create", "get", "update"]}
READER_RULE = {"api": "kubernetes", "resources": ["applications"], "namespaces": ["red"], "verbs": ["get", "list"]}
TRUST_RULES = {
    "roles": {"api": "core", "resources": ["roles/escalate"], "namespaces": [], "verbs": ["update"]},
    "rolebindings": {"api": "core", "resources": ["rolebindings/bind"], "namespaces": [], "verbs": ["update"]},
}


METRIC = {"metadata": {"name": "load"}, "spec": {"min": 0, "max": 1, "provider": {"name": "p", "metric": "load"}}}


def static(name: str) -> dict[str, Any]:
    return {"authorization": "RBAC", "authentication": {"strategy": {"static": {"enabled": True, "name": name}}}}


def role(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "rules": list(rules)}


def binding(name: str, users: list[str], *roles: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "users": users, "roles": list(roles)}


async def create(http: Http, body: dict[str, Any]) -> Answer:
    return await http.post("/core/roles" if "rules" in body else "/core/rolebindings", body)


async def prepare(http: Http, *rules: dict[str, Any]) -> None:
    """Let kim keep roles and read applications in one namespace; *rules* are granted besides."""
    for body in (
        role("admin", ADMIN_RULE),
        role("keeper", KEEPER_RULE, READER_RULE, *rules),
        role("reader", READER_RULE),
        role("empty"),
        binding("kim", ["kim"], "keeper"),
        binding("nobody", [], "admin"),
        binding("red", ["ann"], "reader"),
    ):
        assert (await create(http, body)).status == 201


def beyond(**changes: Any) -> dict[str, Any]:
    return READER_RULE | changes


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ([READER_RULE], None),
        ([beyond(verbs=["get"])], None),
        ([], None),
        ([ADMIN_RULE], "rules[0]"),
        ([READER_RULE, beyond(namespaces=["blue"])], "rules[1]"),
        ([beyond(namespaces=[""])], "rules[0]"),
        ([beyond(namespaces=["red", "blue"])], "rules[0]"),
        ([beyond(verbs=["get", "delete"])], "rules[0]"),
        ([beyond(resources=["applications", "applications/status"])], "rules[0]"),
        ([beyond(resources=[""])], "rules[0]"),
        ([beyond(api="")], "rules[0]"),
    ],
)
async def test_roles_are_written_within_what_one_holds(
    serve_api: Serve, rules: list[dict[str, Any]], refused: str | None
) -> None:
    async with serve_api() as admin:
        await prepare(admin)
    async with serve_api(**static("kim")) as kim:
        answers = [
            (201, await create(kim, role("new", *rules))),
            (200, await kim.put("/core/roles/empty", role("empty", *rules))),
            (200, await kim.patch("/core/roles/empty", {"rules": rules})),
        ]
        for status, answer in answers:
            assert answer.status == (status if refused is None else 403), answer.text
            assert refused is None or refused in answer.fields
        if refused:
            assert "permission to update core roles/escalate" in answers[0][1].detail
            assert (await kim.get("/core/roles/new")).status == 404
            assert (await kim.get("/core/roles/empty")).json["rules"] == []


async def test_who_may_do_everything_in_a_namespace_may_not_grant_anything(serve_api: Serve) -> None:
    async with serve_api() as admin:
        await create(admin, role("tenant", ADMIN_RULE | {"namespaces": ["red"]}))
        await create(admin, binding("eve", ["eve"], "tenant"))
        assert (await admin.post("/core/globalmetrics", METRIC)).status == 201
    async with serve_api(**static("eve")) as eve:
        assert (await create(eve, role("mine", ADMIN_RULE))).status == 403
        assert (await create(eve, binding("mine", ["eve"], "tenant"))).status == 403
        assert (await eve("DELETE", "/core/rolebindings/eve")).status == 403
        assert (await eve.get("/core/globalmetrics")).status == 403
        assert (await eve.get("/core/namespaces/red/metrics")).status == 200
        assert (await eve.get("/authorize", user="ann")).status == 403


async def test_what_a_role_grants_already_may_stay(serve_api: Serve) -> None:
    async with serve_api() as admin:
        await prepare(admin)
    async with serve_api(**static("kim")) as kim:
        assert (await kim.patch("/core/roles/admin", {"metadata": {"labels": {"a": "b"}}})).status == 200
        assert (await kim.patch("/core/roles/admin", {"rules": [ADMIN_RULE | {"verbs": ["get"]}]})).status == 200
        assert (await kim.patch("/core/roles/admin", {"rules": [ADMIN_RULE]})).status == 403


@pytest.mark.parametrize(
    ("users", "roles", "refused"),
    [
        (["bob"], ["reader"], None),
        (["bob"], ["keeper"], None),
        ([], ["empty"], None),
        (["kim"], ["admin"], "roles[0]"),
        (["bob"], ["reader", "admin"], "roles[1]"),
        (["bob"], ["missing"], "roles[0]"),
        (["bob"], ["going"], "roles[0]"),
    ],
)
async def test_roles_are_bound_within_what_one_holds(
    serve_api: Serve, users: list[str], roles: list[str], refused: str | None
) -> None:
    async with serve_api() as admin:
        await prepare(admin)
        await create(admin, role("going"))
        await admin.delete("/core/roles/going")
        await create(admin, binding("other", []))
    async with serve_api(**static("kim")) as kim:
        answers = [
            (201, await create(kim, binding("new", users, *roles))),
            (200, await kim.patch("/core/rolebindings/other", {"users": users, "roles": roles})),
        ]
        for status, answer in answers:
            assert answer.status == (status if refused is None else 403), answer.text
            assert refused is None or refused in answer.fields
        assert (await kim.get("/core/rolebindings/new")).status == (404 if refused else 200)


async def test_who_is_bound_already_may_stay(serve_api: Serve) -> None:
    async with serve_api() as admin:
        await prepare(admin)
    async with serve_api(**static("kim")) as kim:
        path = "/core/rolebindings/nobody"
        assert (await kim.patch(path, {"metadata": {"labels": {"a": "b"}}})).status == 200
        refused = await kim.patch(path, {"users": ["kim"]})
        assert (refused.status, set(refused.fields)) == (403, {"roles[0]"})
        assert (await kim.patch(path, {"roles": ["admin", "reader"]})).status == 200
        # Roles that were bound to nobody yet are newly granted to the first user.
        assert (await kim.patch(path, {"users": ["bob"]})).status == 403
        assert (await kim.patch(path, {"users": ["bob"], "roles": ["reader"]})).status == 200


@pytest.mark.parametrize("trusted", ["roles", "rolebindings"])
async def test_some_are_trusted_to_grant_more(serve_api: Serve, trusted: str) -> None:
    async with serve_api() as admin:
        await prepare(admin, TRUST_RULES[trusted])
    async with serve_api(**static("kim")) as kim:
        assert (await create(kim, role("new", ADMIN_RULE))).status == (201 if trusted == "roles" else 403)
        for name in ("admin", "missing"):
            assert (await create(kim, binding(name, ["bob"], name))).status == (201 if trusted == "rolebindings" else 403)


async def test_nothing_is_checked_where_everybody_may_do_everything(serve_api: Serve) -> None:
    async with serve_api() as admin:
        await prepare(admin)
        assert (await create(admin, binding("new", ["ann"], "missing"))).status == 201


def ask(resource: str, verb: str = "get", api: str = "kubernetes", **more: Any) -> dict[str, Any]:
    return {"api": api, "resource": resource, "verb": verb, **more}


@pytest.mark.parametrize(
    ("request_", "allowed", "reason"),
    [
        (ask("applications", namespace="red"), True, "Role 'reader' allows it, bound to the user by 'red'."),
        (ask("applications", namespace="blue"), False, "get kubernetes applications in namespace 'blue'."),
        (ask("applications"), False, "get kubernetes applications in all namespaces."),
        (ask("applications", "list", namespace="red"), True, "Role 'reader'"),
        (ask("applications", "list"), False, "list kubernetes applications in all namespaces."),
        (ask("applications", "list_all"), False, "list kubernetes applications in all namespaces."),
        (ask("applications/status", "update", namespace="red"), False, "applications/status in namespace 'red'."),
        (ask("roles", api="core"), False, "get core roles."),
        (ask("appls", namespace="red"), False, "(There is no kind 'appls' in the API 'kubernetes'.)"),
        (ask("", api="", namespace="red"), False, "get (any API) (any resource) in namespace 'red'."),
    ],
)
async def test_can_i(serve_api: Serve, request_: dict[str, Any], allowed: bool, reason: str) -> None:
    async with serve_api() as admin:
        await prepare(admin)
    async with serve_api(**static("ann")) as ann:
        answer = await ann.post("/authorize", request_)
        assert (answer.status, answer.json["allowed"]) == (200, allowed)
        assert reason in answer.json["reason"]
        several = (await ann.post("/authorize", {"requests": [request_, request_]})).json
        assert several == {"user": "ann", "results": [answer.json, answer.json]}


async def test_the_answer_is_what_happens(serve_api: Serve) -> None:
    async with serve_api() as admin:
        await prepare(admin)
    async with serve_api(**static("ann")) as ann:
        for namespace, verb, method, path in (
            ("red", "list", "GET", "/kubernetes/namespaces/red/applications"),
            ("blue", "list", "GET", "/kubernetes/namespaces/blue/applications"),
            (None, "list", "GET", "/kubernetes/applications"),
            ("red", "delete", "DELETE", "/kubernetes/namespaces/red/applications/a"),
        ):
            said = (await ann.post("/authorize", ask("applications", verb, namespace=namespace))).json["allowed"]
            assert said == ((await ann(method, path)).status != 403)


async def test_what_may_i(serve_api: Serve) -> None:
    async with serve_api() as admin:
        await prepare(admin)
        everything = (await admin.get("/authorize")).json
        assert (everything["user"], [rule["resources"] for rule in everything["rules"]]) == ("system:admin", [[""]])
        assert (await admin.post("/authorize", ask("applications"))).json["allowed"] is True
    async with serve_api(**static("ann")) as ann:
        assert (await ann.get("/authorize")).json == {"user": "ann", "rules": [READER_RULE]}
    async with serve_api(**static("bob")) as bob:
        assert (await bob.get("/authorize")).json == {"user": "bob", "rules": []}
        assert (await bob.post("/authorize", ask("roles", api="core"))).json["reason"] == "No role is bound to user 'bob'."
    async with serve_api(authorization="RBAC", authentication={"allow_anonymous": True}) as anonymous:
        assert (await anonymous.post("/authorize", ask("roles", api="core"))).json["allowed"] is False
    async with serve_api(authorization="always-deny") as nobody:
        assert (await nobody.post("/authorize", ask("roles", api="core"))).json["allowed"] is False


async def test_what_may_others(serve_api: Serve) -> None:
    asker = {"api": "core", "resources": ["authorizations"], "namespaces": [], "verbs": ["get"]}
    async with serve_api() as admin:
        await prepare(admin, asker)
    question = ask("applications", namespace="red")
    async with serve_api(**static("kim")) as kim:
        assert (await kim.post("/authorize", question | {"user": "ann"})).json["allowed"] is True
        assert (await kim.post("/authorize", {"user": "bob", "requests": [question]})).json["results"][0]["allowed"] is False
        assert (await kim.get("/authorize", user="ann")).json["rules"] == [READER_RULE]
    async with serve_api(**static("ann")) as ann:
        assert (await ann.post("/authorize", question | {"user": "ann"})).status == 200
        assert (await ann.post("/authorize", question | {"user": "kim"})).status == 403
        assert (await ann.get("/authorize", user="kim")).status == 403


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["api", "resource", "verb"]),
        (ask("applications", "eat"), ["verb"]),
        ({"requests": [{}]}, ["requests[0].api", "requests[0].resource", "requests[0].verb"]),
        ({"requests": {}}, ["requests"]),
        ({"requests": [ask("applications")] * 1001}, ["requests"]),
        (ask("applications", user=5), ["user"]),
    ],
)
async def test_wrong_questions(http: Http, body: dict[str, Any], fields: list[str]) -> None:
    answer = await http.post("/authorize", body)
    assert (answer.status, answer.fields) == (422, fields)
