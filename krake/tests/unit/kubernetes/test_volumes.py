"""Which volumes are copied, by which objects, and how workloads are stopped and started."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kubernetes.applications import UID, config_map, declared, deployment

from krake.controller.kubernetes.application.settings import MigrationConfig
from krake.controller.kubernetes.application.volumes.copier import LARGEST_STEP, _further
from krake.controller.kubernetes.application.volumes.credentials import Credentials, issue
from krake.controller.kubernetes.application.volumes.pair import Pair, address_of
from krake.controller.kubernetes.application.volumes.plan import (
    Claim,
    declared_claims,
    group,
    has_claims,
    job_of,
    made_claims,
    object_of,
    ordinals_of,
)
from krake.controller.kubernetes.application.volumes.stopping import (
    is_still,
    must_be_deleted,
    replicas_of,
    start_patch,
    stop_patch,
)
from krake.data.kubernetes import VolumeCopy

names = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


def claim(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def mounting(name: str, *claims: str, **spec: Any) -> dict[str, Any]:
    obj = deployment(name)
    pod = obj["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    pod.update(spec)
    return obj


def stateful_set(name: str, *templates: str, mounted: tuple[str, ...] = ()) -> dict[str, Any]:
    obj = mounting(name, *mounted)
    obj["kind"] = "StatefulSet"
    obj["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": each}, "spec": claim(each)["spec"]} for each in templates]
    return obj


def claims(*found: str) -> list[Claim]:
    return [Claim("default", each) for each in found]


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ([], False),
        ([config_map(), deployment()], False),
        ([claim("a")], True),
        ([stateful_set("db", "data")], True),
        ([stateful_set("db")], False),
        ([mounting("x", ephemeral=True)], False),
        ([{"kind": "StatefulSet", "spec": "nonsense"}], False),
        ([{"kind": "StatefulSet", "spec": {"volumeClaimTemplates": ["nonsense", {}]}}], False),
    ],
)
def test_claims_are_those_declared_and_those_of_stateful_sets(manifest: list[dict[str, Any]], expected: bool) -> None:
    assert has_claims(manifest) is expected


def test_generic_ephemeral_volumes_are_not_copied() -> None:
    template = {"volumeClaimTemplate": {"spec": claim("x")["spec"]}}
    obj = mounting("web", "kept")
    obj["spec"]["template"]["spec"]["volumes"].append({"name": "scratch", "ephemeral": template})
    assert declared_claims(declared(claim("kept"), obj)) == claims("kept")


def test_claims_of_one_pod_are_copied_together() -> None:
    objects = declared(*map(claim, "abcd"), mounting("web", "a", "b"), mounting("other", "b", "c"))
    found = [set(each.claims) for each in group(objects, claims("a", "b", "c", "d"))]
    assert found == [set(claims("a", "b")), set(claims("c")), set(claims("d"))]


def test_each_pod_of_a_stateful_set_has_its_own_job() -> None:
    objects = declared(claim("shared"), stateful_set("db", "data", "log", mounted=("shared",)))
    found = group(objects, claims("shared", "data-db-0", "log-db-0", "data-db-1", "log-db-1", "data-db-10"))
    assert [set(each.claims) for each in found] == [
        set(claims("shared", "data-db-0", "log-db-0")),
        set(claims("data-db-1", "log-db-1")),
        set(claims("data-db-10")),
    ]


@given(st.lists(st.tuples(names, st.lists(names, max_size=4)), max_size=5), st.lists(names, unique=True, max_size=8))
def test_each_claim_is_copied_by_exactly_one_job(pods: list[tuple[str, list[str]]], found: list[str]) -> None:
    objects = declared(*(mounting(f"{name}-{index}", *mounted) for index, (name, mounted) in enumerate(pods)))
    groups = group(objects, claims(*found))
    assert sorted(each for one in groups for each in one.claims) == sorted(claims(*found))
    assert len({job_of(UID, one.claims) for one in groups}) == len(groups)


@given(names, names, st.integers(0, 2000))
def test_the_claims_of_a_stateful_set_are_known_by_their_names(name: str, template: str, ordinal: int) -> None:
    (made,) = made_claims(declared(stateful_set(name, template)))
    assert made.claim(ordinal) == Claim("default", f"{template}-{name}-{ordinal}")
    assert made.ordinal(made.claim(ordinal)) == ordinal
    assert made.ordinal(Claim("elsewhere", made.claim(ordinal).name)) is None
    assert made.ordinal(Claim("default", f"{template}-{name}-0{ordinal}")) is None
    assert made.ordinal(Claim("default", f"x{template}-{name}-{ordinal}")) is None


def test_ordinals_may_start_anywhere() -> None:
    assert list(ordinals_of({"spec": {"ordinals": {"start": 5}}}, 3)) == [5, 6, 7]
    assert list(ordinals_of({"spec": {}}, 2)) == [0, 1]


def test_claims_that_were_enlarged_are_as_large_on_the_target() -> None:
    objects = declared(claim("a"), stateful_set("db", "data"))
    larger = {"spec": {"resources": {"requests": {"storage": "5Gi"}}}}
    found = object_of(Claim("default", "data-db-0"), objects, UID, larger)
    assert found is not None
    assert found["spec"]["resources"]["requests"] == {"storage": "5Gi"}
    assert found["metadata"]["labels"]["app"] == "db"
    smaller = {"spec": {"resources": {"requests": {"storage": "10Mi"}}}}
    assert (object_of(Claim("default", "data-db-0"), objects, UID, smaller) or {})["spec"]["resources"] == {
        "requests": {"storage": "1Gi"}
    }
    assert object_of(Claim("default", "a"), objects, UID, larger) == objects[0].object
    assert object_of(Claim("default", "gone"), objects, UID, None) is None


PAIR = Pair(UID, "default", "krake-volumes-1", ["a", "b"], {})
CONFIG = MigrationConfig()


def test_the_source_can_not_be_written_to() -> None:
    mounts = PAIR.source_job(CONFIG)["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {each["mountPath"]: each.get("readOnly") for each in mounts if each["mountPath"].startswith("/volumes")} == {
        "/volumes/a": True,
        "/volumes/b": True,
    }


def test_the_key_of_the_source_stays_there() -> None:
    credentials = issue(datetime.now(UTC))
    assert Credentials.of(PAIR.source_secret(credentials)) == credentials
    target = PAIR.target_secret(credentials, [("node", 30000)])["data"]
    assert json.loads(base64.b64decode(target["addresses"])) == [["node", 30000]]
    assert "tls.key" not in target
    assert Credentials.of({"data": target}) is None


@pytest.mark.parametrize("data", [None, {}, {"token": "%%%"}, {"token": 5, "tls.crt": "", "tls.key": ""}])
def test_a_broken_secret_is_no_credentials(data: Any) -> None:
    assert Credentials.of({"data": data}) is None


def test_the_target_job_runs_where_the_application_will() -> None:
    affinity = {"nodeAffinity": {"x": 1}, "podAntiAffinity": {"y": 2}}
    pod = {"nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "t"}], "affinity": affinity, "hostNetwork": True}
    spec = PAIR._replace(pod=pod).target_job(CONFIG)["spec"]["template"]["spec"]
    assert (spec["nodeSelector"], spec["tolerations"]) == ({"disk": "fast"}, [{"key": "t"}])
    assert spec["affinity"] == {"nodeAffinity": {"x": 1}}
    assert "hostNetwork" not in spec


@pytest.mark.parametrize(
    ("spec", "status", "host_ip", "expected"),
    [
        ({"type": "NodePort", "ports": [{"nodePort": 30001}]}, {}, "10.0.0.5", [("api", 30001), ("10.0.0.5", 30001)]),
        ({"type": "NodePort", "ports": [{"nodePort": 30001}]}, {}, "api", [("api", 30001)]),
        ({"type": "NodePort", "ports": [{}]}, {}, "10.0.0.5", []),
        ({"type": "LoadBalancer", "ports": [{}]}, {}, "10.0.0.5", []),
        ({"type": "LoadBalancer", "ports": [{}]}, {"loadBalancer": {"ingress": [{"hostname": "lb"}]}}, "", [("lb", 8443)]),
    ],
)
def test_where_the_source_is(spec: Any, status: Any, host_ip: str, expected: list[tuple[str, int]]) -> None:
    assert address_of({"spec": spec, "status": status}, {"status": {"hostIP": host_ip}}, "api") == expected


def merged(obj: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """What Kubernetes makes of a merge patch."""
    result = dict(obj)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key) or {}, value) if isinstance(value, dict) else value
    return result


WORKLOADS = [
    {"kind": "Deployment", "spec": {"replicas": 3}},
    {"kind": "StatefulSet", "spec": {"replicas": 1}},
    {"kind": "ReplicaSet", "spec": {"replicas": 7}},
    {"kind": "CronJob", "spec": {"suspend": False}},
    {"kind": "DaemonSet", "spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}},
]


@pytest.mark.parametrize("obj", WORKLOADS, ids=lambda obj: str(obj["kind"]))
def test_what_was_stopped_is_started_as_it_was(obj: dict[str, Any]) -> None:
    obj = {**obj, "metadata": {"name": "x", "annotations": {"mine": "kept"}}}
    patch = stop_patch(obj)
    assert patch is not None
    stopped = merged(obj, patch)
    assert stop_patch(stopped) is None
    if obj["kind"] != "DaemonSet":
        assert replicas_of(stopped) == obj["spec"].get("replicas", 1)
    started = start_patch(stopped)
    assert started is not None
    assert merged(stopped, started) == obj
    assert start_patch(obj) is None


def test_what_somebody_starts_meanwhile_is_stopped_again_but_remembered_as_it_was() -> None:
    obj = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": 3}}
    stopped = merged(obj, stop_patch(obj) or {})
    meddled = merged(stopped, {"spec": {"replicas": 9}})
    again = merged(meddled, stop_patch(meddled) or {})
    assert again["spec"]["replicas"] == 0
    assert replicas_of(again) == 3


def test_what_runs_on_no_account_is_left_alone() -> None:
    for spec in ({"kind": "Deployment", "spec": {"replicas": 0}}, {"kind": "CronJob", "spec": {"suspend": True}}):
        assert stop_patch({**spec, "metadata": {"name": "x"}}) is None


@pytest.mark.parametrize("annotation", ["", "nonsense", "-1", "1.5"])
def test_an_annotation_that_somebody_has_broken_does_no_harm(annotation: str) -> None:
    obj = {"kind": "Deployment", "metadata": {"annotations": {"krake.cloud/stopped": annotation}}, "spec": {"replicas": 2}}
    assert replicas_of(obj) == 2
    assert merged(obj, start_patch(obj) or {}) == {
        "kind": "Deployment",
        "metadata": {"annotations": {}},
        "spec": {"replicas": 2},
    }


def test_jobs_and_pods_that_have_ended_are_left_alone() -> None:
    done = {"kind": "Job", "metadata": {}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    assert not must_be_deleted(done)
    assert must_be_deleted({"kind": "Job", "metadata": {}, "status": {"active": 1}})
    assert must_be_deleted({"kind": "Pod", "metadata": {}, "status": {"phase": "Running"}})
    assert not must_be_deleted({"kind": "Pod", "metadata": {}, "status": {"phase": "Failed"}})


def test_a_workload_is_still_once_its_controller_says_so() -> None:
    obj: dict[str, Any] = {"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 0}}
    assert not is_still({**obj, "status": {"observedGeneration": 1}})
    assert not is_still({**obj, "status": {"observedGeneration": 2, "replicas": 1}})
    assert is_still({**obj, "status": {"observedGeneration": 2}})


@given(st.integers(1, 1 << 50), st.lists(st.integers(1, 1 << 44), min_size=1, max_size=200))
def test_progress_is_written_down_seldom_but_reaches_the_end(total: int, gains: list[int]) -> None:
    volume, done, writes = VolumeCopy(claim="a", namespace="b", bytes_total=total, state="copying"), 0, 0
    for gain in gains:
        done = min(total, done + gain)
        further = _further(volume, (done, total))
        writes += further != volume
        assert done - further.bytes_done < max(1, min(total // 100, LARGEST_STEP))
        volume = further
    assert writes <= 101 + total // LARGEST_STEP
