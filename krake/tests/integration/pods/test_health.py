"""What ails real containers is told in the status of their application."""

from typing import Any

import pytest
from integration.kubernetes.world import Target, World, applications, deployment

from krake.data.kubernetes import Application, ApplicationState, ClusterState

State = ApplicationState

CRASH = ["sh", "-c", "echo no configuration; exit 3"]
GREEDY = ["python3", "-c", "import time; hoard = bytearray(200_000_000); time.sleep(3600)"]
LITTLE = {"limits": {"memory": "50Mi"}}


def ails(app: Application, word: str) -> bool:
    return app.status.state is State.DEGRADED and app.status.reason is not None and word in app.status.reason.message


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"image": "busybox", "command": CRASH}, ["CrashLoopBackOff", "3"]),
        ({"image": "python", "command": GREEDY, "resources": LITTLE}, ["OOMKilled"]),
        ({"image": "registry.example/absent:1"}, ["ImagePull", "registry.example/absent:1"]),
    ],
    ids=["crash", "memory", "image"],
)
async def test_the_reason_says_why_a_container_does_not_run_until_that_is_repaired(
    container: dict[str, Any], words: list[str], world: World, target: Target
) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(deployment(**container), on=target)
        app = await world.until(lambda app: all(ails(app, word) for word in words), deadline=60)
        assert "echo" in app.status.reason.message

        await world.update(deployment(image="registry.k8s.io/echoserver:1.10"), on=target)
        app = await world.until_state(State.RUNNING)
    assert app.status.reason is None
    assert app.status.container_health.running_pods == 1
