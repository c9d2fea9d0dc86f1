"""Stores that other versions of Krake have written."""

import asyncio
import json
import logging
from typing import Any

import pytest
from fixtures import stored
from fixtures.api import Http, Serve
from fixtures.samples import CHANGES, path_of, sample
from fixtures.tools import Tools

from krake.adapters.etcd import EtcdStore
from krake.api.schema.marks import SCHEMA, encode_schema
from krake.api.schema.migrations import CURRENT
from krake.api.schema.upgrade import NewerSchema, upgrade
from krake.data import core
from krake.ports.store import Create, Store
from krake.up.etcd import EtcdProcess


async def put(store: EtcdStore, objects: dict[str, Any]) -> None:
    values = {key: value if isinstance(value, bytes) else json.dumps(value).encode() for key, value in objects.items()}
    await store.transact([Create(key, value) for key, value in values.items()])


async def value_of(store: EtcdStore, key: str) -> Any:
    entry = await store.get(key)
    assert entry is not None, key
    return json.loads(entry.value)


@pytest.fixture(params=stored.VERSIONS)
async def old(request: pytest.FixtureRequest, etcd_store: EtcdStore) -> dict[str, dict[str, Any]]:
    """The objects of an older version, which are in the store."""
    objects = stored.load(request.param)
    await put(etcd_store, objects)
    return objects


async def test_every_old_object_can_be_used(old: dict[str, dict[str, Any]], serve_api: Serve, etcd_store: EtcdStore) -> None:
    async with serve_api() as http:
        for wire in old.values():
            kind = stored.kind_of(wire)
            namespace = wire["metadata"]["namespace"] if kind.definition.namespaced else None
            path = path_of(kind, wire["metadata"]["name"], namespace or "")
            body = (await http.get(path)).json
            assert body["metadata"]["uid"] == wire["metadata"]["uid"]
            assert [each["metadata"]["name"] for each in (await http.get(kind.definition.path)).json["items"]].count(
                wire["metadata"]["name"]
            )
            change = CHANGES[kind] if kind is not core.MetricsProvider else {"spec": {"static": {"metrics": {"rank": 1.0}}}}
            if wire["kind"] != "GlobalMetricsProvider":
                assert (await http.patch(path, change)).status == 200
            assert (await http.put(path, (await http.get(path)).json)).status == 200
            deleted = await http.delete(path)
            assert deleted.status == 200
            if deleted.json["metadata"]["finalizers"]:
                assert (await http.delete(path, force="true")).status == 200
            assert (await http.get(path)).status == 404
            assert (await http.get(path)).status == 404
    assert await value_of(etcd_store, SCHEMA) == {"version": CURRENT}


async def test_the_objects_are_brought_up_to_date_in_the_store(
    old: dict[str, dict[str, Any]], serve_api: Serve, etcd_store: EtcdStore
) -> None:
    async with serve_api():
        pass
    for key, wire in old.items():
        new = await value_of(etcd_store, key)
        assert new["metadata"]["generation"] == 1
        assert new["metadata"]["uid"] == wire["metadata"]["uid"]
        if wire["kind"] == "Application":
            assert [place["name"] for place in new["status"]["placed_on"]] == ["edge-1"]
    role = await value_of(etcd_store, "/core/roles/team-red-operator")
    assert role["metadata"]["namespace"] is None
    revision = await etcd_store.revision()
    assert await upgrade(etcd_store) == []
    assert await etcd_store.revision() == revision


async def test_old_secrets_are_sealed(old: dict[str, dict[str, Any]], serve_api: Serve, etcd_store: EtcdStore) -> None:
    async with serve_api(secrets={"keys": "k1 " + "A" * 43 + "="}):
        pass
    assert b"t0k" not in b"".join(entry.value for entry in (await etcd_store.list("/")).entries)


