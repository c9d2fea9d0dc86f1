"""What is corrected of an object: what is observed of it, and nothing else."""

import copy
from typing import Any

import pytest
from unit.kubernetes.applications import A, B, app, deployment

from krake.controller.kubernetes.application.correction import correct, shorten
from krake.controller.kubernetes.application.delta import LENGTH, compare, drift, settle
from krake.controller.kubernetes.application.desired import Declared, declare
from krake.controller.kubernetes.application.observe import fill_in
from krake.data.kubernetes import Application
from krake.ports.cluster import Object


def control(shortest: int, longest: int) -> dict[str, int]:
    return {"observer_schema_list_min_length": shortest, "observer_schema_list_max_length": longest}


def schema(kind: str = "Deployment", name: str = "echo", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, **fields}


def pod_schema(*containers: Any, longest: int = 0) -> dict[str, Any]:
    return schema(spec={"template": {"spec": {"containers": [*containers, control(0, longest)]}}})


def declared(item: dict[str, Any], given: dict[str, Any] | None = None, of: Application | None = None) -> Declared:
    (one,) = declare(of or app(), [item], lambda _: True, "default", [given] if given else [])
    return one


def live_of(item: Declared) -> dict[str, Any]:
    return copy.deepcopy(dict(item.object)) | {"status": {}}


def containers_of(obj: Object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = obj["spec"]["template"]["spec"]["containers"]
    return found


def test_an_object_that_was_declared_differently_is_applied_as_declared() -> None:
    item, former = declared(deployment(image="new"), schema(spec={"replicas": None})), declared(deployment(image="old"))
    live = live_of(former)
    live["spec"]["replicas"] = 7
    assert drift(item, live, None) == {("spec", "replicas"), ("metadata", "annotations", "krake.cloud/declared")}
    assert correct(item, live) == item.object


def test_drift_in_what_is_not_observed_is_left_alone() -> None:
    item = declared(deployment(), schema(spec={"replicas": None}))
    live = live_of(item)
    containers_of(live)[0]["image"] = "theirs"
    assert drift(item, live, None) == set()


def test_what_is_not_observed_stays_when_the_rest_is_corrected() -> None:
    item = declared(deployment(args=["a"]), schema(spec={"replicas": None}))
    live = live_of(item)
    live["metadata"]["resourceVersion"] = "7"
    live["spec"]["replicas"] = 7
    containers_of(live)[0] |= {"image": "theirs", "args": ["b"]}
    sent = correct(item, live)
    assert sent["spec"]["replicas"] == 1
    assert containers_of(sent) == [{"name": "echo", "image": "theirs", "args": ["b"]}]
    assert sent["metadata"] == {**item.object["metadata"], "resourceVersion": "7"}


def test_all_is_corrected_where_all_is_observed() -> None:
    item = declared(deployment(args=["a"], env=[{"name": "A", "value": "1"}]))
    live = live_of(item)
    live["spec"]["replicas"] = 7
    containers_of(live)[0] |= {"image": "theirs", "args": ["b", "c"], "env": []}
    assert correct(item, live) == item.object


def test_marks_are_always_observed() -> None:
    item = declared(deployment(), schema())
    live = live_of(item)
    del live["spec"]["template"]["metadata"]["labels"]["krake.cloud/application-uid"]
    assert drift(item, live, None) == {("spec", "template", "metadata", "labels", "krake.cloud/application-uid")}


@pytest.mark.parametrize(
    ("longest", "args", "differs"),
    [
        (0, ["a", "b", "c", "d"], False),
        (3, ["a", "b", "c"], False),
        (3, ["a", "b", "c", "d"], True),
        (0, ["x", "b"], True),
        (0, [], True),
    ],
)
def test_lists_may_be_as_long_as_is_said(longest: int, args: list[str], differs: bool) -> None:
    item = declared(deployment(args=["a"]), pod_schema({"args": [None, control(1, longest)]}))
    live = live_of(item)
    containers_of(live)[0]["args"] = args
    assert bool(drift(item, live, None)) is differs
    if differs and args:
        kept = args[1:] if longest == 0 else args[1:longest]
        assert containers_of(correct(item, live))[0]["args"] == ["a", *kept]


def test_an_element_may_be_observed_that_is_not_there() -> None:
    ports = {"ports": [{"containerPort": None}, {"containerPort": None}, control(1, 4)]}
    item = declared(deployment(ports=[{"containerPort": 80}]), pod_schema(ports))
    assert not drift(item, live_of(item), None)


def test_what_is_observed_and_not_set_is_taken_over_once_and_kept() -> None:
    given = schema(spec={"replicas": None, "revisionHistoryLimit": None}, status={"replicas": None})
    first = declared(deployment(), given)
    live = live_of(first)
    live["spec"]["revisionHistoryLimit"] = 10
    live["status"] = {"replicas": 1}
    assert not drift(first, live, None)
    recorded = fill_in(first.recorded, first.schema, live)
    assert recorded == {**first.recorded, "spec": {**first.recorded["spec"], "revisionHistoryLimit": 10}}
    owner = app(running_on=A, observed_generation=app().metadata.generation, last_applied_manifest=[recorded])
    later = declared(deployment(), given, owner)
    assert not drift(later, live, None)
    live["spec"]["revisionHistoryLimit"] = 3
    assert drift(later, live, None) == {("spec", "revisionHistoryLimit")}
    assert correct(later, live)["spec"]["revisionHistoryLimit"] == 10


def test_what_one_cluster_made_of_a_field_does_not_hold_on_another() -> None:
    item = deployment()
    filled = {
        **item,
        "metadata": {"name": "echo", "namespace": "default"},
        "spec": {**item["spec"], "revisionHistoryLimit": 10},
    }
    given = schema(spec={"revisionHistoryLimit": None})
    status = {"observed_generation": app().metadata.generation, "last_applied_manifest": [filled]}
    assert "revisionHistoryLimit" in declared(item, given, app(running_on=A, **status)).object["spec"]
    assert "revisionHistoryLimit" not in declared(item, given, app(running_on=B, **status)).object["spec"]


def test_elements_beyond_those_declared_are_taken_over_with_what_names_them() -> None:
    given = pod_schema({"env": [{"value": None}, {"value": None}, control(0, 0)]})
    item = declared(deployment(env=[{"name": "A", "value": "1"}]), given)
    live = live_of(item)
    containers_of(live)[0]["env"].insert(0, {"name": "B", "value": "2"})
    (container,) = containers_of(fill_in(item.recorded, item.schema, live))
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]


