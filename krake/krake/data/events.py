"""Events: what happened to objects, for people who ask how things came about. Krake itself decides nothing by them.

Equal events are one object that counts: whoever says the same of the same object arrives at the same name, in any process and
after any restart.
"""

import hashlib
import json
import re
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple

from marshmallow import ValidationError

from krake.data.kinds import Resource, resource
from krake.data.metadata import Metadata, ResourceRef
from krake.data.names import at_least
from krake.data.record import field
from krake.data.rules import rule

NAMESPACE = "system"
"""Holds the events of objects that are in no namespace."""

LONGEST_MESSAGE = 1024
"""Characters of a message; more are cut off by those who write events, and refused by the API."""

_REASON = re.compile(r"[A-Z][A-Za-z0-9]{0,127}")
_NOT_OF_NAMES = re.compile(r"[^\w\-.:]", re.ASCII)
_LONGEST_STEM = 200


class EventType(Enum):
    """Whether somebody should care."""

    Normal = auto()
    Warning = auto()


class Regarding(ResourceRef):
    """Names an object; *uid* tells it from others that had the same name before or have it later."""

    uid: str | None = None

    @classmethod
    def of(cls, subject: Resource | ResourceRef) -> "Regarding":
        """Return what names an object; of a mere reference, the uid is not known."""
        if isinstance(subject, Regarding):
            return subject
        ref, uid = (subject.ref, subject.metadata.uid or None) if isinstance(subject, Resource) else (subject, None)
        return cls(api=ref.api, kind=ref.kind, namespace=ref.namespace, name=ref.name, uid=uid)


@rule({"pattern": f"^{_REASON.pattern}$"})
def check_reason(text: str) -> None:
    """Refuse what is not one word, such as ``FailedScheduling``."""
    if not _REASON.fullmatch(text):
        raise ValidationError("Must be one word of letters and digits, in CamelCase, such as FailedScheduling.")


@rule({"maxLength": LONGEST_MESSAGE})
def check_message(text: str) -> None:
    """Refuse what is too long to be read."""
    if len(text) > LONGEST_MESSAGE:
        raise ValidationError(f"Must not be longer than {LONGEST_MESSAGE} characters.")


@resource(api="core", plural="events", namespaced=True, transient=True)
class Event(Resource):
    """Something that happened to an object, *count* times between *first* and *last*.

    :param reason: for machines, in CamelCase.
    :param component: that says so.
    """

    metadata: Metadata
    regarding: Regarding
    type: EventType = EventType.Normal
    reason: str = field(validate=check_reason, example="FailedScheduling")
    message: str = field(default="", validate=check_message)
    component: str = ""
    count: int = field(default=1, validate=at_least(1))
    first: datetime
    last: datetime


class Said(NamedTuple):
    """What is to be told of an object."""

    type: EventType
    reason: str
    message: str


def normal(reason: str, message: str) -> Said:
    """What goes as it should."""
    return Said(EventType.Normal, reason, message)


def warning(reason: str, message: str) -> Said:
    """What somebody should look at."""
    return Said(EventType.Warning, reason, message)


def make_event(regarding: Regarding, said: Said, component: str, now: datetime) -> Event:
    """Return the event that says of an object what happened just now."""
    message = said.message if len(said.message) <= LONGEST_MESSAGE else f"{said.message[: LONGEST_MESSAGE - 1]}…"
    identity = [*regarding.serialize().values(), said.type.name, said.reason, message, component]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    stem = _NOT_OF_NAMES.sub("_", regarding.name)[:_LONGEST_STEM].lstrip("-.:")
    name = f"{stem}.{digest}" if stem else digest
    return Event(
        metadata=Metadata(name=name, namespace=regarding.namespace or NAMESPACE),
        regarding=regarding,
        type=said.type,
        reason=said.reason,
        message=message,
        component=component,
        first=now,
        last=now,
    )


def combine(event: Event, more: Event) -> Event:
    """Return an event that stands for two equal ones; everything but count and times is taken from *event*."""
    return replace(event, count=event.count + more.count, first=min(event.first, more.first), last=max(event.last, more.last))
