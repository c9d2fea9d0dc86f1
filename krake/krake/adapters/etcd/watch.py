"""Follows the changes below a prefix across lost connections, members and restarts of etcd."""

import asyncio
import logging
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import grpc.aio

from krake.adapters.etcd import rpc_pb2 as rpc
from krake.adapters.etcd.connection import PROBE, RANGE, STATUS, Connection, Member
from krake.adapters.etcd.errors import diagnose
from krake.adapters.etcd.messages import change, prefix_watch
from krake.lib.backoff import Backoff
from krake.ports.store import Batch, Compacted, Denied, Unavailable

logger = logging.getLogger(__name__)

_RECONNECTION = Backoff(initial=0.05, ceiling=2.0)


class Assembler:
    """Puts the pieces that etcd sends together to batches of whole revisions, each handed out once. Pure.

    etcd splits large responses into fragments, and the cut may go through one revision.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        """All changes up to this revision have been handed out."""
        self._events: list[rpc.Event] = []

    def add(self, response: rpc.WatchResponse) -> Batch | None:
        """The batch that this response makes complete, if any."""
        # A watch starts at the position itself, for reasons told at `_session`, and brings its changes a second time.
        self._events += (event for event in response.events if event.kv.mod_revision > self.position)
        if not response.events:
            # Progress. A member that lags behind may tell of less than another one has sent.
            return None if self._events else self._batch(max(self.position, response.header.revision))
        if not self._events:
            return None
        last = self._events[-1].kv.mod_revision
        return self._batch(last - 1 if response.fragment else last)

    def _batch(self, upto: int) -> Batch | None:
        ready = [event for event in self._events if event.kv.mod_revision <= upto]
        if not ready and self._events:
            return None
        del self._events[: len(ready)]
        self.position = ready[-1].kv.mod_revision if ready else upto
        return Batch(tuple(map(change, ready)), self.position)


async def follow(connection: Connection, prefix: str, after: int, heartbeat: float) -> AsyncGenerator[Batch, None]:
    """As `Store.watch`; asks etcd for its revision every `heartbeat` seconds."""
    position = after
    failures = 0
    while True:
        member = connection.member
        try:
            async with aclosing(_session(connection, member, prefix, position, heartbeat)) as batches:
                async for batch in batches:
                    if failures:
                        logger.info("The watch of %s goes on after revision %d.", prefix, position)
                    failures, position = 0, batch.revision
                    yield batch
        except Unavailable as error:
            if connection.closed:
                raise
            failures += 1
            level = logging.WARNING if failures == 1 else logging.DEBUG
            logger.log(level, "The watch of %s after revision %d was interrupted: %s", prefix, position, error)
            connection.leave(member)
            await connection.pause(_RECONNECTION.delay(failures, random.random()))


async def _session(
    connection: Connection, member: Member, prefix: str, after: int, heartbeat: float
) -> AsyncGenerator[Batch, None]:
    """One stream from one member, until it breaks. Raises Unavailable, Compacted, Denied.

    The watch starts at revision `after` itself, not behind it. Only so etcd refuses it as soon as `after` is not part of its
    history any more; from the next revision on it could have forgotten a deletion, or the previous values.
    """
    stream = None
    ended = asyncio.Event()
    try:
        async with asyncio.timeout(connection.timeout):
            metadata = await connection.metadata(member, connection.timeout, renew=True)
            beats = heartbeat if await _tells_progress(member, connection.timeout, metadata) else None
            requests = _requests(prefix_watch(prefix, max(after, 1)), beats, ended)
            # A member that has lost its cluster would stay silent for ever unless told that we need a leader.
            stream = member.watch(requests, (*metadata, ("hasleader", "true")))
            responses = aiter(stream)
            created = await anext(responses)
        _check_alive(created, after)
        if created.header.revision < after:
            await _check_history(connection, after)
        assembler = Assembler(after)
        async for response in responses:
            _check_alive(response, after)
            batch = assembler.add(response)
            if batch is not None:
                yield batch
        raise Unavailable(f"etcd at {member.endpoint} has ended the watch.")
    except grpc.aio.AioRpcError as error:
        raise diagnose(error.code(), error.details() or "", member.endpoint, write=False).error from None
    except (StopAsyncIteration, TimeoutError):
        raise Unavailable(f"etcd at {member.endpoint} did not start the watch in time.") from None
    except asyncio.CancelledError:
        connection.check_cut_off()
        raise
    finally:
        # A stream that was cut is not cancelled any more; it would go on to wait for its next request.
        ended.set()
        if stream is not None:
            stream.cancel()


async def _requests(start: rpc.WatchRequest, heartbeat: float | None, ended: asyncio.Event) -> AsyncIterator[rpc.WatchRequest]:
    """Ending the requests ends the watch."""
    yield start
    while not ended.is_set():
        try:
            async with asyncio.timeout(heartbeat):
                await ended.wait()
        except TimeoutError:
            yield rpc.WatchRequest(progress_request=rpc.WatchProgressRequest())


def _check_alive(response: rpc.WatchResponse, after: int) -> None:
    """Raises what it means if etcd has cancelled the watch."""
    if not response.canceled:
        return
    if response.compact_revision:
        raise Compacted(after)
    if "permission denied" in response.cancel_reason or "auth" in response.cancel_reason:
        raise Denied(f"The store denies the watch. etcd says: {response.cancel_reason}.")
    raise Unavailable(f"etcd has cancelled the watch: {response.cancel_reason or 'no reason given'}.")


async def _check_history(connection: Connection, after: int) -> None:
    """Raises Compacted if not only this member lags, but the store has never reached (or been set back before) `after`."""
    answer = await connection.read(RANGE, PROBE)
    if answer.header.revision < after:
        raise Compacted(after)


async def _tells_progress(member: Member, timeout: float, metadata: tuple[tuple[str, str], ...]) -> bool:
    """Whether the member answers a request for progress truly.

    Older ones may tell a revision whose changes they have yet to send (etcd issue 15220); to resume there would lose them.
    """
    try:
        status = await member.call(STATUS, rpc.StatusRequest(), timeout, metadata)
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise
        return False
    return progress_is_true(status.version)


def progress_is_true(version: str) -> bool:
    """Whether this version of etcd answers requests for progress only when all before has been sent."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        return False
    major, minor, patch = map(int, match.groups())
    least = {(3, 4): 25, (3, 5): 8}.get((major, minor), 0)
    return (major, minor) >= (3, 4) and patch >= least
