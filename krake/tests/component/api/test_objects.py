"""Every kind can be created, read, listed, changed and deleted in the same way."""

import asyncio
from typing import Any

import pytest
from fixtures.api import Http, Serve
from fixtures.samples import CHANGES, path_of, sample

from krake.data import KINDS, Key, Resource
from krake.data.core import GlobalMetric, Metric, Role
from krake.data.kubernetes import Application, Cluster
from krake.data.openstack import MagnumCluster

EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
LASTING_KIND = pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if not kind.definition.transient], ids=lambda kind: kind.__name__
)
WITH_STATUS = pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if kind.definition.has_status], ids=lambda kind: kind.__name__
)


async def create(http: Http, kind: type[Resource], name: str = "sample", **metadata: Any) -> Any:
    answer = await http.post(path_of(kind), sample(kind, name, **metadata))
    assert answer.status == 201, answer.text
    return answer.json


def ref(kind: type[Resource], name: str) -> Any:
    return kind.definition.ref(Key("ns" if kind.definition.namespaced else None, name)).serialize()


@EVERY_KIND
async def test_create_and_read(http: Http, kind: type[Resource]) -> None:
    answer = await http.post(path_of(kind), sample(kind, labels={"zone": "north"}))
    created = answer.json
    assert answer.status == 201
    assert answer.headers["Location"] == path_of(kind, "sample")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    metadata = created["metadata"]
    assert metadata["namespace"] == ("ns" if kind.definition.namespaced else None)
    assert metadata["labels"] == {"zone": "north"}
    assert metadata["created"] == metadata["modified"] != "1970-01-01T00:00:00+00:00"
    assert len(metadata["uid"]) == 36
    assert metadata["generation"] == 1
    assert int(metadata["resource_version"]) > 0
    read = await http.get(path_of(kind, "sample"))
    assert (read.status, read.json) == (200, created)
    assert kind.deserialize(created).serialize() == created
    listed = (await http.get(path_of(kind))).json
    assert listed["items"] == [created]
    assert (listed["api"], listed["kind"]) == (kind.definition.api, kind.definition.list_kind)
    assert int(listed["metadata"]["resource_version"]) >= int(metadata["resource_version"])


@EVERY_KIND
async def test_create_twice(http: Http, kind: type[Resource]) -> None:
    await create(http, kind)
    answer = await http.post(path_of(kind), sample(kind))
    assert answer.status == 409
    assert answer.json["title"] == "RESOURCE_ALREADY_EXISTS"
    place = " in namespace 'ns'" if kind.definition.namespaced else ""
    assert answer.detail == f"{kind.__name__} 'sample' already exists{place}"


@EVERY_KIND
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_what_is_missing_is_not_found(http: Http, kind: type[Resource], method: str) -> None:
    answer = await http(method, path_of(kind, "sample"), json=sample(kind))
    assert answer.status == 404
    assert answer.json["title"] == "NOT_FOUND_ERROR"
    assert answer.json["type"].endswith("#not-found-error")
    place = " in namespace 'ns'" if kind.definition.namespaced else ""
    assert answer.detail == f"'{kind.__name__}' 'sample' does not exist{place}"


@EVERY_KIND
async def test_update(http: Http, kind: type[Resource]) -> None:
    created = await create(http, kind)
    changed = (await http.patch(path_of(kind, "sample"), CHANGES[kind])).json
    assert changed != created
    assert changed["metadata"]["generation"] == 2
    assert changed["metadata"]["modified"] > created["metadata"]["modified"]
    # A client of the original sends what it has read before; its status and the fields of the server do not count.
    del created["metadata"]["resource_version"]
    reverted = await http.put(path_of(kind, "sample"), {**created, "status": {}} if "status" in created else created)
    assert reverted.status == 200
    assert {**reverted.json, "metadata": None} == {**created, "metadata": None}
    assert reverted.json["metadata"]["generation"] == 3
    assert (await http.get(path_of(kind, "sample"))).json == reverted.json


