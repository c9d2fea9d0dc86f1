"""Which candidates are out of the question, and why: the first rule that refuses counts. Pure.

A rule looks at one thing that the subject asks for at a time. What it finds about a newcomer depends on nothing else, so that
the candidates that satisfy it are remembered by what was asked for.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import and_
from typing import Any, Generic, TypeVar

from krake.controller.scheduler.deciding.fleet import C, Fleet, Ranked
from krake.controller.scheduler.deciding.snapshot import Candidate, Settings
from krake.data.constraints import LabelConstraint, MetricConstraint
from krake.data.kubernetes import Application, ClusterState
from krake.data.taints import Taint, Toleration

USABLE_STATES = frozenset({ClusterState.ONLINE, ClusterState.FAILING_METRICS})
"""A cluster whose metrics fail still runs applications; it is only ranked without them."""

S = TypeVar("S")


@dataclass(frozen=True)
class Refusal:
    """A candidate is out of the question.

    :param rule: the name of the rule that refused.
    :param message: says the values that were compared.
    """

    rule: str
    message: str

    @property
    def brief(self) -> str:
        """The message as it can stand beside others: what users write into it may be long."""
        return self.message if len(self.message) <= BRIEF else f"{self.message[: BRIEF - 1]}…"


BRIEF = 400
"""Characters of a message that stands beside others."""


@dataclass(frozen=True)
class Rule(Generic[S, C]):
    """Refuses candidates.

    :param asks: what a subject asks for, each of which a candidate must satisfy.
    :param check: returns why a candidate does not satisfy what is asked for, given whether the subject is there already.
    """

    name: str
    asks: Callable[[S, Settings], Iterable[Hashable]]
    check: Callable[[Any, C, bool], str | None]


def refuse(rules: Iterable[Rule[S, C]], subject: S, candidate: C, settings: Settings, *, there: bool = False) -> Refusal | None:
    """Return why a candidate is out of the question, or nothing.

    :param there: whether the subject has come there already: some rules are for those only who come anew.
    """
    for rule in rules:
        for ask in rule.asks(subject, settings):
            if (message := rule.check(ask, candidate, there)) is not None:
                return Refusal(rule.name, message)
    return None


def sift(
    rules: Iterable[Rule[S, C]], subject: S, fleet: Fleet[C], settings: Settings
) -> Iterator[tuple[Rule[S, C], Hashable, int]]:
    """Yield each rule, in turn, with what it asks for and the set of the candidates that satisfy it as newcomers do."""
    for rule in rules:
        for ask in rule.asks(subject, settings):
            yield rule, ask, fleet.satisfying((rule.name, ask), partial(_accepts, rule, ask))


def fitting(rules: Iterable[Rule[S, C]], subject: S, fleet: Fleet[C], settings: Settings) -> int:
    """Return the set of the candidates that no rule refuses to a newcomer."""
    return reduce(and_, (found for _, _, found in sift(rules, subject, fleet, settings)), fleet.everyone)


def _accepts(rule: Rule[Any, C], ask: Hashable, candidate: C) -> bool:
    return rule.check(ask, candidate, False) is None


def is_there(app: Application, candidate: Candidate) -> bool:
    """Whether the application has come to the cluster already."""
    return candidate.ref in (app.status.scheduled_to, app.status.running_on)


def minds(tolerations: Sequence[Toleration], candidate: Candidate, *effects: str) -> list[Taint]:
    """Return the taints of a cluster with one of some effects that are not tolerated."""
    tainted = [taint for taint in candidate.cluster.spec.taints if taint.effect in effects]
    return [taint for taint in tainted if not any(each.covers(taint) for each in tolerations)]


def tolerations_of(app: Application) -> tuple[Toleration, ...]:
    """Return the tolerations of an application, to remember something by."""
    return tuple(app.spec.tolerations)


def label_rule(who: str, asks: Callable[[S], Iterable[LabelConstraint] | None]) -> Rule[S, Any]:
    """Return the rule that the labels of a candidate satisfy all constraints.

    :param who: asks for them, at the beginning of a sentence.
    """

    def check(constraint: LabelConstraint, candidate: Candidate, there: bool) -> str | None:
        if constraint.match(candidate.labels):
            return None
        return f"{who} asks for the label {constraint}; {constraint.observe(candidate.labels)}."

    return Rule("label", lambda subject, settings: asks(subject) or (), check)


def metric_rule(who: str, asks: Callable[[S], Iterable[MetricConstraint] | None]) -> Rule[S, Any]:
    """Return the rule that the metrics of a candidate satisfy all constraints; one without a value satisfies none.

    :param who: asks for them, at the beginning of a sentence.
    """

    def check(ask: tuple[MetricConstraint, bool], candidate: Candidate, there: bool) -> str | None:
        constraint, weighted = ask
        values = candidate.measurement.compared(weighted=weighted)
        if constraint.match(values):
            return None
        return f"{who} asks for the metric {constraint}; {constraint.observe(values)}."

    return Rule(
        "metric",
        lambda subject, settings: [(each, settings.weighted_constraints) for each in asks(subject) or ()],
        check,
    )


def _nothing(subject: object, settings: Settings) -> Iterable[Hashable]:
    """Return what is asked for by rules that are the same for every subject."""
    return (None,)


def _refuse_namespace(namespace: str | None, candidate: Candidate, there: bool) -> str | None:
    theirs = candidate.cluster.metadata.namespace
    return None if theirs == namespace else f"The cluster is of the namespace {theirs}, the application of {namespace}."


def _refuse_deleted(ask: None, candidate: Candidate, there: bool) -> str | None:
    deleted = candidate.cluster.metadata.deleted
    return None if deleted is None else f"The cluster is being deleted since {deleted.isoformat()}."


def _refuse_drained(ask: None, candidate: Candidate, there: bool) -> str | None:
    return "The cluster is drained: applications are to leave it." if candidate.cluster.spec.drain else None


def _refuse_cordoned(ask: None, candidate: Candidate, there: bool) -> str | None:
    cordoned = candidate.cluster.spec.unschedulable and not there
    return "The cluster is cordoned: it takes no more applications." if cordoned else None


def _refuse_tainted(tolerations: tuple[Toleration, ...], candidate: Candidate, there: bool) -> str | None:
    effects = ("NoExecute",) if there else ("NoSchedule", "NoExecute")
    taints = minds(tolerations, candidate, *effects)
    return f"The application does not tolerate the taint {taints[0]} of the cluster." if taints else None


def _refuse_state(ask: None, candidate: Candidate, there: bool) -> str | None:
    state = candidate.cluster.status.state
    if there and (candidate.awaited or state is ClusterState.DEGRADED):
        return None  # it may come back before its attempts are used up
    return None if state in USABLE_STATES else f"The cluster is {state.name}, not ONLINE."


def refuse_excluded(ask: None, candidate: Ranked, there: bool) -> str | None:
    """Refuse who lacks a metric that it can not be judged without."""
    if not candidate.measurement.excluded:
        return None
    listed = "; ".join(f"{name}: {reason.message}" for name, reason in sorted(candidate.measurement.failures.items()))
    return f"A metric that it must have could not be read: {listed}"


def _refuse_custom_resource(wanted: str, candidate: Candidate, there: bool) -> str | None:
    served = candidate.cluster.spec.custom_resources
    if wanted in served:
        return None
    return f"The application asks for the custom resource {wanted}; the cluster has {', '.join(served) or 'none'}."


CLEARING = frozenset({"drain", "taint", "excluded"})
"""The rules by which those who are there are sent away, though their cluster runs them well."""

RULES: tuple[Rule[Application, Candidate], ...] = (
    Rule("namespace", lambda app, settings: (app.metadata.namespace,), _refuse_namespace),
    Rule("deleted", _nothing, _refuse_deleted),
    Rule("drain", _nothing, _refuse_drained),
    Rule("cordon", _nothing, _refuse_cordoned),
    Rule("taint", lambda app, settings: (tolerations_of(app),), _refuse_tainted),
    Rule("state", _nothing, _refuse_state),
    Rule("excluded", _nothing, refuse_excluded),
    label_rule("The application", lambda app: app.spec.constraints.cluster.labels),
    Rule("custom resource", lambda app, settings: app.spec.constraints.cluster.custom_resources, _refuse_custom_resource),
    metric_rule("The application", lambda app: app.spec.constraints.cluster.metrics),
)
"""Every rule about clusters, in the order in which they are asked; those about their tenants (``crowding``) come last."""
