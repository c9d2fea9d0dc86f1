"""Who sees secrets, what becomes of redacted objects that come back, and of objects whose key is not there."""

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.api import KEY, Http, Serve
from fixtures.planting import planted_kubeconfig, planted_manifest
from fixtures.polling import until
from fixtures.samples import path_of, sample

from krake.adapters.etcd import EtcdStore
from krake.api.body import merge_patch
from krake.data import Resource
from krake.data.core import Role
from krake.data.infrastructure import Cloud, InfrastructureProvider
from krake.data.kubernetes import Application, Cluster
from krake.data.openstack import Project
from krake.data.secrets import MARK, redact

OTHER_KEY = "other ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
VERBS = ["create", "list", "get", "update", "delete"]
PASSWORD = "p4ssw0rd"
_CLUSTERS = sample(Cluster)["spec"]["kubeconfig"]["clusters"]
TRAP = merge_patch(_CLUSTERS[0], {"cluster": {"server": "https://evil.example"}})


def rule(*resources: str, namespaces: str = "", api: str = "") -> dict[str, Any]:
    return {"api": api, "resources": list(resources), "namespaces": [namespaces], "verbs": VERBS}


def as_user(*rules: dict[str, Any]) -> dict[str, Any]:
    """The configuration of an API whose only user has these rules."""
    return {
        "authentication": {"strategy": {"static": {"enabled": True, "name": "ann"}}},
        "authorization": "RBAC",
        "default_roles": [{"metadata": {"name": "role"}, "rules": list(rules)}],
        "default_role_bindings": [{"metadata": {"name": "role"}, "users": ["ann"], "roles": ["role"]}],
    }


OPERATOR = as_user(rule("clusters", "clusters/status", "applications", "applications/status", "infrastructureproviders"))


def provider(**credentials: Any) -> dict[str, Any]:
    im = {"url": "https://im.example:8800", "username": "ann", "password": PASSWORD, **credentials}
    return {"metadata": {"name": "sample"}, "spec": {"type": "im", "im": im}}


async def ready(http: Http) -> Http:
    async def allowed() -> bool:
        return (await http.get(path_of(Cluster))).status == 200

    await until(allowed)
    return http


