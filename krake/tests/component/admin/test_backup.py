"""Backups: what is in them, what comes of them, and what happens when one is cut off."""

import asyncio
import contextlib
import gzip
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

from fixtures.api import Http, Serve
from fixtures.samples import path_of, sample
from fixtures.tools import Tools

from krake.adapters.etcd import EtcdStore
from krake.api.schema.marks import RESTORE, SCHEMA, encode_schema
from krake.data import KINDS, core, kubernetes
from krake.data.events import Event
from krake.ports.store import Create, Delete

KEYS = {"KRAKE_SECRETS_KEYS": "k1 " + "A" * 43 + "="}
SECRETS = {"secrets": {"keys": KEYS["KRAKE_SECRETS_KEYS"]}}
LASTING = [kind for kind in KINDS.values() if not kind.definition.transient]


async def content(store: EtcdStore) -> dict[str, bytes]:
    """Everything in the store but what its schema is."""
    return {entry.key: entry.value for entry in (await store.list("/")).entries if entry.key != SCHEMA}


async def wipe(store: EtcdStore) -> None:
    for entry in (await store.list("/")).entries:
        await store.delete(entry.key, entry.revision)


async def fill(http: Http) -> None:
    for kind in LASTING:
        for name in ("a", "b"):
            assert (await http.post(path_of(kind), sample(kind, name))).status == 201


async def test_a_store_is_restored_as_it_was(tools: Tools, etcd_store: EtcdStore, serve_api: Serve) -> None:
    async with serve_api(**SECRETS) as http:
        await fill(http)
        objects = {path: (await http.get(path)).json for kind in LASTING for path in [path_of(kind, "a")]}
    before = await content(etcd_store)
    ended = await tools("krake", "backup", "all.krake")
    assert ended.status == 0, ended.err
    assert f"Wrote {2 * len(LASTING)} objects" in ended.out
    assert (tools.folder / "all.krake").stat().st_mode & 0o777 == 0o600
    await wipe(etcd_store)
    ended = await tools("krake", "restore", "all.krake", **KEYS)
    assert (ended.status, ended.err) == (0, "")
    assert f"Restored {2 * len(LASTING)} objects" in ended.out
    assert {key: value for key, value in (await content(etcd_store)).items() if Event.definition.prefix not in key} == {
        key: value for key, value in before.items() if Event.definition.prefix not in key
    }
    async with serve_api(store=etcd_store, **SECRETS) as http:
        for path, old in objects.items():
            new = (await http.get(path)).json
            assert new["metadata"]["uid"] == old["metadata"]["uid"]
            assert int(new["metadata"]["resource_version"]) > int(old["metadata"]["resource_version"])


async def test_secrets_stay_sealed_and_their_key_is_asked_for(tools: Tools, etcd_store: EtcdStore, serve_api: Serve) -> None:
    async with serve_api(**SECRETS) as http:
        await http.post(path_of(kubernetes.Cluster), sample(kubernetes.Cluster))
    await tools("krake", "backup", "all.krake")
    assert b"t0k" not in gzip.decompress((tools.folder / "all.krake").read_bytes())
    await wipe(etcd_store)
    ended = await tools("krake", "restore", "all.krake")
    assert ended.status == 0
    assert "sealed with the key k1" in ended.out


async def test_events_are_left_out(tools: Tools, http: Http, etcd_store: EtcdStore) -> None:
    await etcd_store.create(f"{Event.definition.prefix}ns/e", b"{}")
    assert "Wrote 0 objects" in (await tools("krake", "backup", "all.krake")).out


async def test_force_replaces_all_that_is_there(tools: Tools, http: Http, etcd_store: EtcdStore) -> None:
    await http.post("/core/roles", sample(core.Role, "kept"))
    await tools("krake", "backup", "all.krake")
    await http.patch("/core/roles/kept", {"rules": []})
    await http.post("/core/roles", sample(core.Role, "new"))
    refused = await tools("krake", "restore", "all.krake")
    assert refused.status == 1
    assert "There are 2 objects in the store; --force replaces them all." in refused.err
    async with http.watch("/core/roles", resource_version=(await http.get("/core/roles")).json["metadata"]["resource_version"]):
        ended = await tools("krake", "restore", "--force", "all.krake")
    assert ended.status == 0, ended.err
    # The running API shows it as changes.
    listed = (await http.get("/core/roles")).json["items"]
    assert [each["metadata"]["name"] for each in listed] == ["kept"]
    assert listed[0]["rules"] == sample(core.Role)["rules"]
    assert await etcd_store.get(RESTORE) is None


async def test_watchers_resume_behind_a_restore(tools: Tools, http: Http) -> None:
    await http.post("/core/roles", sample(core.Role, "kept"))
    await tools("krake", "backup", "all.krake")
    await http.delete("/core/roles/kept", force="true")
    version = (await http.get("/core/roles")).json["metadata"]["resource_version"]
    assert (await tools("krake", "restore", "all.krake")).status == 0
    async with http.watch("/core/roles", resource_version=version) as watch:
        kind, body = await watch.next()
    assert (kind, body["metadata"]["name"]) == ("ADDED", "kept")


async def test_nothing_is_served_of_half_a_state(tools: Tools, http: Http, etcd_store: EtcdStore) -> None:
    await http.post("/core/roles", sample(core.Role, "a"))
    async with http.watch("/core/roles") as watch:
        revision = await etcd_store.create(RESTORE, b"{}")
        while await watch.next_line():
            pass
    for answer in (
        await http.get("/core/roles"),
        await http.get("/core/roles/a"),
        await http.get("/core/roles", watch=""),
        await http.post("/core/roles", sample(core.Role, "b")),
        await http.patch("/core/roles/a", {"rules": []}),
    ):
        assert answer.status == 503
        assert "A backup is being restored" in answer.detail
    assert (await http.get("/livez")).status == 200
    ready = await http.get("/readyz", verbose="")
    assert ready.status == 503
    assert "krake restore" in ready.text
    assert (await tools("krake", "backup", "all.krake")).status == 1
    await etcd_store.delete(RESTORE, revision)
    async with asyncio.timeout(30):
        while (await http.get("/core/roles/a")).status != 200:  # noqa: ASYNC110 - another process decides
            await asyncio.sleep(0.02)


