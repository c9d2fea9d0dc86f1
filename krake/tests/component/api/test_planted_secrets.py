"""Secrets are planted wherever there may be some; then they are searched for wherever they must not be."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from fixtures.api import Answer, Http, Serve
from fixtures.planting import Planter
from fixtures.polling import until
from fixtures.samples import path_of

from krake.adapters.etcd import EtcdStore
from krake.data import Resource
from krake.data.kubernetes import Application, Cluster
from krake.data.secrets import MARK, secrets_of

EVERYTHING = {"api": "", "resources": [""], "namespaces": [""]}
VERBS = ["create", "list", "list_all", "get", "update", "delete"]
RESOURCES = {
    "core": ["metricsproviders", "globalmetricsproviders", "events", "plans"],
    "kubernetes": ["applications", "clusters"],
    "infrastructure": ["infrastructureproviders", "globalinfrastructureproviders", "clouds", "globalclouds"],
    "openstack": ["projects"],
}
ACTIONS = ("", "/status", "/binding", "/complete", "/shutdown", "/retry")
ROLES = [
    {"metadata": {"name": "all"}, "rules": [{**EVERYTHING, "verbs": VERBS}]},
    {
        "metadata": {"name": "operator"},
        "rules": [
            {
                "api": api,
                "resources": [f"{each}{action}" for each in plurals for action in ACTIONS],
                "namespaces": [""],
                "verbs": VERBS,
            }
            for api, plurals in RESOURCES.items()
        ],
    },
]
BINDINGS = [
    {"metadata": {"name": "root"}, "users": ["root"], "roles": ["all"]},
    {"metadata": {"name": "operator"}, "users": ["operator"], "roles": ["operator"]},
]


@dataclass
class Reader:
    """A client that remembers all that it was told."""

    http: Http
    told: list[str] = field(default_factory=list)

    async def __call__(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        options = {} if body is None else {"data": body} if isinstance(body, bytes) else {"json": body}
        answer = await self.http(method, path, params=query, **options)
        assert answer.status < 500, answer.text
        self.told += [answer.text, str(answer.headers)]
        return answer


async def may_list(http: Http) -> bool:
    return (await http.get("/kubernetes/applications")).status == 200


@asynccontextmanager
async def two_users(serve_api: Serve) -> AsyncIterator[tuple[Reader, Reader]]:
    """A user who may do everything, and one who may do everything but see secrets."""

    def config(name: str) -> dict[str, Any]:
        return {
            "authentication": {"strategy": {"static": {"enabled": True, "name": name}}},
            "authorization": "RBAC",
            "default_roles": ROLES,
            "default_role_bindings": BINDINGS,
        }

    async with serve_api(**config("root")) as root, serve_api(**config("operator")) as operator:
        for http in (root, operator):
            await until(partial(may_list, http))
        yield Reader(root), Reader(operator)


async def create(root: Reader, kind: type[Resource], body: dict[str, Any]) -> dict[str, Any]:
    """Store an object with its status; return what is stored."""
    answer = await root("POST", path_of(kind), body)
    assert answer.status == 201, answer.text
    if "status" in body:
        status = await root("PATCH", f"{path_of(kind, body['metadata']['name'])}/status", {"status": body["status"]})
        assert status.status == 200, status.text
    stored: dict[str, Any] = (await root("GET", path_of(kind, body["metadata"]["name"]))).json
    return stored


def hide(kind: type[Resource], wire: dict[str, Any]) -> set[Any]:
    """The texts in the places of secrets."""
    return set(secrets_of(kind, wire).values())


async def read_everywhere(user: Reader, kind: type[Resource], name: str) -> None:
    """Ask for an object in all ways that do not change it."""
    await user("GET", path_of(kind, name))
    await user("GET", path_of(kind))
    await user("GET", path_of(kind), limit="1")
    await user("GET", path_of(kind), label_selector="!missing")
    await user("GET", kind.definition.path)
    async with user.http.watch(path_of(kind), resource_version="0", heartbeat="1") as lines:
        user.told.append((await lines.next_line()).decode())
    async with user.http.watch(kind.definition.path, resource_version="0", label_selector="!missing") as lines:
        user.told.append((await lines.next_line()).decode())


async def write_everywhere(user: Reader, kind: type[Resource], shown: dict[str, Any]) -> None:
    """Change an object in all ways, as someone who sees only what is *shown*."""
    path = path_of(kind, shown["metadata"]["name"])
    same = await user("PUT", path, shown)
    assert (same.status, same.json) == (200, shown), same.text
    await user("PATCH", path, {"metadata": {"labels": {"touched": "yes"}}})
    await user("PATCH", path, {"spec": {}})
    if kind.definition.has_status:
        assert (await user("PUT", f"{path}/status", {"status": shown["status"]})).status == 200
        await user("PATCH", f"{path}/status", {"status": {}})
    if kind is Application:
        target = {"api": "kubernetes", "kind": "Cluster", "namespace": "ns", "name": "planted-0"}
        bound = await user("PUT", f"{path}/binding", {"api": "kubernetes", "kind": "ClusterBinding", "cluster": target})
        assert bound.status == 200, bound.text
    await user("DELETE", path, blocking="")


async def fail_everywhere(user: Reader, kind: type[Resource], body: dict[str, Any], planter: Planter) -> None:
    """Send secrets that are refused in all ways."""
    name = body["metadata"]["name"]
    path = path_of(kind, name)
    for place in secrets_of(kind, body):
        for wrong in ([planter.plant()], {"x": planter.plant()}, f"sealed:v1:{planter.plant()}", 5):
            broken = put_into(body, place.field, wrong)
            for method, target in (
                ("POST", path_of(kind)),
                ("PUT", path),
                ("PUT", f"{path}/status"),
                ("PATCH", f"{path}/status"),
            ):
                await user(method, target, broken)
            await user("PATCH", path, {key: value for key, value in broken.items() if key in ("spec", "status")})
    await user("POST", path_of(kind), body)
    await user("POST", path_of(kind), json.dumps(body).encode()[:-1])
    await user("POST", path_of(kind), json.dumps({**body, "metadata": {"name": "a" * 300}}).encode())
    await user("POST", path_of(kind), json.dumps(list(body.values())).encode())
    await user("PUT", path, {**body, "metadata": {"name": "other"}})
    await user("PUT", path, {**body, "metadata": {"name": name, "resource_version": "1"}})
    await user("PUT", path, json.dumps({**body, "spec": {**body["spec"], "type": planter.plant()}}).encode() + b"x")
    for action in kind.definition.actions:
        await user("PUT", f"{path}/{action}", {"token": planter.plant()})
        await user("PUT", f"{path}/{action}", {"token": [planter.plant()]})


def put_into(body: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """Return a copy of a body with another value at a place such as ``spec.manifest[1].data.key``."""
    changed: dict[str, Any] = json.loads(json.dumps(body))
    *steps, last = field.replace("[", ".[").split(".")
    inner: Any = changed
    rest = list(steps)
    while rest:
        step = rest.pop(0)
        inner = inner[int(step[1:-1])] if step.startswith("[") else inner[step]
        if isinstance(inner, dict) and (key := ".".join([*rest, last])) in inner:
            # A key with dots.
            inner[key] = value
            return changed
    inner[last] = value
    return changed


async def everything_ever_stored(store: EtcdStore, since: int) -> str:
    """All keys and values of all revisions after *since*, and of now, as they lie in etcd."""
    now = await store.list("")
    texts = [f"{entry.key} {entry.value!r}" for entry in now.entries]
    async for batch in store.watch("", since):
        texts += [f"{change.key} {change.entry.value!r}" for change in batch.changes]
        if batch.revision >= now.revision:
            break
    return "\n".join(texts)


def test_the_planter_misses_nothing() -> None:
    planter = Planter("x")
    found = [value for kind, body in planter.objects() for value in secrets_of(kind, body).values()]
    assert len(found) == len(planter.planted)
    assert all(any(planted in text for text in found) for planted in planter.planted)
    assert len(planter.planted) > 30


async def test_planted_secrets_are_nowhere(serve_api: Serve, etcd_store: EtcdStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    since = await etcd_store.revision()
    planter = Planter("secret")
    async with two_users(serve_api) as (root, operator):
        objects = sorted(planter.objects(), key=lambda each: each[0] is not Cluster)
        for kind, body in objects:
            stored = await create(root, kind, body)
            assert hide(kind, stored) == hide(kind, body)
        for kind, body in objects:
            await read_everywhere(operator, kind, body["metadata"]["name"])
            await fail_everywhere(operator, kind, body, planter)
        for kind, body in objects:
            if kind is not Cluster:
                shown = (await operator("GET", path_of(kind, body["metadata"]["name"]))).json
                assert hide(kind, shown) <= {MARK}
                await write_everywhere(operator, kind, shown)
        metrics = (await root.http.get("/metrics")).text
        description = (await root.http.get("/openapi.json")).text
        for kind, body in objects:
            await operator("GET", path_of(kind, body["metadata"]["name"]))
            await operator("DELETE", path_of(kind, body["metadata"]["name"]), force="")
        await operator("GET", "/core/events")
    stored_texts = await everything_ever_stored(etcd_store, since)
    logged = "\n".join(f"{record.name} {record.getMessage()} {record.exc_text or ''}" for record in caplog.records)
    haystacks = {"etcd": stored_texts, "logs": logged, "metrics": metrics, "description": description}
    haystacks["answers"] = "\n".join(operator.told)
    found = {where: each for each in planter.planted for where, text in haystacks.items() if each in text}
    assert found == {}
    assert "sealed:v1:test:" in stored_texts
    assert MARK in haystacks["answers"]
    assert "sealed:v1" not in haystacks["answers"].replace("begin with sealed:v1:", "")
