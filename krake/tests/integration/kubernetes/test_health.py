"""Applications tell how they are, and why, whatever ails them."""

import pytest
from integration.kubernetes.world import CONFIG_MAP, DEPLOYMENT, Target, World, applications, deployment, eventually

from krake.data.kubernetes import ApplicationState, ClusterState
from krake.ports.cluster import ObjectType

State = ApplicationState

JOB = ObjectType("batch/v1", "Job")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("registry.example/missing:1", 'ImagePullBackOff: image "registry.example/missing:1" can not be pulled'),
        ("registry.example/crash:1", "CrashLoopBackOff: it ended with exit code 1 (Error), again and again"),
        ("registry.example/out-of-memory:1", "(OOMKilled): it needed more than its memory limit of 64Mi"),
    ],
)
async def test_a_container_that_does_not_come_up(world: World, target: Target, image: str, said: str) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(deployment(image=image, resources={"limits": {"memory": "64Mi"}}), on=target)
        app = await world.until_state(State.DEGRADED)
        assert app.status.reason is not None
        assert said in app.status.reason.message
        await world.update(deployment(), on=target)
        app = await world.until_state(State.RUNNING)
        assert app.status.reason is None


async def test_a_node_that_no_pod_fits_on(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    unfitting = deployment()
    unfitting["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "none"}
    async with world.running(applications()):
        await world.create(unfitting, on=any_target)
        app = await world.until_state(State.DEGRADED)
        assert "Unschedulable: 0/1 nodes are available" in str(app.status.reason)


async def test_a_rollout_that_is_stuck_is_told_though_the_old_pods_serve(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(deployment(replicas=2), on=any_target)
        await world.until_state(State.RUNNING)
        await world.update(deployment(image="registry.example/missing:2", replicas=2), on=any_target)
        app = await world.until_state(State.DEGRADED)
        assert "missing:2" in str(app.status.reason)
        app = await world.until(lambda app: app.status.container_health.running_pods == 2)
        assert app.status.container_health.desired_pods == 2
        await world.update(deployment(replicas=2), on=any_target)
        await world.until_state(State.RUNNING)


async def test_a_quota_that_is_exceeded(world: World, real_target: Target) -> None:
    await world.register(real_target, state=ClusterState.ONLINE)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {"hard": {"pods": "1"}}}
    await real_target.create(quota)
    async with world.running(applications()):
        await world.create(deployment(replicas=3), on=real_target)
        app = await world.until_state(State.DEGRADED)
        assert "exceeded quota: tight" in str(app.status.reason)


async def test_a_job_that_was_cleared_away_does_not_run_once_more(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    pod = {"restartPolicy": "Never", "containers": [{"name": "x", "image": "registry.example/batch:1"}]}
    spec = {"template": {"spec": pod}, "ttlSecondsAfterFinished": 600}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": spec}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "beside"}}
    async with world.running(applications()):
        await world.create(job, config, on=any_target)
        await world.until_state(State.COMPLETED)
        await any_target.delete(JOB, "once")
    async with world.running(applications()):
        for _ in range(2):  # once it is repaired for the second time, everything was looked at after the first
            await any_target.delete(CONFIG_MAP, "beside")
            await eventually(lambda: any_target.get(CONFIG_MAP, "beside"), lambda found: found is not None)
            assert await any_target.get(JOB, "once") is None
        app = await world.until_state(State.COMPLETED)
        assert app.status.container_health.completed_pods == 1
        await world.update({**job, "spec": {**spec, "backoffLimit": 2}}, config, on=any_target)
        await eventually(lambda: any_target.get(JOB, "once"), lambda found: found is not None)
        await world.until_state(State.COMPLETED)


async def test_the_pods_of_all_workloads_are_counted(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    pod = {"restartPolicy": "Never", "containers": [{"name": "x", "image": "registry.example/batch:1"}]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "thrice"},
        "spec": {"template": {"spec": pod}, "completions": 3, "parallelism": 3},
    }
    async with world.running(applications()):
        await world.create(deployment(replicas=2), deployment("second", replicas=3), job, on=any_target)
        app = await world.until(lambda app: app.status.container_health.completed_pods == 3)
        app = await world.until_state(State.RUNNING)
    pods = app.status.container_health
    assert (pods.desired_pods, pods.running_pods, pods.completed_pods, pods.failed_pods) == (8, 5, 3, 0)


async def test_a_job_whose_pods_do_not_start_is_degraded(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    pod = {"restartPolicy": "Never", "containers": [{"name": "x", "image": "registry.example/missing:1"}]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "stuck"}, "spec": {"template": {"spec": pod}}}
    async with world.running(applications()):
        await world.create(job, on=any_target)
        app = await world.until_state(State.DEGRADED)
    assert "ImagePullBackOff" in str(app.status.reason)


async def test_drift_is_put_right_within_a_second(world: World, any_target: Target) -> None:
    """Watches tell of it: nothing is polled, and other applications make no difference."""
    await world.register(any_target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(deployment(replicas=1), on=any_target)
        await world.until_state(State.RUNNING)
        for wrong in (3, 4, 5):
            await any_target.change(DEPLOYMENT, "echo", {"spec": {"replicas": wrong}})
            live = await any_target.get(DEPLOYMENT, "echo")
            assert live is not None
            await eventually(
                lambda: any_target.get(DEPLOYMENT, "echo"), lambda obj: obj and obj["spec"]["replicas"] == 1, deadline=1.0
            )
