"""Changes what is on a cluster."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from krake.controller.kubernetes.application.correction import correct, overwrite, shorten
from krake.controller.kubernetes.application.delta import LENGTH, compare, drift, settle
from krake.controller.kubernetes.application.desired import Declared, declare, defined_types, rank, types_of
from krake.controller.kubernetes.application.finished import finished
from krake.controller.kubernetes.application.lifecycle import recorded_of
from krake.controller.kubernetes.application.observe import fill_in
from krake.controller.kubernetes.application.site import Site
from krake.data.kubernetes import Application
from krake.data.metadata import Reason, ReasonCode
from krake.ports.cluster import Conflict, Identity, Object, ObjectType, Rejected, Unsupported

INVALID = 422
HELD_UP = timedelta(seconds=10)
"""After that time it is worth telling for what the deletion of an object waits."""


@dataclass
class Deployment:
    """What became of an attempt to make everything as declared.

    :param declared: what was declared, together with what was found out about it.
    :param live: the declared objects that are there.
    :param pending: what Kubernetes is not done with, and has to be looked at again soon.
    :param corrected: what was there otherwise, or not at all, before it was applied.
    :param refused: whether something was rejected that will be rejected again.
    """

    declared: list[Declared]
    live: dict[Identity, Object] = field(default_factory=dict)
    problems: list[Reason] = field(default_factory=list)
    pending: list[Identity] = field(default_factory=list)
    corrected: list[Identity] = field(default_factory=list)
    refused: bool = False

    @property
    def problem(self) -> Reason | None:
        """All that was wrong, as one."""
        if not self.problems:
            return None
        messages = dict.fromkeys(reason.message for reason in self.problems)
        return Reason(code=self.problems[0].code, message=" ".join(messages))


async def resolve(
    app: Application,
    manifest: Iterable[Mapping[str, Any]],
    site: Site,
    schemas: Iterable[Mapping[str, Any]] | None = None,
) -> list[Declared]:
    """Return what should be on a cluster.

    :param manifest: the objects of the application there.
    :param schemas: which fields of some of them are observed; those that the application declares by default.
    :raises InvalidManifest: the manifest can not be what its user means.
    :raises Unsupported: neither the cluster nor the manifest knows one of the types.
    """
    manifest = list(manifest)
    known = defined_types(manifest)
    for type_ in types_of(manifest):
        try:
            known[type_] = await site.connection.is_namespaced(type_)
        except Unsupported:
            if type_ not in known:
                raise
    return declare(app, manifest, known.__getitem__, site.connection.default_namespace, schemas)


async def deploy(app: Application, site: Site, declared: list[Declared]) -> Deployment:
    """Make everything on a cluster as declared: create and change what differs, then remove what is not declared any more.

    One object that is rejected does not keep the others from being tried.

    :raises Unreachable: the cluster does not answer.
    """
    result = Deployment(declared)
    for each in declared:
        try:
            if (obj := await site.look(each.identity)) is not None:
                result.live[each.identity] = obj
        except Rejected:
            continue  # whether it may be written is found out by writing
    result.live |= finished(app, declared, result.live)
    changes = compare(declared, result.live, recorded_of(app), site.settlements, app.metadata.uid)
    defined = defined_types(each.object for each in declared)
    for each in changes.apply:
        await _apply(site, each, result, defined)
    left, problems = await remove(site, changes.remove, app.metadata.uid)
    result.pending += left
    result.problems += problems
    result.declared = [_fill_in(each, result.live.get(each.identity)) for each in declared]
    return result


def _fill_in(declared: Declared, live: Object | None) -> Declared:
    """What the cluster makes of fields that are observed, but not set, is declared from now on."""
    if live is None:
        return declared
    return replace(declared, recorded=fill_in(declared.recorded, declared.schema, live))


async def _apply(site: Site, declared: Declared, result: Deployment, defined: dict[ObjectType, bool]) -> None:
    now = asyncio.get_running_loop().time()
    is_correction = _was_applied(site, declared)
    if is_correction and site.contention.pause(declared.identity, now) > 0:
        result.problems.append(_contended(declared.identity, site.contention.count(declared.identity)))
        return
    before = result.live.pop(declared.identity, None)
    try:
        obj = await _shorten(site, declared, await _write(site, declared, before))
    except Conflict:
        result.pending.append(declared.identity)
    except Unsupported as error:
        _see_unsupported(declared, result, error, declared.identity.type in defined)
    except Rejected as error:
        result.problems.append(explain(declared.identity, error))
        result.refused |= not error.passing
    else:
        site.note(obj)
        site.settlements[declared.identity] = settle(declared, obj)
        if is_correction:
            site.contention.note(declared.identity, now)
        result.live[declared.identity] = obj
        if before is None or _version_of(before) != _version_of(obj):
            result.corrected.append(declared.identity)


def _see_unsupported(declared: Declared, result: Deployment, error: Unsupported, is_defined: bool) -> None:
    problem = _problem_of_definition(declared.identity.type, result.live.values())
    if is_defined and problem is None:
        result.pending.append(declared.identity)  # the cluster has not taken up its definition yet
        return
    code = ReasonCode.UNSUPPORTED_RESOURCE if problem is None else ReasonCode.KUBERNETES_ERROR
    result.problems.append(Reason(code=code, message=problem or str(error)))
    result.refused = True


def _problem_of_definition(type_: ObjectType, live: Iterable[Object]) -> str | None:
    """Why a cluster does not take up the definition of a type."""
    for obj in live:
        if type_ in defined_types([obj]):
            for condition in (obj.get("status") or {}).get("conditions") or ():
                if (condition.get("type"), condition.get("status")) == ("NamesAccepted", "False"):
                    return f"CustomResourceDefinition {obj['metadata']['name']}: {condition.get('message')}."
    return None


async def _write(site: Site, declared: Declared, before: Object | None) -> Object:
    body = correct(declared, before)
    try:
        return await site.connection.apply(body)
    except Rejected as error:
        if error.status != INVALID or before is None or body is not declared.object:
            raise
        refused = error
    # Of an element that is not declared any more, a part may stay that somebody else has declared, and makes no sense alone.
    try:
        await site.connection.replace(overwrite(declared, before))
    except Conflict:
        raise
    except Rejected:
        raise refused from None
    return await site.connection.apply(body)


async def _shorten(site: Site, declared: Declared, obj: Object) -> Object:
    """Take away what somebody else has put into lists that may not be so long.

    What made them too long as the object was applied first is the cluster's way, and stays.
    """
    settlement = site.settlements.get(declared.identity)
    if settlement is None:
        return obj
    too_long = {path for path in drift(declared, obj, None) - settlement.residue if path[-1] == LENGTH}
    if not too_long:
        return obj
    try:
        return await site.connection.replace(shorten(declared, obj, too_long))
    except Conflict:
        raise
    except Rejected:
        return obj  # there are lists that only the cluster may change


def _was_applied(site: Site, declared: Declared) -> bool:
    settlement = site.settlements.get(declared.identity)
    return settlement is not None and settlement.digest == declared.digest


def _contended(identity: Identity, count: int) -> Reason:
    return Reason(
        code=ReasonCode.KUBERNETES_ERROR,
        message=f"Somebody else has changed or removed {identity} {count} times in a row; stop them, or declare it otherwise.",
    )


def _version_of(obj: Object) -> object:
    return obj["metadata"].get("resourceVersion")


async def remove(site: Site, identities: Iterable[Identity], owner: str) -> tuple[list[Identity], list[Reason]]:
    """Delete objects, last created first; returns those that are still there, and what was wrong.

    Custom resources are gone before what may be needed to clean up after them, and before their definitions.

    :raises Unreachable: the cluster does not answer.
    """
    left: list[Identity] = []
    problems: list[Reason] = []
    ordered = sorted(set(identities), key=lambda each: (-rank(each), str(each)))
    groups = {each.name.partition(".")[2] for each in ordered if each.type.kind == "CustomResourceDefinition"}
    for identity in ordered:
        if any(rank(identity) < rank(other) and _group_of(other) in groups for other in left):
            left.append(identity)
            continue
        try:
            if await site.connection.delete(identity, owner):
                site.settlements.pop(identity, None)
            else:
                left.append(identity)
                problems += _held_up(identity, await site.look(identity), datetime.now(UTC))
        except Rejected as error:
            left.append(identity)
            problems.append(explain(identity, error))
    return left, problems


def _group_of(identity: Identity) -> str:
    return identity.type.api_version.rpartition("/")[0]


def _held_up(identity: Identity, obj: Object | None, now: datetime) -> Iterator[Reason]:
    """Say for what an object waits that was deleted a while ago."""
    metadata = obj["metadata"] if obj is not None else {}
    finalizers, since = metadata.get("finalizers"), metadata.get("deletionTimestamp")
    if finalizers and since and datetime.fromisoformat(since) + HELD_UP < now:
        message = f"{identity} is being deleted and waits until somebody takes away its finalizers: {', '.join(finalizers)}."
        yield Reason(code=ReasonCode.DELETE_FAILED, message=message)


def explain(identity: Identity, error: Rejected) -> Reason:
    """Return Kubernetes's own words, led by what they are about unless they say so."""
    message = str(error).strip()
    if identity.name not in message:
        message = f"{identity}: {message}"
    return Reason(code=ReasonCode.KUBERNETES_ERROR, message=message)
