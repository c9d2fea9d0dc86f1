"""When a manifest is made of a template, and whose manifest it is."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kubernetes.applications import LATER, NOW, A, B, app, config_map
from unit.tosca.templates import template

from krake.controller.kubernetes.application.translation import announce, begin, fail, is_due, source_of
from krake.data.kubernetes import Application, ApplicationState
from krake.data.metadata import ReasonCode
from krake.ports.translation import Source, TranslationError

State = ApplicationState
MADE, OWN = [config_map(text="made")], [config_map(text="own")]


def declared(found: Application, **spec: Any) -> Application:
    return replace(found, spec=replace(found.spec, **spec))


def translated(found: Application, manifest: list[dict[str, Any]]) -> Application:
    """An application after its manifest was made and stored."""
    return declared(replace(found, status=announce(found, manifest)), manifest=manifest)


TEMPLATE = declared(app(), tosca=template())


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        ({"tosca": {"a": 1}}, Source(template={"a": 1})),
        ({"tosca": "https://h/t.yaml", "csar": "https://h/t.csar"}, Source(url="https://h/t.yaml")),
        ({"csar": "https://h/t.csar"}, Source(archive="https://h/t.csar")),
        ({"csar": "https://h/t.csar", "manifest": OWN}, None),
        ({"manifest": OWN}, None),
    ],
)
def test_a_manifest_counts_more_than_a_template_than_an_archive(spec: dict[str, Any], source: Source | None) -> None:
    found = declared(app(), **spec)
    assert source_of(found) == source
    assert is_due(found) is (source is not None)


def test_what_was_made_is_left_alone_until_the_source_changes() -> None:
    made = translated(TEMPLATE, MADE)
    assert not is_due(made)
    assert is_due(declared(made, inputs={"a": 1}))
    assert is_due(declared(made, tosca="https://h/t.yaml"))
    assert is_due(declared(made, manifest=[]))
    assert not is_due(declared(made, manifest=OWN, inputs={"a": 1})), "It is the user's now."


steps = st.lists(st.sampled_from(["input", "announce", "store", "other"]), max_size=12)


@given(steps)
def test_a_killed_controller_never_takes_its_own_work_for_the_users(actions: list[str]) -> None:
    """Whatever was written before a kill, what was made is made anew when its source has changed."""
    found, announced = TEMPLATE, MADE
    for number, action in enumerate(actions):
        if action == "input":
            found = declared(found, inputs={"n": number})
        elif action in ("announce", "other") and is_due(found):
            announced = [config_map(text=str(number if action == "other" else 0))]
            found = replace(found, status=announce(found, announced))
        elif action == "store" and is_due(found) and found.status.translated:
            found = declared(found, manifest=announced)
    assert is_due(declared(found, inputs={"n": "last"}))


def test_nothing_is_translated_before_its_turn_or_on_the_way() -> None:
    assert not is_due(replace(TEMPLATE, metadata=replace(TEMPLATE.metadata, modified=LATER)))
    assert not is_due(replace(TEMPLATE, metadata=replace(TEMPLATE.metadata, deleted=NOW)))
    assert not is_due(replace(TEMPLATE, status=replace(TEMPLATE.status, scheduled_to=None)))
    changed = declared(translated(TEMPLATE, MADE), inputs={"a": 1})
    moving = replace(changed, status=replace(changed.status, running_on=A, scheduled_to=B))
    assert not is_due(moving)
    assert is_due(declared(moving, manifest=[])), "There is nothing that could move."


def test_a_failure_is_shown_until_it_is_another_one() -> None:
    assert begin(TEMPLATE).state is State.TRANSLATING
    failed = replace(TEMPLATE, status=fail(TEMPLATE, TranslationError("No.", passing=True), NOW, 0))
    assert (failed.status.state, failed.status.observed_generation) == (State.FAILED, failed.metadata.generation)
    assert failed.status.reason is not None
    assert failed.status.reason.code is ReasonCode.INVALID_TOSCA_MANIFEST
    assert failed.status.scheduled_retry is not None
    assert begin(failed) == failed.status
    changed = replace(failed, metadata=replace(failed.metadata, generation=failed.metadata.generation + 1))
    assert begin(changed).state is State.TRANSLATING
    status = announce(failed, MADE)
    assert (status.state, status.reason, status.scheduled_retry) == (State.TRANSLATING, None, None)


def test_what_can_not_pass_is_not_tried_again() -> None:
    status = fail(TEMPLATE, TranslationError("No."), NOW, 0)
    assert (status.retries, status.scheduled_retry) == (0, None)


@pytest.mark.parametrize("state", [State.MIGRATING, State.WAITING_FOR_CLEANING, State.READY_FOR_ACTION])
def test_states_that_others_go_by_stay(state: ApplicationState) -> None:
    busy = replace(TEMPLATE, status=replace(TEMPLATE.status, state=state))
    failed = replace(busy, status=fail(busy, TranslationError("No."), NOW, 0))
    assert {begin(busy).state, failed.status.state, announce(failed, MADE).state} == {state}
    assert failed.status.reason is not None
