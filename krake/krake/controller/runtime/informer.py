"""All objects of a kind, in memory, as they are at the API now."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import aclosing
from typing import Generic, TypeVar

from krake.client import Client
from krake.client.errors import ApiError, Forbidden, Gone, Unauthorized
from krake.controller.runtime.metrics import INFORMER_AGE, INFORMER_CONNECTED, INFORMER_OBJECTS
from krake.controller.runtime.view import Transition, View, version_of
from krake.data.kinds import Resource
from krake.data.metadata import Key
from krake.lib.backoff import Backoff

R = TypeVar("R", bound=Resource)

log = logging.getLogger(__name__)

SLICE = 0.01
"""Seconds of work after which others get their turn."""


class Informer(Generic[R]):
    """Lists the objects of a kind, of one namespace or of all, and follows them by a watch.

    A cut connection is mended behind the scenes: the watch goes on after the last version seen, or, if the API has forgotten
    that, everything is listed anew and what is gone is told as deleted. Meanwhile the objects stay as they were last seen.
    """

    def __init__(
        self,
        client: Client,
        kind: type[R],
        namespace: str | None = None,
        *,
        backoff: Backoff = Backoff(0.5, 30.0),  # noqa: B008 (frozen)
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self.synced = asyncio.Event()
        """Set once everything was listed."""
        self.connected = False
        """Whether the API tells what happens; otherwise the objects are as they were last seen."""
        self.trouble = ""
        """Why the API does not tell, if it refuses to."""
        self._client = client
        self._backoff = backoff
        self._view: View[R] = View()
        self._handlers: list[Callable[[R | None, R | None], None]] = []
        self._expected: dict[Key, int] = {}
        self._moved = asyncio.Condition()
        self._failures = 0
        self._labels = (kind.definition.api, kind.definition.plural)
        self._heard = float("-inf")
        INFORMER_AGE.labels(*self._labels).set_function(lambda: self.age)

    def __repr__(self) -> str:
        return f"<Informer of {self.kind.definition.plural}>"

    @property
    def objects(self) -> Mapping[Key, R]:
        """The objects; read-only, and never awaited in between, so that what is read together belongs together."""
        return self._view.objects

    @property
    def version(self) -> int:
        """Everything up to this version of the store is seen."""
        return self._view.version

    @property
    def age(self) -> float:
        """How many seconds ago the API told something last; infinite before the first time."""
        return time.monotonic() - self._heard

    def get(self, key: Key) -> R | None:
        """The object of a key; ``None`` if there is none."""
        return self._view.objects.get(key)

    def index(self, name: str, values: Callable[[R], Iterable[Hashable]]) -> None:
        """Keep the objects by what *values* returns of each, for example applications by the clusters they run on."""

        def tolerant(obj: R) -> Iterable[Hashable]:
            try:
                return frozenset(values(obj))
            except Exception:
                log.exception("Finding the place of %s in the index %r failed.", obj.ref, name)
                return ()

        self._view.index(name, tolerant)

    def lookup(self, name: str, value: Hashable) -> list[R]:
        """The objects under a value of an index, in the order of their keys.

        :raises KeyError: there is no such index.
        """
        return self._view.lookup(name, value)

    def on_change(self, handler: Callable[[R | None, R | None], None]) -> None:
        """Call *handler* with the object before and after each change, from now on; ``None`` where there is no object.

        Objects that are there already are told as new. An object that was deleted and created anew is told as both.
        """
        self._handlers.append(handler)
        for obj in list(self.objects.values()):
            _call(handler, Transition(None, obj))

    def expect(self, key: Key, resource_version: str | None) -> None:
        """Remember that an object was just written: `catch_up` waits for this version of it."""
        if (version := version_of(resource_version)) > self.version:
            self._expected[key] = max(version, self._expected.get(key, 0))

    async def catch_up(self, key: Key, timeout: float = 5.0) -> bool:
        """Wait until what was expected of a key is seen; false if it was not in time."""
        version = self._expected.get(key)
        if version is None or await self.wait_for_version(version, timeout):
            return True
        # Once only: should the API have been set back to an older state, the version would never come.
        self._expected.pop(key, None)
        return False

    async def wait_for_version(self, resource_version: str | int, timeout: float) -> bool:
        """Wait until everything up to a version is seen; false if it was not in time."""
        version = resource_version if isinstance(resource_version, int) else version_of(resource_version)
        return await self.wait_for(lambda: self.version >= version, timeout)

    async def wait_for(self, predicate: Callable[[], bool], timeout: float) -> bool:
        """Wait until *predicate*, asked after each change, is true; false if it was not in time."""
        try:
            async with asyncio.timeout(timeout), self._moved:
                await self._moved.wait_for(predicate)
        except TimeoutError:
            return predicate()
        return True

    async def run(self) -> None:
        """List and watch until cancelled."""
        listed = False
        try:
            while True:
                started = time.monotonic()
                try:
                    if not listed:
                        await self._list()
                        listed = True
                    await self._watch()
                    self._lost("The API ended the watch.", started)
                except Gone as error:
                    listed = False
                    self._lost(error, started)
                except ApiError as error:
                    self._lost(error, started)
                except Exception:
                    log.exception("Following %s failed; listing anew.", self.kind.definition.plural)
                    self._set_connected(False)
                    listed = False
                    self._failures += 1
                await asyncio.sleep(self._backoff.delay(self._failures, random.random()))
        finally:
            self._set_connected(False)

    async def _list(self) -> None:
        listing = await self._client.list(self.kind, self.namespace)
        if version_of(listing.resource_version) < self.version:
            self._expected.clear()
        self._tell(self._view.replace(listing))
        self.synced.set()
        await self._notify()

    async def _watch(self) -> None:
        events = self._client.watch(
            self.kind, self.namespace, resource_version=str(self.version), bookmarks=True, on_open=self._found
        )
        async with aclosing(events):
            until = time.monotonic() + SLICE
            async for event in events:
                self._failures = 0
                self._tell(self._view.apply(event.type, event.object))
                await self._notify()
                # Thousands of events that have come together would otherwise be taken in without anybody else having a turn.
                if time.monotonic() > until:
                    await asyncio.sleep(0)
                    until = time.monotonic() + SLICE

    def _tell(self, transitions: list[Transition[R]]) -> None:
        self._heard = time.monotonic()
        INFORMER_OBJECTS.labels(*self._labels).set(len(self.objects))
        for transition in transitions:
            for handler in self._handlers:
                _call(handler, transition)

    async def _notify(self) -> None:
        if self._expected:
            self._expected = {key: version for key, version in self._expected.items() if version > self.version}
        async with self._moved:
            self._moved.notify_all()

    def _set_connected(self, connected: bool) -> None:
        self.connected = connected
        INFORMER_CONNECTED.labels(*self._labels).set(connected)

    def _found(self) -> None:
        self._set_connected(True)
        self.trouble = ""
        if self._failures > 1:
            log.info("Following %s again.", self.kind.definition.plural)

    def _lost(self, error: object, started: float) -> None:
        self._set_connected(False)
        if time.monotonic() - started > self._backoff.ceiling:
            self._failures = 0
        self._failures += 1
        if isinstance(error, Unauthorized | Forbidden):
            self._refused(error)
            return
        self.trouble = ""
        level = logging.WARNING if self._failures == 2 else logging.DEBUG
        log.log(level, "Lost sight of %s, trying again: %s", self.kind.definition.plural, error)

    def _refused(self, error: ApiError) -> None:
        """Say once what an administrator has to do; nothing else will help."""
        before, self.trouble = self.trouble, f"{error.detail} ({error.status})"
        if self.trouble == before:
            return
        advice = how_to_be_known()
        if isinstance(error, Forbidden):
            definition, where = self.kind.definition, "all namespaces" if self.namespace is None else self.namespace
            advice = f"give this user a role with the verb list for {definition.plural} of {definition.api} in {where}."
        log.error("The API refuses to tell of %s: %s To go on, %s", self.kind.definition.plural, self.trouble, advice)


def how_to_be_known() -> str:
    """What to do where the API does not know who asks."""
    return (
        "let this process show a certificate (tls.client_cert and tls.client_key) or a token (token_file) that the API knows."
    )


def _call(handler: Callable[[R | None, R | None], None], transition: Transition[R]) -> None:
    """A handler that fails on one object must not keep the others from being seen."""
    try:
        handler(transition.old, transition.new)
    except Exception:
        log.exception("Handling a change of %s failed.", transition.key)
