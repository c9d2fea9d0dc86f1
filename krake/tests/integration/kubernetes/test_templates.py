"""Applications that are declared by TOSCA templates and CSAR archives."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fixtures.web import Web
from integration.kubernetes.world import CONFIG_MAP, DEPLOYMENT, NAMESPACE, Target, World, applications, config_map
from unit.tosca.templates import config_map as config_map_text
from unit.tosca.templates import node, template

from krake.controller.runtime import Parts
from krake.data import Key
from krake.data.kubernetes import Application, ApplicationState, ClusterState
from krake.data.metadata import ReasonCode

State = ApplicationState
KEY = Key(NAMESPACE, "app")
GREETING = {
    "concat": ["apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata:\n  text:", {"get_input": "text"}, "\n"]
}
INPUTS = {"text": {"type": "string", "default": "hello"}}


def greeting() -> dict[str, Any]:
    return template(INPUTS, nodes={"settings": node(GREETING)})




async def change(world: World, target: Target, **spec: Any) -> None:
    """Change the application, and hand it over as the scheduler does."""
    await world.client.patch(Application, KEY, {"spec": spec})
    await world.bind(target)


async def handed_over(world: World, target: Target) -> None:
    """Do what the scheduler does whenever what is declared changes."""
    while True:
        app = await world.app()
        if app.status.kube_controller_triggered is None or app.status.kube_controller_triggered < app.metadata.modified:
            await world.bind(target)
        await asyncio.sleep(0.02)


@pytest.fixture
async def ready(world: World, target: Target) -> Target:
    await world.register(target, state=ClusterState.ONLINE)
    return target


def loopback(**settings: Any) -> Callable[[Any], Parts]:
    return applications(fetching={"allow": ["127.0.0.1"], "timeout": 2, **settings})


@pytest.fixture
async def scheduled(world: World, ready: Target) -> AsyncIterator[Target]:
    """A cluster to which the application is bound again whenever it was changed."""
    yield ready


async def text_on(target: Target) -> str | None:
    found = await target.get(CONFIG_MAP, "settings")
    return None if found is None else str(found["data"]["text"])


async def test_a_template_becomes_objects(world: World, ready: Target) -> None:
    async with world.running(loopback()):
        await world.create(on=ready, tosca=greeting())
        scheduler = asyncio.create_task(handed_over(world, ready))
        app = await world.until_state(State.RUNNING)
        assert [item["kind"] for item in app.spec.manifest] == ["ConfigMap"]
        assert await text_on(ready) == "hello"
        assert "Translated" not in (app.status.reason.message if app.status.reason else "")

        await change(world, ready, inputs={"text": "good morning"})
        await world.until(lambda app: app.spec.manifest[0]["data"]["text"] == "good morning")
        generation = (await world.app()).metadata.generation
        await world.until(lambda app: app.status.state is State.RUNNING and app.status.observed_generation == generation)
        assert await text_on(ready) == "good morning"
        scheduler.cancel()
