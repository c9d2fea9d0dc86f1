"""The kinds of the API ``openstack``: projects, and the clusters that Magnum creates in them."""

from datetime import datetime
from enum import Enum

from krake.data.constraints import LabelConstraint, check_constraints
from krake.data.core import MetricRef, check_metrics
from krake.data.credentials import check_authorities, check_credential, rewrite_url
from krake.data.infrastructure import ApplicationCredential as ApplicationCredential
from krake.data.kinds import Resource, resource
from krake.data.metadata import Metadata, Reason, ResourceRef, Status
from krake.data.names import check_url
from krake.data.polymorphic import Polymorphic
from krake.data.record import Record, Typed, field


class AuthMethod(Polymorphic):
    """How to log in to an OpenStack project."""


class ProjectUser(Record):
    """Who logs in."""

    id: str = field(validate=check_credential)
    password: str = field(secret=True, validate=check_credential)
    comment: str | None = None


class ProjectId(Record):
    """The project that is logged in to."""

    id: str = field(validate=check_credential)
    comment: str | None = None


@AuthMethod.variant("password")
class ProjectPassword(Record):
    """By user id and password."""

    user: ProjectUser
    project: ProjectId


AuthMethod.variant("application_credential")(ApplicationCredential)


class ProjectSpec(Record):
    """How to reach a project; *template* is the id of the Magnum cluster template to use in it.

    :param ca: the authorities that have issued the certificates of the cloud, in PEM; otherwise those of the system.
    """

    url: str = field(secret=rewrite_url, destination=True, validate=check_url, example="https://keystone.example:5000/v3")
    auth: AuthMethod
    template: str
    ca: str | None = field(default=None, destination=True, validate=check_authorities)
    metrics: list[MetricRef] = field(factory=list, validate=check_metrics)


class ProjectState(Enum):
    """Where a project stands. One that is OFFLINE does not answer, or not accept the credentials, and gets no new clusters."""

    ONLINE = 1
    FAILING_METRICS = 2
    OFFLINE = 3


class ProjectStatus(Status):
    """What is known of a project; *metrics_reasons* says by name what is wrong with a metric.

    :param reason: why the project is OFFLINE.
    :param checked: when it was found out whether the project is OFFLINE; null if it never was.
    """

    state: ProjectState = ProjectState.ONLINE
    metrics_reasons: dict[str, Reason] = field(factory=dict)
    checked: datetime | None = None


@resource(api="openstack", plural="projects", namespaced=True)
class Project(Resource):
    """An OpenStack project in which Magnum may create clusters."""

    metadata: Metadata
    spec: ProjectSpec
    status: ProjectStatus = field(factory=ProjectStatus, subresource=True)


class ProjectConstraints(Record):
    """What a project must have to hold a cluster; all must hold."""

    labels: list[LabelConstraint] | None = field(default=None, validate=check_constraints)


class MagnumClusterConstraints(Record):
    """Where a Magnum cluster may be created."""

    project: ProjectConstraints | None = None


class MagnumClusterSpec(Record):
    """A Magnum cluster; a count that is not set is the template's."""

    master_count: int | None = field(default=None, immutable=True)
    node_count: int | None = field(default=None, example=3)
    metrics: list[MetricRef] = field(factory=list, validate=check_metrics)
    constraints: MagnumClusterConstraints | None = None


class MagnumClusterState(Enum):
    """Where a Magnum cluster stands."""

    PENDING = 1
    CREATING = 2
    RUNNING = 3
    RECONCILING = 4
    DELETING = 5
    FAILED = 6


class MagnumClusterStatus(Status):
    """What became of a Magnum cluster; *cluster* is the Kubernetes cluster that came of it.

    :param cluster_id: of the cluster at Magnum.
    :param observed_generation: the ``metadata.generation`` that was last acted upon: the state speaks of it.
    :param phase: where the cluster stands as Magnum calls it, for example ``CREATE_IN_PROGRESS``.
    :param started: when the last attempt began to create or resize the cluster.
    :param asked: when Magnum was asked to create it, until the answer is stored.
    :param attempts: how often in a row it failed to create or resize the cluster.
    :param scheduled_retry: when that is tried next.
    """

    state: MagnumClusterState = MagnumClusterState.PENDING
    project: ResourceRef | None = None
    template: str | None = field(default=None, immutable=True)
    cluster_id: str | None = None
    node_count: int | None = None
    api_address: str | None = None
    master_addresses: list[str] | None = None
    node_addresses: list[str] | None = None
    cluster: ResourceRef | None = None
    observed_generation: int = 0
    phase: str | None = None
    started: datetime | None = None
    asked: datetime | None = None
    attempts: int = 0
    scheduled_retry: datetime | None = None


class MagnumClusterBinding(Typed):
    """Asks to create a Magnum cluster in a project by a template."""

    api = "openstack"
    kind = "MagnumClusterBinding"

    project: ResourceRef = field(
        example={"api": "openstack", "kind": "Project", "namespace": "default", "name": "example"},
    )
    template: str


@resource(api="openstack", plural="magnumclusters", namespaced=True, actions={"binding": MagnumClusterBinding})
class MagnumCluster(Resource):
    """A Kubernetes cluster that Magnum creates."""

    metadata: Metadata
    spec: MagnumClusterSpec
    status: MagnumClusterStatus = field(factory=MagnumClusterStatus, subresource=True)
