"""Create, update and PATCH through the API, against raw transactions of the etcd adapter on the same etcd."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.measuring import HttpConnection, Row, http_request, median, run_tasks
from benchmarks.samples import COLLECTION, application, application_bytes
from benchmarks.servers import running_api
from krake.adapters.etcd import EtcdStore

TASKS = (1, 16, 64)
OPERATIONS = {1: 300, 16: 1500, 64: 3000}
ROUNDS = 3


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    async with running_api(directory) as api, EtcdStore([api.etcd.endpoint]) as store:
        connections = [await HttpConnection.open(api.port) for _ in range(max(TASKS))]
        first = await connections[0].send(http_request("POST", COLLECTION, application_bytes("first")))
        value = first.split(b"\r\n\r\n", 1)[1]
        for tasks in TASKS:
            operations = OPERATIONS[tasks]
            creates, raw_creates, updates, patches, raw_updates = [], [], [], [], []
            for round_number in range(ROUNDS):
                lead = f"t{tasks}-r{round_number}"
                revisions: dict[int, int] = {}

                async def create(task: int, number: int, lead: str = lead) -> None:
                    await connections[task].send(http_request("POST", COLLECTION, application_bytes(f"{lead}-{number}")))

                async def raw_create(task: int, number: int, lead: str = lead, revisions: dict[int, int] = revisions) -> None:
                    revisions[number] = await store.create(f"/raw/{lead}-{number}", value)

                async def update(task: int, number: int, lead: str = lead) -> None:
                    name = f"{lead}-{number}"
                    body = json.dumps(application(name, changed="yes") | {"status": {}})
                    namespaced = body.replace('"metadata": {', '"metadata": {"namespace": "bench", ', 1).encode()
                    await connections[task].send(http_request("PUT", f"{COLLECTION}/{name}", namespaced))

                async def patch(task: int, number: int, lead: str = lead) -> None:
                    body = json.dumps({"status": {"state": "RUNNING", "token": str(number)}}).encode()
                    await connections[task].send(http_request("PATCH", f"{COLLECTION}/{lead}-{number}/status", body))

                async def raw_update(task: int, number: int, lead: str = lead, revisions: dict[int, int] = revisions) -> None:
                    await store.update(f"/raw/{lead}-{number}", value, revisions[number])

                creates.append(await run_tasks(tasks, operations, create))
                raw_creates.append(await run_tasks(tasks, operations, raw_create))
                updates.append(await run_tasks(tasks, operations, update))
                patches.append(await run_tasks(tasks, operations, patch))
                raw_updates.append(await run_tasks(tasks, operations, raw_update))
            yield _row("create", tasks, creates, raw_creates)
            yield _row("update", tasks, updates, raw_updates)
            yield _row("PATCH of a status", tasks, patches, raw_updates)
        for connection in connections:
            connection.close()


def _row(what: str, tasks: int, ours: list[float], raw: list[float]) -> Row:
    share = median(a / b for a, b in zip(ours, raw, strict=True))
    figure = f"{median(ours):,.0f}/s; raw transactions {median(raw):,.0f}/s; {share:.0%}"
    return Row(f"{what}, {tasks} task{'s' if tasks > 1 else ''}", figure, "≥ 25 % of raw transactions", share >= 0.25)
