"""Users go on working while the parts of Krake are killed and clusters fail; in the end all is as they were promised.

What happens follows from a seed, when it happens does not quite: to look for more, set CHAOS_SEED to other numbers.
"""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import yaml
from fixtures.up import RunningKrake, StartKrake, alive

from krake.client import AlreadyExists, Client, Conflict, NotFound, Unavailable
from krake.data import Key, Metadata
from krake.data.constraints import LabelConstraint
from krake.data.kubernetes import (
    Application,
    ApplicationSpec,
    ApplicationState,
    CloudConstraints,
    Cluster,
    ClusterCloudConstraints,
    ClusterConstraints,
    ClusterSpec,
    ClusterState,
    Constraints,
)
from krake.ports.cluster import OWNER_LABEL

T = TypeVar("T")

APPLICATIONS = 30
CHAOS = 35.0
"""Seconds in which everything goes wrong."""
PEACE = 60.0
"""Seconds after which everything is right again."""
PATIENCE = 60.0
"""Seconds for which a user repeats a request."""
PARTS = ("api", "scheduler", "application", "cluster", "gc", "etcd")
FAILURES: tuple[dict[str, Any], ...] = (
    {"mode": "unreachable"},
    {"mode": "hanging"},
    {"mode": "garbage"},
    {"mode": "slow", "delay": 0.5},
    {"mode": "errors", "rate": 0.5},
)
NAMESPACE = "system:admin"
LISTED = {"ConfigMap": "/api/v1/configmaps", "Deployment": "/apis/apps/v1/deployments", "Pod": "/api/v1/pods"}

Found = dict[tuple[str, str], dict[str, Any]]
"""Objects of a cluster by kind and name."""


@dataclass
class Wish:
    """What a user was promised last.

    :param zones: the clusters that the application may run on.
    :param version: of its manifest.
    :param exists: whether the application was created, and not deleted since.
    """

    name: str
    zones: frozenset[str]
    version: int = 1
    exists: bool = False

    @property
    def manifest(self) -> list[dict[str, Any]]:
        """A different one for each version; every second one has an object more."""
        labels = {"app": self.name}
        container = {"name": "main", "image": f"registry.example/main:{self.version}"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        extra = [self._config_map("extra")] if self.version % 2 else []
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": self.name}, "spec": spec}
        return [deployment, self._config_map("settings"), *extra]

    def _config_map(self, what: str) -> dict[str, Any]:
        metadata = {"name": f"{self.name}-{what}"}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"version": str(self.version)}}

    @property
    def spec(self) -> ApplicationSpec:
        labels = [LabelConstraint.parse(f"zone in ({', '.join(sorted(self.zones))})")]
        return ApplicationSpec(manifest=self.manifest, constraints=Constraints(cluster=ClusterConstraints(labels=labels)))


class User:
    """Changes one application again and again, and repeats each request until it is answered."""

    def __init__(self, client: Client, zones: list[str], name: str, chance: random.Random) -> None:
        self._client = client
        self._zones = zones
        self._chance = chance
        self._key = Key(NAMESPACE, name)
        self.wish = Wish(name, self._choose())

    def _choose(self) -> frozenset[str]:
        return frozenset(self._chance.sample(self._zones, self._chance.choice((1, 1, 2))))

    async def work(self, until: float) -> None:
        """Work until a time on the clock of the event loop, and leave no request unanswered."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(self._chance.uniform(0, CHAOS / 3))
        await self._create()
        while True:
            await asyncio.sleep(self._chance.uniform(0.5, CHAOS / 3))
            if clock() > until:
                break
            step = self._chance.choice((self._update, self._update, self._move, self._move, self._replace))
            await step()
        if self._chance.random() < 0.3:
            await self._delete()

    async def _create(self) -> None:
        app = Application(metadata=Metadata(name=self.wish.name, namespace=NAMESPACE), spec=self.wish.spec)

        async def create() -> None:
            # It exists already if an earlier attempt succeeded whose answer got lost.
            with suppress(AlreadyExists):
                await self._client.create(app)

        await insist(create)
        self.wish.exists = True

    async def _update(self) -> None:
        self.wish.version += 1
        await self._write()

    async def _move(self) -> None:
        self.wish.zones = self._choose()
        await self._write()

    async def _write(self) -> None:
        spec = self.wish.spec.serialize()

        async def write() -> None:
            stored = await self._client.get(Application, self._key)
            changed = Application.restore({**stored.serialize(), "spec": spec})
            await self._client.update(changed)

        await insist(write)

    async def _delete(self) -> None:
        async def delete() -> None:
            with suppress(NotFound):
                await self._client.delete(Application, self._key)

        await insist(lambda: self._client.get(Application, self._key))  # so far, it was not lost
        await insist(delete)
        self.wish.exists = False

    async def _replace(self) -> None:
        """Delete the application and, as soon as it is gone, create another one of the same name somewhere else."""
        await self._delete()

        async def look() -> None:
            await self._client.get(Application, self._key)
            raise Unavailable(0, {"detail": f"{self._key} is still there."})

        with suppress(NotFound):
            await insist(look)
        self.wish.zones = self._choose()
        await self._create()


async def insist(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until the API answers. What it then refuses is the end, except that somebody else has changed the object."""
    clock = asyncio.get_running_loop().time
    end = clock() + PATIENCE
    while True:
        try:
            return await attempt()
        except (Unavailable, Conflict):
            if clock() > end:
                raise
        await asyncio.sleep(0.1)


