"""What a second API process on the same etcd adds."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.measuring import HttpConnection, Row, http_request, median, run_tasks
from benchmarks.samples import COLLECTION, application_bytes
from benchmarks.servers import api_on
from krake.up.etcd import EtcdProcess

TASKS = 64
CREATES = 3000
READS = 6000
ROUNDS = 3


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    async with AsyncExitStack() as stack:
        etcd = await stack.enter_async_context(EtcdProcess(directory / "etcd"))
        ports = [(await stack.enter_async_context(api_on(etcd))).port for _ in range(2)]
        one = [await HttpConnection.open(ports[0]) for _ in range(TASKS)]
        both = [await HttpConnection.open(ports[task % 2]) for task in range(TASKS)]
        await one[0].send(http_request("POST", COLLECTION, application_bytes("first")))
        request = http_request("GET", f"{COLLECTION}/first")
        creates: dict[str, list[float]] = {"one": [], "both": []}
        reads: dict[str, list[float]] = {"one": [], "both": []}
        for round_number in range(ROUNDS):
            for name, connections in (("one", one), ("both", both)):

                async def create(task: int, number: int, lead: str = f"{name}-{round_number}", links=connections) -> None:
                    await links[task].send(http_request("POST", COLLECTION, application_bytes(f"{lead}-{number}")))

                creates[name].append(await run_tasks(TASKS, CREATES, create))
                reads[name].append(await run_tasks(TASKS, READS, lambda task, _, links=connections: links[task].send(request)))
        for connection in one + both:
            connection.close()
        yield _row(f"create, {TASKS} tasks, 2 processes", creates)
        yield _row(f"GET, {TASKS} tasks, 2 processes", reads)


def _row(what: str, rates: dict[str, list[float]]) -> Row:
    share = median(b / a for a, b in zip(rates["one"], rates["both"], strict=True))
    return Row(what, f"{median(rates['both']):,.0f}/s; one process {median(rates['one']):,.0f}/s; {share:.0%}")
