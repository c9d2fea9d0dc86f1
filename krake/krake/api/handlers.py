"""Serves the objects of a kind; the same class serves all kinds."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any

from aiohttp import web

from krake.api import lifecycle
from krake.api.actions import Action, Situation
from krake.api.admission import note_status
from krake.api.authorization import Authorizer, Escalation, Permission, Redirection, check_finalizers
from krake.api.body import check_patch_type, merge_patch, read_object
from krake.api.cache import Cache
from krake.api.deletion import Deletions
from krake.api.items import Item, encode
from krake.api.lifecycle import Outcome
from krake.api.operations import PERMISSION
from krake.api.problem import of_fields
from krake.api.query import ListQuery, is_set
from krake.api.reader import Reader
from krake.api.requests import IDENTITY, USER
from krake.api.subscription import Subscription
from krake.api.watch import Watches, registered
from krake.api.writer import Writer
from krake.data.kinds import Resource
from krake.data.metadata import Key, Verb
from krake.data.record import Record, fields_of
from krake.data.schema import Purpose, load
from krake.data.secrets import has_secrets, redact
from krake.ports.store import Guard

_BLOCKING_LIMIT = 60.0
"""Seconds that a request waits for a state at most."""
_JSON = "application/json; charset=utf-8"
_UNBLOCKED = {"False", "false", "0", ""}


@dataclass(frozen=True, slots=True)
class Services:
    """What all handlers share."""

    cache: Cache
    reader: Reader
    writer: Writer
    watches: Watches
    authorizer: Authorizer
    escalation: Escalation
    redirection: Redirection
    now: Callable[[], datetime]


def answer(wire: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return the response with a JSON text."""
    return web.Response(body=wire, status=status, headers={"Content-Type": _JSON, **(headers or {})})


