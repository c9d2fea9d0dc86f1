"""The kinds of the API ``kubernetes``: applications and the clusters they run on."""

from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any

from krake.data.constraints import LabelConstraint, MetricConstraint, check_constraints
from krake.data.core import MetricRef, check_metrics
from krake.data.credentials import destination_of_kubeconfig, rewrite_kubeconfig, rewrite_manifest, rewrite_overrides
from krake.data.infrastructure import CloudBinding, InfrastructureStatus
from krake.data.kinds import Resource, resource
from krake.data.manifests import (
    check_application_tosca,
    check_cluster_tosca,
    check_csar,
    check_kubeconfig,
    check_manifest,
    inputs_problem,
    observer_schema_problem,
)
from krake.data.metadata import Metadata, Reason, ResourceRef, Status
from krake.data.names import at_least, each_of, no_longer_than, one_of
from krake.data.nodes import ClusterNode
from krake.data.overrides import Override, overrides_problem
from krake.data.record import Record, Typed, field
from krake.data.requests import Demand, offered
from krake.data.scheduling import MOST_RULES, AntiAffinity, DisruptionBudget, Spread
from krake.data.taints import Taint, Toleration

_CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"}, "data": {"text": "hello"}}
_KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "example",
    "contexts": [{"name": "example", "context": {"cluster": "example", "user": "example"}}],
    "clusters": [{"name": "example", "cluster": {"server": "https://cluster.example:6443"}}],
    "users": [{"name": "example", "user": {"token": "a-token"}}],
}


class ClusterConstraints(Record):
    """What a cluster must have to run an application; all must hold."""

    labels: list[LabelConstraint] | None = field(default=None, validate=check_constraints, example=["location is DE"])
    custom_resources: list[str] = field(factory=list, validate=no_longer_than(MOST_RULES))
    metrics: list[MetricConstraint] | None = field(default=None, validate=check_constraints)


class Constraints(Record):
    """Where an application may run, and whether it may move.

    :param anti_affinity: the applications that it keeps apart from.
    :param spread: the applications that it is spread with.
    :param disruption_budget: how many of those like it may be moved at once.
    """

    cluster: ClusterConstraints
    migration: bool = True
    anti_affinity: list[AntiAffinity] = field(factory=list, validate=no_longer_than(MOST_RULES))
    spread: list[Spread] = field(factory=list, validate=no_longer_than(MOST_RULES))
    disruption_budget: DisruptionBudget | None = None


