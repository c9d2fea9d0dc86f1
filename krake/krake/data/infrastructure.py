"""The kinds of the API ``infrastructure``: clouds, and the providers that create clusters on them."""

from datetime import datetime
from enum import Enum

from krake.data.core import MetricRef, check_metrics
from krake.data.credentials import check_authorities, check_credential, rewrite_url
from krake.data.kinds import Resource, resource
from krake.data.metadata import Metadata, Reason, ResourceRef, Status
from krake.data.names import check_resource_name, check_url
from krake.data.polymorphic import Polymorphic
from krake.data.record import Record, Typed, field


class InfrastructureProviderSpec(Polymorphic):
    """How to reach something that creates infrastructure."""


@InfrastructureProviderSpec.variant("im")
class ImSpec(Record):
    """An Infrastructure Manager; it knows its users by a token or by name and password.

    :param ca: the authorities that have issued the certificate of the server, in PEM; otherwise those of the system.
    """

    url: str = field(secret=rewrite_url, destination=True, validate=check_url, example="https://im.example:8800")
    username: str | None = field(default=None, validate=check_credential)
    password: str | None = field(default=None, secret=True, validate=check_credential)
    token: str | None = field(default=None, secret=True, validate=check_credential, example="a-token")
    ca: str | None = field(default=None, destination=True, validate=check_authorities)

    def problem(self) -> str | None:
        """Refuse a provider without credentials."""
        if self.token is not None or (self.username is not None and self.password is not None):
            return None
        return "At least one authentication should be defined in the IM infrastructure provider spec."


@InfrastructureProviderSpec.variant("local")
class LocalProviderSpec(Record):
    """The program that the operator of the infrastructure controller has named in its configuration."""


class InfrastructureProviderState(Enum):
    """Where an infrastructure provider stands: PENDING until it was asked whether it answers and accepts the credentials."""

    PENDING = 1
    ONLINE = 2
    OFFLINE = 3


class InfrastructureProviderStatus(Status):
    """What is known of an infrastructure provider.

    :param checked: when the state was found out.
    """

    state: InfrastructureProviderState = InfrastructureProviderState.PENDING
    checked: datetime | None = None


@resource(api="infrastructure", plural="globalinfrastructureproviders", namespaced=False)
class GlobalInfrastructureProvider(Resource):
    """An infrastructure provider for every namespace."""

    metadata: Metadata
    spec: InfrastructureProviderSpec
    status: InfrastructureProviderStatus = field(factory=InfrastructureProviderStatus, subresource=True)


@resource(api="infrastructure", plural="infrastructureproviders", namespaced=True)
class InfrastructureProvider(Resource):
    """An infrastructure provider for one namespace."""

    metadata: Metadata
    spec: InfrastructureProviderSpec
    status: InfrastructureProviderStatus = field(factory=InfrastructureProviderStatus, subresource=True)


class InfrastructureProviderRef(Record):
    """An infrastructure provider, of the namespace of what refers to it or global."""

    name: str = field(validate=check_resource_name, example="example")
    namespaced: bool = False


class CloudUser(Record):
    """Who logs in to an OpenStack cloud."""

    username: str = field(validate=check_credential)
    password: str = field(secret=True, validate=check_credential)
    domain_name: str = field(default="Default", validate=check_credential)
    comment: str | None = None


class CloudProject(Record):
    """The OpenStack project that is logged in to."""

    name: str = field(validate=check_credential)
    domain_id: str = field(default="default", validate=check_credential)
    comment: str | None = None


class OpenstackAuthMethod(Polymorphic):
    """How to log in to an OpenStack cloud."""


@OpenstackAuthMethod.variant("password")
class CloudPassword(Record):
    """By name and password."""

    version: str = field(default="3", validate=check_credential)
    user: CloudUser
    project: CloudProject


@OpenstackAuthMethod.variant("application_credential")
class ApplicationCredential(Record):
    """By an application credential, which belongs to a user and a project."""

    id: str = field(validate=check_credential)
    secret: str = field(secret=True, validate=check_credential)


class CloudSpec(Polymorphic):
    """How to reach a cloud. Whatever its type, it has metrics, and a provider that creates the clusters on it."""

    value: "OpenstackSpec | LocalCloudSpec"

    @property
    def metrics(self) -> list[MetricRef]:
        """The metrics of the cloud."""
        return self.value.metrics

    @property
    def infrastructure_provider(self) -> InfrastructureProviderRef:
        """What creates clusters on the cloud."""
        return self.value.infrastructure_provider


