"""Decisions alone, without a network: how many there are in a second, how long one takes, and what they need memory for."""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from benchmarks.measuring import Row, median, percentile
from krake.controller.scheduler.counterfactuals import find_counterfactuals
from krake.controller.scheduler.decide import decide
from krake.controller.scheduler.snapshot import Candidate, Measurement, Reading, Snapshot
from krake.data import Key, Metadata, ResourceRef
from krake.data.constraints import LabelConstraint, MetricConstraint
from krake.data.kubernetes import (
    Application,
    ApplicationSpec,
    ApplicationStatus,
    CloudConstraints,
    Cluster,
    ClusterCloudConstraints,
    ClusterConstraints,
    ClusterSpec,
    ClusterState,
    ClusterStatus,
    Constraints,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SIZES = (10, 100, 1000, 5000)
METRICS = ("carbon", "cost", "energy", "latency", "load")
DECISIONS = 1000
ROUNDS = 5
NAMESPACE = "bench"


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    for size in SIZES:
        gc.collect()
        tracemalloc.start()
        snapshot = make_snapshot(size)
        decide(make_app(0, size), snapshot)
        memory, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        times, rates = _time_decisions(snapshot)
        rate, p99 = median(rates), percentile(times, 0.99)
        expected, met = ("≥ 1,000/s, p99 ≤ 10 ms", rate >= 1000 and p99 <= 0.01) if size == 1000 else ("", True)
        what = f"decisions on {size:,} clusters with {len(METRICS)} metrics each"
        yield Row(what, f"{rate:,.0f}/s, p50 {median(times) * 1000:.3f} ms, p99 {p99 * 1000:.3f} ms", expected, met)
        yield Row(f"memory for the snapshot of {size:,} clusters", f"{memory / 2**20:.1f} MiB")
        await asyncio.sleep(0)
    async for row in _measure_the_rest(make_snapshot(1000)):
        yield row


async def _measure_the_rest(snapshot: Snapshot) -> AsyncIterator[Row]:
    size = len(snapshot.candidates)
    for changes in (1, size):
        elapsed = _time_change(snapshot, changes)
        who = "one" if changes == 1 else "all"
        yield Row(f"the metrics of {who} of {size:,} clusters change, until the next decision", f"{elapsed * 1000:.1f} ms")
    app = make_app(0, size)
    decision = decide(app, snapshot)
    started = time.perf_counter()
    assert len(decision.verdicts) == size
    yield Row(f"a verdict on each of {size:,} clusters", f"{(time.perf_counter() - started) * 1000:.1f} ms")
    started = time.perf_counter()
    find_counterfactuals(app, snapshot, decision)
    yield Row(
        f"what would have to be otherwise for another one of {size:,}", f"{(time.perf_counter() - started) * 1000:.1f} ms"
    )


def make_snapshot(size: int) -> Snapshot:
    """Return so many clusters, of which every fourth is in the same zone; the same ones each time."""
    random = Random(size)
    return Snapshot(NOW, tuple(_make_candidate(number, random) for number in range(size)))


def make_app(number: int, size: int) -> Application:
    """Return one of many applications: two of three have been placed, every second asks for a zone, every third for a load."""
    asks = ClusterConstraints(
        labels=[LabelConstraint.parse(f"zone is z{number % 4}")] if number % 2 else None,
        metrics=[MetricConstraint.parse("load < 0.8")] if number % 3 == 0 else None,
    )
    placed = ApplicationStatus(scheduled_to=_ref(number * 7 % size), scheduled=NOW - timedelta(hours=1))
    return Application(
        metadata=Metadata(name=f"app-{number}", namespace=NAMESPACE, modified=NOW - timedelta(hours=2)),
        spec=ApplicationSpec(manifest=[], constraints=Constraints(cluster=asks)),
        status=placed if number % 3 else ApplicationStatus(),
    )


def _make_candidate(number: int, random: Random) -> Candidate:
    cluster = Cluster(
        metadata=Metadata(name=f"cluster-{number:04}", namespace=NAMESPACE, labels={"zone": f"z{number % 4}"}),
        spec=ClusterSpec(constraints=ClusterCloudConstraints(cloud=CloudConstraints())),
        status=ClusterStatus(state=ClusterState.ONLINE),
    )
    return Candidate(cluster, _make_measurement(random))


def _make_measurement(random: Random) -> Measurement:
    return Measurement(tuple(Reading(name, value := random.random(), value, random.uniform(0.5, 3)) for name in METRICS))


def _ref(number: int) -> ResourceRef:
    return Cluster.definition.ref(Key(NAMESPACE, f"cluster-{number:04}"))


def _time_decisions(snapshot: Snapshot) -> tuple[list[float], list[float]]:
    """Return the seconds that each decision took, and decisions per second in each round."""
    apps = [make_app(number, len(snapshot.candidates)) for number in range(DECISIONS)]
    times, rates = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for app in apps:
            started = time.perf_counter()
            decide(app, snapshot)
            times.append(time.perf_counter() - started)
        rates.append(len(apps) / (time.perf_counter() - began))
    return times, rates


def _time_change(snapshot: Snapshot, number: int) -> float:
    """Return the median of the seconds until a decision is made after the metrics of so many clusters have changed."""
    random, times = Random(number), []
    for round_ in range(ROUNDS):
        others = [replace(each, measurement=_make_measurement(random)) for each in snapshot.candidates[:number]]
        started = time.perf_counter()
        snapshot = snapshot.changed(others)
        decide(make_app(round_, len(snapshot.candidates)), snapshot)
        times.append(time.perf_counter() - started)
    return median(times)