class ApplicationSpec(Record):
    """An application as its user declares it.

    It is given as Kubernetes manifests, a TOSCA template (inline or as a URL) or the URL of a CSAR archive; where several are
    set, the first of these counts.

    :param manifest: Kubernetes objects.
    :param tosca: a template, or its URL.
    :param csar: the URL of an archive.
    :param observer_schema: which fields of the objects are observed: those that are null here.
    :param hooks: by which the application tells of its end.
    :param shutdown_grace_time: seconds that the application has to get ready to be stopped; null is the controller's.
    :param shutdown_failure_strategy: what becomes of an application that does not get ready; null is the controller's.
    :param shutdown_retry_count: how often it is asked; null is the controller's.
    :param backoff: by which the delay is multiplied for each failed attempt.
    :param backoff_delay: seconds between attempts.
    :param backoff_limit: attempts at most; -1 never gives up.
    :param storage_migration: what becomes of the data in its volumes when it is moved: ``copy`` takes it along; with ``none``
        the volumes begin empty.
    :param auto_cluster_create: whether a cluster may be created where none fits.
    :param migration_strategy: ``create_first`` keeps the old copy until the new one is ready; ``delete_first`` never has two.
    :param overrides: what is different on some clusters; later ones win.
    :param tolerations: the taints of clusters that the application does not mind.
    :param inputs: of the TOSCA template or the CSAR archive, by name.
    :param priority: where there is not room for all, those of a higher one are placed first; nobody has to leave for them.
    """

    manifest: list[dict[str, Any]] = field(secret=rewrite_manifest, validate=check_manifest, example=[_CONFIG_MAP])
    tosca: dict[str, Any] | str = field(factory=dict, validate=check_application_tosca)
    csar: str | None = field(default=None, validate=check_csar)
    observer_schema: list[dict[str, Any]] = field(factory=list)
    constraints: Constraints
    hooks: list[str] = field(factory=list, validate=each_of("complete", "shutdown"))
    shutdown_grace_time: int | None = field(default=None, validate=at_least(0))
    shutdown_failure_strategy: str | None = field(default=None, validate=one_of("give_up", "delete"))
    shutdown_retry_count: int | None = field(default=None, validate=at_least(0))
    backoff: int = field(default=1, validate=at_least(0))
    backoff_delay: int = field(default=1, validate=at_least(0))
    backoff_limit: int = field(default=-1, validate=at_least(-1))
    storage_migration: str = field(default="copy", validate=one_of("copy", "none"))
    auto_cluster_create: bool = False
    migration_strategy: str = field(default="create_first", validate=one_of("create_first", "delete_first"))
    overrides: list[Override] = field(factory=list, secret=rewrite_overrides)
    tolerations: list[Toleration] = field(factory=list, validate=no_longer_than(MOST_RULES))
    inputs: dict[str, Any] = field(factory=dict)
    priority: int = 0

    @cached_property
    def demand(self) -> Demand:
        """What its Pods ask for, on each cluster."""
        return Demand(self.manifest, self.overrides)

    def problem(self) -> str | None:
        """Refuse an application without a source, or with an observer schema or overrides that do not fit the manifest."""
        if not (self.manifest or self.tosca or self.csar):
            return "The application should be defined by a manifest file, a TOSCA template or a CSAR file."
        if (self.inputs or not self.manifest) and (problem := inputs_problem(self.tosca, self.inputs)):
            return problem
        if not self.manifest:
            return None
        return observer_schema_problem(self.observer_schema, self.manifest) or overrides_problem(self.overrides, self.manifest)


class ApplicationState(Enum):
    """Where an application stands."""

    PENDING = 1
    CREATING = 2
    RUNNING = 3
    RECONCILING = 4
    TRANSLATING = 5
    RETRYING = 6
    RESTARTING = 7
    WAITING_FOR_CLEANING = 8
    READY_FOR_ACTION = 9
    MIGRATING = 10
    WAITING_FOR_CLUSTER_CREATION = 11
    DELETING = 12
    DELETED = 13
    DEGRADED = 14
    FAILED = 15
    COMPLETED = 16


class ContainerHealth(Record):
    """How many Pods an application has, by what became of them."""

    desired_pods: int = 0
    running_pods: int = 0
    completed_pods: int = 0
    failed_pods: int = 0


class VolumeCopy(Record):
    """How far the data of a volume is on its way to another cluster.

    :param claim: the PersistentVolumeClaim, in *namespace*.
    :param job: the name of the objects that copy it, on both clusters.
    :param target: where it is copied to.
    :param state: ``pending``, ``copying``, ``copied`` or ``failed``.
    :param bytes_done: of *bytes_total*, as far as they are known.
    """

    claim: str
    namespace: str
    job: str = ""
    target: str = ""
    state: str = field(default="pending", validate=one_of("pending", "copying", "copied", "failed"))
    bytes_total: int = 0
    bytes_done: int = 0
    message: str | None = None


