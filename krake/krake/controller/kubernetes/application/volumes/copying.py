"""The steps of a copy: what is there on both clusters decides what is done next."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from krake.controller.kubernetes.application.desired import Declared, recorded_identity
from krake.controller.kubernetes.application.settings import MigrationConfig
from krake.controller.kubernetes.application.site import Site
from krake.controller.kubernetes.application.volumes import pair as pairs
from krake.controller.kubernetes.application.volumes import plan
from krake.controller.kubernetes.application.volumes.copier import Broken, Copier
from krake.controller.kubernetes.application.volumes.pair import Pair
from krake.controller.kubernetes.application.volumes.plan import Claim, has_claims
from krake.controller.kubernetes.application.volumes.stopping import has_ended, replicas_of, start, stop
from krake.data.kubernetes import Application, VolumeCopy
from krake.data.metadata import Reason, ReasonCode, ResourceRef
from krake.ports.cluster import OWNER_LABEL, POD, Identity, Rejected, Unreachable, owner_of

_WORKLOADS = frozenset(
    ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController", "DaemonSet", "Job", "CronJob", "Pod")
)
_GROUPS = frozenset(("v1", "apps/v1", "batch/v1", "batch/v1beta1"))
_FIRST = frozenset(("Namespace", "StorageClass", "PersistentVolume"))
"""What claims need to be there."""


@dataclass(frozen=True)
class Progress:
    """How far a copy is.

    :param volumes: what to write to ``status.volumes`` before the next step.
    :param done: whether the new copy of the application can be made now.
    :param problem: why it does not go on at the moment, or has failed.
    :param failed: whether the move is to be given up. Otherwise there is a next step: at once if *volumes* has changed, else
        when a site calls for the application, or after half a second.
    """

    volumes: list[VolumeCopy]
    done: bool = False
    problem: Reason | None = None
    failed: bool = False


async def step(
    app: Application, source: Site, target: Site, declared: Sequence[Declared], config: MigrationConfig, now: datetime
) -> Progress:
    """Do what is next to stop an application and have its volumes copied.

    Both sites must have been entered; one that does not answer is lost to its site, and told as a problem. There is no time
    limit here: whoever calls gives up when *volumes* has not changed for too long.

    :param declared: what is going to be on the target.
    """
    volumes = app.status.volumes
    try:
        _follow(app, source, target, declared)
        if not volumes or any(each.target != target.name for each in volumes):
            planned = await _plan(app, source, target, declared)
            return Progress(planned, done=not planned)
        if all(each.state == "copied" for each in volumes):
            return await _finish(app, source, target)
        await _prepare(app, source, target, declared)
        return await _copy(app, source, target, declared, config, now)
    except Broken as error:
        return Progress(_failed(volumes), problem=_reason(str(error)), failed=True)
    except Rejected as error:
        return Progress(volumes, problem=_reason(str(error)), failed=not error.passing)
    except Unreachable as error:
        source.lose(error)
        target.lose(error)  # whichever it is: the other one says at once that it answers
        return Progress(volumes, problem=Reason(code=ReasonCode.CLUSTER_NOT_REACHABLE, message=str(error)))


async def resume(app: Application, site: Site) -> bool:
    """Start again what was stopped, where the application runs; true once that is so and nothing of the copy is left there.

    What was deleted in order to stop it (Pods, Jobs that had not ended) is made again by the next deployment.

    :raises ClusterError: the cluster does not answer, or refuses.
    """
    gone = await _remove_pairs(app, site)
    await start(site, _workloads(app, ()), app.metadata.uid)
    return gone


async def clean(app: Application, site: Site, place: ResourceRef) -> bool:
    """Delete all that was made for a copy; true once nothing is left.

    The claims named in ``status.volumes`` go as well, with their data, unless the application runs at the *place*.

    :raises ClusterError: the cluster does not answer, or refuses.
    """
    gone = await _remove_pairs(app, site)
    if place != app.status.running_on:
        for claim in _claims(app.status.volumes):
            gone &= await site.connection.delete(claim.identity, app.metadata.uid)
    return gone


def _follow(app: Application, source: Site, target: Site, declared: Sequence[Declared]) -> None:
    source.follow(app.metadata.uid, app.key, {pairs.JOB, *(each.type for each in _workloads(app, declared))})
    target.follow(app.metadata.uid, app.key, {pairs.JOB})


def _workloads(app: Application, declared: Iterable[Declared]) -> list[Identity]:
    """All that may run where the application is."""
    recorded = [recorded_identity(item) for item in app.status.last_applied_manifest]
    found = dict.fromkeys([*recorded, *(each.identity for each in declared)])
    return [each for each in found if each.type.kind in _WORKLOADS and each.type.api_version in _GROUPS]


def _claims(volumes: Iterable[VolumeCopy]) -> list[Claim]:
    return [Claim(each.namespace, each.claim) for each in volumes]


async def _plan(app: Application, source: Site, target: Site, declared: Sequence[Declared]) -> list[VolumeCopy]:
    """Return which claims have data, each with the Job that copies it. Raises `Broken`."""
    _check_namespaces(app, source, target, declared)
    found = [claim for claim in plan.declared_claims(declared) if await _has_data(claim, source, [app.metadata.uid])]
    for made in plan.made_claims(declared):
        found += await _find_made(app, made, source)
    return [
        VolumeCopy(
            claim=claim.name, namespace=claim.namespace, job=plan.job_of(app.metadata.uid, group.claims), target=target.name
        )
        for group in plan.group(declared, found)
        for claim in group.claims
    ]


def _check_namespaces(app: Application, source: Site, target: Site, declared: Iterable[Declared]) -> None:
    """Raise `Broken` if claims are not where they are looked for: their data would be lost unseen."""
    here, there = source.connection.default_namespace, target.connection.default_namespace
    recorded = {recorded_identity(item) for item in app.status.last_applied_manifest}
    wanted = {each.identity for each in declared}
    for each in declared:
        former = each.identity._replace(namespace=here)
        if each.identity.namespace == there != here and has_claims([each.object]) and former in recorded - wanted:
            raise Broken(
                f"{former} of {source.name} would be {each.identity} on {target.name}, as the default namespaces of their"
                " kubeconfigs differ; name the namespace in the manifest."
            )


async def _find_made(app: Application, made: plan.Made, source: Site) -> list[Claim]:
    """The claims of the Pods that there are, and after them those of the ones that there were once."""
    stateful_set = await source.look(made.stateful_set)
    if stateful_set is None or owner_of(stateful_set) != app.metadata.uid:
        return []
    owners = (app.metadata.uid, None)  # Kubernetes makes them without a label
    ordinals = plan.ordinals_of(stateful_set, replicas_of(stateful_set))
    found = [made.claim(ordinal) for ordinal in ordinals if await _has_data(made.claim(ordinal), source, owners)]
    ordinal = ordinals.stop
    while await _has_data(made.claim(ordinal), source, owners):
        found.append(made.claim(ordinal))
        ordinal += 1
    return found


async def _has_data(claim: Claim, source: Site, owners: Container[str | None]) -> bool:
    """Whether a claim has a volume, which can be copied. Raises `Broken`.

    :param owners: what it may be labelled with; whatever is copied is deleted in the end.
    """
    obj = await source.connection.get(claim.identity)
    phase = ((obj or {}).get("status") or {}).get("phase")
    if obj is None or phase == "Pending":
        return False
    if owner_of(obj) not in owners:
        raise Broken(f"{claim.identity} on {source.name} does not belong to the application.")
    if phase == "Lost":
        raise Broken(f"{claim.identity} on {source.name} has lost its volume.")
    if obj["spec"].get("volumeMode") == "Block":
        raise Broken(f"{claim.identity} is a raw block device; only volumes with a file system can be copied.")
    return True


async def _prepare(app: Application, source: Site, target: Site, declared: Sequence[Declared]) -> None:
    """Make the claims on the target, before anything is stopped: what is refused there is known in time."""
    for each in declared:
        if each.identity.type.kind in _FIRST and await target.look(each.identity) is None:
            target.note(await target.connection.apply(each.object))
    for claim in _claims(app.status.volumes):
        existing = await target.look(claim.identity)
        if existing is not None and owner_of(existing) == app.metadata.uid:
            continue
        obj = plan.object_of(claim, declared, app.metadata.uid, await source.connection.get(claim.identity))
        if obj is None:
            continue
        try:
            target.note(await target.connection.apply(obj))
        except Rejected as error:
            if error.passing:
                raise
            raise Broken(f"{target.name} refuses {claim.identity}: {error}") from error


async def _copy(
    app: Application, source: Site, target: Site, declared: Sequence[Declared], config: MigrationConfig, now: datetime
) -> Progress:
    volumes = app.status.volumes
    if running := await stop(source, _workloads(app, declared), app.metadata.uid):
        return Progress(volumes, problem=_waiting(f"waiting for {running[0]} on {source.name} to stop"))
    await _adopt(app, source)
    copies = [
        Copier(source, target, _pair(app, each, declared), config, [volume for volume in volumes if volume.job == each])
        for each in dict.fromkeys(volume.job for volume in volumes if volume.state != "copied")
    ]
    results = [await copier.advance(now) for copier in copies]
    changed = {(volume.namespace, volume.claim): volume for result in results for volume in result.volumes}
    told = next((result.waiting for result in results if result.waiting), None)
    return Progress(
        [changed.get((volume.namespace, volume.claim), volume) for volume in volumes],
        problem=_waiting(told) if told else None,
    )


async def _adopt(app: Application, source: Site) -> None:
    """Mark the claims that StatefulSets have made: after the move they go, as those that were declared."""
    for claim in _claims(app.status.volumes):
        obj = await source.look(claim.identity)
        if obj is not None and owner_of(obj) is None:
            patch = {"metadata": {"labels": {OWNER_LABEL: app.metadata.uid}}}
            changed = await source.connection.change(claim.identity, patch)
            if changed is not None:
                source.note(changed)


def _pair(app: Application, job: str, declared: Sequence[Declared]) -> Pair:
    volumes = [volume for volume in app.status.volumes if volume.job == job]
    pod = next((group.pod for group in plan.group(declared, _claims(volumes))), {})
    return Pair(app.metadata.uid, volumes[0].namespace, job, [volume.claim for volume in volumes], pod)


async def _finish(app: Application, source: Site, target: Site) -> Progress:
    """Let go of the claims on the target. What serves on the source is told to end, and waited for when it is cleaned up."""
    await _remove_pairs(app, source)
    return Progress(app.status.volumes, done=await _remove_pairs(app, target))


async def _remove_pairs(app: Application, site: Site) -> bool:
    """Delete the objects of all Jobs, and wait for their Pods to let go of the claims."""
    if not app.status.volumes:
        return True
    site.follow(app.metadata.uid, app.key, {pairs.JOB})
    gone = True
    for namespace, job in dict.fromkeys((volume.namespace, volume.job) for volume in app.status.volumes):
        for type_ in (pairs.JOB, pairs.SERVICE, pairs.CONFIG_MAP, pairs.SECRET):
            gone &= await site.connection.delete(Identity(type_, namespace, job), app.metadata.uid)
    namespaces = {volume.namespace for volume in app.status.volumes}
    copiers = [pod for pod in site.copiers_of(app.metadata.uid) if pod["metadata"].get("namespace") in namespaces]
    return gone and site.knows(POD) and all(map(has_ended, copiers))


def _failed(volumes: Iterable[VolumeCopy]) -> list[VolumeCopy]:
    return [each if each.state == "copied" else replace(each, state="failed") for each in volumes]


def _reason(message: str) -> Reason:
    return Reason(code=ReasonCode.KUBERNETES_ERROR, message=f"Its volumes can not be copied: {message}")


def _waiting(what: str) -> Reason:
    return Reason(code=ReasonCode.RECONCILE_FAILED, message=f"Its volumes are being copied: {what}.")
