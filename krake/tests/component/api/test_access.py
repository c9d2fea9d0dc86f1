"""Who may come in, and what they may do."""

import asyncio
from typing import Any

import pytest
from fixtures.api import Http, Serve
from fixtures.samples import path_of, sample

from krake.data.core import Metric, Role, RoleBinding
from krake.data.kubernetes import Application

ANONYMOUS = {"allow_anonymous": True}


def static(name: str) -> dict[str, Any]:
    return {"strategy": {"static": {"enabled": True, "name": name}}}


def role(name: str, **rule: Any) -> dict[str, Any]:
    everything = {"api": "", "resources": [""], "namespaces": [""], "verbs": ["create", "list", "get", "update", "delete"]}
    return {"metadata": {"name": name}, "rules": [everything | rule]}


async def grant(http: Http, name: str, user: str = "ann", **rule: Any) -> None:
    assert (await http.post("/core/roles", role(name, **rule))).status == 201
    binding = {"metadata": {"name": name}, "users": [user], "roles": [name, "missing"]}
    assert (await http.post("/core/rolebindings", binding)).status == 201


async def test_nobody_is_known(serve_api: Serve) -> None:
    async with serve_api(authentication={}) as http:
        for path in ("/", "/me", "/core/roles", "/nowhere"):
            answer = await http.get(path)
            assert (answer.status, answer.detail) == (401, "No user has been authenticated.")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await http.get(path)).status == 200


async def test_anonymous(serve_api: Serve) -> None:
    async with serve_api(authentication=ANONYMOUS) as http:
        assert (await http.get("/me")).json == {"user": "system:anonymous", "roles": []}
        assert (await http.get("/core/roles")).status == 200
    async with serve_api(authentication=ANONYMOUS, authorization="RBAC") as http:
        assert (await http.get("/core/roles")).status == 401
        assert (await http.get("/")).status == 200


async def test_static_comes_before_anonymous(serve_api: Serve) -> None:
    async with serve_api(authentication=ANONYMOUS | static("ann")) as http:
        assert (await http.get("/me")).json["user"] == "ann"


async def test_always_deny(serve_api: Serve) -> None:
    async with serve_api(authorization="always-deny") as http:
        answer = await http.get("/core/roles/some")
        assert (answer.status, answer.detail) == (403, "User 'system:admin' may not get core roles.")
        # Even a body that is none tells nothing to someone who may not write.
        assert (await http("PUT", "/core/roles/some", data=b"{")).status == 403
        assert (await http.get("/")).status == 200


async def test_roles_count_at_once(serve_api: Serve) -> None:
    async with serve_api() as admin, serve_api(authentication=static("ann"), authorization="RBAC") as ann:
        assert (await ann.get("/core/roles")).status == 403
        await grant(admin, "reader", api="core", resources=["roles"], verbs=["list"])
        await until(ann, "/core/roles", 200)
        assert (await ann.get("/core/roles/reader")).status == 403
        assert (await ann.get("/core/rolebindings")).status == 403
        assert (await ann.get("/me")).json == {"user": "ann", "roles": ["missing", "reader"]}
        # What is being deleted grants nothing any more.
        await admin.patch("/core/roles/reader", {"metadata": {"finalizers": ["mine"]}})
        await admin.delete("/core/roles/reader")
        await until(ann, "/core/roles", 403)
        assert (await admin.get("/core/roles/reader")).status == 200


async def until(http: Http, path: str, status: int) -> None:
    """Another server hears of a change a moment later."""
    async with asyncio.timeout(30):
        while (await http.get(path)).status != status:  # noqa: ASYNC110 - this is the public way to know
            await asyncio.sleep(0.01)


async def test_roles_count_at_once_on_the_server_that_wrote_them(serve_api: Serve) -> None:
    async with serve_api() as admin:
        await grant(admin, "root")
    async with serve_api(authentication=static("ann"), authorization="RBAC") as ann:
        assert (await ann.get("/core/roles")).status == 200
        assert (await ann.patch("/core/rolebindings/root", {"users": []})).status == 200
        assert (await ann.get("/core/roles")).status == 403


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ({"namespaces": ["red"]}, {"in red"}),
        ({"namespaces": ["red"], "verbs": ["list_all", "list"]}, {"in red"}),
        ({"namespaces": [""]}, {"in red", "in blue", "everywhere"}),
        ({"namespaces": [""], "verbs": ["list_all"]}, {"everywhere"}),
        ({"api": "kubernetes"}, set()),
        ({"resources": ["metricsproviders"]}, set()),
        ({"resources": ["metrics", "roles"], "api": "core"}, {"in red", "in blue", "everywhere"}),
    ],
)
@pytest.mark.parametrize("query", [{}, {"watch": "", "heartbeat": "0"}])
async def test_namespaces_of_rules(serve_api: Serve, rule: dict[str, Any], allowed: set[str], query: dict[str, str]) -> None:
    async with serve_api() as admin:
        await grant(admin, "some", **rule)
    paths = {
        "in red": path_of(Metric, namespace="red"),
        "in blue": path_of(Metric, namespace="blue"),
        "everywhere": "/core/metrics",
    }
    async with serve_api(authentication=static("ann"), authorization="RBAC") as ann:
        for name, path in paths.items():
            if query and name in allowed:
                async with ann.watch(path, **query):
                    continue
            assert (await ann.get(path, **query)).status == (200 if name in allowed else 403)


