"""Many decisions in a row, each of which sees what became of those before."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from unit.scheduler.worlds import NOW, make_app, make_candidate

from krake.controller.scheduler.deciding.crowding import find_shortage
from krake.controller.scheduler.deciding.decide import decide
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.snapshot import Candidate, Snapshot
from krake.controller.scheduler.deciding.tenants import tenant_of
from krake.controller.scheduler.deciding.vacancies import Vacancies
from krake.data import Key
from krake.data.kubernetes import Application


def ask_for(cores: int, name: str, current: str | None = None) -> Application:
    app = make_app(current=current, age=None if current is None else 1000)
    pod = {"containers": [{"resources": {"requests": {"cpu": str(cores)}}}]}
    manifest = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod}]
    return replace(app, metadata=replace(app.metadata, name=name), spec=replace(app.spec, manifest=manifest))


def offer(name: str, cores: int | None, load: float | None = None) -> Candidate:
    candidate = make_candidate(name, {} if load is None else {"load": (load, 1.0)})
    allocatable = {} if cores is None else {"cpu": str(cores)}
    status = replace(candidate.cluster.status, allocatable=allocatable)
    return replace(candidate, cluster=replace(candidate.cluster, status=status))


def place_all(apps: list[Application], candidates: list[Candidate]) -> tuple[Ledger, Counter[str | None]]:
    """Place one after the other; return who is where, and how many are on each cluster."""
    ledger, placed = Ledger(), Counter[str | None]()
    snapshot = Snapshot(NOW, tuple(candidates), ledger=ledger)
    for app in apps:
        choice = decide(app, snapshot).choice
        placed[choice and choice.name] += 1
        if choice is not None:
            found = snapshot.fleet.find(choice)
            ledger.put(tenant_of(app, found and found.cluster, choice))
    return ledger, placed


sizes = st.lists(st.tuples(st.integers(0, 12), st.sampled_from([None, 0.2, 0.9])), min_size=1, max_size=5)


@given(st.lists(st.integers(0, 5), max_size=30), sizes)
def test_no_cluster_is_given_more_than_it_has(wanted: list[int], offered: list[tuple[int, float | None]]) -> None:
    candidates = [offer(f"c{number}", cores, load) for number, (cores, load) in enumerate(offered)]
    ledger, placed = place_all([ask_for(cores, f"app-{number}") for number, cores in enumerate(wanted)], candidates)
    for candidate, (cores, _) in zip(candidates, offered, strict=True):
        assert ledger.used(candidate.ref).get("cpu", 0) <= 1000 * cores
    assert placed.total() == len(wanted)


@given(st.integers(1, 6), st.integers(0, 40), st.booleans())
def test_a_burst_is_spread_evenly_over_equals(clusters: int, apps: int, known: bool) -> None:
    candidates = [offer(f"c{number}", 100 if known else None, 0.5) for number in range(clusters)]
    _, placed = place_all([ask_for(1, f"app-{number}") for number in range(apps)], candidates)
    numbers = [placed[each.ref.name] for each in candidates]
    assert sum(numbers) == apps
    assert max(numbers) - min(numbers) <= 1


def test_a_larger_cluster_takes_its_share() -> None:
    _, placed = place_all([ask_for(1, f"app-{number}") for number in range(30)], [offer("large", 80), offer("small", 40)])
    assert placed == {"large": 20, "small": 10}


def test_nobody_moves_for_balance_alone() -> None:
    ledger = Ledger()
    crowded, empty = offer("crowded", 10, 0.5), offer("empty", 10, 0.5)
    for number in range(9):
        ledger.put(tenant_of(ask_for(1, f"other-{number}"), crowded.cluster, crowded.ref))
    snapshot = Snapshot(NOW, (crowded, empty), ledger=ledger)
    assert decide(ask_for(1, "app", "crowded"), snapshot).choice == crowded.ref
    assert decide(ask_for(1, "app"), snapshot).choice == empty.ref


def test_a_full_cluster_is_no_reason_to_leave_it() -> None:
    full, better = offer("full", 1, 0.5), offer("better", 0, 0.9)
    ledger = Ledger()
    app = ask_for(1, "app", "full")
    ledger.put(tenant_of(app, full.cluster))
    ledger.put(tenant_of(ask_for(1, "other"), full.cluster, full.ref))
    assert decide(app, Snapshot(NOW, (full, better), ledger=ledger)).choice == full.ref


steps = st.lists(
    st.tuples(st.sampled_from(["put", "drop", "told", "changed", "asked"]), st.integers(0, 3), st.integers(0, 4)), max_size=30
)


@given(steps)
def test_vacancies_are_kept_up_with_the_ledger(steps: list[tuple[str, int, int]]) -> None:
    ledger = Ledger()
    snapshot = Snapshot(NOW, tuple(offer(f"c{number}", 4) for number in range(4)), ledger=ledger)
    for what, where, number in steps:
        place = snapshot.candidates[where]
        if what == "put":
            ledger.put(tenant_of(ask_for(number, f"app-{number}"), place.cluster, place.ref))
        elif what == "drop":
            ledger.drop(Key("red", f"app-{number}"))
        elif what == "told":
            ledger.observe(place.ref, {"cpu": 1000 * number})
        elif what == "changed":
            snapshot = snapshot.changed([offer(place.ref.name, number or None)])
        fresh = Vacancies(snapshot.fleet, ledger)
        requests = {"cpu": 1000 * number}
        assert snapshot.vacancies.loads == fresh.loads
        assert snapshot.vacancies.with_room(requests) == fresh.with_room(requests)
        for position, each in enumerate(snapshot.fleet.candidates):
            assert bool(fresh.with_room(requests) >> position & 1) == (find_shortage(requests, each, ledger) is None)