async def test_several_processes_upgrade_at_once(etcd: EtcdProcess, etcd_store: EtcdStore) -> None:
    metric = stored.load("1.0.1")["/core/globalmetrics/pue"]
    objects = {f"/core/globalmetrics/m{number}": number for number in range(120)}
    await put(etcd_store, {key: {**metric, "metadata": {**metric["metadata"], "name": key[20:]}} for key in objects})
    async with EtcdStore([etcd.endpoint]) as other, EtcdStore([etcd.endpoint]) as third:
        findings = await asyncio.gather(*(upgrade(store) for store in (etcd_store, other, third)))
    assert findings == [[], [], []]
    for key in objects:
        assert (await value_of(etcd_store, key))["spec"]["allowed_values"] == []
    assert await value_of(etcd_store, SCHEMA) == {"version": CURRENT}


class Cut(Exception):
    """Stands for the end of the process."""


class CutStore:
    """A store that fails for good after some writes."""

    def __init__(self, store: Store, writes: int) -> None:
        self._store = store
        self._left = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def transact(self, operations: Any) -> int:
        if self._left == 0:
            raise Cut
        self._left -= 1
        return await self._store.transact(operations)


@pytest.mark.parametrize("writes", range(0, 12, 3))
async def test_an_upgrade_that_is_cut_off_begins_anew(
    old: dict[str, dict[str, Any]], etcd_store: EtcdStore, writes: int
) -> None:
    with pytest.raises(Cut):
        await upgrade(CutStore(etcd_store, writes))  # type: ignore[arg-type]
    assert await etcd_store.get(SCHEMA) is None
    assert await upgrade(etcd_store) == []
    for key in old:
        assert (await value_of(etcd_store, key))["metadata"]["generation"] == 1


async def test_changes_made_meanwhile_are_kept(old: dict[str, dict[str, Any]], etcd_store: EtcdStore) -> None:
    class Overtaken(CutStore):
        async def transact(self, operations: Any) -> int:
            for each in operations:
                if each.key == "/core/rolebindings/team-red" and self._left:
                    self._left -= 1
                    wire = await value_of(etcd_store, each.key)
                    await etcd_store.update(each.key, json.dumps({**wire, "users": ["new"]}).encode(), each.expected)
            return await self._store.transact(operations)

    await upgrade(Overtaken(etcd_store, 1))  # type: ignore[arg-type]
    binding = await value_of(etcd_store, "/core/rolebindings/team-red")
    assert (binding["users"], binding["metadata"]["generation"]) == (["new"], 1)


DAMAGED = {
    "/core/roles/broken": b'{"api": "core", "kind"',
    "/core/roles/list": [],
    "/core/roles/bare": {"api": "core", "kind": "Role"},
    "/core/roles/a b": sample(core.Role, "a b"),
    "/core/roles/odd": {**sample(core.Role, "odd"), "rules": "all of them"},
    "/core/metrics/a/b/c": sample(core.Metric, "c", namespace="a/b"),
}


async def test_damaged_entries_harm_no_others_and_are_reported(
    serve_api: Serve, etcd_store: EtcdStore, caplog: pytest.LogCaptureFixture
) -> None:
    await put(etcd_store, {**DAMAGED, "/core/roles/good": sample(core.Role, "good")})
    with caplog.at_level(logging.WARNING, "krake.api"):
        async with serve_api() as http:
            names = [each["metadata"]["name"] for each in (await http.get("/core/roles")).json["items"]]
            assert (await http.get("/core/roles", label_selector="a is b")).status == 200
            assert {"good", "odd"} <= set(names)
            assert not {"broken", "list", "bare"} & set(names)
            ready = await http.get("/readyz", verbose="")
            assert ready.status == 200
            assert "3 entries" in ready.text
            figures = (await http.get("/metrics")).text
            assert 'krake_api_unreadable_objects{kind="Role"} 3.0' in figures
            for answer in (
                await http.get("/core/roles/list"),
                await http.put("/core/roles/list", sample(core.Role, "list")),
                await http.patch("/core/roles/list", {"rules": []}),
                await http.delete("/core/roles/list"),
                await http.delete("/core/roles/list", force="true"),
                await http.post("/core/roles", sample(core.Role, "list")),
            ):
                assert answer.status in (404, 409)
            # What is not understood is left out by the next change.
            assert (await http.patch("/core/roles/odd", {"rules": sample(core.Role)["rules"]})).status == 200
    for key in DAMAGED:
        assert any(f"object {key}: " in message for message in caplog.messages), key
    assert await value_of(etcd_store, "/core/roles/list") == []
    assert (await value_of(etcd_store, "/core/roles/odd"))["rules"] == sample(core.Role)["rules"]


