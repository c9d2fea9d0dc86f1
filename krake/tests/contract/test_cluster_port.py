"""What `krake.ports.cluster` promises, kept on a real Kubernetes API server and on the simulator alike."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from krake.adapters.kubernetes import Connection, connect
from krake.ports.cluster import (
    ADOPT_ANNOTATION,
    APPLICATION_ANNOTATION,
    OWNER_LABEL,
    POD,
    Changed,
    Conflict,
    Foreign,
    Identity,
    Listed,
    Object,
    ObjectType,
    Rejected,
    Removed,
    Unreachable,
    Unsupported,
    WatchEvent,
    identify,
    owner_of,
)

CONFIG_MAP = ObjectType("v1", "ConfigMap")
DEPLOYMENT = ObjectType("apps/v1", "Deployment")
SERVICE = ObjectType("v1", "Service")
NAMESPACE = ObjectType("v1", "Namespace")
OWNER = "6c2a6f52-3a8e-4d7b-9b1e-0d8f7a3c9e11"
OTHER = "0b8f1c3d-9f7e-4f6a-8d55-6a0f3e2d1c4b"
DEADLINE = 15


@pytest.fixture
async def simulated_cluster(simulated_clusters: Any) -> Any:
    (cluster,) = await simulated_clusters(1)
    return cluster


@pytest.fixture(params=["simulator", "real"])
def kubeconfig(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "real":
        return dict(request.getfixturevalue("real_clusters")(1)[0].kubeconfig)
    return dict(request.getfixturevalue("simulated_cluster").kubeconfig)


@pytest.fixture
async def cluster(kubeconfig: dict[str, Any]) -> AsyncIterator[Connection]:
    connection = connect(kubeconfig)
    yield connection
    await connection.close()


@pytest.fixture
async def namespace(cluster: Connection) -> AsyncIterator[str]:
    name = f"krake-test-{secrets.token_hex(4)}"
    await cluster.apply(declare("v1", "Namespace", name, None))
    yield name
    await cluster.delete(Identity(NAMESPACE, None, name), OWNER)


def declare(api_version: str, kind: str, name: str, namespace: str | None, owner: str = OWNER, **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, "labels": {OWNER_LABEL: owner}} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def config_map(namespace: str, name: str = "settings", owner: str = OWNER, **data: str) -> dict[str, Any]:
    return declare("v1", "ConfigMap", name, namespace, owner, data=data)


def deployment(namespace: str, replicas: int = 1) -> dict[str, Any]:
    labels = {"app": "echo", OWNER_LABEL: OWNER}
    container = {"name": "echo", "image": "registry.example/echo:1", "ports": [{"containerPort": 8080}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "echo"}}, "template": template}
    return declare("apps/v1", "Deployment", "echo", namespace, spec=spec)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)


async def gone(cluster: Connection, identity: Identity) -> None:
    await until(lambda: cluster.delete(identity, OWNER))


async def next_where(events: AsyncIterator[WatchEvent], wanted: Callable[[WatchEvent], bool]) -> WatchEvent:
    async with asyncio.timeout(DEADLINE):
        async for event in events:
            if wanted(event):
                return event
    raise AssertionError("The watch ended.")


def about(event: WatchEvent, name: str, namespace: str) -> bool:
    if isinstance(event, Listed):
        return False
    metadata = event.object["metadata"]
    return (metadata.get("namespace"), metadata["name"]) == (namespace, name)


async def test_it_tells_its_version_and_where_things_go(cluster: Connection) -> None:
    assert (await cluster.version()).startswith("v1.")
    assert cluster.default_namespace == "default"
    assert cluster.host == "127.0.0.1"


async def test_it_knows_which_types_live_in_namespaces(cluster: Connection) -> None:
    assert await cluster.is_namespaced(DEPLOYMENT)
    assert not await cluster.is_namespaced(NAMESPACE)


@pytest.mark.parametrize(
    "type_", [ObjectType("v1", "Unicorn"), ObjectType("no.such.group/v1", "Thing"), ObjectType("../v1", "Pod")]
)
async def test_a_type_that_is_not_served_is_unsupported(cluster: Connection, type_: ObjectType) -> None:
    with pytest.raises(Unsupported, match=f"{type_.kind} resources of"):
        await cluster.is_namespaced(type_)
    with pytest.raises(Unsupported):
        await cluster.apply(declare(*type_, "x", "default"))
    assert await cluster.get(Identity(type_, "default", "x")) is None
    assert await cluster.delete(Identity(type_, "default", "x"), OWNER)


async def test_what_is_applied_is_there_as_declared(cluster: Connection, namespace: str) -> None:
    applied = await cluster.apply(config_map(namespace, MY_KEY="1", appName="shop"))
    found = await cluster.get(identify(applied))
    assert found is not None
    assert found["data"] == {"MY_KEY": "1", "appName": "shop"}
    assert owner_of(found) == OWNER


async def test_applying_the_same_again_changes_nothing(cluster: Connection, namespace: str) -> None:
    first = await cluster.apply(config_map(namespace, a="1"))
    second = await cluster.apply(config_map(namespace, a="1"))
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_field_that_is_not_declared_any_more_goes(cluster: Connection, namespace: str) -> None:
    await cluster.apply(config_map(namespace, a="1", b="2"))
    assert (await cluster.apply(config_map(namespace, a="1")))["data"] == {"a": "1"}


async def test_ports_need_no_protocol(cluster: Connection, namespace: str) -> None:
    spec = {"type": "NodePort", "selector": {"app": "echo"}, "ports": [{"port": 80, "targetPort": 8080}]}
    applied = await cluster.apply(declare("v1", "Service", "echo", namespace, spec=spec))
    assert applied["spec"]["ports"][0]["nodePort"] > 0
    again = await cluster.apply(declare("v1", "Service", "echo", namespace, spec=spec))
    assert again["spec"]["ports"] == applied["spec"]["ports"]
    assert (await cluster.apply(deployment(namespace)))["spec"]["replicas"] == 1


async def test_a_missing_namespace_is_created_and_stays(cluster: Connection) -> None:
    name = f"krake-test-{secrets.token_hex(4)}"
    applied = await cluster.apply(config_map(name, a="1"))
    await gone(cluster, identify(applied))
    found = await cluster.get(Identity(NAMESPACE, None, name))
    assert found is not None
    assert owner_of(found) is None


async def test_an_object_of_somebody_else_is_not_touched(cluster: Connection, namespace: str) -> None:
    theirs = await cluster.apply(config_map(namespace, owner=OTHER, a="1"))
    with pytest.raises(Foreign, match=f"ConfigMap {namespace}/settings exists and is of another application"):
        await cluster.apply(config_map(namespace, a="2"))
    assert await cluster.delete(identify(theirs), OWNER)
    found = await cluster.get(identify(theirs))
    assert found is not None
    assert found["data"] == {"a": "1"}


async def test_an_object_that_krake_did_not_make_is_not_touched(cluster: Connection) -> None:
    identity = Identity(NAMESPACE, None, "default")
    with pytest.raises(Foreign, match="not created by Krake"):
        await cluster.apply(declare("v1", "Namespace", "default", None))
    assert await cluster.delete(identity, OWNER)
    assert await cluster.get(identity) is not None


async def test_kubernetes_says_itself_what_it_rejects(cluster: Connection, namespace: str) -> None:
    wrong = deployment(namespace)
    wrong["spec"]["selector"]["matchLabels"] = {"app": "other"}
    with pytest.raises(Rejected, match="selector") as caught:
        await cluster.apply(wrong)
    assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    assert await cluster.get(identify(wrong)) is None


@pytest.mark.parametrize("name", ["..", ".", "a/b", "%2e%2e", "UPPER", "ä", "x" * 300])
async def test_a_name_that_no_object_can_have_is_rejected(cluster: Connection, namespace: str, name: str) -> None:
    declared = config_map(namespace, name)
    with pytest.raises(Rejected) as caught:
        await cluster.apply(declared)
    assert caught.value.status == 422
    assert await cluster.get(identify(declared)) is None
    assert await cluster.delete(identify(declared), OWNER)


async def test_elements_of_one_name_are_rejected(cluster: Connection, namespace: str) -> None:
    twice = deployment(namespace)
    twice["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    with pytest.raises(Rejected, match="duplicate entries for key"):
        await cluster.apply(twice)


@pytest.mark.parametrize("text", ["\U0001f600", "\u2028 \x7f\x85", '\t\n"\\ud83d', "ä"])
async def test_texts_are_kept_as_they_are(cluster: Connection, namespace: str, text: str) -> None:
    assert (await cluster.apply(config_map(namespace, text=text)))["data"] == {"text": text}


async def test_quantities_may_be_numbers(cluster: Connection, namespace: str) -> None:
    declared = deployment(namespace)
    declared["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": 1, "memory": 1073741824}}
    applied = await cluster.apply(declared)
    limits = applied["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert (limits["cpu"], limits["memory"]) in (("1", "1073741824"), ("1", "1Gi"))


async def test_what_was_handed_over_is_taken_over(cluster: Connection, namespace: str) -> None:
    declared = config_map(namespace, a="ours")
    declared["metadata"]["annotations"] = {APPLICATION_ANNOTATION: "red/app"}
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "theirs", "b": "theirs"}}
    await cluster._transport.call("POST", f"/api/v1/namespaces/{namespace}/configmaps", None, theirs)
    with pytest.raises(Foreign, match=f"annotate it there with {ADOPT_ANNOTATION}=red/app"):
        await cluster.apply(declared)
    for application in ("red/other", "blue/app"):
        await cluster.change(identify(declared), {"metadata": {"annotations": {ADOPT_ANNOTATION: application}}})
        with pytest.raises(Foreign):
            await cluster.apply(declared)
    await cluster.change(identify(declared), {"metadata": {"annotations": {ADOPT_ANNOTATION: "red/app"}}})
    applied = await cluster.apply(declared)
    assert (owner_of(applied), applied["data"]) == (OWNER, {"a": "ours", "b": "theirs"})


async def test_what_another_application_has_can_not_be_handed_over(cluster: Connection, namespace: str) -> None:
    theirs = await cluster.apply(config_map(namespace, owner=OTHER, a="1"))
    await cluster.change(identify(theirs), {"metadata": {"annotations": {ADOPT_ANNOTATION: "red/app"}}})
    declared = config_map(namespace, a="2")
    declared["metadata"]["annotations"] = {APPLICATION_ANNOTATION: "red/app"}
    with pytest.raises(Foreign, match="of another application"):
        await cluster.apply(declared)


async def test_replacing_takes_away_what_others_have_added(cluster: Connection, namespace: str) -> None:
    applied = await cluster.apply(config_map(namespace, a="1"))
    changed = await cluster.change(identify(applied), {"data": {"b": "2"}})
    assert changed is not None
    with pytest.raises(Conflict):
        await cluster.replace(applied)
    replaced = await cluster.replace({**changed, "data": {"a": "1"}})
    assert replaced["data"] == {"a": "1"}
    await gone(cluster, identify(applied))
    with pytest.raises(Conflict):
        await cluster.replace(replaced)


async def test_a_correction_of_what_was_changed_meanwhile_is_a_conflict(cluster: Connection, namespace: str) -> None:
    applied = await cluster.apply(config_map(namespace, a="1"))
    await cluster.change(identify(applied), {"data": {"a": "2"}})
    stale = config_map(namespace, a="1")
    stale["metadata"]["resourceVersion"] = applied["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        await cluster.apply(stale)


async def test_what_is_changed_beside_what_is_declared_stays_until_it_is_declared(cluster: Connection, namespace: str) -> None:
    applied = await cluster.apply(config_map(namespace, a="1"))
    changed = await cluster.change(identify(applied), {"metadata": {"annotations": {"b": "2"}}, "data": {"a": "3", "c": "4"}})
    assert changed is not None
    assert changed["data"] == {"a": "3", "c": "4"}
    again = await cluster.apply(config_map(namespace, a="1"))
    assert (again["data"], again["metadata"]["annotations"]) == ({"a": "1", "c": "4"}, {"b": "2"})
    gone = await cluster.change(identify(applied), {"metadata": {"annotations": {"b": None}}, "data": {"c": None}})
    assert gone is not None
    assert (gone["data"], gone["metadata"].get("annotations") or {}) == ({"a": "1"}, {})


async def test_changing_or_hearing_what_is_not_there_is_no_error(cluster: Connection, namespace: str) -> None:
    assert await cluster.change(Identity(CONFIG_MAP, namespace, "none"), {"data": {"a": "1"}}) is None
    assert await cluster.last_report(Identity(POD, namespace, "none")) == {}


async def test_deleting_takes_along_what_was_made_for_the_object(cluster: Connection, namespace: str) -> None:
    applied = await cluster.apply(deployment(namespace, replicas=2))
    async with contextlib.aclosing(cluster.watch(POD)) as events:
        pods = {
            (await next_where(events, lambda event: isinstance(event, Changed) and in_namespace(event, namespace))).object[
                "metadata"
            ]["name"]
            for _ in range(1)
        }
        assert pods
        await gone(cluster, identify(applied))
        await next_where(events, lambda event: isinstance(event, Removed) and in_namespace(event, namespace))


def in_namespace(event: WatchEvent, namespace: str) -> bool:
    return not isinstance(event, Listed) and event.object["metadata"].get("namespace") == namespace


async def test_an_object_on_its_way_out_is_a_conflict(cluster: Connection, namespace: str) -> None:
    held = config_map(namespace, a="1")
    held["metadata"]["finalizers"] = ["krake.cloud/test"]
    identity = identify(await cluster.apply(held))
    assert not await cluster.delete(identity, OWNER)
    assert not await cluster.delete(identity, OWNER)
    with pytest.raises(Conflict, match="still being deleted"):
        await cluster.apply(config_map(namespace, a="1"))
    await release(cluster, identity)
    await gone(cluster, identity)


async def release(cluster: Connection, identity: Identity) -> None:
    path = (await cluster._discovery.find(identity.type)).path(identity)
    body = {"metadata": {"finalizers": None}}
    await cluster._transport.call("PATCH", path, None, body, "application/merge-patch+json")


async def test_a_watch_tells_all_that_is_there_and_then_each_change(cluster: Connection, namespace: str) -> None:
    before = await cluster.apply(config_map(namespace, "before", a="1"))
    async with contextlib.aclosing(cluster.watch(CONFIG_MAP)) as events:
        first = await anext(events)
        assert isinstance(first, Listed)
        assert identify(before) in {identify(obj) for obj in first.objects}
        assert all(owner_of(obj) for obj in first.objects)
        await cluster.apply(config_map(namespace, "after", a="1"))
        assert isinstance(await next_where(events, lambda event: about(event, "after", namespace)), Changed)
        await cluster.apply(config_map(namespace, "before", a="2"))
        changed = await next_where(events, lambda event: about(event, "before", namespace))
        assert isinstance(changed, Changed)
        assert changed.object["data"] == {"a": "2"}
        await gone(cluster, identify(before))
        assert isinstance(await next_where(events, lambda event: about(event, "before", namespace)), Removed)


async def test_nodes_are_watched(cluster: Connection) -> None:
    async with contextlib.aclosing(cluster.watch_nodes()) as events:
        first = await next_where(events, lambda event: True)
        if isinstance(first, Listed) and not first.objects:
            first = await next_where(events, lambda event: isinstance(event, Changed))
    nodes: tuple[Object, ...] = first.objects if isinstance(first, Listed) else (first.object,)
    ready = [condition for condition in nodes[0]["status"]["conditions"] if condition["type"] == "Ready"]
    assert [condition["status"] for condition in ready] == ["True"]


async def test_all_pods_are_watched_whosever_they_are(cluster: Connection, namespace: str) -> None:
    """The Pods of this Deployment carry no label of Krake: only the Deployment does."""

    def is_here(event: WatchEvent) -> bool:
        objects = event.objects if isinstance(event, Listed) else (event.object,)
        return any(pod["metadata"]["namespace"] == namespace for pod in objects)

    async with contextlib.aclosing(cluster.watch_pods()) as events:
        assert isinstance(await next_where(events, lambda event: True), Listed)
        unmarked = deployment(namespace)
        del unmarked["spec"]["template"]["metadata"]["labels"][OWNER_LABEL]
        await cluster.apply(unmarked)
        event = await next_where(events, is_here)
    assert isinstance(event, Changed)
    assert identify(event.object).type == POD
    assert owner_of(event.object) is None


async def test_custom_resources_are_like_all_others(cluster: Connection, namespace: str) -> None:
    group = f"t{secrets.token_hex(4)}.example.org"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": "backups", "singular": "backup", "kind": "Backup", "listKind": "BackupList"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    definition = declare("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"backups.{group}", None, spec=spec)
    type_ = ObjectType(f"{group}/v1", "Backup")
    with pytest.raises(Unsupported):
        await cluster.is_namespaced(type_)
    await cluster.apply(definition)
    await until(lambda: served(cluster, type_))
    applied = await cluster.apply(declare(*type_, "daily", namespace, spec={"schedule": "0 3 * * *", "keepDays": 7}))
    assert applied["spec"] == {"schedule": "0 3 * * *", "keepDays": 7}
    again = await cluster.apply(declare(*type_, "daily", namespace, spec={"schedule": "0 3 * * *"}))
    assert again["spec"] == {"schedule": "0 3 * * *"}
    await gone(cluster, identify(applied))
    await gone(cluster, identify(definition))


async def served(cluster: Connection, type_: ObjectType) -> bool:
    try:
        return await cluster.is_namespaced(type_)
    except Unsupported:
        return False


async def test_wrong_credentials_are_said_to_be_wrong(kubeconfig: dict[str, Any]) -> None:
    user = {"name": kubeconfig["users"][0]["name"], "user": {"token": "wrong"}}
    context = {**kubeconfig["contexts"][0]["context"], "user": user["name"]}
    stranger = connect({**kubeconfig, "users": [user], "current-context": "x", "contexts": [{"name": "x", "context": context}]})
    with pytest.raises(Rejected) as caught:
        await stranger.get(Identity(NAMESPACE, None, "default"))
    assert caught.value.status == 401
    await stranger.close()


async def test_after_closing_nothing_is_reachable(cluster: Connection) -> None:
    await cluster.version()
    await cluster.close()
    await cluster.close()
    with pytest.raises(Unreachable, match="closed"):
        await cluster.version()
