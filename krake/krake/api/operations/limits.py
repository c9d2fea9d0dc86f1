"""Refuses who asks for too much."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import hdrs, web

from krake.api.operations.figures import Figures
from krake.api.operations.rates import MOST_BUCKETS, Buckets, Seats
from krake.api.problem import Problem, too_many
from krake.api.requests import IDENTITY, Identity
from krake.api.settings import RateSettings

_SEAT_WAIT = 5.0


class Limits:
    """Counts the requests and watches of users, and the failed logins of addresses.

    Anonymous users are told apart by their addresses.

    :param watches: so many a user may have open.
    """

    def __init__(self, rate: RateSettings, watches: int, figures: Figures) -> None:
        self._users = Buckets(rate.per_second, rate.burst)
        self._addresses = Buckets(rate.failed_logins / 60, rate.failed_logins)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._watches = watches
        self._seats = Seats(watches)
        self._figures = figures

    def check_user(self, identity: Identity, request: web.Request) -> None:
        """Count a request. Raises Problem 429."""
        if seconds := self._users.take(_name(identity, request), time.monotonic()):
            raise self._refusal("user", f"{identity.name} sends too many requests", seconds)

    def check_address(self, request: web.Request) -> None:
        """Refuse to look at new credentials from where too many were wrong. Raises Problem 429.

        Those that were right before are no guesses: who guesses must not lock out the others at an address, say of a proxy.
        """
        if hdrs.AUTHORIZATION not in request.headers or _digest(request) in self._known:
            return
        if seconds := self._addresses.wait(request.remote or "", time.monotonic()):
            raise self._refusal("logins", "Too many attempts to log in have failed from this address", seconds)

    def remember_login(self, request: web.Request) -> None:
        """Remember that the credentials of a request, if it had any, were right."""
        if hdrs.AUTHORIZATION in request.headers:
            digest = _digest(request)
            self._known[digest] = None
            self._known.move_to_end(digest)
            if len(self._known) > MOST_BUCKETS:
                self._known.popitem(last=False)

    def count_failed_login(self, request: web.Request) -> None:
        """Remember that the credentials of a request, if it had any, were wrong."""
        if hdrs.AUTHORIZATION in request.headers:
            self._known.pop(_digest(request), None)
            self._addresses.take(request.remote or "", time.monotonic())

    @contextmanager
    def watching(self, request: web.Request) -> Iterator[None]:
        """Count a watch, or who waits for a state, as long as the context lasts. Raises Problem 429."""
        identity = request[IDENTITY]
        with self._seats.taken(_name(identity, request)) as seated:
            if not seated:
                reason = f"{identity.name} has {self._watches} watches open, and may not have more; close some"
                raise self._refusal("watches", reason, _SEAT_WAIT)
            yield

    def _refusal(self, limit: str, reason: str, seconds: float) -> Problem:
        self._figures.count_limited(limit)
        return too_many(f"{reason}; try again in {math.ceil(seconds)} s.", seconds)


def _digest(request: web.Request) -> bytes:
    credentials = [request.remote or "", *request.headers.getall(hdrs.AUTHORIZATION)]
    return hashlib.sha256("\n".join(credentials).encode(errors="surrogateescape")).digest()


def _name(identity: Identity, request: web.Request) -> str:
    return identity.name if identity.way != "anonymous" else f"{identity.name} at {request.remote}"
