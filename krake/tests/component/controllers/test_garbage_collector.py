"""The garbage collector against a real API: what goes with what is deleted, and what does not."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
from component.controllers.world import add_app, add_cluster, eventually, names, ref, running, running_process

from krake.client import Client
from krake.controller.gc.controller import build
from krake.controller.runtime import ControllerConfig
from krake.data import Key, Metadata
from krake.data.core import Role
from krake.data.infrastructure import (
    Cloud,
    CloudPassword,
    CloudProject,
    CloudSpec,
    CloudUser,
    InfrastructureProviderRef,
    OpenstackAuthMethod,
    OpenstackSpec,
)
from krake.data.kubernetes import Application, Cluster, ClusterBinding

LAYERS = (Cloud, Cluster, Application)
BUILD = partial(build, ControllerConfig())


@pytest.fixture
async def collector(api: str) -> AsyncIterator[None]:
    async with running(BUILD, api):
        yield


async def add_cloud(client: Client, name: str = "cloud") -> None:
    login = CloudPassword(user=CloudUser(username="u", password="p"), project=CloudProject(name="p"))
    spec = OpenstackSpec(
        url="https://keystone.example:5000/v3",
        auth=OpenstackAuthMethod(value=login),
        infrastructure_provider=InfrastructureProviderRef(name="im"),
    )
    await client.create(Cloud(metadata=Metadata(name=name, namespace="red"), spec=CloudSpec(value=spec)))


async def bind(client: Client, app: str, cluster: str) -> None:
    await client.act(Application, Key("red", app), "binding", ClusterBinding(cluster=ref(Cluster, cluster)))


async def see_left(client: Client, *expected: str) -> None:
    await eventually(partial(names, client, LAYERS), lambda left: left == set(expected))


async def settle(client: Client) -> None:
    """Return when the garbage collector has worked through all that happened so far."""
    await add_app(client, "witness")
    await add_app(client, "witness-of-witness", owners=[ref(Application, "witness")])
    await client.delete(Application, Key("red", "witness"))
    await eventually(partial(names, client, LAYERS), lambda left: "witness" not in left)


@pytest.mark.usefixtures("collector")
async def test_a_deletion_takes_all_layers_along_and_nothing_else(client: Client) -> None:
    await add_cloud(client)
    await add_cluster(client, "cluster", owners=[ref(Cloud, "cloud")])
    await add_app(client, "top", owners=[ref(Cloud, "cloud")])
    await add_app(client, "below", owners=[ref(Application, "top")])
    await add_cluster(client, "bystander")
    await client.delete(Cloud, Key("red", "cloud"))
    await see_left(client, "bystander")


@pytest.mark.usefixtures("collector")
async def test_a_diamond_goes_as_a_whole(client: Client) -> None:
    await add_cloud(client)
    for name in ("left", "right"):
        await add_app(client, name, owners=[ref(Cloud, "cloud")])
    await add_app(client, "app", owners=[ref(Application, "left"), ref(Application, "right")])
    await client.delete(Cloud, Key("red", "cloud"))
    await see_left(client)


@pytest.mark.usefixtures("collector")
async def test_a_cluster_takes_its_applications_along_on_request(client: Client) -> None:
    await add_cluster(client, "cluster")
    for name in ("bound", "named"):
        await add_app(client, name, owners=[ref(Cluster, "cluster")])
    await bind(client, "bound", "cluster")
    await client.delete(Cluster, Key("red", "cluster"), cascade=True)
    await see_left(client)


@pytest.mark.usefixtures("collector")
async def test_a_cluster_waits_for_its_applications_to_leave(client: Client) -> None:
    """The scheduler and the application controller do not run here: the test does what they would."""
    await add_cloud(client)
    await add_cluster(client, "cluster", owners=[ref(Cloud, "cloud")])
    await add_cluster(client, "other")
    for name in ("bound", "named", "stuck"):
        await add_app(client, name, owners=[ref(Cluster, "cluster")])
    for name in ("bound", "stuck"):
        await bind(client, name, "cluster")
    await client.delete(Cloud, Key("red", "cloud"))
    # Who only names the cluster is free of it; who is bound to it holds it.
    await eventually(partial(client.get, Application, Key("red", "named")), lambda app: app.metadata.owners == [])
    await settle(client)
    assert await names(client, LAYERS) == {"cloud", "cluster", "other", "bound", "named", "stuck"}
    await bind(client, "bound", "other")
    await settle(client)
    assert await names(client, LAYERS) == {"cloud", "cluster", "other", "bound", "named", "stuck"}
    # Unbound is enough: whoever is nowhere on the cluster does not hold it.
    await client.patch(Application, Key("red", "stuck"), {"status": {"scheduled_to": None}}, subresource="status")
    await see_left(client, "other", "bound", "named", "stuck")
    for name in ("bound", "named", "stuck"):
        assert (await client.get(Application, Key("red", name))).metadata.deleted is None


@pytest.mark.usefixtures("collector")
async def test_who_runs_out_of_patience_asks_for_the_applications_too(client: Client) -> None:
    await add_cluster(client, "cluster")
    await add_app(client)
    await bind(client, "app", "cluster")
    await client.delete(Cluster, Key("red", "cluster"))
    await settle(client)
    assert await names(client, LAYERS) == {"cluster", "app"}
    await client.delete(Cluster, Key("red", "cluster"), cascade=True)
    await see_left(client)


@pytest.mark.usefixtures("collector")
async def test_nobody_holds_up_what_is_of_another_namespace(client: Client) -> None:
    await add_cluster(client, "victim")
    await add_app(client, "squatter", namespace="blue", owners=[ref(Cluster, "victim")], finalizers=["mine"])
    await settle(client)
    await client.delete(Cluster, Key("red", "victim"))
    await see_left(client, "squatter")
    assert (await client.get(Application, Key("blue", "squatter"))).metadata.deleted is None


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("size", [1, 2, 4])
async def test_a_cycle_goes_as_a_whole(client: Client, size: int) -> None:
    for number in range(size):
        await add_app(client, f"app-{number}", owners=[ref(Application, f"app-{(number + 1) % size}")])
    await add_app(client, "tail", owners=[ref(Application, "app-0")])
    await client.delete(Application, Key("red", "app-0"))
    await see_left(client)


@pytest.mark.usefixtures("collector")
async def test_an_owner_waits_for_the_finalizers_of_what_depends_on_it(client: Client) -> None:
    await add_cluster(client, "cluster")
    app = await add_app(client, "app", owners=[ref(Cluster, "cluster")], finalizers=["kubernetes_resources_deletion"])
    await client.delete(Cluster, Key("red", "cluster"), cascade=True)
    released = await eventually(
        partial(client.get, Application, app.key),
        lambda app: app.metadata.deleted is not None and app.metadata.finalizers == ["kubernetes_resources_deletion"],
    )
    await settle(client)
    assert await names(client, LAYERS) == {"cluster", "app"}
    await client.patch(Application, released.key, {"metadata": {"finalizers": []}})
    await see_left(client)


@pytest.mark.usefixtures("collector")
async def test_an_owner_goes_when_its_last_dependent_leaves_it(client: Client) -> None:
    await add_cluster(client, "cluster")
    app = await add_app(client, "app", owners=[ref(Cluster, "cluster")], finalizers=["someone.example/holds"])
    await client.delete(Cluster, Key("red", "cluster"), cascade=True)
    await eventually(partial(client.get, Application, app.key), lambda app: app.metadata.deleted is not None)
    await client.patch(Application, app.key, {"metadata": {"owners": []}})
    await see_left(client, "app")


@pytest.mark.usefixtures("collector")
async def test_removal_by_force_keeps_what_depends_on_it(client: Client) -> None:
    cluster = await add_cluster(client, "cluster")
    await add_app(client, "app", owners=[ref(Cluster, "cluster"), ref(Cluster, "never-there")])
    await client.delete(Cluster, cluster.key, force=True)
    await settle(client)
    app = await client.get(Application, Key("red", "app"))
    assert app.metadata.deleted is None
    await client.delete(Application, app.key)
    await see_left(client)


@pytest.mark.usefixtures("collector")
async def test_kinds_without_namespace_are_collected_too(client: Client) -> None:
    for name in ("owner", "owned"):
        owners = [Role.definition.ref(Key(None, "owner"))] if name == "owned" else []
        await client.create(Role(metadata=Metadata(name=name, owners=owners), rules=[]))
    await client.delete(Role, Key(None, "owner"))
    await eventually(partial(names, client, [Role]), lambda left: left == set())


async def test_what_was_deleted_while_nobody_looked_is_collected(client: Client, api: str) -> None:
    await add_cluster(client, "cluster")
    await add_app(client, "app", owners=[ref(Cluster, "cluster")])
    async with running(BUILD, api):
        await settle(client)
    await client.delete(Cluster, Key("red", "cluster"))
    await client.delete(Application, Key("red", "app"), force=True)
    async with running(BUILD, api):
        await see_left(client)


async def test_a_cascade_survives_the_death_of_the_collector(client: Client, api: str) -> None:
    await add_cloud(client)
    everything = {"cloud"}
    for top in ("left", "right"):
        await add_app(client, top, owners=[ref(Cloud, "cloud")])
        everything.add(top)
        for number in range(30):
            await add_app(client, f"{top}-{number}", owners=[ref(Application, top)])
            everything.add(f"{top}-{number}")
    await client.delete(Cloud, Key("red", "cloud"))
    async with running_process("krake.controller.gc", api) as process:
        left = await eventually(partial(names, client, LAYERS), lambda left: left < everything)
        process.kill()
        await process.wait()
    assert "cloud" in left
    async with running_process("krake.controller.gc", api):
        await see_left(client)