@EVERY_KIND
async def test_update_without_a_change_writes_nothing(http: Http, kind: type[Resource]) -> None:
    created = await create(http, kind)
    for answer in (await http.put(path_of(kind, "sample"), created), await http.patch(path_of(kind, "sample"), {})):
        assert (answer.status, answer.json) == (200, created)


@EVERY_KIND
async def test_labels_change_neither_generation_nor_spec(http: Http, kind: type[Resource]) -> None:
    created = await create(http, kind)
    changed = (await http.patch(path_of(kind, "sample"), {"metadata": {"labels": {"zone": "south"}}})).json
    assert changed["metadata"]["labels"] == {"zone": "south"}
    assert changed["metadata"]["generation"] == 1
    assert changed["metadata"]["modified"] > created["metadata"]["modified"]
    assert {**changed, "metadata": None} == {**created, "metadata": None}


@LASTING_KIND
async def test_deletion(http: Http, kind: type[Resource]) -> None:
    created = await create(http, kind, finalizers=["mine"])
    deleted = await http.delete(path_of(kind, "sample"))
    assert deleted.status == 200
    assert deleted.json["metadata"]["finalizers"] == ["mine", "cascade_deletion"]
    assert deleted.json["metadata"]["deleted"] > created["metadata"]["modified"]
    assert deleted.json["metadata"]["modified"] == created["metadata"]["modified"]
    assert (await http.delete(path_of(kind, "sample"))).json == deleted.json

    more = await http.patch(path_of(kind, "sample"), {"metadata": {"finalizers": ["mine", "cascade_deletion", "late"]}})
    assert (more.status, more.json["title"]) == (409, "UPDATE_ERROR")
    assert more.detail == "Finalizers can only be removed if a deletion is in progress."

    fewer = await http.patch(path_of(kind, "sample"), {"metadata": {"finalizers": ["mine"]}})
    assert fewer.json["metadata"]["finalizers"] == ["mine"]
    assert fewer.json["metadata"]["modified"] == created["metadata"]["modified"]
    last = await http.put(path_of(kind, "sample"), {**fewer.json, "metadata": {**fewer.json["metadata"], "finalizers": []}})
    assert last.status == 200
    assert last.json["metadata"]["finalizers"] == []
    assert (await http.get(path_of(kind, "sample"))).status == 404
    assert (await create(http, kind))["metadata"]["uid"] != created["metadata"]["uid"]


@LASTING_KIND
async def test_what_nothing_depends_on_goes_at_once(http: Http, kind: type[Resource]) -> None:
    path = path_of(kind, "sample")
    await create(http, kind)
    await create(http, kind, name="other", owners=[ref(kind, "sample")])
    for _ in range(2):
        waiting = await http.delete(path)
        assert (waiting.status, waiting.json["metadata"]["finalizers"]) == (200, ["cascade_deletion"])
    assert (await http.delete(path_of(kind, "other"))).status == 200
    assert (await http.get(path_of(kind, "other"))).status == 404
    gone = await http.delete(path)
    assert (gone.status, gone.json["metadata"]["finalizers"]) == (200, [])
    assert gone.json["metadata"]["deleted"] == waiting.json["metadata"]["deleted"]
    assert (await http.get(path)).status == (await http.delete(path)).status == 404


async def test_the_removal_of_what_nothing_depends_on_is_one_event(http: Http) -> None:
    async with http.watch(path_of(Role)) as lines:
        created = await create(http, Role)
        removed = (await http.delete(path_of(Role, "sample"))).json["metadata"]
        assert await lines.next() == ("ADDED", created)
        version = {"resource_version": removed["resource_version"]}
        assert await lines.next() == ("DELETED", {**created, "metadata": {**created["metadata"], **version}})