class Handlers:
    """Handles the requests for one kind. All raise Problem, and ValidationError for a wrong body."""

    def __init__(self, kind: type[Resource], services: Services) -> None:
        self._kind = kind
        self._definition = kind.definition
        self._has_secrets = has_secrets(kind)
        self._services = services
        self._deletions = Deletions(services.cache, services.writer, services.now)

    async def list_or_watch(self, request: web.Request, namespace: str | None) -> web.StreamResponse:
        """``GET`` of a collection."""
        prefix = self._definition.prefix_of(namespace)
        query = ListQuery.of(request.query, prefix)
        if query.watch and request.method == "GET":
            sees_secrets = partial(self._sees_secrets, request, namespace)
            permission = request[PERMISSION]._replace(namespace=namespace)
            may_watch = partial(self._services.authorizer.allows, request[USER], permission)
            return await self._services.watches.stream(request, self._kind, prefix, query, sees_secrets, may_watch)
        secrets = self._sees_secrets(request, namespace)
        return answer(await self._services.reader.collect(self._kind, prefix, query, secrets=secrets))

    async def create(self, request: web.Request, namespace: str | None) -> web.Response:
        """``POST`` to a collection."""
        with self._awaited_state(request) as state:
            body = load(self._kind, lifecycle.refuse_marks(self._kind, await read_object(request)), Purpose.CREATE)
            record = lifecycle.create(body, namespace, str(uuid.uuid4()), self._services.now())
            self._services.escalation.check(request[USER], None, record)
            self._services.redirection.check(request[USER], None, record)
            item = await self._services.writer.create(record)
            if state is not None:
                item = await self._wait_for(record.key, state, item)
        return self._show(request, item, 201, {"Location": f"{request.rel_url.raw_path}/{record.metadata.name}"})

    async def read(self, request: web.Request, key: Key) -> web.Response:
        """``GET`` of an object."""
        return self._show(request, self._services.reader.get(self._kind, key))

    async def update(self, request: web.Request, key: Key) -> web.Response:
        """``PUT`` of an object."""
        body = await read_object(request)

        def decide(item: Item) -> Outcome:
            whole = lifecycle.keep_bookkeeping(item.record, body)
            return self._replace(request, item, whole)

        # What is wrong whatever is stored is said before the object is looked for.
        self._check_unless_stored(key, body)
        return await self._change(request, key, body, decide)

    async def patch(self, request: web.Request, key: Key) -> web.Response:
        """``PATCH`` of an object, by a merge patch."""
        check_patch_type(request)
        patch = await read_object(request)

        def decide(item: Item) -> Outcome:
            # What the patch does not speak of is kept, as what is marked in a body is.
            return self._replace(request, item, merge_patch(redact(self._kind, item.decode()), patch))

        return await self._change(request, key, patch, decide)

    async def update_status(self, request: web.Request, key: Key) -> web.Response:
        """``PUT`` of the status."""
        body = await read_object(request)
        return await self._change(request, key, body, lambda item: self._update_status(item, body))

    async def patch_status(self, request: web.Request, key: Key) -> web.Response:
        """``PATCH`` of the status, by a merge patch on the whole object."""
        check_patch_type(request)
        patch = await read_object(request)

        def decide(item: Item) -> Outcome:
            return self._update_status(item, merge_patch(item.decode(), patch))

        return await self._change(request, key, patch, decide)

    async def delete(self, request: web.Request, key: Key) -> web.Response:
        """``DELETE`` of an object."""
        if is_set(request.query, "force"):
            delete = self._deletions.force
        else:
            delete = partial(self._deletions.request, cascade=is_set(request.query, "cascade"))
        with self._awaited_state(request) as state:
            item = await delete(self._kind, key)
            if state is not None:
                item = await self._wait_for(key, state, item)
        return self._show(request, item)

    async def act(self, request: web.Request, key: Key, action: Action, body_class: type[Record] | None) -> web.Response:
        """``PUT`` of an action."""
        body = None if body_class is None else load(body_class, await read_object(request), Purpose.FULL)
        ref = action.target_of(body)
        if ref is not None:
            await self._services.reader.look_up(ref)

        def decide(item: Item) -> Outcome:
            target = None if ref is None else self._services.reader.find(ref)
            record = action.run(item.record, body, Situation(self._services.now(), target))
            return Outcome(item.record if record == item.record else record, guards=_guards(target))

        return self._show(request, await self._services.writer.change(self._kind, key, decide))

    def _replace(self, request: web.Request, item: Item, body: dict[str, Any]) -> Outcome:
        secrets = self._sees_secrets(request, item.key.namespace)
        changed = lifecycle.read_body(item.record, item.decode, body, secrets=secrets)
        outcome = lifecycle.update(item.record, changed, self._services.now())
        self._services.escalation.check(request[USER], item.record, outcome.record)
        self._services.redirection.check(request[USER], item.record, outcome.record)
        check_finalizers(self._services.authorizer, request[USER], item.record, outcome.record)
        return outcome

    def _update_status(self, item: Item, body: dict[str, Any]) -> Outcome:
        outcome = lifecycle.update_status(item.record, item.decode, body)
        return replace(outcome, record=note_status(item.record, outcome.record, self._services.now()))

    async def _change(
        self, request: web.Request, key: Key, body: dict[str, Any], decide: Callable[[Item], Outcome]
    ) -> web.Response:
        named = lifecycle.named_version(body)

        def decide_on_version(item: Item) -> Outcome:
            lifecycle.check_version(item.record, named)
            return decide(item)

        return self._show(request, await self._services.writer.change(self._kind, key, decide_on_version, named=named))

    def _show(self, request: web.Request, item: Item, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        """Return the response with an object as the user may see it."""
        return answer(item.shown(self._sees_secrets(request, item.key.namespace)), status, headers)

    def _sees_secrets(self, request: web.Request, namespace: str | None) -> bool:
        """Whether the user may see the secrets of objects, of one namespace or of all."""
        if not self._has_secrets:
            return True
        if request[IDENTITY].hooks_only:
            return False
        kind = self._definition
        # The empty text asks for all namespaces; a permission to list them is not enough.
        place = "" if kind.namespaced and namespace is None else namespace
        permission = Permission(kind.api, (f"{kind.plural}/secrets",), Verb.get, place)
        return self._services.authorizer.allows(request[USER], permission)

    def _check_unless_stored(self, key: Key, body: dict[str, Any]) -> None:
        if self._services.cache[self._kind].get(key) is None:
            load(self._kind, body, Purpose.UPDATE)

    @contextmanager
    def _awaited_state(self, request: web.Request) -> Iterator[str | None]:
        """Give the state that the request is to wait for, in capitals. Raises Problem 429: too many wait, or watch."""
        state = self._read_awaited_state(request)
        with nullcontext() if state is None else self._services.watches.limits.watching(request):
            yield state

    def _read_awaited_state(self, request: web.Request) -> str | None:
        text = request.query.get("blocking", "")
        if text in _UNBLOCKED or not (states := states_of(self._kind)):
            return None
        if text.upper() not in states | {"DELETED"}:
            known = ", ".join(sorted(state.lower() for state in states))
            raise of_fields([("query.blocking", f"There is no state {text!r}; wait for one of: {known}.")])
        return text.upper()

    async def _wait_for(self, key: Key, state: str, written: Item) -> Item:
        """Return the object as soon as it is in *state* or removed; after the time limit, as it was *written*."""
        collection = self._services.cache[self._kind]
        changes = Subscription(self._definition.store_key(key), None, limit=10_000)
        try:
            async with asyncio.timeout(_BLOCKING_LIMIT):
                with registered(collection, changes):
                    while (item := collection.get(key)) is not None:
                        if _state_of(item.record) == state or not await changes.take():
                            return item
        except TimeoutError:
            return written
        return _as_deleted(written) if state == "DELETED" else written


def _guards(target: Resource | None) -> tuple[Guard, ...]:
    """Return what makes a write fail if *target* has changed."""
    if target is None or target.metadata.resource_version is None:
        return ()
    return (Guard(target.definition.store_key(target.key), int(target.metadata.resource_version)),)


def _state_of(record: Any) -> str:
    return str(record.status.state.name)


def states_of(kind: type[Resource]) -> set[str]:
    """Return the names of the states that objects of a kind can be in."""
    status = next((info.type for info in fields_of(kind) if info.name == "status"), None)
    state = next((info.type for info in fields_of(status) if info.name == "state"), None) if status else None
    return set(state.__members__) if isinstance(state, type) and issubclass(state, Enum) else set()


def _as_deleted(item: Item) -> Item:
    data = item.decode()
    data["status"]["state"] = "DELETED"
    return Item(item.kind, item.store_key, item.revision, item.created_revision, encode(data))
