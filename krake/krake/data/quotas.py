"""The kind Quota: how much of the clusters a namespace may take."""

from functools import cached_property
from typing import Any

from krake.data.kinds import Resource, resource
from krake.data.metadata import Metadata
from krake.data.names import at_least
from krake.data.record import Record, field
from krake.data.requests import offered
from krake.data.scheduling import check_quantities


class QuotaSpec(Record):
    """Limits for a namespace. What exceeds them waits; what is placed already stays. Where there are several, all hold.

    :param applications: so many may be placed on clusters; null is any number.
    :param clusters: so many clusters may be created on clouds; null is any number.
    :param requests: so much may all placed applications ask for together, by resource, as Kubernetes writes it.
    """

    applications: int | None = field(default=None, validate=at_least(0))
    clusters: int | None = field(default=None, validate=at_least(0))
    requests: dict[str, Any] = field(factory=dict, validate=check_quantities, example={"cpu": "20", "memory": "64Gi"})

    @cached_property
    def amounts(self) -> dict[str, int]:
        """The requests in thousandths by resource."""
        return offered(self.requests)


@resource(api="core", plural="quotas", namespaced=True)
class Quota(Resource):
    """How much of the clusters a namespace may take."""

    metadata: Metadata
    spec: QuotaSpec
