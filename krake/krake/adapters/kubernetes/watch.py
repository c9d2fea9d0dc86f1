"""Follows the objects of a type: lists them, watches from there, and lists anew when the history is forgotten."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from krake.adapters.kubernetes.transport import Expired, Transport, garbage, rejection
from krake.ports.cluster import Changed, Listed, Object, ObjectType, Removed, WatchEvent

PAGE = "500"
HASTE = 0.2
"""Seconds between two watches at least, should a server end each at once."""


class Watch:
    """A watch on all objects at a path that have a label.

    :param interval: seconds after which the server ends each request; that it begins the next one proves that it is alive.
    """

    def __init__(self, transport: Transport, path: str, type_: ObjectType, selector: str | None, interval: int) -> None:
        self._transport = transport
        self._path = path
        self._type = type_
        self._query = {"labelSelector": selector} if selector else {}
        self._interval = interval

    async def events(self) -> AsyncGenerator[WatchEvent, None]:
        """Yield all objects, then each change; ends only by an error."""
        while True:
            objects, version = await self._list()
            yield Listed(tuple(objects))
            try:
                async with contextlib.aclosing(self._changes(version)) as changes:
                    async for change in changes:
                        yield change
            except Expired:
                await asyncio.sleep(HASTE)

    async def _list(self) -> tuple[list[Object], str]:
        objects: list[Object] = []
        query = {**self._query, "limit": PAGE}
        while True:
            try:
                body = await self._transport.call("GET", self._path, query)
            except Expired:
                if "continue" not in query:
                    raise
                objects.clear()
                del query["continue"]
                continue
            metadata = body.get("metadata")
            if not isinstance(body.get("items"), list) or not isinstance(metadata, Mapping):
                raise self._garbage()
            objects += [self._whole(item) for item in body["items"]]
            if not metadata.get("continue"):
                return objects, str(metadata.get("resourceVersion") or "0")
            query["continue"] = str(metadata["continue"])

    async def _changes(self, version: str) -> AsyncGenerator[WatchEvent, None]:
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            query = {
                **self._query,
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": version,
                "timeoutSeconds": str(self._interval),
            }
            stream = self._transport.stream(self._path, query, patience=self._interval + self._transport.timeout)
            async with contextlib.aclosing(stream):
                async for event in stream:
                    obj = self._object(event)
                    version = str(obj["metadata"].get("resourceVersion") or version)
                    if event["type"] == "DELETED":
                        yield Removed(obj)
                    elif event["type"] != "BOOKMARK":
                        yield Changed(obj)
            await asyncio.sleep(max(0.0, began + HASTE - clock()))

    def _object(self, event: Mapping[str, Any]) -> Object:
        obj = event.get("object")
        if event.get("type") == "ERROR" and isinstance(obj, Mapping):
            raise rejection(obj, 500)
        if event.get("type") == "BOOKMARK" and isinstance(obj, Mapping) and isinstance(obj.get("metadata"), Mapping):
            return obj
        if event.get("type") not in ("ADDED", "MODIFIED", "DELETED"):
            raise self._garbage()
        return self._whole(obj)

    def _whole(self, item: Any) -> Object:
        """The items of a list do not name their type; readers of an object should not have to care."""
        metadata = item.get("metadata") if isinstance(item, Mapping) else None
        if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
            raise self._garbage()
        return {"apiVersion": self._type.api_version, "kind": self._type.kind, **item}

    def _garbage(self) -> Exception:
        return garbage(self._transport.access.address)
