"""Bindings are made to what exists, whoever else writes at the same time, on whichever server."""

import asyncio
from typing import Any

import pytest
from fixtures.api import Http, Serve
from fixtures.samples import path_of, sample

from krake.data import Resource
from krake.data.infrastructure import GlobalCloud
from krake.data.kubernetes import Application, Cluster
from krake.data.openstack import MagnumCluster, Project

FIELDS: dict[type[Resource], tuple[type[Resource], str, dict[str, Any]]] = {
    Application: (Cluster, "cluster", {}),
    Cluster: (GlobalCloud, "cloud", {}),
    MagnumCluster: (Project, "project", {"template": "t"}),
}
"""What each kind can be bound to, the name of that in the body, and what else is there."""


async def create(http: Http, kind: type[Resource], name: str) -> Any:
    answer = await http.post(path_of(kind), sample(kind, name))
    assert answer.status == 201, answer.text
    return answer.json


async def bind(http: Http, kind: type[Resource], name: str, target: str) -> Any:
    target_kind, field, more = FIELDS[kind]
    definition = target_kind.definition
    namespace = "ns" if definition.namespaced else None
    ref = {"api": definition.api, "namespace": namespace, "kind": definition.name, "name": target}
    return await http.put(f"{path_of(kind, name)}/binding", {field: ref, **more})


def version(obj: Any) -> int:
    return int(obj["metadata"]["resource_version"])


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
async def test_what_is_bound_at_once_is_bound_before_its_target_goes(serve_api: Serve, kind: type[Resource]) -> None:
    target_kind = FIELDS[kind][0]
    outcomes = set()
    async with serve_api() as one, serve_api() as two:
        for number in range(40):
            bound, target = f"b{number}", f"t{number}"
            await create(one, kind, bound)
            await create(two, target_kind, target)
            # The one who starts later is ahead as often as not.
            first, second = (one, two) if number % 2 else (two, one)
            binding, deletion = await asyncio.gather(
                bind(first, kind, bound, target), second.delete(path_of(target_kind, target))
            )
            assert deletion.status == 200
            outcomes.add(binding.status)
            if binding.status == 200:
                assert version(binding.json) < version(deletion.json), "bound to what was being deleted already"
                assert (await second.get(path_of(target_kind, target))).status == 200, "bound to what is not there any more"
                assert deletion.json["metadata"]["finalizers"] == ["cascade_deletion"]
            else:
                assert deletion.json["metadata"]["finalizers"] == []
                assert (await second.get(path_of(target_kind, target))).status == 404
                assert (await first.get(path_of(kind, bound))).json["metadata"]["owners"] == []
    assert outcomes <= {200, 409, 422}


async def test_a_target_that_changes_all_the_time_can_be_bound_to(serve_api: Serve) -> None:
    async with serve_api() as one, serve_api() as two:
        await create(one, Application, "app")
        await create(one, Cluster, "busy")
        ended = asyncio.Event()

        async def keep_changing() -> int:
            number = 0
            while not ended.is_set():
                number += 1
                answer = await two.patch(f"{path_of(Cluster, 'busy')}/status", {"status": {"retries": number}})
                assert answer.status == 200
            return number

        changing = asyncio.create_task(keep_changing())
        for _ in range(10):
            assert (await bind(one, Application, "app", "busy")).status == 200
        ended.set()
        assert await changing > 0


async def test_a_target_of_another_server_is_known_at_once(serve_api: Serve) -> None:
    async with serve_api() as one, serve_api() as two:
        await create(one, Application, "app")
        for number in range(30):
            await create(two, Cluster, f"c{number}")
            bound = await bind(one, Application, "app", f"c{number}")
            assert (bound.status, bound.json["status"]["scheduled_to"]["name"]) == (200, f"c{number}")
        assert (await bind(one, Application, "app", "missing")).status == 422


async def test_a_role_of_another_server_counts_as_soon_as_it_is_seen_there(serve_api: Serve) -> None:
    """How long that takes is the way of a watch: below a second, with much in hand for a loaded machine."""
    who = {"authorization": "RBAC", "authentication": {"strategy": {"static": {"enabled": True, "name": "ann"}}}}
    rule = {"api": "core", "resources": ["roles"], "namespaces": [""], "verbs": ["list"]}
    async with serve_api() as admin, serve_api(**who) as ann:
        for wanted, change in ((200, [rule]), (403, []), (200, [rule])):
            if (await admin.get("/core/roles/reader")).status == 404:
                await admin.post("/core/roles", {"metadata": {"name": "reader"}, "rules": change})
                await admin.post("/core/rolebindings", {"metadata": {"name": "r"}, "users": ["ann"], "roles": ["reader"]})
            else:
                await admin.patch("/core/roles/reader", {"rules": change})
            async with asyncio.timeout(1):
                while (await ann.get("/core/roles")).status != wanted:  # noqa: ASYNC110 - this is the public way to know
                    await asyncio.sleep(0.001)
