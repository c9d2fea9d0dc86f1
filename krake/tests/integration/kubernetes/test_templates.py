"""Applications that are declared by TOSCA templates and CSAR archives."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from aiohttp import web
from fixtures.web import Web
from integration.kubernetes.mortality import Life, live
from integration.kubernetes.world import (
    CONFIG_MAP,
    NAMESPACE,
    Build,
    Target,
    World,
    applications,
    collector,
    config_map,
    eventually,
)
from unit.tosca.templates import node, template

from krake.client import Conflict, NotFound
from krake.data import Key
from krake.data.kubernetes import Application, ApplicationState, ClusterState
from krake.data.metadata import ReasonCode

State = ApplicationState
LONGEST = 40
"""Steps that no story has."""
HERE = {"fetching": {"allow": ["127.0.0.1"], "timeout": 3}}


def greeting(text: Any = "hello", name: str = "settings") -> dict[str, Any]:
    """A template of one ConfigMap with a text that is an input."""
    spec = {
        "concat": [
            f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  text:",
            {"get_input": "text"},
            "\n",
        ]
    }
    return template({"text": {"type": "string", "default": text}}, nodes={"settings": node(spec)})


def here() -> Build:
    """An application controller that may fetch from this machine."""
    return applications(**HERE)


@asynccontextmanager
async def scheduling(world: World, *targets: Target, name: str = "app") -> AsyncIterator[None]:
    """Do what the scheduler does whenever what is declared changes."""

    async def hand_over() -> None:
        while True:
            try:
                app = await world.app(name)
                status = app.status
                if status.kube_controller_triggered is None or status.kube_controller_triggered < app.metadata.modified:
                    await world.bind(targets[0], name)
            except (NotFound, Conflict):
                pass  # it is not there yet, or was changed just now
            await asyncio.sleep(0.02)

    task = asyncio.create_task(hand_over())
    try:
        yield
    finally:
        task.cancel()


async def change(world: World, name: str = "app", **spec: Any) -> Application:
    return await world.client.patch(Application, Key(NAMESPACE, name), {"spec": spec})


def settled(app: Application) -> bool:
    return app.status.state is State.RUNNING and app.status.observed_generation == app.metadata.generation


def failed(app: Application) -> bool:
    return app.status.state is State.FAILED and app.status.observed_generation == app.metadata.generation


async def text_on(target: Target, name: str = "settings") -> str | None:
    found = await target.get(CONFIG_MAP, name)
    return None if found is None else str(found["data"]["text"])


async def until_text(target: Target, text: str) -> None:
    await eventually(lambda: text_on(target), lambda seen: seen == text)


@pytest.fixture
async def ready(world: World, target: Target) -> Target:
    await world.register(target, state=ClusterState.ONLINE)
    return target


async def test_a_template_becomes_objects_and_is_followed(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    async with world.running(here()), scheduling(world, any_target):
        await world.create(on=any_target, tosca=greeting())
        app = await world.until(settled)
        assert app.spec.manifest == [config_map(text="hello")]
        assert app.status.reason is None
        await until_text(any_target, "hello")

        await change(world, inputs={"text": "good morning"})
        await until_text(any_target, "good morning")
        await change(world, tosca=greeting(name="renamed"))
        await eventually(lambda: text_on(any_target, "renamed"), lambda seen: seen == "good morning")
        await eventually(lambda: text_on(any_target), lambda seen: seen is None)
        await world.until(settled)


async def test_what_is_translated_is_left_alone(world: World, ready: Target, web_server: Web) -> None:
    web_server.answers["/t.yaml"] = json.dumps(greeting())
    async with world.running(here()), scheduling(world, ready):
        await world.create(on=ready, tosca=f"{web_server.url}/t.yaml")
        app = await world.until(settled)
    async with world.running(here()), scheduling(world, ready):
        await change(world, backoff_limit=7)
        app = await world.until(settled)
    assert web_server.asked == ["/t.yaml"]
    async with world.running(here()):
        await world.create(config_map("other"), on=ready, name="other")
        await world.until(settled, "other")
        assert (await world.app()).metadata.resource_version == app.metadata.resource_version


async def test_inputs_that_change_nothing_hold_nothing_up(world: World, ready: Target) -> None:
    async with world.running(here()), scheduling(world, ready):
        await world.create(on=ready, tosca=greeting())
        await world.until(settled)
        await change(world, inputs={"text": "hello"})
        await world.until(settled)


async def test_a_template_may_be_mended_where_it_is(world: World, ready: Target, web_server: Web) -> None:
    url = f"{web_server.url}/t.yaml"
    async with world.running(here()), scheduling(world, ready):
        await world.create(on=ready, tosca=url)
        app = await world.until(failed)
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.INVALID_TOSCA_MANIFEST
        assert app.status.reason.message == f"{url} can not be fetched: its host answers HTTP 404."
        web_server.answers["/t.yaml"] = json.dumps(template(nodes={"echo": node("text")}))
        app = await world.until(lambda app: app.status.reason is not None and "404" not in app.status.reason.message)
        assert app.status.reason is not None
        assert app.status.reason.message.startswith("Node 'echo': its spec: its document 1 must be a Kubernetes object")
        web_server.answers["/t.yaml"] = json.dumps(greeting())
        app = await world.until(settled)
        assert (app.status.retries, app.status.scheduled_retry, app.status.reason) == (None, None, None)
        assert await text_on(ready) == "hello"
        assert "Failed" in await world.told()


async def test_a_running_application_survives_a_bad_template(world: World, ready: Target, web_server: Web) -> None:
    async with world.running(here(), collector), scheduling(world, ready):
        await world.create(on=ready, tosca=greeting())
        await world.until(settled)
        await change(world, tosca=f"{web_server.url}/gone.yaml")
        await world.until(failed)
        assert await text_on(ready) == "hello"
        await change(world, tosca=greeting("again"))
        await world.until(settled)
        assert await text_on(ready) == "again"
        await world.delete()
        await eventually(lambda: text_on(ready), lambda seen: seen is None)


async def test_an_archive_with_everything(world: World, ready: Target, web_server: Web) -> None:
    own = template(
        nodes={
            "second": node("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n", {"needs": "first"}, type_="Own"),
            "first": node("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
        },
        imports=["types/own.yaml"],
    )
    types = {"node_types": {"Own": {"derived_from": "tosca.nodes.indigo.KubernetesObject"}}}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("TOSCA-Metadata/TOSCA.meta", "TOSCA-Meta-File-Version: 1.0\nEntry-Definitions: main.yaml\n")
        archive.writestr("main.yaml", json.dumps(own))
        archive.writestr("types/own.yaml", json.dumps(types))
    web_server.answers["/t.csar"] = packed.getvalue()
    async with world.running(here()), scheduling(world, ready):
        await world.create(on=ready, csar=f"{web_server.url}/t.csar")
        app = await world.until(settled)
    assert [item["metadata"]["name"] for item in app.status.last_applied_manifest] == ["a", "b"]


async def test_nobody_is_sent_to_this_machine_by_default(world: World, ready: Target, web_server: Web) -> None:
    web_server.answers["/t.yaml"] = json.dumps(greeting())
    async with world.running(applications()), scheduling(world, ready):
        await world.create(on=ready, tosca=f"{web_server.url}/t.yaml")
        app = await world.until(failed)
    assert app.status.reason is not None
    assert "127.0.0.1 is not reached from here" in app.status.reason.message
    assert web_server.asked == []


async def test_the_users_own_manifest_counts(world: World, ready: Target) -> None:
    async with world.running(here()), scheduling(world, ready):
        await world.create(config_map(text="mine"), on=ready, tosca=greeting())
        await world.until(settled)
        await change(world, inputs={"text": "other"})
        await world.until(settled)
        assert await text_on(ready) == "mine"
        await change(world, manifest=[])
        await until_text(ready, "other")
        await world.until(settled)
        await change(world, manifest=[config_map(text="mine again")])
        await until_text(ready, "mine again")
        await change(world, inputs={"text": "yet another"})
        await world.until(settled)
        assert await text_on(ready) == "mine again"


async def test_an_observer_schema_that_does_not_fit_is_told(world: World, ready: Target) -> None:
    schema = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gone"}, "data": None}]
    async with world.running(here()), scheduling(world, ready):
        await world.create(on=ready, tosca=greeting(), observer_schema=schema)
        app = await world.until(failed)
        assert app.status.reason is not None
        assert "Observed resource must be in manifest" in app.status.reason.message
        await change(world, observer_schema=[])
        await world.until(settled)


async def test_slow_templates_hold_up_nobody(world: World, ready: Target, web_server: Web) -> None:
    over = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    async with world.running(applications(fetching={"allow": ["127.0.0.1"], "timeout": 60}, worker_count=2)):
        for number in range(6):
            web_server.answers[f"/{number}.yaml"] = wait
            await world.create(on=ready, tosca=f"{web_server.url}/{number}.yaml", name=f"slow-{number}")
        await eventually(lambda: asyncio.sleep(0, len(web_server.asked)), lambda asked: asked == 4)
        await world.create(config_map(text="quick"), on=ready, name="quick")
        await world.until_state(State.RUNNING, "quick", deadline=5)
        states = [(await world.app(f"slow-{number}")).status.state for number in range(6)]
        over.set()
    assert states.count(State.TRANSLATING) == 4, "The others of the namespace take their turn."


async def test_a_template_moves_like_any_application(world: World, targets: Any) -> None:
    first, second = await targets(2)
    for target in (first, second):
        await world.register(target, state=ClusterState.ONLINE)
    async with world.running(here()):
        async with scheduling(world, first):
            await world.create(on=first, tosca=greeting())
            await world.until(settled)
        await change(world, inputs={"text": "moved"})
        await world.bind(second)
        await eventually(lambda: text_on(second), lambda seen: seen is not None)
        async with scheduling(world, second):
            await until_text(second, "moved")
            await eventually(lambda: text_on(first), lambda seen: seen is None)
            await world.until(settled)


async def declare_anew(world: World, name: str) -> None:
    await change(world, name, inputs={"text": "new"})


async def declare_another(world: World, name: str) -> None:
    await change(world, name, manifest=[], tosca=greeting("new", name))


@pytest.mark.parametrize("act", [None, declare_anew, declare_another], ids=["create", "inputs", "template"])
async def test_killed_at_any_step_of_a_translation(act: Any, world: World, ready: Target) -> None:
    for steps in count(1):
        name = f"app-{steps}"
        text = "hello" if act is None else "new"

        async def ended(name: str = name, text: str = text) -> None:
            await world.until(settled, name)
            await eventually(lambda: text_on(ready, name), lambda seen: seen == text)
            assert (await world.app(name)).spec.manifest == [config_map(name, text=text)]

        async with scheduling(world, ready, name=name):
            await world.create(on=ready if act else None, tosca=greeting("hello", name), name=name)
            if act is not None:
                async with world.running(here()):
                    await world.until(settled, name)
                await act(world, name)
            lived = await live(world, Life(steps), ended(), **HERE)
            if not lived:
                async with world.running(here()):
                    await ended()
        if lived:
            break
        assert steps < LONGEST, "The story has no end."
    assert steps > 3
