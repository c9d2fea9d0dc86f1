"""Events in the API: they expire, go at once when deleted, and tell what users and hooks asked for."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from fixtures.api import Http, Serve, wait_until_ready
from fixtures.samples import path_of, sample

from krake.adapters.etcd import EtcdStore
from krake.data.core import Role
from krake.data.events import Event
from krake.data.kubernetes import Application, Cluster
from krake.up.etcd import EtcdProcess
from krake.up.process import free_port

EVENTS = path_of(Event)
LIMIT = 60.0


async def told(http: Http, *reasons: str, path: str = EVENTS) -> list[Any]:
    """Return the events once there are such, in the order of time."""
    async with asyncio.timeout(LIMIT):
        while True:
            events = sorted((await http.get(path)).json["items"], key=lambda event: str(event["last"]))
            if [event["reason"] for event in events] == list(reasons):
                return events
            await asyncio.sleep(0.02)


async def test_events_expire_and_watches_are_told(serve_api: Serve) -> None:
    async with serve_api(events={"ttl": 1}) as http, http.watch(EVENTS) as lines:
        created = (await http.post(EVENTS, sample(Event, "short"))).json
        assert await lines.next() == ("ADDED", created)
        kind, gone = await lines.next()
        assert kind == "DELETED"
        assert gone["metadata"]["uid"] == created["metadata"]["uid"]
        assert (await http.get(f"{EVENTS}/short")).status == 404
        assert (await http.get(EVENTS)).json["items"] == []


async def test_a_change_begins_the_time_anew(serve_api: Serve) -> None:
    async with serve_api(events={"ttl": 2}) as http, http.watch(EVENTS) as lines:
        for name in ("changed", "left"):
            await http.post(EVENTS, sample(Event, name))
        for seconds in range(1, 30):
            await http.patch(f"{EVENTS}/changed", {"count": seconds + 1})
            if (await http.get(f"{EVENTS}/left")).status == 404:
                break
            await asyncio.sleep(0.2)
        assert (await http.get(f"{EVENTS}/changed")).status == 200
        seen = [await lines.next()]
        while seen[-1][0] != "DELETED":
            seen.append(await lines.next())
        assert seen[-1][1]["metadata"]["name"] == "left"


async def test_nothing_else_expires(serve_api: Serve) -> None:
    async with serve_api(events={"ttl": 1}) as http:
        for kind in (Role, Application):
            await http.post(path_of(kind), sample(kind))
            await http.patch(path_of(kind, "sample"), {"metadata": {"labels": {"a": "b"}}})
        await http.post(EVENTS, sample(Event))
        await told(http)
        for kind in (Role, Application):
            assert (await http.get(path_of(kind, "sample"))).status == 200


async def test_events_expire_though_the_api_was_killed(etcd: EtcdProcess, etcd_store: EtcdStore, tmp_path: Path) -> None:
    async with api_process(etcd, tmp_path) as (http, process):
        await http.post(EVENTS, sample(Event))
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert [entry.key for entry in (await etcd_store.list("/core/events/")).entries] == ["/core/events/ns/sample"]
    async with asyncio.timeout(LIMIT):
        while (await etcd_store.list("/core/events/")).entries:  # noqa: ASYNC110 (etcd does it)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def api_process(etcd: EtcdProcess, directory: Path) -> AsyncIterator[tuple[Http, asyncio.subprocess.Process]]:
    """An API in a process of its own, in which events live for two seconds."""
    port = free_port()
    config = directory / "api.yaml"
    endpoint = etcd.endpoint.removeprefix("http://").split(":")
    content = {
        "host": "127.0.0.1",
        "port": port,
        "etcd": {"host": endpoint[0], "port": int(endpoint[1])},
        "events": {"ttl": 2},
        "authorization": "always-allow",
        "authentication": {"strategy": {"static": {"enabled": True, "name": "system:admin"}}},
        "secrets": {"allow_plain": True},
    }
    config.write_text(yaml.safe_dump(content))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "krake.api", "--config", str(config), env=dict(os.environ)
    )
    try:
        url = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(LIMIT):
                while True:
                    try:
                        await wait_until_ready(url)
                        break
                    except aiohttp.ClientConnectorError:
                        await asyncio.sleep(0.05)
            yield Http(session, url), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_an_event_is_deleted_at_once_unless_it_is_held(http: Http) -> None:
    await http.post(EVENTS, sample(Event))
    deleted = await http.delete(f"{EVENTS}/sample")
    assert deleted.status == 200
    assert deleted.json["metadata"]["finalizers"] == []
    assert (await http.get(f"{EVENTS}/sample")).status == 404
    await http.post(EVENTS, sample(Event, finalizers=["mine"]))
    held = await http.delete(f"{EVENTS}/sample")
    assert held.json["metadata"]["finalizers"] == ["mine"]
    await http.patch(f"{EVENTS}/sample", {"metadata": {"finalizers": []}})
    assert (await http.get(f"{EVENTS}/sample")).status == 404


async def test_bindings_and_deletions_are_told(http: Http) -> None:
    app = (await http.post(path_of(Application), sample(Application, finalizers=["mine"]))).json
    await http.post(path_of(Cluster), sample(Cluster))
    body = {"cluster": {"api": "kubernetes", "kind": "Cluster", "namespace": "ns", "name": "sample"}}
    for _ in range(2):
        await http.put(f"{path_of(Application, 'sample')}/binding", body)
    await http.delete(path_of(Application, "sample"))
    scheduled, deletion = await told(http, "Scheduled", "DeletionRequested")
    regarding = {"api": "kubernetes", "namespace": "ns", "kind": "Application", "name": "sample"}
    assert scheduled["regarding"] == deletion["regarding"] == {**regarding, "uid": app["metadata"]["uid"]}
    assert (scheduled["message"], scheduled["type"], scheduled["component"], scheduled["count"]) == (
        "Bound to Cluster ns/sample.",
        "Normal",
        "api",
        1,
    )
    assert scheduled["first"] == scheduled["last"]
    # Events stay though their object goes, and those of the next object of the same name are others.
    await http.delete(path_of(Application, "sample"), force="true")
    again = (await http.post(path_of(Application), sample(Application))).json
    await http.delete(path_of(Application, "sample"))
    events = await told(http, "Scheduled", "DeletionRequested", "Removed", "DeletionRequested")
    assert events[-1]["regarding"]["uid"] == again["metadata"]["uid"]


async def test_events_of_global_objects_have_a_namespace_of_their_own(http: Http) -> None:
    await http.post(path_of(Role), sample(Role))
    await http.delete(path_of(Role, "sample"))
    (event,) = await told(http, "DeletionRequested", path=path_of(Event, namespace="system"))
    assert event["regarding"]["namespace"] is None


async def test_two_servers_count_the_same_event(serve_api: Serve) -> None:
    async with serve_api() as one, serve_api() as other:
        await one.post(path_of(Application), sample(Application))
        await one.post(path_of(Cluster), sample(Cluster))
        await one.post(path_of(Cluster), sample(Cluster, "second"))
        for server, name in ((one, "sample"), (one, "second"), (other, "sample")):
            body = {"cluster": {"api": "kubernetes", "kind": "Cluster", "namespace": "ns", "name": name}}
            answer = await server.put(f"{path_of(Application, 'sample')}/binding", body)
            assert answer.status == 200
        async with asyncio.timeout(LIMIT):
            while True:
                events = (await one.get(EVENTS)).json["items"]
                counts = {event["message"]: event["count"] for event in events}
                if counts == {"Bound to Cluster ns/sample.": 2, "Bound to Cluster ns/second.": 1}:
                    break
                await asyncio.sleep(0.02)
