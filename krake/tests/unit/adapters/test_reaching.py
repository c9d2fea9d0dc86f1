"""Names of hosts are looked up so that those that take long are in nobody's way."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from krake.adapters.reaching import Guard
from krake.data.destinations import Destinations


async def test_who_asks_for_the_same_name_waits_for_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answer = threading.Event()

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> Any:
        asked.append(host)
        assert answer.wait(10)
        return [(2, 1, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    guard = Guard(Destinations(), "metrics.allow")
    waiting = [asyncio.create_task(guard.resolve("slow.example", 80)) for _ in range(20)]
    await asyncio.wait(waiting, timeout=0.05)
    for impatient in waiting[:5]:
        impatient.cancel()
    answer.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert asked == ["slow.example"]
    assert all(isinstance(each, asyncio.CancelledError) for each in found[:5])
    assert [[address["host"] for address in each] for each in found[5:]] == [["192.0.2.1"]] * 15  # type: ignore[union-attr]
    await guard.resolve("slow.example", 80)
    assert len(asked) == 2  # what a name means may change


async def test_names_that_nobody_answers_for_are_not_in_the_way_of_those_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> Any:
        if host.startswith("slow"):
            assert release.wait(10)
        return [(2, 1, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with ThreadPoolExecutor(1) as threads, ThreadPoolExecutor(1) as strangers:
        guard = Guard(Destinations(), "providers.allow", threads=threads, strangers=strangers)
        await guard.resolve("known.example", 80)
        stuck = [asyncio.create_task(guard.resolve(f"slow-{number}.example", 80)) for number in range(100)]
        try:
            async with asyncio.timeout(5):
                assert [each["host"] for each in await guard.resolve("known.example", 80)] == ["192.0.2.1"]
            assert not any(each.done() for each in stuck)
        finally:
            release.set()
            await asyncio.gather(*stuck)
