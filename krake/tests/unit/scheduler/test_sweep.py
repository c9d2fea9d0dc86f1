"""After a change, those applications are handed to the workers that it concerns."""

import asyncio
from dataclasses import replace
from typing import Any

from unit.scheduler.worlds import NOW, make_app, make_candidate

from krake.controller.scheduler.applications.sweep import Sweep
from krake.controller.scheduler.deciding.snapshot import Settings, Snapshot
from krake.data import Key
from krake.data.kubernetes import Application


class Shelf:
    """Applications, as an informer has them."""

    def __init__(self, apps: list[Application]) -> None:
        self.objects = {app.key: app for app in apps}
        self.get = self.objects.get

    def lookup(self, _: str, namespace: str | None) -> list[Application]:
        return [app for app in self.objects.values() if app.key.namespace == namespace]


async def test_an_application_that_can_not_be_decided_on_keeps_no_other_from_being_looked_at() -> None:
    bad, good = make_app(), make_app()
    bad = replace(bad, metadata=replace(bad.metadata, name="bad"))
    bad = replace(bad, status=replace(bad.status, scheduled_to=make_candidate("a").ref, migration_timeout=-(10**400)))
    good = replace(good, metadata=replace(good.metadata, name="good"))
    handed: set[Key] = set()
    everybody = asyncio.Event()

    def enqueue(key: Key) -> None:
        handed.add(key)
        if len(handed) == 2:
            everybody.set()

    shelf: Any = Shelf([bad, good])
    snapshot = Snapshot(NOW, (make_candidate("a"),), Settings())
    sweep = Sweep(shelf, lambda _: snapshot, enqueue)
    running = asyncio.create_task(sweep.run())
    sweep.stir(good.key.namespace)
    try:
        async with asyncio.timeout(30):
            await everybody.wait()
    finally:
        running.cancel()
    assert {key.name for key in handed} == {"bad", "good"}


async def test_a_namespace_that_takes_long_holds_up_no_other() -> None:
    """The others are looked at meanwhile, again and again, and not only when it is done."""
    looked_at: list[str | None] = []
    app = make_app()
    # So many that looking through them takes several times as long as changes are gathered, on a fast machine, too.
    crowd = [replace(app, metadata=replace(app.metadata, name=f"a{index}")) for index in range(50_000)]
    one = replace(make_app(), metadata=replace(make_app().metadata, namespace="small", name="one"))
    shelf: Any = Shelf([*crowd, one])
    snapshot = Snapshot(NOW, tuple(make_candidate(f"c{index}") for index in range(20)), Settings())
    done = asyncio.Event()

    def look(namespace: str | None) -> Snapshot:
        looked_at.append(namespace)
        return snapshot

    def enqueue(key: Key) -> None:
        if key.namespace == "small":
            sweep.stir("small")
        elif key.name == crowd[-1].metadata.name:
            done.set()

    sweep = Sweep(shelf, look, enqueue)
    running = asyncio.create_task(sweep.run())
    sweep.stir(crowd[0].key.namespace)
    sweep.stir("small")
    try:
        async with asyncio.timeout(30):
            await done.wait()
    finally:
        running.cancel()
    assert looked_at.count("small") > 1
