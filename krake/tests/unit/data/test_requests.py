"""What the Pods of manifests ask for."""

from typing import Any

import pytest
from fixtures.records import json_values
from hypothesis import given
from hypothesis import strategies as st

from krake.data.overrides import Override
from krake.data.requests import Demand, offered, requests_of_manifest, write_amount

KINDS = [
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("example.com/v1", "Deployment"),
]


def container(**resources: Any) -> dict[str, Any]:
    return {"name": "main", "resources": resources}


def pod(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containers": list(containers), **more}


def declare(kind: str, spec: dict[str, Any], api: str = "apps/v1", name: str = "web") -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}


HALF = pod(container(requests={"cpu": "500m", "memory": "1Ki"}))
HALF_ASKED = {"cpu": 500, "memory": 1024_000, "pods": 1000}


@pytest.mark.parametrize(
    ("reason", "item", "asked"),
    [
        ("one Pod", declare("Pod", HALF, "v1"), HALF_ASKED),
        ("one replica by default", declare("Deployment", {"template": {"spec": HALF}}), HALF_ASKED),
        (
            "each replica",
            declare("StatefulSet", {"replicas": 3, "template": {"spec": HALF}}),
            {"cpu": 1500, "memory": 3072_000, "pods": 3000},
        ),
        ("nothing is scaled to", declare("ReplicaSet", {"replicas": 0, "template": {"spec": HALF}}), {}),
        (
            "one on each node",
            declare("DaemonSet", {"template": {"spec": HALF}}),
            {"cpu": 2000, "memory": 4096_000, "pods": 4000},
        ),
        (
            "as many as run at once",
            declare("Job", {"parallelism": 5, "completions": 2, "template": {"spec": HALF}}, "batch/v1"),
            {"cpu": 1000, "memory": 2048_000, "pods": 2000},
        ),
        ("a Job that does not run", declare("Job", {"suspend": True, "template": {"spec": HALF}}, "batch/v1"), {}),
        (
            "a scheduled one, when it runs",
            declare("CronJob", {"jobTemplate": {"spec": {"template": {"spec": HALF}}}}, "batch/v1"),
            HALF_ASKED,
        ),
        ("what has no Pods", declare("ConfigMap", {}, "v1"), {}),
        ("another API's kind", declare("Deployment", {"template": {"spec": HALF}}, "example.com/v1"), {}),
        (
            "the limit, where nothing is asked for",
            declare("Pod", pod(container(limits={"cpu": "2", "memory": "1"}, requests={"memory": "0.5"})), "v1"),
            {"cpu": 2000, "memory": 500, "pods": 1000},
        ),
        (
            "the larger one of starting and running",
            declare("Pod", pod(container(requests={"cpu": 1}), initContainers=[container(requests={"cpu": 3})]), "v1"),
            {"cpu": 3000, "pods": 1000},
        ),
        (
            "sidecars as long as the others run",
            declare(
                "Pod",
                pod(
                    container(requests={"cpu": 1}),
                    initContainers=[{**container(requests={"cpu": 1}), "restartPolicy": "Always"}],
                    overhead={"cpu": "0.25"},
                ),
                "v1",
            ),
            {"cpu": 2250, "pods": 1000},
        ),
        (
            "less than a thousandth, rounded up",
            declare("Pod", pod(container(requests={"cpu": "1n"})), "v1"),
            {"cpu": 1, "pods": 1000},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_runs_together_is_added_up(reason: str, item: dict[str, Any], asked: dict[str, int]) -> None:
    assert requests_of_manifest([item], nodes=4) == asked


@given(
    st.lists(
        st.builds(
            lambda kind, spec: {"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": "x"}, "spec": spec},
            st.sampled_from(KINDS),
            json_values
            | st.fixed_dictionaries({"replicas": json_values, "template": json_values})
            | st.builds(lambda inner: {"template": {"spec": {"containers": inner, "initContainers": inner}}}, json_values)
            | st.builds(
                lambda inner: {"template": {"spec": {"containers": [{"resources": {"requests": inner}}]}}}, json_values
            ),
        ),
        max_size=3,
    )
)
def test_whatever_a_manifest_holds_is_reckoned(manifest: list[dict[str, Any]]) -> None:
    asked = requests_of_manifest(manifest)
    assert all(amount > 0 for amount in asked.values())


def test_overrides_make_a_difference_where_they_are_meant() -> None:
    manifest = [declare("Deployment", {"replicas": 2, "template": {"spec": HALF}})]
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 5}}
    demand = Demand(manifest, [Override(cluster="north", patches=[patch])])
    assert [demand.on(name, {}, 1)["cpu"] for name in ("north", "south", "north")] == [2500, 1000, 2500]


def test_what_there_is_is_rounded_down() -> None:
    assert offered({"cpu": "1.9995", "memory": "1Gi", "broken": "many"}) == {"cpu": 1999, "memory": 2**30 * 1000}


@pytest.mark.parametrize(("amount", "text"), [(1500, "1500m"), (2**31 * 1000, "2Gi"), (3000, "3"), (0, "0")])
def test_amounts_are_written_as_kubernetes_does(amount: int, text: str) -> None:
    assert write_amount(amount) == text
