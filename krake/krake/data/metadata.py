"""What every stored resource carries, and the small records that refer to resources."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, NamedTuple

from krake.data.names import check_labels, check_namespace, check_resource_name
from krake.data.record import Record, field

UNSET_TIME = datetime.fromtimestamp(0, UTC)
"""Stands in the time fields of an object that no server has stored yet."""


class Key(NamedTuple):
    """Names an object among those of its kind; *namespace* is ``None`` for the kinds without namespaces."""

    namespace: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.namespace is None else f"{self.namespace}/{self.name}"


class ResourceRef(Record):
    """Names an object of any kind."""

    api: str
    namespace: str | None = None
    kind: str
    name: str

    @property
    def key(self) -> Key:
        """The object's key among those of its kind."""
        return Key(self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Metadata(Record):
    """Identity, labels and lifecycle of a resource.

    :param namespace: is that of the path; null for the kinds without namespaces.
    :param labels: by which constraints and selectors choose.
    :param inherit_labels: of a cluster: whether the labels of its cloud count as its own.
    :param finalizers: a stack: the owner of the last one acts next, and the object goes when none is left after a deletion.
    :param uid: tells the object from others that had the same name before.
    :param modified: when what the user declared was changed last.
    :param deleted: when its deletion began.
    :param owners: what the object depends on.
    :param generation: counts the changes of what the user declared.
    :param resource_version: names the stored version, for optimistic concurrency.
    """

    name: str = field(immutable=True, validate=check_resource_name, example="example")
    namespace: str | None = field(default=None, immutable=True, validate=check_namespace)
    labels: dict[str, str] = field(factory=dict, validate=check_labels)
    inherit_labels: bool = False
    finalizers: list[str] = field(factory=list)
    uid: str = field(default="", readonly=True)
    created: datetime = field(default=UNSET_TIME, readonly=True)
    modified: datetime = field(default=UNSET_TIME, readonly=True)
    deleted: datetime | None = field(default=None, readonly=True)
    owners: list[ResourceRef] = field(factory=list)
    generation: int = field(default=0, readonly=True)
    resource_version: str | None = field(default=None, readonly=True)

    @property
    def key(self) -> Key:
        """The object's key among those of its kind."""
        return Key(self.namespace, self.name)


class ListMetadata(Record):
    """Where a list stands: the version to watch from and, if the list was cut, where it goes on."""

    resource_version: str | None = None
    continue_: str | None = None

    def serialize(self) -> dict[str, Any]:
        """Return the wire form, in which the last field is called ``continue``."""
        return {"resource_version": self.resource_version, "continue": self.continue_}


class ReasonCode(Enum):
    """Why something is not as declared."""

    INTERNAL_ERROR = 1
    INVALID_RESOURCE = 10
    UNSUPPORTED_RESOURCE = 11
    INVALID_CUSTOM_RESOURCE = 12
    INVALID_TOSCA_MANIFEST = 13
    CLUSTER_NOT_REACHABLE = 20
    NO_SUITABLE_RESOURCE = 50
    KUBERNETES_ERROR = 60
    CREATE_FAILED = 70
    RECONCILE_FAILED = 71
    RECONFIGURE_FAILED = 72
    DELETE_FAILED = 73
    RETRIEVE_FAILED = 74
    NOT_FOUND = 75
    INFRASTRUCTURE_NOT_REACHABLE = 76
    INVALID_CREDENTIALS = 77
    OPENSTACK_ERROR = 80
    INVALID_CLUSTER_TEMPLATE = 81
    INVALID_METRIC = 91
    UNREACHABLE_METRICS_PROVIDER = 92
    UNKNOWN_METRIC = 93
    UNKNOWN_METRICS_PROVIDER = 94


class Reason(Record):
    """A code for machines and a sentence for people."""

    code: ReasonCode
    message: str


class Status(Record):
    """Base of the statuses that can carry a reason."""

    reason: Reason | None = None


class WatchEventType(Enum):
    """What happened to a watched object."""

    ADDED = auto()
    MODIFIED = auto()
    DELETED = auto()
    BOOKMARK = auto()


class Verb(Enum):
    """What a role may allow."""

    create = auto()
    list = auto()
    list_all = auto()
    get = auto()
    update = auto()
    delete = auto()


CASCADE_DELETION = "cascade_deletion"
"""Finalizer of the garbage collector."""
KUBERNETES_RESOURCES_DELETION = "kubernetes_resources_deletion"
"""Finalizer of the Kubernetes application controller."""
MAGNUM_CLUSTER_DELETION = "magnum_cluster_deletion"
"""Finalizer of the Magnum controller."""
INFRASTRUCTURE_RESOURCES_DELETION = "infrastructure_resources_deletion"
"""Finalizer of the infrastructure controller."""


@dataclass(frozen=True)
class MetricValue:
    """A fetched metric.

    :param value: normalised to 0..1 by the metric's range.
    :param weight: of the reference by which the resource ranks itself.
    """

    name: str
    value: float
    weight: float
