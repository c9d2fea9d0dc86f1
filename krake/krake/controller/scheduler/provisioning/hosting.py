"""Watches what is to be created and where it can be, chooses, and binds."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from krake.client import Client, NotFound
from krake.controller.runtime import Informer, Recorder, Result
from krake.controller.scheduler.deciding.hosts import Host, HostChoice, is_offline
from krake.controller.scheduler.deciding.inheritance import metrics_of
from krake.controller.scheduler.deciding.snapshot import Measurement
from krake.controller.scheduler.explaining.chronicle import Chronicle
from krake.data import Key, ResourceRef
from krake.data.core import MetricRef
from krake.data.infrastructure import Cloud, GlobalCloud
from krake.data.kinds import Resource
from krake.data.openstack import Project

G = TypeVar("G", bound=Resource)
AnyHost = Cloud | GlobalCloud | Project
Measure = Callable[[str | None, Collection[MetricRef]], Measurement | None]
"""What is known of metrics that are named in a namespace; ``None`` if one has yet to be measured."""

log = logging.getLogger(__name__)

HOST = "host"
"""Index of the guests by what they are bound to."""
WAITING = "waiting"
"""Index of the guests that are bound to nothing, by namespace."""
UNMEASURED_WAIT = 5.0
"""Seconds after which a guest looks again whether the hosts are measured, should nobody tell."""


class Hosting(ABC, Generic[G]):
    """Reconciles guests, which are clusters to be created: each gets its host, once and for all, or a reason why not.

    A guest that fits nowhere is looked at again whenever a host changes.

    :param enqueue: has a guest reconciled.
    :param hosts: informers of what guests can be bound to.
    """

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        chronicle: Chronicle,
        guests: Informer[G],
        hosts: Sequence[Informer[Any]],
        *,
        enqueue: Callable[[Key], None],
        measure: Measure,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._chronicle = chronicle
        self._guests = guests
        self._hosts = hosts
        self._enqueue = enqueue
        self._measure = measure
        self._now = now
        self._assumed: dict[Key, ResourceRef] = {}
        """What guests are being bound to, until that is seen."""
        guests.index(HOST, lambda guest: filter(None, [self._host_of(guest)]))
        guests.index(WAITING, lambda guest: [guest.key.namespace] if self._is_waiting(guest) else [])
        guests.on_change(self._follow_guest)
        chronicle.follow(guests)
        for informer in hosts:
            informer.on_change(self._follow_host)

    @abstractmethod
    def _host_of(self, guest: G) -> ResourceRef | None:
        """Return what a guest is bound to."""

    @abstractmethod
    def _is_waiting(self, guest: G) -> bool:
        """Whether a guest is still to be bound."""

    @abstractmethod
    def _choose(self, guest: G) -> HostChoice | None:
        """Return where a guest goes; ``None`` if that can not be said before something is measured."""

    @abstractmethod
    async def _bind(self, guest: G, host: Host) -> G:
        """Bind a guest; returns it as stored."""

    @abstractmethod
    async def _refuse(self, guest: G, choice: HostChoice) -> Result | None:
        """Say why a guest fits nowhere; returns when to look again even if no host changes."""

    def follow_metrics(self, metrics: frozenset[Key]) -> None:
        """Have the guests reconciled to which some metrics may matter."""
        for namespace in {key.namespace for key in metrics}:
            self.enqueue_waiting(namespace)

    def enqueue_waiting(self, namespace: str | None) -> None:
        """Have the guests reconciled that a host is a candidate for: those of its namespace, or all for a global one."""
        if namespace is not None:
            waiting = self._guests.lookup(WAITING, namespace)
        else:
            waiting = [guest for guest in self._guests.objects.values() if self._is_waiting(guest)]
        for guest in waiting:
            self._enqueue(guest.key)

    async def reconcile(self, key: Key) -> Result | None:
        """Bind a guest, or say that it fits nowhere."""
        # A thousand guests in a row must leave the others their turn.
        await asyncio.sleep(0)
        guest = self._guests.get(key)
        if guest is None or guest.metadata.deleted is not None or not self._is_waiting(guest):
            return None
        choice = self._choose(guest)
        if choice is None:
            return Result(UNMEASURED_WAIT)
        self._chronicle.note_host(guest, choice, self._now())
        if choice.host is None:
            return await self._refuse(guest, choice)
        log.info("%s goes to %s", guest.ref, choice.host.ref)
        self._assumed[key] = choice.host.ref
        try:
            bound = await self._bind(guest, choice.host)
        except BaseException as error:
            self._assumed.pop(key, None)
            if isinstance(error, NotFound):
                return None
            raise
        self._guests.expect(key, bound.metadata.resource_version)
        return None

    def _candidates(
        self,
        informer: Informer[Any],
        namespace: str | None,
        failed: Mapping[ResourceRef, str] = MappingProxyType({}),
        setbacks: Mapping[ResourceRef, str] = MappingProxyType({}),
    ) -> list[Host] | None:
        """Return the hosts of a namespace; ``None`` if one of them has yet to be measured.

        :param failed: by host, the guest that could not be created there.
        :param setbacks: by host, why none is created there at the moment.
        """
        hosts: list[Host] = []
        assumed = list(self._assumed.values())
        for resource in informer.objects.values():
            if resource.metadata.namespace != namespace:
                continue
            measurement = self._measure(namespace, metrics_of(resource))
            if measurement is None:
                return None
            guests = len(self._guests.lookup(HOST, resource.ref)) + assumed.count(resource.ref)
            ref = resource.ref
            hosts.append(Host(resource, measurement, guests, failed.get(ref), setbacks.get(ref)))
        return hosts

    def _follow_guest(self, old: G | None, new: G | None) -> None:
        obj = new or old
        assert obj is not None
        if new is None or not self._is_waiting(new):
            self._assumed.pop(obj.key, None)
            if new is None:
                self.enqueue_waiting(obj.key.namespace)  # there may be room now for somebody else
        elif old is None or declared(old) != declared(new) or not self._is_waiting(old):
            self._enqueue(obj.key)

    def _follow_host(self, old: AnyHost | None, new: AnyHost | None) -> None:
        obj = new or old
        assert obj is not None
        if old is None or new is None or offered(old) != offered(new):
            self.enqueue_waiting(obj.metadata.namespace)


def declared(obj: Resource) -> object:
    """Return what of a resource choices depend on; its status is written often, and makes no difference."""
    return obj.metadata.generation, obj.metadata.labels, obj.metadata.deleted


def offered(host: AnyHost) -> object:
    """Return what of a cloud or project it depends on who may come to it."""
    return declared(host), is_offline(host)
