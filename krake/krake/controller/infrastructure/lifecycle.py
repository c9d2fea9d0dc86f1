"""What is to be done next for a cluster that is created on a cloud. Pure.

Whatever is asked of the provider can be asked again, except for the creation and for changes: these are asked for only right
after the wish was stored. A creation is counted as *unseen*, and looked for, by the mark of the cluster, before another one is
intended; a change that was *asked* for is left alone until the provider must know of it. So a crash at any moment neither loses
an infrastructure or a machine nor makes two.
"""

from dataclasses import replace
from datetime import timedelta

from krake.controller.infrastructure.attempts import ask_for_change, intend, is_changed, known, reason, without_future
from krake.controller.infrastructure.departure import plan_departure
from krake.controller.infrastructure.steps import (
    HELD_UP,
    WORKING,
    Ask,
    Call,
    Hold,
    Home,
    Rest,
    Situation,
    State,
    Step,
    Store,
)
from krake.controller.infrastructure.upkeep import plan_upkeep
from krake.data.kubernetes import Cluster
from krake.data.metadata import INFRASTRUCTURE_RESOURCES_DELETION, ReasonCode
from krake.ports.infrastructure import Phase

FINALIZER = INFRASTRUCTURE_RESOURCES_DELETION
_SETTLED = frozenset({Phase.CONFIGURED.value, Phase.UNCONFIGURED.value, Phase.FAILED.value})


def plan(cluster: Cluster, situation: Situation) -> Step:
    """Return what is to be done next."""
    if cluster.metadata.deleted is None and not is_created_here(cluster):
        return Rest()
    status = without_future(cluster.status, situation)
    if status != cluster.status:
        return Store(status)
    if cluster.metadata.deleted is not None:
        return plan_departure(cluster, situation)
    home = situation.home
    if isinstance(home, str):
        return _complain(cluster, home)
    nothing = status.cluster_id is None and not known(cluster, situation).unseen
    if nothing and home.leaving is not None and status.state not in WORKING:
        return _complain(cluster, f"Nothing can be created on {home.cloud.ref}: {home.leaving}")
    if status.state in WORKING:
        return Hold() if _lacks_hold(cluster, home) and status.cluster_id else plan_upkeep(cluster, situation)
    if status.state in HELD_UP and (rest := _wait(cluster, situation)) is not None:
        return rest
    if _lacks_hold(cluster, home):
        return Hold()
    return _plan_creation(cluster, situation) if status.cluster_id is None else _plan_progress(cluster, situation)


def is_created_here(cluster: Cluster) -> bool:
    """Whether the infrastructure of a cluster is the business of the infrastructure controller."""
    status = cluster.status
    return bool(cluster.spec.tosca) and (status.scheduled_to or status.running_on) is not None


def _lacks_hold(cluster: Cluster, home: Home) -> bool:
    held = [cluster, *(each for each in (home.cloud, home.provider) if each.metadata.deleted is None)]
    return any(FINALIZER not in each.metadata.finalizers for each in held)


def _complain(cluster: Cluster, message: str) -> Step:
    """Say that there is nothing to work with; a cluster that works is not touched by that."""
    status = cluster.status
    told = reason(ReasonCode.INVALID_RESOURCE, message)
    if status.state in WORKING:
        if status.infrastructure is None or status.infrastructure.message == told.message:
            return Rest()
        return Store(replace(status, infrastructure=replace(status.infrastructure, message=told.message)))
    if status.state is State.FAILED and status.reason == told:
        return Rest()
    return Store(replace(status, state=State.FAILED, reason=told, scheduled_retry=None))


def _wait(cluster: Cluster, situation: Situation) -> Rest | None:
    """Return for how long a cluster whose last attempt failed is left alone; ``None`` if something is better since."""
    status = cluster.status
    infrastructure = known(cluster, situation)
    if infrastructure.basis is None or infrastructure.basis != situation.basis(cluster):
        return None
    if situation.recovered_since(infrastructure.observed):
        return None
    if status.state is State.FAILED or status.scheduled_retry is None:
        # Complaints are given up as soon as there is nothing to complain of.
        return None if status.reason is not None and status.reason.code is ReasonCode.INVALID_RESOURCE else Rest()
    rest = status.scheduled_retry - situation.now
    return Rest(rest) if rest > timedelta() else None


def _plan_creation(cluster: Cluster, situation: Situation) -> Step:
    infrastructure = known(cluster, situation)
    if not infrastructure.unseen:
        return Store(intend(cluster, situation), intent=True)
    if situation.intended and cluster.status.state is State.CREATING:
        if is_changed(cluster):
            return Store(intend(cluster, situation, anew=False), intent=True)
        return Ask(Call.CREATE, template=cluster.spec.tosca)
    if cluster.status.state is State.CREATING and (rest := situation.rest(situation.pace.search_pause)):
        return Rest(rest)
    return Ask(Call.FIND)


def _plan_progress(cluster: Cluster, situation: Situation) -> Step:
    """Return what is next for an infrastructure that is there, and not known to be done."""
    status = cluster.status
    infrastructure = known(cluster, situation)
    id = str(status.cluster_id)
    leaving = infrastructure.phase == Phase.DELETING.value
    if status.state in HELD_UP and not leaving:
        return _repair(cluster, situation)
    since_begun = infrastructure.started if status.state is State.RECONCILING else None
    if rest := situation.rest(situation.pace.departure_pause if leaving else situation.pace.poll, since_begun):
        return Rest(rest)
    # What was asked for without an answer may not be what is wanted by now.
    if status.state is State.RECONCILING and (is_changed(cluster) or infrastructure.asked is not None):
        return ask_for_change(cluster, situation, cluster.spec.tosca)
    return Ask(Call.OBSERVE, id)


def _repair(cluster: Cluster, situation: Situation) -> Step:
    """Return what the next attempt is, by where the last one has ended."""
    infrastructure, id = known(cluster, situation), str(cluster.status.cluster_id)
    phase = infrastructure.phase
    if phase == Phase.FAILED.value and infrastructure.completed is None:
        return Ask(Call.DELETE, id)
    if (is_changed(cluster) or infrastructure.asked is not None) and phase in _SETTLED:
        return ask_for_change(cluster, situation, cluster.spec.tosca)
    if phase == Phase.UNCONFIGURED.value:
        return Ask(Call.RECONFIGURE, id)
    if phase == Phase.FAILED.value:
        return ask_for_change(cluster, situation, cluster.spec.tosca)
    return Ask(Call.OBSERVE, id)
