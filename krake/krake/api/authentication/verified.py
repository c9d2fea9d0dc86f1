"""Keeps what a service said of tokens for a while, and asks it once however many requests carry the same one."""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

from krake.ports.identity import IdentityService, Rejected, Unavailable, User

logger = logging.getLogger("krake.api")

Verdict: TypeAlias = User | Rejected | Unavailable
"""Errors are values here: one that is kept would grow by a traceback each time that it is raised."""

_REFUSED_LIFETIME = 3.0
"""Seconds for which a refusal is kept: a client that repeats a bad token does not trouble the service each time."""
_CAPACITY = 10_000


async def ask(service: IdentityService, token: str) -> Verdict:
    """Return whose token it is, or why nobody knows."""
    try:
        return await service.identify(token)
    except Rejected as refusal:
        return refusal.with_traceback(None)
    except Unavailable as failure:
        return failure.with_traceback(None)


class _Kept(NamedTuple):
    verdict: Verdict
    until: float


class _Memory:
    """Verdicts by the digest of the token; the oldest make room for new ones."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def find(self, digest: bytes, now: float) -> Verdict | None:
        kept = self._kept.get(digest)
        if kept is None:
            return None
        if kept.until <= now:
            del self._kept[digest]
            return None
        return kept.verdict

    def keep(self, digest: bytes, verdict: Verdict, until: float) -> None:
        self._kept.pop(digest, None)
        self._kept[digest] = _Kept(verdict, until)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)


class Verified:
    """Asks a service whose tokens are.

    :param name: of the service, for the log.
    :param lifetime: seconds for which a user is believed in; never longer than the token lives.
    :param clock: seconds that pass, whatever the time of day.
    :param now: the time of day.
    :param capacity: how many users, and how many refusals, are kept at most.
    """

    def __init__(
        self,
        name: str,
        service: IdentityService,
        lifetime: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        capacity: int = _CAPACITY,
    ) -> None:
        self._name = name
        self._service = service
        self._lifetime = lifetime
        self._clock = clock
        self._now = now
        # Apart, so that a flood of bad tokens does not push out the good ones.
        self._users = _Memory(capacity)
        self._refusals = _Memory(capacity)
        self._asking: dict[bytes, asyncio.Task[Verdict]] = {}
        self._available = True

    async def verify(self, token: str) -> Verdict:
        """Return whose token it is, or why nobody knows."""
        # The token itself is kept nowhere.
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock()
        kept = self._users.find(digest, now) or self._refusals.find(digest, now)
        if kept is not None:
            return kept
        asking = self._asking.get(digest)
        if asking is None:
            asking = asyncio.create_task(self._ask(digest, token))
            self._asking[digest] = asking
            asking.add_done_callback(lambda _: self._asking.pop(digest, None))
        # A client that hangs up must not spoil it for the others who wait for the same answer.
        return await asyncio.shield(asking)

    async def _ask(self, digest: bytes, token: str) -> Verdict:
        verdict = await ask(self._service, token)
        self._note(verdict)
        if isinstance(verdict, User):
            self._users.keep(digest, verdict, self._clock() + self._lifetime_of(verdict))
        elif isinstance(verdict, Rejected):
            self._refusals.keep(digest, verdict, self._clock() + _REFUSED_LIFETIME)
        return verdict

    def _lifetime_of(self, user: User) -> float:
        if user.expires is None:
            return self._lifetime
        return min(self._lifetime, (user.expires - self._now()).total_seconds())

    def _note(self, verdict: Verdict) -> None:
        """Say in the log when the service fails, and when it is back; not at each request."""
        if self._available and isinstance(verdict, Unavailable):
            logger.warning("Users are not known by %s now: %s (cause: %s)", self._name, verdict, verdict.__cause__)
        elif not self._available and not isinstance(verdict, Unavailable):
            logger.info("Users are known by %s again.", self._name)
        self._available = not isinstance(verdict, Unavailable)
