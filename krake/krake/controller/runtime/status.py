"""Writing what came out: only what changed, and only if the object is still the one that was looked at."""

from collections.abc import Mapping
from typing import Any, TypeVar

from krake.client import Client
from krake.controller.runtime.informer import Informer
from krake.data.kinds import Resource
from krake.data.record import Record

R = TypeVar("R", bound=Resource)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch (RFC 7386) that makes *new* of *old*; empty if they are the same.

    A merge patch cannot hold ``null`` as a value inside an object, only as the wish to remove a member; within lists, which are
    replaced as a whole, ``null`` stays.
    """
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        if name not in old:
            patch[name] = value
            continue
        before = old[name]
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            if inner := difference(before, value):
                patch[name] = inner
        elif before != value or type(before) is not type(value):
            patch[name] = value
    return patch


async def patch_status(
    client: Client, obj: R, status: Record, *, informer: Informer[R] | None = None, guarded: bool = True
) -> R:
    """Write the fields in which *status* differs from that of *obj*; returns the object as stored, or *obj* if none does.

    :param informer: told to expect the new version, so that the next look at the object is not at an older one.
    :param guarded: only if the object has not changed since *obj* was read; otherwise whatever else was written meanwhile.
    :raises Conflict: the object has changed (the controller then reconciles it again).
    """
    before: Record = getattr(obj, "status")  # noqa: B009 (not every kind has one)
    changes = difference(before.serialize(), status.serialize())
    if not changes:
        return obj
    return await _patch(client, obj, {"status": changes}, "status", informer, guarded)


async def add_finalizer(client: Client, obj: R, finalizer: str, *, informer: Informer[R] | None = None) -> R:
    """Put a finalizer on top of those of an object, unless it is there; returns the object as stored.

    :raises Conflict: the object has changed.
    """
    if finalizer in obj.metadata.finalizers:
        return obj
    return await _patch_finalizers(client, obj, [*obj.metadata.finalizers, finalizer], informer)


async def remove_finalizer(client: Client, obj: R, finalizer: str, *, informer: Informer[R] | None = None) -> R:
    """Take a finalizer from an object, if it is there; returns the object as last stored.

    :raises Conflict: the object has changed.
    """
    if finalizer not in obj.metadata.finalizers:
        return obj
    return await _patch_finalizers(client, obj, [name for name in obj.metadata.finalizers if name != finalizer], informer)


async def _patch_finalizers(client: Client, obj: R, finalizers: list[str], informer: Informer[R] | None) -> R:
    return await _patch(client, obj, {"metadata": {"finalizers": finalizers}}, None, informer, True)


async def _patch(
    client: Client, obj: R, changes: dict[str, Any], subresource: str | None, informer: Informer[R] | None, guarded: bool
) -> R:
    if guarded:
        version = {"resource_version": obj.metadata.resource_version}
        changes = {**changes, "metadata": {**changes.get("metadata", {}), **version}}
    stored = await client.patch(type(obj), obj.key, changes, subresource=subresource)
    if informer is not None:
        informer.expect(stored.key, stored.metadata.resource_version)
    return stored
