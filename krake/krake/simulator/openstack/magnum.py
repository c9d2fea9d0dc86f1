"""OpenStack Magnum, which makes simulated Kubernetes clusters: paths, formats and words are those of the real one."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from krake.simulator.keeping import Shelf
from krake.simulator.kubernetes import Settings as ClusterSettings
from krake.simulator.kubernetes import SimulatedCluster
from krake.simulator.openstack import control, identity
from krake.simulator.openstack.authority import Authority, InvalidRequest
from krake.simulator.openstack.cloud import SimulatedCloud
from krake.simulator.openstack.records import Cluster, Template
from krake.simulator.ports import is_free

TYPE = "container-infra"
PATH = "/container-infra/v1"
TEMPLATE = "kubernetes-template"
"""The name of the template that is there from the start."""
_TRANSITIONS = {"CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Settings:
    """How the simulated Magnum behaves; it may be changed at any time. Delays are in seconds.

    :param quota: so many clusters a project may have.
    """

    create_delay: float = 2.0
    update_delay: float = 1.0
    delete_delay: float = 1.0
    quota: int = 1000


class Refusal(Exception):
    """A request is answered with an error."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class SimulatedMagnum:
    """The Magnum of a simulated cloud; to be entered before the cloud starts, and left after it.

    `clusters` are those of all projects, by their ids. `failures` hold reasons: each makes the next operation of its kind
    (``CREATE``, ``UPDATE``, ``DELETE``) fail. `stuck` are kinds of operations that do not end.

    :param directory: where clusters are kept from one process to the next; the objects in them are not.
    """

    def __init__(
        self,
        cloud: SimulatedCloud,
        settings: Settings | None = None,
        clusters: ClusterSettings | None = None,
        *,
        directory: Path | None = None,
    ) -> None:
        self.cloud = cloud
        self.settings = settings or Settings()
        self.clusters: dict[str, Cluster] = {}
        self.failures: list[tuple[str, str]] = []
        self.stuck: set[str] = set()
        template = uuid.uuid5(uuid.NAMESPACE_OID, f"krake-simulator/{cloud.name}/{TEMPLATE}")
        self.templates = [Template(str(template), TEMPLATE)]
        self._cluster_settings = clusters or ClusterSettings()
        self._shelf = Shelf(directory)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        cloud.paths[TYPE] = PATH
        cloud.routes.append(lambda: _routes(self))

    async def __aenter__(self) -> Self:
        for document in self._shelf.documents():
            with suppress(TypeError, LookupError, AttributeError, ValueError):
                cluster = Cluster.restore(document)
                self.clusters[cluster.id] = cluster
        try:
            for cluster in self.clusters.values():
                await self._resume(cluster)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        while self.clusters:
            await _end(self.clusters.popitem()[1])

    @property
    def template(self) -> Template:
        """The first template."""
        return self.templates[0]

    def add_template(self, name: str, coe: str = "kubernetes", **counts: int) -> Template:
        """Have another template."""
        self.templates.append(Template(str(uuid.uuid4()), name, coe, **counts))
        return self.templates[-1]

    async def lose(self, id: str) -> None:
        """Have a cluster vanish without a trace."""
        self._shelf.drop(id)
        await _end(self.clusters.pop(id))

    def create(self, cluster: Cluster) -> None:
        """Begin to create a cluster."""
        self.clusters[cluster.id] = cluster
        self._begin(cluster, "CREATE", self.settings.create_delay)

    def resize(self, cluster: Cluster, count: int) -> None:
        """Begin to give a cluster another number of nodes."""
        cluster.node_count = count
        self._begin(cluster, "UPDATE", self.settings.update_delay)

    def delete(self, cluster: Cluster) -> None:
        """Begin to delete a cluster."""
        self._begin(cluster, "DELETE", self.settings.delete_delay)

    def finish(self) -> None:
        """Have all operations end that are in progress."""
        for cluster in self.clusters.values():
            cluster.due = min(cluster.due, self._now())
            self._go_on_if_in_progress(cluster)

    def _begin(self, cluster: Cluster, operation: str, delay: float) -> None:
        cluster.status, cluster.status_reason = f"{operation}_IN_PROGRESS", None
        cluster.due = self._now() + delay
        self._save(cluster)
        self._go_on(cluster, operation)

    def _go_on(self, cluster: Cluster, operation: str) -> None:
        if (task := self._tasks.pop(cluster.id, None)) is not None:
            task.cancel()
        self._tasks[cluster.id] = asyncio.create_task(self._carry_out(cluster, operation))

    async def _carry_out(self, cluster: Cluster, operation: str) -> None:
        await asyncio.sleep(max(0.0, cluster.due - self._now()))
        if operation in self.stuck:
            return
        failure = next((each for each in self.failures if each[0] == operation), None)
        if failure is not None:
            self.failures.remove(failure)
            cluster.status, cluster.status_reason = f"{operation}_FAILED", failure[1]
        elif operation == "DELETE":
            if cluster.id in self.clusters:
                await self.lose(cluster.id)
        else:
            await self._provide(cluster)
            cluster.status = f"{operation}_COMPLETE"
        self._save(cluster)

    async def _provide(self, cluster: Cluster) -> None:
        """Have the Kubernetes cluster be as Magnum was asked for."""
        if cluster.kubernetes is None:
            kubernetes = SimulatedCluster(cluster.name, self._cluster_settings, tls=cluster.authority.server_context())
            kubernetes.resume(cluster.port if is_free(cluster.port) else 0, kubernetes.token)
            cluster.kubernetes = kubernetes
            await kubernetes.start()
            cluster.port = kubernetes.port
        cluster.kubernetes.set_node_count(cluster.node_count)

    async def _resume(self, cluster: Cluster) -> None:
        """Have a cluster be, and become, what it was to in an earlier process."""
        if cluster.port:
            await self._provide(cluster)
            self._save(cluster)
        self._go_on_if_in_progress(cluster)

    def _go_on_if_in_progress(self, cluster: Cluster) -> None:
        operation, _, rest = cluster.status.partition("_")
        if rest == "IN_PROGRESS":
            self._go_on(cluster, operation)

    def _now(self) -> float:
        return self.cloud.now().timestamp()

    def _save(self, cluster: Cluster) -> None:
        if cluster.id in self.clusters:
            self._shelf.put(cluster.id, cluster.dump())


