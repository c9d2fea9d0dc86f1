"""Whatever a manifest holds: nothing crashes or loops, nothing is written twice, and who wrote it is told what is wrong."""

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Any

from integration.kubernetes.hostile import CASES, Case
from integration.kubernetes.world import (
    CONFIG_MAP,
    NAMESPACE,
    QUICK,
    Target,
    World,
    applications,
    collector,
    config_map,
    eventually,
)

from krake.data.kubernetes import Application, ApplicationState, ClusterState
from krake.ports.cluster import Identity, Object, Rejected, identify, owner_of

State = ApplicationState

PATIENCE = 90.0
"""Seconds until all applications have come to rest; the machine may be busy."""
QUIET = 3.0
"""Seconds in which a loop would show."""
_RUN = secrets.token_hex(2)
NAMES = {f"case-{_RUN}-{number}": what for number, what in enumerate(CASES)}


class Writes:
    """Counts what is written to a cluster, by application and object, whether or not it changes anything."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str | None, Identity]] = Counter()

    def connect(self, kubeconfig: Mapping[str, Any]) -> Any:
        connection, counts = QUICK(kubeconfig), self.counts

        class Counting:
            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

            async def apply(self, obj: Object) -> Object:
                counts[owner_of(obj), identify(obj)] += 1
                return await connection.apply(obj)

            async def replace(self, obj: Object) -> Object:
                counts[owner_of(obj), identify(obj)] += 1
                return await connection.replace(obj)

        return Counting()

    def of(self, app: Application) -> int:
        return sum(count for (owner, _), count in self.counts.items() if owner == app.metadata.uid)


def is_as_expected(case: Case, app: Application) -> bool:
    if app.status.state not in case.states or app.status.observed_generation != app.metadata.generation:
        return False
    reason = app.status.reason
    return app.status.state in (State.RUNNING, State.COMPLETED) or bool(reason and re.search(case.said, reason.message))


async def settle(world: World, accept: Any, names: Mapping[str, str]) -> dict[str, Application]:
    """Wait for all applications at once; fail with a list of those that are not as they should be."""
    found: dict[str, Application] = {}

    async def look() -> dict[str, str]:
        items = (await world.client.list(Application, NAMESPACE)).items
        found.update({item.metadata.name: item for item in items if item.metadata.name in names})
        return {
            names[name]: f"{app.status.state.name}: {app.status.reason and app.status.reason.message[:300]}"
            for name, app in found.items()
            if not accept(CASES[names[name]], app)
        }

    await eventually(look, lambda wrong: not wrong, PATIENCE)
    return found


async def create(world: World, target: Target) -> None:
    for name, what in NAMES.items():
        await world.create(*CASES[what].make(name), on=target, name=name)


async def change(world: World, target: Target) -> None:
    changed = {name: what for name, what in NAMES.items() if CASES[what].then}
    await settle(world, lambda case, app: app.status.state in (State.RUNNING, State.COMPLETED), changed)
    for name, what in changed.items():
        then = CASES[what].then
        assert then is not None
        await world.update(*then(name), on=target, name=name)


async def versions_of(target: Target, apps: Mapping[str, Application]) -> dict[tuple[str, str], Any]:
    """The versions of the objects that nobody but Krake has a reason to change."""
    found = {}
    for name, app in apps.items():
        for item in app.status.last_applied_manifest:
            type_ = CONFIG_MAP._replace(api_version=item["apiVersion"], kind=item["kind"])
            try:
                obj = await target.get(type_, item["metadata"]["name"], item["metadata"].get("namespace"))
            except Rejected:
                continue  # nothing can have this name
            if obj is not None:
                metadata = obj["metadata"]
                workload = item["kind"] in ("Deployment", "StatefulSet", "Job", "Pod", "HorizontalPodAutoscaler", "Namespace")
                version = metadata.get("generation") if workload else metadata["resourceVersion"]
                found[name, f"{item['kind']} {metadata['name']}"] = metadata["uid"], version
    return found


async def test_hostile_manifests(world: World, any_target: Target) -> None:
    target = any_target
    assert len(CASES) >= 50
    await world.register(target, state=ClusterState.ONLINE)
    writes = Writes()
    async with world.running(applications(writes.connect), collector):
        await create(world, target)
        await change(world, target)
        apps = await settle(world, is_as_expected, NAMES)
        calm = {name: app for name, app in apps.items() if app.status.state is not State.FAILED}
        before = await versions_of(target, apps)
        counted = {NAMES[name]: writes.of(app) for name, app in calm.items()}
        for name in NAMES:
            await world.bind(target, name)  # all are looked at again
        await world.create(config_map("witness"), on=target, name="witness")
        await world.until_state(State.RUNNING, "witness")
        await asyncio.sleep(QUIET)
        assert {NAMES[name]: writes.of(app) for name, app in calm.items()} == counted
        assert await versions_of(target, apps) == before
    async with world.running(applications(), collector):  # a new one finds everything in order
        for name in NAMES:
            await world.bind(target, name)
        await world.create(config_map("other-witness"), on=target, name="other-witness")
        await world.until_state(State.RUNNING, "other-witness")
        apps = await settle(world, is_as_expected, NAMES)
        assert await versions_of(target, apps) == before
        await delete_all(world, target)


async def delete_all(world: World, target: Target) -> None:
    """Nothing that was declared stands in the way of its deletion, but for what only others may take away."""
    for name in NAMES:
        await world.delete(name)
    (held,) = (name for name, what in NAMES.items() if what == "finalizers")

    async def left() -> dict[str, Any]:
        items = (await world.client.list(Application, NAMESPACE)).items
        return {NAMES.get(item.metadata.name, "witness"): item.status.reason for item in items}

    await eventually(left, lambda found: found.keys() <= {"finalizers", "witness"}, PATIENCE)
    app = await world.until(lambda app: app.status.reason is not None, held)
    assert app.status.state is State.DELETING
    assert app.status.reason is not None
    assert "finalizers: example.org/nobody-takes-it-away" in app.status.reason.message
    await target.change(CONFIG_MAP, held, {"metadata": {"finalizers": None}})
    await world.until_gone(held)
