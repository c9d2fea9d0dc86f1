"""Which clusters are out of the question for an application, and why: the first rule that refuses counts."""

from collections.abc import Callable
from dataclasses import dataclass

from krake.controller.scheduler.snapshot import Candidate
from krake.data.kubernetes import Application, ClusterState, Taint

USABLE_STATES = frozenset({ClusterState.ONLINE, ClusterState.FAILING_METRICS})
"""A cluster whose metrics fail still runs applications; it is only ranked without metrics."""


@dataclass(frozen=True)
class Refusal:
    """A cluster is out of the question.

    :param rule: the name of the rule that refused.
    :param message: says the values that were compared.
    """

    rule: str
    message: str


def is_there(app: Application, candidate: Candidate) -> bool:
    """Whether the application has come to the cluster already: some rules are for those only who come anew."""
    return candidate.ref in (app.status.scheduled_to, app.status.running_on)


def minds(app: Application, candidate: Candidate, *effects: str) -> list[Taint]:
    """Return the taints of a cluster with one of some effects that the application does not tolerate."""
    tolerations = app.spec.tolerations
    tainted = [taint for taint in candidate.cluster.spec.taints if taint.effect in effects]
    return [taint for taint in tainted if not any(each.covers(taint) for each in tolerations)]


def refuse(app: Application, candidate: Candidate) -> Refusal | None:
    """Return why the cluster is out of the question, or nothing."""
    for rule, check in RULES:
        if (message := check(app, candidate)) is not None:
            return Refusal(rule, message)
    return None


def _refuse_namespace(app: Application, candidate: Candidate) -> str | None:
    theirs, ours = candidate.cluster.metadata.namespace, app.metadata.namespace
    return None if theirs == ours else f"The cluster is of the namespace {theirs}, the application of {ours}."


def _refuse_deleted(app: Application, candidate: Candidate) -> str | None:
    deleted = candidate.cluster.metadata.deleted
    return None if deleted is None else f"The cluster is being deleted since {deleted.isoformat()}."


def _refuse_drained(app: Application, candidate: Candidate) -> str | None:
    return "The cluster is drained: applications are to leave it." if candidate.cluster.spec.drain else None


def _refuse_cordoned(app: Application, candidate: Candidate) -> str | None:
    cordoned = candidate.cluster.spec.unschedulable and not is_there(app, candidate)
    return "The cluster is cordoned: it takes no more applications." if cordoned else None


def _refuse_tainted(app: Application, candidate: Candidate) -> str | None:
    effects = ("NoExecute",) if is_there(app, candidate) else ("NoSchedule", "NoExecute")
    taints = minds(app, candidate, *effects)
    return f"The application does not tolerate the taint {taints[0]} of the cluster." if taints else None


def _refuse_state(app: Application, candidate: Candidate) -> str | None:
    state = candidate.cluster.status.state
    if state is ClusterState.DEGRADED and is_there(app, candidate):
        return None  # it may come back before its attempts are used up
    return None if state in USABLE_STATES else f"The cluster is {state.name}, not ONLINE."


def _refuse_label(app: Application, candidate: Candidate) -> str | None:
    labels = candidate.cluster.metadata.labels
    for constraint in app.spec.constraints.cluster.labels or ():
        if not constraint.match(labels):
            value = labels.get(constraint.key)
            has = "the cluster has no such label" if value is None else f"{constraint.key} is {value}"
            return f"The application asks for the label {constraint}; {has}."
    return None


def _refuse_custom_resource(app: Application, candidate: Candidate) -> str | None:
    served = candidate.cluster.spec.custom_resources
    for wanted in app.spec.constraints.cluster.custom_resources:
        if wanted not in served:
            return f"The application asks for the custom resource {wanted}; the cluster has {', '.join(served) or 'none'}."
    return None


def _refuse_metric(app: Application, candidate: Candidate) -> str | None:
    values = {reading.name: reading.raw for reading in candidate.measurement.readings}
    for constraint in app.spec.constraints.cluster.metrics or ():
        if not constraint.match(values):
            value = values.get(constraint.key)
            has = "the cluster has no value of it" if value is None else f"{constraint.key} is {value:g}"
            return f"The application asks for the metric {constraint}; {has}."
    return None


CLEARING = frozenset({"drain", "taint"})
"""The rules by which the owner of a cluster sends those away who are there."""

RULES: tuple[tuple[str, Callable[[Application, Candidate], str | None]], ...] = (
    ("namespace", _refuse_namespace),
    ("deleted", _refuse_deleted),
    ("drain", _refuse_drained),
    ("cordon", _refuse_cordoned),
    ("taint", _refuse_tainted),
    ("state", _refuse_state),
    ("label", _refuse_label),
    ("custom resource", _refuse_custom_resource),
    ("metric", _refuse_metric),
)
"""Every rule by name, in the order in which they are asked."""
