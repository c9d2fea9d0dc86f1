"""Whatever a client sends, it gets an answer of the API and no 500, and the controllers go on."""

import asyncio
import copy
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from krake.simulator import Settings, SimulatedCluster
from krake.simulator.kubernetes import calls
from krake.simulator.kubernetes.calls import Call
from krake.simulator.kubernetes.kinds import BY_RESOURCE, Object
from krake.simulator.kubernetes.paths import Target
from krake.simulator.kubernetes.status import ApiStatus

POD = {
    "containers": [
        {
            "name": "c",
            "image": "i",
            "env": [{"name": "A", "value": "b"}],
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "resources": {"requests": {"cpu": "1"}},
            "livenessProbe": {"httpGet": {"port": 80}},
        }
    ],
    "volumes": [{"name": "v", "configMap": {"name": "x"}}],
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "a"}],
}
TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": POD}
SELECTOR = {"matchLabels": {"app": "x"}, "matchExpressions": [{"key": "app", "operator": "In", "values": ["x"]}]}
REPLICATED = {"replicas": 1, "selector": SELECTOR, "template": TEMPLATE}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "25%"}}
SPECS: dict[str, Object] = {
    "pods": {"spec": POD},
    "services": {"spec": {"type": "NodePort", "selector": {"app": "x"}, "ports": [{"port": 80, "targetPort": 80}]}},
    "configmaps": {"data": {"a": "b"}},
    "secrets": {"data": {"a": "YQ=="}, "stringData": {"b": "c"}, "type": "Opaque"},
    "namespaces": {"spec": {"finalizers": ["kubernetes"]}},
    "persistentvolumeclaims": {"spec": CLAIM},
    "persistentvolumes": {"spec": {"capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}},
    "endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    "nodes": {"spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
    "deployments.apps": {"spec": {**REPLICATED, "strategy": ROLLING}},
    "statefulsets.apps": {
        "spec": {**REPLICATED, "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": CLAIM}]},
    },
    "daemonsets.apps": {"spec": {"selector": SELECTOR, "template": TEMPLATE, "updateStrategy": ROLLING}},
    "jobs.batch": {"spec": {"completions": 1, "template": {"spec": {**POD, "restartPolicy": "Never"}}}},
    "cronjobs.batch": {
        "spec": {
            "schedule": "* * * * *",
            "jobTemplate": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}},
        }
    },
    "rolebindings.rbac.authorization.k8s.io": {"roleRef": {"kind": "Role", "name": "x"}, "subjects": [{"kind": "User"}]},
    "customresourcedefinitions.apiextensions.k8s.io": {
        "spec": {
            "group": "a.b",
            "scope": "Namespaced",
            "names": {"plural": "xs", "kind": "X", "shortNames": ["x"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}},
                }
            ],
        }
    },
}
METADATA = {
    "name": "x",
    "labels": {"a": "b"},
    "annotations": {"a": "b"},
    "finalizers": [],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}],
}
NONSENSE: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        10**12,
        1.5,
        "",
        "x y",
        "25%",
        "%",
        [],
        {},
        [None],
        [{}],
        ["a"],
        [[]],
        {"a": None},
        {"": 1},
        {"a": {"b": []}},
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def spoil(document: Object, path: tuple[Any, ...], nonsense: Any) -> Object:
    spoiled = copy.deepcopy(document)
    container: Any = spoiled
    for key in path[:-1]:
        container = container[key]
    container[path[-1]] = copy.deepcopy(nonsense)
    return spoiled


def call(resource: str, body: Object, name: str | None = None, content_type: str = "application/json", **query: str) -> Call:
    kind = BY_RESOURCE[resource]
    namespace = "default" if kind.namespaced else None
    target = Target(kind.group, kind.version, kind.plural, namespace, name)
    return Call(kind, target, query, json.dumps(body).encode(), content_type, "test/1")


def status_of(carry_out: Callable[[], Any]) -> int:
    try:
        carry_out()
    except ApiStatus as error:
        return error.code
    return 200


@pytest.mark.parametrize("resource", SPECS)
async def test_a_spoiled_manifest_is_taken_or_refused(resource: str, caplog: pytest.LogCaptureFixture) -> None:
    name = "xs.a.b" if resource.startswith("custom") else "x"
    good = {"metadata": {**METADATA, "name": name}, **SPECS[resource]}
    instant = Settings(start_delay=0, finish_delay=0, stop_delay=0)
    kinds = [calls.MERGE_PATCH, calls.STRATEGIC_PATCH, calls.APPLY_PATCH]

    async def attempt(body: Object) -> None:
        async with SimulatedCluster("fuzz", instant) as cluster:
            resources = cluster.resources
            for carry_out, document in (
                (lambda: calls.create_object(call(resource, body), resources), body),
                (lambda: calls.create_object(call(resource, good), resources), good),
                (lambda: calls.update_object(call(resource, {**body, "metadata": {"name": name}}, name), resources), body),
                *(
                    (
                        lambda kind=kind: calls.patch_object(
                            call(resource, body, name, kind, fieldManager="f", force="true"), resources
                        ),
                        body,
                    )
                    for kind in kinds
                ),
            ):
                assert status_of(carry_out) < 500, document
                for _ in range(20):
                    await asyncio.sleep(0)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(list(places(good))), NONSENSE)
    def check(path: tuple[Any, ...], nonsense: Any) -> None:
        asyncio.run_coroutine_threadsafe(attempt(spoil(good, path, nonsense)), loop).result(60)

    loop = asyncio.get_running_loop()
    with caplog.at_level(logging.ERROR, "krake.simulator"):
        await asyncio.to_thread(check)
    assert not caplog.records, caplog.text
