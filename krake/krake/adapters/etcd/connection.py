"""Reaches the members of an etcd cluster: channels, login, time limits, fail-over and repetition."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from krake.adapters.etcd import rpc_pb2 as rpc
from krake.adapters.etcd.errors import Failure, Remedy, diagnose
from krake.adapters.etcd.metrics import measured
from krake.lib.backoff import Backoff
from krake.ports.store import Denied, Unavailable

Answer = TypeVar("Answer", bound=Message)
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rpc(Generic[Answer]):
    """A remote procedure: its path and what it answers with."""

    path: str
    answer: type[Answer]


RANGE = Rpc("/etcdserverpb.KV/Range", rpc.RangeResponse)
TXN = Rpc("/etcdserverpb.KV/Txn", rpc.TxnResponse)
LEASE_GRANT = Rpc("/etcdserverpb.Lease/LeaseGrant", rpc.LeaseGrantResponse)
COMPACT = Rpc("/etcdserverpb.KV/Compact", rpc.CompactionResponse)
WATCH = Rpc("/etcdserverpb.Watch/Watch", rpc.WatchResponse)
AUTHENTICATE = Rpc("/etcdserverpb.Auth/Authenticate", rpc.AuthenticateResponse)
STATUS = Rpc("/etcdserverpb.Maintenance/Status", rpc.StatusResponse)

_CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    # Neither a list nor a write is limited by gRPC; etcd has its own limits.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Notices a peer that hangs. etcd hangs up on those who ask more often than every 5 s, or without a call under way.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC would wait for up to 2 minutes before it tries to reach a lost member again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A store is inside the own network, never behind the proxy to the internet.
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
]

_REPETITION = Backoff(initial=0.02, ceiling=0.5)


@dataclass(frozen=True, slots=True)
class Tls:
    """What to trust, and how to show who we are; all PEM."""

    ca: bytes | None = None
    """Trusted authorities; None: those of the machine."""
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def load(cls, ca: Path | None = None, certificate: Path | None = None, key: Path | None = None) -> Self:
        """Read the files. Raises OSError."""
        return cls(*(path.read_bytes() if path else None for path in (ca, certificate, key)))


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str = field(repr=False)


class Member:
    """One member of the cluster and the channel to it."""

    def __init__(self, endpoint: str, tls: Tls | None) -> None:
        """Raises ValueError if the endpoint is not `host:port`, `http://host:port` or `https://host:port`."""
        scheme, _, address = endpoint.rpartition("://")
        if scheme not in ("", "http", "https") or ":" not in address or "/" in address:
            raise ValueError(f"The etcd endpoint {endpoint} must be http://host:port or https://host:port.")
        self.endpoint = endpoint
        if scheme == "https" or (tls is not None and scheme == ""):
            tls = tls or Tls()
            credentials = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)
            self.channel = grpc.aio.secure_channel(address, credentials, options=_CHANNEL_OPTIONS)
        else:
            self.channel = grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._unary: dict[str, grpc.aio.UnaryUnaryMultiCallable[Any, Any]] = {}

    @property
    def connected(self) -> bool:
        return self.channel.get_state() is grpc.ChannelConnectivity.READY

    async def call(self, procedure: Rpc[Answer], request: Message, timeout: float, metadata: Metadata) -> Answer:
        """Raises grpc.aio.AioRpcError."""
        caller = self._unary.get(procedure.path)
        if caller is None:
            caller = self.channel.unary_unary(procedure.path, type(request).SerializeToString, procedure.answer.FromString)
            self._unary[procedure.path] = caller
        answer: Answer = await caller(request, timeout=timeout, metadata=metadata)
        return answer

    def watch(
        self, requests: AsyncIterator[rpc.WatchRequest], metadata: Metadata
    ) -> grpc.aio.StreamStreamCall[rpc.WatchRequest, rpc.WatchResponse]:
        """Opens a stream of its own on the shared channel."""
        caller = self.channel.stream_stream(WATCH.path, rpc.WatchRequest.SerializeToString, rpc.WatchResponse.FromString)
        return caller(requests, metadata=metadata)


class Connection:
    """The way to a cluster: talks to one member as long as it answers, then to the next."""

    def __init__(self, endpoints: Sequence[str], tls: Tls | None, login: Login | None, timeout: float) -> None:
        if not endpoints:
            raise ValueError("The store needs at least one etcd endpoint.")
        self.timeout = timeout
        self._members = [Member(endpoint, tls) for endpoint in endpoints]
        self._turn = 0
        self._login = login
        self._token: str | None = None
        self._closed = asyncio.Event()

    @property
    def member(self) -> Member:
        """The member to talk to now."""
        return self._members[self._turn]

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def leave(self, member: Member) -> None:
        """Turn to the next member, unless that has happened already."""
        if member is self.member:
            self._turn = (self._turn + 1) % len(self._members)

    async def close(self) -> None:
        self._closed.set()
        await asyncio.gather(*(member.channel.close(None) for member in self._members))

    async def pause(self, delay: float) -> None:
        """Wait; raises Unavailable as soon as the connection is closed."""
        try:
            async with asyncio.timeout(delay):
                await self._closed.wait()
        except TimeoutError:
            return
        raise _closed()

    async def read(self, procedure: Rpc[Answer], request: Message, timeout: float | None = None) -> Answer:
        """Call something that changes nothing, again and at all members if need be, within the time limit.

        Raises Unavailable, Denied, OutOfRange, StoreError.
        """
        deadline = asyncio.get_running_loop().time() + (timeout or self.timeout)
        with measured(procedure.path):
            return await self._call(procedure, request, deadline, write=False)

    async def write(self, procedure: Rpc[Answer], request: Message) -> Answer:
        """Call something that changes the store; repeated only where it was surely not applied.

        Raises Unavailable (`outcome_unknown` if so), Denied, OutOfRange, NoLease, TooLarge, StoreError.
        """
        deadline = asyncio.get_running_loop().time() + self.timeout
        if not self.member.connected:
            # A call that fails while connecting cannot be told from one that was cut off. A read first makes it sure.
            await self._call(RANGE, PROBE, deadline, write=False)
        with measured(procedure.path):
            return await self._call(procedure, request, deadline, write=True)

    async def _call(self, procedure: Rpc[Answer], request: Message, deadline: float, *, write: bool) -> Answer:
        now = asyncio.get_running_loop().time
        # A member that hangs must leave time to ask the others.
        share = self.timeout if write else self.timeout / len(self._members)
        renewed = False
        for failures in count(1):
            member = self.member
            answer = await self._attempt(member, procedure, request, min(share, deadline - now()), write=write)
            if not isinstance(answer, Failure):
                return answer
            if answer.remedy is Remedy.NONE:
                raise answer.error
            if answer.remedy is Remedy.LOG_IN:
                if renewed or self._login is None:
                    raise answer.error
                renewed, self._token = True, None
                continue
            self.leave(member)
            delay = _REPETITION.delay(failures, random.random())
            if now() + delay >= deadline:
                raise answer.error
            await self.pause(delay)
        raise AssertionError("An endless loop has ended.")

    async def _attempt(
        self, member: Member, procedure: Rpc[Answer], request: Message, timeout: float, *, write: bool
    ) -> Answer | Failure:
        if self.closed:
            raise _closed()
        try:
            metadata = await self.metadata(member, timeout)
            return await member.call(procedure, request, timeout, metadata)
        except grpc.aio.AioRpcError as error:
            return diagnose(error.code(), error.details() or "", member.endpoint, write=write)
        except asyncio.CancelledError:
            self.check_cut_off(outcome_unknown=write)
            raise

    def check_cut_off(self, *, outcome_unknown: bool = False) -> None:
        """Raises Unavailable if a cancellation comes from closing the channel, and not from who cancelled the task."""
        task = asyncio.current_task()
        if self.closed and task is not None and not task.cancelling():
            raise _closed(outcome_unknown=outcome_unknown) from None

    async def metadata(self, member: Member, timeout: float, *, renew: bool = False) -> Metadata:
        """What to send along with each call: the token of the session, if there is a login. Raises AioRpcError, Denied."""
        if self._login is None:
            return ()
        if self._token is None or renew:
            self._token = await self._log_in(self._login, member, timeout)
        return (("token", self._token),) if self._token else ()

    async def _log_in(self, login: Login, member: Member, timeout: float) -> str:
        request = rpc.AuthenticateRequest(name=login.user, password=login.password)
        try:
            return (await member.call(AUTHENTICATE, request, timeout, ())).token
        except grpc.aio.AioRpcError as error:
            details = error.details() or ""
            if "authentication is not enabled" in details:
                return ""
            failure = diagnose(error.code(), details, member.endpoint, write=False)
            if isinstance(failure.error, Denied):
                raise failure.error from None
            raise


PROBE = rpc.RangeRequest(key=b"/", count_only=True)
"""The cheapest read; a user that may read below `/` may do this."""


def _closed(*, outcome_unknown: bool = False) -> Unavailable:
    return Unavailable("The store has been closed by this process.", outcome_unknown=outcome_unknown)
