"""Applications that keep something move to another cluster with what they keep."""

from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from integration.kubernetes.world import Target, World, applications, collector, eventually, service

from krake.data.kubernetes import Application, ApplicationState, ClusterState
from krake.ports.cluster import ObjectType

State = ApplicationState
CLAIM = ObjectType("v1", "PersistentVolumeClaim")
PORT = 8080
_SCRIPT = """
[ -e /data/keepsake ] || head -c 3000000 /dev/urandom > /data/keepsake
mkdir -p /data/deep/down && ln -sf ../../keepsake /data/deep/down/link && chmod 750 /data/deep
echo "$HOSTNAME" >> /data/starts
trap 'echo stopped >> /data/starts; exit' TERM
httpd -f -p 8080 -h /data & wait
"""
_CLAIM_SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Mi"}}}


def keeper(kind: str) -> list[dict[str, Any]]:
    """The objects of an application that writes to its volume when it starts and when it stops, and serves what is there."""
    labels = {"app": "keeper"}
    container = {
        "name": "keeper",
        "image": "busybox",
        "command": ["sh", "-c", _SCRIPT],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod: dict[str, Any] = {"containers": [container], "terminationGracePeriodSeconds": 10}
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    objects = [
        service("keeper", selector=labels, ports=[{"port": PORT}]),
        {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "keeper"}, "spec": spec},
    ]
    if kind == "StatefulSet":
        spec |= {"serviceName": "keeper", "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": _CLAIM_SPEC}]}
        return objects
    pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}]
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"}, "spec": _CLAIM_SPEC}
    return [claim, *objects]


async def fetch(app: Application, path: str) -> bytes:
    """Fetch a file of the volume from the NodePort, which answers a moment after the Pod is ready."""
    url = f"http://{app.status.services['keeper']}/{path}"

    async def get() -> bytes:
        with suppress(aiohttp.ClientError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=5)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, raise_for_status=True) as response:
                return await response.read()
        return b""

    return await eventually(get, bool)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "claim"), [("Deployment", "kept"), ("StatefulSet", "data-keeper-0")])
async def test_an_application_moves_with_the_data_of_its_volume(
    kind: str, claim: str, world: World, targets: list[Target]
) -> None:
    first, second = targets
    for target in targets:
        await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications(), collector):
        await world.create(*keeper(kind), on=first)
        before = await world.until(
            lambda app: app.status.state is State.RUNNING and "keeper" in app.status.services, deadline=60
        )
        keepsake, starts = await fetch(before, "keepsake"), (await fetch(before, "starts")).decode().splitlines()
        assert (len(keepsake), len(starts)) == (3_000_000, 1)

        await world.bind(second)
        after = await world.until(
            lambda app: (app.status.state, app.status.running_on) == (State.RUNNING, second.ref), deadline=120
        )
        assert after.status.services["keeper"].split(":")[0] == second.control.address
        assert await fetch(after, "deep/down/link") == keepsake
        told = (await fetch(after, "starts")).decode().splitlines()
        assert told[:2] == [*starts, "stopped"], "what it wrote while it was stopped is there as well"
        assert len(told) == 3
        await eventually(lambda: first.get(CLAIM, claim), lambda seen: seen is None, deadline=60)

        await world.delete()
        await world.until_gone(deadline=90)
