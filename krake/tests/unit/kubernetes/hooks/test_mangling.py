"""What hooks add to the objects of applications."""

import base64
import copy
import re
import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from unit.kubernetes.applications import config_map, deployment

from krake.controller.kubernetes.application.hooks.mangling import Binding, fit_name, mangle
from krake.controller.kubernetes.application.hooks.observing import observe_added
from krake.controller.kubernetes.application.observe import observer_schema
from krake.data.manifests import observer_schema_problem

PLAIN = Binding("complete", "t0k", "http://krake/complete", "KRAKE_COMPLETE_TOKEN", "KRAKE_COMPLETE_URL")
FILES = (("ca-bundle.pem", "ca"), ("cert.pem", "cert"), ("key.pem", "key"))
SECURED = Binding("shutdown", "t1k", "https://krake/shutdown", "S_TOKEN", "S_URL", "/etc/certs/", FILES)
BOTH = [PLAIN, SECURED]

POD = {"containers": [{"name": "a", "image": "x"}], "initContainers": [{"name": "i", "image": "x"}]}
SHAPES: dict[str, tuple[str, Any]] = {
    "Pod": ("v1", lambda pod: pod),
    "ReplicationController": ("v1", lambda pod: {"template": {"spec": pod}}),
    "Deployment": ("apps/v1", lambda pod: {"template": {"spec": pod}}),
    "StatefulSet": ("apps/v1", lambda pod: {"template": {"spec": pod}}),
    "DaemonSet": ("apps/v1", lambda pod: {"template": {"spec": pod}}),
    "ReplicaSet": ("apps/v1", lambda pod: {"template": {"spec": pod}}),
    "Job": ("batch/v1", lambda pod: {"template": {"spec": pod}}),
    "CronJob": ("batch/v1", lambda pod: {"jobTemplate": {"spec": {"template": {"spec": pod}}}}),
}


def carrier(kind: str, pod: Any = None, **metadata: Any) -> dict[str, Any]:
    version, wrap = SHAPES[kind]
    spec = wrap(copy.deepcopy(POD if pod is None else pod))
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "w", **metadata}, "spec": spec}


def pod_of(item: Any) -> Any:
    spec = item["spec"]
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    return spec["template"]["spec"] if "template" in spec else spec


def secrets(manifest: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, str]]:
    found = [item for item in manifest if item["kind"] == "Secret"]
    return {
        (item["metadata"]["namespace"], item["metadata"]["name"]): {
            key: base64.b64decode(value).decode() for key, value in item["data"].items()
        }
        for item in found
    }


@pytest.mark.parametrize("kind", SHAPES)
def test_all_containers_of_all_kinds_find_what_they_need(kind: str) -> None:
    item, *added = mangle("app", [carrier(kind)], BOTH, "apps")
    pod = pod_of(item)
    for container in (*pod["containers"], *pod["initContainers"]):
        env = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"]}
        assert env == {
            "KRAKE_COMPLETE_TOKEN": {"name": "app-krake-complete-secret-token", "key": "krake_complete_token"},
            "KRAKE_COMPLETE_URL": {"name": "app-krake-complete-secret-token", "key": "krake_complete_url"},
            "S_TOKEN": {"name": "app-krake-shutdown-secret-token", "key": "s_token"},
            "S_URL": {"name": "app-krake-shutdown-secret-token", "key": "s_url"},
        }
        assert container["volumeMounts"] == [
            {"name": "app-krake-shutdown-volume", "mountPath": "/etc/certs/", "readOnly": True}
        ]
    assert pod["volumes"] == [
        {"name": "app-krake-shutdown-volume", "secret": {"secretName": "app-krake-shutdown-secret-certs"}}
    ]
    assert secrets(added) == {
        ("apps", "app-krake-complete-secret-token"): {
            "krake_complete_token": "t0k",
            "krake_complete_url": "http://krake/complete",
        },
        ("apps", "app-krake-shutdown-secret-token"): {"s_token": "t1k", "s_url": "https://krake/shutdown"},
        ("apps", "app-krake-shutdown-secret-certs"): dict(FILES),
    }


def test_secrets_are_where_the_pods_are() -> None:
    manifest = [carrier("Pod"), carrier("Job", namespace="jobs"), {**config_map(), "metadata": {"name": "c", "namespace": "x"}}]
    assert {namespace for namespace, _ in secrets(mangle("app", manifest, [PLAIN], "home"))} == {"home", "jobs"}


def test_what_has_no_pods_stays_as_it_is() -> None:
    rollout = {**carrier("Deployment"), "apiVersion": "example.org/v1"}
    manifest = [config_map(), rollout, {**carrier("Job"), "spec": None}]
    assert mangle("app", manifest, BOTH, "apps") == manifest
    assert mangle("app", [carrier("Pod")], [], "apps") == [carrier("Pod")]


