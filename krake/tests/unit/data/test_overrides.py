"""What is different about an application on some clusters."""

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.data.constraints import LabelConstraint
from krake.data.kubernetes import ApplicationSpec, ClusterConstraints, Constraints
from krake.data.overrides import InvalidOverride, Override, matches, overrides_problem, render
from krake.data.secrets import MARK, redact


def config_map(name: str = "settings", namespace: str | None = None, **data: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": list(containers)}} if containers else None
    spec = {**spec, "template": template} if template else spec
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "echo"}, "spec": spec}


def service(*ports: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo"}, "spec": {"ports": list(ports)}}


def on(cluster: str | None, *patches: dict[str, Any], labels: list[str] | None = None) -> Override:
    constraints = [LabelConstraint.parse(each) for each in labels] if labels else None
    return Override(cluster=cluster, labels=constraints, patches=list(patches))


def patched(item: dict[str, Any], *patches: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy(item)
    (after,) = render([item], [on("north", *patches)], "north", {})
    assert item == before
    return after


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (on("north", config_map()), True),
        (on("south", config_map()), False),
        (on(None, config_map(), labels=["location is DE"]), True),
        (on(None, config_map(), labels=["location is DE", "stage is prod"]), False),
        (on("north", config_map(), labels=["location is DE"]), True),
        (on("south", config_map(), labels=["location is DE"]), False),
    ],
)
def test_an_override_is_for_the_clusters_that_it_names(override: Override, expected: bool) -> None:
    assert matches(override, "north", {"location": "DE"}) is expected


def test_mappings_are_merged_and_null_takes_away() -> None:
    assert patched(config_map(a="1", b="2"), config_map(b=None, c="3")) == config_map(a="1", c="3")


def test_things_with_names_are_changed_by_their_names_and_keep_their_places() -> None:
    given = deployment(
        {"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}]}, {"name": "log", "image": "log:1"}
    )
    patch = deployment({"name": "log", "image": "log:2"}, {"name": "web", "env": [{"name": "B", "value": "2"}]})
    assert patched(given, patch) == deployment(
        {"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"name": "log", "image": "log:2"},
    )


def test_ports_are_changed_by_number_and_protocol() -> None:
    given = service({"port": 53}, {"port": 53, "protocol": "UDP"})
    assert patched(given, service({"port": 53, "protocol": "TCP", "nodePort": 30053})) == service(
        {"port": 53, "protocol": "TCP", "nodePort": 30053}, {"port": 53, "protocol": "UDP"}
    )


def test_other_lists_are_replaced() -> None:
    given = deployment({"name": "web", "args": ["a", "b"]})
    assert patched(given, deployment({"name": "web", "args": ["c"]})) == deployment({"name": "web", "args": ["c"]})


def test_elements_and_objects_can_be_taken_away() -> None:
    given = deployment({"name": "web"}, {"name": "log"})
    assert patched(given, deployment({"name": "log", "$patch": "delete"})) == deployment({"name": "web"})
    assert render([given, config_map()], [on("north", {**config_map(), "$patch": "delete"})], "north", {}) == [given]


def test_later_overrides_win() -> None:
    overrides = [on(None, config_map(a="2"), labels=["location is DE"]), on("north", config_map(a="3"))]
    assert render([config_map(a="1")], overrides, "north", {"location": "DE"}) == [config_map(a="3")]
    assert render([config_map(a="1")], overrides, "south", {"location": "DE"}) == [config_map(a="2")]
    assert render([config_map(a="1")], overrides, "east", {}) == [config_map(a="1")]


def test_a_namespace_tells_objects_of_one_name_apart() -> None:
    manifest = [config_map(namespace="one", a="1"), config_map(namespace="two", a="1")]
    changed = render(manifest, [on("north", config_map(namespace="two", a="2"))], "north", {})
    assert changed == [config_map(namespace="one", a="1"), config_map(namespace="two", a="2")]
    with pytest.raises(InvalidOverride, match=r"ConfigMap settings \(v1\), of which there are several; name the namespace"):
        render(manifest, [on("north", config_map(a="2"))], "north", {})


def test_who_changes_what_is_not_there_is_told_so() -> None:
    override = on("north", config_map("setings", a="2"), labels=["location is DE"])
    problem = overrides_problem([override], [config_map(a="1")])
    assert problem == (
        "The override for cluster north where location is DE changes ConfigMap setings (v1), which is not in the manifest;"
        " correct its name or leave it out."
    )
    assert overrides_problem([on("north", config_map())], [config_map()]) is None


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "name", "env", "ports", "$patch"]), inner)
    ),
    max_leaves=12,
)


@given(json, json)
def test_any_patch_can_be_applied_and_applying_it_twice_is_applying_it_once(one: Any, other: Any) -> None:
    item, patch = {**config_map(), "data": one}, {**config_map(), "data": other}
    once = patched(item, patch)
    if "$patch" not in str(other):
        assert patched(once, patch) == once


def test_secrets_in_patches_are_secrets() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}, "data": {"password": "czNjcjN0"}}
    constraints = Constraints(cluster=ClusterConstraints())
    spec = ApplicationSpec(manifest=[secret], constraints=constraints, overrides=[on("north", secret)])
    shown = redact(ApplicationSpec, spec.serialize())
    assert "czNjcjN0" not in str(shown)
    (rendered,) = render(shown["manifest"], [Override.restore(each) for each in shown["overrides"]], "north", {})
    assert rendered == {**secret, "data": {"password": MARK}}


@pytest.mark.parametrize("each", [1, 3000])
def test_thousands_of_objects_are_patched_as_fast_as_they_are_read(each: int) -> None:
    manifest = [config_map(f"settings-{index % 3000}", f"team-{index // 3000}") for index in range(6000)]
    overrides = [on("north", *manifest[start : start + each]) for start in range(0, len(manifest), each)]
    before = time.process_time()
    assert overrides_problem(overrides, manifest) is None
    assert len(render(manifest, overrides, "north", {})) == len(manifest)
    assert time.process_time() - before < 1


def test_what_is_taken_away_is_not_there_for_later_patches() -> None:
    gone = {**config_map("settings", "blue"), "$patch": "delete"}
    manifest = [config_map("settings", "blue"), config_map("settings", "green")]
    unnamed = config_map("settings", text="hello")
    assert render(manifest, [on("north", gone, unnamed)], "north", {}) == [config_map("settings", "green", text="hello")]
    with pytest.raises(InvalidOverride):
        render(manifest, [on("north", gone, gone)], "north", {})
