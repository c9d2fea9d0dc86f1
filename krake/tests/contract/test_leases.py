"""How entries of etcd expire: leases that are shared, and what happens when they, etcd or we are not there any more."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
from fixtures.store_history import LIMIT, wait_until_served

from krake.adapters.etcd import EtcdStore, rpc_pb2
from krake.adapters.etcd.messages import point_read
from krake.up.etcd import EtcdProcess

WRITER = """
import asyncio, sys
from krake.adapters.etcd import EtcdStore

async def write():
    async with EtcdStore([sys.argv[1]]) as store:
        await store.create("/e/a", b"", ttl=2)
        print("written", flush=True)
        await asyncio.Event().wait()

asyncio.run(write())
"""


def field(number: int, value: int) -> bytes:
    """A number in the wire format of protobuf."""
    out = bytearray([number << 3])
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


async def lease_of(etcd: EtcdProcess, key: str) -> int:
    """The id of the lease of an entry."""
    async with grpc.aio.insecure_channel(etcd.endpoint.removeprefix("http://")) as channel:
        call = channel.unary_unary(
            "/etcdserverpb.KV/Range", rpc_pb2.RangeRequest.SerializeToString, rpc_pb2.RangeResponse.FromString
        )
        return int((await call(point_read(key))).kvs[0].lease)


async def revoke(etcd: EtcdProcess, lease: int) -> None:
    """End a lease, as an administrator may."""
    async with grpc.aio.insecure_channel(etcd.endpoint.removeprefix("http://")) as channel:
        await channel.unary_unary("/etcdserverpb.Lease/LeaseRevoke", bytes, bytes)(field(1, lease))


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(LIMIT):
        while not await condition():  # noqa: ASYNC110 (etcd does it)
            await asyncio.sleep(0.05)


async def test_many_entries_share_one_lease(etcd: EtcdProcess, etcd_store: EtcdStore) -> None:
    await asyncio.gather(*(etcd_store.create(f"/e/{number}", b"", ttl=600) for number in range(50)))
    leases = {await lease_of(etcd, f"/e/{number}") for number in range(50)}
    assert len(leases) == 1
    await etcd_store.create("/e/other", b"", ttl=700)
    assert await lease_of(etcd, "/e/other") not in leases
    assert 0 not in leases


async def test_a_lease_is_not_shared_by_too_many(etcd: EtcdProcess, etcd_store: EtcdStore) -> None:
    for start in range(0, 1100, 100):
        await asyncio.gather(*(etcd_store.create(f"/e/{start + number}", b"", ttl=600) for number in range(100)))
    assert await lease_of(etcd, "/e/0") != await lease_of(etcd, "/e/1099")


async def test_a_lease_that_is_gone_is_replaced(etcd: EtcdProcess, etcd_store: EtcdStore) -> None:
    await etcd_store.create("/e/1", b"", ttl=600)
    await revoke(etcd, await lease_of(etcd, "/e/1"))
    assert await etcd_store.get("/e/1") is None
    await etcd_store.create("/e/2", b"", ttl=600)
    assert await lease_of(etcd, "/e/2") != 0


async def test_entries_expire_though_their_writer_was_killed(etcd: EtcdProcess, etcd_store: EtcdStore) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, etcd.endpoint, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert await etcd_store.get("/e/a") is not None

    async def gone() -> bool:
        return await etcd_store.get("/e/a") is None

    await until(gone)


async def test_entries_expire_though_etcd_was_killed(etcd_process: EtcdProcess) -> None:
    async with EtcdStore([etcd_process.endpoint]) as store:
        await store.create("/e/a", b"", ttl=2)
        await store.create("/e/b", b"")
        await etcd_process.kill()
        await etcd_process.restart()
        await wait_until_served(store)

        async def left() -> bool:
            return [entry.key for entry in (await store.list("/e/")).entries] == ["/e/b"]

        await until(left)
