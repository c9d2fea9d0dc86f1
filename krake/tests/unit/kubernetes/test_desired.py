"""What should be on a cluster."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kubernetes.applications import UID, app, config_map, deployment

from krake.controller.kubernetes.application.desired import (
    DIGEST_ANNOTATION,
    InvalidManifest,
    declare,
    defined_types,
    recorded_identity,
)
from krake.data.secrets import MARK
from krake.ports.cluster import APPLICATION_ANNOTATION, OWNER_LABEL, ObjectType

CLUSTER_WIDE = {"Namespace", "CustomResourceDefinition", "ClusterRole"}


def is_namespaced(type_: ObjectType) -> bool:
    return type_.kind not in CLUSTER_WIDE


def test_objects_get_the_default_namespace_and_the_marks_of_the_application() -> None:
    (declared,) = declare(app(), [config_map(a="1")], is_namespaced, "shop")
    assert declared.identity == (ObjectType("v1", "ConfigMap"), "shop", "settings")
    metadata = declared.object["metadata"]
    assert metadata["namespace"] == "shop"
    assert metadata["labels"] == {"app.kubernetes.io/managed-by": "krake", OWNER_LABEL: UID}
    assert metadata["annotations"] == {APPLICATION_ANNOTATION: "red/app", DIGEST_ANNOTATION: declared.digest}
    assert declared.recorded == {**config_map(a="1"), "metadata": {"name": "settings", "namespace": "shop"}}


def test_pods_are_marked_too_and_selectors_are_not() -> None:
    (declared,) = declare(app(), [deployment()], is_namespaced, "default")
    spec = declared.object["spec"]
    assert spec["template"]["metadata"]["labels"] == {"app": "echo", OWNER_LABEL: UID}
    assert spec["selector"] == {"matchLabels": {"app": "echo"}}


def test_pods_of_cron_jobs_are_marked() -> None:
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {}}}}},
    }
    (declared,) = declare(app(), [cron], is_namespaced, "default")
    template = declared.object["spec"]["jobTemplate"]
    assert template["metadata"]["labels"] == {OWNER_LABEL: UID}
    assert template["spec"]["template"]["metadata"]["labels"] == {OWNER_LABEL: UID}


def test_nobody_can_pass_an_object_off_as_another_application_s() -> None:
    forged = config_map()
    forged["metadata"]["labels"] = {OWNER_LABEL: "somebody-else", "app.kubernetes.io/managed-by": "Helm"}
    (declared,) = declare(app(), [forged], is_namespaced, "default")
    assert declared.object["metadata"]["labels"] == {OWNER_LABEL: UID, "app.kubernetes.io/managed-by": "Helm"}


def test_what_the_cluster_maintains_is_left_out() -> None:
    exported = config_map()
    exported["metadata"] |= {"uid": "x", "resourceVersion": "7", "creationTimestamp": None, "managedFields": []}
    (declared,) = declare(app(), [{**exported, "status": {"phase": "x"}}], is_namespaced, "default")
    assert declared.object["metadata"].keys() == {"name", "namespace", "labels", "annotations"}
    assert "status" not in declared.object


def test_what_others_need_comes_first() -> None:
    kinds = ["Ingress", "Deployment", "Service", "ConfigMap", "CustomResourceDefinition", "Backup", "Namespace"]
    manifest = [{"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}} for kind in kinds]
    declared = declare(app(), manifest, is_namespaced, "default")
    assert [each.identity.type.kind for each in declared] == [
        "Namespace", "CustomResourceDefinition", "ConfigMap", "Service", "Deployment", "Ingress", "Backup",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ([{**config_map(), "kind": "Secret", "data": {"a": MARK}}], "permission to get applications/secrets"),
        ([config_map(), config_map()], "ConfigMap default/settings is declared twice"),
        ([{**config_map(), "metadata": {"name": "x", "namespace": 7}}], "metadata.namespace of ConfigMap x is not a text"),
        ([{**config_map(), "metadata": {"name": "x", "labels": ["a"]}}], "The labels of an object must be a mapping"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(manifest: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InvalidManifest, match=said):
        declare(app(*manifest), manifest, is_namespaced, "default")


def test_the_same_name_in_two_namespaces_is_two_objects() -> None:
    first, second = config_map(), config_map()
    second["metadata"]["namespace"] = "other"
    assert len({each.identity for each in declare(app(), [first, second], is_namespaced, "default")}) == 2


def test_types_that_the_manifest_defines_are_known() -> None:
    spec = {
        "group": "example.org",
        "scope": "Cluster",
        "names": {"kind": "Backup"},
        "versions": [{"name": "v1"}, {"name": "v2"}],
    }
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    assert defined_types([definition]) == {
        ObjectType("example.org/v1", "Backup"): False, ObjectType("example.org/v2", "Backup"): False
    }  # fmt: skip


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.sampled_from(["Deployment", "CronJob", "ConfigMap", "CustomResourceDefinition", "Service", "Namespace"]),
    st.dictionaries(st.sampled_from(["spec", "data", "template", "jobTemplate", "status"]), json),
    st.dictionaries(st.sampled_from(["labels", "annotations", "namespace", "uid"]), json),
)
def test_any_manifest_is_declared_or_refused(kind: str, body: dict[str, Any], metadata: dict[str, Any]) -> None:
    item = {**body, "apiVersion": "v1", "kind": kind, "metadata": {**metadata, "name": "x"}}
    before = copy.deepcopy(item)
    try:
        (declared,) = declare(app(), [item], is_namespaced, "default")
    except InvalidManifest:
        pass
    else:
        assert declared.object["metadata"]["labels"][OWNER_LABEL] == UID
        assert recorded_identity(declared.recorded) == declared.identity
    assert item == before
    defined_types([item])
