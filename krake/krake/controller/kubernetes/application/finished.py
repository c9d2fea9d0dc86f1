"""Jobs that have run and were cleared away by Kubernetes, as they asked to be. Pure.

They must not be made, and run, once more: who sets ``ttlSecondsAfterFinished`` wants the Job to go, not to begin again.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Any

from krake.controller.kubernetes.application.desired import Declared
from krake.controller.kubernetes.fields import count, mapping
from krake.data.kubernetes import Application, ApplicationState
from krake.ports.cluster import Identity, Object, ObjectType

JOB = ObjectType("batch/v1", "Job")
_TTL = "ttlSecondsAfterFinished"


def finished(app: Application, declared: Iterable[Declared], live: Container[Identity]) -> dict[Identity, Object]:
    """Return what is left to say of Jobs that are not there any more, because they have finished.

    Such a Job was seen where the application runs, and was not declared differently since.
    """
    status = app.status
    settled = status.observed_generation == app.metadata.generation and status.running_on == status.scheduled_to
    if not settled:
        return {}
    gone = [each for each in declared if each.identity.type == JOB and each.identity not in live]
    return {each.identity: _epitaph(app, each) for each in gone if _goes_by_itself(each) and _was_seen(app, each)}


def _goes_by_itself(declared: Declared) -> bool:
    spec = declared.object.get("spec")
    return isinstance(spec, Mapping) and isinstance(spec.get(_TTL), int)


def _was_seen(app: Application, declared: Declared) -> bool:
    identity = declared.identity
    for item in app.status.last_observed_manifest:
        metadata = item.get("metadata") or {}
        same = (item.get("apiVersion"), item.get("kind"), metadata.get("name")) == (*identity.type, identity.name)
        if same and metadata.get("namespace", identity.namespace) == identity.namespace:
            return True
    return False


def _epitaph(app: Application, declared: Declared) -> dict[str, Any]:
    """Return a Job that ended as the application did."""
    failed, reason = app.status.state is ApplicationState.FAILED, app.status.reason
    said = reason.message.removeprefix(f"Job {declared.identity.name} failed: ").rstrip(".") if failed and reason else None
    condition = {"type": "Failed" if failed else "Complete", "status": "True", "message": said}
    wanted = count(mapping(declared.object, "spec").get("completions"), 1)
    return {**declared.object, "status": {"conditions": [condition], "failed" if failed else "succeeded": wanted}}
