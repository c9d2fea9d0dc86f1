"""What is next for a cluster on a cloud, and what follows from an answer, by example."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from unit.infrastructure.clusters import CLOUD, HOME, NOW, PACE, PROVIDER, cluster_on_cloud, template

from krake.controller.infrastructure.learning import KUBECONFIG_PATIENCE, learn
from krake.controller.infrastructure.lifecycle import FINALIZER, plan
from krake.controller.infrastructure.steps import (
    Ask,
    Call,
    Hold,
    Home,
    Outcome,
    Release,
    Rest,
    Situation,
    State,
    Store,
    without_nulls,
)
from krake.controller.infrastructure.told import tell
from krake.controller.infrastructure.traffic import Traffic
from krake.data.infrastructure import InfrastructureProviderState, InfrastructureProviderStatus, InfrastructureStatus
from krake.data.kubernetes import Cluster, ClusterStatus
from krake.data.metadata import Reason, ReasonCode
from krake.ports.infrastructure import Busy, Infrastructure, NotFound, Phase, Refused, Rejected, Unavailable

SECOND = timedelta(seconds=1)


def situation(**more: Any) -> Situation:
    return Situation(**{"now": NOW, "pace": PACE, "home": HOME, **more})


def cluster(*, infrastructure: dict[str, Any] | None = None, held: bool = True, **status: Any) -> Cluster:
    """Return a cluster whose infrastructure was asked for."""
    known = {"provider": PROVIDER.ref, "started": NOW, "observed": NOW, **(infrastructure or {})}
    applied = {"running_on": CLOUD.ref, "last_applied_tosca": without_nulls(template())}
    found = cluster_on_cloud(status={**applied, "infrastructure": InfrastructureStatus(**known), **status})
    return replace(found, metadata=replace(found.metadata, finalizers=[FINALIZER] if held else []))


def working(*, infrastructure: dict[str, Any] | None = None, **status: Any) -> Cluster:
    """Return a cluster that is done."""
    known = {"completed": NOW, "phase": "configured", "machines": {"0": "configured"}, **(infrastructure or {})}
    found = cluster(infrastructure=known, **{"cluster_id": "i1", "state": State.ONLINE, **status})
    return replace(found, spec=replace(found.spec, kubeconfig={"a": "b"}))


LATER = NOW + timedelta(days=400)
"""What the clock said before it was set right."""


@pytest.mark.parametrize(
    ("state", "infrastructure", "expected"),
    [
        (State.CREATING, {"unseen": 1}, Call.FIND),
        (State.CREATING, {}, Call.OBSERVE),
        (State.RECONCILING, {"completed": NOW}, Call.OBSERVE),
        (State.ONLINE, {"completed": NOW}, Call.OBSERVE),
        (State.FAILING_RECONCILIATION, {"phase": "unconfigured"}, Call.RECONFIGURE),
        (State.DELETING, {}, Call.DELETE),
    ],
)
def test_nobody_waits_until_it_is_as_late_as_a_wrong_clock_has_said(
    state: State, infrastructure: dict[str, Any], expected: Call
) -> None:
    id = None if infrastructure.get("unseen") else "i1"
    found = cluster(
        infrastructure={"started": LATER, "observed": LATER, **infrastructure},
        **{"state": state, "cluster_id": id, "scheduled_retry": LATER},
    )
    if state is State.DELETING:
        found = replace(found, metadata=replace(found.metadata, deleted=NOW))
    before = situation(looked=LATER)
    told = replace(found.status, reason=Reason(code=ReasonCode.CREATE_FAILED, message="?"))
    found = replace(found, status=told, spec=replace(found.spec, kubeconfig={"a": "b"}))
    basis = before.basis(found)
    assert found.status.infrastructure is not None
    told = replace(found.status, infrastructure=replace(found.status.infrastructure, basis=basis))
    found = replace(found, status=told)
    step = plan(found, before)
    assert isinstance(step, Store)
    assert step.status.infrastructure is not None
    moments = step.status.infrastructure.started, step.status.infrastructure.observed, step.status.scheduled_retry
    assert moments == (NOW, NOW, NOW)
    after = plan(replace(found, status=step.status), before)
    assert isinstance(after, Ask)
    assert after.call is expected


def test_a_search_ends_though_the_clock_was_set_back() -> None:
    found = cluster(infrastructure={"unseen": 1, "started": LATER}, state=State.CREATING)
    step = plan(found, situation())
    assert isinstance(step, Store)
    late = situation(now=NOW + PACE.search)
    outcome = learn(replace(found, status=step.status), late, Ask(Call.FIND), [])
    assert outcome.intent


def test_what_is_for_the_scheduler_to_try_again_is_left_alone() -> None:
    waiting = replace(cluster_on_cloud(), status=ClusterStatus(state=State.FAILED, scheduled_retry=LATER))
    assert plan(waiting, situation()) == Rest()


def due(**more: Any) -> Any:
    """What a cluster whose last attempt failed has in its status, when the next one is due."""
    return {"state": State.FAILING_RECONCILIATION, "scheduled_retry": NOW - SECOND, **more}


def test_first_it_is_held_then_it_is_intended_then_it_is_created() -> None:
    new = cluster_on_cloud()
    assert plan(new, situation()) == Hold()
    held = replace(new, metadata=replace(new.metadata, finalizers=[FINALIZER]))
    step = plan(held, situation())
    assert isinstance(step, Store)
    assert step.intent
    assert step.status.infrastructure is not None
    assert (step.status.state, step.status.infrastructure.unseen) == (State.CREATING, 1)
    intended = replace(held, status=step.status)
    assert plan(intended, situation(intended=True)) == Ask(Call.CREATE, template=template())
    assert plan(intended, situation()) == Ask(Call.FIND)


@pytest.mark.parametrize(
    ("found", "expected", "why"),
    [
        (cluster(infrastructure={"phase": "unconfigured"}, cluster_id="i1", **due()), Call.RECONFIGURE, "it runs already"),
        (cluster(infrastructure={"phase": "failed"}, cluster_id="i1", **due()), Call.DELETE, "it was never of use"),
        (
            cluster(infrastructure={"phase": "failed", "completed": NOW}, cluster_id="i1", **due()),
            Call.UPDATE,
            "applications may be there",
        ),
        (
            cluster(infrastructure={"phase": "configured"}, cluster_id="i1", last_applied_tosca={}, **due()),
            Call.UPDATE,
            "it was changed",
        ),
        (cluster(infrastructure={"phase": "creating"}, cluster_id="i1", **due()), Call.OBSERVE, "it may be well by now"),
        (cluster(infrastructure={"phase": "deleting"}, cluster_id="i1", **due()), Call.OBSERVE, "it is on its way out"),
        (cluster(infrastructure={"unseen": 1}, **due()), Call.FIND, "it may have been created"),
        (cluster(cluster_id="i1", state=State.CREATING), Call.OBSERVE, "it is being created"),
        (cluster(cluster_id="i1", state=State.RECONCILING, last_applied_tosca={}), Call.UPDATE, "that was intended"),
        (working(), Call.OBSERVE, "it may have drifted"),
        (working(infrastructure={"unseen": 1}), Call.FIND, "there may be another one"),
    ],
)
def test_what_is_asked(found: Cluster, expected: Call, why: str) -> None:
    step = plan(found, situation())
    if expected is Call.UPDATE:
        assert isinstance(step, Store), why
        assert step.intent
        step = plan(replace(found, status=step.status), situation(intended=True))
    assert isinstance(step, Ask), why
    assert step.call is expected, why


@pytest.mark.parametrize(
    "found",
    [
        cluster(cluster_id="i1", state=State.RECONCILING, infrastructure={"asked": NOW}),
        cluster(cluster_id="i1", infrastructure={"asked": NOW, "phase": "configured", "completed": NOW}, **due()),
    ],
)
def test_a_change_of_another_process_is_asked_for_again_once_the_provider_knows_of_it(found: Cluster) -> None:
    """Though what is wanted may be what was there before: nobody knows what the provider is making."""
    assert plan(found, situation(now=NOW + SECOND)) == Rest(PACE.search - SECOND)
    later = situation(now=NOW + PACE.search)
    step = plan(found, later)
    assert isinstance(step, Store)
    assert step.intent
    found = replace(found, status=step.status)
    assert step.status.infrastructure is not None
    assert step.status.infrastructure.asked == later.now
    ask = plan(found, replace(later, intended=True))
    assert ask == Ask(Call.UPDATE, "i1", template())
    assert isinstance(ask, Ask)
    for answer, outcome in ((None, None), (Rejected("no"), None), (Unavailable("?"), later.now), (Busy("…"), later.now)):
        after = learn(found, later, ask, answer)
        assert after.status.infrastructure is not None
        assert after.status.infrastructure.asked == outcome
        assert after.intent is isinstance(answer, Busy)


@pytest.mark.parametrize(
    ("found", "rest", "why"),
    [
        (cluster(cluster_id="i1", state=State.CREATING), PACE.poll - SECOND, "it was looked at just now"),
        (working(), PACE.observe - SECOND, "it was looked at just now"),
        (working(infrastructure={"phase": "creating"}), PACE.poll - SECOND, "it is being mended"),
        (cluster_on_cloud(status={"scheduled_to": None}), None, "it is for the scheduler to say where"),
        (cluster_on_cloud(tosca={}, kubeconfig={"a": "b"}), None, "it was registered"),
    ],
)
def test_what_is_left_alone(found: Cluster, rest: timedelta | None, why: str) -> None:
    assert plan(found, situation(looked=NOW - SECOND)) == Rest(rest), why


def test_a_failure_is_waited_for_unless_something_is_better() -> None:
    basis = situation().basis(cluster())
    failed = cluster(
        infrastructure={"basis": basis, "attempts": 1},
        state=State.FAILING_RECONCILIATION,
        scheduled_retry=NOW + 9 * SECOND,
    )
    assert plan(failed, situation()) == Rest(9 * SECOND)
    changed = replace(failed, metadata=replace(failed.metadata, generation=2))
    assert isinstance(plan(changed, situation()), Store)
    back = InfrastructureProviderStatus(state=InfrastructureProviderState.ONLINE, checked=NOW + SECOND)
    assert isinstance(plan(failed, situation(home=Home(CLOUD, replace(PROVIDER, status=back)))), Store)


def test_what_is_given_up_rests_until_it_is_changed() -> None:
    outcome = learn(cluster(infrastructure={"unseen": 1}), situation(), Ask(Call.CREATE), Rejected("No."))
    assert (outcome.status.state, outcome.status.scheduled_retry) == (State.FAILED, None)
    assert outcome.status.reason == Reason(code=ReasonCode.CREATE_FAILED, message="No.")
    assert outcome.status.observed_generation == cluster().metadata.generation
    given_up = replace(cluster(), status=outcome.status)
    assert plan(given_up, situation()) == Rest()
    changed = replace(given_up, metadata=replace(given_up.metadata, generation=2))
    assert isinstance(plan(changed, situation()), Store)


@pytest.mark.parametrize(
    ("ask", "answer", "state", "why"),
    [
        (Call.CREATE, Unavailable("?"), State.CREATING, "it may have been created, and is looked for first"),
        (Call.CREATE, Refused("!"), State.FAILING_RECONCILIATION, "nothing was created"),
        (Call.CREATE, "i1", State.CREATING, "it takes its time"),
        (Call.OBSERVE, Unavailable("?"), State.CREATING, "it goes on all the same"),
        (Call.OBSERVE, Infrastructure(Phase.UNKNOWN), State.CREATING, "nobody knows yet"),
        (Call.OBSERVE, Infrastructure(Phase.UNCONFIGURED), State.FAILING_RECONCILIATION, "it does not go on by itself"),
        (Call.OBSERVE, Infrastructure(Phase.FAILED), State.FAILING_RECONCILIATION, "it does not go on by itself"),
        (Call.OBSERVE, NotFound("-"), State.FAILING_RECONCILIATION, "somebody has deleted it"),
        (Call.KUBECONFIG, None, State.CREATING, "it comes a little later"),
        (Call.KUBECONFIG, {"a": "b"}, State.CONNECTING, "now it is for the cluster controller"),
    ],
)
def test_what_follows_from_an_answer(ask: Call, answer: Any, state: State, why: str) -> None:
    made = cluster(infrastructure={"unseen": 1}, state=State.CREATING, cluster_id=None if ask is Call.CREATE else "i1")
    assert learn(made, situation(), Ask(ask, "i1"), answer).status.state is state, why


def test_a_template_that_gives_out_nothing_is_told_of_soon() -> None:
    made = cluster(cluster_id="i1", state=State.CREATING, infrastructure={"phase": "configured"})
    first = learn(made, situation(), Ask(Call.KUBECONFIG, "i1"), None)
    later = NOW + KUBECONFIG_PATIENCE + SECOND
    second = learn(replace(made, status=first.status), situation(now=later), Ask(Call.KUBECONFIG, "i1"), None)
    assert second.status.reason is not None
    assert second.status.reason.code is ReasonCode.RETRIEVE_FAILED


def test_a_cluster_that_works_stays_in_its_state_whatever_its_provider_says() -> None:
    found = working(state=State.NOTREADY, reason=Reason(code=ReasonCode.KUBERNETES_ERROR, message="A node is not ready."))
    for answer in (Unavailable("?"), Refused("!"), Busy("…"), NotFound("-"), Infrastructure(Phase.FAILED, {"0": Phase.FAILED})):
        outcome = learn(found, situation(), Ask(Call.OBSERVE, "i1"), answer)
        assert outcome.status.state is State.NOTREADY
        assert outcome.status.reason == found.status.reason
        assert outcome.status.infrastructure != found.status.infrastructure


def test_mending_is_tried_less_and_less_often() -> None:
    found, now, mended = working(), NOW, []
    for minute in range(240):
        now = NOW + timedelta(minutes=minute)
        outcome = learn(found, situation(now=now), Ask(Call.OBSERVE, "i1"), Infrastructure(Phase.CONFIGURED, {}))
        if outcome.then is not None:
            assert outcome.then == Ask(Call.UPDATE, "i1", template())
            mended.append(minute)
        found = replace(found, status=outcome.status)
    assert mended[:4] == [0, 1, 3, 7]
    assert len(mended) < 12


def test_what_was_given_up_is_not_what_it_is_mended_by() -> None:
    found = working(last_applied_tosca={"workers": 9})
    given_up = replace(found.status, infrastructure=replace(found.status.infrastructure, basis=situation().basis(found)))
    found = replace(found, status=given_up)
    assert plan(found, situation()) == Ask(Call.OBSERVE, "i1")
    outcome = learn(found, situation(), Ask(Call.OBSERVE, "i1"), Infrastructure(Phase.CONFIGURED, {}))
    assert outcome.then == Ask(Call.UPDATE, "i1", {"workers": 9})


def leaving(**status: Any) -> Cluster:
    found = cluster(**{"state": State.DELETING, **status})
    return replace(found, metadata=replace(found.metadata, deleted=NOW))


def test_a_deletion_is_never_given_up() -> None:
    found = leaving(cluster_id="i1")
    found = replace(found, spec=replace(found.spec, backoff_limit=0))
    waits = []
    for _ in range(12):
        outcome = learn(found, situation(), Ask(Call.DELETE, "i1"), Refused("!"))
        assert outcome.after is not None
        waits.append(outcome.after.total_seconds())
        found = replace(found, status=outcome.status)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (5, 300)


def test_a_deletion_goes_on_as_soon_as_the_provider_is_back() -> None:
    found = leaving(cluster_id="i1")
    for _ in range(12):
        found = replace(found, status=learn(found, situation(), Ask(Call.DELETE, "i1"), Unavailable("?")).status)
    assert plan(found, situation(now=NOW + SECOND)) == Rest(299 * SECOND)
    back = InfrastructureProviderStatus(state=InfrastructureProviderState.ONLINE, checked=NOW + SECOND)
    later = situation(now=NOW + SECOND, home=Home(CLOUD, replace(PROVIDER, status=back)))
    assert plan(found, later) == Ask(Call.DELETE, "i1")


def test_whose_cloud_is_gone_is_kept_only_if_something_may_be_there() -> None:
    assert plan(leaving(), situation(home="There is none.")) == Release()
    step = plan(leaving(cluster_id="i1"), situation(home="There is none."))
    assert isinstance(step, Store)
    assert step.status.reason is not None
    assert step.status.reason.message.startswith("There is none.")


def test_others_go_first() -> None:
    found = leaving(cluster_id="i1")
    found = replace(found, metadata=replace(found.metadata, finalizers=[FINALIZER, "cascade_deletion"]))
    assert plan(found, situation()) == Rest()


def test_everything_with_the_mark_goes() -> None:
    outcome = learn(leaving(), situation(), Ask(Call.FIND), ["i2", "i1"])
    assert outcome.then == Ask(Call.DELETE, "i1")
    assert outcome.status.cluster_id == "i1"
    assert learn(leaving(), situation(), Ask(Call.FIND), []).release


def test_who_waits_for_the_end_of_what_was_perhaps_created_is_told_why() -> None:
    found = leaving(infrastructure={"unseen": 1})
    outcome = learn(found, situation(), Ask(Call.FIND), [])
    assert not outcome.release
    assert "looked for during a minute" in outcome.status.infrastructure.message


def test_it_is_told_what_happens() -> None:
    made = cluster(state=State.CREATING, cluster_id="i1", infrastructure={"machines": {"0": "creating"}})
    half = {"0": Phase.CONFIGURED, "1": Phase.CREATING}
    outcome = learn(made, situation(), Ask(Call.OBSERVE, "i1"), Infrastructure(Phase.CREATING, half))
    assert told(made, outcome) == ["The infrastructure is creating: 1 of 2 machines configured."]
    outcome = learn(made, situation(), Ask(Call.OBSERVE, "i1"), Infrastructure(Phase.PENDING, {}))
    assert told(made, outcome) == ["The infrastructure is pending."]
    found = working()
    lost = learn(found, situation(), Ask(Call.OBSERVE, "i1"), Infrastructure(Phase.CONFIGURED, {}))
    assert told(found, lost) == ["The infrastructure is not as declared: lost machines: 0."]
    unready = Reason(code=ReasonCode.KUBERNETES_ERROR, message="A node is not ready.")
    found = replace(found, status=replace(found.status, reason=unready))
    lost = learn(found, situation(), Ask(Call.OBSERVE, "i1"), Infrastructure(Phase.CONFIGURED, {}))
    assert lost.status.reason == unready
    assert told(found, lost) == ["The infrastructure is not as declared: lost machines: 0."]
    back = replace(found, status=replace(lost.status, infrastructure=replace(lost.status.infrastructure, machines={})))
    well = learn(back, situation(), Ask(Call.OBSERVE, "i1"), Infrastructure(Phase.CONFIGURED, {"1": Phase.CONFIGURED}))
    assert told(back, well) == ["The infrastructure is as declared again."]


def told(before: Cluster, outcome: Outcome) -> list[str]:
    return [each.message for each in tell(before, replace(before, status=outcome.status))]


def test_a_provider_that_does_not_answer_gets_one_call_at_a_time() -> None:
    traffic: Traffic[str] = Traffic(2)
    assert [traffic.enter("im", who) for who in "abcde"] == [True, True, False, False, False]
    assert traffic.enter("other", "x")
    assert traffic.leave("im", answered=False) == []
    assert traffic.leave("im", answered=False) == ["c"]
    assert [traffic.enter("im", who) for who in "cf"] == [True, False]
    assert traffic.leave("im", answered=True) == ["d", "e"]
    assert [traffic.enter("im", who) for who in "dea"] == [True, True, False]
