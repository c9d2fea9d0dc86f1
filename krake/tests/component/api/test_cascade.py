"""What is said about the applications of a cluster when its deletion is asked for."""

from typing import Any

import pytest
from fixtures.api import Http
from fixtures.samples import path_of, sample

from krake.data.kubernetes import Application, Cluster

CLUSTER = path_of(Cluster, "demo")


async def create_held(http: Http) -> None:
    """A cluster that an application depends on."""
    await http.post(path_of(Cluster), sample(Cluster, "demo"))
    owner = {"api": "kubernetes", "kind": "Cluster", "namespace": "ns", "name": "demo"}
    body = sample(Application, "demo")
    body["metadata"]["owners"] = [owner]
    assert (await http.post(path_of(Application), body)).status == 201


async def delete(http: Http, **query: str) -> Any:
    answer = await http.delete(CLUSTER, **query)
    assert answer.status == 200, answer.text
    assert answer.json["metadata"]["deleted"] is not None
    return answer.json


@pytest.mark.parametrize(
    ("query", "cascade"),
    [
        ({}, False),
        ({"cascade": "false"}, False),
        ({"cascade": "0"}, False),
        ({"cascade": "true"}, True),
        ({"cascade": "True"}, True),
        ({"cascade": "1"}, True),
        ({"cascade": ""}, True),
    ],
)
async def test_a_cascade_is_asked_for(http: Http, query: dict[str, str], cascade: bool) -> None:
    await create_held(http)
    assert (await delete(http, **query))["status"]["cascade"] is cascade


async def test_a_cascade_can_be_asked_for_later_and_is_not_taken_back(http: Http) -> None:
    await create_held(http)
    first = await delete(http)
    second = await delete(http, cascade="true")
    third = await delete(http)
    assert [each["status"]["cascade"] for each in (first, second, third)] == [False, True, True]
    assert second == third
    assert second["metadata"]["deleted"] == first["metadata"]["deleted"]


async def test_where_nothing_can_be_chosen_it_changes_nothing(http: Http) -> None:
    await http.post(path_of(Application), sample(Application, "demo"))
    answer = await http.delete(path_of(Application, "demo"), cascade="true")
    assert answer.status == 200
    assert (await http.get(path_of(Application, "demo"))).status == 404
    description = (await http.get("/openapi.json")).json["paths"]
    offered = {
        path
        for path, operations in description.items()
        if any("cascade" in str(each) for each in operations.get("delete", {}).get("parameters", []))
    }
    assert offered == {"/kubernetes/namespaces/{namespace}/clusters/{name}"}
