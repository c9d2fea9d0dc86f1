"""Says in words why an application is where it is. Pure."""

from dataclasses import replace
from itertools import islice

from krake.controller.scheduler.deciding.decide import Decision, Ground
from krake.controller.scheduler.deciding.filters import Refusal
from krake.data import Reason, ReasonCode, ResourceRef

NO_CLUSTER = Reason(code=ReasonCode.NO_SUITABLE_RESOURCE, message="No matching Kubernetes cluster found")

LISTED = 10
"""Clusters of which it is said at most why they do not fit."""


def list_refusals(decision: Decision, *, besides: ResourceRef | None = None) -> str:
    """Return why clusters do not fit."""
    refusals = ((cluster, refusal) for cluster, refusal in decision.refusals() if cluster != besides)
    found = [f"{cluster.name}: {refusal.brief}" for cluster, refusal in islice(refusals, LISTED)]
    # Where none fits, the number of the others is known without looking at each of them.
    fits_nowhere = decision.choice is None and besides is None
    if more := decision.considered - len(found) if fits_nowhere else sum(1 for _ in refusals):
        found.append(f"(and {more} more)")
    return " ".join(found) or f"There is no {'other ' if besides else ''}cluster in its namespace."


def explain_stay(decision: Decision, place: ResourceRef) -> str:
    """Return why an application stays on a cluster where it had better not be."""
    why = "it does not allow migration." if decision.ground is Ground.PINNED else "no other cluster fits."
    others = "" if decision.ground is Ground.PINNED else list_refusals(decision, besides=place)
    here = next((each.finding for each in decision.verdicts if each.cluster == place), None)
    own = here.brief if isinstance(here, Refusal) else ""
    return " ".join(filter(None, [f"It stays on {place}, because {why}", own, others]))


def reason_to_stay(decision: Decision, place: ResourceRef) -> Reason:
    """Return the reason of an application that stays where it had better not be; in words if its cluster is to be left."""
    return NO_CLUSTER if decision.concern is None else replace(NO_CLUSTER, message=explain_stay(decision, place))


def reason_to_wait(decision: Decision, hindrance: str | None = None) -> Reason:
    """Return the reason of an application that fits nowhere: why, for each cluster.

    :param hindrance: why no cluster is created for it.
    """
    said = list_refusals(decision) if hindrance is None else f"{list_refusals(decision)} {hindrance}"
    return replace(NO_CLUSTER, message=f"{NO_CLUSTER.message}: {said}")
