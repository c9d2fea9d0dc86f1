"""Pods of the tests, and what they print."""

from http import HTTPStatus
from typing import Any

from integration.kubernetes.world import eventually
from kubernetes_asyncio.client import ApiException, CoreV1Api

ENDED = ("Succeeded", "Failed")


def pod(name: str, *command: str, image: str = "busybox", **spec: Any) -> Any:
    """A Pod of one container that runs once."""
    container = {"name": "only", "image": image, "command": list(command), **spec.pop("container", {})}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


class Namespace:
    """A namespace of a cluster, as its owner looks at it."""

    def __init__(self, core: CoreV1Api, name: str) -> None:
        self.core = core
        self.name = name

    async def start(self, manifest: Any) -> None:
        """Create a Pod; a new namespace refuses that until its service account is there."""

        async def is_created() -> bool:
            try:
                await self.core.create_namespaced_pod(self.name, manifest)
            except ApiException as refusal:
                if refusal.status != HTTPStatus.FORBIDDEN:
                    raise
                return False
            return True

        await eventually(is_created, bool)

    async def until_running(self, name: str) -> Any:
        return await eventually(lambda: self.read(name), lambda seen: seen.status.phase == "Running")

    async def run(self, manifest: Any) -> str:
        """Run a Pod to its end, which must be good; returns what it printed."""
        await self.start(manifest)
        name = manifest["metadata"]["name"]
        ended = await eventually(lambda: self.read(name), lambda seen: seen.status.phase in ENDED)
        printed = await self.logs(name)
        assert ended.status.phase == "Succeeded", printed
        return printed

    async def read(self, name: str) -> Any:
        return await self.core.read_namespaced_pod(name, self.name)

    async def logs(self, name: str) -> str:
        """What a Pod has printed."""
        # What looks like a number would be read as one.
        response = await self.core.read_namespaced_pod_log(name, self.name, _preload_content=False)
        return str(await response.text())
