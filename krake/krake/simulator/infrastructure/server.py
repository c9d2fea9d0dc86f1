"""The REST API of an Infrastructure Manager: its paths, formats and words, as IM 2.0 has them."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import yaml
from aiohttp import web

from krake.simulator.infrastructure import control, template
from krake.simulator.infrastructure.authorization import Authorization, Unauthorized, parse
from krake.simulator.infrastructure.records import Infrastructure
from krake.simulator.infrastructure.template import TemplateError

if TYPE_CHECKING:
    from krake.simulator.infrastructure.provider import SimulatedProvider

VERSION = "2.0.0"
PROPERTIES = ("contmsg", "radl", "tosca", "state", "outputs", "data", "authorization")
URIS = "text/uri-list"

Answer = Callable[[web.Request], Awaitable[web.Response]]


class Refusal(Exception):
    """A request is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def routes(provider: "SimulatedProvider") -> Sequence[web.AbstractRouteDef]:
    """What a provider answers."""
    server = Server(provider)
    one = "/infrastructures/{id}"
    return [
        web.get("/version", worded(server.version)),
        web.get("/infrastructures", worded(server.list)),
        web.post("/infrastructures", worded(server.create)),
        web.get(one, worded(server.machines)),
        web.post(one, worded(server.update)),
        web.delete(one, worded(server.delete)),
        web.get(one + "/vms/{vm}", worded(server.machine)),
        web.get(one + "/vms/{vm}/{property}", worded(server.machine)),
        web.delete(one + "/vms/{vm}", worded(server.delete_machines)),
        web.put(one + "/vms/{vm}/{verb:start|stop}", worded(server.switch)),
        web.put(one + "/{verb:start|stop}", worded(server.switch)),
        web.put(one + "/reconfigure", worded(server.reconfigure)),
        web.get(one + "/{property}", worded(server.property)),
        *control.routes(provider),
        web.route("*", "/{rest:.*}", nowhere),
    ]


async def nowhere(request: web.Request) -> web.Response:
    """Answer for a path that does not exist, or not with this method."""
    return web.json_response({"detail": "Not Found"}, status=404)


def worded(answer: Answer) -> Answer:
    """Word what went wrong as an Infrastructure Manager does."""

    async def respond(request: web.Request) -> web.Response:
        try:
            return await answer(request)
        except Refusal as refusal:
            if request.headers.get("Accept") == "application/json":
                return web.json_response({"message": str(refusal), "code": refusal.status}, status=refusal.status)
            return web.Response(text=str(refusal), status=refusal.status)

    return respond


