"""What Krake relies on in a Kubernetes API: a real server and the simulator must give the same answers."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures.kubernetes_api import APPLY, JSON_PATCH, MERGE, STRATEGIC, Answer, KubernetesApi
from fixtures.simulator import StartClusters

Object = dict[str, Any]
IMAGE = "registry.k8s.io/echoserver:1.10"


@pytest.fixture(params=["simulator", pytest.param("real", marks=pytest.mark.kubernetes)])
async def api(request: pytest.FixtureRequest, simulated_clusters: StartClusters) -> AsyncIterator[KubernetesApi]:
    if request.param == "real":
        (cluster,) = request.getfixturevalue("real_clusters")()
    else:
        (cluster,) = await simulated_clusters()
    async with KubernetesApi(cluster.kubeconfig) as connected:
        yield connected


@pytest.fixture
async def namespace(api: KubernetesApi) -> AsyncIterator[str]:
    name = f"contract-{secrets.token_hex(4)}"
    created = await api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    assert created.status == 201
    await api.wait(f"/api/v1/namespaces/{name}/serviceaccounts/default", lambda answer: answer.status == 200)
    yield name
    await api.delete(f"/api/v1/namespaces/{name}")


def core(namespace: str, plural: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def apps(namespace: str, plural: str, name: str = "") -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels or {}},
        "data": data,
    }


def deployment(name: str = "echo-demo", image: str = IMAGE, replicas: int = 1) -> Object:
    container = {"name": "echo", "image": image, "ports": [{"containerPort": 8080, "protocol": "TCP"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "echo"}},
            "template": {"metadata": {"labels": {"app": "echo"}}, "spec": {"containers": [container]}},
        },
    }


def service(name: str = "echo-demo", type_: str = "NodePort") -> Object:
    ports = [{"port": 8080, "protocol": "TCP", "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": type_, "selector": {"app": "echo"}, "ports": ports},
    }


def is_available(replicas: int = 1) -> Any:
    def holds(answer: Answer) -> bool:
        status = answer.body.get("status", {})
        fresh = status.get("observedGeneration") == answer.body["metadata"]["generation"]
        counts = [status.get(name, 0) for name in ("availableReplicas", "updatedReplicas", "replicas")]
        return fresh and counts == [replicas] * 3

    return holds


def is_failure(answer: Answer, status: int, reason: str, message: str) -> bool:
    """Whether the answer is a `Status` with this reason and this message."""
    assert answer.status == status, answer
    assert isinstance(answer.body, dict), answer
    body = {name: answer.body.get(name) for name in ("kind", "apiVersion", "status", "code", "reason", "message")}
    expected = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
    assert body == {**expected, "reason": reason, "message": message}
    return True


class TestDiscovery:
    async def test_version_and_health(self, api: KubernetesApi) -> None:
        assert (await api.get("/version")).body["gitVersion"].startswith("v1.")
        for path in ("/healthz", "/livez", "/readyz"):
            assert (await api.get(path)).body == "ok"

    async def test_resources_are_listed(self, api: KubernetesApi) -> None:
        assert "v1" in (await api.get("/api")).body["versions"]
        groups = {group["name"] for group in (await api.get("/apis")).body["groups"]}
        assert {"apps", "batch", "networking.k8s.io", "apiextensions.k8s.io"} <= groups
        resources = {entry["name"]: entry for entry in (await api.get("/apis/apps/v1")).body["resources"]}
        assert {"deployments", "deployments/status", "deployments/scale", "statefulsets"} <= resources.keys()
        assert resources["deployments"]["kind"] == "Deployment"
        assert resources["deployments"]["namespaced"] is True
        assert resources["deployments"]["shortNames"] == ["deploy"]

    async def test_what_is_not_served_is_not_found(self, api: KubernetesApi) -> None:
        for path in ("/apis/unknown.example/v1/things", "/api/v1/namespaces/default/things", "/nowhere"):
            assert (await api.get(path)).status == 404

    async def test_a_wrong_token_is_refused(self, api: KubernetesApi) -> None:
        refused = await api.request("GET", "/api/v1/nodes", headers={"Authorization": "Bearer wrong"})
        assert is_failure(refused, 401, "Unauthorized", "Unauthorized")


class TestObjects:
    async def test_create_get_update_delete(self, api: KubernetesApi, namespace: str) -> None:
        created = await api.post(core(namespace, "configmaps"), config_map("one", key="value"))
        assert created.status == 201
        metadata = created.body["metadata"]
        assert metadata["namespace"] == namespace
        assert metadata["uid"]
        assert metadata["creationTimestamp"].endswith("Z")
        got = await api.get(core(namespace, "configmaps", "one"))
        assert got.body == created.body
        changed = {**got.body, "data": {"key": "other"}}
        updated = await api.put(core(namespace, "configmaps", "one"), changed)
        assert updated.status == 200
        assert updated.body["data"] == {"key": "other"}
        assert int(updated.body["metadata"]["resourceVersion"]) > int(metadata["resourceVersion"])
        deleted = await api.delete(core(namespace, "configmaps", "one"))
        assert deleted.status == 200
        assert deleted.body["status"] == "Success"
        assert deleted.body["details"] == {"name": "one", "kind": "configmaps", "uid": metadata["uid"]}
        assert (await api.get(core(namespace, "configmaps", "one"))).status == 404

    async def test_an_unchanged_update_keeps_the_version(self, api: KubernetesApi, namespace: str) -> None:
        created = await api.post(core(namespace, "configmaps"), config_map("one", key="value"))
        updated = await api.put(core(namespace, "configmaps", "one"), created.body)
        assert updated.body["metadata"]["resourceVersion"] == created.body["metadata"]["resourceVersion"]

    async def test_generate_name(self, api: KubernetesApi, namespace: str) -> None:
        body = {"metadata": {"generateName": "many-"}}
        names = [(await api.post(core(namespace, "configmaps"), body)).body["metadata"]["name"] for _ in range(2)]
        assert len(set(names)) == 2
        assert all(name.startswith("many-") for name in names)

    async def test_dry_run_writes_nothing(self, api: KubernetesApi, namespace: str) -> None:
        dry = await api.post(apps(namespace, "deployments"), deployment(), dryRun="All")
        assert dry.status == 201
        assert dry.body["spec"]["strategy"]["type"] == "RollingUpdate"
        assert (await api.get(apps(namespace, "deployments", "echo-demo"))).status == 404

    async def test_defaults_are_filled_in(self, api: KubernetesApi, namespace: str) -> None:
        body = deployment()
        del body["spec"]["replicas"]
        spec = (await api.post(apps(namespace, "deployments"), body)).body["spec"]
        assert spec["replicas"] == 1
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
        pod = spec["template"]["spec"]
        assert pod["restartPolicy"] == "Always"
        assert pod["terminationGracePeriodSeconds"] == 30
        assert pod["containers"][0]["imagePullPolicy"] == "IfNotPresent"
        assert pod["containers"][0]["terminationMessagePath"] == "/dev/termination-log"
        made = (await api.post(core(namespace, "services"), service())).body["spec"]
        assert made["clusterIP"]
        assert made["sessionAffinity"] == "None"
        assert made["externalTrafficPolicy"] == "Cluster"

    async def test_secret_strings_are_encoded(self, api: KubernetesApi, namespace: str) -> None:
        body = {"metadata": {"name": "secret"}, "stringData": {"password": "krake"}}
        created = (await api.post(core(namespace, "secrets"), body)).body
        assert created["data"] == {"password": "a3Jha2U="}
        assert created["type"] == "Opaque"
        assert "stringData" not in created

    async def test_generation_counts_changes_of_the_spec(self, api: KubernetesApi, namespace: str) -> None:
        created = await api.post(apps(namespace, "deployments"), deployment(replicas=0))
        assert created.body["metadata"]["generation"] == 1
        path = apps(namespace, "deployments", "echo-demo")
        labelled = await api.patch(path, MERGE, {"metadata": {"labels": {"a": "b"}}})
        assert labelled.body["metadata"]["generation"] == 1
        scaled = await api.patch(path, MERGE, {"spec": {"paused": True}})
        assert scaled.body["metadata"]["generation"] == 2

    async def test_status_and_spec_are_written_apart(self, api: KubernetesApi, namespace: str) -> None:
        created = (await api.post(core(namespace, "services"), service())).body
        ingress = {"ingress": [{"ip": "192.0.2.1"}]}
        path = core(namespace, "services", "echo-demo")
        by_spec = await api.put(path, {**created, "status": {"loadBalancer": ingress}})
        assert by_spec.body["status"] == {"loadBalancer": {}}
        changed = {**by_spec.body, "spec": {**created["spec"], "selector": {"app": "other"}}}
        by_status = await api.put(f"{path}/status", {**changed, "status": {"conditions": [], "loadBalancer": ingress}})
        assert by_status.body["spec"]["selector"] == {"app": "echo"}

    async def test_scale(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(apps(namespace, "deployments"), deployment(replicas=0))
        path = apps(namespace, "deployments", "echo-demo")
        scale = (await api.get(f"{path}/scale")).body
        assert (scale["kind"], scale["spec"]) == ("Scale", {})  # a zero is left out
        scaled = await api.patch(f"{path}/scale", MERGE, {"spec": {"replicas": 2}})
        assert scaled.body["spec"] == {"replicas": 2}
        assert (await api.get(path)).body["spec"]["replicas"] == 2

    async def test_finalizers_hold_an_object(self, api: KubernetesApi, namespace: str) -> None:
        body = config_map("held")
        body["metadata"]["finalizers"] = ["krake.example/hold"]
        await api.post(core(namespace, "configmaps"), body)
        path = core(namespace, "configmaps", "held")
        deleted = await api.delete(path)
        assert deleted.body["kind"] == "ConfigMap"
        held = (await api.get(path)).body
        assert held["metadata"]["deletionTimestamp"]
        await api.patch(path, MERGE, {"metadata": {"finalizers": None}})
        assert (await api.get(path)).status == 404


class TestErrors:
    async def test_not_found(self, api: KubernetesApi, namespace: str) -> None:
        missing = await api.get(apps(namespace, "deployments", "x"))
        assert is_failure(missing, 404, "NotFound", 'deployments.apps "x" not found')
        assert missing.body["details"] == {"name": "x", "group": "apps", "kind": "deployments"}
        assert is_failure(await api.get(core(namespace, "pods", "x")), 404, "NotFound", 'pods "x" not found')
        gone = await api.delete(core(namespace, "services", "x"))
        assert is_failure(gone, 404, "NotFound", 'services "x" not found')
        patched = await api.patch(apps(namespace, "deployments", "x"), MERGE, {})
        assert is_failure(patched, 404, "NotFound", 'deployments.apps "x" not found')

    async def test_missing_namespace(self, api: KubernetesApi) -> None:
        refused = await api.post(core("no-such-namespace", "configmaps"), config_map("one"))
        assert is_failure(refused, 404, "NotFound", 'namespaces "no-such-namespace" not found')

    async def test_already_exists(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(core(namespace, "configmaps"), config_map("one"))
        again = await api.post(core(namespace, "configmaps"), config_map("one"))
        assert is_failure(again, 409, "AlreadyExists", 'configmaps "one" already exists')

    async def test_conflict(self, api: KubernetesApi, namespace: str) -> None:
        old = (await api.post(core(namespace, "configmaps"), config_map("one"))).body
        path = core(namespace, "configmaps", "one")
        await api.patch(path, MERGE, {"data": {"new": "value"}})
        message = (
            'Operation cannot be fulfilled on configmaps "one": the object has been modified; '
            "please apply your changes to the latest version and try again"
        )
        assert is_failure(await api.put(path, {**old, "data": {"a": "b"}}), 409, "Conflict", message)
        version = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "data": {"a": "b"}}
        assert is_failure(await api.patch(path, MERGE, version), 409, "Conflict", message)

    async def test_invalid_deployment(self, api: KubernetesApi, namespace: str) -> None:
        body = deployment("x")
        body["spec"]["template"]["spec"]["containers"] = []
        refused = await api.post(apps(namespace, "deployments"), body)
        message = 'Deployment.apps "x" is invalid: spec.template.spec.containers: Required value'
        assert is_failure(refused, 422, "Invalid", message)
        cause = {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.template.spec.containers"}
        assert refused.body["details"]["causes"] == [cause]

    async def test_volumes_have_names_of_their_own(self, api: KubernetesApi, namespace: str) -> None:
        body = deployment("x")
        pod = body["spec"]["template"]["spec"]
        pod["volumes"] = [
            {"emptyDir": {}},
            {"name": "a", "emptyDir": {}},
            {"name": "a", "emptyDir": {}},
            {"name": "A b", "emptyDir": {}},
        ]
        refused = await api.post(apps(namespace, "deployments"), body)
        assert (refused.status, refused.body["reason"]) == (422, "Invalid")
        assert [(cause["field"], cause["reason"]) for cause in refused.body["details"]["causes"]] == [
            ("spec.template.spec.volumes[0].name", "FieldValueRequired"),
            ("spec.template.spec.volumes[2].name", "FieldValueDuplicate"),
            ("spec.template.spec.volumes[3].name", "FieldValueInvalid"),
        ]

    async def test_selector_is_required_and_must_match(self, api: KubernetesApi, namespace: str) -> None:
        body = deployment("x")
        del body["spec"]["selector"]
        refused = await api.post(apps(namespace, "deployments"), body)
        assert refused.message.startswith('Deployment.apps "x" is invalid: [spec.selector: Required value, ')
        body = deployment("x")
        body["spec"]["selector"] = {"matchLabels": {"app": "other"}}
        refused = await api.post(apps(namespace, "deployments"), body)
        assert refused.status == 422
        assert refused.message.endswith("`selector` does not match template `labels`")

    async def test_selector_is_immutable(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(apps(namespace, "deployments"), deployment(replicas=0))
        path = apps(namespace, "deployments", "echo-demo")
        labels = {"app": "other"}
        change = {"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}}
        refused = await api.patch(path, MERGE, change)
        assert refused.status == 422
        assert refused.message.startswith('Deployment.apps "echo-demo" is invalid: spec.selector: Invalid value: ')
        assert refused.message.endswith(": field is immutable")

    async def test_bad_names_and_labels(self, api: KubernetesApi, namespace: str) -> None:
        refused = await api.post(core(namespace, "configmaps"), config_map("Bad_Name"))
        assert refused.message.startswith('ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": ')
        refused = await api.post(core(namespace, "configmaps"), config_map("x", {"a": "b c"}))
        assert refused.message.startswith('ConfigMap "x" is invalid: metadata.labels: Invalid value: "b c": ')
        refused = await api.post(core(namespace, "configmaps"), {"metadata": {}})
        text = 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'
        assert is_failure(refused, 422, "Invalid", text)

    async def test_wrong_types(self, api: KubernetesApi, namespace: str) -> None:
        body = deployment("x")
        body["spec"]["replicas"] = "three"
        refused = await api.post(apps(namespace, "deployments"), body)
        assert (refused.status, refused.body["reason"]) == (400, "BadRequest")
        assert 'Deployment in version "v1" cannot be handled as a Deployment' in refused.message

    @pytest.mark.parametrize("body", [b"{", b"[]", b"3", b'"text"'])
    async def test_broken_bodies(self, api: KubernetesApi, namespace: str, body: bytes) -> None:
        refused = await api.request("POST", core(namespace, "configmaps"), body)
        assert (refused.status, refused.body["reason"]) == (400, "BadRequest")

    async def test_body_that_belongs_elsewhere(self, api: KubernetesApi, namespace: str) -> None:
        misplaced = config_map("x")
        misplaced["metadata"]["namespace"] = "other"
        refused = await api.post(core(namespace, "configmaps"), misplaced)
        text = "the namespace of the provided object does not match the namespace sent on the request"
        assert is_failure(refused, 400, "BadRequest", text)
        assert (await api.post(core(namespace, "configmaps"), deployment())).status == 400
        await api.post(core(namespace, "configmaps"), config_map("x"))
        renamed = await api.put(core(namespace, "configmaps", "x"), config_map("y"))
        text = "the name of the object (y) does not match the name on the URL (x)"
        assert is_failure(renamed, 400, "BadRequest", text)

    async def test_service_ports(self, api: KubernetesApi, namespace: str) -> None:
        body = service("x")
        body["spec"]["ports"][0]["nodePort"] = 80
        refused = await api.post(core(namespace, "services"), body)
        text = (
            'Service "x" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. '
            "The range of valid ports is 30000-32767"
        )
        assert is_failure(refused, 422, "Invalid", text)
        taken = (await api.post(core(namespace, "services"), service("first"))).body["spec"]["ports"][0]["nodePort"]
        body["spec"]["ports"][0]["nodePort"] = taken
        refused = await api.post(core(namespace, "services"), body)
        assert (refused.status, refused.body["reason"]) == (422, "Invalid")
        assert refused.message.endswith("provided port is already allocated")
        body["spec"] = {"type": "Nonsense", "ports": [{"port": 1}]}
        refused = await api.post(core(namespace, "services"), body)
        assert 'spec.type: Unsupported value: "Nonsense": supported values: ' in refused.message

    async def test_method_not_allowed(self, api: KubernetesApi, namespace: str) -> None:
        refused = await api.put(core(namespace, "configmaps"), config_map("x"))
        assert refused.status == 405
        text = "the server does not allow this method on the requested resource"
        assert is_failure(refused, 405, "MethodNotAllowed", text)


class TestPatches:
    async def test_merge_patch(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(core(namespace, "configmaps"), config_map("one", a="1", b="2"))
        patched = await api.patch(core(namespace, "configmaps", "one"), MERGE, {"data": {"a": None, "c": "3"}})
        assert patched.status == 200
        assert patched.body["data"] == {"b": "2", "c": "3"}

    async def test_json_patch(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(core(namespace, "configmaps"), config_map("one", a="1", b="2"))
        path = core(namespace, "configmaps", "one")
        operations: list[Object] = [
            {"op": "test", "path": "/data/a", "value": "1"},
            {"op": "remove", "path": "/data/a"},
            {"op": "add", "path": "/data/c~1d", "value": "3"},
        ]
        refused = await api.patch(path, JSON_PATCH, operations)
        assert refused.status == 422  # "c/d" is no valid key
        operations[2]["path"] = "/data/c"
        patched = await api.patch(path, JSON_PATCH, operations)
        assert patched.body["data"] == {"b": "2", "c": "3"}
        failed = await api.patch(path, JSON_PATCH, operations)
        assert (failed.status, failed.body["reason"]) == (422, "Invalid")

    async def test_strategic_merge_patch(self, api: KubernetesApi, namespace: str) -> None:
        body = deployment(replicas=0)
        container = body["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
        await api.post(apps(namespace, "deployments"), body)
        path = apps(namespace, "deployments", "echo-demo")
        env = [{"name": "A", "value": "9"}, {"name": "B", "$patch": "delete"}, {"name": "C", "value": "3"}]
        containers = [{"name": "echo", "image": "other:1", "env": env}, {"name": "side", "image": "side:1"}]
        change = {"spec": {"template": {"spec": {"containers": containers}}}}
        patched = await api.patch(path, STRATEGIC, change)
        found = {each["name"]: each for each in patched.body["spec"]["template"]["spec"]["containers"]}
        assert found["echo"]["image"] == "other:1"
        assert found["echo"]["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
        values = {each["name"]: each["value"] for each in found["echo"]["env"]}
        assert values == {"A": "9", "C": "3"}
        assert found["side"]["image"] == "side:1"

    async def test_unknown_patch_type(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(core(namespace, "configmaps"), config_map("one"))
        refused = await api.patch(core(namespace, "configmaps", "one"), "text/plain", {})
        assert (refused.status, refused.body["reason"]) == (415, "UnsupportedMediaType")


class TestServerSideApply:
    async def test_apply_creates_and_changes(self, api: KubernetesApi, namespace: str) -> None:
        path = apps(namespace, "deployments", "echo-demo")
        created = await api.apply(path, deployment(replicas=0))
        assert created.status == 201
        (entry,) = [each for each in created.body["metadata"]["managedFields"] if each["operation"] == "Apply"]
        assert entry["manager"] == "krake"
        assert entry["fieldsV1"]["f:spec"]["f:replicas"] == {}
        changed = await api.apply(path, deployment(image="other:1", replicas=0))
        assert changed.status == 200
        assert changed.body["spec"]["template"]["spec"]["containers"][0]["image"] == "other:1"

    async def test_an_unchanged_apply_writes_nothing(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "configmaps", "one")
        first = await api.apply(path, config_map("one", a="1"))
        again = await api.apply(path, config_map("one", a="1"))
        assert again.status == 200
        assert again.body["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]

    async def test_what_is_left_out_is_removed(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "configmaps", "one")
        await api.apply(path, config_map("one", {"x": "1", "y": "2"}, a="1", b="2"))
        await api.patch(path, MERGE, {"data": {"mine": "kept"}}, fieldManager="somebody")
        applied = await api.apply(path, config_map("one", {"x": "1"}, a="1"))
        assert applied.body["data"] == {"a": "1", "mine": "kept"}
        assert applied.body["metadata"]["labels"] == {"x": "1"}

    async def test_a_removed_field_gets_its_default_back(self, api: KubernetesApi, namespace: str) -> None:
        path = apps(namespace, "deployments", "echo-demo")
        body = deployment(replicas=0)
        body["spec"]["revisionHistoryLimit"] = 3
        body["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:1"})
        await api.apply(path, body)
        applied = await api.apply(path, deployment(replicas=0))
        assert applied.body["spec"]["revisionHistoryLimit"] == 10
        assert [each["name"] for each in applied.body["spec"]["template"]["spec"]["containers"]] == ["echo"]

    async def test_conflict_between_managers(self, api: KubernetesApi, namespace: str) -> None:
        path = apps(namespace, "deployments", "echo-demo")
        await api.apply(path, deployment(replicas=0), "first")
        refused = await api.apply(path, deployment(replicas=1), "second")
        message = 'Apply failed with 1 conflict: conflict with "first": .spec.replicas'
        assert is_failure(refused, 409, "Conflict", message)
        (cause,) = refused.body["details"]["causes"]
        assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".spec.replicas")
        assert cause["message"].startswith('conflict with "first"')
        forced = await api.apply(path, deployment(replicas=1), "second", force="true")
        assert forced.status == 200
        assert forced.body["spec"]["replicas"] == 1
        back = await api.apply(path, deployment(replicas=0), "first")
        assert back.message == 'Apply failed with 1 conflict: conflict with "second": .spec.replicas'

    async def test_several_conflicts(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "configmaps", "one")
        await api.apply(path, config_map("one", a="1", b="2"), "first")
        refused = await api.apply(path, config_map("one", a="x", b="y"), "second")
        message = 'Apply failed with 2 conflicts: conflicts with "first":\n- .data.a\n- .data.b'
        assert is_failure(refused, 409, "Conflict", message)

    async def test_conflict_with_an_update(self, api: KubernetesApi, namespace: str) -> None:
        path = apps(namespace, "deployments", "echo-demo")
        await api.apply(path, deployment(replicas=0))
        await api.patch(path, MERGE, {"spec": {"revisionHistoryLimit": 2}}, fieldManager="editor")
        body = deployment(replicas=0)
        body["spec"]["revisionHistoryLimit"] = 3
        refused = await api.apply(path, body)
        assert refused.status == 409
        assert refused.message.startswith('Apply failed with 1 conflict: conflict with "editor" using apps/v1')
        assert refused.message.endswith(": .spec.revisionHistoryLimit")

    async def test_equal_values_are_shared(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "configmaps", "one")
        await api.apply(path, config_map("one", a="1"), "first")
        assert (await api.apply(path, config_map("one", a="1"), "second")).status == 200
        left = await api.apply(path, config_map("one"), "second")
        assert left.body["data"] == {"a": "1"}
        assert "data" not in (await api.apply(path, config_map("one"), "first")).body

    async def test_conflict_in_a_keyed_list(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "services", "echo-demo")
        body = service()
        body["spec"]["ports"][0]["name"] = "web"
        await api.apply(path, body, "first")
        body["spec"]["ports"][0]["name"] = "other"
        refused = await api.apply(path, body, "second")
        text = 'Apply failed with 1 conflict: conflict with "first": .spec.ports[port=8080,protocol="TCP"].name'
        assert is_failure(refused, 409, "Conflict", text)

    async def test_field_manager_is_required(self, api: KubernetesApi, namespace: str) -> None:
        refused = await api.patch(core(namespace, "configmaps", "one"), APPLY, config_map("one"))
        text = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
        assert is_failure(refused, 422, "Invalid", text)

    async def test_dry_run(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "configmaps", "one")
        assert (await api.apply(path, config_map("one", a="1"), dryRun="All")).status == 201
        assert (await api.get(path)).status == 404
        await api.apply(path, config_map("one", a="1"))
        assert (await api.apply(path, config_map("one", a="2"), dryRun="All")).body["data"] == {"a": "2"}
        assert (await api.get(path)).body["data"] == {"a": "1"}

    async def test_yaml(self, api: KubernetesApi, namespace: str) -> None:
        text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: '1'\n"
        path = core(namespace, "configmaps", "one")
        params = {"fieldManager": "krake"}
        applied = await api.request("PATCH", path, text, content_type=APPLY, params=params)
        assert applied.body["data"] == {"a": "1"}


class TestListsAndWatches:
    async def test_selectors(self, api: KubernetesApi, namespace: str) -> None:
        for name, labels in (("a", {"tier": "web"}), ("b", {"tier": "db", "old": "yes"}), ("c", {})):
            await api.post(core(namespace, "configmaps"), config_map(name, labels))

        async def names(**params: str) -> set[str]:
            found = (await api.get(core(namespace, "configmaps"), **params)).body["items"]
            return {each["metadata"]["name"] for each in found} - {"kube-root-ca.crt"}

        assert await names() == {"a", "b", "c"}
        assert await names(labelSelector="tier=web") == {"a"}
        assert await names(labelSelector="tier!=web") == {"b", "c"}
        assert await names(labelSelector="tier in (web, db)") == {"a", "b"}
        assert await names(labelSelector="tier notin (web)") == {"b", "c"}
        assert await names(labelSelector="tier,!old") == {"a"}
        assert await names(labelSelector="!tier") == {"c"}
        assert await names(fieldSelector="metadata.name=b") == {"b"}
        assert await names(fieldSelector=f"metadata.name!=b,metadata.namespace={namespace}") == {"a", "c"}

    @pytest.mark.parametrize("params", [{"labelSelector": "a in b"}, {"fieldSelector": "data.a=1"}])
    async def test_bad_selectors(self, api: KubernetesApi, namespace: str, params: dict[str, str]) -> None:
        refused = await api.get(core(namespace, "configmaps"), **params)
        assert (refused.status, refused.body["reason"]) == (400, "BadRequest")

    async def test_lists(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(apps(namespace, "deployments"), deployment(replicas=0))
        found = (await api.get(apps(namespace, "deployments"))).body
        assert (found["kind"], found["apiVersion"]) == ("DeploymentList", "apps/v1")
        assert int(found["metadata"]["resourceVersion"]) > 0
        (item,) = found["items"]
        assert "kind" not in item
        everywhere = (await api.get("/apis/apps/v1/deployments")).body["items"]
        assert item["metadata"]["uid"] in {each["metadata"]["uid"] for each in everywhere}

    async def test_pages(self, api: KubernetesApi, namespace: str) -> None:
        for number in range(5):
            await api.post(core(namespace, "secrets"), {"metadata": {"name": f"s{number}"}, "type": "test/test"})
        fields = {"fieldSelector": "type=test/test"}
        page = (await api.get(core(namespace, "secrets"), limit="2", **fields)).body
        assert [each["metadata"]["name"] for each in page["items"]] == ["s0", "s1"]
        await api.delete(core(namespace, "secrets", "s3"))
        rest = []
        while page["metadata"].get("continue"):
            token = page["metadata"]["continue"]
            page = (await api.get(core(namespace, "secrets"), limit="2", **{"continue": token}, **fields)).body
            rest += [each["metadata"]["name"] for each in page["items"]]
        assert rest == ["s2", "s3", "s4"]  # as at the time of the first page

    async def test_delete_collection(self, api: KubernetesApi, namespace: str) -> None:
        for name, labels in (("a", {"go": "yes"}), ("b", {"go": "no"})):
            await api.post(core(namespace, "configmaps"), config_map(name, labels))
        await api.delete(core(namespace, "configmaps"), labelSelector="go=yes")
        assert (await api.get(core(namespace, "configmaps", "a"))).status == 404
        assert (await api.get(core(namespace, "configmaps", "b"))).status == 200

    async def test_watch_resumes_after_a_version(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "configmaps")
        first = (await api.post(path, config_map("one", {"w": "1"}))).body
        second = (await api.patch(f"{path}/one", MERGE, {"data": {"a": "1"}})).body
        await api.delete(f"{path}/one")
        version = first["metadata"]["resourceVersion"]
        options = {"resourceVersion": version, "labelSelector": "w=1", "timeoutSeconds": "1"}
        events = [event async for event in api.watch(path, **options)]
        assert [event["type"] for event in events] == ["MODIFIED", "DELETED"]
        assert events[0]["object"] == second
        removed = int(events[1]["object"]["metadata"]["resourceVersion"])
        assert removed > int(second["metadata"]["resourceVersion"])

    async def test_watch_shows_what_is_there_first(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "configmaps")
        await api.post(path, config_map("one", {"w": "1"}))
        events = []
        async for event in api.watch(path, labelSelector="w=1", timeoutSeconds="10"):
            events.append((event["type"], event["object"]["metadata"]["name"]))
            if len(events) == 1:
                await api.post(path, config_map("two", {"w": "1"}))
            else:
                break
        assert events == [("ADDED", "one"), ("ADDED", "two")]

    async def test_watch_follows_the_selector(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "configmaps")
        created = (await api.post(path, config_map("one"))).body
        for labels in ({"w": "1"}, {"w": "1", "x": "2"}, {"w": None}):
            await api.patch(f"{path}/one", MERGE, {"metadata": {"labels": labels}})
        version = created["metadata"]["resourceVersion"]
        options = {"resourceVersion": version, "labelSelector": "w=1", "timeoutSeconds": "1"}
        types = [event["type"] async for event in api.watch(path, **options)]
        assert types == ["ADDED", "MODIFIED", "DELETED"]

    async def test_watch_of_one_object(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "configmaps")
        for name in ("one", "two"):
            await api.post(path, config_map(name))
        options = {"fieldSelector": "metadata.name=two", "timeoutSeconds": "1"}
        names = [event["object"]["metadata"]["name"] async for event in api.watch(path, **options)]
        assert names == ["two"]


class TestWorkloads:
    async def test_deployment_becomes_available(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(apps(namespace, "deployments"), deployment(replicas=2))
        path = apps(namespace, "deployments", "echo-demo")
        ready = (await api.wait(path, is_available(2))).body
        conditions = {each["type"]: each for each in ready["status"]["conditions"]}
        assert conditions["Available"]["status"] == "True"
        (replica_set,) = (await api.get(apps(namespace, "replicasets"))).body["items"]
        assert replica_set["metadata"]["ownerReferences"][0]["uid"] == ready["metadata"]["uid"]
        pods = (await api.get(core(namespace, "pods"), labelSelector="app=echo")).body["items"]
        assert len(pods) == 2
        for pod in pods:
            assert pod["metadata"]["name"].startswith(replica_set["metadata"]["name"] + "-")
            assert pod["status"]["phase"] == "Running"
            assert pod["spec"]["nodeName"]
            assert pod["status"]["containerStatuses"][0]["ready"] is True

    async def test_rollout_and_scaling(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(apps(namespace, "deployments"), deployment(replicas=3))
        path = apps(namespace, "deployments", "echo-demo")
        await api.wait(path, is_available(3))
        await api.apply(path, deployment(image="other:1", replicas=2), force="true")
        await api.wait(path, is_available(2))

        def rolled_out(answer: Answer) -> bool:
            images = [pod["spec"]["containers"][0]["image"] for pod in answer.body["items"]]
            return images == ["other:1", "other:1"]

        await api.wait(core(namespace, "pods"), rolled_out)
        sets = (await api.get(apps(namespace, "replicasets"))).body["items"]
        assert sorted(each["spec"]["replicas"] for each in sets) == [0, 2]
        revisions = {each["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for each in sets}
        assert revisions == {"1", "2"}

    async def test_a_deleted_pod_is_replaced(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(apps(namespace, "deployments"), deployment())
        path = apps(namespace, "deployments", "echo-demo")
        await api.wait(path, is_available())
        (old,) = (await api.get(core(namespace, "pods"))).body["items"]
        await api.delete(core(namespace, "pods", old["metadata"]["name"]))

        def replaced(answer: Answer) -> bool:
            uids = [pod["metadata"]["uid"] for pod in answer.body["items"]]
            return len(uids) == 1 and uids != [old["metadata"]["uid"]]

        await api.wait(core(namespace, "pods"), replaced)

    async def test_deletion_takes_the_dependents_along(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(apps(namespace, "deployments"), deployment())
        path = apps(namespace, "deployments", "echo-demo")
        await api.wait(path, is_available())
        await api.delete(path, propagationPolicy="Foreground")
        await api.wait(path, lambda answer: answer.status == 404)
        assert (await api.get(apps(namespace, "replicasets"))).body["items"] == []
        await api.wait(core(namespace, "pods"), lambda answer: not answer.body["items"])

    async def test_deletion_can_leave_the_dependents(self, api: KubernetesApi, namespace: str) -> None:
        await api.post(apps(namespace, "deployments"), deployment())
        path = apps(namespace, "deployments", "echo-demo")
        await api.wait(path, is_available())
        await api.delete(path, {"propagationPolicy": "Orphan"})
        await api.wait(path, lambda answer: answer.status == 404)
        (left,) = (await api.get(apps(namespace, "replicasets"))).body["items"]
        assert "ownerReferences" not in left["metadata"]

    @pytest.mark.parametrize(("image", "reason"), [("missing:1", "ImagePullBackOff"), ("crash:1", "CrashLoopBackOff")])
    async def test_images_that_do_not_run(self, api: KubernetesApi, namespace: str, image: str, reason: str) -> None:
        await api.post(apps(namespace, "deployments"), deployment(image=image))

        def is_stuck(answer: Answer) -> bool:
            statuses = [each for pod in answer.body["items"] for each in pod["status"].get("containerStatuses", ())]
            return [each["state"].get("waiting", {}).get("reason") for each in statuses] == [reason]

        await api.wait(core(namespace, "pods"), is_stuck)
        status = (await api.get(apps(namespace, "deployments", "echo-demo"))).body["status"]
        assert status.get("availableReplicas", 0) == 0
        assert status["unavailableReplicas"] == 1

    async def test_job_completes(self, api: KubernetesApi, namespace: str) -> None:
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "job", "image": "busybox:1"}]}}
        body = {"metadata": {"name": "job"}, "spec": {"template": template, "completions": 2}}
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        assert (await api.post(path, body)).status == 201

        def is_complete(answer: Answer) -> bool:
            conditions = answer.body["status"].get("conditions") or ()
            return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)

        done = (await api.wait(f"{path}/job", is_complete)).body
        assert done["status"]["succeeded"] == 2
        assert done["status"]["completionTime"]
        await api.delete(f"{path}/job", propagationPolicy="Background")
        await api.wait(core(namespace, "pods"), lambda answer: not answer.body["items"])

    async def test_stateful_set(self, api: KubernetesApi, namespace: str) -> None:
        body = deployment("db", replicas=2)
        body["kind"] = "StatefulSet"
        body["spec"]["serviceName"] = "db"
        assert (await api.post(apps(namespace, "statefulsets"), body)).status == 201
        path = apps(namespace, "statefulsets", "db")
        await api.wait(path, lambda answer: answer.body["status"].get("readyReplicas") == 2)
        pods = (await api.get(core(namespace, "pods"))).body["items"]
        assert [pod["metadata"]["name"] for pod in pods] == ["db-0", "db-1"]

    async def test_daemon_set(self, api: KubernetesApi, namespace: str) -> None:
        body = deployment("agent")
        body["kind"] = "DaemonSet"
        del body["spec"]["replicas"]
        assert (await api.post(apps(namespace, "daemonsets"), body)).status == 201
        nodes = (await api.get("/api/v1/nodes")).body["items"]

        def is_everywhere(answer: Answer) -> bool:
            return bool(answer.body["status"].get("numberReady") == len(nodes))

        await api.wait(apps(namespace, "daemonsets", "agent"), is_everywhere)

    async def test_service_has_endpoints(self, api: KubernetesApi, namespace: str) -> None:
        made = (await api.post(core(namespace, "services"), service())).body
        assert 30000 <= made["spec"]["ports"][0]["nodePort"] <= 32767
        await api.post(apps(namespace, "deployments"), deployment(replicas=2))

        def addresses(answer: Answer) -> list[str]:
            subsets = answer.body.get("subsets") or ()
            return [each["ip"] for subset in subsets for each in subset.get("addresses") or ()]

        path = core(namespace, "endpoints", "echo-demo")
        full = await api.wait(path, lambda answer: len(addresses(answer)) == 2)
        ports = [{key: port[key] for key in ("port", "protocol")} for port in full.body["subsets"][0]["ports"]]
        assert ports == [{"port": 8080, "protocol": "TCP"}]
        await api.patch(apps(namespace, "deployments", "echo-demo"), MERGE, {"spec": {"replicas": 0}})
        await api.wait(path, lambda answer: not addresses(answer))
        await api.delete(core(namespace, "services", "echo-demo"))
        await api.wait(path, lambda answer: answer.status == 404)

    async def test_service_keeps_what_was_allocated(self, api: KubernetesApi, namespace: str) -> None:
        path = core(namespace, "services", "echo-demo")
        first = (await api.apply(path, service())).body["spec"]
        again = (await api.apply(path, service())).body["spec"]
        assert again["ports"] == first["ports"]
        assert again["clusterIP"] == first["clusterIP"]
        inner = (await api.apply(path, service(type_="ClusterIP"))).body["spec"]
        assert inner["clusterIP"] == first["clusterIP"]
        assert "nodePort" not in inner["ports"][0]

    async def test_nodes(self, api: KubernetesApi) -> None:
        def all_ready(answer: Answer) -> bool:
            states = [
                condition["status"]
                for node in answer.body["items"]
                for condition in node["status"]["conditions"]
                if condition["type"] == "Ready"
            ]
            return bool(states) and set(states) == {"True"}

        nodes = (await api.wait("/api/v1/nodes", all_ready)).body["items"]
        for node in nodes:
            assert {"cpu", "memory", "pods"} <= node["status"]["allocatable"].keys()
            assert node["metadata"]["labels"]["kubernetes.io/hostname"]


class TestNamespaces:
    async def test_those_of_every_cluster(self, api: KubernetesApi) -> None:
        found = {each["metadata"]["name"] for each in (await api.get("/api/v1/namespaces")).body["items"]}
        assert {"default", "kube-system", "kube-public", "kube-node-lease"} <= found

    async def test_a_namespace_goes_with_its_contents(self, api: KubernetesApi, namespace: str) -> None:
        held = config_map("held")
        held["metadata"]["finalizers"] = ["krake.example/hold"]
        await api.post(core(namespace, "configmaps"), held)
        await api.post(apps(namespace, "deployments"), deployment())
        path = f"/api/v1/namespaces/{namespace}"
        deleted = await api.delete(path)
        assert deleted.status == 200
        await api.wait(path, lambda answer: answer.body["status"]["phase"] == "Terminating")
        await api.wait(apps(namespace, "deployments"), lambda answer: not answer.body["items"])
        refused = await api.post(core(namespace, "configmaps"), config_map("late"))
        assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
        text = f"unable to create new content in namespace {namespace} because it is being terminated"
        assert refused.message == f'configmaps "late" is forbidden: {text}'
        await api.patch(core(namespace, "configmaps", "held"), MERGE, {"metadata": {"finalizers": None}})
        await api.wait(path, lambda answer: answer.status == 404)


@pytest.fixture
async def definition(api: KubernetesApi) -> AsyncIterator[Object]:
    """A custom kind of its own for each test."""
    group = f"g{secrets.token_hex(4)}.krake.example"
    size = {"type": "integer", "minimum": 1, "default": 3}
    spec = {
        "type": "object",
        "properties": {"size": size, "image": {"type": "string"}, "list": {"type": "array", "items": {"type": "string"}}},
        "required": ["image"],
    }
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": spec, "status": status}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"engines.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "engines", "kind": "Engine"},
            "versions": [version, {**version, "name": "v2", "storage": False}],
        },
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    created = await api.post(path, body)
    assert created.status == 201
    await api.wait(f"/apis/{group}/v1/engines", lambda answer: answer.status == 200)
    yield created.body
    await api.delete(f"{path}/engines.{group}")


class TestCustomResources:
    def path(self, definition: Object, namespace: str, name: str = "", version: str = "v1") -> str:
        group = definition["spec"]["group"]
        return f"/apis/{group}/{version}/namespaces/{namespace}/engines" + (f"/{name}" if name else "")

    def engine(self, definition: Object, **spec: Any) -> Object:
        group = definition["spec"]["group"]
        return {
            "apiVersion": f"{group}/v1",
            "kind": "Engine",
            "metadata": {"name": "one"},
            "spec": {"image": "engine:1", **spec},
        }

    async def test_the_definition_is_established(self, api: KubernetesApi, definition: Object) -> None:
        name = definition["metadata"]["name"]
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        conditions = {each["type"]: each["status"] for each in (await api.get(path)).body["status"]["conditions"]}
        assert conditions["Established"] == "True"
        group = definition["spec"]["group"]
        resources = (await api.wait(f"/apis/{group}/v1", lambda answer: answer.status == 200)).body["resources"]
        assert {"engines", "engines/status"} == {each["name"] for each in resources}

    async def test_create_and_read(self, api: KubernetesApi, definition: Object, namespace: str) -> None:
        body = self.engine(definition, unknown="dropped")
        created = await api.post(self.path(definition, namespace), body)
        assert created.status == 201
        assert created.body["spec"] == {"image": "engine:1", "size": 3}
        assert created.body["metadata"]["generation"] == 1
        listed = (await api.get(self.path(definition, namespace))).body
        assert listed["kind"] == "EngineList"
        assert listed["items"][0]["kind"] == "Engine"
        other = (await api.get(self.path(definition, namespace, "one", "v2"))).body
        assert other["apiVersion"] == f"{definition['spec']['group']}/v2"

    async def test_schema_is_checked(self, api: KubernetesApi, definition: Object, namespace: str) -> None:
        refused = await api.post(self.path(definition, namespace), self.engine(definition, size=0))
        group = definition["spec"]["group"]
        text = (
            f'Engine.{group} "one" is invalid: spec.size: Invalid value: 0: '
            "spec.size in body should be greater than or equal to 1"
        )
        assert is_failure(refused, 422, "Invalid", text)
        wrong = await api.post(self.path(definition, namespace), self.engine(definition, image=3))
        assert wrong.status == 422
        assert 'spec.image in body must be of type string: "integer"' in wrong.message
        body = self.engine(definition)
        del body["spec"]["image"]
        missing = await api.post(self.path(definition, namespace), body)
        assert missing.message.startswith(f'Engine.{group} "one" is invalid: spec.image: Required value')

    async def test_status_is_written_apart(self, api: KubernetesApi, definition: Object, namespace: str) -> None:
        body = {**self.engine(definition), "status": {"phase": "dropped"}}
        created = (await api.post(self.path(definition, namespace), body)).body
        assert "status" not in created
        path = self.path(definition, namespace, "one")
        patched = (await api.patch(f"{path}/status", MERGE, {"status": {"phase": "up"}, "spec": {"size": 9}})).body
        assert patched["status"] == {"phase": "up"}
        assert patched["spec"]["size"] == 3
        assert patched["metadata"]["generation"] == 1

    async def test_patches(self, api: KubernetesApi, definition: Object, namespace: str) -> None:
        await api.post(self.path(definition, namespace), self.engine(definition, list=["a"]))
        path = self.path(definition, namespace, "one")
        merged = await api.patch(path, MERGE, {"spec": {"list": ["b"], "size": 4}})
        assert merged.body["spec"] == {"image": "engine:1", "list": ["b"], "size": 4}
        refused = await api.patch(path, STRATEGIC, {"spec": {}})
        text = (
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        )
        assert is_failure(refused, 415, "UnsupportedMediaType", text)

    async def test_update_needs_a_version(self, api: KubernetesApi, definition: Object, namespace: str) -> None:
        await api.post(self.path(definition, namespace), self.engine(definition))
        refused = await api.put(self.path(definition, namespace, "one"), self.engine(definition, size=5))
        assert refused.status == 422
        assert "metadata.resourceVersion: Invalid value: " in refused.message
        assert refused.message.endswith("must be specified for an update")

    async def test_apply(self, api: KubernetesApi, definition: Object, namespace: str) -> None:
        path = self.path(definition, namespace, "one")
        assert (await api.apply(path, self.engine(definition, size=4, list=["a"]))).status == 201
        applied = await api.apply(path, self.engine(definition))
        assert applied.status == 200
        assert applied.body["spec"] == {"image": "engine:1", "size": 3}
        refused = await api.apply(path, self.engine(definition, image="engine:2"), "other")
        text = 'Apply failed with 1 conflict: conflict with "krake": .spec.image'
        assert is_failure(refused, 409, "Conflict", text)

    async def test_objects_go_with_the_definition(self, api: KubernetesApi, definition: Object, namespace: str) -> None:
        await api.post(self.path(definition, namespace), self.engine(definition))
        name = definition["metadata"]["name"]
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        await api.delete(path)
        await api.wait(path, lambda answer: answer.status == 404)
        await api.wait(self.path(definition, namespace), lambda answer: answer.status == 404)


async def test_many_clients_at_once(api: KubernetesApi, namespace: str) -> None:
    """Writers that clash are told so, and nothing is lost."""
    path = core(namespace, "configmaps", "one")
    await api.post(core(namespace, "configmaps"), config_map("one"))

    async def add(number: int) -> None:
        while True:
            current = (await api.get(path)).body
            current.setdefault("data", {})[f"k{number}"] = "v"
            if (await api.put(path, current)).status == 200:
                return

    await asyncio.gather(*(add(number) for number in range(8)))
    assert len((await api.get(path)).body["data"]) == 8


async def test_a_cut_watch_can_be_resumed(api: KubernetesApi, namespace: str) -> None:
    path = core(namespace, "configmaps")
    listed = (await api.get(path)).body
    version = listed["metadata"]["resourceVersion"]
    seen = []
    for number in range(3):
        await api.post(path, config_map(f"c{number}"))
        async with api.open("GET", path, params={"watch": "true", "resourceVersion": version}) as response:
            event = await response.content.readline()
        document = json.loads(event)
        version = document["object"]["metadata"]["resourceVersion"]
        seen.append(document["object"]["metadata"]["name"])
    assert seen == ["c0", "c1", "c2"]
