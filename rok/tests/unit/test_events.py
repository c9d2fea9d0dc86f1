"""Events of one object, and how they are told."""

from typing import Any

from rok.kinds.events import VIEW, select_latest, tell_events
from rok.output import Result, Screen, render


def event(message: str, uid: str | None, namespace: str = "red", **fields: Any) -> dict[str, Any]:
    regarding = {"api": "kubernetes", "kind": "Application", "namespace": namespace, "name": "a", "uid": uid}
    said = {"type": "Normal", "reason": "Running", "count": 1, "component": "api", "last": "2022-03-30T16:01:03+00:00"}
    return {"regarding": regarding, "message": message, **said, **fields}


def messages(events: list[dict[str, Any]]) -> list[str]:
    return [each["message"] for each in events]


def test_only_what_is_told_of_the_present_object_counts() -> None:
    told = [event("old", "u1"), event("new", "u2"), event("of the name", None), event("late", "u1")]
    assert messages(select_latest(told, {"red": "u2"})) == ["new", "of the name"]
    assert messages(select_latest(told, {"red": "u3"})) == ["of the name"]


def test_the_last_one_counts_when_all_are_gone() -> None:
    told = [event("old", "u1"), event("new", "u2"), event("end", "u2")]
    assert messages(select_latest(told, {})) == ["new", "end"]


def test_each_namespace_has_its_own() -> None:
    told = [event("old", "u1"), event("other", "u9", "blue"), event("new", "u2")]
    assert messages(select_latest(told, {"red": "u2"})) == ["other", "new"]


TOLD = [event("It runs, and has run for quite some time.", "u1"), event("No.", "u1", type="Warning", reason="Failed", count=3)]


def test_messages_stand_below_where_there_is_no_room_beside() -> None:
    assert tell_events(TOLD, Screen(width=40)) == (
        "2022-03-30 16:01:03  application/a  Running\n"
        "    It runs, and has run for quite some\n"
        "    time.\n"
        "2022-03-30 16:01:03  application/a  Failed (Warning, 3 times)\n"
        "    No."
    )


def test_events_are_a_table_where_there_is_room_or_nobody_looks() -> None:
    for screen, form in ((Screen(), "table"), (Screen(width=150), "table"), (Screen(width=40), "wide")):
        text = render(Result(TOLD, text=lambda where: tell_events(TOLD, where)), VIEW, form, screen)
        assert text.splitlines()[1].split("|")[1].strip() == "last"
        assert len(text.splitlines()) == 6


def test_what_could_steer_a_terminal_is_shown() -> None:
    assert "\x1b" not in str(tell_events([event("a\x1b[2J", "u1")], Screen(width=40)))
