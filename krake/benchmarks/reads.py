"""GET and list of 1,000 applications, against a bare aiohttp handler that returns the same bytes."""

from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.measuring import HttpConnection, Row, http_request, median, run_tasks
from benchmarks.samples import COLLECTION, application_bytes
from benchmarks.servers import bare_server, running_api

APPLICATIONS = 1000
CONNECTIONS = 8
ROUNDS = 7
TIERS = 10


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    async with running_api(directory) as api:
        connections = [await HttpConnection.open(api.port) for _ in range(CONNECTIONS)]

        async def create(task: int, number: int) -> None:
            await connections[task].send(
                http_request("POST", COLLECTION, application_bytes(f"app-{number:04}", tier=f"t{number % TIERS}"))
            )

        await run_tasks(CONNECTIONS, APPLICATIONS, create)
        part = APPLICATIONS // TIERS
        for what, path, operations, least in (
            ("GET of one application", f"{COLLECTION}/app-0500", 4000, 0.5),
            (f"list of {APPLICATIONS:,} applications", COLLECTION, 150, 0.5),
            # Looking at a thousand labels is work that the bare handler does not do.
            (f"list of {part} out of {APPLICATIONS:,} by a selector", f"{COLLECTION}?label_selector=tier%3Dt7", 300, 0.0),
        ):
            request = http_request("GET", path)
            body = (await connections[0].send(request)).split(b"\r\n\r\n", 1)[1]
            async with bare_server(body, directory) as bare_port:
                bare = [await HttpConnection.open(bare_port) for _ in range(CONNECTIONS)]
                ours, theirs = [], []
                for _ in range(ROUNDS):
                    ours.append(await _repeat(request, connections, operations))
                    theirs.append(await _repeat(request, bare, operations))
                for connection in bare:
                    connection.close()
            share = median(a / b for a, b in zip(ours, theirs, strict=True))
            figure = f"{median(ours):,.0f}/s; bare handler {median(theirs):,.0f}/s; {share:.0%} ({len(body):,} bytes)"
            yield Row(what, figure, f"≥ {100 * least:.0f} % of the bare handler" if least else "", share >= least)
        for connection in connections:
            connection.close()


async def _repeat(request: bytes, connections: list[HttpConnection], operations: int) -> float:
    """Send a request many times over all connections; return requests per second."""
    return await run_tasks(len(connections), operations, lambda task, _: connections[task].send(request))