class ApplicationStatus(Status):
    """What became of an application.

    :param kube_controller_triggered: when the scheduler last handed the application to the application controller, which acts
        only on what was handed over after the last change.
    :param scheduled_to: the cluster that was chosen.
    :param running_on: the cluster where the application is.
    :param services: the ``host:port`` of each service by its name.
    :param last_applied_manifest: what the objects of the application can be.
    :param migration_timeout: in seconds since 1970, until when a migration under way may take, or the wait after one that
        failed.
    :param placed_on: all clusters that may hold objects of the application: one is added before the first object is created
        there, and taken out when none is left.
    :param observed_generation: the ``metadata.generation`` that the application controller has fully acted upon: the state
        speaks of it. It stays behind while the application is moved, and while its cluster does not answer.
    :param shutdown_attempts: how often it was asked to get ready to be stopped, since it was last running.
    :param volumes: how the data of its volumes is moved, during a migration.
    :param translated: a digest of the template that the manifest was made of.
    """

    state: ApplicationState = ApplicationState.PENDING
    container_health: ContainerHealth = field(factory=ContainerHealth)
    kube_controller_triggered: datetime | None = None
    scheduled: datetime | None = None
    scheduled_to: ResourceRef | None = None
    running_on: ResourceRef | None = None
    retries: int | None = None
    scheduled_retry: datetime | None = None
    services: dict[str, Any] = field(factory=dict)
    mangled_observer_schema: list[dict[str, Any]] = field(factory=list)
    last_observed_manifest: list[dict[str, Any]] = field(factory=list, secret=rewrite_manifest)
    last_applied_manifest: list[dict[str, Any]] = field(factory=list, secret=rewrite_manifest)
    complete_token: str | None = field(default=None, secret=True)
    complete_cert: str | None = field(default=None, secret=True)
    complete_key: str | None = field(default=None, secret=True)
    shutdown_token: str | None = field(default=None, secret=True)
    shutdown_cert: str | None = field(default=None, secret=True)
    shutdown_key: str | None = field(default=None, secret=True)
    shutdown_grace_period: datetime | None = None
    auto_cluster_create_started: str | None = None
    migration_retries: int = 0
    migration_timeout: int = 0
    placed_on: list[ResourceRef] = field(factory=list)
    observed_generation: int = 0
    shutdown_attempts: int = 0
    volumes: list[VolumeCopy] = field(factory=list)
    translated: str | None = None


class ClusterBinding(Typed):
    """Asks to run an application on a cluster."""

    api = "kubernetes"
    kind = "ClusterBinding"

    cluster: ResourceRef = field(
        example={"api": "kubernetes", "kind": "Cluster", "namespace": "default", "name": "example"},
    )


class ApplicationComplete(Typed):
    """Says that an application has done its work."""

    api = "kubernetes"
    kind = "Complete"

    token: str | None = field(default=None, secret=True)


class ApplicationShutdown(Typed):
    """Says that an application is ready to be shut down."""

    api = "kubernetes"
    kind = "Shutdown"

    token: str | None = field(default=None, secret=True)


@resource(
    api="kubernetes",
    plural="applications",
    namespaced=True,
    actions={
        "binding": ClusterBinding,
        "complete": ApplicationComplete,
        "shutdown": ApplicationShutdown,
        "retry": None,
    },
)
class Application(Resource):
    """Something to run on a cluster."""

    metadata: Metadata
    spec: ApplicationSpec
    status: ApplicationStatus = field(factory=ApplicationStatus, subresource=True)


class CloudConstraints(Record):
    """What a cloud must have to hold a cluster; all must hold."""

    labels: list[LabelConstraint] | None = field(default=None, validate=check_constraints)
    metrics: list[MetricConstraint] | None = field(default=None, validate=check_constraints)


class ClusterCloudConstraints(Record):
    """Where a cluster may be created."""

    cloud: CloudConstraints


MOST_CUSTOM_RESOURCES = 1000
"""Custom resources that a cluster serves."""


class ClusterSpec(Record):
    """A cluster: an existing one by its kubeconfig, or one to create by its TOSCA template.

    :param unschedulable: whether it takes no more applications (it is cordoned); those that are there stay.
    :param drain: whether applications that may move leave it, as far as another cluster takes them.
    :param taints: keep applications away that do not tolerate them.
    """

    kubeconfig: dict[str, Any] = field(
        factory=dict,
        secret=rewrite_kubeconfig,
        destination=destination_of_kubeconfig,
        validate=check_kubeconfig,
        example=_KUBECONFIG,
    )
    tosca: dict[str, Any] = field(factory=dict, validate=check_cluster_tosca)
    custom_resources: list[str] = field(factory=list, validate=no_longer_than(MOST_CUSTOM_RESOURCES))
    constraints: ClusterCloudConstraints
    metrics: list[MetricRef] = field(factory=list, validate=check_metrics)
    inherit_metrics: bool = False
    backoff: int = field(default=1, validate=at_least(0))
    backoff_delay: int = field(default=1, validate=at_least(0))
    backoff_limit: int = field(default=-1, validate=at_least(-1))
    auto_generated: bool = False
    unschedulable: bool = False
    drain: bool = False
    taints: list[Taint] = field(factory=list, validate=no_longer_than(MOST_RULES))

    def problem(self) -> str | None:
        """Refuse a cluster that neither exists nor can be created."""
        if self.kubeconfig or self.tosca:
            return None
        return "The cluster should be defined by a kubeconfig file or a TOSCA template."


