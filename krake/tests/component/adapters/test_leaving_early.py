"""Whoever is stopped while it connects leaves nothing open behind."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import aiohttp
import pytest

from krake.adapters.infrastructure import Connector
from krake.adapters.kubernetes import connect
from krake.adapters.metrics.sources import Sources
from krake.adapters.outgoing import Outgoing
from krake.data.destinations import Destinations
from krake.ports.cluster import Unreachable

KUBECONFIG = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "c", "user": {"token": "t"}}],
}


def open_sessions() -> set[int]:
    return {id(each) for each in gc.get_objects() if isinstance(each, aiohttp.ClientSession) and not each.closed}


async def cancel_after(delay: float, work: Coroutine[Any, Any, None]) -> None:
    """Let something run for a while, and cancel it."""
    task = asyncio.create_task(work)
    await asyncio.sleep(delay)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


OPENED: dict[str, Callable[[], AbstractAsyncContextManager[Any]]] = {
    "one": lambda: Outgoing(Destinations(), "setting", timeout=1),
    "infrastructure": lambda: Connector(Destinations(), "setting", timeout=1),
    "metrics": lambda: Sources(Destinations(), timeout=1),
}


@pytest.mark.parametrize("delay", [0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128])
@pytest.mark.parametrize("kind", OPENED)
async def test_cancelled_while_it_opens(kind: str, delay: float) -> None:
    before = open_sessions()

    async def use() -> None:
        async with OPENED[kind]():
            await asyncio.sleep(0)

    await cancel_after(delay, use())
    assert open_sessions() <= before


@pytest.mark.parametrize("turns", range(12))
async def test_closed_while_it_opens(turns: int) -> None:
    before = open_sessions()
    cluster = connect(KUBECONFIG, timeout=5)
    asking = asyncio.create_task(cluster.version())
    for _ in range(turns):
        await asyncio.sleep(0)
    await cluster.close()
    with suppress(Unreachable):
        await asking
    assert open_sessions() <= before
