"""Plans alone, without a network: how long it takes to work out what many applications would do."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

from benchmarks.decisions import make_app, make_snapshot
from benchmarks.measuring import Row, median
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.tenants import tenant_of
from krake.controller.scheduler.metrics.measuring import Catalog
from krake.controller.scheduler.planning.forecast import finish, work_out
from krake.controller.scheduler.planning.whatif import Situation, imagine
from krake.data.kubernetes import Application
from krake.data.plans import PlanSpec, PlanStatus

SIZES = ((1000, 100), (1000, 1000))
"""Applications and clusters."""
LONGEST = 5.0
"""Seconds within which the plan of a thousand applications on a hundred clusters is expected."""
ROUNDS = 3


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    for apps, clusters in SIZES:
        situation = _make_situation(apps, clusters)
        while (settled := _settle(situation)) is not situation:
            situation = settled
        drained = [each.ref.name for each in situation.snapshot.candidates[::20]]
        what = f"{apps:,} applications on {clusters:,} clusters"
        yield _row(f"plan for {what}: what would move now", situation, PlanSpec(), expected=clusters <= 100)
        spec = PlanSpec(drain=drained, explain=["app-1"])
        yield _row(f"plan for {what}, {len(drained)} of them drained", situation, spec, expected=clusters <= 100)
        await asyncio.sleep(0)


def _row(what: str, situation: Situation, spec: PlanSpec, *, expected: bool) -> Row:
    times, longest = [], 0.0
    for _ in range(ROUNDS):
        started = time.thread_time()
        status, step = _work_out(situation, spec)
        times.append(time.thread_time() - started)
        longest = max(longest, step)
    figure = f"{median(times):.2f} s, {status.moving} moves, {status.rounds} rounds, longest step {longest * 1000:.0f} ms"
    return Row(what, figure, f"≤ {LONGEST:g} s", median(times) <= LONGEST) if expected else Row(what, figure)


def _work_out(situation: Situation, spec: PlanSpec) -> tuple[PlanStatus, float]:
    """Return the answer, and how long its longest step took, in seconds: others have to wait for so long."""
    longest, started = 0.0, time.thread_time()
    steps = work_out(situation, imagine(situation, spec), spec.explain)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            status: PlanStatus = ended.value
            return status, longest
        now = time.thread_time()
        longest, started = max(longest, now - started), now


def _make_situation(apps: int, clusters: int) -> Situation:
    made = {app.metadata.name: app for app in (make_app(number, clusters) for number in range(apps))}
    snapshot = replace(make_snapshot(clusters), ledger=Ledger())
    _enter(snapshot.ledger, made.values())
    namespace = next(iter(made.values())).metadata.namespace
    return Situation(namespace, snapshot, made, Catalog({}, {}, {}, {}))


def _settle(situation: Situation) -> Situation:
    """Return the situation after all that a plan lists has moved; the same one if nothing is to."""
    status = finish(work_out(situation, imagine(situation, PlanSpec())))
    if not status.moves:
        return situation
    places = {each.ref.name: each.ref for each in situation.snapshot.candidates}
    apps = dict(situation.apps)
    for move in status.moves:
        app = apps[move.application]
        place = None if move.choice is None else places[move.choice]
        apps[move.application] = replace(app, status=replace(app.status, scheduled_to=place, running_on=place))
    ledger = Ledger()
    _enter(ledger, apps.values())
    return replace(situation, apps=apps, snapshot=replace(situation.snapshot, ledger=ledger))


def _enter(ledger: Ledger, apps: Iterable[Application]) -> None:
    for app in apps:
        ledger.put(tenant_of(app, None))
