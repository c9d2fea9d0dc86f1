"""What is made of answers of providers that mean no good."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from unit.infrastructure.clusters import HOME, NOW, PACE, PROVIDER, cluster_on_cloud

from krake.controller.infrastructure.learning import learn
from krake.controller.infrastructure.sense import MOST_MACHINES, make_sense
from krake.controller.infrastructure.steps import Ask, Call, Situation, State
from krake.data.infrastructure import InfrastructureStatus
from krake.ports.infrastructure import Infrastructure, Phase, Rejected, Unavailable


def nested(levels: int) -> dict[str, Any]:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    return {"users": value}


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (Call.OBSERVE, Infrastructure(Phase.CREATING, {str(each): Phase.PENDING for each in range(100_000)})),
        (Call.OBSERVE, Infrastructure(Phase.CREATING, {"a" * 1_000: Phase.PENDING})),
        (Call.OBSERVE, Infrastructure(Phase.CREATING, {"a\x1b[31m": Phase.PENDING})),
        (Call.OBSERVE, Infrastructure(Phase.CREATING, {"a\u2028b": Phase.PENDING})),
        (Call.OBSERVE, Infrastructure(Phase.CREATING, {"a\u202eb": Phase.PENDING})),
        (Call.OBSERVE, Infrastructure(Phase.CREATING, {"\ud800": Phase.PENDING})),
        (Call.OBSERVE, Infrastructure(Phase.CREATING, {"": Phase.PENDING})),
        (Call.CREATE, "x" * 100_000),
        (Call.CREATE, "1\r\nX-Header: 1"),
        (Call.FIND, ["1", "x" * 100_000]),
    ],
)
def test_what_can_not_be_kept_is_no_answer(call: Call, answer: Any) -> None:
    with pytest.raises(Unavailable):
        make_sense(call, answer)


@pytest.mark.parametrize(
    "kubeconfig",
    [
        nested(1_000),
        nested(100_000),
        {"x": float("nan")},
        {"x": "\ud800"},
        {"x": 10**5_000},
        {"x": "y" * 1_000_000},
        {"x": b""},
        {"users": [{"name": "u", "user": {"token": "<redacted>"}}]},
        {"users": [{"name": "u", "user": {"token": "sealed:v1:key:x"}}]},
    ],
)
def test_what_is_no_kubeconfig_is_refused(kubeconfig: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="kubeconfig"):
        make_sense(Call.KUBECONFIG, kubeconfig)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (Call.OBSERVE, Infrastructure(Phase.CREATING, {f"node {each}": Phase.PENDING for each in range(MOST_MACHINES)}, "é")),
        (Call.CREATE, "4e2a-1"),
        (Call.FIND, []),
        (Call.KUBECONFIG, {"users": [{"name": "é", "user": {"token": "t"}}]}),
        (Call.KUBECONFIG, None),
        (Call.DELETE, None),
    ],
)
def test_what_makes_sense_is_taken_as_it_is(call: Call, answer: Any) -> None:
    assert make_sense(call, answer) == answer


def test_messages_are_one_line_that_people_can_read() -> None:
    said = make_sense(Call.OBSERVE, Infrastructure(Phase.FAILED, {}, "a\nb\x1b[31m" + "c" * 100_000)).message
    assert said.startswith("a b [31mcc")
    assert len(said) == 600


def test_machines_with_other_names_each_time_do_not_pile_up() -> None:
    known = InfrastructureStatus(provider=PROVIDER.ref, phase="configured", completed=NOW, started=NOW, attempts=9)
    status = {"state": State.ONLINE, "cluster_id": "1", "running_on": HOME.cloud.ref, "infrastructure": known}
    cluster = cluster_on_cloud(status=status)
    for look in range(8):
        now = NOW + timedelta(seconds=60 * look)
        seen = Infrastructure(Phase.CONFIGURED, {f"{look}-{each}": Phase.CONFIGURED for each in range(400)})
        outcome = learn(cluster, Situation(now, PACE, HOME), Ask(Call.OBSERVE, "1"), seen)
        cluster = replace(cluster, status=outcome.status)
    told = cluster.status.infrastructure
    assert told is not None
    assert told.message is not None
    assert 400 < len(told.machines) <= MOST_MACHINES
    assert len(told.message) < 300
