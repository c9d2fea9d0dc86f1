"""The store goes away and comes back."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.api import Http, Serve, wait_until_ready
from fixtures.proxy import Proxy
from fixtures.samples import path_of, sample

from krake.adapters.etcd import EtcdStore
from krake.api.cache import Cache
from krake.api.problem import Problem
from krake.api.reader import Reader
from krake.data import Key
from krake.data.core import Role
from krake.data.kubernetes import Application
from krake.up.etcd import EtcdProcess

ROLES = path_of(Role)


@pytest.fixture
async def store(etcd_process: EtcdProcess) -> AsyncIterator[EtcdStore]:
    async with EtcdStore([etcd_process.endpoint], timeout=2) as store:
        yield store


async def test_writes_fail_honestly_and_reads_go_on_for_a_while(
    serve_api: Serve, store: EtcdStore, etcd_process: EtcdProcess
) -> None:
    async with serve_api(store, max_staleness=3) as http:
        created = (await http.post(ROLES, sample(Role))).json
        async with http.watch(ROLES, heartbeat="1") as lines:
            await etcd_process.kill()
            refused = await http.post(ROLES, sample(Role, "late"))
            assert (refused.status, refused.json["title"]) == (503, "STORE_UNAVAILABLE")
            assert refused.headers["Retry-After"] == "1"
            assert "127.0.0.1" not in refused.detail
            assert (await http.get(f"{ROLES}/sample")).json == created
            assert (await http.get("/readyz")).status == 503
            verbose = await http("GET", "/readyz?verbose", headers={"Accept": "text/plain"})
            assert (verbose.status, "[-]store failed: The store does not answer." in verbose.text) == (503, True)
            assert (
                "store: The store does not answer." in (await http("GET", "/readyz?verbose", headers={"Accept": "json"})).detail
            )
            assert (await http.get("/livez")).status == 200
            await until_status(http, f"{ROLES}/sample", 503)
            for path in (ROLES, "/core/metrics?watch", "/me"):
                assert (await http.get(path)).status == 503
            await etcd_process.restart()
            await wait_until_ready(http.url)
            await until_status(http, f"{ROLES}/sample", 200)
            # The watch has lived through it.
            after = await http.post(ROLES, sample(Role, "after"))
            assert after.status == 201
            assert await lines.next() == ("ADDED", after.json)
        assert [item["metadata"]["name"] for item in (await http.get(ROLES)).json["items"]] == ["after", "sample"]


async def until_status(http: Http, path: str, status: int) -> None:
    async with asyncio.timeout(60):
        while (await http.get(path)).status != status:  # noqa: ASYNC110 - this is the public way to know
            await asyncio.sleep(0.05)


async def test_nothing_is_said_to_be_missing_before_everything_is_loaded(store: EtcdStore) -> None:
    reader = Reader(store, Cache(store, history=1, max_staleness=60))
    with pytest.raises(Problem) as refused:
        reader.find(Application.definition.ref(Key("red", "app")))
    assert refused.value.status == 503


async def test_a_store_that_hangs(serve_api: Serve, store: EtcdStore, etcd_process: EtcdProcess) -> None:
    async with serve_api(store) as http:
        await http.post(ROLES, sample(Role))
        os.kill(etcd_process.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(30):
                answer = await http.post(ROLES, sample(Role, "late"))
            assert answer.status == 503
            assert "read the object to find out" in answer.detail
            assert (await http.get(f"{ROLES}/sample")).status == 200
        finally:
            os.kill(etcd_process.pid, signal.SIGCONT)
        await wait_until_ready(http.url)
        assert (await http.get("/livez")).status == 200


@pytest.fixture
async def small_etcd(tmp_path: Path) -> AsyncIterator[EtcdProcess]:
    """An etcd with space for some changes only."""
    async with EtcdProcess(tmp_path / "small", quota=2**21) as process:
        yield process


async def test_a_store_that_is_full(serve_api: Serve, small_etcd: EtcdProcess, caplog: pytest.LogCaptureFixture) -> None:
    store = EtcdStore([small_etcd.endpoint], timeout=2)
    async with store, serve_api(store) as http, http.watch(ROLES, heartbeat="0") as lines:
        rules = [{"api": "x", "resources": ["y" * 150_000], "namespaces": [], "verbs": []}]
        answer = await http.post(ROLES, {"metadata": {"name": "large"}, "rules": rules})
        changes = 0
        async with asyncio.timeout(60):
            while answer.status < 300:
                last = answer.json
                assert (await lines.next())[1] == last
                changes += 1
                answer = await http.patch(f"{ROLES}/large", {"metadata": {"labels": {"change": str(changes)}}})
        assert changes > 3
        assert (answer.status, answer.json["title"]) == (503, "STORE_UNAVAILABLE")
        assert answer.detail.startswith("The store is full.")
        assert "compact and defragment it, then disarm its alarm" in caplog.text
        # Deleting is not tried: etcd refuses or takes that, depending on how large its file happens to be at the moment.
        assert (await http.post(ROLES, sample(Role))).status == 503
        # Whoever reads is not concerned.
        assert (await http.get("/readyz")).status == 200
        assert (await http.get(ROLES)).json["items"] == [last]
        async with http.watch(ROLES, resource_version="0") as past:
            assert await past.next() == ("ADDED", last)
        await maintain(small_etcd, "kv/compaction", {"revision": str(await store.revision()), "physical": True})
        await maintain(small_etcd, "maintenance/defragment", {})
        for alarm in (await maintain(small_etcd, "maintenance/alarm", {"action": "GET"}))["alarms"]:
            await maintain(small_etcd, "maintenance/alarm", {**alarm, "action": "DEACTIVATE"})
        created = await http.post(ROLES, sample(Role))
        assert created.status == 201
        assert await lines.next() == ("ADDED", created.json)


async def maintain(etcd: EtcdProcess, action: str, body: dict[str, Any]) -> Any:
    """Do what an administrator of etcd would do with etcdctl."""
    async with aiohttp.ClientSession() as session, session.post(f"{etcd.endpoint}/v3/{action}", json=body) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_history_that_is_forgotten_while_the_store_cannot_be_reached(
    serve_api: Serve, etcd: EtcdProcess, etcd_store: EtcdStore, start_proxy: Callable[[int], Awaitable[Proxy]]
) -> None:
    proxy = await start_proxy(etcd.client_port)
    async with EtcdStore([proxy.url], timeout=2) as store, serve_api(store) as http, serve_api(etcd_store) as other:
        first = (await http.post(ROLES, sample(Role, "first"))).json
        async with http.watch(ROLES, resource_version="0") as lines:
            assert await lines.next() == ("ADDED", first)
            await proxy.refuse()
            second = (await other.post(ROLES, sample(Role, "second"))).json
            assert (await other.delete(f"{ROLES}/first", force="True")).status == 200
            await etcd_store.compact(await etcd_store.revision())
            await proxy.resume()
            # The API cannot tell this watcher what has happened meanwhile, so it ends the watch.
            while line := await lines.next_line():
                assert line == b"\n"
        await wait_until_ready(http.url)
        assert [item["metadata"]["name"] for item in (await http.get(ROLES)).json["items"]] == ["second"]
        gone = await http.get(ROLES, watch="", resource_version=first["metadata"]["resource_version"])
        assert (gone.status, gone.json["title"]) == (410, "RESOURCE_VERSION_GONE")
        listed = (await http.get(ROLES)).json["metadata"]["resource_version"]
        async with http.watch(ROLES, resource_version=listed) as lines:
            changed = await other.patch(f"{ROLES}/second", {"metadata": {"labels": {"a": "b"}}})
            assert await lines.next() == ("MODIFIED", changed.json)
        assert second["metadata"]["uid"] == changed.json["metadata"]["uid"]


async def test_the_server_starts_before_its_store(serve_api: Serve, store: EtcdStore, etcd_process: EtcdProcess) -> None:
    await etcd_process.stop()
    async with serve_api(store, ready=False) as http:
        assert (await http.get("/livez")).status == 200
        for path in ("/readyz", ROLES, f"{ROLES}/sample", f"{ROLES}?watch"):
            answer = await http.get(path)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        await etcd_process.restart()
        await wait_until_ready(http.url)
        assert (await http.post(ROLES, sample(Role))).status == 201


async def test_roles_are_not_trusted_for_ever(serve_api: Serve, store: EtcdStore, etcd_process: EtcdProcess) -> None:
    authentication = {"strategy": {"static": {"enabled": True, "name": "ann"}}}
    async with serve_api(store, authentication=authentication, authorization="RBAC", max_staleness=1) as http:
        assert (await http.get(ROLES)).status == 403
        await etcd_process.kill()
        await until_status(http, ROLES, 503)


async def test_what_others_have_stored_is_readable(serve_api: Serve, etcd_store: EtcdStore) -> None:
    """Objects of the original Krake, of rules that have changed, and what is no object at all."""
    app = b"""{"api": "kubernetes", "kind": "Application",
        "metadata": {"name": "old", "namespace": "ns", "labels": {"bad label": "!"}, "finalizers": ["mine"], "uid": "u",
            "created": "2024-01-01T00:00:00+00:00", "modified": "2024-01-01T00:00:00+00:00", "deleted": null, "owners": []},
        "spec": {"manifest": [], "constraints": {"cluster": {"labels": ["not a constraint"]}}, "generation": 5,
            "resource_version": null}, "status": {"state": "UNHEARD_OF"}}"""
    prefix = Application.definition.prefix
    await etcd_store.create(f"{prefix}ns/old", app)
    for name, value in {"text": b"hello", "list": b"[]", "binary": b"\xff\xfe", "deep": b"[" * 100_000}.items():
        await etcd_store.create(f"{prefix}ns/{name}", value)
    await etcd_store.create("/registry/pods/x", b"of someone else")
    async with serve_api() as http:
        path = path_of(Application, "old")
        read = await http.get(path)
        assert read.status == 200
        metadata = read.json["metadata"]
        assert metadata["uid"] == "u"
        assert int(metadata["resource_version"]) > 0
        assert read.json["spec"]["constraints"]["cluster"]["labels"] == ["not a constraint"]
        assert read.json["status"]["state"] == "PENDING"
        assert [item["metadata"]["name"] for item in (await http.get("/kubernetes/applications")).json["items"]] == ["old"]
        async with http.watch("/kubernetes/applications") as lines:
            await etcd_store.create(f"{prefix}ns/garbage", b"{")
            status = await http.patch(f"{path}/status", {"status": {"state": "RUNNING"}})
            assert await lines.next() == ("MODIFIED", status.json)
        # What a change leaves alone may stay as it is; what it touches must be valid.
        owned = await http.patch(path, {"metadata": {"labels": {"bad label": None}}})
        assert (owned.status, owned.json["metadata"]["labels"]) == (200, {})
        assert (await http.patch(path, {"spec": {"backoff": 2}})).status == 422
        assert (await http.delete(path)).status == 200
        assert (await http.patch(path, {"metadata": {"finalizers": []}})).status == 200
        assert (await http.get(path)).status == 404


async def test_a_store_set_back_ends_the_watches_that_cannot_resume(
    serve_api: Serve, store: EtcdStore, etcd_process: EtcdProcess
) -> None:
    async with serve_api(store) as http:
        for number in range(5):
            await http.post(ROLES, sample(Role, f"r{number}"))
        async with http.watch(ROLES) as lines:
            await etcd_process.stop()
            shutil.rmtree(etcd_process.data_dir / "data")
            await etcd_process.start()
            async with asyncio.timeout(30):
                while (line := await lines.next_line()) == b"\n":
                    pass
            assert b'"type": "ERROR"' in line
            assert b'"status": 410' in line
            assert await lines.next_line() == b""
        await wait_until_ready(http.url)
        assert (await http.get(ROLES)).json["items"] == []
        assert (await http.post(ROLES, sample(Role))).status == 201
