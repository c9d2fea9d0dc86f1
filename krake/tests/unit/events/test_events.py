"""How events are named, cut to size and put together."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fixtures.records import records
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from krake.data import Key
from krake.data.core import Role
from krake.data.events import LONGEST_MESSAGE, Event, EventType, Regarding, combine, make_event, normal, warning
from krake.data.kubernetes import Application
from krake.data.metadata import ResourceRef
from krake.data.names import is_name

NOW = datetime(2030, 1, 1, tzinfo=UTC)
APP = Regarding(api="kubernetes", kind="Application", namespace="red", name="demo", uid="u1")


@settings(deadline=None)
@given(records(Regarding), st.text(), st.text(max_size=3000))
def test_whatever_is_told_makes_a_valid_event(regarding: Regarding, component: str, message: str) -> None:
    regarding = replace(regarding, namespace=None if regarding.namespace is None else "ns")
    event = make_event(regarding, normal("Happened", message), component, NOW)
    assert Event.deserialize(event.serialize()) == event
    assert is_name(event.metadata.name)
    assert len(event.message) <= LONGEST_MESSAGE
    assert event == make_event(regarding, normal("Happened", message), component, NOW)


def test_equal_events_have_one_name_and_others_have_another() -> None:
    told = normal("Happened", "m")
    events = [
        make_event(APP, told, "one", NOW),
        make_event(replace(APP, uid="u2"), told, "one", NOW),
        make_event(replace(APP, kind="Cluster"), told, "one", NOW),
        make_event(replace(APP, name="other"), told, "one", NOW),
        make_event(APP, told, "two", NOW),
        make_event(APP, normal("Other", "m"), "one", NOW),
        make_event(APP, normal("Happened", "n"), "one", NOW),
        make_event(APP, warning("Happened", "m"), "one", NOW),
    ]
    assert len({event.key for event in events}) == len(events)
    assert make_event(APP, told, "one", NOW + timedelta(days=1)).key == events[0].key
    assert events[0].metadata.name.startswith("demo.")


def test_an_event_is_where_its_object_is_or_in_a_namespace_of_its_own() -> None:
    assert make_event(APP, normal("A", ""), "c", NOW).key.namespace == "red"
    role = Regarding.of(Role.definition.ref(Key(None, "admin")))
    assert make_event(role, normal("A", ""), "c", NOW).key.namespace == "system"


def test_an_event_knows_which_of_several_objects_of_one_name_it_is_about() -> None:
    app = Application.restore({"metadata": {"name": "demo", "namespace": "red", "uid": "u1"}})
    assert Regarding.of(app) == APP
    assert Regarding.of(app.ref) == replace(APP, uid=None)
    assert Regarding.of(APP) is APP
    assert isinstance(APP, ResourceRef)
    assert str(APP) == "Application red/demo"


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 100)), min_size=1))
def test_counts_add_up_and_times_span(parts: list[tuple[int, int]]) -> None:
    events = [replace(make_event(APP, normal("A", ""), "c", NOW + timedelta(seconds=at)), count=count) for count, at in parts]
    whole = events[0]
    for event in events[1:]:
        whole = combine(whole, event)
    assert whole.count == sum(count for count, _ in parts)
    times = [NOW + timedelta(seconds=at) for _, at in parts]
    assert (whole.first, whole.last) == (min(times), max(times))


@pytest.mark.parametrize(
    "wrong",
    [{"reason": "two words"}, {"reason": ""}, {"reason": "lower"}, {"message": "x" * 1025}, {"count": 0}, {"type": "Error"}],
)
def test_what_is_no_event_is_refused(wrong: dict[str, Any]) -> None:
    wire = make_event(APP, normal("A", ""), "c", NOW).serialize()
    with pytest.raises(ValidationError) as refused:
        Event.deserialize(wire | wrong)
    assert list(refused.value.messages_dict) == list(wrong)
    assert Event.restore(wire | wrong).type is EventType.Normal
