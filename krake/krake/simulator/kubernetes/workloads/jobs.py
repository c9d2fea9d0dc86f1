"""Jobs: Pods that come to an end."""

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.workloads import pods
from krake.simulator.kubernetes.workloads.replicas import new_pod
from krake.simulator.kubernetes.workloads.world import (
    Action,
    Create,
    Delete,
    World,
    changed,
    condition,
    condition_holds,
    controlled,
    set_conditions,
    with_status,
)

JOBS = "jobs.batch"


def reconcile_job(job: Object, world: World) -> list[Action]:
    """Pods until enough of them succeeded or too many failed."""
    over = condition_holds(job, "Complete") or condition_holds(job, "Failed")
    if over or job["metadata"].get("deletionTimestamp"):
        return []
    owned = controlled(world, job, "pods")
    active = [pod for pod in owned if pods.is_active(pod)]
    succeeded = sum(pods.has_succeeded(pod) for pod in owned)
    failed = sum(pods.has_failed(pod) for pod in owned)
    spec = job["spec"]
    completions = spec.get("completions")
    complete = succeeded >= completions if completions is not None else bool(succeeded) and not active
    given_up = failed > spec["backoffLimit"]
    actions: list[Action] = []
    if complete or given_up or spec.get("suspend"):
        actions = [Delete("pods", pod) for pod in active]
    else:
        missing = spec["parallelism"] - len(active)
        if completions is not None:
            missing = min(missing, completions - succeeded - len(active))
        elif succeeded:
            missing = 0
        actions = [Create("pods", new_pod(JOBS, job)) for _ in range(missing)]
    status = with_status(
        job,
        active=(0 if complete or given_up else len(active)) or None,
        ready=sum(pods.is_ready(pod) for pod in active),
        succeeded=succeeded or None,
        failed=failed or None,
        startTime=(job.get("status") or {}).get("startTime") or world.now,
    )
    return [*actions, *changed(JOBS, job, _conclude(status, complete, given_up, world.now))]


def _conclude(job: Object, complete: bool, given_up: bool, now: str) -> Object:
    conditions = job["status"].get("conditions")
    probed = {"lastProbeTime": now}
    if complete:
        done = condition("Complete", True, now, "CompletionsReached") | probed
        return with_status(job, completionTime=now, conditions=set_conditions(conditions, done))
    if given_up:
        text = "Job has reached the specified backoff limit"
        failed = condition("Failed", True, now, "BackoffLimitExceeded", text) | probed
        return with_status(job, conditions=set_conditions(conditions, failed))
    return job
