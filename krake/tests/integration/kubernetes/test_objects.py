"""What is corrected of the objects of an application, what is left alone, and whose they are."""

import secrets
from typing import Any

import pytest
from integration.kubernetes.world import (
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
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

from krake.client import Invalid
from krake.data import Key
from krake.data.constraints import LabelConstraint
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState
from krake.data.metadata import ReasonCode
from krake.data.overrides import Override
from krake.ports.cluster import ADOPT_ANNOTATION, Object, ObjectType, owner_of

State = ApplicationState


def control(shortest: int, longest: int) -> dict[str, int]:
    return {"observer_schema_list_min_length": shortest, "observer_schema_list_max_length": longest}


def observing(kind: str, name: str, version: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


def container_of(obj: Object) -> dict[str, Any]:
    found: dict[str, Any] = obj["spec"]["template"]["spec"]["containers"][0]
    return found


async def seen(target: Target, type_: ObjectType, name: str, accept: Any) -> Object:
    """Wait until an object is as it should be."""
    found = await eventually(lambda: target.get(type_, name), lambda obj: obj is not None and accept(obj))
    assert found is not None
    return found


@pytest.fixture
async def ready(world: World, any_target: Target) -> Target:
    await world.register(any_target, state=ClusterState.ONLINE)
    return any_target


async def test_a_field_that_is_not_declared_any_more_goes(world: World, ready: Target) -> None:
    async with world.running(applications()):
        await world.create(config_map(a="1", b="2"), on=ready)
        await world.until_state(State.RUNNING)
        await world.update(config_map(a="1"), on=ready)
        await seen(ready, CONFIG_MAP, "settings", lambda obj: obj["data"] == {"a": "1"})


async def test_a_field_that_went_while_no_controller_ran_goes_all_the_same(world: World, ready: Target) -> None:
    async with world.running(applications()):
        await world.create(config_map(a="1", b="2"), on=ready)
        await world.until_state(State.RUNNING)
    app = await world.update(config_map(a="1"), on=ready)
    # As if the last controller had been killed right after it had written down what it was about to do.
    applied = [{**app.status.last_applied_manifest[0], "data": {"a": "1"}}]
    await world.client.patch(Application, app.key, {"status": {"last_applied_manifest": applied}}, subresource="status")
    async with world.running(applications()):
        await seen(ready, CONFIG_MAP, "settings", lambda obj: obj["data"] == {"a": "1"})


async def test_only_what_is_observed_is_corrected(world: World, ready: Target) -> None:
    schema = [observing("ConfigMap", "settings", data={"mine": None})]
    async with world.running(applications()):
        await world.create(config_map(mine="1", theirs="1"), on=ready, observer_schema=schema)
        app = await world.until_state(State.RUNNING)
        assert app.status.mangled_observer_schema == schema
        assert app.status.last_observed_manifest == [observing("ConfigMap", "settings", data={"mine": "1"})]
        await ready.change(CONFIG_MAP, "settings", {"data": {"theirs": "2"}})
        await ready.change(CONFIG_MAP, "settings", {"data": {"mine": "2"}})
        await seen(ready, CONFIG_MAP, "settings", lambda obj: obj["data"] == {"mine": "1", "theirs": "2"})
        await world.update(config_map(mine="1", theirs="3"), on=ready)
        await seen(ready, CONFIG_MAP, "settings", lambda obj: obj["data"] == {"mine": "1", "theirs": "3"})


async def test_what_is_observed_and_not_set_keeps_its_first_value(world: World, ready: Target) -> None:
    schema = [observing("Deployment", "echo", "apps/v1", spec={"replicas": None, "revisionHistoryLimit": None})]
    async with world.running(applications()):
        await world.create(deployment(), on=ready, observer_schema=schema)
        app = await world.until_state(State.RUNNING)
        assert app.status.last_applied_manifest[0]["spec"]["revisionHistoryLimit"] == 10
        assert app.status.last_observed_manifest[0]["spec"] == {"replicas": 1, "revisionHistoryLimit": 10}
        await ready.change(DEPLOYMENT, "echo", {"spec": {"revisionHistoryLimit": 3}})
        await seen(ready, DEPLOYMENT, "echo", lambda obj: obj["spec"]["revisionHistoryLimit"] == 10)


async def add_variable(target: Target) -> None:
    found = await target.get(DEPLOYMENT, "echo")
    assert found is not None
    container = container_of(found)
    changed = {**container, "env": [*container["env"], {"name": "ADDED", "value": "1"}]}
    await target.change(DEPLOYMENT, "echo", {"spec": {"template": {"spec": {"containers": [changed]}}}})


def names_of(obj: Object) -> list[str]:
    return [each["name"] for each in container_of(obj)["env"]]


async def test_lists_have_the_length_that_was_declared(world: World, ready: Target) -> None:
    async with world.running(applications()):
        await world.create(deployment(env=[{"name": "MINE", "value": "1"}]), on=ready)
        await world.until_state(State.RUNNING)
        await add_variable(ready)
        await seen(ready, DEPLOYMENT, "echo", lambda obj: names_of(obj) == ["MINE"])


@pytest.mark.parametrize("longest", [0, 2])
async def test_lists_may_be_longer_if_their_schema_says_so(world: World, ready: Target, longest: int) -> None:
    env = {"env": [{"name": None, "value": None}, {"name": None}, control(1, longest)]}
    pods = {"template": {"spec": {"containers": [env, control(1, 0)]}}}
    schema = [observing("Deployment", "echo", "apps/v1", spec={"replicas": None, **pods})]
    async with world.running(applications()):
        await world.create(deployment(env=[{"name": "MINE", "value": "1"}]), on=ready, observer_schema=schema)
        await world.until_state(State.RUNNING)
        await add_variable(ready)
        await ready.change(DEPLOYMENT, "echo", {"spec": {"replicas": 2}})
        found = await seen(ready, DEPLOYMENT, "echo", lambda obj: obj["spec"]["replicas"] == 1)
        assert names_of(found) == ["MINE", "ADDED"]


async def test_the_same_name_in_two_namespaces_is_two_objects(world: World, ready: Target) -> None:
    first, second = (f"krake-test-{secrets.token_hex(4)}" for _ in range(2))
    manifest = [config_map(where=name) | {"metadata": {"name": "settings", "namespace": name}} for name in (first, second)]
    schema = observing("ConfigMap", "settings", data={})
    schema["metadata"]["namespace"] = second
    async with world.running(applications()):
        await world.create(*manifest, on=ready, observer_schema=[schema])
        app = await world.until_state(State.RUNNING)
        assert [item["metadata"]["namespace"] for item in app.status.mangled_observer_schema] == [first, second]
        assert [item["data"] for item in app.status.last_observed_manifest] == [{"where": first}, {}]
        path = "/api/v1/namespaces/{}/configmaps/settings"
        for name in (second, first):
            await ready.connection._transport.call(
                "PATCH", path.format(name), None, {"data": {"where": "x"}}, "application/merge-patch+json"
            )

        async def data(namespace: str) -> Any:
            found = await ready.get(CONFIG_MAP, "settings", namespace)
            return found and found["data"]

        await eventually(lambda: data(first), lambda found: found == {"where": first})
        assert await data(second) == {"where": "x"}


async def test_an_object_is_taken_over_if_it_was_handed_over(world: World, ready: Target) -> None:
    await ready.create(config_map(a="theirs", b="theirs"))
    async with world.running(applications()):
        app = await world.create(config_map(a="ours"), on=ready)
        app = await world.until_state(State.FAILED)
        assert app.status.reason is not None
        assert f"annotate it there with {ADOPT_ANNOTATION}={NAMESPACE}/app" in app.status.reason.message
        found = await ready.get(CONFIG_MAP, "settings")
        assert found is not None
        assert found["data"] == {"a": "theirs", "b": "theirs"}
        await ready.change(CONFIG_MAP, "settings", {"metadata": {"annotations": {ADOPT_ANNOTATION: f"{NAMESPACE}/other"}}})
        await ready.change(CONFIG_MAP, "settings", {"metadata": {"annotations": {ADOPT_ANNOTATION: f"{NAMESPACE}/app"}}})
        await world.until_state(State.RUNNING)
        found = await ready.get(CONFIG_MAP, "settings")
        assert found is not None
        assert (found["data"], owner_of(found)) == ({"a": "ours", "b": "theirs"}, app.metadata.uid)


async def test_overrides_change_what_is_on_a_cluster(world: World, ready: Target) -> None:
    overrides = [
        Override(labels=[LabelConstraint.parse("stage is prod")], patches=[deployment(replicas=3)]),
        Override(cluster=ready.name, patches=[service(type="ClusterIP"), config_map(b=None, c="3")]),  # type: ignore[arg-type]
        Override(cluster="elsewhere", patches=[config_map(a="elsewhere")]),
    ]
    async with world.running(applications()):
        await world.create(deployment(), service(), config_map(a="1", b="2"), on=ready, overrides=overrides)
        await world.until_state(State.RUNNING)
        found = [await ready.get(type_, name) for type_, name in ((DEPLOYMENT, "echo"), (SERVICE, "echo"))]
        assert [each and each["spec"].get("replicas", each["spec"].get("type")) for each in found] == [1, "ClusterIP"]
        await seen(ready, CONFIG_MAP, "settings", lambda obj: obj["data"] == {"a": "1", "c": "3"})
        await world.client.patch(Cluster, Key(NAMESPACE, ready.name), {"metadata": {"labels": {"stage": "prod"}}})
        await seen(ready, DEPLOYMENT, "echo", lambda obj: obj["spec"]["replicas"] == 3)


async def test_an_override_that_fits_no_object_is_refused(world: World) -> None:
    created = await world.create(config_map(a="1"))
    wrong = Override(cluster="north", patches=[config_map("setings", a="2")])
    with pytest.raises(Invalid, match=r"The override for cluster north changes ConfigMap setings \(v1\)"):
        await world.client.patch(Application, created.key, {"spec": {"overrides": [wrong.serialize()]}})


def definition(group: str, plural: str, kind: str) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": plural, "singular": plural[:-1], "kind": kind, "listKind": f"{kind}List"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": spec,
    }


async def test_what_stands_in_the_way_of_a_definition_is_said(world: World, real_target: Target) -> None:
    ready = real_target
    await world.register(ready, state=ClusterState.ONLINE)
    group = f"t{secrets.token_hex(4)}.example.org"
    custom = {"apiVersion": f"{group}/v1", "kind": "Backup", "metadata": {"name": "daily"}, "spec": {"keepDays": 7}}
    async with world.running(applications(), collector):
        await world.create(custom, definition(group, "backups", "Backup"), on=ready)
        await world.until_state(State.RUNNING)
        again = {"apiVersion": f"{group}/v1", "kind": "Other", "metadata": {"name": "x"}}
        taken = definition(group, "others", "Other")
        taken["spec"]["names"]["listKind"] = "BackupList"
        await world.create(again, taken, on=ready, name="second")
        app = await world.until(lambda app: app.status.reason is not None, "second")
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.KUBERNETES_ERROR
        assert "BackupList" in app.status.reason.message
        for name in ("second", "app"):
            await world.delete(name)
            await world.until_gone(name)


async def test_custom_resources_go_before_what_cleans_up_after_them(world: World, ready: Target) -> None:
    group = f"t{secrets.token_hex(4)}.example.org"
    held = {"name": "daily", "finalizers": ["example.org/operator"]}
    custom = {"apiVersion": f"{group}/v1", "kind": "Backup", "metadata": held, "spec": {}}
    backup = ObjectType(f"{group}/v1", "Backup")
    async with world.running(applications(), collector):
        await world.create(definition(group, "backups", "Backup"), custom, deployment("operator"), on=ready)
        await world.until_state(State.RUNNING)
        await world.delete()
        await seen(ready, backup, "daily", lambda obj: obj["metadata"].get("deletionTimestamp"))
        app = await world.until(lambda app: app.status.reason is not None)
        assert app.status.reason is not None
        assert app.status.reason.message == (
            f"Backup {ready.namespace}/daily is being deleted and waits until somebody takes away its finalizers:"
            " example.org/operator."
        )
        assert await ready.get(DEPLOYMENT, "operator") is not None
        await ready.change(backup, "daily", {"metadata": {"finalizers": None}})
        await world.until_gone()
        assert await ready.get(DEPLOYMENT, "operator") is None
