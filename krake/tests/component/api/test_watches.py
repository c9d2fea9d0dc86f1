"""Watches: what they tell, how they resume, and when they end."""

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest
from fixtures.api import Http, Lines, Serve
from fixtures.samples import path_of, sample

from krake.adapters.etcd import EtcdStore
from krake.data.core import Metric, Role
from krake.data.kubernetes import Application

ROLES = path_of(Role)


async def create(http: Http, name: str, **metadata: Any) -> Any:
    answer = await http.post(ROLES, sample(Role, name, **metadata))
    assert answer.status == 201, answer.text
    return answer.json


async def remove(http: Http, name: str) -> None:
    assert (await http.delete(f"{ROLES}/{name}", force="1")).status == 200


async def test_a_watch_without_a_version_tells_what_comes(http: Http) -> None:
    await create(http, "before")
    async with http.watch(ROLES) as lines:
        created = await create(http, "after", finalizers=["mine"])
        assert await lines.next() == ("ADDED", created)
        changed = (await http.patch(f"{ROLES}/after", {"metadata": {"labels": {"a": "1"}}})).json
        assert await lines.next() == ("MODIFIED", changed)
        deleted = (await http.delete(f"{ROLES}/after")).json
        assert await lines.next() == ("MODIFIED", deleted)
        last = (await http.patch(f"{ROLES}/after", {"metadata": {"finalizers": []}})).json
        kind, gone = await lines.next()
        # As it was stored last, under the version of its removal.
        assert kind == "DELETED"
        assert gone["metadata"] == {**deleted["metadata"], "resource_version": last["metadata"]["resource_version"]}


async def test_a_watch_resumes_right_behind_a_version(http: Http) -> None:
    listed = (await http.get(ROLES)).json["metadata"]["resource_version"]
    first = await create(http, "first")
    await create(http, "second")
    await remove(http, "second")
    async with http.watch(ROLES, resource_version=listed) as lines:
        assert await lines.next() == ("ADDED", first)
        assert (await lines.next())[0] == "ADDED"
        kind, gone = await lines.next()
        assert (kind, gone["metadata"]["name"]) == ("DELETED", "second")
    async with http.watch(ROLES, resource_version=gone["metadata"]["resource_version"]) as lines:
        third = await create(http, "third")
        assert await lines.next() == ("ADDED", third)


async def test_a_watch_resumes_behind_the_history(serve_api: Serve) -> None:
    async with serve_api(watch={"history": 2}) as http:
        await create(http, "kept")
        await create(http, "changed")
        await create(http, "removed")
        anew = await create(http, "anew")
        version = (await http.get(ROLES)).json["metadata"]["resource_version"]
        changed = (await http.patch(f"{ROLES}/changed", {"metadata": {"labels": {"a": "1"}}})).json
        await remove(http, "removed")
        await remove(http, "anew")
        again = await create(http, "anew")
        added = await create(http, "added")
        async with http.watch(ROLES, resource_version=version) as lines:
            removed = {(await lines.next())[1]["metadata"]["name"] for _ in range(2)}
            assert removed == {"removed", "anew"}
            assert [await lines.next() for _ in range(3)] == [("MODIFIED", changed), ("ADDED", again), ("ADDED", added)]
    assert anew["metadata"]["uid"] != again["metadata"]["uid"]


async def test_a_watch_resumes_at_another_server(serve_api: Serve) -> None:
    async with serve_api() as http:
        version = (await create(http, "first"))["metadata"]["resource_version"]
        second = await create(http, "second")
    async with serve_api() as http, http.watch(ROLES, resource_version=version) as lines:
        assert await lines.next() == ("ADDED", second)


async def test_a_watch_from_zero_begins_with_all(http: Http) -> None:
    objects = [await create(http, name) for name in ("b", "a")]
    async with http.watch(ROLES, resource_version="0") as lines:
        assert [await lines.next() for _ in objects] == [("ADDED", each) for each in objects]


async def test_versions_without_a_history_are_gone(serve_api: Serve, etcd_store: EtcdStore) -> None:
    async with serve_api() as http:
        version = (await create(http, "first"))["metadata"]["resource_version"]
        newest = (await create(http, "second"))["metadata"]["resource_version"]
    await etcd_store.compact(int(newest))
    async with serve_api() as http:
        gone = await http.get(ROLES, watch="", resource_version=version)
        assert (gone.status, gone.json["title"]) == (410, "RESOURCE_VERSION_GONE")
        assert version in gone.detail
        ahead = await http.get(ROLES, watch="", resource_version=str(int(newest) + 1000))
        assert ahead.status == 410