def test_what_somebody_adds_to_a_list_whose_length_is_said_is_taken_away() -> None:
    item = declared(deployment(env=[{"name": "A", "value": "1"}]))
    live = live_of(item)
    settlement = settle(item, live)
    containers_of(live)[0]["env"].insert(0, {"name": "B", "value": "2"})
    found = drift(item, live, settlement)
    assert found == {("spec", "template", "spec", "containers", "echo", "env", LENGTH)}
    assert shorten(item, live, found) == live_of(item)


def test_what_was_too_long_at_once_stays_so() -> None:
    item = declared(deployment(env=[{"name": "A", "value": "1"}]))
    live = live_of(item)
    containers_of(live)[0]["env"].append({"name": "INJECTED", "value": "2"})
    settlements = {item.identity: settle(item, live)}
    assert not compare([item], {item.identity: live}, [], settlements, app().metadata.uid).apply


def test_finalizers_of_others_are_theirs() -> None:
    item = deployment()
    item["metadata"]["finalizers"] = ["example.org/mine"]
    one = declared(item)
    live = live_of(one)
    live["metadata"]["finalizers"].append("example.org/theirs")
    assert not drift(one, live, None)


def test_a_schema_may_say_which_namespace_it_is_for() -> None:
    first, second = deployment(), deployment()
    first["metadata"]["namespace"], second["metadata"]["namespace"] = "one", "two"
    given = schema(spec={"replicas": None})
    given["metadata"]["namespace"] = "two"
    one, two = declare(app(), [first, second], lambda _: True, "default", [given])
    assert "template" in one.schema["spec"]
    assert (two.schema["metadata"]["namespace"], two.schema["spec"]) == ("two", {"replicas": None})
