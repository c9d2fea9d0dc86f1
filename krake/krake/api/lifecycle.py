"""What a write makes of an object. Pure: the stored object, the request and the time in; the object to store out."""

import json
import marshal
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from marshmallow import ValidationError

from krake.api.problem import outdated, refused
from krake.data.kinds import Resource
from krake.data.merging import ImmutableFieldError, merge
from krake.data.metadata import CASCADE_DELETION
from krake.data.record import Record, fields_of
from krake.data.schema import Purpose, load
from krake.data.secrets import kept_secrets, refuse_redirection, restore_marked
from krake.ports.store import Guard

R = TypeVar("R", bound=Resource)
M = TypeVar("M", bound=Record)

_BY_VALUE = 2
"""The latest version of marshal, faster than JSON by far, whose bytes tell only what is written and not what is shared."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The object after a change; if it is the very object from before, there is nothing to write."""

    record: Resource
    removed: bool = False
    """Whether the object goes altogether."""
    guards: tuple[Guard, ...] = ()
    """What the decision relies on besides the object; the change is only made if that is still as it was."""


def create(body: R, namespace: str | None, uid: str, now: datetime) -> R:
    """Return the object to store for a request to create *body* in *namespace*."""
    metadata = replace(
        body.metadata,
        namespace=namespace,
        uid=uid,
        created=now,
        modified=now,
        deleted=None,
        generation=1,
        resource_version=None,
    )
    return replace(body, metadata=metadata)


def refuse_marks(kind: type[Resource], body: dict[str, Any]) -> dict[str, Any]:
    """Return a body to create an object. Raises marshmallow.ValidationError if it wants stored secrets to be kept."""
    return restore_marked(kind, _without_subresources(kind, body), dict)


def _without_subresources(kind: type[Resource], body: dict[str, Any]) -> dict[str, Any]:
    # What has a route of its own is ignored here, whatever it holds.
    return _without(body, *(info.name for info in fields_of(kind) if info.flags.subresource))


def read_body(stored: R, decode: Callable[[], dict[str, Any]], body: dict[str, Any], *, secrets: bool = False) -> R:
    """Return the record of a body that is to replace *stored*; *decode* gives the wire form of that.

    :param secrets: whether the writer may see secrets; who may not, may not have them sent elsewhere either.
    :raises marshmallow.ValidationError: a part that the body changes breaks its declaration.
    """
    metadata = body.get("metadata")
    if isinstance(metadata, dict) and (metadata.get("namespace") is None or not stored.definition.namespaced):
        body = {**body, "metadata": {**metadata, "namespace": stored.metadata.namespace}}
    body = _without_subresources(type(stored), body)
    kept = [] if secrets else kept_secrets(type(stored), body)
    changed = _load_changed(stored, decode, restore_marked(type(stored), body, decode))
    if kept:
        refuse_redirection(stored, changed, kept)
    return changed


def _load_changed(stored: R, decode: Callable[[], dict[str, Any]], body: dict[str, Any]) -> R:
    # What the body leaves as it is stored is not to blame for rules that came later: such parts are taken over without a check.
    try:
        return load(type(stored), body, Purpose.UPDATE)
    except ValidationError as error:
        wire = decode()
        broken = error.messages if isinstance(error.messages, dict) else {"_schema": error.messages}
        untouched = all(name in wire and body.get(name) == wire[name] for name in broken)
        if not untouched or not isinstance(error.valid_data, dict):
            raise
        names = {info.name for info in fields_of(type(stored))} & error.valid_data.keys() - broken.keys()
        return replace(stored, **{name: error.valid_data[name] for name in names})


def keep_bookkeeping(stored: Resource, body: dict[str, Any]) -> dict[str, Any]:
    """Return a body that is to replace *stored*, with its finalizers and owners if the body does not speak of them.

    They are what controllers remember by. A client that writes an object from a file of its own knows nothing of them.
    """
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return body
    kept = stored.metadata.serialize()
    return {**body, "metadata": {name: kept[name] for name in ("finalizers", "owners")} | metadata}


