"""Informers against the real API, whatever happens in between."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from fixtures.api import api_config, wait_until_ready
from fixtures.proxy import Proxy

from krake.adapters.etcd import EtcdStore
from krake.api.app import serve
from krake.client import Client, Conflict
from krake.controller.runtime import Controller, Informer, Result, patch_status
from krake.data import Key, Metadata
from krake.data.core import Role
from krake.data.kubernetes import Application, ApplicationSpec, ApplicationState, ClusterConstraints, Constraints
from krake.lib.backoff import Backoff
from krake.ports.store import Store
from krake.up.etcd import EtcdProcess

SHORT = Backoff(0.01, 0.1)
StartProxy = Callable[[int], Awaitable[Proxy]]


class Api:
    """The API in this process, to be stopped and started again at the same address."""

    def __init__(self, store: Store) -> None:
        self.url = "http://127.0.0.1:0"
        self._store = store
        self._stack = AsyncExitStack()

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    async def start(self, history: int = 1000) -> None:
        config = api_config(port=self.port, watch={"history": history})
        self.url = await self._stack.enter_async_context(serve(config, self._store))
        await wait_until_ready(self.url)

    async def stop(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def own_api(etcd_store: EtcdStore) -> AsyncIterator[Api]:
    api = Api(etcd_store)
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
async def client(own_api: Api) -> AsyncIterator[Client]:
    async with Client(own_api.url) as client:
        yield client


@asynccontextmanager
async def following(url: str) -> AsyncIterator[Informer[Role]]:
    """An informer on the roles, by a client of its own."""
    async with Client(url, timeout=10, heartbeat=1) as client:
        informer = Informer(client, Role, backoff=SHORT)
        informer.index("label", lambda role: role.metadata.labels.values())
        async with running(informer.run()), asyncio.timeout(30):
            # The first sign of a watch is a bookmark.
            await informer.wait_for(lambda: informer.connected, 10)
            yield informer


@asynccontextmanager
async def running(*coroutines: Awaitable[None]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def role(name: str, **labels: str) -> Role:
    return Role(metadata=Metadata(name=name, labels=labels), rules=[])


def application() -> Application:
    manifest = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}]
    constraints = Constraints(cluster=ClusterConstraints())
    return Application(
        metadata=Metadata(name="app", namespace="ns"), spec=ApplicationSpec(manifest=manifest, constraints=constraints)
    )


async def remove(client: Client, name: str) -> None:
    await client.delete(Role, Key(None, name))


async def label(client: Client, name: str, value: str) -> Role:
    return await client.patch(Role, Key(None, name), {"metadata": {"labels": {"l": value}}})


async def sees_the_truth(informer: Informer[Role], client: Client) -> bool:
    """Whether the informer comes to see what the API says now."""
    truth = {item.key: item for item in (await client.list(Role)).items}
    return await informer.wait_for(lambda: informer.objects == truth, 15)


class Told:
    """What a handler knows that only listens to an informer."""

    def __init__(self, informer: Informer[Role]) -> None:
        self.objects: dict[Key, Role] = {}
        informer.on_change(self.listen)

    def listen(self, old: Role | None, new: Role | None) -> None:
        key = (new or old).key  # type: ignore[union-attr]
        assert self.objects.get(key) == old
        self.objects.pop(key, None)
        if new is not None:
            self.objects[key] = new


async def test_it_follows_what_happens(own_api: Api, client: Client) -> None:
    await client.create(role("before", l="x"))
    async with following(own_api.url) as informer:
        assert [each.metadata.name for each in informer.objects.values()] == ["before"]
        told = Told(informer)
        await client.create(role("a", l="x"))
        await client.create(role("b", l="y"))
        assert await sees_the_truth(informer, client)
        assert [each.metadata.name for each in informer.lookup("label", "x")] == ["a", "before"]
        await label(client, "a", "y")
        await remove(client, "before")
        assert await sees_the_truth(informer, client)
        assert [each.metadata.name for each in informer.lookup("label", "y")] == ["a", "b"]
        assert informer.lookup("label", "x") == []
        assert told.objects == informer.objects


async def test_handlers_and_indexes_that_fail_do_not_make_it_blind(own_api: Api, client: Client) -> None:
    async with following(own_api.url) as informer:
        informer.on_change(lambda old, new: 1 / 0)  # type: ignore[arg-type, return-value]
        informer.index("broken", lambda obj: [1 // 0])
        told = Told(informer)
        await client.create(role("a"))
        await label(client, "a", "x")
        assert await sees_the_truth(informer, client)
        assert told.objects == informer.objects


async def interrupt_by_cutting(proxy: Proxy) -> None:
    proxy.cut()


async def interrupt_by_hanging(proxy: Proxy) -> None:
    proxy.hang()


@pytest.mark.parametrize("interrupt", [interrupt_by_cutting, interrupt_by_hanging, Proxy.refuse])
async def test_nothing_that_happens_while_the_connection_is_gone_is_missed(
    own_api: Api, client: Client, start_proxy: StartProxy, interrupt: Callable[[Proxy], Awaitable[None]]
) -> None:
    proxy = await start_proxy(own_api.port)
    for name in ("kept", "changed", "deleted", "replaced"):
        await client.create(role(name))
    async with following(proxy.url) as informer:
        told = Told(informer)
        before = proxy.accepted
        await interrupt(proxy)
        await label(client, "changed", "x")
        await remove(client, "deleted")
        await remove(client, "replaced")
        await client.create(role("replaced"))
        await client.create(role("new"))
        if interrupt is interrupt_by_hanging:
            # The hanging connection is given up for a new one after three heartbeats, which then hangs as well.
            async with asyncio.timeout(30):
                while proxy.accepted == before:  # noqa: ASYNC110 (the proxy tells nobody)
                    await asyncio.sleep(0.01)
        await proxy.resume()
        assert await sees_the_truth(informer, client)
        assert told.objects == informer.objects


async def test_the_api_may_restart(own_api: Api, client: Client) -> None:
    await client.create(role("a"))
    async with following(own_api.url) as informer:
        told = Told(informer)
        await own_api.stop()
        await own_api.start()
        await remove(client, "a")
        await client.create(role("b"))
        assert await sees_the_truth(informer, client)
        assert told.objects == informer.objects


async def test_when_the_history_is_forgotten_everything_is_listed_anew(
    own_api: Api, client: Client, etcd_store: EtcdStore, start_proxy: StartProxy
) -> None:
    proxy = await start_proxy(own_api.port)
    for name in ("kept", "changed", "deleted"):
        await client.create(role(name))
    async with following(proxy.url) as informer:
        told = Told(informer)
        await proxy.refuse()
        await label(client, "changed", "x")
        await remove(client, "deleted")
        await client.create(role("new"))
        await own_api.stop()
        await etcd_store.compact(await etcd_store.revision())
        await own_api.start(history=1)
        await proxy.resume()
        assert await sees_the_truth(informer, client)
        assert told.objects == informer.objects


async def test_a_store_that_was_set_back_is_believed(etcd_process: EtcdProcess) -> None:
    async with EtcdStore([etcd_process.endpoint]) as store:
        api = Api(store)
        await api.start()
        async with Client(api.url) as client, following(api.url) as informer:
            for count in range(10):
                await client.create(role(f"lost-{count}"))
            assert await sees_the_truth(informer, client)
            informer.expect(Key(None, "lost-1"), str(informer.version + 5))
            await api.stop()
            await etcd_process.stop()
            shutil.rmtree(etcd_process.data_dir)
            etcd_process.data_dir.mkdir()
            await etcd_process.start()
            await api.start()
            await client.create(role("new"))
            assert await sees_the_truth(informer, client)
            assert [each.metadata.name for each in informer.objects.values()] == ["new"]
            assert await informer.catch_up(Key(None, "lost-1"), 0)
        await api.stop()


async def test_what_was_written_can_be_waited_for(own_api: Api, client: Client, start_proxy: StartProxy) -> None:
    proxy = await start_proxy(own_api.port)
    await client.create(role("a"))
    key = Key(None, "a")
    async with following(proxy.url) as informer:
        for count in range(20):
            written = await label(client, "a", str(count))
            informer.expect(key, written.metadata.resource_version)
            assert await informer.catch_up(key)
            assert informer.get(key) == written
        proxy.hang()
        written = await label(client, "a", "unseen")
        informer.expect(key, written.metadata.resource_version)
        assert not await informer.catch_up(key, 0.1)
        await proxy.resume()
        assert await informer.wait_for_version(written.metadata.resource_version or "", 15)
        assert informer.get(key) == written


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_any_mix_of_writes_and_interruptions_ends_in_the_truth(
    own_api: Api, client: Client, start_proxy: StartProxy, seed: int
) -> None:
    dice, proxy = random.Random(seed), await start_proxy(own_api.port)
    async with following(proxy.url) as informer:
        told = Told(informer)
        for step in range(120):
            name = dice.choice("abcdef")
            exists = any(item.metadata.name == name for item in (await client.list(Role)).items)
            if not exists:
                await client.create(role(name))
            elif dice.random() < 0.5:
                await remove(client, name)
            else:
                await label(client, name, str(step))
            match dice.random():
                case chance if chance < 0.1:
                    proxy.cut()
                case chance if chance < 0.15:
                    await proxy.refuse()
                case chance if chance < 0.3:
                    await proxy.resume()
        await proxy.resume()
        assert await sees_the_truth(informer, client)
        assert told.objects == informer.objects


async def test_controllers_that_write_the_same_status_do_not_overwrite_each_other(own_api: Api, client: Client) -> None:
    """Each counts one up in an own field and reads the other's; a conflict costs a back-off, never a lost count."""
    app = await client.create(application())
    informer = Informer(client, Application, backoff=SHORT)
    done = asyncio.Event()

    async def count_up(key: Key) -> Result:
        found = informer.get(key)
        assert found is not None
        if found.status.migration_retries >= 20:
            done.set()
            return Result()
        status = replace(found.status, migration_retries=found.status.migration_retries + 1, state=ApplicationState.RUNNING)
        await patch_status(client, found, status, informer=informer)
        return Result(requeue_after=0)

    controllers = [Controller(name, count_up, reads=[informer], backoff=SHORT) for name in ("one", "two")]
    async with running(informer.run(), *(each.run() for each in controllers)), asyncio.timeout(60):
        for each in controllers:
            each.enqueue(app.key)
        await done.wait()
    assert (await client.get(Application, app.key)).status.migration_retries == 20


async def test_a_stale_write_is_refused_and_an_empty_one_not_sent(client: Client) -> None:
    app = await client.create(application())
    assert await patch_status(client, app, app.status) is app
    running_ = replace(app.status, state=ApplicationState.RUNNING)
    stored = await patch_status(client, app, running_)
    assert stored.status == running_
    with pytest.raises(Conflict):
        await patch_status(client, app, replace(app.status, migration_retries=1))
    both = await patch_status(client, app, replace(app.status, migration_retries=1), guarded=False)
    assert both.status == replace(running_, migration_retries=1)
