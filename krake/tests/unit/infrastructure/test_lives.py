"""Whatever happens to a cluster on a cloud, in whatever order, it ends well: one infrastructure as declared, or none.

The controller is played by a few lines here that do what is decided. It is killed before or after any call and any write, and
begins anew with nothing but the status.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from unit.infrastructure.clusters import HOME, NOW, PACE, cluster_on_cloud, template

from krake.controller.infrastructure.learning import learn
from krake.controller.infrastructure.lifecycle import FINALIZER, plan
from krake.controller.infrastructure.steps import (
    WORKING,
    Ask,
    Call,
    Hold,
    Outcome,
    Release,
    Rest,
    Situation,
    State,
    Store,
    without_nulls,
)
from krake.data.kubernetes import Cluster, ClusterStatus
from krake.ports.infrastructure import Busy, Infrastructure, InfrastructureError, NotFound, Phase, Refused, Unavailable

LATE = timedelta(seconds=50)
"""After so long, at the latest, an infrastructure can be found that was asked for, and a change that was asked for is known."""
WORKERS = st.integers(min_value=1, max_value=3)
_ACCIDENTS = ("killed before", "killed after", "killed before write", "unreachable", "lost", "refused", "busy")
ACCIDENTS = st.sampled_from(_ACCIDENTS)


class Killed(Exception):
    """The controller is stopped."""


@dataclass
class Made:
    """An infrastructure at the provider.

    :param aware: when the provider knows of the last change it was asked for, and would not double it.
    :param doubled: whether it was asked again before.
    """

    template: dict[str, Any]
    visible: datetime
    phase: Phase = Phase.PENDING
    aware: datetime = NOW
    doubled: bool = False


class Lives(RuleBasedStateMachine):
    """A cluster, a provider, and those who do something to them."""

    @initialize(is_ready=st.booleans())
    def begin(self, is_ready: bool) -> None:
        self.cluster: Cluster = cluster_on_cloud()
        self.now: datetime = NOW
        self.made: dict[str, Made] = {}
        self.numbers = 0
        self.accidents: list[str] = []
        self.gone = False
        self.forget()
        if is_ready:
            self.settle(lambda: self.cluster.status.state in WORKING, rounds=3)

    def forget(self) -> None:
        """What only the process knew is lost."""
        self.looked: datetime | None = None
        self.intended = False
        self.kubeconfig: dict[str, Any] | None = None

    # -- the provider --------------------------------------------------------------------------------------------------

    def ask(self, ask: Ask) -> Any:
        accident = self.accidents.pop(0) if self.accidents else "none"
        if accident == "killed before":
            raise Killed
        if accident in ("unreachable", "refused", "busy"):
            return {"unreachable": Unavailable("?"), "refused": Refused("!"), "busy": Busy("…")}[accident]
        try:
            answer = self.answer(ask)
        except InfrastructureError as error:
            answer = error
        if ask.call is Call.UPDATE and ask.id in self.made and accident in ("killed after", "lost"):
            self.made[ask.id].aware = self.now + LATE
        if accident == "killed after":
            raise Killed
        return Unavailable("No answer.") if accident == "lost" else answer

    def answer(self, ask: Ask) -> Any:
        if ask.call is Call.FIND:
            return [id for id, made in self.made.items() if made.visible <= self.now]
        if ask.call is Call.CREATE:
            self.numbers += 1
            delay = LATE if self.numbers % 2 else timedelta()
            self.made[f"i{self.numbers}"] = Made(without_nulls(ask.template), self.now + delay)
            return f"i{self.numbers}"
        made = self.made.get(ask.id)
        if made is None:
            raise NotFound("It is gone.")
        match ask.call:
            case Call.OBSERVE:
                return Infrastructure(made.phase, {"0": made.phase})
            case Call.KUBECONFIG:
                return {"of": ask.id} if made.phase is Phase.CONFIGURED else None
            case Call.UPDATE:
                made.doubled = made.doubled or self.now < made.aware
                made.template, made.phase = without_nulls(ask.template), Phase.PENDING
            case Call.RECONFIGURE:
                made.phase = Phase.CREATING
            case Call.DELETE:
                made.phase = Phase.DELETING
        return None

    # -- the controller ------------------------------------------------------------------------------------------------

    def reconcile(self) -> timedelta | None:
        """Take a step; return when the next one is due, ``None`` if nothing is to be done before something changes."""
        situation = self.situation()
        match plan(self.cluster, situation):
            case Rest(after):
                return after
            case Hold():
                finalizers = [*self.cluster.metadata.finalizers, FINALIZER]
                self.cluster = replace(self.cluster, metadata=replace(self.cluster.metadata, finalizers=finalizers))
            case Store(status, intent):
                self.write(status, intent=intent)
            case Release():
                self.gone = True
            case Ask() as ask:
                return self.ask_on(ask)
        return timedelta()

    def situation(self) -> Situation:
        return Situation(self.now, PACE, HOME, self.looked, self.intended, self.kubeconfig)

    def ask_on(self, ask: Ask) -> timedelta | None:
        outcome = Outcome(self.cluster.status, then=ask)
        while outcome.then is not None:
            ask = outcome.then
            self.looked, self.intended = self.now, False
            answer = self.ask(ask)
            outcome = learn(self.cluster, self.situation(), ask, answer)
            if isinstance(answer, dict):
                self.kubeconfig = answer
            if outcome.kubeconfig is not None:
                self.cluster = replace(self.cluster, spec=replace(self.cluster.spec, kubeconfig=outcome.kubeconfig))
            self.write(outcome.status, intent=outcome.intent)
            if outcome.release:
                self.gone = True
        return outcome.after

    def write(self, status: ClusterStatus, *, intent: bool = False) -> None:
        if self.accidents and self.accidents[0] == "killed before write":
            self.accidents.pop(0)
            raise Killed
        self.cluster = replace(self.cluster, status=status)
        self.intended = intent

    def run(self, steps: int) -> bool:
        """Take steps one right after the other; return whether there is nothing more to do for now."""
        for _ in range(steps):
            if self.gone:
                return True
            try:
                after = self.reconcile()
            except Killed:
                self.forget()
                continue
            if after is None or after > timedelta():
                return True
        return False

    # -- what happens --------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 10, 31, 61, 300]))
    def go_on(self, seconds: int) -> None:
        self.run(5)
        self.now += timedelta(seconds=seconds)

    @rule(accident=ACCIDENTS)
    def stumble(self, accident: str) -> None:
        self.accidents = [accident]
        self.run(3)

    @rule()
    def start_again(self) -> None:
        self.forget()

    @rule(phase=st.sampled_from([Phase.CREATING, Phase.CONFIGURED, Phase.UNCONFIGURED, Phase.FAILED, Phase.UNKNOWN]))
    def turn_out(self, phase: Phase) -> None:
        for made in self.made.values():
            if made.phase is not Phase.DELETING:
                made.phase = phase

    @rule()
    def carry_out_deletions(self) -> None:
        self.made = {id: made for id, made in self.made.items() if made.phase is not Phase.DELETING}

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        del self.made[data.draw(st.sampled_from(sorted(self.made)))]

    @precondition(lambda self: self.cluster.status.state in WORKING and self.cluster.metadata.deleted is None)
    @rule(workers=WORKERS, accident=ACCIDENTS)
    def stumble_over_a_change(self, workers: int, accident: str) -> None:
        self.declare(workers)
        self.stumble(accident)

    @precondition(lambda self: self.cluster.metadata.deleted is None)
    @rule(workers=WORKERS)
    def declare(self, workers: int) -> None:
        metadata = replace(self.cluster.metadata, generation=self.cluster.metadata.generation + 1)
        spec = replace(self.cluster.spec, tosca=template(workers))
        self.cluster = replace(self.cluster, spec=spec, metadata=metadata)

    @precondition(lambda self: self.cluster.status.state in WORKING)
    @rule(state=st.sampled_from([State.ONLINE, State.OFFLINE, State.NOTREADY]))
    def judge(self, state: State) -> None:
        """The cluster controller says how the cluster is."""
        self.cluster = replace(self.cluster, status=replace(self.cluster.status, state=state))

    @precondition(lambda self: self.cluster.metadata.deleted is None)
    @rule()
    def delete(self) -> None:
        self.cluster = replace(self.cluster, metadata=replace(self.cluster.metadata, deleted=self.now))
        if FINALIZER not in self.cluster.metadata.finalizers:
            self.gone = True

    # -- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_left_of_what_is_gone(self) -> None:
        if self.gone:
            assert not self.made

    @invariant()
    def nothing_is_created_unless_it_was_intended_and_is_held(self) -> None:
        if self.made and not self.gone:
            assert FINALIZER in self.cluster.metadata.finalizers
            assert self.cluster.status.running_on is not None

    @invariant()
    def no_machine_is_made_twice(self) -> None:
        assert not any(made.doubled for made in self.made.values())

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        self.accidents = []
        self.settle(lambda: self.gone or self.cluster.status.state in WORKING)
        if not self.gone and self.cluster.metadata.deleted is None:
            self.check_is_as_declared()
            self.delete()
        self.settle(lambda: self.gone)
        assert not self.made

    def settle(self, done: Callable[[], bool], rounds: int = 60) -> None:
        """Let all go well for some hours."""
        for _ in range(rounds):
            assert self.run(20), f"Nobody comes to rest: {self.cluster.status}"
            for made in self.made.values():
                made.phase = made.phase if made.phase is Phase.DELETING else Phase.CONFIGURED
            self.carry_out_deletions()
            if self.cluster.status.state in WORKING:
                here = self.cluster.status.cluster_id in self.made
                self.judge(State.ONLINE if here else State.OFFLINE)
            self.now += timedelta(seconds=301)
        assert done(), self.cluster.status

    def check_is_as_declared(self) -> None:
        status = self.cluster.status
        assert set(self.made) == {status.cluster_id}
        assert self.made[str(status.cluster_id)].template == without_nulls(self.cluster.spec.tosca)
        assert self.cluster.spec.kubeconfig == {"of": status.cluster_id}
        assert status.reason is None
        assert status.infrastructure is not None
        assert status.infrastructure.unseen == 0


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize("accident", _ACCIDENTS)
@pytest.mark.parametrize("mended", [False, True])
def test_a_change_is_not_made_twice(accident: str, mended: bool) -> None:
    """Of all that may happen, what would double machines: the process ends, or the answer is lost, while they are launched."""
    life = Lives()
    life.begin(is_ready=True)
    if mended:
        life.turn_out(Phase.FAILED)
        life.go_on(61)
    life.declare(2)
    for seconds in (1, 10, 31, 61):
        life.stumble(accident)
        life.no_machine_is_made_twice()
        life.go_on(seconds)
        life.no_machine_is_made_twice()
    life.teardown()