class Server:
    """Answers the requests for a provider."""

    def __init__(self, provider: "SimulatedProvider") -> None:
        self._provider = provider

    async def version(self, request: web.Request) -> web.Response:
        return _show(request, "version", VERSION)

    async def list(self, request: web.Request) -> web.Response:
        owner = list(self._authorize(request, "Error Getting Inf. List").owner)
        own = [each.id for each in self._provider.infrastructures.values() if each.owner == owner]
        return self._show_uris(request, own)

    async def create(self, request: web.Request) -> web.Response:
        wanted = await _template(request)
        authorization = self._authorize(request, "Error Creating Inf.")
        found = self._provider.create(authorization, wanted)
        uri = self._uri(found.id)
        if request.headers.get("Accept") == "application/json":
            return web.json_response({"uri": uri}, headers={"InfID": found.id})
        return web.Response(text=uri, content_type=URIS, headers={"InfID": found.id})

    async def machines(self, request: web.Request) -> web.Response:
        found, _ = self._find(request, "Error Getting Inf. info")
        return self._show_uris(request, [f"{found.id}/vms/{number}" for number in sorted(found.machines)])

    async def update(self, request: web.Request) -> web.Response:
        wanted = await _template(request)
        found, authorization = self._find(request, "Error Adding resources")
        self._check_is_idle(found, "Error Adding resources")
        try:
            added = await self._provider.update(found, authorization, wanted)
        except TemplateError as error:
            raise Refusal(400, f"Error Adding resources: {error}") from None
        return self._show_uris(request, [f"{found.id}/vms/{each.number}" for each in added], found.id)

    async def delete(self, request: web.Request) -> web.Response:
        found, authorization = self._find(request, "Error Destroying Inf")
        if found.id in self._provider.busy:
            raise Refusal(409, "Error Destroying Inf: Invalid State to perform this operation.")
        wait = request.query.get("async", "false").lower() not in ("1", "true", "yes")
        trouble = await self._provider.delete(found, authorization, wait=wait)
        if trouble is not None and wait:
            raise Refusal(400, f"Error Destroying Inf: {trouble}")
        return web.Response(text="")

    async def reconfigure(self, request: web.Request) -> web.Response:
        found, _ = self._find(request, "Error reconfiguring infrastructure")
        self._check_is_idle(found, "Error reconfiguring infrastructure")
        self._provider.reconfigure(found)
        return web.Response(text="", headers={"InfID": found.id})

    async def property(self, request: web.Request) -> web.Response:
        name = request.match_info["property"]
        if name not in PROPERTIES:
            problem = {"type": "literal_error", "loc": ["path", "prop"], "msg": f"Input should be {', '.join(PROPERTIES)}"}
            return web.json_response({"detail": [{**problem, "input": name}]}, status=422)
        found, _ = self._find(request, "Error Getting Inf. prop")
        match name:
            case "state":
                state, machines = self._provider.look(found)
                return _json(request, {"state": {"state": state, "vm_states": machines}})
            case "outputs":
                return _json(request, {"outputs": await self._provider.outputs(found)})
            case "data":
                return _json(request, {"data": json.dumps(found.dump(), default=str)})
            case "tosca":
                return _show(request, name, yaml.safe_dump(found.template, sort_keys=True))
            case "radl":
                return _show(request, name, _radl(found))
            case "authorization":
                return _show(request, name, found.owner[0] if len(found.owner) > 1 else "")
        return _show(request, name, found.message)

    async def machine(self, request: web.Request) -> web.Response:
        found, _ = self._find(request, "Error Getting VM. info")
        (number,) = _numbers(request, found, "Error Getting VM. info")
        machine = found.machines[number]
        state = machine.state(self._provider.now())
        match request.match_info.get("property"):
            case None | "radl":
                text = f"system {machine.node} (\ninstance_name = '{machine.node}' and\nstate = '{state}'\n)\n"
                return _show(request, "radl", text)
            case "state":
                return _show(request, "state", state)
            case "contmsg":
                return _show(request, "contmsg", "")
        raise Refusal(404, "Error Getting VM. property: Incorrect property")

    async def delete_machines(self, request: web.Request) -> web.Response:
        found, _ = self._find(request, "Error removing resources")
        self._check_is_idle(found, "Error removing resources")
        self._provider.remove_machines(found, _numbers(request, found, "Error removing resources"))
        return web.Response(text="")

    async def switch(self, request: web.Request) -> web.Response:
        verb = request.match_info["verb"]
        task = f"Error {verb}ing"
        found, _ = self._find(request, task)
        self._check_is_idle(found, task)
        numbers = _numbers(request, found, task) if "vm" in request.match_info else set(found.machines)
        await self._provider.switch(found, numbers, on=verb == "start")
        return web.Response(text="")

    def _authorize(self, request: web.Request, task: str) -> Authorization:
        header = request.headers.get("Authorization")
        if not header:
            raise Refusal(401, "No authentication data provided")
        try:
            authorization = parse(header)
        except Unauthorized as error:
            raise Refusal(401, f"{task}: {error}") from None
        if not self._provider.accepts(authorization.owner):
            raise Refusal(401, f"{task}: Invalid InfrastructureManager credentials.")
        return authorization

    def _find(self, request: web.Request, task: str) -> tuple[Infrastructure, Authorization]:
        authorization = self._authorize(request, task)
        found = self._provider.infrastructures.get(request.match_info["id"])
        if found is None:
            raise Refusal(404, f"{task}: Invalid infrastructure ID or access not granted.")
        if found.owner != list(authorization.owner):
            raise Refusal(403, f"{task}: Access to this infrastructure not granted.")
        return found, authorization

    @staticmethod
    def _check_is_idle(found: Infrastructure, task: str) -> None:
        if found.deleting is not None or found.zombie:
            raise Refusal(404, f"{task}: Deleted infrastructure.")

    def _uri(self, path: str) -> str:
        return f"{self._provider.url}/infrastructures/{path}"

    def _show_uris(self, request: web.Request, paths: Sequence[str], id: str | None = None) -> web.Response:
        uris = [self._uri(path) for path in paths]
        headers = {} if id is None else {"InfID": id}
        if request.headers.get("Accept") == "application/json":
            return web.json_response({"uri-list": [{"uri": uri} for uri in uris]}, headers=headers)
        return web.Response(text="\n".join(uris), content_type=URIS, headers=headers)


def _numbers(request: web.Request, found: Infrastructure, task: str) -> set[int]:
    """The machines that the path names; several only where they are removed."""
    given = request.match_info["vm"].split(",") if request.method == "DELETE" else [request.match_info["vm"]]
    numbers = template.numbers(given)
    if len(numbers) < len(given) or numbers - found.machines.keys():
        raise Refusal(404, f"{task}: Invalid VM ID")
    return numbers


async def _template(request: web.Request) -> template.Template:
    if request.content_type not in ("text/yaml", "text/plain", "application/json"):
        raise Refusal(415, f"Unsupported Media Type ['{request.content_type}']")
    try:
        return template.read((await request.read()).decode(errors="replace"))
    except TemplateError as error:
        raise Refusal(400, f"Error parsing request body: {error}") from None


def _json(request: web.Request, document: Any) -> web.Response:
    """Return what is only there as JSON."""
    accepted = request.headers.get("Accept", "*/*")
    if not any(each in accepted for each in ("application/json", "application/*", "*/*")):
        raise Refusal(415, f"Unsupported Accept Media Types: ['{accepted}']")
    return web.json_response(document)


def _show(request: web.Request, name: str, text: str) -> web.Response:
    if request.headers.get("Accept") == "application/json":
        return web.json_response({name: text})
    return web.Response(text=text)


def _radl(found: Infrastructure) -> str:
    """The description of an infrastructure in IM's own language, as far as anybody reads it."""
    name = template.name_of(found.template)
    head = f"description desc (name = '{name}')\n" if name else ""
    counts = template.counts(found.template)
    systems = "".join(f"system {node} (\ninstance_name = '{node}'\n)\n" for node in counts)
    return head + systems + "".join(f"deploy {node} {count}\n" for node, count in counts.items())
