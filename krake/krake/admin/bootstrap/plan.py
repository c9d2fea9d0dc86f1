"""What is to be written, so that the store holds the drafted objects. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from krake.admin.bootstrap.documents import Draft, Fault
from krake.api.items import Item, encode
from krake.data.kinds import Resource
from krake.ports.store import Create, Entry, Operation, Update

T = TypeVar("T")

PRESENT = "Resource already present in database"


@dataclass
class Plan:
    """What becomes of each draft."""

    operations: list[Operation] = field(default_factory=list)
    added: list[Draft] = field(default_factory=list)
    replaced: list[Draft] = field(default_factory=list)
    unchanged: list[Draft] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def make_plan(drafts: Sequence[Draft], stored: Mapping[str, Entry], *, force: bool, now: datetime, ttl: int) -> Plan:
    """Say what is to be written.

    :param stored: the entries that are there, by key.
    :param force: replace objects that are there; they stay the same objects, with their uid and time of creation.
    :param ttl: seconds for which transient objects are kept.
    """
    plan = Plan()
    for each in drafts:
        key = each.record.definition.store_key(each.record.key)
        entry = stored.get(key)
        if entry is None:
            plan.operations.append(
                Create(key, encode(each.record.serialize()), ttl if each.record.definition.transient else None)
            )
            plan.added.append(each)
        elif not force:
            plan.faults.append(Fault(each.document, str(each), PRESENT))
        else:
            _replace(plan, each, entry, now)
    return plan


def _replace(plan: Plan, draft: Draft, entry: Entry, now: datetime) -> None:
    old = _read(type(draft.record), entry)
    if old is not None and old.metadata.deleted is not None:
        plan.faults.append(Fault(draft.document, str(draft), "It is being deleted; wait until it is gone"))
        return
    new = draft.record if old is None else _take_over(old, draft.record, now)
    if old is not None and new == old:
        plan.unchanged.append(draft)
        return
    plan.operations.append(Update(entry.key, encode(_without_version(new).serialize()), entry.revision))
    plan.replaced.append(draft)


def _read(kind: type[Resource], entry: Entry) -> Resource | None:
    """The stored object; ``None`` if what is stored is no object, which is then to be replaced altogether."""
    try:
        return Item.of(kind, entry).record
    except (ValueError, RecursionError):
        return None


def _take_over(old: Resource, new: Resource, now: datetime) -> Resource:
    """Return *new* as the next state of *old*: what others have added to that stays."""
    metadata = replace(
        old.metadata,
        labels=new.metadata.labels,
        inherit_labels=new.metadata.inherit_labels,
        finalizers=_joined(old.metadata.finalizers, new.metadata.finalizers),
        owners=_joined(old.metadata.owners, new.metadata.owners),
    )
    changes: dict[str, Any] = {"metadata": metadata}
    if old.definition.has_status:
        changes["status"] = getattr(old, "status")  # noqa: B009 - not every kind has one
    made = replace(new, **changes)
    if made.serialize() == old.serialize():
        return old
    return replace(made, metadata=replace(metadata, modified=now, generation=old.metadata.generation + 1))


def _joined(old: list[T], new: list[T]) -> list[T]:
    return old + [each for each in new if each not in old]


def _without_version(record: Resource) -> Resource:
    return replace(record, metadata=replace(record.metadata, resource_version=None))
