"""From what providers answer to readings, or reasons."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.adapters.metrics.static import StaticMetrics
from krake.controller.scheduler.deciding.snapshot import Measurement, Reading
from krake.controller.scheduler.metrics.measuring import (
    Answer,
    Catalog,
    Track,
    advance,
    expiry_of,
    find,
    measure,
    metric_key,
    normalise,
    provider_key,
    report,
)
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
from krake.data.infrastructure import CloudState, CloudStatus
from krake.data.kubernetes import ClusterState, ClusterStatus
from krake.ports.metrics import MetricError, ProviderError, Sample

NOW = 1000.0


def spec(low: float = 0, high: float = 10, **more: Any) -> MetricSpec:
    source = MetricSpecProvider(name=more.pop("provider", "source"), metric="raw")
    return MetricSpec(min=low, max=high, provider=source, **more)


STATIC = MetricsProviderSpec(value=StaticSpec(metrics={"raw": 5.0}))


def catalog(**more: Any) -> Catalog:
    """A provider and a metric of red, and global ones of the same names; *more* is said of the global metric."""
    return Catalog(
        metrics={Key("red", "load"): Metric(metadata=Metadata(name="load", namespace="red"), spec=spec())},
        providers={
            Key("red", "source"): MetricsProvider(metadata=Metadata(name="source", namespace="red", uid="theirs"), spec=STATIC)
        },
        global_metrics={
            Key(None, "load"): GlobalMetric(metadata=Metadata(name="load"), spec=spec(high=20, **more)),
            Key(None, "lost"): GlobalMetric(metadata=Metadata(name="lost"), spec=spec(provider="nowhere")),
        },
        global_providers={
            Key(None, "source"): GlobalMetricsProvider(metadata=Metadata(name="source", uid="ours"), spec=STATIC),
        },
    )


LOAD, LOAD_OF_RED = MetricRef(name="load", weight=2), MetricRef(name="load", weight=3, namespaced=True)
NOT_FOUND = Reason(code=ReasonCode.UNKNOWN_METRIC, message="The metric 'none' was not found in the Krake database.")


def learn(track: Track | None, ref: MetricRef, answer: Answer, now: float = NOW, **more: Any) -> Track:
    """What is known of a metric of red after an answer."""
    known = catalog(**more)
    metric = known.metric(metric_key("red", ref))
    assert metric is not None
    provider = known.provider(provider_key(metric))
    assert provider is not None
    return advance(track, metric, provider, answer, now)


def measured(*refs: MetricRef, answer: Answer = None, theirs: Answer = None, namespace: str = "red") -> Measurement:
    tracks = {Key(None, "load"): learn(None, LOAD, answer), Key("red", "load"): learn(None, LOAD_OF_RED, theirs)}
    found = measure(namespace, refs, catalog(), tracks, NOW)
    assert found is not None
    return found


def test_a_reference_is_global_or_of_the_namespace() -> None:
    found = measured(LOAD, LOAD_OF_RED, answer=Sample(5.0), theirs=Sample(1.0))
    assert found == Measurement((Reading("load", 5.0, 0.25, 2, high=20), Reading("load", 1.0, 0.1, 3, high=10)), {})


def test_nothing_is_said_before_all_have_been_asked() -> None:
    assert measure("red", [LOAD], catalog(), {}, NOW) is None
    assert measure("red", [MetricRef(name="none", weight=1)], catalog(), {}, NOW) == Measurement((), {"none": NOT_FOUND})


@pytest.mark.parametrize(
    ("ref", "namespace", "answer", "code", "words"),
    [
        (MetricRef(name="none", weight=1), "red", None, ReasonCode.UNKNOWN_METRIC, "The metric 'none' was not found"),
        (LOAD_OF_RED, "blue", None, ReasonCode.UNKNOWN_METRIC, "The metric 'load' was not found"),
        (
            MetricRef(name="lost", weight=1),
            "red",
            None,
            ReasonCode.UNKNOWN_METRICS_PROVIDER,
            "provider 'nowhere' was not found",
        ),
        (LOAD, "red", ProviderError("refused"), ReasonCode.UNREACHABLE_METRICS_PROVIDER, "refused"),
        (LOAD, "red", None, ReasonCode.INVALID_METRIC, "'source' has no value of 'raw'"),
        (LOAD, "red", MetricError("no number"), ReasonCode.INVALID_METRIC, "no number"),
        (LOAD, "red", Sample(float("nan")), ReasonCode.INVALID_METRIC, "nan is no number"),
        (LOAD, "red", Sample(float("-inf")), ReasonCode.INVALID_METRIC, "-inf is no number"),
    ],
)
def test_what_is_wrong_is_said_under_the_name_of_the_metric(
    ref: MetricRef, namespace: str, answer: Answer, code: ReasonCode, words: str
) -> None:
    found = measured(ref, namespace=namespace, answer=answer)
    assert found.readings == ()
    assert found.failures[ref.name].code is code
    assert words in found.failures[ref.name].message
    assert not found.excluded


def test_one_failing_metric_leaves_the_others_readable() -> None:
    found = measured(LOAD, MetricRef(name="none", weight=1), answer=Sample(5.0))
    assert [reading.name for reading in found.readings] == ["load"]
    assert found.failures == {"none": NOT_FOUND}


@pytest.mark.parametrize(
    ("reason", "rule", "later", "value", "excluded"),
    [
        ("the last value counts", {}, 299, 0.25, False),
        ("up to an age", {}, 300, None, False),
        ("which is that of the metric", {"max_age": 10}, 11, None, False),
        ("also forever, nearly", {"max_age": 10**6}, 9**6, 0.25, False),
        ("or not at all", {"max_age": 0}, 0, None, False),
        ("it is ignored", {"on_failure": "ignore"}, 1, None, False),
        ("it excludes", {"on_failure": "exclude"}, 1, None, True),
    ],
)
@pytest.mark.parametrize("answer", [ProviderError("down"), MetricError("broken"), None])
def test_the_rule_for_failures(
    reason: str, rule: dict[str, Any], later: float, value: float | None, excluded: bool, answer: Answer
) -> None:
    track = learn(learn(None, LOAD, Sample(5.0), **rule), LOAD, answer, NOW + 1, **rule)
    found = measure("red", [LOAD], catalog(**rule), {Key(None, "load"): track}, NOW + later)
    assert found is not None
    assert [(each.value, each.age) for each in found.readings] == ([] if value is None else [(value, later)]), reason
    assert list(found.failures) == ["load"]
    assert found.excluded is excluded
    problem = found.failures["load"].message
    assert all(each.note == f"the last valid value, as there is no newer one: {problem}" for each in found.readings)


def test_a_valid_value_ends_a_failure() -> None:
    track = learn(learn(None, LOAD, ProviderError("down")), LOAD, Sample(4.0), NOW + 5)
    assert track == Track(("ours", "raw"), Sample(4.0), NOW + 5)
    assert expiry_of(spec(), track) is None


def test_the_last_value_of_another_source_does_not_count() -> None:
    track = replace(learn(None, LOAD, Sample(5.0)), source=("other", "raw"))
    assert learn(track, LOAD, ProviderError("down")).sample is None


def test_a_provider_that_is_taken_away_leaves_the_last_value() -> None:
    track = learn(None, LOAD, Sample(5.0))
    found = find(Key(None, "load"), replace(catalog(), global_providers={}), {Key(None, "load"): track}, NOW + 1)
    assert found is not None
    assert found.reading is not None
    assert found.failure is not None
    assert found.failure.code is ReasonCode.UNKNOWN_METRICS_PROVIDER


def gists(track: Track, *times: float) -> list[object]:
    found = [find(Key(None, "load"), catalog(), {Key(None, "load"): track}, NOW + time) for time in times]
    return [each and each.gist for each in found]


def test_time_alone_is_no_news() -> None:
    first, later = gists(learn(None, LOAD, Sample(5.0)), 0, 1000)
    assert first == later


def test_of_a_last_value_the_minutes_are_news_and_when_it_is_too_old() -> None:
    track = learn(learn(None, LOAD, Sample(5.0)), LOAD, ProviderError("down"))
    now, minute, next_minute, before, after, forever = gists(track, 0, 59, 60, 299, 300, 1000)
    assert now == minute != next_minute != before != after == forever
    assert expiry_of(spec(), track) == NOW + 300


@pytest.mark.parametrize(
    ("raw", "value", "note"),
    [
        (21.0, 1.0, "above the maximum of 20, as which it counts"),
        (-3.0, 0.0, "below the minimum of 0, as which it counts"),
        (20.0, 1.0, None),
    ],
)
def test_a_value_out_of_range_counts_as_the_nearest_end(raw: float, value: float, note: str | None) -> None:
    (reading,) = measured(LOAD, answer=Sample(raw)).readings
    assert (reading.raw, reading.value, reading.note) == (raw, value, note)


def test_a_value_out_of_range_may_be_refused() -> None:
    with pytest.raises(MetricError, match="21 is outside of the range from 0 to 20"):
        normalise(spec(high=20, out_of_range="reject"), 21.0)


def test_what_the_source_remarks_is_kept() -> None:
    (reading,) = measured(LOAD, answer=Sample(30.0, "one of 2")).readings
    assert reading.note == "one of 2; above the maximum of 20, as which it counts"


@given(st.floats(allow_nan=True), st.floats(allow_nan=True), st.floats(allow_nan=True), st.sampled_from(["clamp", "reject"]))
def test_a_normalised_value_is_from_0_to_1_whatever_the_range(low: float, high: float, raw: float, rule: str) -> None:
    try:
        value = normalise(spec(low, high, out_of_range=rule), raw)
    except MetricError:
        return
    assert 0 <= value <= 1


@given(st.integers(-1000, 1000), st.integers(1, 1000), st.integers(0, 1000))
def test_normalising_is_linear(low: int, extent: int, step: int) -> None:
    raw = low + step % (extent + 1)
    assert normalise(spec(low, low + extent), raw) == pytest.approx((raw - low) / extent)


def test_only_allowed_values_are_valid() -> None:
    assert normalise(spec(0, 4, allowed_values=[0, 1, 4]), 1.0) == 0.25
    with pytest.raises(MetricError, match="3 is none of the allowed ones: 0, 1, 4"):
        normalise(spec(0, 4, allowed_values=[0, 1, 4]), 3.0)


def test_an_empty_range_that_was_stored_once_is_no_division_by_zero() -> None:
    with pytest.raises(MetricError, match="The range from 1 to 1 is empty"):
        normalise(spec(1, 1), 1.0)


async def test_static_metrics_are_what_is_declared() -> None:
    source = StaticMetrics(StaticSpec(metrics={"a": 1.0, "b": 2.0}))
    assert await source.fetch(["a", "c"]) == {"a": Sample(1.0)}


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


def test_clouds_have_the_same_states() -> None:
    assert report(CloudStatus(), {"load": REASON}).state is CloudState.FAILING_METRICS
