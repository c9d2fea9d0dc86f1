"""What Krake needs from a Kubernetes cluster: declared objects made so, and told what becomes of them.

Objects are plain JSON mappings, as Kubernetes spells them. Those that Krake makes carry the label `OWNER_LABEL` with the uid of
their application; what lacks it, or names another, belongs to somebody else and is never changed or deleted, unless it carries
`ADOPT_ANNOTATION` with the name of the application and no such label.

Any method may raise `Unreachable` or `Rejected`; both are left out of the docstrings below. No method takes longer than the
connection's time limit, except the watches, which wait for as long as nothing happens.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

OWNER_LABEL = "krake.cloud/application-uid"
"""Label of every object that Krake makes, and of the Pods of its workloads: the uid of the application."""
COPY_LABEL = "krake.cloud/volume-copy"
"""Label of the objects, and their Pods, that only copy the volumes of an application; they are no part of it."""
ADOPT_ANNOTATION = "krake.cloud/adopt"
"""Annotation of an object that Krake did not make: the application that may take it over, as ``namespace/name``."""
APPLICATION_ANNOTATION = "krake.cloud/application"
"""Annotation of every object that Krake makes: its application, as ``namespace/name``."""
FIELD_MANAGER = "krake"
"""The name under which Kubernetes records which fields were declared through Krake."""

Object: TypeAlias = Mapping[str, Any]


class ObjectType(NamedTuple):
    """A kind in a version of its API, for example ``apps/v1`` and ``Deployment``."""

    api_version: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.api_version})"


class Identity(NamedTuple):
    """Names an object in a cluster; *namespace* is ``None`` for what is outside of namespaces."""

    type: ObjectType
    namespace: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.type.kind} {self.name if self.namespace is None else f'{self.namespace}/{self.name}'}"


POD = ObjectType("v1", "Pod")


def identify(obj: Object) -> Identity:
    """Return the identity of an object as a cluster returned it."""
    metadata = obj["metadata"]
    return Identity(ObjectType(obj["apiVersion"], obj["kind"]), metadata.get("namespace"), metadata["name"])


def owner_of(obj: Object) -> str | None:
    """The uid of the application that an object belongs to."""
    labels = (obj.get("metadata") or {}).get("labels")
    owner = labels.get(OWNER_LABEL) if isinstance(labels, Mapping) else None
    return owner if isinstance(owner, str) else None


class ClusterError(Exception):
    """The cluster did not do what it was asked for; the message is one sentence for people."""


class Unreachable(ClusterError):
    """The cluster can not be reached, does not answer in time, or answers with something that is not Kubernetes.

    Whether a change under way was made is unknown; all changes may be repeated.
    """


class Rejected(ClusterError):
    """Kubernetes understood and refused; the message is its own.

    :param status: of HTTP, for example 422.
    :param reason: Kubernetes's word for it, for example ``Invalid`` or ``Forbidden``.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def passing(self) -> bool:
        """Whether the cluster is in trouble itself, or too busy: the same call may succeed later."""
        return self.status == 429 or self.status >= 500


class Conflict(Rejected):
    """The object is being changed or deleted by somebody else just now; the same call may succeed soon."""


class Foreign(Rejected):
    """The object exists and is not the application's."""

    def __init__(self, identity: Identity, owner: str | None, application: str) -> None:
        if owner:
            message = (
                f"{identity} exists and is of another application; rename it in the manifest, or delete it on the cluster."
            )
        else:
            message = (
                f"{identity} exists and is not created by Krake; rename it in the manifest, delete it on the cluster,"
                f" or annotate it there with {ADOPT_ANNOTATION}={application} to hand it over."
            )
        super().__init__(409, "AlreadyExists", message)


class Unsupported(ClusterError):
    """The cluster serves no such type."""

    def __init__(self, type_: ObjectType) -> None:
        super().__init__(f"{type_.kind} resources of {type_.api_version} are not supported by the cluster.")
        self.type = type_


@dataclass(frozen=True, slots=True)
class Listed:
    """All objects that are watched, as they are now; replaces whatever was told before."""

    objects: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """An object is new or different."""

    object: Object


@dataclass(frozen=True, slots=True)
class Removed:
    """An object is gone, or is not among the watched ones any more; carries its last state."""

    object: Object


WatchEvent: TypeAlias = Listed | Changed | Removed


class KubernetesCluster(Protocol):
    """A connection to a cluster; safe to share between tasks."""

    @property
    def default_namespace(self) -> str:
        """Where objects go that need a namespace and name none."""
        ...

    @property
    def host(self) -> str:
        """The name or address of the API server, where node ports are looked for."""
        ...

    async def version(self) -> str:
        """The version of Kubernetes, asked anew each time; proves that the cluster answers."""
        ...

    async def is_namespaced(self, type_: ObjectType) -> bool:
        """Whether objects of a type live in namespaces. Raises `Unsupported`."""
        ...

    async def apply(self, obj: Object) -> Object:
        """Make an object as declared and return what it is now; the declared fields win, others are left alone.

        A field that was declared before and is not any more is taken away. A missing namespace is created, and stays when the
        object goes. The object must carry `OWNER_LABEL` and, if its type is namespaced, its namespace.

        Raises `Foreign`; `Conflict`, for example while an old object of the name is still being deleted; `Unsupported`.
        """
        ...

    async def replace(self, obj: Object) -> Object:
        """Write an object of an application as a whole, as it was read and changed, and return what it is now.

        It takes away what others have declared, which `apply` does not. Raises `Conflict` if the object was changed since it
        was read, or is gone; `Unsupported`.
        """
        ...

    async def get(self, identity: Identity) -> Object | None:
        """The object, whosever it is; ``None`` if there is none, or no such type."""
        ...

    async def change(self, identity: Identity, patch: Mapping[str, Any]) -> Object | None:
        """Merge *patch* (RFC 7396) into an object, whosever it is, and return what it is now; ``None`` if there is none.

        The next `apply` takes back what it declares itself.
        """
        ...

    async def last_report(self, pod: Identity) -> Object:
        """The JSON object on the last line that the only container of a Pod has written; empty if that can not be had."""
        ...

    async def delete(self, identity: Identity, owner: str) -> bool:
        """Delete an object of an application, and what Kubernetes made for it; true once nothing of *owner* is there any more.

        False means that Kubernetes is still at it; call again to find out. An object of somebody else is left alone.
        """
        ...

    def watch(self, type_: ObjectType) -> AsyncGenerator[WatchEvent, None]:
        """The objects of a type that Krake made, in all namespaces: all of them, then each change.

        Ends only by an error: `Unreachable` soon after the cluster stops to answer; `Unsupported`. Close the generator
        (`contextlib.aclosing`) when leaving early.
        """
        ...

    def watch_nodes(self) -> AsyncGenerator[WatchEvent, None]:
        """The nodes of the cluster, as `watch`."""
        ...

    def watch_pods(self) -> AsyncGenerator[WatchEvent, None]:
        """All Pods of the cluster, whosever they are, as `watch`."""
        ...

    async def close(self) -> None:
        """Drop all connections; calls and watches under way end with `Unreachable`. May be called twice."""
        ...
