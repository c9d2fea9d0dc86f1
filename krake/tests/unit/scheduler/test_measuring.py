"""From what providers answer to readings, or reasons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.adapters.static import StaticMetrics
from krake.controller.scheduler.measuring import Answer, Catalog, find_query, measure, normalise, report
from krake.controller.scheduler.snapshot import Measurement, Reading
from krake.data import Key, Metadata, Reason, ReasonCode
from krake.data.core import (
    GlobalMetric,
    GlobalMetricsProvider,
    Metric,
    MetricRef,
    MetricSpec,
    MetricSpecProvider,
    MetricsProvider,
    MetricsProviderSpec,
    StaticSpec,
)
from krake.data.kubernetes import ClusterState, ClusterStatus
from krake.ports.metrics import MetricError, ProviderError


def spec(low: float = 0, high: float = 10, allowed: list[int] | None = None, provider: str = "source") -> MetricSpec:
    return MetricSpec(min=low, max=high, allowed_values=allowed or [], provider=MetricSpecProvider(name=provider, metric="raw"))


STATIC = MetricsProviderSpec(value=StaticSpec(metrics={"raw": 5.0}))
CATALOG = Catalog(
    metrics={Key("red", "load"): Metric(metadata=Metadata(name="load", namespace="red"), spec=spec())},
    providers={
        Key("red", "source"): MetricsProvider(metadata=Metadata(name="source", namespace="red", uid="theirs"), spec=STATIC)
    },
    global_metrics={
        Key(None, "load"): GlobalMetric(metadata=Metadata(name="load"), spec=spec(high=20)),
        Key(None, "lost"): GlobalMetric(metadata=Metadata(name="lost"), spec=spec(provider="nowhere")),
    },
    global_providers={
        Key(None, "source"): GlobalMetricsProvider(metadata=Metadata(name="source", uid="ours"), spec=STATIC),
    },
)
LOAD, LOAD_OF_RED = MetricRef(name="load", weight=2), MetricRef(name="load", weight=3, namespaced=True)


def measured(*refs: MetricRef, namespace: str = "red", **answers: Answer) -> Measurement:
    return measure({ref: find_query(namespace, ref, CATALOG) for ref in refs}, answers)


def test_a_reference_is_global_or_of_the_namespace() -> None:
    found = measured(LOAD, LOAD_OF_RED, ours={"raw": 5.0}, theirs={"raw": 1.0})
    assert found == Measurement((Reading("load", 5.0, 0.25, 2), Reading("load", 1.0, 0.1, 3)), {})


@pytest.mark.parametrize(
    ("ref", "namespace", "answer", "code", "words"),
    [
        (MetricRef(name="none", weight=1), "red", {}, ReasonCode.UNKNOWN_METRIC, "The metric 'none' was not found"),
        (LOAD_OF_RED, "blue", {}, ReasonCode.UNKNOWN_METRIC, "The metric 'load' was not found"),
        (MetricRef(name="lost", weight=1), "red", {}, ReasonCode.UNKNOWN_METRICS_PROVIDER, "provider 'nowhere' was not found"),
        (LOAD, "red", ProviderError("refused"), ReasonCode.UNREACHABLE_METRICS_PROVIDER, "refused"),
        (LOAD, "red", {}, ReasonCode.INVALID_METRIC, "no value of 'raw'"),
        (LOAD, "red", {"raw": MetricError("no number")}, ReasonCode.INVALID_METRIC, "no number"),
        (LOAD, "red", {"raw": 21.0}, ReasonCode.INVALID_METRIC, "21 is outside of the range from 0 to 20"),
        (LOAD, "red", {"raw": float("nan")}, ReasonCode.INVALID_METRIC, "nan is outside of the range"),
    ],
)
def test_what_is_wrong_is_said_under_the_name_of_the_metric(
    ref: MetricRef, namespace: str, answer: Answer, code: ReasonCode, words: str
) -> None:
    found = measured(ref, namespace=namespace, ours=answer)
    assert found.readings == ()
    assert found.failures[ref.name].code is code
    assert words in found.failures[ref.name].message
    assert not found.complete


def test_one_failing_metric_leaves_the_others_readable() -> None:
    found = measured(LOAD, MetricRef(name="none", weight=1), ours={"raw": 5.0})
    assert [reading.name for reading in found.readings] == ["load"]
    assert list(found.failures) == ["none"]
    assert not found.complete


@given(st.floats(allow_nan=True), st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_a_normalised_value_is_from_0_to_1_whatever_the_range(low: float, high: float, raw: float) -> None:
    try:
        value = normalise(spec(low, high), raw)
    except MetricError:
        return
    assert 0 <= value <= 1


@given(st.integers(-1000, 1000), st.integers(1, 1000), st.integers(0, 1000))
def test_normalising_is_linear(low: int, extent: int, step: int) -> None:
    raw = low + step % (extent + 1)
    assert normalise(spec(low, low + extent), raw) == pytest.approx((raw - low) / extent)


def test_only_allowed_values_are_valid() -> None:
    assert normalise(spec(0, 4, [0, 1, 4]), 1.0) == 0.25
    with pytest.raises(MetricError, match="3 is none of the allowed ones: 0, 1, 4"):
        normalise(spec(0, 4, [0, 1, 4]), 3.0)


async def test_static_metrics_are_what_is_declared() -> None:
    source = StaticMetrics(StaticSpec(metrics={"a": 1.0, "b": 2.0}))
    assert await source.fetch(["a", "c"]) == {"a": 1.0}


REASON = Reason(code=ReasonCode.INVALID_METRIC, message="no value")
OTHER = Reason(code=ReasonCode.UNKNOWN_METRIC, message="not found")


@pytest.mark.parametrize(
    ("reason", "before", "known", "found", "after"),
    [
        ("a failure shows", "ONLINE", {}, {"load": REASON}, "FAILING_METRICS"),
        ("and goes", "FAILING_METRICS", {"load": REASON}, {}, "ONLINE"),
        ("an offline cluster stays offline", "OFFLINE", {}, {"load": REASON}, "OFFLINE"),
        ("also when all is well", "OFFLINE", {"load": REASON}, {}, "OFFLINE"),
        ("another failure shows", "FAILING_METRICS", {"load": REASON}, {"load": OTHER}, "FAILING_METRICS"),
        ("it still fails when the cluster is back", "ONLINE", {"load": REASON}, {"load": REASON}, "FAILING_METRICS"),
    ],
)
def test_the_status_says_which_metrics_fail(
    reason: str, before: str, known: dict[str, Reason], found: dict[str, Reason], after: str
) -> None:
    status = ClusterStatus(state=ClusterState[before], metrics_reasons=known)
    told = report(status, found)
    assert (told.state.name, told.metrics_reasons) == (after, found), reason
    assert report(told, found) == told
