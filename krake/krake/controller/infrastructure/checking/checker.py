"""Asks about all resources of a kind, and writes what it hears."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, TypeVar

from krake.client import Client, NotFound
from krake.controller.infrastructure.checking.verdict import Pace, conclude, is_blip, tell
from krake.controller.runtime import Controller, Informer, Recorder, Result, patch_status
from krake.data import Key
from krake.data.kinds import Resource
from krake.data.metadata import Status
from krake.ports.infrastructure import InfrastructureError, Unavailable

R = TypeVar("R", bound=Resource)

WELL = 20
"""How many that have answered last time are asked at once."""
AILING = 80
"""How many others are: most of these take all the time they may have."""

log = logging.getLogger(__name__)


class Checker(Generic[R]):
    """Keeps the state and the reason of the resources of a kind current: at once after a change, and then regularly.

    :param ask: raises `InfrastructureError` if something is wrong with a resource.
    """

    def __init__(
        self,
        client: Client,
        informer: Informer[R],
        recorder: Recorder,
        ask: Callable[[R], Awaitable[None]],
        pace: Pace,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._informer = informer
        self._recorder = recorder
        self._ask = ask
        self._pace = pace
        self._now = now
        self._failures: dict[Key, int] = {}
        """Of each that was asked as it is declared now: how often it has failed since it did not."""
        self._changed: set[Key] = set()
        """Those that were not asked since somebody has changed them, who waits for the answer."""
        self._well = self._make_controller("checks", WELL, ailing=False)
        self._ailing = self._make_controller("checks of ailing", AILING, ailing=True)
        informer.on_change(self._follow)

    @property
    def controllers(self) -> Sequence[Controller[Key]]:
        """What works here."""
        return self._well, self._ailing

    def enqueue(self, key: Key) -> None:
        """Have a resource checked at once."""
        (self._ailing if self._is_ailing(key) else self._well).enqueue(key)

    def _make_controller(self, name: str, workers: int, *, ailing: bool) -> Controller[Key]:
        return Controller(
            f"{name} {self._informer.kind.definition.plural}",
            partial(self._check, ailing=ailing),
            workers,
            reads=[self._informer],
            # Nobody waits for those of another namespace, nor those that are new for those that have failed often.
            share=lambda key: key.namespace,
            rank=lambda key: self._failures.get(key, 0),
        )

    def _is_ailing(self, key: Key) -> bool:
        """Whether a resource has failed, or was never asked: it may well take long."""
        return self._failures.get(key, 1) > 0

    async def _check(self, key: Key, *, ailing: bool) -> Result | None:
        obj = self._informer.get(key)
        if obj is None or obj.metadata.deleted is not None:
            self._failures.pop(key, None)
            self._changed.discard(key)
            return None
        if self._is_ailing(key) != ailing:
            self.enqueue(key)
            return None
        failure = await self._find_failure(obj)
        current = self._informer.get(key)
        if current is None or _asked(current) != _asked(obj):
            return None  # it was enqueued for that
        known = self._failures.get(key)
        failures = (known or 0) + 1 if failure else 0
        if failure is None or known is None or not is_blip(failure, failures):
            await self._write(current, failure, anew=key in self._changed)
            self._changed.discard(key)
        self._failures[key] = failures
        # Spread, so that not all are asked at once.
        wait = self._pace.wait(failures) * random.uniform(0.9, 1.1)
        if self._is_ailing(key) == ailing:
            return Result(wait)
        (self._well if ailing else self._ailing).enqueue(key, wait)
        return None

    async def _find_failure(self, obj: R) -> InfrastructureError | None:
        try:
            async with asyncio.timeout(self._pace.timeout):
                await self._ask(obj)
        except InfrastructureError as error:
            return error
        except TimeoutError:
            return Unavailable(f"It did not answer within {self._pace.timeout:g} s.")
        except Exception:
            # Nothing must stay unchecked for ever because of an answer that nobody has thought of.
            log.exception("Checking %s failed.", obj.ref)
            return Unavailable("It answered something that can not be read.")
        return None

    async def _write(self, obj: R, failure: InfrastructureError | None, *, anew: bool) -> None:
        before: Status = getattr(obj, "status")  # noqa: B009 (not every kind has one)
        after = conclude(before, failure, self._now(), anew=anew)
        if after is before:
            return
        try:
            await patch_status(self._client, obj, after, informer=self._informer)
        except NotFound:
            return
        if (said := tell(before, after)) is not None:
            log.info("%s: %s", obj.ref, said.message)
            self._recorder.record(obj, said)

    def _follow(self, old: R | None, new: R | None) -> None:
        obj: Any = new or old
        if old is None or new is None or _asked(old) != _asked(new):
            # Whatever failed before, the new declaration deserves an attempt of its own.
            self._failures.pop(obj.key, None)
            if old is not None and new is not None:
                self._changed.add(obj.key)
            self.enqueue(obj.key)


def _asked(obj: Any) -> object:
    return obj.metadata.uid, obj.spec, obj.metadata.deleted