async def many(store: EtcdStore, count: int) -> None:
    body = json.dumps({**sample(core.Role), "metadata": {"name": "x", "generation": 1, "resource_version": None}})
    keys = [f"/core/roles/r{number:06}" for number in range(count)]
    for start in range(0, count, 100):
        await store.transact([Create(key, body.replace('"x"', f'"{key[12:]}"').encode()) for key in keys[start : start + 100]])


@contextlib.asynccontextmanager
async def killed(tools: Tools, *arguments: str, when: Any) -> AsyncIterator[None]:
    """Run a tool and kill it as soon as *when* is true."""
    process = await tools.start("krake", *arguments)
    async with asyncio.timeout(60):
        while process.returncode is None and not await when():  # noqa: ASYNC110 - another process decides
            await asyncio.sleep(0)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL, "It was done before it could be killed."
    yield


async def test_a_killed_backup_leaves_no_file(tools: Tools, etcd_store: EtcdStore) -> None:
    await many(etcd_store, 5000)
    partial = tools.folder / ".all.krake.partial"

    async def writes() -> bool:
        return partial.exists()

    async with killed(tools, "backup", "all.krake", when=writes):
        assert not (tools.folder / "all.krake").exists()
    assert (await tools("krake", "backup", "all.krake")).status == 0
    assert not partial.exists()


async def test_a_killed_restore_is_carried_on(tools: Tools, etcd_store: EtcdStore, http: Http) -> None:
    await tools("krake", "backup", "other.krake")
    await many(etcd_store, 3000)
    before = await content(etcd_store)
    await tools("krake", "backup", "all.krake")
    await wipe(etcd_store)

    async def is_half_done() -> bool:
        return bool((await etcd_store.list("/core/roles/", limit=1)).entries)

    async with killed(tools, "restore", "all.krake", when=is_half_done):
        assert (await http.get("/core/roles")).status == 503
    other = await tools("krake", "restore", "other.krake")
    assert other.status == 1
    assert "A restore of another file was interrupted" in other.err
    ended = await tools("krake", "restore", "all.krake")
    assert ended.status == 0, ended.err
    assert "it is carried on" in ended.err
    after = await content(etcd_store)
    assert after.keys() == before.keys()
    assert RESTORE not in after
    assert len((await http.get("/core/roles")).json["items"]) == 3000


async def test_a_file_that_is_not_whole_is_refused_before_anything_is_written(
    tools: Tools, http: Http, etcd_store: EtcdStore
) -> None:
    for number in range(3):
        await http.post("/core/roles", sample(core.Role, f"role-{number}"))
    await tools("krake", "backup", "all.krake")
    before = await etcd_store.revision()
    path = tools.folder / "all.krake"
    path.write_bytes(path.read_bytes()[:-20])
    for file, said in (("all.krake", "is damaged"), ("missing.krake", "can not be read: No such file or directory.")):
        ended = await tools("krake", "restore", "--force", file)
        assert ended.status == 1
        assert said in ended.err
        assert ended.err.count("\n") == 1
    assert await etcd_store.revision() == before


async def test_a_backup_of_a_newer_krake_is_refused(tools: Tools, etcd_store: EtcdStore) -> None:
    await etcd_store.create(SCHEMA, encode_schema(99))
    assert (await tools("krake", "backup", "all.krake")).status == 0
    await wipe(etcd_store)
    ended = await tools("krake", "restore", "all.krake")
    assert ended.status == 1
    assert "objects of schema 99, which this version does not know" in ended.err


async def test_a_backup_of_older_objects_is_brought_up_to_date(tools: Tools, etcd_store: EtcdStore, http: Http) -> None:
    await wipe(etcd_store)
    old = {"api": "core", "kind": "GlobalMetric", "metadata": {"name": "m"}}
    spec = {"min": 0, "max": 1, "provider": {"name": "p", "metric": "m"}}
    await etcd_store.create("/core/globalmetrics/m", json.dumps({**old, "spec": spec}).encode())
    await tools("krake", "backup", "old.krake")
    assert (await tools("krake", "restore", "--force", "old.krake")).status == 0
    entry = await etcd_store.get("/core/globalmetrics/m")
    assert entry is not None
    assert json.loads(entry.value)["spec"]["allowed_values"] == []
    assert (await http.get("/core/globalmetrics/m")).status == 200


async def test_what_is_no_text_is_kept_as_it_is(tools: Tools, etcd_store: EtcdStore) -> None:
    await etcd_store.create("/core/roles/odd", b"\xff\x00{")
    await tools("krake", "backup", "all.krake")
    await etcd_store.transact([Delete(entry.key, entry.revision) for entry in (await etcd_store.list("/")).entries])
    assert (await tools("krake", "restore", "all.krake")).status == 0
    entry = await etcd_store.get("/core/roles/odd")
    assert entry is not None
    assert entry.value == b"\xff\x00{"


async def test_a_file_that_can_not_be_written_is_named(tools: Tools) -> None:
    ended = await tools("krake", "backup", "nowhere/all.krake")
    assert (ended.status, ended.err) == (1, "krake backup: nowhere/all.krake can not be written: No such file or directory.\n")
