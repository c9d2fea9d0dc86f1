"""The kinds of the API ``core``: roles and metrics."""

from collections import Counter

from marshmallow import ValidationError

from krake.data.credentials import rewrite_url
from krake.data.kinds import Resource, resource
from krake.data.metadata import Metadata, Verb
from krake.data.names import check_url
from krake.data.polymorphic import Polymorphic
from krake.data.record import Record, field
from krake.data.rules import rule


class RoleRule(Record):
    """Allows *verbs* on *resources* of *api* in *namespaces*; the empty string stands for all."""

    api: str
    resources: list[str]
    namespaces: list[str]
    verbs: list[Verb]


@resource(api="core", plural="roles", namespaced=False)
class Role(Resource):
    """A set of permissions; rules only ever add."""

    metadata: Metadata
    rules: list[RoleRule] = field(
        example=[{"api": "kubernetes", "resources": ["applications"], "namespaces": ["default"], "verbs": ["get", "list"]}]
    )


@resource(api="core", plural="rolebindings", namespaced=False)
class RoleBinding(Resource):
    """Grants roles to users."""

    metadata: Metadata
    users: list[str] = field(example=["ann"])
    roles: list[str] = field(example=["reader"])


class MetricSpecProvider(Record):
    """Where the value comes from: a provider, and the name it knows the metric by."""

    name: str = field(example="prometheus")
    metric: str = field(example="load")


class MetricSpec(Record):
    """The range of a metric. A value is normalised to ``(value - min) / (max - min)``.

    ``allowed_values`` lists the only values that are valid; an empty list allows the whole range.
    """

    allowed_values: list[int | float] = field(factory=list)
    min: float = field(example=0.0)
    max: float = field(example=1.0)
    provider: MetricSpecProvider

    def problem(self) -> str | None:
        """Refuse an empty range."""
        return None if self.min < self.max else "The minimum must be lower than the maximum."


@resource(api="core", plural="globalmetrics", namespaced=False)
class GlobalMetric(Resource):
    """A metric for resources of every namespace; its provider is a GlobalMetricsProvider."""

    metadata: Metadata
    spec: MetricSpec


@resource(api="core", plural="metrics", namespaced=True)
class Metric(Resource):
    """A metric for resources of its namespace; its provider is a MetricsProvider there."""

    metadata: Metadata
    spec: MetricSpec


class MetricsProviderSpec(Polymorphic):
    """How to ask a source of metrics."""


@MetricsProviderSpec.variant("prometheus")
class PrometheusSpec(Record):
    """A Prometheus server."""

    url: str = field(secret=rewrite_url, destination=True, validate=check_url, example="https://prometheus.example:9090")


@MetricsProviderSpec.variant("influx")
class InfluxSpec(Record):
    """An InfluxDB 2 server."""

    url: str = field(secret=rewrite_url, destination=True, validate=check_url)
    token: str = field(secret=True)
    org: str
    bucket: str


@MetricsProviderSpec.variant("kafka")
class KafkaSpec(Record):
    """A table of a ksqlDB server: the value stands where *comparison_column* holds the name of the metric."""

    comparison_column: str
    value_column: str
    table: str
    url: str = field(secret=rewrite_url, destination=True, validate=check_url)


@MetricsProviderSpec.variant("static")
class StaticSpec(Record):
    """Values that are written here."""

    metrics: dict[str, float] = field(example={"load": 0.5})


@resource(api="core", plural="globalmetricsproviders", namespaced=False)
class GlobalMetricsProvider(Resource):
    """A source of metrics for every namespace."""

    metadata: Metadata
    spec: MetricsProviderSpec


@resource(api="core", plural="metricsproviders", namespaced=True)
class MetricsProvider(Resource):
    """A source of metrics for one namespace."""

    metadata: Metadata
    spec: MetricsProviderSpec


class MetricRef(Record):
    """A metric by which a resource is ranked.

    :param namespaced: whether it is a Metric of the resource's namespace or a GlobalMetric.
    """

    name: str
    weight: float
    namespaced: bool = False


@rule({"uniqueItems": True})
def check_metrics(metrics: list[MetricRef]) -> None:
    """Refuse to rank by the same metric twice."""
    counts = Counter((metric.namespaced, metric.name) for metric in metrics)
    if repeated := sorted(name for (_, name), count in counts.items() if count > 1):
        raise ValidationError(f"Named more than once: {', '.join(repeated)}.")