def test_what_the_user_has_declared_is_left_alone() -> None:
    mine = {"name": "S_TOKEN", "value": "mine"}
    mounted = {"name": "own", "mountPath": "/etc/certs"}
    volume = {"name": "app-krake-shutdown-volume", "emptyDir": {}}
    pod = {"containers": [{"name": "a", "env": [mine], "volumeMounts": [mounted]}], "volumes": [volume]}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app-krake-shutdown-secret-certs"}, "data": {}}
    item, kept, *added = mangle("app", [carrier("Pod", pod), secret], [SECURED], "apps")
    (container,) = item["spec"]["containers"]
    assert container["env"][0] == mine
    assert [each["name"] for each in container["env"]] == ["S_TOKEN", "S_URL"]
    assert container["volumeMounts"] == [mounted]
    assert item["spec"]["volumes"] == [volume]
    assert kept == secret
    assert [name for _, name in secrets(added)] == ["app-krake-shutdown-secret-token"]


@pytest.mark.parametrize("app", ["a" * 250, "My_App", "a.b:c", "a..b", "a.-b", "x" * 40 + ".y", "_", "A" * 255, "é"])
@pytest.mark.parametrize("other", ["my_app", "a.b_c", "a.b"])
def test_names_that_kubernetes_would_not_take_are_made_to_fit(app: str, other: str) -> None:
    for ending, longest, dots in (("-krake-complete-secret-token", 253, True), ("-krake-complete-volume", 63, False)):
        name = fit_name(app, ending, longest, dots=dots)
        assert len(name) <= longest
        label = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
        assert re.fullmatch(rf"{label}(\.{label})*" if dots else label, name)
        assert name != fit_name(other, ending, longest, dots=dots)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
containers = st.lists(
    st.fixed_dictionaries({"name": st.text(max_size=3)}, optional={"env": json, "volumeMounts": json, "args": json}) | json,
    max_size=3,
)
pods = st.dictionaries(st.sampled_from(["containers", "initContainers", "volumes", "other"]), containers | json, max_size=4)
carriers = st.builds(carrier, st.sampled_from(list(SHAPES)), pods)


def is_within(part: Any, whole: Any) -> bool:
    """Whether nothing of *part* was lost: mappings may have more keys, lists more elements at their ends."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and (is_within(value, whole[key]) or value is None) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(is_within, part, whole))
    return bool(part == whole)


@given(st.lists(carriers, max_size=3), st.text(min_size=1, max_size=300))
def test_nothing_of_the_user_is_lost_and_a_second_time_changes_nothing(manifest: list[dict[str, Any]], app: str) -> None:
    untouched = copy.deepcopy(manifest)
    mangled = mangle(app, manifest, BOTH, "apps")
    assert manifest == untouched
    assert is_within(manifest, mangled)
    assert mangle(app, mangled, BOTH, "apps") == mangled


def control(minimum: int, maximum: int) -> dict[str, int]:
    return {"observer_schema_list_min_length": minimum, "observer_schema_list_max_length": maximum}


@given(st.lists(carriers, max_size=1), st.lists(st.sampled_from(BOTH), max_size=2, unique=True))
def test_what_is_observed_of_everything_stays_everything(manifest: list[dict[str, Any]], bindings: list[Binding]) -> None:
    assume("[]" not in str(manifest))  # an empty list may have any length
    mangled = mangle("app", manifest, bindings, "apps")
    widened = observe_added(observer_schema(manifest, []), manifest, mangled)
    assert widened == observer_schema(mangled[: len(manifest)], [])
    assert observer_schema_problem(widened, mangled) is None


def test_what_is_observed_of_some_things_has_room_for_what_is_added() -> None:
    manifest = [deployment(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])]
    identity = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "echo"}}
    env = [{"name": None}, control(1, 2)]
    schema = {**identity, "spec": {"template": {"spec": {"containers": [{"env": env}, control(1, 1)]}}}}
    (widened,) = observe_added([schema], manifest, mangle("app", manifest, [SECURED], "apps"))
    pod = widened["spec"]["template"]["spec"]
    assert pod["containers"][0]["env"] == [{"name": None}, control(3, 4)]
    assert pod["containers"][1] == control(1, 1)
    assert "volumes" in pod
    assert "image" not in pod["containers"][0]


def test_what_is_added_is_observed_of_objects_of_which_little_is() -> None:
    manifest = [deployment()]
    schema = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "echo"}, "spec": {"replicas": None}}
    (widened,) = observe_added([schema], manifest, mangle("app", manifest, [PLAIN], "apps"))
    container, length = widened["spec"]["template"]["spec"]["containers"]
    assert list(container) == ["env"]
    assert length == control(0, 0)
    assert widened["spec"]["replicas"] is None
    assert observer_schema_problem([widened], manifest) is None


def test_thousands_of_schemas_find_their_objects_at_once() -> None:
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"n{number}"}} for number in range(5000)]
    before = time.process_time()
    assert observe_added(items, items, items) == items
    assert time.process_time() - before < 1