async def test_subresources_have_permissions_of_their_own(serve_api: Serve) -> None:
    async with serve_api() as admin:
        await admin.post(path_of(Application), sample(Application))
        await grant(admin, "some", resources=["applications", "applications/binding"])
    path = path_of(Application, "sample")
    async with serve_api(authentication=static("ann"), authorization="RBAC") as ann:
        assert (await ann.patch(path, {})).status == 200
        assert (await ann.patch(f"{path}/status", {})).status == 403
        assert (await ann.put(f"{path}/retry", {})).status == 403
        assert (await ann.put(f"{path}/binding", {})).status == 422
        assert (await ann.put(path_of(Application, "missing") + "/status", {})).status == 403


@pytest.mark.parametrize("resource", ["applications/retry", "applications/status"])
async def test_retry_is_permitted_by_either_name(serve_api: Serve, resource: str) -> None:
    async with serve_api() as admin:
        await admin.post(path_of(Application), sample(Application))
        await grant(admin, "some", resources=[resource])
    async with serve_api(authentication=static("ann"), authorization="RBAC") as ann:
        assert (await ann.put(path_of(Application, "sample") + "/retry", {})).status == 400


async def test_rules_only_ever_add(serve_api: Serve) -> None:
    async with serve_api() as admin:
        await grant(admin, "reader", verbs=["get"])
        await grant(admin, "lister", verbs=["list"])
        await grant(admin, "other", user="bob")
    async with serve_api(authentication=static("ann"), authorization="RBAC") as ann:
        assert (await ann.get(path_of(Role))).status == 200
        assert (await ann.get(path_of(RoleBinding, "reader"))).status == 200
        assert (await ann.delete(path_of(RoleBinding, "reader"))).status == 403


async def test_roles_of_the_configuration(serve_api: Serve) -> None:
    everything = {"api": "", "resources": [""], "namespaces": [""], "verbs": ["list", "get", "update"]}
    defaults = {
        "authentication": static("ann"),
        "authorization": "RBAC",
        "default_roles": [{"metadata": {"name": "root"}, "rules": [everything]}],
        "default_role_bindings": [{"metadata": {"name": "root"}, "users": ["ann"], "roles": ["root"]}],
    }
    async with serve_api(**defaults) as ann:
        await until(ann, "/core/roles", 200)
        changed = await ann.patch("/core/roles/root", {"metadata": {"labels": {"kept": "yes"}}})
        assert changed.status == 200
    async with serve_api(**defaults) as ann:
        assert (await ann.get("/core/roles/root")).json == changed.json
    with pytest.raises(ValueError, match=r"default_roles\[0\].rules: Missing"):
        async with serve_api(default_roles=[{"metadata": {"name": "root"}}]):
            pass


@pytest.mark.parametrize("servers", ["one", "two"])
async def test_a_watch_ends_when_its_roles_do(serve_api: Serve, servers: str) -> None:
    async with serve_api() as admin:
        await grant(admin, "reader", api="core", resources=["metrics"], namespaces=["ns"], verbs=["list"])
        await grant(admin, "keeper", api="core", resources=["rolebindings", "metrics"], verbs=["create", "update"])
        async with serve_api(authentication=static("ann"), authorization="RBAC") as ann:
            other = ann if servers == "one" else admin
            async with ann.watch(path_of(Metric), heartbeat="0") as lines:
                await other.post(path_of(Metric), sample(Metric))
                assert (await lines.next())[0] == "ADDED"
                assert (await other.patch("/core/rolebindings/reader", {"users": []})).status == 200
                assert (await other.post(path_of(Metric), sample(Metric, "hidden"))).status == 201
                kind, problem = await lines.next()
                assert (kind, problem["status"]) == ("ERROR", 403)
                assert await lines.next_line() == b""


OURS = ["kubernetes_resources_deletion", "mine"]


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ([{"resources": ["applications"], "verbs": ["update"]}], False),
        ([{"resources": ["applications"], "verbs": ["update", "delete"]}], True),
        ([{"resources": ["applications"], "verbs": ["update"]}, {"resources": ["applications/status"]}], True),
        ([{"resources": ["applications"], "verbs": ["update"]}, {"resources": ["applications/finalizers"]}], True),
        ([{"resources": ["applications"], "verbs": ["update"]}, {"resources": ["clusters/status"]}], False),
    ],
)
async def test_finalizers_of_krake_are_not_for_everybody(serve_api: Serve, rules: list[dict[str, Any]], allowed: bool) -> None:
    path = path_of(Application, "sample")
    async with serve_api() as admin:
        await admin.post(path_of(Application), sample(Application, finalizers=OURS))
        for number, rule in enumerate(rules):
            await grant(admin, f"r{number}", **({"api": "kubernetes", "namespaces": ["ns"], "verbs": ["update"]} | rule))
    async with serve_api(authentication=static("ann"), authorization="RBAC") as ann:
        assert (await ann.patch(path, {"metadata": {"labels": {"a": "b"}}})).status == 200
        assert (await ann.patch(path, {"metadata": {"finalizers": [*OURS, "more"]}})).status == 200
        assert (await ann.patch(path, {"metadata": {"finalizers": [OURS[0]]}})).status == 200
        answer = await ann.patch(path, {"metadata": {"finalizers": []}})
        assert answer.status == (200 if allowed else 403)
        assert allowed or "may not take the finalizer 'kubernetes_resources_deletion'" in answer.detail
