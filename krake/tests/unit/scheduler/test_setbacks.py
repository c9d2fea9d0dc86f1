"""How clusters that come to nothing keep others from being created."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from unit.scheduler.clouds import make_cloud
from unit.scheduler.worlds import NOW, make_app

from krake.controller.scheduler.deciding.hosts import CLOUD_RULES, CREATION_RULES, Host, choose_host
from krake.controller.scheduler.deciding.snapshot import Settings
from krake.controller.scheduler.provisioning.creation import Template, make_cluster
from krake.controller.scheduler.provisioning.setbacks import PAUSES, Setbacks
from krake.data.kubernetes import Cluster, ClusterState

State = ClusterState
CLOUD, OTHER = make_cloud("cloud").ref, make_cloud("other").ref
SECOND = timedelta(seconds=1)


def created(number: int, state: State, **status: Any) -> Cluster:
    found = make_cluster(make_app(), f"cluster-{number}", Template({"tosca_definitions_version": "tosca_simple_yaml_1_0"}))
    metadata = replace(found.metadata, uid=f"u-{number}")
    changes: dict[str, Any] = {"scheduled_to": CLOUD, **status}
    return replace(found, metadata=metadata, status=replace(found.status, state=state, **changes))


def hindered(setbacks: Setbacks, after: float = 0.0) -> bool:
    found = setbacks.hindrances("red", NOW + timedelta(seconds=after))
    return bool(found)


@pytest.fixture
def setbacks() -> Setbacks:
    return Setbacks()


@pytest.mark.parametrize("state", [State.FAILED, State.OFFLINE, State.NOTREADY, State.FAILING_RECONCILIATION])
def test_each_that_comes_to_nothing_after_the_first_doubles_the_wait_for_the_next(setbacks: Setbacks, state: State) -> None:
    setbacks.note(created(1, state), NOW)
    assert not hindered(setbacks)
    for number, pause in ((2, 600), (3, 1200), (4, 2400)):
        setbacks.forget(created(number - 1, state))
        setbacks.note(created(number, state), NOW)
        assert setbacks.rest("red", NOW) == pause
        assert hindered(setbacks, pause - 1)
        assert not hindered(setbacks, pause)
    for number in range(5, 2000):
        setbacks.note(created(number, state), NOW)
    assert setbacks.rest("red", NOW) == PAUSES.ceiling


def test_why_nothing_is_created_is_told(setbacks: Setbacks) -> None:
    for number in (1, 2):
        setbacks.note(created(number, State.FAILED), NOW)
    until = (NOW + timedelta(seconds=600)).isoformat()
    assert setbacks.hindrances("red", NOW) == {
        CLOUD: f"2 clusters in a row have come to nothing there, cluster-2 last; the next one is created after {until}."
    }


def test_one_counts_once_and_the_wait_begins_with_its_last_attempt(setbacks: Setbacks) -> None:
    for number in (1, 2):
        setbacks.note(created(number, State.FAILING_RECONCILIATION), NOW)
    later = NOW + timedelta(hours=3)
    setbacks.note(created(2, State.FAILED), later)
    assert setbacks.rest("red", later) == 600


def test_one_that_is_of_use_makes_up_for_all_before(setbacks: Setbacks) -> None:
    for number in range(5):
        setbacks.note(created(number, State.OFFLINE), NOW)
    setbacks.note(created(4, State.ONLINE), NOW)
    assert not hindered(setbacks)
    setbacks.note(created(4, State.OFFLINE), NOW)
    assert not hindered(setbacks)


def test_what_goes_or_waits_for_a_cloud_or_is_elsewhere_does_not_count(setbacks: Setbacks) -> None:
    for number in range(5):
        setbacks.note(created(number, State.FAILED, scheduled_to=None), NOW)
        gone = created(number, State.FAILED)
        setbacks.note(replace(gone, metadata=replace(gone.metadata, deleted=NOW)), NOW)
        setbacks.note(created(number, State.CREATING), NOW)
        strange = created(number, State.FAILED)
        setbacks.note(replace(strange, metadata=replace(strange.metadata, namespace="blue")), NOW)
        setbacks.note(created(number, State.FAILED, scheduled_to=OTHER), NOW)
    assert CLOUD not in setbacks.hindrances("red", NOW)
    assert set(setbacks.hindrances("blue", NOW)) == {CLOUD}


def test_nothing_more_is_created_there_but_what_is_there_already_gets_its_place() -> None:
    host = Host(make_cloud("cloud"), setback="Others have come to nothing there.")
    refused = choose_host(CREATION_RULES, make_app(), Settings(), [host])
    assert refused.host is None
    ((_, refusal),) = refused.refusals
    assert "Others have come to nothing there." in refusal.brief
    assert choose_host(CLOUD_RULES, created(1, State.PENDING, scheduled_to=None), Settings(), [host]).host is host