@dataclass
class SimulatedCluster:
    """A cluster as it is seen from outside of Krake."""

    name: str
    kubeconfig: dict[str, Any] = field(repr=False)
    session: aiohttp.ClientSession = field(repr=False)

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        url = self.kubeconfig["clusters"][0]["cluster"]["server"] + path
        token = self.kubeconfig["users"][0]["user"]["token"]
        async with self.session.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}) as response:
            answer: dict[str, Any] = await response.json()
            assert response.status == 200, answer
            return answer

    async def look(self) -> Found:
        """Return all objects that Krake could have made."""
        found: Found = {}
        for kind, path in LISTED.items():
            for item in (await self.call("GET", path))["items"]:
                if kind != "Pod" or not item["metadata"].get("deletionTimestamp"):
                    found[kind, item["metadata"]["name"]] = item
        return found


class Saboteur:
    """Kills parts of Krake and breaks clusters."""

    def __init__(self, krake: RunningKrake, clusters: list[SimulatedCluster], chance: random.Random) -> None:
        self._krake = krake
        self._clusters = clusters
        self._chance = chance
        self.deeds: list[str] = []

    async def kill(self) -> None:
        """Kill one part after the other until cancelled."""
        while True:
            for name in self._chance.sample(PARTS, len(PARTS)):
                await asyncio.sleep(self._chance.uniform(0.2, 2.5))
                pid = self._krake.ready["pids"][name]
                if _is_child(pid, self._krake.process.pid):
                    os.kill(pid, signal.SIGKILL)
                    self.deeds.append(f"killed {name}")

    async def disturb(self) -> None:
        """Let one cluster after the other fail for a while, until cancelled."""
        while True:
            await asyncio.sleep(self._chance.uniform(0.5, 3))
            cluster, failure = self._chance.choice(self._clusters), self._chance.choice(FAILURES)
            try:
                await cluster.call("PUT", "/_simulator/failure", failure)
                self.deeds.append(f"{cluster.name} was {failure['mode']}")
                await asyncio.sleep(self._chance.uniform(0.5, 5))
            finally:
                await cluster.call("DELETE", "/_simulator/failure")


def _is_child(pid: int, parent: int) -> bool:
    """Whether a process is one that the other one started: its number may long be somebody else's."""
    if not alive(pid):
        return False
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1] == str(parent)
    return False


def troubles(wishes: list[Wish], apps: dict[str, Application], clusters: dict[str, Found]) -> Iterator[str]:
    """Yield what is not as promised."""
    wanted = {wish.name: wish for wish in wishes if wish.exists}
    for name in apps.keys() ^ wanted.keys():
        yield f"{name} is {'there though it was deleted' if name in apps else 'lost'}"
    homes = {}
    for name in apps.keys() & wanted.keys():
        app = apps[name]
        yield from troubles_of(app, wanted[name])
        homes[name] = app.status.running_on.name if app.status.running_on else None
    for cluster, found in clusters.items():
        here = [wanted[name] for name, home in homes.items() if home == cluster]
        expected = {(item["kind"], item["metadata"]["name"]): (item, wish.name) for wish in here for item in wish.manifest}
        actual = {key: item for key, item in found.items() if key[0] != "Pod"}
        for kind, name in actual.keys() ^ expected.keys():
            yield f"{kind} {name} is {'left behind' if (kind, name) in actual else 'missing'} on {cluster}"
        for key in actual.keys() & expected.keys():
            item, name = expected[key]
            if content(actual[key]) != content(item):
                yield f"{' '.join(key)} on {cluster} is not as declared: {content(actual[key])}"
            if owner(actual[key]) != apps[name].metadata.uid:
                yield f"{' '.join(key)} on {cluster} is of another application"
        uids = sorted(apps[wish.name].metadata.uid for wish in here)
        pods = sorted(str(owner(item)) for (kind, _), item in found.items() if kind == "Pod")
        if pods != uids:
            yield f"{cluster} runs Pods of {pods} instead of {uids}"


