"""Clients that write, read, list and watch the same few objects, are slow, impatient and forgetful, and keep a journal."""

import asyncio
import copy
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
from fixtures.samples import CHANGES, path_of, sample
from fuzz.journal import MARK, Journal, Listed, Seen, Watched, Wire, Write

from krake.data.core import GlobalMetric, Metric
from krake.data.kinds import Resource
from krake.data.kubernetes import Application, Cluster
from krake.data.metadata import Key
from krake.data.openstack import MagnumCluster
from krake.data.placements import Placement
from krake.data.quotas import Quota

KINDS = (Application, Application, Cluster, GlobalMetric, Metric, MagnumCluster, Quota, Placement)
NAMES = ("one", "two", "three")
NAMESPACE = "fuzz"
FINALIZERS = ("mine", "yours")
STATES = {Application: ["RUNNING", "FAILED"], Cluster: ["ONLINE", "OFFLINE"], MagnumCluster: ["RUNNING", "FAILED"]}
REQUEST_LIMIT = 30.0


def key_of(kind: type[Resource], name: str) -> str:
    definition = kind.definition
    return definition.store_key(Key(NAMESPACE if definition.namespaced else None, name))


class Client:
    """Sends requests to one API process.

    :param name: starts the marks of its writes.
    """

    def __init__(self, name: str, session: aiohttp.ClientSession, url: str, chance: random.Random, journal: Journal) -> None:
        self._name = name
        self._session = session
        self._url = url
        self._chance = chance
        self._journal = journal
        self._count = 0
        self._known: dict[str, int] = {}
        self._last: dict[str, Wire] = {}

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Do this and that until it is over."""
        steps: list[tuple[int, Callable[[type[Resource], str], Awaitable[None]]]] = [
            (5, self._create),
            (6, self._put),
            (6, self._patch),
            (4, self._status),
            (3, self._bind),
            (2, self._delete),
            (2, self._finish),
            (1, self._force),
            (6, self._read),
            (2, self._list),
        ]
        weights, choices = zip(*steps, strict=True)
        while not is_over():
            step = self._chance.choices(choices, weights)[0]
            await step(self._chance.choice(KINDS), self._chance.choice(NAMES))

    def _labels(self) -> dict[str, Any]:
        self._count += 1
        return {MARK: f"{self._name}-{self._count}", f"by-{self._name}": str(self._count)}

    async def _create(self, kind: type[Resource], name: str) -> None:
        finalizers = self._chance.sample(FINALIZERS, self._chance.randint(0, 2))
        body = sample(kind, name, labels=self._labels(), finalizers=finalizers)
        await self._write(Write(key_of(kind, name), "create", body), "POST", path_of(kind, namespace=NAMESPACE))

    async def _put(self, kind: type[Resource], name: str) -> None:
        """Replace an object by what was read once, changed."""
        key = key_of(kind, name)
        if (known := self._last.get(key)) is None:
            return await self._read(kind, name)
        body = copy.deepcopy(known)
        body["metadata"]["labels"] |= self._labels()
        if self._chance.random() < 0.5:
            _vary(kind, body, self._chance)
        named = body["metadata"]["resource_version"]
        if self._chance.random() < 0.3:
            # Whoever names no version overwrites what others have written since: only what is not its own stays.
            del body["metadata"]["resource_version"]
            named = None
        await self._write(Write(key, "put", body, named), "PUT", self._path(kind, name))

    async def _patch(self, kind: type[Resource], name: str) -> None:
        body: Wire = {"metadata": {"labels": self._labels()}}
        if self._chance.random() < 0.5:
            body |= copy.deepcopy(CHANGES[kind])
            _vary(kind, body, self._chance)
        named = self._name_version(body, key_of(kind, name))
        await self._write(Write(key_of(kind, name), "patch", body, named), "PATCH", self._path(kind, name))

    def _name_version(self, body: Wire, key: str) -> str | None:
        if key not in self._known or self._chance.random() < 0.7:
            return None
        body.setdefault("metadata", {})["resource_version"] = str(self._known[key])
        return str(self._known[key])

    async def _status(self, kind: type[Resource], name: str) -> None:
        if kind not in STATES:
            return
        body: Wire = {"status": {"state": self._chance.choice(STATES[kind])}}
        if self._chance.random() < 0.5:
            body["status"]["reason"] = {"code": "INTERNAL_ERROR", "message": f"{self._name} {self._chance.random()}"}
        await self._write(Write(key_of(kind, name), "status", body), "PATCH", f"{self._path(kind, name)}/status")

    async def _bind(self, kind: type[Resource], name: str) -> None:
        target = {"api": "kubernetes", "namespace": NAMESPACE, "kind": "Cluster", "name": self._chance.choice(NAMES)}
        write = Write(key_of(Application, name), "bind", {"cluster": target})
        await self._write(write, "PUT", f"{self._path(Application, name)}/binding")

    async def _delete(self, kind: type[Resource], name: str) -> None:
        await self._write(Write(key_of(kind, name), "delete", {}), "DELETE", self._path(kind, name))

    async def _force(self, kind: type[Resource], name: str) -> None:
        await self._write(Write(key_of(kind, name), "force", {}), "DELETE", f"{self._path(kind, name)}?force=True")

    async def _finish(self, kind: type[Resource], name: str) -> None:
        """Take finalizers away, as controllers do; the last one takes the object with it, if it is being deleted."""
        key = key_of(kind, name)
        if (known := self._last.get(key)) is None or not known["metadata"]["finalizers"]:
            return await self._read(kind, name)
        rest = known["metadata"]["finalizers"][: self._chance.choice([0, 0, -1])]
        body: Wire = {"metadata": {"labels": self._labels(), "finalizers": rest}}
        named = self._name_version(body, key)
        await self._write(Write(key, "patch", body, named), "PATCH", self._path(kind, name))

    async def _read(self, kind: type[Resource], name: str) -> None:
        key = key_of(kind, name)
        known = self._known.get(key, 0)
        status, wire = await self._send("GET", self._path(kind, name))
        if status not in (200, 404):
            assert status is None, wire
            return
        self._journal.seen.append(Seen(key, wire if status == 200 else None, known))
        self._remember(key, wire if status == 200 else None)

    async def _list(self, kind: type[Resource], name: str) -> None:
        status, body = await self._send("GET", path_of(kind, namespace=NAMESPACE))
        if status is None:
            return
        assert status == 200, body
        self._journal.listed.append(Listed(kind, int(body["metadata"]["resource_version"]), body["items"]))

    async def _write(self, write: Write, method: str, path: str) -> None:
        write.body = copy.deepcopy(write.body)
        write.status, write.answer = await self._send(method, path, write.body or None)
        if write.status is None or write.status >= 400:
            write.answer = {"problem": write.answer}
        elif write.verb == "force" or (write.answer["metadata"]["deleted"] and not write.answer["metadata"]["finalizers"]):
            self._remember(write.key, None)
        else:
            self._remember(write.key, write.answer)
        self._journal.writes.append(write)
        assert write.status is None or write.status < 500, write
        # What a client sends here is well made: it may only come too early or too late.
        assert write.status in (None, 200, 201, 400, 404, 409) or (write.verb == "bind" and write.status == 422), write

    def _remember(self, key: str, wire: Wire | None) -> None:
        if wire is None:
            self._known.pop(key, None)
            self._last.pop(key, None)
            return
        self._known[key] = int(wire["metadata"]["resource_version"])
        self._last[key] = wire

    def _path(self, kind: type[Resource], name: str) -> str:
        return path_of(kind, name, namespace=NAMESPACE)

    async def _send(self, method: str, path: str, body: Wire | None = None) -> tuple[int | None, Any]:
        """Send a request; no status if the client has lost its patience before there was an answer."""
        limit = self._chance.choice([0.001, 0.005, 0.02]) if self._chance.random() < 0.08 else REQUEST_LIMIT
        text = None if body is None else json.dumps(body).encode()
        try:
            async with asyncio.timeout(limit), self._session.request(method, self._url + path, data=text) as response:
                return response.status, await response.json(content_type=None)
        except TimeoutError:
            assert limit < REQUEST_LIMIT, f"{method} {path} is not answered"
            return None, {}


def _vary(kind: type[Resource], body: Wire, chance: random.Random) -> None:
    number = chance.randint(1, 1000)
    match kind.__name__:
        case "Application":
            body["spec"]["backoff_delay"] = number
        case "Cluster":
            body["spec"]["custom_resources"] = [f"things{number}.example.com"]
        case "MagnumCluster":
            body["spec"]["node_count"] = number
        case "Quota":
            body["spec"]["clusters"] = number
        case "Placement":
            body.setdefault("subject", {})["name"] = f"app-{number}"
        case _:
            body["spec"]["max"] = 1000.0 + number


class Watcher:
    """Follows a kind by a watch that is cut now and then, and resumed at any of the API processes."""

    def __init__(self, session: aiohttp.ClientSession, urls: list[str], chance: random.Random, watched: Watched) -> None:
        self._session = session
        self._urls = urls
        self._chance = chance
        self._watched = watched

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            with suppress(TimeoutError, aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                async with asyncio.timeout(self._chance.choice([0.05, 0.5, 2.0, 10.0])):
                    await self._follow(self._chance.choice(self._urls))

    async def _follow(self, url: str) -> None:
        path = self._watched.kind.definition.path
        query = {"watch": "true", "resource_version": str(self._watched.last), "heartbeat": "1"}
        lazy = self._chance.random() < 0.2
        async with self._session.get(url + path, params=query) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                # What is cut off in the middle of a line has not been told.
                if line.strip() and line.endswith(b"\n"):
                    event = json.loads(line)
                    assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), event
                    self._watched.events.append((event["type"], event["object"]))
                if lazy:
                    await asyncio.sleep(self._chance.choice([0, 0.05, 0.3]))

    async def reach(self, revision: int) -> None:
        """Wait until all changes up to a revision were told."""
        async with asyncio.timeout(60):
            while self._watched.last < revision:  # noqa: ASYNC110 (another task adds to it)
                await asyncio.sleep(0.05)
