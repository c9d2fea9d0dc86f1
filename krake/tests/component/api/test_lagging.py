"""An API whose cache lags behind what another one writes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fixtures.api import Serve
from fixtures.samples import path_of, sample

from krake.adapters.etcd import EtcdStore
from krake.data.kubernetes import Application
from krake.ports.store import Batch, Store

APP = path_of(Application, "sample")


class Lagging:
    """A store whose changes are told only while it is in step."""

    def __init__(self, store: EtcdStore) -> None:
        self._store = store
        self.in_step = asyncio.Event()
        self.in_step.set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        async with aclosing(self._store.watch(prefix, after)) as batches:
            async for batch in batches:
                await self.in_step.wait()
                yield batch


def lagging(store: EtcdStore) -> tuple[Store, asyncio.Event]:
    made = Lagging(store)
    return made, made.in_step  # type: ignore[return-value]


async def test_what_was_answered_is_read_afterwards(serve_api: Serve, etcd_store: EtcdStore) -> None:
    """Also if the answer says that nothing was to change, in a version that only the other API has seen."""
    store, in_step = lagging(etcd_store)
    async with serve_api() as ahead, serve_api(store) as behind:
        await ahead.post(path_of(Application), sample(Application))
        in_step.clear()
        newer = await ahead.patch(f"{APP}/status", {"status": {"state": "RUNNING"}})
        request = asyncio.create_task(behind.put(f"{APP}/status", newer.json))
        done, _ = await asyncio.wait({request}, timeout=0.5)
        assert not done, "The answer is ahead of what can be read."
        in_step.set()
        answer = await request
        assert (answer.status, answer.json) == (200, newer.json)
        assert (await behind.get(APP)).json == newer.json