async def _end(cluster: Cluster) -> None:
    if cluster.kubernetes is not None:
        await cluster.kubernetes.stop()
        cluster.kubernetes.close()


def _routes(magnum: SimulatedMagnum) -> Sequence[web.AbstractRouteDef]:
    server = Server(magnum)
    one = PATH + "/clusters/{cluster}"
    return [
        web.get(PATH + "/clusters", _worded(server.list)),
        web.post(PATH + "/clusters", _worded(server.create)),
        web.get(one, _worded(server.show)),
        web.delete(one, _worded(server.delete)),
        web.post(one + "/actions/resize", _worded(server.resize)),
        web.get(PATH + "/clustertemplates", _worded(server.templates)),
        web.get(PATH + "/clustertemplates/{template}", _worded(server.template)),
        web.get(PATH + "/certificates/{cluster}", _worded(server.authority)),
        web.post(PATH + "/certificates", _worded(server.sign)),
        *control.routes(magnum),
    ]


def _worded(answer: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Word what went wrong as Magnum does."""

    async def respond(request: web.Request) -> web.Response:
        try:
            return await answer(request)
        except Refusal as refusal:
            error = {"request_id": "", "code": "client", "status": int(refusal.status), "links": []}
            document = {"errors": [{**error, "title": str(refusal).rstrip("."), "detail": str(refusal)}]}
            return web.json_response(document, status=refusal.status)

    return identity.worded(respond)


class Server:
    """Answers the requests for the clusters of a project."""

    def __init__(self, magnum: SimulatedMagnum) -> None:
        self._magnum = magnum

    async def list(self, request: web.Request) -> web.Response:
        marker, limit = request.query.get("marker", ""), int(request.query.get("limit", "1000"))
        own = sorted((each for each in self._own(request) if each.id > marker), key=lambda each: each.id)
        keys = ("uuid", "name", "status", "node_count", "master_count", "cluster_template_id", "create_timeout")
        shown = [{key: _describe(each)[key] for key in keys} for each in own[:limit]]
        return web.json_response({"clusters": shown})

    async def create(self, request: web.Request) -> web.Response:
        own, body = self._own(request), await _body(request)
        template = self._template(str(body.get("cluster_template_id")))
        name = body.get("name")
        if not isinstance(name, str) or not name or not name[0].isalnum() or len(name) > 242:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"Invalid input for field/attribute name. Value: '{name}'.")
        masters = _count(body.get("master_count", template.master_count), "master_count", 1)
        nodes = _count(body.get("node_count", template.node_count), "node_count", 0)
        timeout = _count(body.get("create_timeout", 60), "create_timeout", 0)
        if len(own) >= self._magnum.settings.quota:
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                "You have reached the maximum clusters per project, "
                f"{self._magnum.settings.quota}. You may delete a cluster to make room for a new one.",
            )
        authority = await asyncio.to_thread(Authority, name)
        cluster = Cluster(str(uuid.uuid4()), name, self._project(request), template, masters, nodes, timeout, authority)
        self._magnum.create(cluster)
        return web.json_response({"uuid": cluster.id}, status=HTTPStatus.ACCEPTED)

    async def show(self, request: web.Request) -> web.Response:
        return web.json_response(_describe(self._find(request)))

    async def delete(self, request: web.Request) -> web.Response:
        cluster = self._find(request)
        if cluster.status == "DELETE_IN_PROGRESS":
            raise Refusal(HTTPStatus.BAD_REQUEST, f"Cluster {cluster.name} already has an operation in progress.")
        self._magnum.delete(cluster)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def resize(self, request: web.Request) -> web.Response:
        version = request.headers.get("OpenStack-API-Version", "").removeprefix("container-infra ")
        if not version.startswith("1.") or int(version.removeprefix("1.") or 0) < 7:
            raise Refusal(HTTPStatus.NOT_ACCEPTABLE, "Request not acceptable.")
        cluster, body = self._find(request), await _body(request)
        if cluster.status in _TRANSITIONS or cluster.status == "CREATE_FAILED":
            said = f'Resizing a cluster when status is "{cluster.status}" is not supported.'
            raise Refusal(HTTPStatus.BAD_REQUEST, said)
        self._magnum.resize(cluster, _count(body.get("node_count"), "node_count", 0))
        return web.json_response({"uuid": cluster.id}, status=HTTPStatus.ACCEPTED)

    async def templates(self, request: web.Request) -> web.Response:
        self._project(request)
        return web.json_response({"clustertemplates": [_describe_template(each) for each in self._magnum.templates]})

    async def template(self, request: web.Request) -> web.Response:
        self._project(request)
        return web.json_response(_describe_template(self._template(request.match_info["template"])))

    async def authority(self, request: web.Request) -> web.Response:
        cluster = self._find(request)
        return web.json_response({"cluster_uuid": cluster.id, "pem": cluster.authority.pem})

    async def sign(self, request: web.Request) -> web.Response:
        body = await _body(request)
        cluster = self._by_name(request, str(body.get("cluster_uuid")))
        try:
            pem = cluster.authority.sign(str(body.get("csr")))
        except InvalidRequest as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"Received invalid csr: {error}") from None
        answer = {"cluster_uuid": cluster.id, "csr": body.get("csr"), "pem": pem}
        return web.json_response(answer, status=HTTPStatus.CREATED)

    def _project(self, request: web.Request) -> str:
        project = self._magnum.cloud.check(request).project
        if project is None:
            raise Refusal(HTTPStatus.FORBIDDEN, "Policy doesn't allow cluster:get to be performed.")
        return project.id

    def _own(self, request: web.Request) -> Sequence[Cluster]:
        project = self._project(request)
        return [each for each in self._magnum.clusters.values() if each.project == project]

    def _find(self, request: web.Request) -> Cluster:
        return self._by_name(request, request.match_info["cluster"])

    def _by_name(self, request: web.Request, name: str) -> Cluster:
        found = [each for each in self._own(request) if name in (each.id, each.name)]
        if len(found) > 1:
            told = "Multiple clusters exist with same name. Please use the cluster uuid instead."
            raise Refusal(HTTPStatus.CONFLICT, told)
        if not found:
            raise Refusal(HTTPStatus.NOT_FOUND, f"Cluster {name} could not be found.")
        return found[0]

    def _template(self, name: str) -> Template:
        for each in self._magnum.templates:
            if name in (each.id, each.name):
                return each
        raise Refusal(HTTPStatus.NOT_FOUND, f"ClusterTemplate {name} could not be found.")


def _describe(cluster: Cluster) -> dict[str, Any]:
    kubernetes = cluster.kubernetes
    return {
        "uuid": cluster.id,
        "name": cluster.name,
        "project_id": cluster.project,
        "cluster_template_id": cluster.template.id,
        "coe_version": "v1.23.3-rancher1" if kubernetes else None,
        "status": cluster.status,
        "status_reason": cluster.status_reason,
        "health_status": None,
        "node_count": cluster.node_count,
        "master_count": cluster.master_count,
        "create_timeout": cluster.create_timeout,
        "api_address": kubernetes.url if kubernetes is not None and kubernetes.port else None,
        "master_addresses": [f"10.0.0.{5 + number}" for number in range(cluster.master_count)] if kubernetes else [],
        "node_addresses": [f"10.0.0.{100 + number}" for number in range(cluster.node_count)] if kubernetes else [],
        "faults": {},
    }


def _describe_template(template: Template) -> dict[str, Any]:
    return {"uuid": template.id, "name": template.name, "coe": template.coe, "tls_disabled": False, "public": True}


async def _body(request: web.Request) -> dict[str, Any]:
    body: Any = None
    with suppress(ValueError, RecursionError):
        body = await request.json()
    if not isinstance(body, dict):
        raise Refusal(HTTPStatus.BAD_REQUEST, "Invalid JSON in the request body.")
    return body


def _count(value: Any, key: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"Invalid input for field/attribute {key}. Value: '{value}'.")
    return value