async def create(http: Http, kind: type[Resource], body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = await http.post(path_of(kind), body or sample(kind))
    assert answer.status == 201, answer.text
    created: dict[str, Any] = answer.json
    return created


async def read(http: Http, path: str, *, like: Http) -> dict[str, Any]:
    """Read an object as soon as another API, *like*, and this one have come equally far."""

    async def found() -> dict[str, Any] | None:
        one, other = await http.get(path), await like.get(path)
        same = one.status == 200 and one.json["metadata"] == other.json["metadata"]
        return one.json if same else None

    return await until(found) or {}


async def test_the_roles_decide(serve_api: Serve) -> None:
    one_namespace = {**rule("clusters/secrets", namespaces="ns", api="kubernetes"), "verbs": ["get"]}
    async with serve_api() as admin, serve_api(**as_user(rule("clusters"), one_namespace)) as ann:
        await ready(ann)
        plain = await create(admin, Cluster)
        await admin.post(path_of(Cluster, namespace="elsewhere"), sample(Cluster))
        shown = redact(Cluster, plain)
        assert shown != plain
        elsewhere = await read(ann, path_of(Cluster, "sample", "elsewhere"), like=admin)
        assert elsewhere["spec"] == shown["spec"]
        assert (await ann.get(path_of(Cluster, "sample"))).json == plain
        assert (await ann.get(path_of(Cluster))).json["items"] == [plain]
        # Of several namespaces, only a rule for all of them counts.
        everywhere = (await ann.get("/kubernetes/clusters")).json["items"]
        assert [each["spec"] for each in everywhere] == [shown["spec"], shown["spec"]]
        label = {"metadata": {"labels": {"a": "b"}}}
        assert (await ann.patch(path_of(Cluster, "sample"), label)).json["spec"] == plain["spec"]
        assert (await ann.patch(path_of(Cluster, "sample", "elsewhere"), label)).json["spec"] == shown["spec"]


async def test_to_list_everything_is_not_to_see_secrets(serve_api: Serve) -> None:
    listing = {**rule("clusters", "clusters/secrets"), "verbs": ["list", "list_all"]}
    async with serve_api() as admin, serve_api(**as_user(listing)) as ann:
        await ready(ann)
        plain = await create(admin, Cluster)

        async def listed() -> list[Any]:
            return list((await ann.get("/kubernetes/clusters")).json["items"])

        assert await until(listed) == [redact(Cluster, plain)]


async def test_changes_keep_what_is_marked(serve_api: Serve) -> None:
    async with serve_api() as admin, serve_api(**OPERATOR) as ann:
        await ready(ann)
        body = sample(Application)
        body["spec"]["manifest"] = planted_manifest(lambda: PASSWORD)
        plain = await create(admin, Application, body)
        path = path_of(Application, "sample")
        shown = await read(ann, path, like=admin)
        assert PASSWORD not in json.dumps(shown)
        assert (await ann.put(path, shown)).json == shown
        assert await read(admin, path, like=ann) == plain
        # A new object, another order, one secret changed, all in one.
        manifest = [shown["spec"]["manifest"][1], {**shown["spec"]["manifest"][0], "metadata": {"name": "new"}}]
        manifest[0]["data"]["key"] = "changed"
        changed = await ann.patch(path, {"spec": {"manifest": manifest}})
        assert changed.status == 200, changed.text
        secret = (await read(admin, path, like=ann))["spec"]["manifest"][0]
        assert secret["data"] == {"password": PASSWORD, "key": "changed"}
        assert secret["stringData"] == {"token": PASSWORD}
        assert changed.json["spec"]["manifest"][0]["data"] == {"password": MARK, "key": MARK}


@pytest.mark.parametrize(
    ("kind", "elsewhere", "named"),
    [
        (InfrastructureProvider, {"spec": {"im": {"url": "https://evil.example"}}}, "spec.im.url"),
        (Cloud, {"spec": {"openstack": {"url": "https://evil.example"}}}, "spec.openstack.url"),
        (
            Cloud,
            {"spec": {"openstack": {"infrastructure_provider": {"name": "evil", "namespaced": True}}}},
            "spec.openstack.infrastructure_provider",
        ),
        (Project, {"spec": {"url": "https://evil.example"}}, "spec.url"),
        (Cluster, {"spec": {"kubeconfig": {"clusters": [TRAP]}}}, "spec.kubeconfig"),
    ],
)
async def test_secrets_are_not_sent_elsewhere_by_who_may_not_see_them(
    serve_api: Serve, kind: type[Resource], elsewhere: dict[str, Any], named: str
) -> None:
    operator = as_user(rule("clusters", "infrastructureproviders", "clouds", "projects"))
    async with serve_api() as admin, serve_api(**operator) as eve:
        await ready(eve)
        await create(admin, kind)
        path = path_of(kind, "sample")
        shown = await read(eve, path, like=admin)
        for refused in (await eve.patch(path, elsewhere), await eve.put(path, merge_patch(shown, elsewhere))):
            assert refused.status == 422, refused.text
            assert f"as {named} changes" in refused.detail
        assert (await eve.get(path)).json == shown
        assert (await eve.patch(path, {"metadata": {"labels": {"zone": "north"}}})).status == 200
        # Who sees the secrets anyway gets nothing by it.
        assert (await admin.patch(path, elsewhere)).status == 200


async def test_credentials_of_clouds_are_not_collected_by_a_provider(serve_api: Serve) -> None:
    """Who says where a provider is, is told how to log in to the clouds that name it."""
    eves = as_user(rule("clusters", "infrastructureproviders", "clouds"))
    own = {"name": "sample", "namespaced": True}
    theirs, path = sample(Cloud), path_of(InfrastructureProvider, "sample")
    theirs["spec"]["openstack"]["infrastructure_provider"] = own
    trap = provider(url="https://evil.example", token="eve's")
    async with serve_api() as admin, serve_api(**eves) as eve:
        await ready(eve)
        await create(admin, InfrastructureProvider)
        await create(admin, Cloud, theirs)
        await read(eve, path_of(Cloud, "sample"), like=admin)
        shown = await read(eve, path, like=admin)
        for refused in (await eve.patch(path, {"spec": trap["spec"]}), await eve.put(path, merge_patch(shown, trap))):
            assert refused.status == 403, refused.text
            assert "is told the credentials of Cloud" in refused.detail
        assert (await eve.patch(path, {"spec": {"im": {"token": "new"}}})).status == 200
        # To register it anew is the same.
        assert (await eve.delete(path)).status == 200
        assert (await eve.post(path_of(InfrastructureProvider), trap)).status == 403
        assert (await eve.post(path_of(InfrastructureProvider), {**trap, "metadata": {"name": "other"}})).status == 201
        assert (await eve.post(path_of(InfrastructureProvider, namespace="elsewhere"), trap)).status == 201
        assert (await admin.post(path_of(InfrastructureProvider), trap)).status == 201


async def test_a_status_keeps_what_is_marked(serve_api: Serve) -> None:
    async with serve_api() as admin, serve_api(**OPERATOR) as ann:
        await ready(ann)
        await create(admin, Application)
        path = path_of(Application, "sample")
        await admin.patch(f"{path}/status", {"status": {"complete_token": PASSWORD}})
        shown = await read(ann, path, like=admin)
        assert shown["status"]["complete_token"] == MARK
        assert shown["status"]["shutdown_token"] is None
        answer = await ann.put(f"{path}/status", {"status": {**shown["status"], "migration_retries": 3}})
        assert (answer.status, answer.json["status"]["complete_token"]) == (200, MARK)
        assert (await read(admin, path, like=ann))["status"]["complete_token"] == PASSWORD
        answer = await ann.patch(f"{path}/status", {"status": {"shutdown_token": MARK}})
        assert (answer.status, answer.fields) == (422, ["status.shutdown_token"])
        # Elsewhere a status is not looked at, whatever it holds.
        body = {**await read(ann, path, like=admin), "status": {"shutdown_token": MARK}}
        assert (await ann.put(path, body)).status == 200


async def test_a_mark_where_nothing_is_stored(http: Http) -> None:
    created = await http.post(path_of(InfrastructureProvider), provider(password=MARK))
    assert (created.status, created.fields) == (422, ["spec.im.password"])
    await create(http, InfrastructureProvider, provider())
    answer = await http.put(path_of(InfrastructureProvider, "sample"), provider(token=MARK))
    assert (answer.status, answer.fields) == (422, ["spec.im.token"])
    answer = await http.put(path_of(InfrastructureProvider, "sample"), provider(password="sealed:v1:test:x"))
    assert (answer.status, answer.fields) == (422, ["spec.im.password"])


async def test_a_hook_without_the_permission_gets_no_secrets(serve_api: Serve) -> None:
    async with serve_api() as admin, serve_api(**as_user(rule("clusters", "applications", "applications/complete"))) as hook:
        await ready(hook)
        hooked = sample(Application)
        hooked["spec"]["hooks"] = ["complete"]
        await create(admin, Application, hooked)
        await admin.patch(f"{path_of(Application, 'sample')}/status", {"status": {"complete_token": PASSWORD}})
        await read(hook, path_of(Application, "sample"), like=admin)
        answer = await hook.put(f"{path_of(Application, 'sample')}/complete", {"token": PASSWORD})
        assert answer.status == 200
        assert PASSWORD not in answer.text


@pytest.mark.parametrize("given", [True, False])
async def test_a_watch_ends_when_what_may_be_seen_changes(serve_api: Serve, given: bool) -> None:
    secrets, none = rule("clusters", "clusters/secrets"), rule("clusters")
    before, after = (none, secrets) if given else (secrets, none)
    async with serve_api() as admin, serve_api(**as_user(before)) as ann:
        await ready(ann)
        plain = await create(admin, Cluster)
        shown, seen = redact(Cluster, plain), plain
        async with ann.watch(path_of(Cluster), resource_version="0", heartbeat="1") as lines:
            assert await lines.next() == ("ADDED", shown if given else plain)
            role = await admin.patch(path_of(Role, "role"), {"rules": [after]})
            assert role.status == 200

            async def decided() -> bool:
                spec = (await ann.get(path_of(Cluster, "sample"))).json["spec"]
                return bool(spec == (seen if given else shown)["spec"])

            await until(decided)
            await admin.patch(path_of(Cluster, "sample"), {"metadata": {"labels": {"a": "b"}}})
            kind, problem = await lines.next()
            assert (kind, problem["status"]) == ("ERROR", 410)
            assert await lines.next_line() == b""


async def test_no_key(serve_api: Serve) -> None:
    with pytest.raises(ValueError, match="krake secrets create-key"):
        async with serve_api(secrets={}):
            pass


async def test_plain_secrets_are_sealed_when_they_are_written_next(serve_api: Serve, etcd_store: EtcdStore) -> None:
    async with serve_api(secrets={"allow_plain": True}) as http:
        plain = await create(http, InfrastructureProvider, provider())
    assert PASSWORD in await stored(etcd_store)
    async with serve_api() as http:
        path = path_of(InfrastructureProvider, "sample")
        assert (await http.get(path)).json == plain
        assert (await http.patch(path, {"metadata": {"labels": {"a": "b"}}})).status == 200
        assert (await http.get(path)).json["spec"] == plain["spec"]
    assert PASSWORD not in await stored(etcd_store)


async def stored(store: EtcdStore) -> str:
    return "\n".join(entry.value.decode() for entry in (await store.list("")).entries)


async def test_what_is_sealed_elsewhere_does_not_open(
    serve_api: Serve, etcd_store: EtcdStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_api() as http:
        await create(http, InfrastructureProvider, provider())
        entry = (await etcd_store.list("")).entries[0]
        await etcd_store.create(f"{entry.key}-copy", entry.value.replace(b'"sample"', b'"sample-copy"'))

        async def copied() -> bool:
            return (await http.get(path_of(InfrastructureProvider, "sample-copy"))).status == 200

        await until(copied)
        answer = await http.get(path_of(InfrastructureProvider, "sample-copy"))
        assert answer.json["spec"]["im"]["password"] == MARK
        assert (await http.get(path_of(InfrastructureProvider, "sample"))).json["spec"]["im"]["password"] == PASSWORD
    assert "cannot be unsealed" in caplog.text


async def test_a_missing_key_loses_nothing(serve_api: Serve, etcd_store: EtcdStore, caplog: pytest.LogCaptureFixture) -> None:
    path = path_of(InfrastructureProvider, "sample")
    async with serve_api() as http:
        plain = await create(http, InfrastructureProvider, provider())
        await create(http, Cluster)
    caplog.clear()
    async with serve_api(secrets={"keys": OTHER_KEY}) as http:
        assert [each.message for each in caplog.records if "The key test that" in each.message] != []
        shown = (await http.get(path)).json
        assert shown["spec"]["im"]["password"] == MARK
        assert (await http.get(path_of(InfrastructureProvider))).json["items"] == [shown]
        assert (await http.put(path, shown)).json == shown
        changed = await http.patch(path, {"metadata": {"labels": {"a": "b"}}, "spec": {"im": {"token": "n3w"}}})
        assert (changed.json["spec"]["im"]["password"], changed.json["spec"]["im"]["token"]) == (MARK, "n3w")
        assert "sealed:v1" not in (await http.get(path)).text
    assert len([each for each in caplog.records if "The key test that" in each.message]) == 1
    async with serve_api(secrets={"keys": f"{OTHER_KEY},{KEY}"}) as http:
        im = (await http.get(path)).json["spec"]["im"]
        assert im == {**plain["spec"]["im"], "token": "n3w"}


async def test_a_key_that_turns_up_is_taken_at_once(serve_api: Serve, tmp_path: Path) -> None:
    key_file = tmp_path / "keys"
    key_file.write_text(OTHER_KEY)
    key_file.chmod(0o600)
    path = path_of(InfrastructureProvider, "sample")
    async with serve_api() as one:
        await create(one, InfrastructureProvider, provider())
        async with serve_api(secrets={"key_file": str(key_file)}) as http:
            assert (await http.get(path)).json["spec"]["im"]["password"] == MARK
            async with http.watch(path_of(InfrastructureProvider)) as lines:
                key_file.write_text(f"{KEY}\n{OTHER_KEY}\n")
                kind, seen = await lines.next()
                assert (kind, seen["spec"]["im"]["password"]) == ("MODIFIED", PASSWORD)
            assert (await http.get(path)).json["spec"]["im"]["password"] == PASSWORD
        assert (await one.get(path)).json["spec"]["im"]["password"] == PASSWORD


async def test_others_may_not_use_the_key_file(serve_api: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key_file = tmp_path / "keys"
    key_file.write_text(OTHER_KEY)
    key_file.chmod(0o644)
    async with serve_api(secrets={"key_file": str(key_file)}, ready=False):
        assert "Others than its owner can use the key file" in caplog.text


@pytest.mark.parametrize("keys", ["", "x", "a b c d", "a AAAA", f"{KEY},{KEY}", f"{KEY} unknown"])
async def test_what_is_no_key_is_not_told(serve_api: Serve, tmp_path: Path, keys: str) -> None:
    key_file = tmp_path / "keys"
    key_file.write_text(keys)
    with pytest.raises(ValueError) as caught:
        async with serve_api(secrets={"key_file": str(key_file)}):
            pass
    assert str(key_file) in str(caught.value)
    assert KEY.split()[1] not in str(caught.value)


async def test_kubeconfigs_show_where_they_lead(serve_api: Serve) -> None:
    async with serve_api() as admin, serve_api(**OPERATOR) as ann:
        await ready(ann)
        body = sample(Cluster)
        body["spec"]["kubeconfig"] = planted_kubeconfig(lambda: PASSWORD)
        await create(admin, Cluster, body)
        shown = await read(ann, path_of(Cluster, "sample"), like=admin)
        kubeconfig = shown["spec"]["kubeconfig"]
        assert kubeconfig["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
        assert kubeconfig["users"][0]["user"]["username"] == "ann"
        assert PASSWORD not in json.dumps(shown)
        # Something else about the user changes; the credentials stay.
        kubeconfig["users"][0]["user"]["username"] = "bob"
        changed = await ann.put(path_of(Cluster, "sample"), shown)
        assert changed.status == 200, changed.text
        found = (await read(admin, path_of(Cluster, "sample"), like=ann))["spec"]["kubeconfig"]
        body["spec"]["kubeconfig"]["users"][0]["user"]["username"] = "bob"
        assert found == body["spec"]["kubeconfig"]
