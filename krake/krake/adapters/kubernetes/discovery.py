"""Which types a cluster serves, and where. Asked when first needed, and again when something is not found."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from krake.adapters.kubernetes.transport import NotFound, Transport, garbage
from krake.ports.cluster import Identity, ObjectType, Rejected, Unsupported

FRESH = 0.3
"""Seconds for which a type that was not found is not looked for again."""
VALID = 300.0
"""Seconds after which what was found is looked up again: a custom resource may have been declared anew."""

_API_VERSION = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?v[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the objects of a type are served.

    :param root: path of the API version, for example ``/apis/apps/v1``.
    """

    root: str
    plural: str
    namespaced: bool

    @property
    def everywhere(self) -> str:
        """The path of all objects of the type."""
        return f"{self.root}/{quote(self.plural, safe='')}"

    def path(self, identity: Identity) -> str:
        """The path of an object.

        :raises Nameless: no object can have this name.
        """
        name = _segment(identity.name, "name")
        plural = quote(self.plural, safe="")
        if not self.namespaced:
            return f"{self.root}/{plural}/{name}"
        return f"{self.root}/namespaces/{_segment(identity.namespace or '', 'namespace')}/{plural}/{name}"


class Nameless(Rejected):
    """No object can have this name."""


def _segment(name: str, what: str) -> str:
    if not name or name in (".", "..") or "/" in name or "%" in name:
        raise Nameless(422, "Invalid", f"metadata.{what}: {name!r} can not be the {what} of an object.")
    return quote(name, safe="")


class Discovery:
    """Finds the places of types."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._found: dict[str, tuple[float, dict[str, Place]]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def find(self, type_: ObjectType) -> Place:
        """Return where objects of a type are. Raises `Unsupported`."""
        version = type_.api_version
        if not _API_VERSION.fullmatch(version):
            raise Unsupported(type_)
        place = self._known(type_)
        if place is None:
            async with self._asking.setdefault(version, asyncio.Lock()):
                place = self._known(type_) or await self._ask(type_)
        if place is None:
            raise Unsupported(type_)
        return place

    def _known(self, type_: ObjectType) -> Place | None:
        asked, kinds = self._found.get(type_.api_version, (0.0, {}))
        return kinds.get(type_.kind) if asked + VALID > asyncio.get_running_loop().time() else None

    async def _ask(self, type_: ObjectType) -> Place | None:
        version, now = type_.api_version, asyncio.get_running_loop().time()
        asked, kinds = self._found.get(version, (-FRESH, {}))
        if asked + FRESH <= now:
            kinds = await self._places(version)
            self._found[version] = now, kinds
        return kinds.get(type_.kind)

    async def _places(self, version: str) -> dict[str, Place]:
        root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        try:
            body = await self._transport.call("GET", root)
        except NotFound:
            return {}
        resources = body.get("resources")
        if not isinstance(resources, list):
            raise garbage(self._transport.access.address)
        return {each["kind"]: Place(root, each["name"], each["namespaced"]) for each in resources if _is_main(each)}


def _is_main(entry: Any) -> bool:
    """Whether an entry of a resource list is a type of its own and not a part of one, like ``deployments/scale``."""
    return (
        isinstance(entry, Mapping)
        and isinstance(entry.get("kind"), str)
        and isinstance(entry.get("namespaced"), bool)
        and isinstance(entry.get("name"), str)
        and "/" not in entry["name"]
    )
