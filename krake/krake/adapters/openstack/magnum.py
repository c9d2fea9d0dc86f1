"""OpenStack Magnum, by its REST API."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any, Self
from urllib.parse import quote, urlsplit

from krake.adapters.openstack.login import login_to_project
from krake.adapters.openstack.session import Session
from krake.adapters.openstack.sessions import Sessions
from krake.adapters.outgoing import Outgoing, Reply, Unanswered
from krake.data.metadata import Key
from krake.data.openstack import ProjectSpec
from krake.ports.infrastructure import Busy, InfrastructureError, NotFound, Refused, Rejected, Unavailable
from krake.ports.magnum import Order, Sight

_TYPES = ("container-infra", "container-infrastructure-management")
_VERSION = {"OpenStack-API-Version": "container-infra 1.7"}
"""The first in which clusters can be resized; without one, Magnum answers as its very first version does."""
_LONGEST_TEXT = 300
_MOST_ADDRESSES = 1_000
_MOST_CLUSTERS = 10_000
"""Of a project; who tells of ever more would fill the memory."""
_PAGE = 100
"""Clusters that are asked for at once."""


class MagnumConnector:
    """Reaches Magnum; an asynchronous context manager.

    :param outgoing: sends the requests; entered and left with this.
    """

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._sessions = Sessions(outgoing, services=True)

    async def __aenter__(self) -> Self:
        await self._outgoing.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._outgoing.__aexit__(*error)

    def connect(self, key: Key, project: ProjectSpec) -> "MagnumService":
        """See the port. As long as a project is declared the same, it stays logged in."""
        return self._find(key, project)

    async def check(self, key: Key, project: ProjectSpec) -> None:
        """See the port."""
        await self._find(key, project).check()

    def _find(self, key: Key, project: ProjectSpec) -> "MagnumService":
        session = self._sessions.open(f"The project '{key.name}'", login_to_project(project))
        return MagnumService(f"Magnum of the project '{key.name}'", session)


class MagnumService:
    """Magnum as it is for one project.

    :param name: how messages call it.
    """

    def __init__(self, name: str, session: Session) -> None:
        self._name = name
        self._session = session

    async def check(self) -> None:
        """Ask whether Keystone lets in and Magnum answers. Raises an `InfrastructureError` if not."""
        await self._session.check()  # as Magnum believes for minutes what it was told of a token
        self._read(await self._ask("GET", "/clusters?limit=1"))

    async def find(self, name: str) -> Sequence[Sight]:
        """See the port."""
        reply = await self._ask("GET", f"/clusters/{_part(name)}")
        if reply.status == HTTPStatus.CONFLICT:
            return await self._find_all(name)
        try:
            return [self._see(reply)]
        except NotFound:
            return []

    async def _find_all(self, name: str) -> Sequence[Sight]:
        """Return the clusters that have a name together, which Magnum does not tell by their name."""
        listed: list[Any] = []
        marker = ""
        while True:
            page = self._read(await self._ask("GET", f"/clusters?limit={_PAGE}&sort_key=uuid{marker}")).get("clusters")
            if not isinstance(page, list) or not all(isinstance(each, dict) for each in page):
                raise Unavailable(f"{self._name} answered something that is no list of clusters.")
            listed += page
            if len(listed) > _MOST_CLUSTERS:
                raise Unavailable(f"{self._name} tells of more than {_MOST_CLUSTERS} clusters.")
            if not page or marker == (marker := f"&marker={_part(page[-1].get('uuid'))}"):
                break
        found: list[Sight] = []
        for each in listed:
            if each.get("name") == name:
                try:
                    found.append(await self.observe(str(each.get("uuid"))))
                except NotFound:
                    continue
        return found

    async def observe(self, id: str) -> Sight:
        """See the port."""
        reply = await self._ask("GET", f"/clusters/{_part(id)}")
        return self._see(reply)

    async def orchestrator(self, template: str) -> str:
        """See the port."""
        found = self._read(await self._ask("GET", f"/clustertemplates/{_part(template)}"))
        return str(found.get("coe"))

    async def create(self, order: Order) -> str:
        """See the port."""
        counts = {"master_count": order.master_count, "node_count": order.node_count}
        body = {
            "name": order.name,
            "cluster_template_id": order.template,
            "create_timeout": max(1, ceil(order.timeout / 60)),
            **{key: count for key, count in counts.items() if count is not None},
        }
        id = self._read(await self._ask("POST", "/clusters", json=body)).get("uuid")
        if not isinstance(id, str) or not id:
            raise Unavailable(f"{self._name} has answered without the id of the new cluster.")
        return id

    async def resize(self, id: str, node_count: int) -> None:
        """See the port."""
        self._read(await self._ask("POST", f"/clusters/{_part(id)}/actions/resize", json={"node_count": node_count}))

    async def delete(self, id: str) -> None:
        """See the port."""
        reply = await self._ask("DELETE", f"/clusters/{_part(id)}")
        if reply.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) and not 200 <= reply.status < 300:
            raise self._error(reply)

    async def authority(self, id: str) -> str:
        """See the port."""
        return self._read_pem(await self._ask("GET", f"/certificates/{_part(id)}"))

    async def sign(self, id: str, request: str) -> str:
        """See the port."""
        return self._read_pem(await self._ask("POST", "/certificates", json={"cluster_uuid": id, "csr": request}))

    async def _ask(self, method: str, path: str, **options: Any) -> Reply:
        # Some catalogues name the version, others do not.
        endpoint = await self._session.endpoint(_TYPES)
        version = "" if urlsplit(endpoint).path.endswith("/v1") else "/v1"
        return await self._session.ask(_TYPES, method, version + path, headers=_VERSION, **options)

    def _see(self, reply: Reply) -> Sight:
        if reply.status == HTTPStatus.BAD_REQUEST:  # So it answers for a cluster whose last machines have just been deleted.
            raise Busy(str(self._error(reply)))
        return _read_sight(reply, self._read(reply))

    def _read(self, reply: Reply) -> Mapping[str, Any]:
        """Return the object of an answer, or raise what it means that there is none."""
        if not 200 <= reply.status < 300:
            raise self._error(reply)
        try:
            document = reply.document()
        except Unanswered as error:
            raise Unavailable(str(error)) from None
        if not isinstance(document, dict):
            raise Unavailable(f"{self._name} answered something that can not be read ({reply.outcome}).")
        return document

    def _read_pem(self, reply: Reply) -> str:
        pem = self._read(reply).get("pem")
        if not isinstance(pem, str) or "-----BEGIN CERTIFICATE-----" not in pem:
            raise Unavailable(f"{self._name} has answered without a certificate.")
        return pem

    def _error(self, reply: Reply) -> InfrastructureError:
        said = _quote(reply)
        told = f"{self._name} answered with {reply.outcome}" + (f": {said}" if said else ".")
        match reply.status:
            case HTTPStatus.UNAUTHORIZED:
                return Refused(told)
            case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
                return NotFound(told)
            case HTTPStatus.CONFLICT | HTTPStatus.TOO_MANY_REQUESTS:
                return Busy(told)
            case HTTPStatus.REQUEST_TIMEOUT:
                return Unavailable(told)
        return Rejected(told) if 400 <= reply.status < 500 else Unavailable(told)


def _part(text: object) -> str:
    """Return a text as a part of a path, whoever has written it."""
    part = quote(str(text), safe="")
    return part if part.strip(".") else "-"


def _read_sight(reply: Reply, found: Mapping[str, Any]) -> Sight:
    id, phase, count = _text(found.get("uuid")), _text(found.get("status")), found.get("node_count")
    if id is None:
        raise Unavailable(f"{reply.service} has told of a cluster that has no id.")
    if phase == "DELETE_COMPLETE":
        raise NotFound(f"{reply.service} has just deleted the cluster.")
    return Sight(
        id=id,
        name=_text(found.get("name")),
        # It has none in the first moments.
        phase=phase or "CREATE_IN_PROGRESS",
        message=reply.quote(found.get("status_reason") or _faults(found.get("faults"))) or None,
        node_count=count if type(count) is int and 0 <= count < 2**31 else None,
        api_address=_text(found.get("api_address")),
        master_addresses=_texts(found.get("master_addresses")),
        node_addresses=_texts(found.get("node_addresses")),
    )


def _text(value: object) -> str | None:
    """Return a text as it may be stored: what is longer than any, or can not be shown, is none."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT and value.isprintable() else None


def _texts(values: object) -> tuple[str, ...]:
    texts = (_text(value) for value in (values[:_MOST_ADDRESSES] if isinstance(values, list) else ()))
    return tuple(text for text in texts if text is not None)


def _faults(faults: object) -> str | None:
    """What went wrong with the parts of a cluster, if Magnum has nothing to say of the whole."""
    if not isinstance(faults, dict):
        return None
    return "; ".join(f"{name}: {said}" for name, said in faults.items()) or None


def _quote(reply: Reply) -> str:
    try:
        document = reply.document()
    except Unanswered:
        return ""
    errors = document.get("errors") if isinstance(document, dict) else None
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    return reply.quote(first.get("detail") or first.get("title"))
