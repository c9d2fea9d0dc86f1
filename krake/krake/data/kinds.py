"""The registry of kinds: what is said once here yields routes, client calls, role names, store keys and list envelopes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Self, TypeVar

from krake.data.metadata import Key, Metadata, ResourceRef
from krake.data.record import Record, Typed, fields_of


class Resource(Typed):
    """Base of the stored kinds. Each is declared once, with :func:`resource`."""

    definition: ClassVar["Kind"]

    metadata: Metadata

    @property
    def key(self) -> Key:
        """The object's key among those of its kind."""
        return self.metadata.key

    @property
    def ref(self) -> ResourceRef:
        """The reference by which other objects name this one."""
        return self.definition.ref(self.metadata.key)


@dataclass(frozen=True)
class Kind:
    """How a kind is named and reached.

    :param actions: routes below an object (``PUT …/{name}/<action>``), each with the class of its body, if it has one. The
        route ``status`` is not among them: every kind with a ``status`` field has it.
    :param transient: its objects are forgotten some time after they were last written. Nothing depends on them, so the garbage
        collector leaves them alone, and they go at once when they are deleted.
    :param path: collection path without a namespace, for example ``/kubernetes/applications``.
    :param prefix: of the store keys of all objects of the kind, ends in ``/``.
    """

    api: str
    name: str
    plural: str
    namespaced: bool
    actions: Mapping[str, type[Record] | None]
    has_status: bool
    transient: bool
    singular: str = field(init=False)
    path: str = field(init=False)
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "singular", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).lower())
        object.__setattr__(self, "path", f"/{self.api}/{self.plural}")
        object.__setattr__(self, "prefix", f"/{self.api}/{self.plural}/")

    @property
    def list_kind(self) -> str:
        """The kind of the list envelope."""
        return f"{self.name}List"

    def prefix_of(self, namespace: str | None) -> str:
        """The prefix of the store keys of one namespace, or of all."""
        return self.prefix if namespace is None else f"{self.prefix}{namespace}/"

    def store_key(self, key: Key) -> str:
        """The store key of an object."""
        return f"{self.prefix_of(key.namespace)}{key.name}"

    def key_of(self, store_key: str) -> Key:
        """The inverse of :meth:`store_key`."""
        rest = store_key.removeprefix(self.prefix)
        if not self.namespaced:
            return Key(None, rest)
        namespace, _, name = rest.partition("/")
        return Key(namespace, name)

    def ref(self, key: Key) -> ResourceRef:
        """The reference to an object of this kind."""
        return ResourceRef(api=self.api, kind=self.name, namespace=key.namespace, name=key.name)

    def __str__(self) -> str:
        return self.name


R = TypeVar("R", bound=Resource)

KINDS: dict[tuple[str, str], type[Resource]] = {}
"""Every declared kind by api and name, in the order of declaration."""


def resource(
    *,
    api: str,
    plural: str,
    namespaced: bool,
    actions: Mapping[str, type[Record] | None] | None = None,
    transient: bool = False,
) -> Callable[[type[R]], type[R]]:
    """Declare a class as a stored kind; its kind is called like the class. The parameters are those of :class:`Kind`."""

    def declare(cls: type[R]) -> type[R]:
        cls.api, cls.kind = api, cls.__name__
        cls.definition = Kind(
            api=api,
            name=cls.__name__,
            plural=plural,
            namespaced=namespaced,
            actions=MappingProxyType(dict(actions or {})),
            has_status=any(info.name == "status" for info in fields_of(cls)),
            transient=transient,
        )
        KINDS[api, cls.__name__] = cls
        return cls

    return declare


def kind_of(ref: ResourceRef) -> type[Resource]:
    """Return the class of the object that *ref* names.

    :raises LookupError: there is no such kind.
    """
    try:
        return KINDS[ref.api, ref.kind]
    except KeyError:
        raise LookupError(f"There is no kind {ref.kind!r} in the API {ref.api!r}.") from None


@dataclass(frozen=True)
class Listing(Generic[R]):
    """Some objects of a kind as of one version of the store.

    :param resource_version: of the store when the list was read; a watch from there misses nothing.
    :param continue_token: where the rest of a cut list starts.
    """

    items: list[R]
    resource_version: str
    continue_token: str | None = None

    @classmethod
    def of(cls, kind: type[R], body: Mapping[str, Any]) -> Self:
        """Return the list of a wire form."""
        metadata = body.get("metadata") or {}
        return cls(
            items=[kind.restore(item) for item in body.get("items", [])],
            resource_version=metadata.get("resource_version") or "0",
            continue_token=metadata.get("continue"),
        )
