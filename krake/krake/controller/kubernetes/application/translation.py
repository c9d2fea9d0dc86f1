"""When the manifest of an application is to be made of its template, and what is written about it. Pure.

The manifest takes the place of one that the user would have written, so a manifest that was not made here is the user's, and
counts. ``status.translated`` tells which are ours: it has a digest of the source and one of each manifest that was made of it,
or is about to be stored; so wherever the controller is killed, the next one knows its own work.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from krake.controller.kubernetes.application.lifecycle import Outcome, Step, next_step, plan_attempt
from krake.data.kubernetes import Application, ApplicationState, ApplicationStatus
from krake.data.metadata import Reason, ReasonCode
from krake.ports.translation import Source, TranslationError

State = ApplicationState

_BUSY = (State.MIGRATING, State.WAITING_FOR_CLEANING, State.READY_FOR_ACTION)
"""States that tell how far something else is, which goes on after the translation."""
_DIGITS = 24


def source_of(app: Application) -> Source | None:
    """Return what the manifest of an application is made of, if it is not the user's own."""
    spec, status = app.spec, app.status
    if spec.manifest and digest_of(spec.manifest) not in (status.translated or "").split()[1:]:
        return None
    if spec.tosca:
        return Source(url=spec.tosca) if isinstance(spec.tosca, str) else Source(template=spec.tosca)
    return Source(archive=spec.csar) if spec.csar else None


def is_due(app: Application) -> bool:
    """Whether the manifest is to be made, or made anew, before anything else is done about an application."""
    if not (app.spec.tosca or app.spec.csar):
        return False
    step = next_step(app)
    if step not in (Step.PLACE, Step.MIGRATE):
        return False
    source = source_of(app)
    if source is None:
        return False
    if not app.spec.manifest:
        return True
    # What is on its way to another cluster arrives there as it is.
    return step is Step.PLACE and (app.status.translated or "").split()[::2] != [
        _digest_of_source(app),
        digest_of(app.spec.manifest),
    ]


def digest_of(value: Any) -> str:
    """Return a text that is the same for equal values only."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _digest_of_source(app: Application) -> str:
    return digest_of([app.spec.tosca or None, None if app.spec.tosca else app.spec.csar, app.spec.inputs])


def begin(app: Application) -> ApplicationStatus:
    """What to write before a translation; an attempt like the last one, which has failed, shows nothing new."""
    status = app.status
    if status.state in _BUSY or (has_failed(status) and status.observed_generation == app.metadata.generation):
        return status
    return replace(status, state=State.TRANSLATING, reason=None)


def has_failed(status: ApplicationStatus) -> bool:
    """Whether the last translation has failed."""
    return status.reason is not None and status.reason.code is ReasonCode.INVALID_TOSCA_MANIFEST


def announce(app: Application, manifest: Sequence[Mapping[str, Any]]) -> ApplicationStatus:
    """What to write before the manifest is stored."""
    former = digest_of(app.spec.manifest) if app.spec.manifest else "-"
    translated = " ".join((_digest_of_source(app), former, digest_of(manifest)))
    status = replace(app.status, translated=translated)
    if not has_failed(status):
        return status
    state = status.state if status.state in _BUSY else State.TRANSLATING
    return replace(status, state=state, reason=None, retries=None, scheduled_retry=None)


def fail(app: Application, error: TranslationError, now: datetime, failures: int) -> ApplicationStatus:
    """What to write about a template that can not be translated, with when to try again what may pass.

    :param failures: attempts in a row that have failed before, as far as that is known.
    """
    reason = Reason(code=ReasonCode.INVALID_TOSCA_MANIFEST, message=str(error))
    status = replace(app.status, reason=reason, observed_generation=app.metadata.generation)
    if status.state not in _BUSY:
        status = replace(status, state=State.FAILED)
    if not error.passing:
        return replace(status, retries=0, scheduled_retry=None)  # only a change leads to another attempt
    return plan_attempt(app, status, Outcome(problem=reason, passing=True), now, failures)
