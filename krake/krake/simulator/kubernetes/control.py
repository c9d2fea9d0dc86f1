"""The switches of one simulated cluster over HTTP, below `/_simulator`. They work whatever failure is on.

GET /_simulator                       the present failure and the nodes
PUT /_simulator/failure {"mode": M}   with `delay` or `rate` where the mode has one; see `Failure`
DELETE /_simulator/failure            back to normal
PUT /_simulator/nodes {"count": N}
PUT /_simulator/nodes/NAME {"ready": bool, "pressures": ["MemoryPressure", …]}
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from aiohttp import web

from krake.simulator.failures import Failure
from krake.simulator.kubernetes import status as statuses
from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.nodes import PRESSURES
from krake.simulator.kubernetes.server import json_response, read_body
from krake.simulator.kubernetes.status import ApiStatus
from krake.simulator.kubernetes.storage import Storage

MOST_NODES = 1000


class Switches(Protocol):
    """What of a cluster can be switched."""

    name: str
    storage: Storage

    @property
    def failure(self) -> Failure: ...

    def fail(self, failure: Failure, *, spare: asyncio.BaseTransport | None = None) -> None: ...

    def set_node_count(self, count: int) -> None: ...

    def set_node(self, name: str, *, ready: bool = True, pressures: list[str] = ...) -> None: ...

    def node_names(self) -> list[str]: ...


class Control:
    """Answers the requests below `/_simulator` of one cluster."""

    def __init__(self, cluster: Switches) -> None:
        self._cluster = cluster

    async def respond(self, request: web.BaseRequest, authenticate: Callable[[web.BaseRequest], None]) -> web.StreamResponse:
        try:
            authenticate(request)
            body = _parse(await read_body(request))
            self._switch(request, request.path.strip("/").split("/")[1:], body)
        except ApiStatus as error:
            return json_response(error.document(), error.code)
        return json_response(self._state())

    def _state(self) -> Object:
        cluster = self._cluster
        return {
            "simulator": "krake",
            "cluster": cluster.name,
            "failure": asdict(cluster.failure),
            "nodes": cluster.node_names(),
        }

    def _switch(self, request: web.BaseRequest, path: list[str], body: Object) -> None:
        match request.method, path:
            case "GET", []:
                return
            case "PUT", ["failure"]:
                self._cluster.fail(_failure(body), spare=request.transport)
            case "DELETE", ["failure"]:
                self._cluster.fail(Failure())
            case "PUT", ["nodes"]:
                self._cluster.set_node_count(_count(body.get("count")))
            case "PUT", ["nodes", name]:
                self._set_node(name, body)
            case _:
                raise statuses.method_not_allowed()

    def _set_node(self, name: str, body: Object) -> None:
        pressures = body.get("pressures", [])
        if not isinstance(pressures, list) or any(each not in list(PRESSURES) for each in pressures):
            raise statuses.bad_request(f"pressures must be a list out of {', '.join(PRESSURES)}")
        self._cluster.set_node(name, ready=bool(body.get("ready", True)), pressures=pressures)


def _parse(body: bytes) -> Object:
    try:
        document: Any = json.loads(body or b"{}")
    except ValueError as error:
        raise statuses.bad_request(f"the body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise statuses.bad_request("the body must be a JSON object")
    return document


def _failure(body: Object) -> Failure:
    try:
        return Failure(**body)
    except (TypeError, ValueError) as error:
        raise statuses.bad_request(str(error)) from None


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_NODES:
        raise statuses.bad_request(f"count must be a whole number from 0 to {MOST_NODES}")
    return value