class ClusterState(Enum):
    """Where a cluster stands. Applications are placed on ONLINE clusters only."""

    PENDING = 1
    ONLINE = 2
    CONNECTING = 3
    OFFLINE = 4
    UNHEALTHY = 5
    NOTREADY = 6
    FAILING_METRICS = 7
    CREATING = 8
    RECONCILING = 9
    DELETING = 10
    FAILING_RECONCILIATION = 11
    FAILED = 12
    DEGRADED = 13


class ClusterStatus(Status):
    """What became of a cluster.

    ``retries`` are the attempts left; ``cluster_id`` is its id at the infrastructure provider. ``observed_generation`` is the
    ``metadata.generation`` that the cluster controller has fully acted upon: the state speaks of it.

    :param kubernetes_version: for example ``v1.31.2``.
    :param capacity: of all nodes together, by resource, as Kubernetes writes it, for example ``{"cpu": "4", "memory": "8Gi"}``.
    :param allocatable: the same, of what Pods may use on the nodes that take Pods.
    :param requested: what the Pods on the cluster have asked for.
    :param scheduled_retry: when a cluster in trouble is tried next.
    :param cascade: of a cluster that is being deleted: whether its applications go as well, instead of elsewhere.
    :param state_changed: since when the cluster is in its state; null if it has never changed. The API sets it.
    :param out_of_use: since when the cluster takes no applications because something is wrong with it; null while it does. The
        API sets it.
    :param recovered: when the cluster was last of use again after that; null if it has always been. The API sets it.
    :param idle_since: of a cluster that was created for applications: since when none uses it, or waits for it.
    :param infrastructure: of a cluster that is created on a cloud: what is known of its infrastructure.
    """

    kube_controller_triggered: datetime | None = None
    state: ClusterState = ClusterState.PENDING
    metrics_reasons: dict[str, Reason] = field(factory=dict)
    last_applied_tosca: dict[str, Any] = field(factory=dict)
    nodes: list[ClusterNode] = field(factory=list)
    cluster_id: str | None = None
    scheduled: datetime | None = None
    scheduled_to: ResourceRef | None = None
    running_on: ResourceRef | None = None
    retries: int = 0
    observed_generation: int = 0
    kubernetes_version: str | None = None
    capacity: dict[str, str] = field(factory=dict)
    allocatable: dict[str, str] = field(factory=dict)
    requested: dict[str, str] = field(factory=dict)
    scheduled_retry: datetime | None = None
    cascade: bool = False
    state_changed: datetime | None = field(default=None, readonly=True)
    out_of_use: datetime | None = field(default=None, readonly=True)
    recovered: datetime | None = field(default=None, readonly=True)
    idle_since: datetime | None = None
    infrastructure: InfrastructureStatus | None = None

    @cached_property
    def room(self) -> dict[str, int]:
        """What Pods may use, in thousandths by resource; empty if it is not known."""
        return offered(self.allocatable)

    @cached_property
    def taken(self) -> dict[str, int]:
        """What the Pods on the cluster have asked for, in thousandths by resource."""
        return offered(self.requested)


@resource(api="kubernetes", plural="clusters", namespaced=True, actions={"binding": CloudBinding})
class Cluster(Resource):
    """A Kubernetes cluster that applications run on."""

    metadata: Metadata
    spec: ClusterSpec
    status: ClusterStatus = field(factory=ClusterStatus, subresource=True)
