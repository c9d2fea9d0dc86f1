"""Volumes are not lost where the clusters have different default namespaces."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from integration.kubernetes.conftest import in_namespace
from integration.kubernetes.world import Target, World, applications, deployment

from krake.data.kubernetes import ApplicationState, ClusterState
from krake.ports.cluster import ObjectType

CLAIM = ObjectType("v1", "PersistentVolumeClaim")


def keeping(namespace: str | None) -> list[dict[str, Any]]:
    metadata = {"name": "kept"} | ({"namespace": namespace} if namespace else {})
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    workload = deployment()
    workload["metadata"] |= {"namespace": namespace} if namespace else {}
    workload["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}]
    return [{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}, workload]


@pytest.mark.parametrize("namespace", [None, "mine"])
async def test_a_move_to_another_default_namespace(
    namespace: str | None, world: World, targets: Callable[[int], Awaitable[list[Target]]]
) -> None:
    first, plain = await targets(2)
    second = Target(plain.name, in_namespace(plain.kubeconfig, "elsewhere"), plain.control)
    for target in (first, second):
        await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(*keeping(namespace), on=first)
        await world.until_state(ApplicationState.RUNNING)
        await world.bind(second)
        if namespace is None:
            app = await world.until(lambda app: app.status.scheduled_to == first.ref and app.status.reason is not None)
            assert "name the namespace in the manifest" in app.status.reason.message
            assert await first.get(CLAIM, "kept") is not None
            assert await second.get(CLAIM, "kept") is None
        else:
            await world.until(lambda app: (app.status.state, app.status.running_on) == (ApplicationState.RUNNING, second.ref))
            assert await second.get(CLAIM, "kept", "mine") is not None
    await second.connection.close()
