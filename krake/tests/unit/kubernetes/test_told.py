"""What is told of applications and clusters."""

from dataclasses import replace
from typing import Any

import pytest
from unit.kubernetes.applications import NOW, A, B, app

from krake.controller.kubernetes.application.events import tell, tell_of_drift
from krake.controller.kubernetes.cluster import events as cluster_events
from krake.data.events import EventType
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState
from krake.data.metadata import Reason, ReasonCode
from krake.ports.cluster import POD, Identity

State = ApplicationState
WHY = Reason(code=ReasonCode.KUBERNETES_ERROR, message="Pod echo is in CrashLoopBackOff.")
NODE = replace(WHY, message="Node n is not ready (1 of 3 nodes are not well).")
OTHER = replace(WHY, message="Pod echo can not pull its image.")


def told(before: Application, **changes: Any) -> list[str]:
    return [said.reason for said in tell(before, replace(before, status=replace(before.status, **changes)))]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"state": State.PENDING}, {"state": State.CREATING}, []),
        ({"state": State.CREATING}, {"running_on": A}, ["Created"]),
        ({"state": State.CREATING}, {"running_on": A, "state": State.RUNNING}, ["Created", "Running"]),
        ({"state": State.CREATING, "running_on": A}, {"state": State.RUNNING}, ["Running"]),
        ({"state": State.CREATING, "running_on": A}, {"state": State.COMPLETED}, ["Completed"]),
        ({"state": State.RUNNING, "running_on": A}, {"services": {"a": "b"}}, []),
        ({"state": State.RUNNING, "running_on": A}, {"state": State.RECONCILING}, ["Updating"]),
        ({"state": State.RUNNING, "running_on": A}, {"state": State.DEGRADED, "reason": WHY}, ["Degraded"]),
        ({"state": State.RUNNING, "running_on": A}, {"state": State.RESTARTING, "reason": WHY}, ["Restarting"]),
        ({"state": State.CREATING}, {"state": State.FAILED, "reason": WHY}, ["Failed"]),
        ({"state": State.FAILED, "reason": WHY}, {"reason": OTHER}, ["Failed"]),
        ({"state": State.FAILED, "reason": WHY}, {"observed_generation": 7}, []),
        ({"state": State.FAILED, "reason": WHY, "running_on": A}, {"state": State.RUNNING, "reason": None}, ["Running"]),
        ({"state": State.RUNNING, "running_on": B}, {"state": State.MIGRATING}, ["Migrating"]),
        ({"state": State.MIGRATING, "running_on": B}, {"state": State.RUNNING, "running_on": A}, ["Migrated"]),
        (
            {"state": State.MIGRATING, "running_on": B},
            {"state": State.RUNNING, "migration_retries": 1, "reason": WHY},
            ["MigrationFailed"],
        ),
        ({"state": State.MIGRATING, "running_on": A}, {"state": State.RECONCILING}, ["MigrationCancelled"]),
        ({"state": State.MIGRATING, "running_on": B}, {"state": State.WAITING_FOR_CLEANING}, []),
        ({"state": State.WAITING_FOR_CLEANING, "running_on": B}, {"state": State.READY_FOR_ACTION}, []),
        ({"state": State.READY_FOR_ACTION, "running_on": B}, {"state": State.RUNNING, "running_on": A}, ["Migrated"]),
        ({"state": State.PENDING, "scheduled_to": None, "running_on": B}, {"running_on": None}, ["Unbound"]),
        ({"state": State.MIGRATING, "running_on": B}, {"running_on": None}, []),
    ],
)
def test_what_happens_to_an_application_is_told_once(old: dict[str, Any], new: dict[str, Any], expected: list[str]) -> None:
    assert told(app(**old), **new) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"state": State.RUNNING}, {"state": State.DELETING}, ["Deleting"]),
        ({"state": State.WAITING_FOR_CLEANING}, {}, []),
        ({"state": State.DELETING}, {"reason": WHY}, ["DeletionFailed"]),
        ({"state": State.DELETING, "reason": WHY}, {"services": {}}, []),
        ({"state": State.DELETING, "reason": WHY}, {"placed_on": [], "running_on": None, "reason": None}, ["Deleted"]),
    ],
)
def test_the_deletion_of_an_application_is_told(old: dict[str, Any], new: dict[str, Any], expected: list[str]) -> None:
    going = app(metadata={"deleted": NOW}, **{"placed_on": [A], "running_on": A, **old})
    assert told(going, **new) == expected


def test_messages_say_where_and_why() -> None:
    before = app(state=State.RUNNING, running_on=B)
    (said,) = tell(before, replace(before, status=replace(before.status, state=State.MIGRATING)))
    assert said == (EventType.Normal, "Migrating", "It moves from Cluster red/b to Cluster red/a.")
    (said,) = tell(before, replace(before, status=replace(before.status, state=State.DEGRADED, reason=WHY)))
    assert said == (EventType.Warning, "Degraded", WHY.message)


@pytest.mark.parametrize(
    ("status", "is_told"),
    [
        ({"state": State.RUNNING, "running_on": A, "observed_generation": 3}, True),
        ({"state": State.RUNNING, "running_on": A, "observed_generation": 2}, False),
        ({"state": State.RECONCILING, "running_on": A, "observed_generation": 3}, False),
        ({"state": State.RUNNING, "running_on": B, "observed_generation": 3}, False),
        ({"state": State.CREATING, "running_on": None, "observed_generation": 3}, False),
    ],
)
def test_only_what_others_have_changed_is_drift(status: dict[str, Any], is_told: bool) -> None:
    settled = app(metadata={"generation": 3}, **status)
    pod = Identity(POD, "default", "echo")
    assert list(tell_of_drift(settled, [])) == []
    said = list(tell_of_drift(settled, [pod]))
    assert [each.reason for each in said] == (["DriftCorrected"] if is_told else [])
    assert all("Pod default/echo" in each.message for each in said)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (("CONNECTING", None), ("ONLINE", None), ["Online"]),
        (("ONLINE", None), ("ONLINE", None), []),
        (("ONLINE", None), ("OFFLINE", WHY), ["Offline"]),
        (("OFFLINE", WHY), ("OFFLINE", WHY), []),
        (("OFFLINE", WHY), ("OFFLINE", OTHER), ["Offline"]),
        (("OFFLINE", WHY), ("CONNECTING", None), []),
        (("ONLINE", None), ("UNHEALTHY", WHY), ["Unhealthy"]),
        (("ONLINE", None), ("NOTREADY", None), ["NotReady"]),
        (("NOTREADY", WHY), ("ONLINE", None), ["Online"]),
        (("ONLINE", None), ("DEGRADED", WHY), ["Degraded"]),
        (("ONLINE", None), ("ONLINE", NODE), ["NodeTrouble"]),
        (("ONLINE", NODE), ("ONLINE", NODE), []),
    ],
)
def test_what_happens_to_a_cluster_is_told_once(
    old: tuple[str, Reason | None], new: tuple[str, Reason | None], expected: list[str]
) -> None:
    before, after = (
        Cluster.restore({"metadata": {"name": "c"}, "status": {"state": state, "reason": reason and reason.serialize()}})
        for state, reason in (old, new)
    )
    assert before.status.state is ClusterState[old[0]]
    assert [said.reason for said in cluster_events.tell(before, after)] == expected
