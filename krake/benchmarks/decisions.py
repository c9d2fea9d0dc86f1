"""Decisions alone, without a network: how many there are in a second, how long one takes, and how much memory they need.

Time is that of the core, so that other work on the machine makes no difference.
"""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from benchmarks.measuring import Row, median, percentile
from krake.controller.scheduler.deciding.decide import decide
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.snapshot import Candidate, Measurement, Reading, Snapshot
from krake.controller.scheduler.deciding.tenants import Tenant, tenant_of
from krake.controller.scheduler.explaining.counterfactuals import find_counterfactuals
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
from krake.data.scheduling import AntiAffinity, Spread

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SIZES = (10, 100, 1000, 5000)
METRICS = ("carbon", "cost", "energy", "latency", "load")
TENANTS = 10
"""Applications on each cluster."""
DECISIONS = 1000
GROUPS = 2
ROUNDS = 5
NAMESPACE = "bench"
MANIFEST = [
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod"},
        "spec": {"containers": [{"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]},
    }
]


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    for size in SIZES:
        gc.collect()
        tracemalloc.start()
        snapshot = make_snapshot(size)
        decide(make_app(0, size), snapshot)
        memory, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        yield _row(f"decisions on {size:,} clusters with {len(METRICS)} metrics each", snapshot, expected=size == 1000)
        yield Row(f"memory for the snapshot of {size:,} clusters, {TENANTS} tenants each", f"{memory / 2**20:.1f} MiB")
        await asyncio.sleep(0)
    yield _row("decisions on 1,000 clusters, all of which suit equally well", make_snapshot(1000, metrics=()), expected=True)
    yield _row("decisions on 1,000 clusters, all of which are full", make_snapshot(1000, cores=TENANTS), expected=True)
    yield _measure_company(make_snapshot(1000))
    async for row in _measure_the_rest(make_snapshot(1000)):
        yield row


def _row(what: str, snapshot: Snapshot, *, expected: bool) -> Row:
    times, rates = _time_decisions(snapshot)
    rate, p99 = median(rates), percentile(times, 0.99)
    figure = f"{rate:,.0f}/s, p50 {median(times) * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms"
    if not expected:
        return Row(what, figure)
    return Row(what, figure, "≥ 1,000/s, p99 ≤ 10 ms", rate >= 1000 and p99 <= 0.01)


def _measure_company(snapshot: Snapshot) -> Row:
    """Place applications that keep apart from each other, and are spread, until they are everywhere."""
    size, times = len(snapshot.candidates), []
    decide(make_app(0, size), snapshot)
    for number in range(DECISIONS):
        app = make_app(0, size)
        group = [LabelConstraint.parse(f"group is g{number % GROUPS}")]
        apart, spread = [AntiAffinity(labels=group)], [Spread(labels=group, over="zone")]
        metadata = replace(app.metadata, name=f"group-{number}", labels={"group": f"g{number % GROUPS}"})
        app = replace(
            app,
            metadata=metadata,
            spec=replace(app.spec, constraints=replace(app.spec.constraints, anti_affinity=apart, spread=spread)),
        )
        started = time.thread_time()
        choice = decide(app, snapshot).choice
        times.append(time.thread_time() - started)
        if choice is not None:
            snapshot.ledger.put(tenant_of(app, None, choice))
    p99 = percentile(times, 0.99)
    figure = f"p50 {median(times) * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms"
    what = f"{DECISIONS:,} applications in {GROUPS} groups, whose members keep apart and are spread, on {size:,} clusters"
    return Row(what, figure, "p99 ≤ 10 ms", p99 <= 0.01)


async def _measure_the_rest(snapshot: Snapshot) -> AsyncIterator[Row]:
    size = len(snapshot.candidates)
    for changes in (1, size):
        elapsed = _time_change(snapshot, changes)
        who = "one" if changes == 1 else "all"
        yield Row(f"the metrics of {who} of {size:,} clusters change, until the next decision", f"{elapsed * 1000:.1f} ms")
    app = make_app(0, size)
    decision = decide(app, snapshot)
    started = time.thread_time()
    assert len(decision.verdicts) == size
    yield Row(f"a verdict on each of {size:,} clusters", f"{(time.thread_time() - started) * 1000:.1f} ms")
    started = time.thread_time()
    find_counterfactuals(app, snapshot, decision)
    yield Row(f"what would have to be otherwise for another one of {size:,}", f"{(time.thread_time() - started) * 1000:.1f} ms")


def make_snapshot(size: int, *, metrics: Sequence[str] = METRICS, cores: int = 64) -> Snapshot:
    """Return so many clusters, of which every fourth is in the same zone; the same ones each time."""
    random, ledger = Random(size), Ledger()
    candidates = tuple(_make_candidate(number, metrics, cores, random) for number in range(size))
    for candidate in candidates:
        for number in range(TENANTS):
            key = Key(NAMESPACE, f"{candidate.ref.name}-{number}")
            ledger.put(Tenant(key, place=candidate.ref, requests={"cpu": 1000, "memory": 2**40}))
    return Snapshot(NOW, candidates, ledger=ledger)


def make_app(number: int, size: int) -> Application:
    """Return one of many applications: two of three have been placed, every second asks for a zone, every third for a load."""
    asks = ClusterConstraints(
        labels=[LabelConstraint.parse(f"zone is z{number % 4}")] if number % 2 else None,
        metrics=[MetricConstraint.parse("load < 0.8")] if number % 3 == 0 else None,
    )
    placed = ApplicationStatus(scheduled_to=_ref(number * 7 % size), scheduled=NOW - timedelta(hours=1))
    return Application(
        metadata=Metadata(name=f"app-{number}", namespace=NAMESPACE, modified=NOW - timedelta(hours=2)),
        spec=ApplicationSpec(manifest=MANIFEST, constraints=Constraints(cluster=asks)),
        status=placed if number % 3 else ApplicationStatus(),
    )


def _make_candidate(number: int, metrics: Sequence[str], cores: int, random: Random) -> Candidate:
    cluster = Cluster(
        metadata=Metadata(name=f"cluster-{number:04}", namespace=NAMESPACE, labels={"zone": f"z{number % 4}"}),
        spec=ClusterSpec(constraints=ClusterCloudConstraints(cloud=CloudConstraints())),
        status=ClusterStatus(state=ClusterState.ONLINE, allocatable={"cpu": str(cores), "memory": "256Gi"}),
    )
    return Candidate(cluster, _make_measurement(metrics, random))


def _make_measurement(metrics: Sequence[str], random: Random) -> Measurement:
    return Measurement(tuple(Reading(name, value := random.random(), value, random.uniform(0.5, 3)) for name in metrics))


def _ref(number: int) -> ResourceRef:
    return Cluster.definition.ref(Key(NAMESPACE, f"cluster-{number:04}"))


def _time_decisions(snapshot: Snapshot) -> tuple[list[float], list[float]]:
    """Return the seconds that each decision took, and decisions per second in each round."""
    apps = [make_app(number, len(snapshot.candidates)) for number in range(DECISIONS)]
    times, rates = [], []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for app in apps:
            started = time.thread_time()
            decide(app, snapshot)
            times.append(time.thread_time() - started)
        rates.append(len(apps) / (time.thread_time() - began))
    return times, rates


def _time_change(snapshot: Snapshot, number: int) -> float:
    """Return the median of the seconds until a decision is made after the metrics of so many clusters have changed."""
    random, times = Random(number), []
    for round_ in range(ROUNDS):
        others = [replace(each, measurement=_make_measurement(METRICS, random)) for each in snapshot.candidates[:number]]
        started = time.thread_time()
        snapshot = snapshot.changed(others)
        decide(make_app(round_, len(snapshot.candidates)), snapshot)
        times.append(time.thread_time() - started)
    return median(times)
