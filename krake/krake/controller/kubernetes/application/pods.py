"""What a Pod says about how it is, in words that help. Pure.

All containers count, those that initialize the Pod and the ordinary ones, but not ephemeral ones: these only look at others.
What Kubernetes says in turn about one and the same trouble (it tries again, and waits between) is told in the same words.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from krake.controller.kubernetes.fields import Fields, condition, mapping, mappings, name_of, said, text
from krake.ports.cluster import Object

_IMAGE = ("ErrImagePull", "ImagePullBackOff")
_NORMAL = ("ContainerCreating", "PodInitializing", "")
_KILLED = 137


@dataclass(frozen=True)
class _Container:
    """A container of a Pod: how it is declared, and how it is."""

    title: str
    spec: Fields
    status: Fields
    initial: bool = False

    @property
    def waiting(self) -> Fields:
        return mapping(mapping(self.status, "state"), "waiting")

    @property
    def ended(self) -> Fields:
        """How it has ended, now or the last time."""
        now = mapping(mapping(self.status, "state"), "terminated")
        return now or mapping(mapping(self.status, "lastState"), "terminated")


def trouble_of(pod: Object) -> str | None:
    """Why a Pod does not become ready; ``None`` if nothing is wrong so far."""
    name, status = name_of(pod), mapping(pod, "status")
    for container in _containers(pod):
        reason = text(container.waiting.get("reason"))
        if reason.endswith(("BackOff", "Error")) or reason.startswith(("Err", "Invalid")):
            return f"Pod {name}, {container.title}: {_explain(container, reason)}"
    if status.get("phase") == "Failed":
        return f"Pod {name} failed: {end_of(pod)}"
    scheduled = condition(status, "PodScheduled", "False")
    if scheduled.get("reason") in ("Unschedulable", "SchedulerError"):
        return f"Pod {name}: {said(scheduled)}"
    return None


def restart_of(pod: Object) -> str | None:
    """Which container of a Pod has ended and is about to be started again; ``None`` if none is."""
    phase = mapping(pod, "status").get("phase")
    policy = mapping(pod, "spec").get("restartPolicy", "Always")
    if policy == "Never" or phase in ("Succeeded", "Failed"):
        return None
    for container in _containers(pod):
        terminated = mapping(mapping(container.status, "state"), "terminated")
        done = terminated.get("exitCode") == 0 and (container.initial or policy == "OnFailure")
        if terminated and not done:
            return f"Pod {name_of(pod)}, {container.title}: {_describe_end(container)} and is started again"
    return None


def delay_of(pod: Object) -> str | None:
    """For what a Pod waits in which nothing is wrong; ``None`` if that can not be seen."""
    name, status = name_of(pod), mapping(pod, "status")
    if scheduled := condition(status, "PodScheduled", "False"):
        return f"Pod {name} is on no node yet: {said(scheduled, 'no node was chosen')}"
    for container in _containers(pod):
        if container.waiting and text(container.waiting.get("reason")) not in _NORMAL:
            return f"Pod {name}, {container.title}: {said(container.waiting)}"
        if container.initial and mapping(mapping(container.status, "state"), "running") and not _is_sidecar(container):
            return f"Pod {name} waits for its {container.title} to end"
    return _delay_of_ordinary(pod)


def _delay_of_ordinary(pod: Object) -> str | None:
    name = name_of(pod)
    for container in _containers(pod):
        if container.initial or container.status.get("ready") is True:
            continue
        if mapping(mapping(container.status, "state"), "running"):
            return f"Pod {name}, {container.title} runs, but {_why_unready(container)}"
        if container.waiting:
            hint = "its image is fetched, or a volume, a Secret or a ConfigMap that it needs is missing"
            return f"Pod {name}, {container.title} is being created: {hint}"
    ready = condition(mapping(pod, "status"), "Ready", "False")
    return f"Pod {name} is not ready: {said(ready)}" if ready.get("reason") or ready.get("message") else None


def end_of(pod: Object) -> str:
    """How a Pod has come to its end."""
    status = mapping(pod, "status")
    if status.get("reason") or status.get("message"):
        return said(status)
    for container in _containers(pod):
        if mapping(mapping(container.status, "state"), "terminated").get("exitCode"):
            return f"{container.title} {_describe_end(container, subject='')}"
    return "its containers have ended"


def _containers(pod: Object) -> Iterator[_Container]:
    spec, status = mapping(pod, "spec"), mapping(pod, "status")
    for key, declared, word in (
        ("initContainerStatuses", "initContainers", "init container"),
        ("containerStatuses", "containers", "container"),
    ):
        specs = {name_of(each): each for each in mappings(spec, declared)}
        for each in mappings(status, key):
            yield _Container(f"{word} {name_of(each)}", specs.get(name_of(each), {}), each, word == "init container")


def _is_sidecar(container: _Container) -> bool:
    return container.spec.get("restartPolicy") == "Always"


def _explain(container: _Container, reason: str) -> str:
    if reason in _IMAGE:
        return f"ImagePullBackOff: {_explain_image(container)}"
    if reason == "CrashLoopBackOff" and container.ended:
        return f"CrashLoopBackOff: {_describe_end(container)}, again and again"
    return said(container.waiting)


def _explain_image(container: _Container) -> str:
    image = text(container.spec.get("image")) or text(container.status.get("image"))
    message = text(container.waiting.get("message"))
    _, separator, detail = message.rpartition("ErrImagePull: ")
    if not separator:
        detail = "" if message.startswith("Back-off") and image else message
    what = f'image "{image}" can not be pulled' if image else "its image can not be pulled"
    return f"{what}: {detail}" if detail else what


def _describe_end(container: _Container, *, subject: str = "it ") -> str:
    ended = container.ended
    if ended.get("reason") == "OOMKilled":
        limit = text(mapping(mapping(container.spec, "resources"), "limits").get("memory"))
        more = f"its memory limit of {limit}" if limit else "there was on its node"
        return f"{subject}was stopped for want of memory (OOMKilled): it needed more than {more}"
    details = said(ended, "")
    code = ended.get("exitCode")
    if code == _KILLED and mapping(container.spec, "livenessProbe"):
        details = f"{details}; its liveness probe may have failed" if details else "its liveness probe may have failed"
    return f"{subject}ended with exit code {code}" + (f" ({details})" if details else "")


def _why_unready(container: _Container) -> str:
    if mapping(container.spec, "startupProbe") and container.status.get("started") is not True:
        return "its startup probe has not succeeded"
    if mapping(container.spec, "readinessProbe"):
        return "its readiness probe does not succeed"
    return "is not ready"
