"""Workers that reconcile keys."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from krake.client.errors import ApiError, Conflict, Forbidden, Unauthorized, Unavailable
from krake.controller.runtime import metrics
from krake.controller.runtime.informer import Informer, how_to_be_known
from krake.controller.runtime.queue import BACKOFF, Closed, Queue
from krake.data.metadata import Key
from krake.lib import context
from krake.lib.backoff import Backoff

K = TypeVar("K", bound=Hashable)

log = logging.getLogger(__name__)


_SILENCE = 600.0
"""Seconds in which the same refusal of the API is not told again."""


@dataclass(frozen=True)
class Result:
    """What came out of reconciling a key: in how many seconds to look at it again; ``None`` for not before it changes."""

    requeue_after: float | None = None


class Stale(Exception):
    """What was written before is not seen yet."""


class Controller(Generic[K]):
    """Calls ``reconcile(key)`` for each key that is enqueued: several keys at once, one key never twice at once.

    An exception costs the key a back-off and is logged, with its traceback only if it is not the same as the last time. The
    back-off is always short when the API was unavailable: the key can not help it.

    :param workers: so many keys at once.
    :param reads: informers whose objects *reconcile* looks up by the same key; it is called only once they have seen what was
        announced to them by `Informer.expect`.
    :param debounce: seconds that a key is held back after it was enqueued, so that what follows it closely is handled with it.
    :param time_limit: seconds after which *reconcile* is cancelled.
    :param rank: how soon a key is worked on compared with others that wait; the least first.
    :param share: whose a key is: those of each are worked on in turn, and ranks count only among those of the same.
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[Result | None]],
        workers: int = 5,
        *,
        reads: Sequence[Informer[Any]] = (),
        debounce: float = 0.0,
        time_limit: float = 300.0,
        backoff: Backoff = BACKOFF,
        rank: Callable[[K], Any] | None = None,
        share: Callable[[K], Hashable] | None = None,
    ) -> None:
        self.name = name
        self._reconcile = reconcile
        self._workers = workers
        self._reads = reads
        self._debounce = debounce
        self._time_limit = time_limit
        self._queue: Queue[K] = Queue(backoff, rank, share)
        self._last_error: dict[K, str] = {}
        self._silent_until: dict[str, float] = {}
        backlog = self._queue.backlog
        metrics.QUEUE_DEPTH.labels(name).set_function(lambda: backlog.ready)
        metrics.QUEUE_OLDEST.labels(name).set_function(lambda: self._queue.oldest)
        metrics.QUEUE_DELAYED.labels(name).set_function(lambda: backlog.delayed)
        metrics.RECONCILE_ACTIVE.labels(name).set_function(lambda: len(backlog.active))

    def __repr__(self) -> str:
        return f"<Controller {self.name}>"

    def enqueue(self, key: K, after: float = 0.0) -> None:
        """Have a key reconciled, in *after* seconds at the latest."""
        self._queue.add(key, max(after, self._debounce))

    def stop(self) -> None:
        """Begin no more work; `run` returns when what is under way is done."""
        self._queue.close()

    async def run(self) -> None:
        """Work until stopped; if cancelled, what is under way is cancelled too."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"{self.name}-{number}")

    async def _work(self) -> None:
        while True:
            try:
                key, waited = await self._queue.take()
            except Closed:
                return
            metrics.QUEUE_WAIT.labels(self.name).observe(waited)
            try:
                await self._handle(key)
            finally:
                self._queue.done(key)

    async def _handle(self, key: K) -> None:
        context.request_id.set(uuid.uuid4().hex)
        context.key.set(f"{self.name} {key}")
        started = time.monotonic()
        try:
            result = await self._attempt(key)
        except Exception as error:
            outcome = self._failed(key, error)
        else:
            outcome = "success"
            self._queue.succeed(key)
            self._last_error.pop(key, None)
            if result is not None and result.requeue_after is not None:
                self._queue.add(key, result.requeue_after)
        metrics.RECONCILE_SECONDS.labels(self.name, outcome).observe(time.monotonic() - started)

    async def _attempt(self, key: K) -> Result | None:
        try:
            async with asyncio.timeout(self._time_limit):
                for informer in self._reads:
                    if isinstance(key, Key) and not await informer.catch_up(key):
                        raise Stale(f"What was last written is not seen in {informer} yet.")
                return await self._reconcile(key)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Something inside was cancelled, not this worker: that is a failure of this key like any other.
            raise RuntimeError("What this was waiting for was cancelled.") from error

    def _failed(self, key: K, error: Exception) -> str:
        outcome = _outcome_of(error)
        metrics.RECONCILE_RETRIES.labels(self.name).inc()
        delay = self._queue.postpone(key) if outcome == "unavailable" else self._queue.retry(key)
        said = f"{type(error).__name__}: {error}"
        known, self._last_error[key] = self._last_error.get(key), said
        if isinstance(error, Unauthorized | Forbidden):
            self._refused(error)
        elif outcome == "conflict":
            log.info("%s: %s changed meanwhile, again in %.1f s: %s", self.name, key, delay, error)
        elif known == said or outcome == "unavailable":
            log.warning("%s: %s failed, again in %.1f s: %s", self.name, key, delay, said)
        else:
            log.error("%s: %s failed, again in %.1f s: %s", self.name, key, delay, said, exc_info=error)
        return outcome

    def _refused(self, error: ApiError) -> None:
        """What is not allowed for one key is not for all: say it once in a while, and what an administrator has to do."""
        now = time.monotonic()
        if now < self._silent_until.get(error.detail, now):
            log.debug("%s: refused again: %s", self.name, error)
            return
        self._silent_until[error.detail] = now + _SILENCE
        known = isinstance(error, Forbidden)
        advice = "give this user a role that allows it." if known else how_to_be_known()
        log.error("%s: the API refuses what is to be done, and is asked again later: %s To go on, %s", self.name, error, advice)


def _outcome_of(error: Exception) -> str:
    match error:
        case Conflict() | Stale():
            return "conflict"
        case Unavailable():
            return "unavailable"
        case ApiError():
            return "refused"
        case TimeoutError():
            return "timeout"
    return "error"