async def test_watches_are_told_apart_by_kind_and_namespace(http: Http) -> None:
    everywhere, red = "/core/metrics", path_of(Metric, namespace="red")
    async with http.watch(everywhere) as all_lines, http.watch(red) as red_lines, http.watch(ROLES) as role_lines:
        reds = (await http.post(red, sample(Metric))).json
        redder = (await http.post(path_of(Metric, namespace="redder"), sample(Metric))).json
        role = await create(http, "role")
        last = (await http.post(red, sample(Metric, "last"))).json
        assert [(await all_lines.next())[1] for _ in range(3)] == [reds, redder, last]
        assert [(await red_lines.next())[1] for _ in range(2)] == [reds, last]
        assert (await role_lines.next())[1] == role


async def test_a_selector_turns_changes_of_labels_into_comings_and_goings(http: Http) -> None:
    async def label(zone: str) -> Any:
        return (await http.patch(f"{ROLES}/a", {"metadata": {"labels": {"zone": zone}}})).json

    async with http.watch(ROLES, label_selector="zone=north") as lines:
        await create(http, "a", labels={"zone": "south"})
        changed = await label("north")
        assert await lines.next() == ("ADDED", changed)
        changed = (await http.patch(f"{ROLES}/a", {"metadata": {"labels": {"more": "x"}}})).json
        assert await lines.next() == ("MODIFIED", changed)
        changed = await label("south")
        assert await lines.next() == ("DELETED", changed)
        await label("east")
        changed = await label("north")
        assert await lines.next() == ("ADDED", changed)
        await remove(http, "a")
        assert (await lines.next())[0] == "DELETED"


async def test_heartbeats(http: Http) -> None:
    async with http.watch(ROLES, heartbeat="1") as lines:
        assert [await lines.next_line() for _ in range(2)] == [b"\n", b"\n"]


async def test_bookmarks_tell_how_far_the_watch_is(http: Http) -> None:
    async with http.watch(ROLES, heartbeat="1", bookmarks="true") as lines:
        kind, first = await lines.next()
        created = await create(http, "a")
        assert await lines.next() == ("ADDED", created)
        assert kind == "BOOKMARK"
        assert int(first["metadata"]["resource_version"]) < int(created["metadata"]["resource_version"])
        _, later = await lines.next()
        assert later["metadata"] == {"resource_version": created["metadata"]["resource_version"]}
        assert (later["api"], later["kind"]) == ("core", "Role")


@pytest.mark.parametrize("value", ["false", "False", "0"])
async def test_watch_false_lists(http: Http, value: str) -> None:
    assert (await http.get(ROLES, watch=value)).json["kind"] == "RoleList"


async def test_a_watcher_that_leaves_is_forgotten(http: Http) -> None:
    async def watchers() -> str:
        metrics = (await http.get("/metrics")).text
        return next(line for line in metrics.splitlines() if line.startswith('krake_api_watchers{kind="Role"}'))

    async with http.watch(ROLES, heartbeat="0"), http.watch(ROLES, heartbeat="0"):
        assert (await watchers()).endswith(" 2.0")
    async with asyncio.timeout(30):
        while not (await watchers()).endswith(" 0.0"):  # noqa: ASYNC110 - another process would have to ask as well
            await asyncio.sleep(0.02)


async def test_a_reader_too_slow_is_cut_off_and_may_resume(serve_api: Serve) -> None:
    padding = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": "x" * 500_000}
    path = path_of(Application)
    async with serve_api(watch={"buffer": 5}) as http:
        url = http.url.removeprefix("http://")
        host, _, port = url.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**16)
        writer.write(f"GET {path}?watch&heartbeat=0 HTTP/1.1\r\nHost: {url}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        body = sample(Application)
        body["spec"]["manifest"] = [padding]
        assert (await http.post(path, body)).status == 201
        async with http.watch(path) as healthy:
            for number in range(40):
                patch = {"metadata": {"labels": {"n": str(number)}}}
                assert (await http.patch(f"{path}/sample", patch)).status == 200
                assert (await healthy.next())[1]["metadata"]["labels"] == {"n": str(number)}
        # The stream is cut off in the middle, which a client notices.
        received = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(30):
                while chunk := await reader.read(2**20):
                    received += chunk
        writer.close()
        assert 0 < received.count(b'"MODIFIED"') < 40
        assert not received.endswith(b"\r\n0\r\n\r\n")


async def test_many_watchers_see_every_change_in_order(http: Http) -> None:
    async def follow(lines: Lines, count: int) -> list[str]:
        return [(await lines.next())[1]["metadata"]["resource_version"] for _ in range(count)]

    names = [f"r{number}" for number in range(20)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        responses = [await session.get(f"{http.url}{ROLES}?watch") for _ in range(100)]
        created = await asyncio.gather(*(create(http, name) for name in names))
        expected = sorted((each["metadata"]["resource_version"] for each in created), key=int)
        seen = await asyncio.gather(*(follow(Lines(response), len(names)) for response in responses))
        assert all(each == expected for each in seen)
        for response in responses:
            response.close()


async def test_watches_end_when_the_server_stops(serve_api: Serve) -> None:
    async with serve_api() as http:
        context = http.watch(ROLES)
        lines = await context.__aenter__()
    assert await lines.next_line() == b""
    await context.__aexit__(None, None, None)
