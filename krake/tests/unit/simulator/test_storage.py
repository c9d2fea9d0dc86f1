"""The storage remembers what was, as far as it has promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.simulator.kubernetes.kinds import BY_RESOURCE, Object
from krake.simulator.kubernetes.storage import Change, Expired, Storage
from krake.simulator.kubernetes.watch import Request, event_of

NAMES = ["a", "b", "c"]


def thing(name: str, number: int = 0, **metadata: object) -> Object:
    return {"metadata": {"name": name, "namespace": "n", "uid": name, **metadata}, "data": {"n": str(number)}}


STEPS = st.lists(st.tuples(st.sampled_from(["put", "remove"]), st.sampled_from(NAMES), st.integers(0, 3)), max_size=30)


def carry_out(storage: Storage, steps: list[tuple[str, str, int]]) -> dict[int, list[Object]]:
    """The list after each revision."""
    seen = {storage.revision: storage.objects("configmaps")}
    for verb, name, number in steps:
        if verb == "put":
            storage.put("configmaps", thing(name, number))
        elif storage.get("configmaps", ("n", name)) is not None:
            storage.remove("configmaps", ("n", name))
        seen[storage.revision] = storage.objects("configmaps")
    return seen


@given(STEPS)
def test_every_former_list_can_be_had(steps: list[tuple[str, str, int]]) -> None:
    storage = Storage()
    for revision, objects in carry_out(storage, steps).items():
        assert storage.objects_at("configmaps", None, revision) == objects


@given(STEPS)
def test_the_changes_lead_from_each_revision_to_the_present(steps: list[tuple[str, str, int]]) -> None:
    storage = Storage()
    for revision, objects in carry_out(storage, steps).items():
        state = {obj["metadata"]["name"]: obj for obj in objects}
        for change in storage.since(revision):
            if change.type == "DELETED":
                del state[change.key[1]]
            else:
                state[change.key[1]] = change.object
        assert [state[name] for name in sorted(state)] == storage.objects("configmaps")


@given(STEPS, st.integers(1, 5))
def test_what_is_forgotten_is_said_to_be(steps: list[tuple[str, str, int]], history: int) -> None:
    storage = Storage(history)
    for revision in carry_out(storage, steps):
        if revision >= storage.revision - history:
            assert len(storage.since(revision)) == storage.revision - revision
        else:
            with pytest.raises(Expired):
                storage.since(revision)


def test_dependents_follow_their_references() -> None:
    storage = Storage()
    owned = storage.put("configmaps", thing("a", ownerReferences=[{"uid": "x"}, {"uid": "y"}]))
    assert list(storage.dependents("x")) == [("configmaps", owned)]
    left = storage.put("configmaps", thing("a", ownerReferences=[{"uid": "y"}]))
    assert list(storage.dependents("x")) == []
    assert list(storage.dependents("y")) == [("configmaps", left)]
    storage.remove("configmaps", ("n", "a"))
    assert list(storage.dependents("y")) == []


@given(STEPS)
def test_a_selective_watch_knows_exactly_what_matches(steps: list[tuple[str, str, int]]) -> None:
    def matches(obj: Object) -> bool:
        return bool(int(obj["data"]["n"]) >= 2)

    storage = Storage()
    request = Request(BY_RESOURCE["configmaps"], matches=matches)
    known: set[str] = set()

    def notice(change: Change) -> None:
        event, name = event_of(change, request), change.key[1]
        if event == "ADDED":
            assert name not in known
            known.add(name)
        elif event == "MODIFIED":
            assert name in known
        elif event == "DELETED":
            known.remove(name)

    storage.listen(notice)
    carry_out(storage, steps)
    assert known == {obj["metadata"]["name"] for obj in storage.objects("configmaps") if matches(obj)}
