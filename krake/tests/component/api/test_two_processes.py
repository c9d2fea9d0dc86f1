"""Two API processes on one etcd behave as one."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from fixtures.api import Http
from fixtures.api_process import RunApi
from fixtures.etcd import wipe
from fixtures.polling import until
from fixtures.samples import path_of, sample

from krake.adapters.etcd import EtcdStore
from krake.data.core import Role

ROLES = path_of(Role)
OBJECTS = 4
CLIENTS = 8
STEPS = 40


@pytest_asyncio.fixture
async def both(run_api: RunApi, etcd_store: EtcdStore) -> AsyncIterator[tuple[Http, Http]]:
    """Clients of two processes, without any objects."""
    await wipe(etcd_store)
    async with AsyncExitStack() as stack:
        apis = await asyncio.gather(*(stack.enter_async_context(run_api()) for _ in range(2)))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        first, second = (Http(session, api.url) for api in apis)
        yield first, second


def version_of(obj: Any) -> int:
    return int(obj["metadata"]["resource_version"])


def counted(obj: Any) -> int:
    return int(obj["metadata"]["labels"].get("count", "0"))


class Client:
    """Works at either process as it likes, and checks that what it sees there never goes back.

    *seen* is per process and object the latest version that it has seen or written there.
    """

    def __init__(self, apis: tuple[Http, Http], seed: str) -> None:
        self._apis = apis
        self._random = random.Random(seed)
        self.seen: dict[tuple[int, str], int] = defaultdict(int)
        self.written: Counter[str] = Counter()
        self.refused = 0

    async def run(self) -> None:
        for _ in range(STEPS):
            await self._random.choice((self._increase, self._increase, self._read, self._list))()

    async def _increase(self) -> None:
        """Read at one process, write with the version that was read at the other one, or the same."""
        name, source, target = self._name(), self._process(), self._process()
        obj = await self._get(source, name)
        obj["metadata"]["labels"]["count"] = str(counted(obj) + 1)
        answer = await self._apis[target].put(f"{ROLES}/{name}", obj)
        if answer.status == 409:
            self.refused += 1
            return
        assert answer.status == 200, answer.text
        assert version_of(answer.json) > version_of(obj)
        assert counted(answer.json) == counted(obj)
        self.written[name] += 1
        self._see(target, answer.json)
        # What is written can be read at the same process at once.
        await self._get(target, name)

    async def _read(self) -> None:
        await self._get(self._process(), self._name())

    async def _get(self, process: int, name: str) -> Any:
        answer = await self._apis[process].get(f"{ROLES}/{name}")
        assert answer.status == 200, answer.text
        self._see(process, answer.json)
        return answer.json

    async def _list(self) -> None:
        """List in pages, each at another process."""
        process = self._process()
        page = (await self._apis[process].get(ROLES, limit="2")).json
        version, items = version_of(page), page["items"]
        assert version >= max(seen for (place, _), seen in {**self.seen, (process, ""): 0}.items() if place == process)
        while token := page["metadata"]["continue"]:
            process = 1 - process
            answer = await self._apis[process].get(ROLES, **{"limit": "2", "continue": token})
            assert answer.status == 200, answer.text
            page = answer.json
            assert version_of(page) == version
            items += page["items"]
        assert [item["metadata"]["name"] for item in items] == [f"r{number}" for number in range(OBJECTS)]
        assert all(version_of(item) <= version for item in items)

    def _see(self, process: int, obj: Any) -> None:
        place = process, obj["metadata"]["name"]
        assert version_of(obj) >= self.seen[place], "What was read goes back."
        self.seen[place] = version_of(obj)

    def _name(self) -> str:
        return f"r{self._random.randrange(OBJECTS)}"

    def _process(self) -> int:
        return self._random.randrange(2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_concurrent_clients_of_both(both: tuple[Http, Http], seed: int) -> None:
    for number in range(OBJECTS):
        assert (await both[0].post(ROLES, sample(Role, f"r{number}"))).status == 201
    start = str(version_of((await both[0].get(ROLES)).json))
    await until(lambda: has_come_to(both[1], start))
    async with both[0].watch(ROLES, resource_version=start) as one, both[1].watch(ROLES, resource_version=start) as two:
        clients = [Client(both, f"{seed}-{number}") for number in range(CLIENTS)]
        async with asyncio.timeout(60):
            await asyncio.gather(*(client.run() for client in clients))
        written = sum((client.written for client in clients), Counter())
        assert sum(client.refused for client in clients), "Nobody was in the way of anybody."
        histories = [[await lines.next() for _ in range(written.total())] for lines in (one, two)]
        final = {each["metadata"]["name"]: each for each in (await both[0].get(ROLES)).json["items"]}
        # No update is lost, and none was applied that was refused.
        assert {name: counted(obj) for name, obj in final.items()} == {name: written[name] for name in final}
        for history in histories:
            assert [version_of(obj) for _, obj in history] == sorted(version_of(obj) for _, obj in history)
            for name, obj in final.items():
                mine = [each for _, each in history if each["metadata"]["name"] == name]
                assert [counted(each) for each in mine] == list(range(1, written[name] + 1))
                assert mine[-1] == obj
        assert histories[0] == histories[1]


async def has_come_to(http: Http, version: str) -> bool:
    return version_of((await http.get(ROLES)).json) >= int(version)


async def test_versions_of_one_are_understood_by_the_other(both: tuple[Http, Http]) -> None:
    here, there = both
    for number in range(30):
        created = await here.post(ROLES, sample(Role, f"r{number}"))
        assert created.status == 201
        # At once, whether the other process has heard of it or not.
        metadata = created.json["metadata"]
        changed = await there.put(f"{ROLES}/r{number}", created.json | {"metadata": metadata | {"labels": {"a": "b"}}})
        assert changed.status == 200, changed.text
        named = {"resource_version": metadata["resource_version"]}
        outdated = await here.patch(f"{ROLES}/r{number}", {"metadata": named | {"labels": {"c": "d"}}})
        assert (outdated.status, outdated.json["title"]) == (409, "TRANSACTION_ERROR")
        version = (await there.get(ROLES)).json["metadata"]["resource_version"]
        async with here.watch(ROLES, resource_version=version) as lines:
            again = await there.patch(f"{ROLES}/r{number}", {"metadata": {"labels": {"e": "f"}}})
            assert await lines.next() == ("MODIFIED", again.json)
        here, there = there, here


async def test_only_one_of_many_creates_an_object(both: tuple[Http, Http]) -> None:
    for number in range(20):
        answers = await asyncio.gather(*(both[each % 2].post(ROLES, sample(Role, f"r{number}")) for each in range(6)))
        assert sorted(answer.status for answer in answers) == [201] + [409] * 5
        (created,) = (answer.json for answer in answers if answer.status == 201)
        for http in both:
            # The loser at the other process knows what has won: a repeated attempt says so, too.
            again = await http.post(ROLES, sample(Role, f"r{number}"))
            assert (again.status, again.json["title"]) == (409, "RESOURCE_ALREADY_EXISTS")
            found = await http.get(f"{ROLES}/r{number}")
            assert (found.status, found.json) == (200, created)


async def test_a_write_without_a_version_is_repeated_and_not_refused(both: tuple[Http, Http]) -> None:
    await both[0].post(ROLES, sample(Role))
    patches = [{"metadata": {"labels": {f"label{number}": "x"}}} for number in range(40)]
    answers = await asyncio.gather(*(both[number % 2].patch(f"{ROLES}/sample", patch) for number, patch in enumerate(patches)))
    assert {answer.status for answer in answers} == {200}
    last = max((answer.json for answer in answers), key=version_of)
    assert last["metadata"]["labels"].keys() >= {f"label{number}" for number in range(40)}
