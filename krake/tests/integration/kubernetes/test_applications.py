"""The application controller keeps applications on their clusters as they are declared."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from integration.kubernetes.world import (
    CONFIG_MAP,
    DEPLOYMENT,
    QUICK,
    SERVICE,
    Target,
    World,
    applications,
    collector,
    config_map,
    deployment,
    eventually,
    service,
)

from krake.client import NotFound
from krake.data import Metadata
from krake.data.kubernetes import (
    Application,
    ApplicationSpec,
    ApplicationState,
    ClusterConstraints,
    ClusterState,
    Constraints,
)
from krake.data.metadata import KUBERNETES_RESOURCES_DELETION, ReasonCode
from krake.ports.cluster import Identity, ObjectType, owner_of

State = ApplicationState


async def test_an_application_is_created_and_told_about(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        created = await world.create(deployment(replicas=2), service(), config_map(MY_KEY="1"), on=any_target)
        app = await world.until_state(State.RUNNING)
    assert app.status.reason is None
    assert app.status.running_on == app.status.scheduled_to == any_target.ref
    assert app.status.placed_on == [any_target.ref]
    assert app.metadata.finalizers == [KUBERNETES_RESOURCES_DELETION]
    assert app.metadata.generation == created.metadata.generation
    assert app.status.container_health.serialize() == {
        "desired_pods": 2, "running_pods": 2, "completed_pods": 0, "failed_pods": 0
    }  # fmt: skip
    found = await any_target.get(CONFIG_MAP, "settings")
    assert found is not None
    assert found["data"] == {"MY_KEY": "1"}
    assert owner_of(found) == app.metadata.uid
    assert [item["kind"] for item in app.status.last_applied_manifest] == ["ConfigMap", "Service", "Deployment"]


async def test_what_is_deleted_before_the_first_step_leaves_nothing_behind(world: World, target: Target) -> None:
    """Whoever deletes a bound application that its controller does not hold yet is told that it is gone: so it must be."""
    await world.register(target, state=ClusterState.ONLINE)
    await world.create(deployment(), service(), config_map(a="1"), on=target)
    gone = asyncio.Event()

    def connect(kubeconfig: Mapping[str, Any]) -> Any:
        connection = QUICK(kubeconfig)

        class Late:
            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

            async def is_namespaced(self, type_: ObjectType) -> bool:
                # The controller has looked at the application by now, and is about to work on it.
                if not gone.is_set():
                    await world.delete()
                    with pytest.raises(NotFound):
                        await world.app()
                    gone.set()
                return await connection.is_namespaced(type_)

        return Late()

    async with world.running(applications(connect)):
        await gone.wait()
        # The next application is worked on after that.
        await world.create(config_map("other"), on=target, name="other")
        await world.until_state(State.RUNNING, "other")
    for type_, name in ((CONFIG_MAP, "settings"), (SERVICE, "echo"), (DEPLOYMENT, "echo")):
        assert await target.get(type_, name) is None


async def test_its_service_is_reached_at_the_address_in_the_status(world: World, target: Target) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(deployment(), service(), on=target)
        app = await world.until_state(State.RUNNING)
        url = f"http://{app.status.services['echo']}/"

        async def page() -> str:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return await response.text()

        assert "Hostname: echo-" in await page()


async def test_the_status_shows_what_is_observed(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(config_map(a="1"), service(type="ClusterIP"), on=any_target)
        app = await world.until_state(State.RUNNING)
    assert app.status.mangled_observer_schema[0] == {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": None}
    }  # fmt: skip
    control = {"observer_schema_list_min_length": 1, "observer_schema_list_max_length": 1}
    assert app.status.mangled_observer_schema[1]["spec"]["ports"] == [{"port": None}, control]
    observed = {item["kind"]: item for item in app.status.last_observed_manifest}
    assert observed["ConfigMap"]["data"] == {"a": "1"}
    assert observed["Service"]["spec"]["ports"] == [{"port": 8080}, {"observer_schema_list_current_length": 1}]
    assert app.status.services == {}


async def test_an_update_changes_adds_and_removes(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(config_map(a="1", b="2"), config_map("old", x="1"), deployment(), on=any_target)
        await world.until_state(State.RUNNING)
        await world.update(config_map(a="3"), config_map("new", x="1"), deployment(replicas=3), on=any_target)
        app = await world.until(lambda app: app.status.state is State.RUNNING and app.status.observed_generation == 2)
    assert app.status.container_health.running_pods == 3
    changed = await any_target.get(CONFIG_MAP, "settings")
    assert changed is not None
    assert changed["data"] == {"a": "3"}
    assert await any_target.get(CONFIG_MAP, "old") is None
    assert await any_target.get(CONFIG_MAP, "new") is not None
    assert {item["metadata"]["name"] for item in app.status.last_applied_manifest} == {"settings", "new", "echo"}


async def test_nothing_is_done_before_the_scheduler_has_seen_a_change(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(config_map(a="1"), on=any_target)
        await world.until_state(State.RUNNING)
        await world.client.patch(type(await world.app()), (await world.app()).key, {"spec": {"manifest": [config_map(a="2")]}})
        await world.create(config_map("other", a="1"), on=any_target, name="witness")
        await world.until_state(State.RUNNING, "witness")
        seen = await any_target.get(CONFIG_MAP, "settings")
        assert seen is not None
        assert seen["data"] == {"a": "1"}
        await world.bind(any_target)
        await eventually(lambda: any_target.get(CONFIG_MAP, "settings"), lambda obj: obj and obj["data"] == {"a": "2"})


async def test_what_others_change_or_delete_is_put_right(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(config_map(a="1"), deployment(replicas=2), service(), on=any_target)
        await world.until_state(State.RUNNING)
        await any_target.change(CONFIG_MAP, "settings", {"data": {"a": "wrong", "extra": "theirs"}})
        await any_target.change(DEPLOYMENT, "echo", {"spec": {"replicas": 5}})
        await any_target.delete(SERVICE, "echo")
        settings = await eventually(
            lambda: any_target.get(CONFIG_MAP, "settings"), lambda obj: obj and obj["data"]["a"] == "1", 5
        )
        assert settings is not None
        assert settings["data"]["extra"] == "theirs"
        await eventually(lambda: any_target.get(DEPLOYMENT, "echo"), lambda obj: obj and obj["spec"]["replicas"] == 2, 5)
        await eventually(lambda: any_target.get(SERVICE, "echo"), bool, 5)
        await world.until(lambda app: app.status.state is State.RUNNING and app.status.services)
        await eventually(world.told, lambda reasons: "DriftCorrected" in reasons)


async def test_once_all_is_as_declared_nothing_is_written_any_more(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    manifest = [config_map(a="1"), service(type="LoadBalancer"), deployment(resources={"limits": {"cpu": "1000m"}})]
    async with world.running(applications()):
        await world.create(*manifest, on=any_target)
        app = await world.until_state(State.RUNNING)
        await world.until(lambda app: "pending" not in str(app.status.services))
        before = {item["kind"]: await any_target.get(*_name(item)) for item in app.status.last_applied_manifest}
        version = (await world.app()).metadata.resource_version
        await world.create(config_map("other", a="1"), on=any_target, name="witness")
        await world.until_state(State.RUNNING, "witness")
    async with world.running(applications()):  # a new one finds everything in order
        await world.create(config_map("more", a="1"), on=any_target, name="second-witness")
        await world.until_state(State.RUNNING, "second-witness")
        assert (await world.app()).metadata.resource_version == version
        for item in app.status.last_applied_manifest:
            found, known = await any_target.get(*_name(item)), before[item["kind"]]
            assert found is not None
            assert known is not None
            assert found["metadata"]["resourceVersion"] == known["metadata"]["resourceVersion"]
    assert await world.told() == ["Scheduled", "Created", "Running"]


def _name(item: dict[str, str]) -> tuple[ObjectType, str]:
    return ObjectType(item["apiVersion"], item["kind"]), item["metadata"]["name"]  # type: ignore[index]


async def test_deleting_takes_everything_along(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    async with world.running(applications(), collector):
        await world.create(config_map(a="1"), deployment(), service(), on=any_target)
        await world.until_state(State.RUNNING)
        await world.delete()
        await world.until_gone()
    for type_, name in ((CONFIG_MAP, "settings"), (DEPLOYMENT, "echo"), (SERVICE, "echo")):
        assert await any_target.get(type_, name) is None


async def test_a_missing_namespace_is_created(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    obj, namespace = config_map(a="1"), f"shop-{secrets.token_hex(4)}"
    obj["metadata"]["namespace"] = namespace
    async with world.running(applications()):
        await world.create(obj, on=any_target)
        await world.until_state(State.RUNNING)
    assert await any_target.get(CONFIG_MAP, "settings", namespace) is not None


async def test_a_custom_resource_may_come_with_its_definition(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    group = f"t{secrets.token_hex(4)}.example.org"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": "backups", "singular": "backup", "kind": "Backup", "listKind": "BackupList"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    metadata = {"name": f"backups.{group}"}
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}
    backup = {"apiVersion": f"{group}/v1", "kind": "Backup", "metadata": {"name": "daily"}, "spec": {"keepDays": 7}}
    async with world.running(applications(), collector):
        await world.create(backup, crd, on=any_target)
        await world.until_state(State.RUNNING)
        found = await any_target.get(ObjectType(f"{group}/v1", "Backup"), "daily")
        assert found is not None
        assert found["spec"] == {"keepDays": 7}
        await world.delete()
        await world.until_gone()
    crds = ObjectType("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    assert await any_target.connection.get(Identity(crds, None, f"backups.{group}")) is None


async def test_what_the_cluster_rejects_is_said_in_its_words_and_mended_by_an_update(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    wrong = deployment()
    wrong["spec"]["selector"]["matchLabels"] = {"app": "other"}
    async with world.running(applications(), collector):
        await world.create(wrong, config_map(a="1"), on=any_target)
        app = await world.until_state(State.FAILED)
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.KUBERNETES_ERROR
        assert "selector" in app.status.reason.message
        assert await any_target.get(CONFIG_MAP, "settings") is not None
        await world.update(deployment(), config_map(a="1"), on=any_target)
        app = await world.until_state(State.RUNNING)
        assert app.status.reason is None


async def test_a_status_does_not_open_the_clusters_of_others(world: World, target: Target) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    app = Application(
        metadata=Metadata(name="app", namespace="blue"),
        spec=ApplicationSpec(manifest=[config_map(a="1")], constraints=Constraints(cluster=ClusterConstraints())),
    )
    async with world.running(applications(), collector):
        created = await world.client.create(app)
        later = datetime.now(UTC) + timedelta(hours=1)
        forged = replace(created.status, scheduled_to=target.ref, scheduled=later, kube_controller_triggered=later)
        changes = {"status": forged.serialize()}
        await world.client.patch(Application, created.key, changes, subresource="status")

        async def look() -> Application:
            return await world.client.get(Application, created.key)

        seen = await eventually(look, lambda app: app.status.reason is not None)
        assert "in the namespace of the application" in seen.status.reason.message
        await world.client.delete(Application, created.key)
        await eventually(lambda: world.client.list(Application), lambda found: not found.items)
    assert await target.get(CONFIG_MAP, "settings") is None


async def test_a_rejected_application_can_be_deleted(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    unknown = {"apiVersion": "example.org/v9", "kind": "Unicorn", "metadata": {"name": "x"}}
    async with world.running(applications(), collector):
        await world.create(unknown, on=any_target)
        app = await world.until_state(State.FAILED)
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.UNSUPPORTED_RESOURCE
        await world.delete()
        await world.until_gone()


async def test_an_object_of_somebody_else_is_neither_changed_nor_deleted(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    await any_target.create(config_map(a="theirs"))
    async with world.running(applications(), collector):
        await world.create(config_map(a="1"), on=any_target)
        app = await world.until_state(State.FAILED)
        assert app.status.reason is not None
        assert "not created by Krake" in app.status.reason.message
        await world.delete()
        await world.until_gone()
    found = await any_target.get(CONFIG_MAP, "settings")
    assert found is not None
    assert found["data"] == {"a": "theirs"}


async def test_pods_that_do_not_start_are_told_with_the_reason(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(deployment(image="registry.example/missing:1"), on=any_target)
        app = await world.until_state(State.DEGRADED)
        assert app.status.reason is not None
        assert "ImagePull" in app.status.reason.message
        await world.update(deployment(), on=any_target)
        app = await world.until_state(State.RUNNING)
        assert app.status.reason is None


async def test_an_application_whose_jobs_have_run_is_completed(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    pod = {"restartPolicy": "Never", "containers": [{"name": "x", "image": "registry.example/batch:1"}]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": {"spec": pod}}}
    async with world.running(applications()):
        await world.create(job, on=any_target)
        app = await world.until_state(State.COMPLETED)
    assert app.status.container_health.completed_pods == 1