@CloudSpec.variant("openstack")
class OpenstackSpec(Record):
    """An OpenStack cloud; *url* is that of its identity service.

    :param ca: the authorities that have issued the certificate of the cloud, in PEM; otherwise those of the system.
    """

    url: str = field(secret=rewrite_url, destination=True, validate=check_url, example="https://keystone.example:5000/v3")
    auth: OpenstackAuthMethod
    ca: str | None = field(default=None, destination=True, validate=check_authorities)
    metrics: list[MetricRef] = field(factory=list, validate=check_metrics)
    infrastructure_provider: InfrastructureProviderRef = field(destination=True)


@CloudSpec.variant("local")
class LocalCloudSpec(Record):
    """The machines of a local provider, which need no credentials."""

    metrics: list[MetricRef] = field(factory=list, validate=check_metrics)
    infrastructure_provider: InfrastructureProviderRef = field(destination=True)


class CloudState(Enum):
    """Where a cloud stands. One that is OFFLINE does not answer, or not accept the credentials, and gets no new clusters."""

    ONLINE = 1
    FAILING_METRICS = 2
    OFFLINE = 3


class CloudStatus(Status):
    """What is known of a cloud; *metrics_reasons* says by name what is wrong with a metric.

    :param reason: why the cloud is OFFLINE.
    :param checked: when it was found out whether the cloud is OFFLINE; null if it never was.
    """

    state: CloudState = CloudState.ONLINE
    metrics_reasons: dict[str, Reason] = field(factory=dict)
    checked: datetime | None = None


@resource(api="infrastructure", plural="globalclouds", namespaced=False)
class GlobalCloud(Resource):
    """A cloud for every namespace."""

    metadata: Metadata
    spec: CloudSpec
    status: CloudStatus = field(factory=CloudStatus, subresource=True)

    def problem(self) -> str | None:
        """Refuse references into namespaces, of which a global resource has none."""
        if self.spec.infrastructure_provider.namespaced:
            return "A non-namespaced global cloud resource cannot reference the namespaced infrastructure provider resource."
        if any(metric.namespaced for metric in self.spec.metrics):
            return "A non-namespaced global cloud resource cannot reference the namespaced metric resource."
        return None


@resource(api="infrastructure", plural="clouds", namespaced=True)
class Cloud(Resource):
    """A cloud for one namespace."""

    metadata: Metadata
    spec: CloudSpec
    status: CloudStatus = field(factory=CloudStatus, subresource=True)


class InfrastructureStatus(Record):
    """What is known of the infrastructure of a cluster.

    :param provider: creates it.
    :param phase: where it stands at the provider, as the provider was understood.
    :param message: what the provider says about its trouble, if it has any.
    :param machines: the phase of each, by its name at the provider.
    :param started: when the creation, or the change, that is under way was begun; stored before the provider is asked.
    :param observed: when it was last seen to be so; what stays the same is not written each time.
    :param attempts: how many failed in a row since something was changed.
    :param unseen: creations that were asked for without anything having been seen of them; looked for by the mark of the
        cluster.
    :param completed: when it was ready for the first time; null while it is being created.
    :param basis: names what the last attempt was made with: the versions of the cluster, its cloud and its provider.
    :param asked: when a change was last asked for whose answer is not known (yet); stored before the provider is asked.
    """

    provider: ResourceRef
    phase: str = "pending"
    message: str | None = None
    machines: dict[str, str] = field(factory=dict)
    started: datetime | None = None
    observed: datetime | None = None
    attempts: int = 0
    unseen: int = 0
    completed: datetime | None = None
    basis: str | None = None
    asked: datetime | None = None


def mark_of(uid: str) -> str:
    """Return by what the infrastructure of a cluster can be told from others: at an IM, it is its name."""
    return f"krake-{uid}"


class CloudBinding(Typed):
    """Asks to create a cluster on a cloud."""

    api = "infrastructure"
    kind = "CloudBinding"

    cloud: ResourceRef = field(
        example={"api": "infrastructure", "kind": "Cloud", "namespace": "default", "name": "example"},
    )
