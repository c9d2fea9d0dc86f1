"""The provider: makes, changes and removes infrastructures, each with a simulated cluster."""

import asyncio
import secrets
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from krake.simulator.infrastructure import server, template
from krake.simulator.infrastructure.authorization import Authorization, Entry
from krake.simulator.infrastructure.login import find_trouble
from krake.simulator.infrastructure.records import Infrastructure, Machine
from krake.simulator.infrastructure.settings import Settings
from krake.simulator.infrastructure.template import Template
from krake.simulator.keeping import Shelf
from krake.simulator.kubernetes import Settings as ClusterSettings
from krake.simulator.kubernetes import SimulatedCluster
from krake.simulator.ports import is_free
from krake.simulator.service import Service

# States of machines in which their nodes are at work.
WORKING = ("pending", "running", "configured", "unconfigured")


class SimulatedProvider:
    """An Infrastructure Manager that is not there.

    Tests may change `settings` at any time, make `service` fail, have credentials refused by `accepts`, and use the methods
    that say what happens to an infrastructure behind the back of its owner.

    :param directory: where infrastructures are kept from one process to the next; the objects in their clusters are not.
    :param clusters: how the clusters behave; they have as many nodes as their infrastructure has machines.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        port: int = 0,
        directory: Path | None = None,
        clusters: ClusterSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or Settings()
        self.service = Service(lambda: server.routes(self), port=port)
        self.accepts: Callable[[Sequence[str]], bool] = lambda owner: True
        self.infrastructures: dict[str, Infrastructure] = {}
        self.clusters: dict[str, SimulatedCluster] = {}
        self.busy: set[str] = set()
        """Those that are being launched at the moment: nothing else can be done with them."""
        self._shelf = Shelf(directory)
        self._cluster_settings = replace(clusters or ClusterSettings(), nodes=0)
        self._clock = clock
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return self.service.url

    def now(self) -> float:
        return self._clock()

    async def start(self) -> None:
        """Begin to serve, with the infrastructures of earlier."""
        self._load()
        await self.service.start()
        for each in list(self.infrastructures.values()):
            await self._settle(each)

    async def stop(self) -> None:
        """Stop serving. What there is stays, `start` brings it back."""
        await self.service.stop()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for id in list(self.clusters):
            await self._stop_cluster(id)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # What its users ask for.

    def create(self, authorization: Authorization, wanted: Template) -> Infrastructure:
        """Begin to create an infrastructure."""
        found = Infrastructure(str(uuid.uuid1()), list(authorization.owner), wanted, token=secrets.token_urlsafe(24))
        self.infrastructures[found.id] = found
        self._launch(found, template.counts(wanted), authorization.clouds)
        return found

    async def update(self, found: Infrastructure, authorization: Authorization, wanted: Template) -> Sequence[Machine]:
        """Begin to make an infrastructure what a template says; return the machines that are added, once they are there.

        Who asks again before gets as many again.

        :raises TemplateError: it does not go with the one that the infrastructure has.
        """
        wanted = template.merge(found.template, wanted)
        numbers = template.counts(wanted)
        for number in template.removals(wanted) & found.machines.keys():
            del found.machines[number]
        missing = {}
        for node, count in numbers.items():
            there = [number for number, machine in found.machines.items() if machine.node == node]
            missing[node] = count - len(there)
            for number in there[: max(0, len(there) - count)]:
                del found.machines[number]
        found.template = wanted
        delay = self.settings.launch_delay if any(count > 0 for count in missing.values()) else 0.0
        # It goes on even if nobody waits for the answer any more.
        return await asyncio.shield(self._begin(self._launch_late(found, missing, authorization.clouds, delay)))

    def remove_machines(self, found: Infrastructure, numbers: set[int]) -> None:
        """Remove some machines."""
        for number in numbers:
            found.machines.pop(number, None)
        self._begin(self._settle(found))

    async def switch(self, found: Infrastructure, numbers: Collection[int], *, on: bool) -> None:
        """Stop machines, or start those that were stopped."""
        for machine in (found.machines[number] for number in numbers):
            if on and machine.fate in ("stopped", "off"):
                machine.fate = "configured"
            elif not on:
                machine.fate = "stopped"
        await self._settle(found)

    def reconfigure(self, found: Infrastructure) -> None:
        """Begin to configure all machines anew; those that could not be configured will be as the settings say now."""
        now = self.now()
        for machine in found.machines.values():
            machine.configured = max(now, machine.booted) + self.settings.configure_delay
            if machine.fate == "unconfigured":
                machine.fate = self.settings.fate
        found.message = ""
        self._begin(self._settle(found))

    async def delete(self, found: Infrastructure, authorization: Authorization, *, wait: bool) -> str | None:
        """Begin to delete an infrastructure, or do it; return what is wrong."""
        if found.zombie:
            await self._forget(found.id)
        elif found.deleting is None:
            self.busy.add(found.id)
            try:
                trouble = await self._find_trouble(authorization.clouds) if found.machines else None
            finally:
                self.busy.discard(found.id)
            if trouble is not None:
                found.message = f"Some VMs could not be finalized: {trouble}"
                return found.message
            found.deleting = self.now() + self.settings.delete_delay
            await self._settle(found)
        if wait:
            await asyncio.sleep(self.settings.delete_delay)
            await self._forget(found.id)
        return None

    def look(self, found: Infrastructure) -> tuple[str, dict[str, str]]:
        """Return the state of an infrastructure, and those of its machines."""
        now = self.now()
        if found.deleting is not None and self.settings.zombies:
            found.zombie, found.deleting = True, None
            self._save(found)
        return found.state(now), found.states(now)

    async def outputs(self, found: Infrastructure) -> dict[str, Any]:
        """Return the outputs; what the machines have to tell is ``None`` until they do."""
        if found.id not in self.clusters:
            await self._settle(found)  # a timer may be a little late
        cluster = self.clusters.get(found.id)
        known: dict[str, Any] = {} if cluster is None else {"kubeconfig": cluster.kubeconfig_text()}
        return {name: known.get(name) if value is ... else value for name, value in template.outputs(found.template).items()}

    # What happens behind their backs.

    async def lose(self, id: str) -> None:
        """Let an infrastructure vanish, with its cluster."""
        await self._forget(id)

    async def set_machine(self, id: str, number: int, fate: str) -> None:
        """Let a machine have this state from now on, such as ``failed``, ``off`` or ``unconfigured``."""
        self.infrastructures[id].machines[number].fate = fate
        await self._settle(self.infrastructures[id])

    async def lose_machine(self, id: str, number: int) -> None:
        """Let a machine vanish at the cloud: it stays listed, but nothing is known of it any more."""
        await self.set_machine(id, number, "unknown")

    def finish(self) -> None:
        """Have all machines that are being made made, as far as that is their fate."""
        now = self.now()
        for found in list(self.infrastructures.values()):
            for machine in found.machines.values():
                machine.booted, machine.configured = min(machine.booted, now), min(machine.configured, now)
            self._begin(self._settle(found))

    async def rotate(self, id: str) -> None:
        """Have the cluster accept other credentials than before; the outputs have them."""
        found = self.infrastructures[id]
        await self._stop_cluster(id)
        found.token = secrets.token_urlsafe(24)
        await self._settle(found)

    # How it works.

    async def _launch_late(
        self, found: Infrastructure, missing: Mapping[str, int], clouds: Sequence[Entry], delay: float
    ) -> Sequence[Machine]:
        await asyncio.sleep(delay)
        return self._launch(found, missing, clouds)

    def _launch(self, found: Infrastructure, missing: Mapping[str, int], clouds: Sequence[Entry]) -> Sequence[Machine]:
        now, settings = self.now(), self.settings
        added = []
        for node in (node for node, count in missing.items() for _ in range(count)):
            booted = now + settings.boot_delay
            machine = Machine(found.next_number, node, booted, booted + settings.configure_delay, settings.fate)
            found.next_number += 1
            found.machines[machine.number] = machine
            added.append(machine)
        if not found.machines:
            found.message = "Infrastructure without any deploy. Exiting."
        self._save(found)
        self._begin(self._finish_launch(found, added, clouds))
        return added

    async def _finish_launch(self, found: Infrastructure, added: Sequence[Machine], clouds: Sequence[Entry]) -> None:
        self.busy.add(found.id)
        try:
            trouble = await self._find_trouble(clouds) if added else None
        finally:
            self.busy.discard(found.id)
        if trouble is not None:
            found.message = trouble
            for machine in added:
                found.machines.pop(machine.number, None)
        elif self.settings.fate in ("failed", "unconfigured"):
            found.message = f"Simulated: the machines end as {self.settings.fate}."
        await self._settle(found)

    async def _find_trouble(self, clouds: Sequence[Entry]) -> str | None:
        return await find_trouble(clouds) if self.settings.logs_in else None

    async def _settle(self, found: Infrastructure) -> None:
        """Let the cluster be as the machines are now, and come back when they change."""
        if self.infrastructures.get(found.id) is not found:
            return
        now = self.now()
        if found.deleting is not None and found.deleting <= now:
            await self._forget(found.id)
            return
        if found.deleting is None and not found.zombie and "configured" in found.states(now).values():
            await self._run_cluster(found)
        self._save(found)
        if (earlier := self._timers.pop(found.id, None)) is not None:
            earlier.cancel()
        if (change := found.next_change(now)) is not None:
            loop = asyncio.get_running_loop()
            # A clock may be a little behind the loop's: never come back too early.
            self._timers[found.id] = loop.call_later(change - now + 0.001, lambda: self._begin(self._settle(found)))

    async def _run_cluster(self, found: Infrastructure) -> None:
        cluster = self.clusters.get(found.id)
        if cluster is None:
            cluster = SimulatedCluster(f"im-{found.id[:8]}", self._cluster_settings)
            cluster.resume(found.port if is_free(found.port) else 0, found.token)
            self.clusters[found.id] = cluster
            await cluster.start()
            found.port = cluster.port
        states = {each.name: each.state(self.now()) for each in found.machines.values()}
        there = set(cluster.node_names())
        cluster.set_nodes([name for name, state in states.items() if name in there or state == "configured"])
        for name in cluster.node_names():
            cluster.set_node(name, ready=states[name] in WORKING)

    async def _stop_cluster(self, id: str) -> None:
        cluster = self.clusters.pop(id, None)
        if cluster is not None:
            await cluster.stop()
            cluster.close()

    async def _forget(self, id: str) -> None:
        self.infrastructures.pop(id, None)
        if (timer := self._timers.pop(id, None)) is not None:
            timer.cancel()
        self._shelf.drop(id)
        await self._stop_cluster(id)

    def _begin(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _load(self) -> None:
        for document in self._shelf.documents():
            with suppress(TypeError, LookupError, AttributeError, ValueError):
                found = Infrastructure.restore(document)
                self.infrastructures.setdefault(found.id, found)

    def _save(self, found: Infrastructure) -> None:
        if self.infrastructures.get(found.id) is found:
            self._shelf.put(found.id, found.dump())
