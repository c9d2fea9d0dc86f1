"""What roles cost: the same requests by somebody who may do everything, and by one of a hundred users with roles of their own.

That user may not see secrets; the clusters of the list have some.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.measuring import HttpConnection, Row, http_request, median, run_tasks
from benchmarks.samples import COLLECTION, NAMESPACE, application_bytes
from benchmarks.servers import api_on
from krake.up.etcd import EtcdProcess

USERS = 100
CLUSTERS = 200
TASKS = 16
ROUNDS = 3
CLUSTER_COLLECTION = f"/kubernetes/namespaces/{NAMESPACE}/clusters"
OPERATIONS = {"create": 1500, "GET of one application": 4000, f"list of {CLUSTERS} clusters": 300}


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    async with AsyncExitStack() as stack:
        etcd = await stack.enter_async_context(EtcdProcess(directory / "etcd"))
        free = await _connect((await stack.enter_async_context(api_on(etcd))).port)
        await _prepare(free[0])
        guarded = await _connect((await stack.enter_async_context(api_on(etcd, "user-50", "RBAC"))).port)
        rates: dict[tuple[str, str], list[float]] = {(what, mode): [] for what in OPERATIONS for mode in ("free", "guarded")}
        for round_number in range(ROUNDS):
            for mode, connections in (("free", free), ("guarded", guarded)):
                for what, count in OPERATIONS.items():
                    rates[what, mode].append(await _repeat(what, count, connections, f"{mode}-{round_number}"))
        for connection in free + guarded:
            connection.close()
    for what in OPERATIONS:
        share = median(b / a for a, b in zip(rates[what, "free"], rates[what, "guarded"], strict=True))
        figure = f"{median(rates[what, 'guarded']):,.0f}/s; without roles {median(rates[what, 'free']):,.0f}/s; {share:.0%}"
        yield Row(f"{what}, {USERS} roles and bindings", figure, "≥ 80 % of without", share >= 0.8)


async def _connect(port: int) -> list[HttpConnection]:
    return list(await asyncio.gather(*(HttpConnection.open(port) for _ in range(TASKS))))


async def _repeat(what: str, count: int, connections: list[HttpConnection], lead: str) -> float:
    path = f"{COLLECTION}/first" if what.startswith("GET") else CLUSTER_COLLECTION

    async def send(task: int, number: int) -> None:
        if what == "create":
            await connections[task].send(http_request("POST", COLLECTION, application_bytes(f"{lead}-{number}")))
        else:
            await connections[task].send(http_request("GET", path))

    return await run_tasks(TASKS, count, send)


async def _prepare(connection: HttpConnection) -> None:
    async def post(path: str, body: dict[str, Any]) -> None:
        await connection.send(http_request("POST", path, json.dumps(body).encode()))

    verbs = ["create", "list", "get"]
    for number in range(USERS):
        resources = ["applications", "clusters"]
        rule = {"api": "kubernetes", "resources": resources, "namespaces": [NAMESPACE], "verbs": verbs}
        await post("/core/roles", {"metadata": {"name": f"role-{number}"}, "rules": [rule]})
        binding = {"users": [f"user-{number}"], "roles": [f"role-{number}"]}
        await post("/core/rolebindings", {"metadata": {"name": f"binding-{number}"}, **binding})
    for number in range(CLUSTERS):
        spec = {"kubeconfig": _kubeconfig(number), "constraints": {"cloud": {}}}
        await post(CLUSTER_COLLECTION, {"metadata": {"name": f"c{number:03}"}, "spec": spec})
    await connection.send(http_request("POST", COLLECTION, application_bytes("first")))


def _kubeconfig(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"https://c{number}.example:6443"}}],
        "users": [{"name": "u", "user": {"token": f"secret-{number}" * 20}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
