"""An application with volumes on one of two simulated clusters, whose volumes are to be copied to the other one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fixtures.polling import until

from krake.adapters.kubernetes import connect
from krake.controller.kubernetes.application.deploy import deploy, resolve
from krake.controller.kubernetes.application.desired import Declared
from krake.controller.kubernetes.application.settings import MigrationConfig
from krake.controller.kubernetes.application.site import Site
from krake.controller.kubernetes.application.volumes import Progress, clean, resume, step
from krake.data import Key, Metadata
from krake.data.kubernetes import (
    Application,
    ApplicationSpec,
    ApplicationStatus,
    Cluster,
    ClusterConstraints,
    Constraints,
)
from krake.ports.cluster import COPY_LABEL, Identity, ObjectType
from krake.simulator import SimulatedCluster

UID = "6c2a6f52-3a8e-4d7b-9b1e-0d8f7a3c9e11"
NAMESPACE = "data"
A, B = (Cluster.definition.ref(Key("red", name)) for name in ("a", "b"))
CLAIMS = "persistentvolumeclaims"
SIZE = {"requests": {"storage": "1Gi"}}
ONCE = {"accessModes": ["ReadWriteOnce"], "resources": SIZE}


def claim(name: str = "files", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {**ONCE, **spec}}


def template(app: str, *claims: str, **spec: Any) -> dict[str, Any]:
    """The template of Pods that mount some claims."""
    volumes = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    pod = {"containers": [{"name": "main", "image": "x"}], "volumes": volumes, **spec}
    return {"metadata": {"labels": {"app": app}}, "spec": pod}


def workload(kind: str, name: str, *claims: str, **spec: Any) -> dict[str, Any]:
    """A Deployment, StatefulSet or DaemonSet."""
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template(name, *claims), **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def stateful_set(name: str = "db", replicas: int = 2, *claims: str, made: tuple[str, ...] = ("data",)) -> dict[str, Any]:
    """A StatefulSet that makes claims of its own."""
    templates = [{"metadata": {"name": each}, "spec": ONCE} for each in made]
    return workload("StatefulSet", name, *claims, serviceName=name, replicas=replicas, volumeClaimTemplates=templates)


class Move:
    """An application on its way from A to B, written down in `app` as the API would."""

    def __init__(self, source: Site, target: Site, manifest: list[dict[str, Any]], config: MigrationConfig) -> None:
        for item in manifest:
            item["metadata"]["namespace"] = NAMESPACE
        self.source, self.target, self.config = source, target, config
        self.app = Application(
            metadata=Metadata(name="app", namespace="red", uid=UID),
            spec=ApplicationSpec(manifest=manifest, constraints=Constraints(cluster=ClusterConstraints())),
            status=ApplicationStatus(running_on=A, scheduled_to=B, placed_on=[A, B]),
        )

    async def declared(self, site: Site) -> list[Declared]:
        return await resolve(self.app, self.app.spec.manifest, site)

    async def place(self) -> None:
        """Make the application on A, and wait for its Pods."""
        declared = await self.declared(self.source)
        self.source.follow(UID, self.app.key, {each.identity.type for each in declared})
        self.write(last_applied_manifest=[each.recorded for each in declared])
        deployment = await deploy(self.app, self.source, declared)
        assert deployment.problem is None, deployment.problem

    def write(self, **status: Any) -> None:
        self.app = replace(self.app, status=replace(self.app.status, **status))

    async def step(self) -> Progress:
        """Go one step, and write down what it says."""
        declared = await self.declared(self.target)
        progress = await step(self.app, self.source, self.target, declared, self.config, datetime.now(UTC))
        self.write(volumes=progress.volumes)
        return progress

    async def finish(self, limit: float = 60) -> Progress:
        """Go on until it is done, or has failed."""

        async def end() -> Progress | None:
            progress = await self.step()
            return progress if progress.done or progress.failed else None

        progress = await until(end, limit)
        assert progress is not None
        return progress

    async def return_home(self) -> None:
        """Give the move up."""
        await until(lambda: clean(self.app, self.target, B))
        await until(lambda: resume(self.app, self.source))
        self.write(volumes=[], scheduled_to=A)

    def copies(self) -> dict[str, str]:
        """The state of each claim."""
        return {each.claim: each.state for each in self.app.status.volumes}


@asynccontextmanager
async def moving(
    clusters: tuple[SimulatedCluster, SimulatedCluster], *manifest: dict[str, Any], **volumes: Any
) -> AsyncIterator[Move]:
    """An application on the first cluster."""
    config = MigrationConfig.deserialize({"volumes": volumes, "retry": {"max": 0}})
    async with sites_of(clusters) as sites:
        move = Move(*sites, list(manifest), config)
        await move.place()
        yield move


@asynccontextmanager
async def sites_of(clusters: tuple[SimulatedCluster, SimulatedCluster]) -> AsyncIterator[tuple[Site, Site]]:
    """The clusters A and B as a controller sees them."""
    first, second = (
        Site(name, connect(each.kubeconfig, timeout=5), lambda _: None) for name, each in zip("ab", clusters, strict=True)
    )
    try:
        yield first, second
    finally:
        await first.close()
        await second.close()


def names(cluster: SimulatedCluster, resource: str) -> set[str]:
    """The names of objects on a cluster."""
    return {obj["metadata"]["name"] for obj in cluster.storage.objects(resource, NAMESPACE)}


def get(cluster: SimulatedCluster, resource: str, name: str) -> Mapping[str, Any]:
    obj = cluster.storage.get(resource, (NAMESPACE, name))
    assert obj is not None, f"{resource} {name}"
    return obj


def left_of_copies(cluster: SimulatedCluster) -> set[str]:
    """All objects that only a copy needs."""
    objects = (obj for _, obj in cluster.storage.everything())
    found = [obj for obj in objects if COPY_LABEL in (obj["metadata"].get("labels") or {})]
    return {f"{obj['kind']} {obj['metadata']['name']}" for obj in found}


def claim_identity(name: str) -> Identity:
    return Identity(ObjectType("v1", "PersistentVolumeClaim"), NAMESPACE, name)