async def test_owners_are_followed_as_they_change(http: Http) -> None:
    for name in ("one", "two"):
        await create(http, Cluster, name=name)
    await create(http, Application, owners=[ref(Cluster, "two")] * 2 + [ref(Cluster, "missing")])
    await http.patch(
        path_of(Application, "sample"), {"metadata": {"owners": [ref(Cluster, "one"), {**ref(Cluster, "two"), "kind": "None"}]}}
    )
    assert (await http.delete(path_of(Cluster, "two"))).json["metadata"]["finalizers"] == []
    assert (await http.delete(path_of(Cluster, "one"))).json["metadata"]["finalizers"] == ["cascade_deletion"]
    # An owner may come later than what depends on it.
    await http.patch(path_of(Application, "sample"), {"metadata": {"owners": [ref(Cluster, "late")]}})
    await create(http, Cluster, name="late")
    assert (await http.delete(path_of(Cluster, "late"))).json["metadata"]["finalizers"] == ["cascade_deletion"]
    assert (await http.delete(path_of(Cluster, "one"))).json["metadata"]["finalizers"] == []


async def test_what_depends_on_an_object_is_known_on_every_server(serve_api: Serve) -> None:
    async with serve_api() as one, serve_api() as two:
        for number in range(30):
            await create(one, GlobalMetric, name=f"owner{number}")
            await create(one, Role, name=f"owned{number}", owners=[ref(GlobalMetric, f"owner{number}")])
            deleted = await two.delete(path_of(GlobalMetric, f"owner{number}"))
            assert deleted.json["metadata"]["finalizers"] == ["cascade_deletion"]


@EVERY_KIND
async def test_force_removes_at_once(http: Http, kind: type[Resource]) -> None:
    await create(http, kind, finalizers=["mine"])
    answer = await http.delete(path_of(kind, "sample"), force="True")
    assert answer.status == 200
    assert answer.json["metadata"]["deleted"] is not None
    assert (await http.get(path_of(kind, "sample"))).status == 404


def unnoted(status: dict[str, Any]) -> dict[str, Any]:
    """Return a status without what the API notes by itself when it is written."""
    return {name: value for name, value in status.items() if name not in ("state_changed", "out_of_use", "recovered")}


@WITH_STATUS
async def test_status_is_changed_by_its_own_route_only(http: Http, kind: type[Resource]) -> None:
    created = await create(http, kind)
    state = {"status": {"state": list(type(kind.restore(created).status.state))[-1].name}}  # type: ignore[attr-defined]
    assert (await http.patch(path_of(kind, "sample"), state)).json == created
    changed = (await http.patch(f"{path_of(kind, 'sample')}/status", state)).json
    assert unnoted(changed["status"]) == unnoted(created["status"]) | state["status"]
    versioned = {**created["metadata"], "resource_version": changed["metadata"]["resource_version"]}
    assert changed["metadata"] == versioned
    assert changed["spec"] == created["spec"]
    assert (await http.patch(f"{path_of(kind, 'sample')}/status", state)).json == changed
    # The whole object, as the controllers of the original send it; only the status of it counts.
    reset = await http.put(f"{path_of(kind, 'sample')}/status", {**sample(kind, "other"), "status": {}})
    assert unnoted(reset.json["status"]) == unnoted(created["status"])
    assert reset.json["metadata"]["name"] == "sample"
    missing = await http.put(f"{path_of(kind, 'sample')}/status", sample(kind))
    assert (missing.status, missing.fields) == (422, ["status"])


async def test_body_namespace(http: Http) -> None:
    role = await http.post("/core/roles", sample(Role, namespace="zork"))
    assert role.json["metadata"]["namespace"] is None
    metric = await http.post("/core/namespaces/red/metrics", sample(Metric, namespace="blue"))
    assert metric.json["metadata"]["namespace"] == "red"
    moved = await http.put("/core/namespaces/red/metrics/sample", sample(Metric, namespace="blue"))
    assert moved.status == 400
    assert moved.detail == "Trying to update an immutable field: namespace"
    renamed = await http.patch("/core/namespaces/red/metrics/sample", {"metadata": {"name": "other"}})
    assert renamed.detail == "Trying to update an immutable field: name"