async def test_damaged_entries_are_repaired(http: Http, etcd_store: EtcdStore, tools: Tools) -> None:
    await put(etcd_store, DAMAGED)
    await http.post("/core/roles", sample(core.Role, "good"))
    ended = await tools("krake", "repair")
    assert ended.status == 3
    assert ended.out.splitlines()[-1] == "6 of 7 objects have flaws."
    assert "/core/roles/broken: it is no object, and left out (not JSON)" in ended.out
    shown = await tools("krake", "repair", "--show", "/core/roles/broken")
    assert shown.out == '{"api": "core", "kind"\n'
    assert (await tools("krake", "repair", "--delete", "/core/roles/broken")).status == 0
    assert (await tools("krake", "repair", "--rename", "/core/roles/a b", "a-b")).status == 0
    assert (await tools("krake", "repair", "--rename", "/core/metrics/a/b/c", "a/c")).status == 0
    assert (await http.get("/core/roles/a-b")).json["metadata"]["name"] == "a-b"
    assert (await http.get("/core/namespaces/a/metrics/c")).json["metadata"]["namespace"] == "a"
    assert (await http.post("/core/roles", sample(core.Role, "broken"))).status == 201
    for arguments, said in (
        (("--delete", "/core/roles/good"), "Nothing is wrong"),
        (("--delete", "/core/roles/none"), "There is no object under the key"),
        (("--show", "/elsewhere"), "There is no object under the key"),
        (("--rename", "/core/roles/good", "other"), "is not renamed"),
        (("--rename", "/core/roles/bare", "other"), "is not renamed"),
    ):
        ended = await tools("krake", "repair", *arguments)
        assert ended.status == 1
        assert said in ended.err


async def test_the_store_of_a_newer_version_is_refused(tools: Tools, etcd_store: EtcdStore) -> None:
    await etcd_store.create(SCHEMA, encode_schema(CURRENT + 1))
    with pytest.raises(NewerSchema):
        await upgrade(etcd_store)
    ended = await tools("krake.api", "--port", "0", "--secrets-allow-plain")
    assert ended.status == 1
    assert ended.err.startswith("krake.api: The store belongs to a newer version of Krake")


async def test_an_api_stops_serving_when_a_newer_version_takes_over(http: Http, etcd_store: EtcdStore) -> None:
    entry = await etcd_store.get(SCHEMA)
    assert entry is not None
    await etcd_store.update(SCHEMA, encode_schema(CURRENT + 1), entry.revision)
    async with asyncio.timeout(30):
        while (answer := await http.get("/core/roles")).status == 200:  # noqa: ASYNC110 - the API decides
            await asyncio.sleep(0.02)
    assert "belongs to a newer version" in answer.detail
    assert (await http.post("/core/roles", sample(core.Role))).status == 503


@pytest.mark.parametrize("cut", [1, 20, 100])
async def test_an_object_that_was_cut_off_harms_no_others(http: Http, etcd_store: EtcdStore, cut: int) -> None:
    for name in ("a", "b"):
        await http.post("/core/roles", sample(core.Role, name, labels={"x": "y"}))
    entry = await etcd_store.get("/core/roles/a")
    assert entry is not None
    past = (await http.get("/core/roles", limit="1")).json["metadata"]
    revision = await etcd_store.update(entry.key, entry.value[:-cut], entry.revision)
    await etcd_store.update(entry.key, entry.value[:-cut], revision)
    async with asyncio.timeout(30):
        while len((await http.get("/core/roles")).json["items"]) != 1:  # noqa: ASYNC110 - the API follows the store
            await asyncio.sleep(0.02)
    assert [each["metadata"]["name"] for each in (await http.get("/core/roles", label_selector="x=y")).json["items"]] == ["b"]
    # A page of the state of before.
    page = await http.get("/core/roles", limit="1", **{"continue": past["continue"]})
    assert [each["metadata"]["name"] for each in page.json["items"]] == ["b"]