def update(stored: R, body: R, now: datetime) -> Outcome:
    """Replace what a client may change.

    :raises Problem: 409 a finalizer is added while the object is being deleted; 400 an immutable field changes.
    """
    deleting = stored.metadata.deleted is not None
    if deleting and not set(body.metadata.finalizers) <= set(stored.metadata.finalizers):
        raise refused(409, "Finalizers can only be removed if a deletion is in progress.")
    merged = _merge(stored, body)
    removed = deleting and not merged.metadata.finalizers
    metadata = merged.metadata
    old, new = (_without(record.serialize(), "metadata", "status") for record in (stored, merged))
    if not _same(old, new):
        metadata = replace(metadata, generation=metadata.generation + 1, modified=now)
    elif metadata == stored.metadata:
        return Outcome(stored, removed)
    elif replace(metadata, finalizers=stored.metadata.finalizers, owners=stored.metadata.owners) != stored.metadata:
        metadata = replace(metadata, modified=now)
    return Outcome(replace(merged, metadata=metadata), removed)


def _merge(stored: M, body: M) -> M:
    try:
        return merge(stored, body)
    except ImmutableFieldError as error:
        raise refused(400, str(error)) from None


def _same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    # For Python, true is 1 and 1 is 1.0; in a manifest they are not the same. Only the order of keys means nothing.
    if marshal.dumps(old, _BY_VALUE) == marshal.dumps(new, _BY_VALUE):
        return True
    return old == new and json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def _without(wire: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in wire.items() if name not in names}


def update_status(stored: R, decode: Callable[[], dict[str, Any]], body: dict[str, Any]) -> Outcome:
    """Replace the status by that of *body*, in which nothing else is looked at; *decode* gives the wire form of *stored*.

    :raises marshmallow.ValidationError: there is no status, or it breaks its declaration.
    """
    if "status" not in body:
        raise ValidationError({"status": ["Missing data for required field."]})
    body = restore_marked(type(stored), {"status": body["status"]}, decode)
    old = getattr(stored, "status")  # noqa: B009 - not every kind has one
    try:
        new = load(type(old), body["status"], Purpose.UPDATE)
    except ValidationError as error:
        raise ValidationError({"status": error.messages}) from None
    merged = _merge(old, new)
    return Outcome(stored if _same(old.serialize(), merged.serialize()) else with_status(stored, merged))


def with_status(record: R, status: Record) -> R:
    """Return *record* with another status."""
    changes: dict[str, Any] = {"status": status}
    return replace(record, **changes)


def delete(record: R, now: datetime, *, needed: bool) -> Outcome:
    """Remove what nobody holds; begin the deletion of what somebody does.

    :param needed: whether something depends on the object, or may; transient objects never are.
    """
    metadata = record.metadata
    if is_held(record) or (needed and not record.definition.transient):
        return Outcome(mark_deleted(record, now))
    return remove(replace(record, metadata=replace(metadata, finalizers=[])), now)


def is_held(record: Resource) -> bool:
    """Whether somebody has something to do before the object may go, other than looking for what depends on it."""
    return any(finalizer != CASCADE_DELETION for finalizer in record.metadata.finalizers)


def mark_deleted(record: R, now: datetime) -> R:
    """Begin the deletion; the garbage collector carries it on, unless it is of a transient kind."""
    finalizers = record.metadata.finalizers
    if record.metadata.deleted is not None and finalizers:
        return record
    if CASCADE_DELETION not in finalizers and not record.definition.transient:
        finalizers = [*finalizers, CASCADE_DELETION]
    deleted = record.metadata.deleted or now
    return replace(record, metadata=replace(record.metadata, deleted=deleted, finalizers=finalizers))


def remove(record: R, now: datetime) -> Outcome:
    """Remove the object at once, whatever belongs to it."""
    metadata = record.metadata
    return Outcome(replace(record, metadata=replace(metadata, deleted=metadata.deleted or now)), removed=True)


def named_version(body: dict[str, Any]) -> str | None:
    """Return the version that a body names, if it does. Raises marshmallow.ValidationError."""
    metadata = body.get("metadata")
    version = metadata.get("resource_version") if isinstance(metadata, dict) else None
    if version is None or (isinstance(version, str) and version.isascii() and version.isdecimal() and len(version) < 20):
        return version
    raise ValidationError({"metadata": {"resource_version": ["Not a valid resource version."]}})


def check_version(stored: Resource, named: str | None) -> None:
    """Refuse a change of another version than the stored one."""
    current = stored.metadata.resource_version
    if named is not None and named != current:
        raise outdated(
            f"The object is at resource version {current} by now, not at {named}; read it again and repeat the change."
        )