def troubles_of(app: Application, wish: Wish) -> Iterator[str]:
    """Yield what the API says about an application that is not as promised."""
    status, name = app.status, app.metadata.name
    if app.metadata.deleted is not None:
        yield f"{name} is being deleted"
    if app.spec != wish.spec:
        yield f"the last change of {name} is lost"
    if status.state is not ApplicationState.RUNNING or status.observed_generation != app.metadata.generation:
        yield f"{name} is {status.state.name}, {status.observed_generation} of {app.metadata.generation}: {status.reason}"
    home = status.running_on
    if home is None or home.name not in wish.zones:
        yield f"{name} runs on {home} instead of {sorted(wish.zones)}: {status.reason}"
    if not (status.scheduled_to == home and app.metadata.owners == status.placed_on == [home]):
        owners, placed_on = [each.name for each in app.metadata.owners], [each.name for each in status.placed_on]
        yield f"{name} on {home} is scheduled to {status.scheduled_to}, placed on {placed_on}, owned by {owners}"


def content(item: dict[str, Any]) -> object:
    """Return what is different in each version of a ConfigMap or a Deployment."""
    if "data" in item:
        return item["data"]
    return item["spec"]["replicas"], item["spec"]["template"]["spec"]["containers"][0]["image"]


def owner(item: dict[str, Any]) -> str | None:
    labels: dict[str, str] = item["metadata"].get("labels") or {}
    return labels.get(OWNER_LABEL)


async def register(client: Client, clusters: list[SimulatedCluster]) -> None:
    """Register the clusters, each a zone of its own, and wait until they are of use."""
    constraints = ClusterCloudConstraints(cloud=CloudConstraints())
    for each in clusters:
        metadata = Metadata(name=each.name, namespace=NAMESPACE, labels={"zone": each.name})
        await client.create(Cluster(metadata=metadata, spec=ClusterSpec(kubeconfig=each.kubeconfig, constraints=constraints)))

    async def look() -> list[str]:
        found = (await client.list(Cluster, NAMESPACE)).items
        return [f"{each.ref} is {each.status.state.name}" for each in found if each.status.state is not ClusterState.ONLINE]

    await until_none(look, 30)


async def until_none(look: Callable[[], Awaitable[list[str]]], limit: float) -> list[str]:
    """Look until there are no troubles; return those that are left when the time is up."""
    clock = asyncio.get_running_loop().time
    end = clock() + limit
    while True:
        left = await look()
        if not left or clock() > end:
            return left
        await asyncio.sleep(0.2)


@asynccontextmanager
async def sabotage(saboteur: Saboteur) -> AsyncIterator[None]:
    """Let things go wrong for as long as the block takes."""
    tasks = [asyncio.create_task(saboteur.kill()), asyncio.create_task(saboteur.disturb())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if not isinstance(end, asyncio.CancelledError):
            raise AssertionError("The saboteur failed.") from end


@pytest.fixture
def krake(start_krake: StartKrake) -> Iterator[RunningKrake]:
    """A Krake that nobody else has to share."""
    krake = start_krake("--simulated-clusters", "3")
    yield krake
    krake.stop()


@pytest.mark.slow
async def test_whatever_fails_all_is_as_promised_in_the_end(krake: RunningKrake) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or 1)
    print(f"CHAOS_SEED={seed}")
    chance = random.Random(seed)
    async with Client(krake.api, timeout=10) as client, aiohttp.ClientSession() as session:
        kubeconfigs = [yaml.safe_load(path.read_text()) for path in krake.kubeconfigs]
        clusters = [SimulatedCluster(each["current-context"], each, session) for each in kubeconfigs]
        await register(client, clusters)
        before = {each.name: await each.look() for each in clusters}
        zones = [each.name for each in clusters]
        users = [User(client, zones, f"app-{number}", random.Random(chance.random())) for number in range(APPLICATIONS)]
        saboteur = Saboteur(krake, clusters, random.Random(chance.random()))
        until = asyncio.get_running_loop().time() + CHAOS

        async with asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(user.work(until))
            async with sabotage(saboteur):
                await asyncio.sleep(CHAOS)

        async def look() -> list[str]:
            with suppress(Unavailable):
                apps = {app.metadata.name: app for app in (await client.list(Application, NAMESPACE)).items}
                seen = {each.name: await each.look() for each in clusters}
                own = {
                    name: {key: item for key, item in found.items() if key not in before[name]} for name, found in seen.items()
                }
                return sorted(troubles([user.wish for user in users], apps, own))
            return ["the API does not answer"]

        left = await until_none(look, PEACE)
    assert len(saboteur.deeds) > 15
    if left:
        (krake.directory / "deeds").write_text("\n".join(saboteur.deeds))
        pytest.fail(f"After {len(saboteur.deeds)} deeds, see {krake.directory}:\n" + "\n".join(left), pytrace=False)
