"""Which clusters are out of the question for an application, and why: the first rule that refuses counts."""

from collections.abc import Callable
from dataclasses import dataclass

from krake.controller.scheduler.snapshot import Candidate
from krake.data.kubernetes import Application, ClusterState

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


def _refuse_state(app: Application, candidate: Candidate) -> str | None:
    state = candidate.cluster.status.state
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


RULES: tuple[tuple[str, Callable[[Application, Candidate], str | None]], ...] = (
    ("namespace", _refuse_namespace),
    ("deleted", _refuse_deleted),
    ("state", _refuse_state),
    ("label", _refuse_label),
    ("custom resource", _refuse_custom_resource),
    ("metric", _refuse_metric),
)
"""Every rule by name, in the order in which they are asked."""
