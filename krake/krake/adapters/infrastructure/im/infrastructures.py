"""Asks an IM. Each question has the time limit of the connection, and none waits for what it has begun."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import aiohttp
import yaml

from krake.adapters.infrastructure.im.answers import (
    blames_template,
    broken_in,
    complaint_in,
    read_state,
    refuses_cloud_user,
    refuses_user,
    shorten,
    states_of,
    trouble_in,
)
from krake.adapters.infrastructure.im.authorization import Authorization
from krake.adapters.infrastructure.im.memory import Memory, Update, remember
from krake.adapters.infrastructure.im.templates import (
    count_machines,
    date_of,
    date_template,
    has_nodes,
    mark_of,
    mark_template,
    settle_template,
)
from krake.adapters.outgoing import Forbidden, Outgoing, Reply, Unanswered
from krake.adapters.tosca.documents import read_document
from krake.data.tosca import InvalidTemplate
from krake.ports.infrastructure import (
    Busy,
    Infrastructure,
    InfrastructureError,
    NotFound,
    Phase,
    Refused,
    Rejected,
    Unavailable,
)

_LONGEST_UPDATE = 900.0
"""Seconds after which IM is not about to launch machines any more."""
_LONGEST_LAUNCH = aiohttp.ClientTimeout(total=_LONGEST_UPDATE)
_LONGEST_BEGINNING = 300.0
"""Seconds after which an IM that has no machines yet has given up to create them."""
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")
_MOST = 10_000
"""Infrastructures that a user may have at an IM; by more, it would keep Krake busy and fill its memory."""
_LONGEST_COMPLAINT = 32_768
"""Characters of an error that are looked at; the reason comes first, and who sends megabytes must keep nobody busy."""
_NAME_IN_RADL = re.compile(r"\s*description \w+ \(\s*name = '([^']*)'\s*\)")
_AT_ONCE = 8
_YAML = {"Content-Type": "text/yaml"}
_LARGEST_TEMPLATE = 1_048_576
"""Bytes; to read as much takes a core seconds already."""
_ANY = {"Accept": "*/*"}
_ASYNC = {"async": "true"}
_IN_TROUBLE = frozenset({Phase.FAILED, Phase.UNCONFIGURED, Phase.UNKNOWN})
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class ImInfrastructures:
    """The infrastructures that a user has at an IM.

    :param name: of the provider.
    :param memory: of all that ask IMs; what is found out is added.
    :param ca: certificates in PEM that the IM is verified by, instead of the authorities of the system.
    :param admit: raises `InfrastructureError` if the IM, which asks the cloud each time, is not to be sent there.
    """

    def __init__(
        self,
        outgoing: Outgoing,
        name: str,
        url: str,
        authorization: Authorization,
        memory: Memory,
        *,
        ca: str | None = None,
        admit: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._outgoing = outgoing
        self._service = f"The infrastructure provider '{name}'"
        self._url = url.rstrip("/")
        self._authorization = authorization
        self._memory = memory
        self._ca = ca
        self._admit = admit

    async def check(self) -> None:
        """Ask whether the user is known. Raises `InfrastructureError` if not."""
        await self._list()

    async def find(self, mark: str) -> Sequence[str]:
        """Return the ids of the infrastructures that were created with a mark."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def fits(id: str) -> bool:
            async with gate:
                return await self._mark(id) == mark

        ids = await self._list()
        return [id for id, found in zip(ids, await asyncio.gather(*map(fits, ids)), strict=True) if found]

    async def create(self, mark: str, template: Mapping[str, Any]) -> str:
        """Begin to create an infrastructure by a TOSCA template, and return its id."""
        body = await asyncio.to_thread(_write, mark_template(template, mark))
        reply = await self._ask("POST", "/infrastructures", params=_ASYNC, headers=_YAML | _ANY, data=body)
        id = _id_in(reply.text)
        if id is None:
            raise Unavailable(f"{self._service} answered something that names no infrastructure: is there an IM at its URL?")
        remember(self._memory.marks, (self._url, id), mark)
        return id

    async def observe(self, id: str) -> Infrastructure:
        """Return how an infrastructure is; if it is in trouble, with what IM says about it."""
        infrastructure = read_state(await self._state(id))
        if infrastructure is None:
            raise self._unreadable()
        if infrastructure.phase not in _IN_TROUBLE:
            return infrastructure
        return replace(infrastructure, message=await self._trouble(id))

    async def update(self, id: str, template: Mapping[str, Any]) -> None:
        """Begin to make an infrastructure what a template says; machines that are broken are replaced.

        :raises Busy: also if it takes longer than an answer may: it goes on, and is to be asked for again.
        """
        key = self._url, _checked(id)
        update = self._memory.updates.get(key)
        if update is None:
            update = Update(template, asyncio.create_task(self._update(id, template)))
            self._memory.updates[key] = update
        await asyncio.wait({update.task}, timeout=self._outgoing.timeout)
        if not update.task.done():
            raise Busy(f"{self._service} is at work on the machines of the infrastructure.")
        self._memory.updates.pop(key, None)
        error = update.task.exception()
        if update.template != template:
            raise Busy(f"{self._service} was at work on another change of the infrastructure.")
        if error is not None:
            raise error

    async def reconfigure(self, id: str) -> None:
        """Begin to configure the machines anew."""
        await self._ask("PUT", f"/infrastructures/{_checked(id)}/reconfigure", headers=_ANY)

    async def delete(self, id: str) -> None:
        """Begin to delete an infrastructure; one that is gone is no trouble.

        :raises Busy: IM is about to launch its machines: it would do so even if the infrastructure were gone, and nobody would
            ever know of them.
        """
        try:
            update = self._memory.updates.get((self._url, id))
            if (update is not None and not update.task.done()) or self._begins(id, await self._state(id)):
                raise Busy(f"{self._service} is about to launch the machines of the infrastructure.")
            await self._ask("DELETE", f"/infrastructures/{id}", params=_ASYNC, headers=_ANY)
        except NotFound:
            self._memory.marks.pop((self._url, id), None)
            self._memory.beginnings.pop((self._url, id), None)

    async def kubeconfig(self, id: str) -> dict[str, Any] | None:
        """Return what the template gives out as ``kubeconfig``."""
        try:
            reply = await self._ask("GET", f"/infrastructures/{_checked(id)}/outputs")
        except _Missing:
            return None
        document = self._read(reply)
        outputs = document.get("outputs") if isinstance(document, dict) else None
        text = outputs.get("kubeconfig") if isinstance(outputs, dict) else None
        if isinstance(text, dict):
            return text
        if not isinstance(text, str) or text.strip() in ("", "None", "null"):
            return None
        try:
            found = await asyncio.to_thread(read_document, text, "The kubeconfig")
            if found.keys() == {"msg"}:  # what Ansible says, which IM has not understood
                found = await asyncio.to_thread(read_document, str(found["msg"]), "The kubeconfig")
            return found
        except InvalidTemplate:
            raise Rejected(
                "The output 'kubeconfig' of the template is no kubeconfig: correct what the template gives out there."
            ) from None

    async def close(self) -> None:
        """Nothing is held: the connection belongs to others."""

    async def _update(self, id: str, template: Mapping[str, Any]) -> None:
        if not has_nodes(template):
            raise Rejected("The template has no nodes: delete the cluster if it shall have none.")
        state = await self._state(id)
        machines = states_of(state)
        infrastructure = read_state(state)
        if infrastructure is None:
            raise self._unreadable()
        if infrastructure.phase in (Phase.PENDING, Phase.DELETING) or "deleting" in machines.values():
            raise Busy(f"{self._service} is at work on the machines of the infrastructure.")
        before = await self._template(id) or {}
        if self._is_under_way(id, before, infrastructure):
            raise Busy(f"{self._service} may be at work on a change of the infrastructure that it was asked for before.")
        asked = time.time()
        body = await asyncio.to_thread(_write, date_template(settle_template(template, before), asked))
        await self._mend(id, machines)
        path = f"/infrastructures/{id}"
        try:
            await self._ask("POST", path, params=_ASYNC, headers=_YAML | _ANY, data=body, timeout=_LONGEST_LAUNCH)
        except InfrastructureError as error:
            if not isinstance(error, Unavailable) or isinstance(error, _Failed):
                remember(self._memory.answered, (self._url, id), asked)
            raise
        remember(self._memory.answered, (self._url, id), asked)

    def _is_under_way(self, id: str, template: Mapping[str, Any], found: Infrastructure) -> bool:
        """Whether IM may be about to launch machines for an update that nobody here has had an answer to.

        :param template: that IM has.
        """
        asked = date_of(template)
        if asked is None or self._memory.answered.get((self._url, id)) == asked:
            return False
        is_done = found.phase is not Phase.CREATING and len(found.machines) == count_machines(template)
        return not is_done and abs(time.time() - asked) < _LONGEST_UPDATE

    async def _list(self) -> Sequence[str]:
        reply = await self._ask("GET", "/infrastructures", headers={"Accept": "text/uri-list"})
        if reply.body.count(b"\n") > _MOST:
            raise Unavailable(f"{self._service} tells of more than {_MOST} infrastructures: give Krake a user of its own.")
        ids = [_id_in(line) for line in reply.text.split("\n") if line.strip()]
        if None in ids:
            raise self._unreadable()
        return [id for id in ids if id is not None]

    async def _mark(self, id: str) -> str | None:
        known = self._memory.marks.get((self._url, id))
        if known is not None:
            return known
        try:
            template = await self._template(id)
            known = mark_of(template) if template is not None else await self._mark_in_radl(id)
        except NotFound:
            return None
        if known is not None:
            remember(self._memory.marks, (self._url, id), known)
        return known

    async def _mark_in_radl(self, id: str) -> str | None:
        """Return the mark that IM has passed on to its own form of the template, which it has even if it lost the template."""
        reply = await self._ask("GET", f"/infrastructures/{_checked(id)}/radl", headers={"Accept": "text/plain"})
        found = _NAME_IN_RADL.match(reply.text)
        return found[1] if found else None

    async def _template(self, id: str) -> dict[str, Any] | None:
        """Return the template that IM has of an infrastructure; ``None`` if it has none yet."""
        try:
            reply = await self._ask("GET", f"/infrastructures/{_checked(id)}/tosca", headers={"Accept": "text/plain"})
        except _Missing:
            return None
        if len(reply.body) > _LARGEST_TEMPLATE:
            raise Unavailable(f"{self._service} answered with a template of more than {_LARGEST_TEMPLATE} bytes.")
        try:
            return await asyncio.to_thread(read_document, reply.text, "The template")
        except InvalidTemplate:
            raise self._unreadable() from None

    def _begins(self, id: str, state: Any) -> bool:
        """Whether IM may be about to launch machines."""
        infrastructure = read_state(state)
        if infrastructure is None or infrastructure.phase is not Phase.PENDING or infrastructure.machines:
            return False
        now = asyncio.get_running_loop().time()
        return now - self._memory.beginnings.setdefault((self._url, id), now) < _LONGEST_BEGINNING

    async def _state(self, id: str) -> Any:
        return self._read(await self._ask("GET", f"/infrastructures/{_checked(id)}/state"))

    async def _trouble(self, id: str) -> str | None:
        try:
            reply = await self._ask("GET", f"/infrastructures/{id}/contmsg", headers={"Accept": "text/plain"})
        except InfrastructureError:
            return None
        return reply.quote(trouble_in(reply.text)) or None

    async def _mend(self, id: str, machines: Mapping[str, str]) -> None:
        """Remove machines that will never work again, so that IM makes others instead; start those that were stopped."""
        if broken := sorted(broken_in(machines)):
            path = f"/infrastructures/{id}/vms/{','.join(map(_checked, broken))}"
            await self._ask("DELETE", path, params={"context": "false"}, headers=_ANY, timeout=_LONGEST_LAUNCH)
        for name in (name for name, state in machines.items() if state == "stopped"):
            await self._ask("PUT", f"/infrastructures/{id}/vms/{_checked(name)}/start", headers=_ANY)

    def _read(self, reply: Reply) -> Any:
        try:
            return reply.document()
        except Unanswered as error:
            raise Unavailable(str(error)) from None

    def _unreadable(self) -> Unavailable:
        return Unavailable(f"{self._service} answered something that can not be read: is there an IM at its URL?")

    async def _ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any) -> Reply:
        """Return the answer of success.

        :raises InfrastructureError: there is none.
        """
        if self._admit is not None:
            await self._admit()
        shown = {"Authorization": self._authorization.header, **(headers or {})}
        try:
            reply = await self._outgoing.request(
                self._service,
                method,
                self._url + path,
                headers=shown,
                secrets=self._authorization.secrets,
                ca=self._ca,
                **options,
            )
        except Forbidden as error:
            raise Rejected(str(error)) from None
        except Unanswered as error:
            raise Unavailable(str(error)) from None
        if not 200 <= reply.status < 300:
            raise self._fail(reply, with_template="data" in options)
        return reply

    def _fail(self, reply: Reply, with_template: bool) -> InfrastructureError:
        complaint = complaint_in(reply.text[:_LONGEST_COMPLAINT])
        quoted = reply.quote(shorten(complaint))
        said = f": {quoted}" if quoted else f" ({reply.outcome})."
        match reply.status:
            case HTTPStatus.UNAUTHORIZED:
                return Refused(f"{self._service} does not know the user{said}")
            case _ if refuses_user(complaint):
                return Refused(f"{self._service} does not know the user{said}")
            case _ if refuses_cloud_user(complaint):
                return Refused(f"{self._service} can not log in to the cloud{said}")
            case HTTPStatus.FORBIDDEN if "not valid in this infrastructure" in complaint:
                return _Missing(quoted)
            case HTTPStatus.FORBIDDEN if "disabled" not in complaint:
                return Refused(f"{self._service} refuses access{said}")
            case HTTPStatus.NOT_FOUND if "rror deleting resources" not in complaint:
                return NotFound(f"{self._service} has no such infrastructure{said}")
            case HTTPStatus.CONFLICT:
                return Busy(f"{self._service} is at work on the infrastructure{said}")
            case HTTPStatus.BAD_REQUEST if with_template and blames_template(complaint):
                return Rejected(f"{self._service} does not understand the template{said}")
            case status if 300 <= status < 400:
                return Unavailable(f"{self._service} leads elsewhere ({reply.outcome}), which is not followed: check its URL.")
        kind = _Failed if reply.status == HTTPStatus.BAD_REQUEST else Unavailable
        return kind(f"{self._service} has trouble ({reply.outcome}){said if quoted else '.'}")


class _Missing(InfrastructureError):
    """IM knows the infrastructure, but not what was asked about it."""


class _Failed(Unavailable):
    """IM has tried, and says so."""


def _write(template: Mapping[str, Any]) -> bytes:
    return str(yaml.dump(dict(template), Dumper=_Dumper, sort_keys=False, allow_unicode=True)).encode()


def _checked(id: str) -> str:
    """Return an id that is a part of a path, and no way to somewhere else.

    :raises NotFound: it is not.
    """
    if not _ID.fullmatch(id):
        raise NotFound("There is no infrastructure with such an id.")
    return id


def _id_in(uri: str) -> str | None:
    found = uri.strip().rpartition("/infrastructures/")
    return found[2] if found[1] and _ID.fullmatch(found[2]) else None
