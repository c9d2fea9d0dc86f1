"""The kinds of the API ``core``: roles and metrics."""

from collections import Counter

from marshmallow import ValidationError

from krake.data.credentials import check_authorities, rewrite_url
from krake.data.kinds import Resource, resource
from krake.data.metadata import Metadata, Verb
from krake.data.names import at_least, check_url, one_of
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

    :param out_of_range: what becomes of a value outside of the range: it is normalised to the nearest end of it (``clamp``), or
        it is not valid (``reject``).
    :param on_failure: what counts while there is no valid value: the last one (``last_value``), nothing (``ignore``), or
        nothing, and what has the metric takes no newcomers (``exclude``).
    :param max_age: seconds for which the last value counts; after that the metric is ignored.
    """

    allowed_values: list[int | float] = field(factory=list)
    min: float = field(example=0.0)
    max: float = field(example=1.0)
    provider: MetricSpecProvider
    out_of_range: str = field(default="clamp", validate=one_of("clamp", "reject"))
    on_failure: str = field(default="last_value", validate=one_of("last_value", "ignore", "exclude"))
    max_age: int = field(default=300, validate=at_least(0))

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


@rule({"pattern": r"^[\x21-\x7e]+$"})
def check_token(token: str | None) -> None:
    """Refuse what can not be sent as a token."""
    if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
        raise ValidationError("A token consists of letters, digits and signs, without spaces and line breaks.")


class Login(Record):
    """How to show who asks a server, and how to know that it is the right one.

    :param token: bearer token.
    :param ca: the authorities that have issued the certificate of the server, in PEM; otherwise those of the system.
    """

    token: str | None = field(default=None, secret=True, validate=check_token)
    username: str | None = None
    password: str | None = field(default=None, secret=True)
    ca: str | None = field(default=None, destination=True, validate=check_authorities)

    def problem(self) -> str | None:
        """Refuse half a login, and two of them."""
        if (self.username is None) != (self.password is None):
            return "A username and a password belong together."
        if self.username is not None and self.token is not None:
            return "Log in by a token, or by username and password, but not by both."
        if self.username is not None and ":" in self.username:
            return "A username must not contain a colon."
        return None


class MetricsProviderSpec(Polymorphic):
    """How to ask a source of metrics."""


@MetricsProviderSpec.variant("prometheus")
class PrometheusSpec(Login):
    """A Prometheus server."""

    url: str = field(secret=rewrite_url, destination=True, validate=check_url, example="https://prometheus.example:9090")


@MetricsProviderSpec.variant("influx")
class InfluxSpec(Record):
    """An InfluxDB 2 server."""

    url: str = field(secret=rewrite_url, destination=True, validate=check_url)
    token: str = field(secret=True)
    org: str
    bucket: str
    ca: str | None = field(default=None, destination=True, validate=check_authorities)


@MetricsProviderSpec.variant("kafka")
class KafkaSpec(Login):
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


MOST_METRICS = 100
"""Metrics that something may be ranked by."""


@rule({"uniqueItems": True, "maxItems": MOST_METRICS})
def check_metrics(metrics: list[MetricRef]) -> None:
    """Refuse to rank by the same metric twice, and by more of them than anybody would."""
    if len(metrics) > MOST_METRICS:
        raise ValidationError(f"Must not be longer than {MOST_METRICS}.")
    counts = Counter((metric.namespaced, metric.name) for metric in metrics)
    if repeated := sorted(name for (_, name), count in counts.items() if count > 1):
        raise ValidationError(f"Named more than once: {', '.join(repeated)}.")
