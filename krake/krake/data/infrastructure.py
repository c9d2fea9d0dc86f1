"""The kinds of the API ``infrastructure``: clouds, and the providers that create clusters on them."""

from enum import Enum

from krake.data.core import MetricRef, check_metrics
from krake.data.credentials import rewrite_url
from krake.data.kinds import Resource, resource
from krake.data.metadata import Metadata, Reason, ResourceRef
from krake.data.names import check_url
from krake.data.polymorphic import Polymorphic
from krake.data.record import Record, Typed, field


class InfrastructureProviderSpec(Polymorphic):
    """How to reach something that creates infrastructure."""


@InfrastructureProviderSpec.variant("im")
class ImSpec(Record):
    """An Infrastructure Manager; it knows its users by a token or by name and password."""

    url: str = field(secret=rewrite_url, destination=True, validate=check_url, example="https://im.example:8800")
    username: str | None = None
    password: str | None = field(default=None, secret=True)
    token: str | None = field(default=None, secret=True, example="a-token")

    def problem(self) -> str | None:
        """Refuse a provider without credentials."""
        if self.token is not None or (self.username is not None and self.password is not None):
            return None
        return "At least one authentication should be defined in the IM infrastructure provider spec."


@resource(api="infrastructure", plural="globalinfrastructureproviders", namespaced=False)
class GlobalInfrastructureProvider(Resource):
    """An infrastructure provider for every namespace."""

    metadata: Metadata
    spec: InfrastructureProviderSpec


@resource(api="infrastructure", plural="infrastructureproviders", namespaced=True)
class InfrastructureProvider(Resource):
    """An infrastructure provider for one namespace."""

    metadata: Metadata
    spec: InfrastructureProviderSpec


class InfrastructureProviderRef(Record):
    """An infrastructure provider, of the namespace of what refers to it or global."""

    name: str
    namespaced: bool = False


class CloudUser(Record):
    """Who logs in to an OpenStack cloud."""

    username: str
    password: str = field(secret=True)
    domain_name: str = "Default"
    comment: str | None = None


class CloudProject(Record):
    """The OpenStack project that is logged in to."""

    name: str
    domain_id: str = "default"
    comment: str | None = None


class OpenstackAuthMethod(Polymorphic):
    """How to log in to an OpenStack cloud."""


@OpenstackAuthMethod.variant("password")
class CloudPassword(Record):
    """By name and password."""

    version: str = "3"
    user: CloudUser
    project: CloudProject


class CloudSpec(Polymorphic):
    """How to reach a cloud."""


@CloudSpec.variant("openstack")
class OpenstackSpec(Record):
    """An OpenStack cloud; *url* is that of its identity service."""

    url: str = field(secret=rewrite_url, destination=True, validate=check_url, example="https://keystone.example:5000/v3")
    auth: OpenstackAuthMethod
    metrics: list[MetricRef] = field(factory=list, validate=check_metrics)
    infrastructure_provider: InfrastructureProviderRef = field(destination=True)


class CloudState(Enum):
    """Where a cloud stands."""

    ONLINE = 1
    FAILING_METRICS = 2


class CloudStatus(Record):
    """What is known of a cloud; *metrics_reasons* says by name what is wrong with a metric."""

    state: CloudState = CloudState.ONLINE
    metrics_reasons: dict[str, Reason] = field(factory=dict)


@resource(api="infrastructure", plural="globalclouds", namespaced=False)
class GlobalCloud(Resource):
    """A cloud for every namespace."""

    metadata: Metadata
    spec: CloudSpec
    status: CloudStatus = field(factory=CloudStatus, subresource=True)

    def problem(self) -> str | None:
        """Refuse references into namespaces, of which a global resource has none."""
        if not isinstance(openstack := self.spec.value, OpenstackSpec):
            return None
        if openstack.infrastructure_provider.namespaced:
            return "A non-namespaced global cloud resource cannot reference the namespaced infrastructure provider resource."
        if any(metric.namespaced for metric in openstack.metrics):
            return "A non-namespaced global cloud resource cannot reference the namespaced metric resource."
        return None


@resource(api="infrastructure", plural="clouds", namespaced=True)
class Cloud(Resource):
    """A cloud for one namespace."""

    metadata: Metadata
    spec: CloudSpec
    status: CloudStatus = field(factory=CloudStatus, subresource=True)


class CloudBinding(Typed):
    """Asks to create a cluster on a cloud."""

    api = "infrastructure"
    kind = "CloudBinding"

    cloud: ResourceRef = field(
        example={"api": "infrastructure", "kind": "Cloud", "namespace": "default", "name": "example"},
    )
