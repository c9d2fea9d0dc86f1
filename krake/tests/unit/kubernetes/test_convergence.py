"""Whatever is declared and whoever else changes it: after a few passes all is as declared, and nothing is written any more."""

import asyncio
import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.kubernetes.applications import UID, A, app, config_map, deployment
from unit.kubernetes.memory import MemoryCluster

from krake.controller.kubernetes.application.contention import Contention
from krake.controller.kubernetes.application.delta import drift
from krake.controller.kubernetes.application.deploy import Deployment, deploy, resolve
from krake.controller.kubernetes.application.observe import observe, observer_schema
from krake.controller.kubernetes.application.site import Site
from krake.data.kubernetes import Application
from krake.data.manifests import MAX_LENGTH, MIN_LENGTH, observer_schema_problem
from krake.ports.cluster import Object, identify

Manifest = list[dict[str, Any]]
PASSES = 3
"""So many may be needed: one takes back what somebody else has changed, and finds what Kubernetes makes of it."""

words = st.text("aB0", min_size=1, max_size=3)
names = st.sampled_from(["A", "b", "camelCase", "exec", "from"])
values = st.dictionaries(names, words, max_size=3)
quantities = st.sampled_from(["1000m", "1", "0.5", "500m", "1Gi", "1073741824"])
containers = st.fixed_dictionaries(
    {"name": st.sampled_from(["one", "two"]), "image": words},
    optional={
        "args": st.lists(words, max_size=3),
        "env": st.dictionaries(names, words, max_size=3).map(
            lambda variables: [{"name": name, "value": value} for name, value in variables.items()]
        ),
        "resources": st.fixed_dictionaries({"limits": st.dictionaries(st.sampled_from(["cpu", "memory"]), quantities)}),
        "ports": st.lists(st.sampled_from([{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]), unique_by=str),
        "livenessProbe": st.just({"exec": {"command": ["true"]}}),
    },
)


some_containers = st.lists(containers, unique_by=lambda item: item["name"], min_size=1, max_size=2)


def with_containers(items: list[dict[str, Any]], replicas: int) -> dict[str, Any]:
    item = deployment()
    item["spec"]["template"]["spec"]["containers"] = items
    item["spec"]["replicas"] = replicas
    return item


def secret(clear: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": clear}


def service(labels: dict[str, str], ports: list[int]) -> dict[str, Any]:
    spec = {"selector": {"app": "echo"}, "ports": [{"port": port, "name": f"p{port}"} for port in ports]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo", "labels": labels}, "spec": spec}


objects = st.one_of(
    st.builds(lambda name, data: config_map(name, **data), st.sampled_from(["one", "two"]), values),
    st.builds(secret, values),
    st.builds(with_containers, some_containers, st.integers(0, 3)),
    st.builds(service, values, st.lists(st.sampled_from([80, 443, 8080]), unique=True, min_size=1, max_size=3)),
)
manifests = st.lists(objects, unique_by=lambda item: (item["kind"], item["metadata"]["name"]), min_size=1, max_size=4)


@st.composite
def partial(draw: st.DrawFn, schema: Any) -> Any:
    """Some of a schema."""
    if isinstance(schema, Mapping):
        return {key: draw(partial(each)) for key, each in schema.items() if draw(st.booleans())}
    if isinstance(schema, list):
        count = len(schema) - 1
        observed = [draw(partial(each)) for each in schema[:-1]][: draw(st.integers(0, count))]
        limits = st.sampled_from([0, count, count + 2]) if count else st.just(0)
        return [*observed, {MIN_LENGTH: draw(st.integers(0, 1)) if count else 0, MAX_LENGTH: draw(limits)}]
    return None


@st.composite
def observed(draw: st.DrawFn, manifest: Manifest) -> list[dict[str, Any]]:
    """Observer schemas of some of the objects: some of the fields that are declared, and some that are not."""
    chosen = []
    for item, schema in zip(manifest, observer_schema(manifest, []), strict=True):
        if draw(st.booleans()):
            part: dict[str, Any] = draw(
                partial({key: value for key, value in schema.items() if key == "spec" or key == "data"})
            )
            if item["kind"] == "Deployment" and draw(st.booleans()):
                part.setdefault("spec", {})["revisionHistoryLimit"] = None
            chosen.append({**part, "apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": schema["metadata"]})
    assert observer_schema_problem(chosen, manifest) is None
    return chosen


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[Manifest, list[dict[str, Any]], Manifest]]:
    """What is declared one after the other, what is observed of it, and what somebody else makes of it."""
    story = []
    for _ in range(draw(st.integers(1, 3))):
        manifest = draw(manifests)
        story.append((manifest, draw(observed(manifest)), draw(manifests)))
    return story


class Reconciler:
    """Reconciles an application on a cluster, and keeps what its status would keep."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self.app = app(running_on=A)

    def declare(self, manifest: Manifest, schemas: list[dict[str, Any]]) -> None:
        metadata = replace(self.app.metadata, generation=self.app.metadata.generation + 1)
        self.app = replace(self.app, metadata=metadata, spec=replace(self.app.spec, manifest=manifest, observer_schema=schemas))

    async def reconcile(self, site: Site) -> Deployment:
        declared = await resolve(self.app, self.app.spec.manifest, site)
        deployment = await deploy(self.app, site, declared)
        assert not deployment.problems
        for each in deployment.declared:
            observe(each.schema, deployment.live[each.identity])
        self.app = self._written(deployment)
        return deployment

    def _written(self, deployment: Deployment) -> Application:
        recorded = [each.recorded for each in deployment.declared]
        status = replace(self.app.status, last_applied_manifest=recorded, observed_generation=self.app.metadata.generation)
        return replace(self.app, status=status)

    async def converge(self, site: Site) -> Deployment:
        for _ in range(PASSES):
            await self.reconcile(site)
        before = self.cluster.versions
        deployment = await self.reconcile(site)
        assert self.cluster.versions == before
        assert not deployment.pending
        return deployment

    def meddle(self, others: Manifest) -> None:
        """Change whatever of these is there already."""
        there = {(obj["kind"], obj["metadata"]["name"]) for obj in self.cluster.owned(UID)}
        for item in others:
            if (item["kind"], item["metadata"]["name"]) in there:
                self.cluster.apply_as_somebody_else(foreign(item))


def foreign(item: dict[str, Any]) -> Object:
    """An object as another one declares it, in the same namespace; nobody but the cluster encodes for them."""
    item = copy.deepcopy(item)
    item["metadata"]["namespace"] = "default"
    item.pop("stringData", None)
    return item


@settings(deadline=None, max_examples=60)
@given(stories())
def test_reconciling_converges(story: list[tuple[Manifest, list[dict[str, Any]], Manifest]]) -> None:
    async def tell() -> None:
        reconciler = Reconciler()
        site = Site("memory", reconciler.cluster, lambda key: None)
        for manifest, schemas, others in story:
            reconciler.declare(manifest, schemas)
            await reconciler.reconcile(site)
            before = reconciler.cluster.versions
            deployment = await reconciler.reconcile(site)
            assert reconciler.cluster.versions == before, "a second pass writes nothing"
            assert {identify(obj) for obj in reconciler.cluster.owned(UID)} == {each.identity for each in deployment.declared}
            reconciler.meddle(others)
            site.contention = Contention()  # it is a while later
            deployment = await reconciler.converge(site)
            for each in deployment.declared:
                # Nothing on this cluster is rewritten or added, so nothing may differ, whether it has settled or not.
                assert not drift(each, deployment.live[each.identity], None)
        await site.close()

    asyncio.run(tell())