async def test_immutable_fields_of_a_kind(http: Http) -> None:
    await create(http, MagnumCluster)
    answer = await http.patch(path_of(MagnumCluster, "sample"), {"spec": {"master_count": 3}})
    assert (answer.status, answer.detail) == (400, "Trying to update an immutable field: master_count")
    status = await http.patch(f"{path_of(MagnumCluster, 'sample')}/status", {"status": {"template": "t"}})
    assert (status.status, status.detail) == (400, "Trying to update an immutable field: template")


async def test_true_is_not_one(http: Http) -> None:
    await create(http, Application)
    for value in (1, True, 1.0, "1"):
        manifest = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"}, "data": value}]
        answer = await http.patch(path_of(Application, "sample"), {"spec": {"manifest": manifest}})
        stored = (await http.get(path_of(Application, "sample"))).json["spec"]["manifest"][0]["data"]
        assert answer.status == 200
        assert (stored, type(stored)) == (value, type(value))


async def test_constraints_keep_their_text(http: Http) -> None:
    await create(http, Application)
    for text in ("zone is north", "zone == north", "zone in (north)"):
        answer = await http.patch(path_of(Application, "sample"), {"spec": {"constraints": {"cluster": {"labels": [text]}}}})
        assert answer.json["spec"]["constraints"]["cluster"]["labels"] == [text]


async def test_patch_removes_and_replaces(http: Http) -> None:
    await create(http, Application, labels={"a": "1", "b": "2"})
    patch = {"metadata": {"labels": {"a": None, "c": "3"}}, "spec": {"constraints": {"cluster": {"labels": None}}}}
    changed = (await http.patch(path_of(Application, "sample"), patch)).json
    assert changed["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert changed["spec"]["constraints"]["cluster"]["labels"] is None
    broken = await http.patch(path_of(Application, "sample"), {"spec": {"constraints": None}})
    assert (broken.status, broken.fields) == (422, ["spec.constraints"])
    assert (await http.get(path_of(Application, "sample"))).json == changed


async def test_patch_of_another_type(http: Http) -> None:
    await create(http, Role)
    answer = await http("PATCH", path_of(Role, "sample"), data="[]", headers={"Content-Type": "application/json-patch+json"})
    assert answer.status == 415
    assert answer.headers["Accept-Patch"] == "application/merge-patch+json"


@pytest.mark.parametrize("subresource", ["", "/status"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_named_version_guards_the_write(http: Http, method: str, subresource: str) -> None:
    created = await create(http, Cluster)
    path = path_of(Cluster, "sample")
    changed = (await http.patch(path, {"metadata": {"labels": {"a": "1"}}})).json
    late = await http(method, path + subresource, json={**created, "status": {**created["status"], "retries": 7}})
    assert (late.status, late.json["title"]) == (409, "TRANSACTION_ERROR")
    assert (await http.get(path)).json == changed
    wrong = await http(method, path + subresource, json={"metadata": {"resource_version": 7}})
    assert (wrong.status, wrong.fields) == (422, ["metadata.resource_version"])
    fresh = await http(method, path + subresource, json={**changed, "status": {**created["status"], "retries": 7}})
    assert fresh.status == 200


async def test_parallel_changes_are_all_kept(http: Http) -> None:
    await create(http, Application)
    path = path_of(Application, "sample")
    answers = await asyncio.gather(*(http.patch(path, {"metadata": {"labels": {f"l{i}": "x"}}}) for i in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len((await http.get(path)).json["metadata"]["labels"]) == 50


async def test_two_servers_write_the_same_object(serve_api: Any) -> None:
    async with serve_api() as one, serve_api() as other:
        await create(one, Application)
        path = path_of(Application, "sample")
        writes = [server.patch(path, {"metadata": {"labels": {f"l{i}": "x"}}}) for i in range(10) for server in (one, other)]
        answers = await asyncio.gather(*writes)
        assert {answer.status for answer in answers} == {200}
        final = max((answer.json for answer in answers), key=lambda found: int(found["metadata"]["resource_version"]))
        assert len(final["metadata"]["labels"]) == 10
        # A version that one server has not heard of yet is not a conflict.
        newest = (await one.patch(path, {"metadata": {"labels": {"last": "x"}}})).json
        assert (await other.put(path, newest)).status == 200
