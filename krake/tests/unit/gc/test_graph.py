"""The ownership graph, compared with what a reader would work out with pencil and paper."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.controller.gc.evacuation import Fate
from krake.controller.gc.graph import Graph, in_deletion, plan_release
from krake.data import Metadata, ResourceRef
from krake.data.metadata import UNSET_TIME

NAMES = "abcdefg"
WORLDS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4))
"""Owners by object; an owner may be missing, be named twice, or be the object itself."""
SPARED = st.sampled_from([Fate.LEAVE, Fate.STAY])


def ref(name: str) -> ResourceRef:
    return ResourceRef(api="kubernetes", kind="Application", namespace="red", name=name)


def graph_of(world: Mapping[str, list[str]]) -> Graph:
    graph = Graph()
    for name, owners in world.items():
        graph.put(ref(name), [ref(owner) for owner in owners])
    return graph


def dependents_in(world: Mapping[str, list[str]], owner: str) -> set[ResourceRef]:
    return {ref(name) for name, owners in world.items() if owner in owners}


def reachable(world: Mapping[str, list[str]], start: str) -> set[str]:
    """Everything that *start* depends on, by repeated widening."""
    reached: set[str] = set()
    while True:
        wider = reached | {owner for name in {start} | reached for owner in world.get(name, []) if owner in world}
        if wider == reached:
            return reached
        reached = wider


@given(WORLDS)
def test_dependents_are_those_that_name_an_object_as_owner(world: dict[str, list[str]]) -> None:
    graph = graph_of(world)
    for name in NAMES:
        assert graph.dependents(ref(name)) == dependents_in(world, name)


@given(WORLDS, WORLDS, st.sets(st.sampled_from(NAMES)))
def test_the_history_of_a_graph_does_not_matter(
    before: dict[str, list[str]], changes: dict[str, list[str]], gone: set[str]
) -> None:
    graph = graph_of(before)
    for name, owners in changes.items():
        graph.put(ref(name), [ref(owner) for owner in owners])
    for name in gone:
        graph.remove(ref(name))
    after = {name: owners for name, owners in {**before, **changes}.items() if name not in gone}
    for name in NAMES:
        assert graph.dependents(ref(name)) == dependents_in(after, name)
        assert (ref(name) in graph) == (name in after)


@given(WORLDS)
def test_a_cycle_is_what_depends_on_each_other(world: dict[str, list[str]]) -> None:
    graph = graph_of(world)
    for name in world:
        mates = {other for other in reachable(world, name) if name in reachable(world, other)}
        assert graph.cycle(ref(name)) == {ref(each) for each in mates | {name}}


def test_a_diamond_is_no_cycle() -> None:
    world = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    graph = graph_of(world)
    assert [graph.cycle(ref(name)) for name in world] == [{ref(name)} for name in world]


@given(WORLDS, st.sampled_from(NAMES))
def test_a_cascade_ends_with_exactly_the_dependents_gone(world: dict[str, list[str]], first: str) -> None:
    """Whatever the graph looks like, all that depends on the first object goes, with only what just changed being looked at."""
    world.setdefault(first, [])
    graph = graph_of(world)
    expected = {ref(name) for name in world if first in reachable(world, name)} | {ref(first)}
    deleted, gone, queue = {ref(first)}, set(), [ref(first)]
    while queue:
        each = queue.pop(0)
        if each not in deleted or each in gone:
            continue
        release = plan_release(graph, each, deleted.__contains__)
        assert not set(release.delete) & deleted
        for dependent in release.delete:
            deleted.add(dependent)
            queue += [dependent, *graph.owners(dependent)]
        if not release.waiting_for:
            queue += graph.owners(each)
            graph.remove(each)
            gone.add(each)
    assert gone == deleted == expected


@pytest.mark.parametrize(
    ("reason", "deleted", "finalizers", "turn"),
    [
        ("it is on top", True, ["kubernetes_resources_deletion", "cascade_deletion"], True),
        ("another one is on top", True, ["cascade_deletion", "kubernetes_resources_deletion"], False),
        ("it was taken away", True, [], False),
        ("nobody deletes the object", False, ["cascade_deletion"], False),
    ],
)
def test_the_owner_of_the_last_finalizer_acts(reason: str, deleted: bool, finalizers: list[str], turn: bool) -> None:
    metadata = Metadata(name="a", deleted=UNSET_TIME if deleted else None, finalizers=finalizers)
    assert in_deletion(metadata) is turn, reason


@given(WORLDS, st.sets(st.sampled_from(NAMES)))
def test_without_cycles_nothing_goes_before_its_dependents(world: dict[str, list[str]], marked: set[str]) -> None:
    acyclic = {name: [owner for owner in owners if owner < name] for name, owners in world.items()}
    graph = graph_of(acyclic)
    for name in acyclic:
        release = plan_release(graph, ref(name), lambda each: each.name in marked)
        assert release.waiting_for == dependents_in(acyclic, name)
        assert set(release.delete) == {each for each in dependents_in(acyclic, name) if each.name not in marked}


@given(WORLDS, st.sampled_from(NAMES), st.dictionaries(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), SPARED))
def test_who_outlives_an_owner_is_left_alone_and_holds_nothing_up(
    world: dict[str, list[str]], first: str, spared: dict[tuple[str, str], Fate]
) -> None:
    """Everything goes that depends on the first object by a chain of others that go, and nothing else does."""
    world.setdefault(first, [])
    firm = {name: [owner for owner in owners if (name, owner) not in spared] for name, owners in world.items()}
    expected = {ref(name) for name in world if first in reachable(firm, name)} | {ref(first)}
    owners = {ref(name): [ref(each) for each in named] for name, named in world.items()}
    graph = graph_of(world)
    deleted, gone, queue = {ref(first)}, set(), [ref(first)]

    def leave(dependent: ResourceRef, owner: ResourceRef) -> None:
        owners[dependent] = [each for each in owners[dependent] if each != owner]
        graph.put(dependent, owners[dependent])
        queue.append(owner)

    while queue:
        each = queue.pop(0)
        if each not in deleted or each in gone:
            continue
        fates = {dependent: spared.get((dependent.name, each.name), Fate.GO) for dependent in graph.dependents(each)}
        release = plan_release(graph, each, deleted.__contains__, fates.__getitem__)
        assert all(fates[dependent] is Fate.GO for dependent in release.delete)
        for dependent in release.delete:
            deleted.add(dependent)
            queue += [dependent, *graph.owners(dependent)]
        for dependent in release.disown:
            leave(dependent, each)
        if not release.waiting_for:
            queue += graph.owners(each)
            graph.remove(each)
            gone.add(each)
        for dependent in sorted(graph.dependents(each), key=str):
            if dependent not in deleted and fates[dependent] is Fate.LEAVE:
                leave(dependent, each)  # the scheduler and the application controller have done their work
    assert gone == deleted == expected
