"""How much a cluster has, and how much is asked for."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.controller.kubernetes.cluster.capacity import Requests, requests_of
from krake.ports.cluster import Changed, Listed, Removed, WatchEvent


def container(restart: str | None = None, **requests: str) -> dict[str, Any]:
    return {"resources": {"requests": requests}, **({"restartPolicy": restart} if restart else {})}


def pod(*containers: dict[str, Any], name: str = "p", phase: str = "Running", **spec: Any) -> dict[str, Any]:
    spec = {"containers": list(containers), **spec}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("found", "cpu"),
    [
        (pod(container(cpu="500m"), container(cpu="1")), "1.5"),
        (pod(container(cpu="500m"), initContainers=[container(cpu="2"), container(cpu="1")]), "2"),
        (pod(container(cpu="2"), initContainers=[container(cpu="1")]), "2"),
        (pod(container(cpu="1"), initContainers=[container("Always", cpu="500m"), container(cpu="2")]), "2.5"),
        (pod(container(cpu="3"), initContainers=[container("Always", cpu="500m")]), "3.5"),
        (pod(container(cpu="1"), overhead={"cpu": "250m"}), "1.25"),
        (pod(container(cpu="1"), resources={"requests": {"cpu": "4"}}), "4"),
        (pod(container()), None),
        (pod(container(cpu="1"), phase="Succeeded"), None),
        (pod(container(cpu="-1"), container(cpu="lots"), container(cpu="1e99")), None),
    ],
)
def test_what_a_pod_asks_for(found: dict[str, Any], cpu: str | None) -> None:
    assert requests_of(found).get("cpu") == (None if cpu is None else Decimal(cpu))


def test_pods_are_counted_until_they_have_ended() -> None:
    assert requests_of(pod()) == {"pods": 1}
    assert requests_of(pod(phase="Failed")) == {}


cpus = st.sampled_from(["100m", "1", "2500m", "nonsense"])
phases = st.sampled_from(["Pending", "Running", "Succeeded"])
pods = st.builds(lambda cpu, name, phase: pod(container(cpu=cpu), name=name, phase=phase), cpus, st.sampled_from("abc"), phases)
events: st.SearchStrategy[WatchEvent] = st.one_of(
    st.builds(Changed, pods),
    st.builds(Removed, pods),
    st.lists(pods, max_size=3, unique_by=lambda each: each["metadata"]["name"]).map(lambda found: Listed(tuple(found))),
)


@given(st.lists(events, max_size=12))
def test_the_sum_is_that_of_the_pods_that_are_there(told: list[WatchEvent]) -> None:
    requests, there = Requests(), dict[str, Any]()
    for event in told:
        before = requests.total
        changed = requests.take(event)
        if isinstance(event, Listed):
            there = {each["metadata"]["name"]: each for each in event.objects}
        elif isinstance(event, Changed):
            there[event.object["metadata"]["name"]] = event.object
        else:
            there.pop(event.object["metadata"]["name"], None)
        assert changed or requests.total == before
    fresh = Requests()
    fresh.take(Listed(tuple(there.values())))
    assert requests.total == fresh.total


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["containers", "initContainers", "resources", "requests", "cpu", "overhead"]), inner)
    ),
    max_leaves=10,
)


@given(anything, anything)
def test_no_pod_is_too_strange(spec: Any, status: Any) -> None:
    requests = Requests()
    requests.take(Changed({**pod(), "spec": spec, "status": status}))
    assert all(isinstance(each, str) for each in requests.total.values())
