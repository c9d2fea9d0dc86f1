"""Clusters that are created for applications: against a real API; the tests take the place of the infrastructure controller."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from component.controllers.hosts import TOSCA, add_cloud, add_global_cloud, add_metrics, bring_up, declare_cluster, set_values
from component.controllers.world import add_app, add_cluster, eventually, running, set_state

from krake.client import Client
from krake.controller.runtime import ControllerConfig, Parts
from krake.controller.runtime.process import serve
from krake.controller.runtime.settings import SettingsError
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.settings import ClusterCreationConfig, MetricsConfig, SchedulerConfig
from krake.data import Key
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState

WAITING = ApplicationState.WAITING_FOR_CLUSTER_CREATION
Run = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(json.dumps(TOSCA))
    return path


@pytest.fixture
def run(api: str, template: Path) -> Run:
    """Runs a scheduler that creates clusters."""

    def start(**more: Any) -> AbstractAsyncContextManager[None]:
        creation = ClusterCreationConfig(
            tosca_file=more.get("tosca_file", str(template)),
            custom_resources=more.get("custom_resources", []),
            deletion_retention=more.get("retention", 600),
        )
        config = SchedulerConfig(
            reschedule_after=more.get("reschedule_after", 30.0),
            metrics=MetricsConfig(interval=0.2),
            automatic_cluster_creation=creation,
        )
        return running(partial(build, config), api)

    return start


async def ask(client: Client, name: str = "app", **more: Any) -> Application:
    """Create an application for which a cluster may be created."""
    custom = more.pop("custom_resources", [])
    app = await add_app(client, f"{name}-draft", namespace="elsewhere", backoff_limit=0, **more)
    spec = app.spec.serialize()
    spec |= {"auto_cluster_create": True}
    spec["constraints"]["cluster"]["custom_resources"] = custom
    kind = type(app)
    return await client.create(kind.deserialize({"metadata": {"name": name, "namespace": "red"}, "spec": spec}))


async def see(client: Client, accept: Callable[[Application], bool], name: str = "app") -> Application:
    return await eventually(partial(client.get, Application, Key("red", name)), accept)


async def see_waiting(client: Client, name: str = "app") -> str:
    """Return the name of the cluster that an application waits for, once that is bound to a cloud."""
    app = await see(client, lambda app: app.status.state is WAITING, name)
    assert app.status.auto_cluster_create_started is not None
    key = Key("red", app.status.auto_cluster_create_started)
    await eventually(partial(created, client), lambda names: key.name in names)
    await eventually(partial(client.get, Cluster, key), lambda cluster: cluster.status.scheduled_to is not None)
    return key.name


async def see_placed(client: Client, cluster: str, name: str = "app") -> Application:
    return await see(client, lambda app: app.status.scheduled_to is not None and app.status.scheduled_to.name == cluster, name)


async def see_refused(client: Client, name: str = "app") -> str:
    app = await see(client, lambda app: app.status.reason is not None, name)
    assert app.status.reason is not None
    return app.status.reason.message


async def created(client: Client) -> list[str]:
    """The names of the clusters that were created, and are not being deleted."""
    found = (await client.list(Cluster, "red")).items
    return [it.metadata.name for it in found if it.spec.auto_generated and it.metadata.deleted is None]


async def test_a_cluster_is_created_for_an_application_that_fits_nowhere(client: Client, run: Run) -> None:
    await add_metrics(client, load=0.4)
    await add_cloud(client, "north", labels={"zone": "a"}, metrics=["load"])
    await add_cloud(client, "south", labels={"zone": "b"}, metrics=["load"])
    async with run():
        await ask(client, labels=["zone is b"], metrics=["load < 0.5"])
        name = await see_waiting(client)
        cluster = await client.get(Cluster, Key("red", name))
        assert cluster.status.scheduled_to is not None
        assert cluster.status.scheduled_to.name == "south"
        assert cluster.spec.auto_generated
        assert (cluster.metadata.inherit_labels, cluster.spec.inherit_metrics) == (True, True)
        assert cluster.spec.tosca == TOSCA
        wanted = cluster.spec.constraints.cloud
        assert [str(each) for each in (*(wanted.labels or ()), *(wanted.metrics or ()))] == ["zone is b", "load < 0.5"]
        await bring_up(client, name)
        app = await see_placed(client, name)
        app = await see(client, lambda app: app.status.auto_cluster_create_started is None)
        assert app.status.state is not WAITING
        assert app.status.reason is None
        assert await created(client) == [name]


async def test_one_cluster_serves_all_that_wait_for_such_a_one(client: Client, run: Run) -> None:
    await add_cloud(client, "cloud", labels={"zone": "a"})
    apps = [f"app-{number}" for number in range(8)]
    async with run():
        await asyncio.gather(*(ask(client, name, labels=["zone is a"]) for name in apps))
        names = {await see_waiting(client, name) for name in apps}
        assert names == set(await created(client))
        (name,) = names
        await bring_up(client, name)
        for app in apps:
            await see_placed(client, name, app)


async def test_those_that_need_other_clusters_get_others(client: Client, run: Run) -> None:
    await add_cloud(client, "north", labels={"zone": "a"})
    await add_cloud(client, "south", labels={"zone": "b"})
    async with run():
        await ask(client, "first", labels=["zone is a"])
        await ask(client, "second", labels=["zone is b"])
        assert len({await see_waiting(client, "first"), await see_waiting(client, "second")}) == 2


async def test_a_cluster_that_is_full_is_joined_by_another(client: Client, run: Run) -> None:
    """Anti-affinity stands for whatever keeps two from sharing a cluster."""
    await add_cloud(client, "cloud")
    async with run():
        await ask(client, "first")
        name = await see_waiting(client, "first")
        await bring_up(client, name)
        await see_placed(client, name, "first")
        await client.patch(Cluster, Key("red", name), {"spec": {"taints": [{"key": "full"}]}})
        await ask(client, "second")
        assert await see_waiting(client, "second") != name


async def test_a_cluster_that_fits_is_taken_unless_a_cloud_is_strictly_better(client: Client, run: Run) -> None:
    await add_metrics(client, load=0.5, idle=0.5)
    await add_cloud(client, "cloud", metrics=["idle"])
    await add_cluster(client, "present", metrics=["load"])
    async with run():
        await ask(client)
        await see_placed(client, "present")
        assert await created(client) == []
        await set_values(client, idle=0.9)
        await ask(client, "second")
        await see_waiting(client, "second")


async def test_an_application_that_runs_stays_until_its_better_cluster_is_there(client: Client, run: Run) -> None:
    await add_metrics(client, load=0.5, idle=0.1)
    await add_cloud(client, "cloud", metrics=["idle"])
    await add_cluster(client, "present", metrics=["load"])
    async with run(reschedule_after=0.1):
        await ask(client)
        await see_placed(client, "present")
        await set_values(client, idle=0.9)
        app = await see(client, lambda app: app.status.auto_cluster_create_started is not None)
        assert app.status.state is not WAITING
        assert app.status.scheduled_to is not None
        assert app.status.scheduled_to.name == "present"
        name = app.status.auto_cluster_create_started
        assert name is not None
        await eventually(
            partial(client.list, Cluster, "red"),
            lambda found: any(it.metadata.name == name and it.status.scheduled_to for it in found.items),
        )
        await bring_up(client, name)
        await see_placed(client, name)
        await see(client, lambda app: app.status.auto_cluster_create_started is None)


async def test_clouds_of_the_namespace_come_first_here_as_well(client: Client, run: Run) -> None:
    await add_metrics(client, poor=0.1, good=0.9)
    await add_global_cloud(client, "ours", metrics=["good"])
    await add_cloud(client, "mine", metrics=["poor"])
    async with run():
        await ask(client)
        cluster = await client.get(Cluster, Key("red", await see_waiting(client)))
        assert cluster.status.scheduled_to is not None
        assert cluster.status.scheduled_to.name == "mine"


async def test_where_no_cloud_fits_the_application_says_so_until_one_does(client: Client, run: Run) -> None:
    async with run():
        await ask(client, labels=["zone is a"])
        message = await see_refused(client)
        assert message.endswith("No cluster can be created for it: There are no clouds; declare one.")
        await add_cloud(client, "cloud", labels={"zone": "b"})
        await eventually(
            partial(client.get, Application, Key("red", "app")),
            lambda app: app.status.reason is not None and "asks for the label zone is a" in app.status.reason.message,
        )
        assert await created(client) == []
        await add_cloud(client, "late", labels={"zone": "a"})
        await see_waiting(client)
        assert (await client.get(Application, Key("red", "app"))).status.reason is None


async def test_no_cluster_is_created_that_would_lack_a_custom_resource(client: Client, run: Run) -> None:
    await add_cloud(client, "cloud")
    async with run(custom_resources=["databases.example.org"]):
        await ask(client, "other", custom_resources=["others.example.org"])
        await see_refused(client, "other")
        assert await created(client) == []
        await ask(client, custom_resources=["databases.example.org"])
        cluster = await client.get(Cluster, Key("red", await see_waiting(client)))
        assert cluster.spec.custom_resources == ["databases.example.org"]


async def test_nothing_is_created_for_those_that_do_not_ask(client: Client, run: Run) -> None:
    await add_cloud(client, "cloud")
    async with run():
        await add_app(client)
        message = await see_refused(client)
        assert "created" not in message
        assert await created(client) == []


@pytest.mark.parametrize("crash", ["before the cluster was created", "after that"])
async def test_a_crash_never_leads_to_a_second_cluster(client: Client, run: Run, crash: str) -> None:
    await add_cloud(client, "cloud")
    async with run():
        await ask(client)
        name = await see_waiting(client)
    if crash.startswith("before"):
        # Only the intent was stored.
        await client.delete(Cluster, Key("red", name), force=True)
        assert await created(client) == []
    async with run():
        assert await see_waiting(client) == name
        await ask(client, "second")
        assert await see_waiting(client, "second") == name
        assert await created(client) == [name]


async def test_what_fails_on_one_cloud_is_tried_on_another(client: Client, run: Run) -> None:
    await add_cloud(client, "a")
    await add_cloud(client, "b")
    async with run():
        await ask(client)
        first = await see_waiting(client)
        await client.patch(
            Cluster,
            Key("red", first),
            {"status": {"state": "FAILED", "reason": {"code": "CREATE_FAILED", "message": "No quota."}}},
            subresource="status",
        )
        app = await see(client, lambda app: app.status.auto_cluster_create_started not in (None, first))
        second = app.status.auto_cluster_create_started
        assert second is not None
        # Its name is known before it is there.
        await eventually(partial(created, client), lambda names: second in names)
        cluster = await eventually(
            partial(client.get, Cluster, Key("red", second)), lambda it: it.status.scheduled_to is not None
        )
        assert cluster.status.scheduled_to is not None
        assert cluster.status.scheduled_to.name == "b"
        await set_state(client, second, "FAILED")
        message = await see_refused(client)
        assert f"a: The cluster {first} has failed there" in message
        assert f"b: The cluster {second} has failed there" in message
        assert set(await created(client)) == {first, second}
        # As soon as one of them is gone, the next attempt is made.
        await client.delete(Cluster, Key("red", second), force=True)
        await see_waiting(client)


async def test_whoever_waits_takes_another_cluster_that_fits_meanwhile(client: Client, run: Run) -> None:
    await add_cloud(client, "cloud")
    async with run(retention=0):
        await ask(client)
        name = await see_waiting(client)
        await add_cluster(client, "present")
        await see_placed(client, "present")
        await see(client, lambda app: app.status.auto_cluster_create_started is None)
        await eventually(partial(created, client), lambda names: name not in names)


async def test_a_created_cluster_goes_when_nobody_has_used_it_for_a_while(client: Client, run: Run) -> None:
    await add_cloud(client, "cloud")
    async with run(retention=1):
        await ask(client, "first")
        await ask(client, "second")
        name = await see_waiting(client, "first")
        assert await see_waiting(client, "second") == name
        await bring_up(client, name)
        for app in ("first", "second"):
            await see_placed(client, name, app)
        await client.delete(Application, Key("red", "first"), force=True)
        # As long as anybody uses it, it stays, whoever that is.
        assert (await client.get(Cluster, Key("red", name))).status.idle_since is None
        await client.delete(Application, Key("red", "second"), force=True)
        before = datetime.now(UTC)
        await eventually(partial(created, client), lambda names: names == [])
        assert (datetime.now(UTC) - before).total_seconds() >= 0.9


async def test_how_long_a_cluster_was_idle_survives_a_restart(client: Client, run: Run) -> None:
    await add_cloud(client, "cloud")
    async with run():
        await ask(client)
        name = await see_waiting(client)
        await client.delete(Application, Key("red", "app"), force=True)
        cluster = await eventually(partial(client.get, Cluster, Key("red", name)), lambda it: it.status.idle_since is not None)
        since = cluster.status.idle_since
    async with run():
        await ask(client, "late", labels=["zone is nowhere"])
        await see_refused(client, "late")
        assert (await client.get(Cluster, Key("red", name))).status.idle_since == since
    async with run(retention=0):
        await eventually(partial(created, client), lambda names: names == [])


async def test_an_idle_cluster_that_is_used_again_stays(client: Client, run: Run) -> None:
    await add_cloud(client, "cloud")
    async with run():
        await ask(client)
        name = await see_waiting(client)
        await bring_up(client, name)
        await see_placed(client, name)
        await client.delete(Application, Key("red", "app"), force=True)
        look = partial(client.get, Cluster, Key("red", name))
        await eventually(look, lambda it: it.status.idle_since is not None)
        await add_app(client, "late")
        await see_placed(client, name, "late")
        await eventually(look, lambda it: it.status.idle_since is None)


async def test_clusters_that_users_have_registered_are_never_deleted(client: Client, run: Run) -> None:
    await add_cluster(client, "registered")
    await client.patch(Cluster, Key("red", "registered"), {"spec": {"auto_generated": True}})
    await add_cloud(client, "cloud")
    async with run(retention=0):
        await declare_cluster(client, "witness", auto_generated=True)
        await eventually(partial(created, client), lambda names: "witness" not in names)
        await eventually(partial(created, client), lambda names: names == ["registered"])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("tosca: [", "can not be used"),
        ("- a\n", "It must be a TOSCA template."),
        (json.dumps({**TOSCA, "topology_template": {}}), "The output `kubeconfig` is missing."),
        (None, "No such file"),
    ],
)
async def test_a_template_that_can_not_be_used_is_told_at_the_start(
    run: Run, tmp_path: Path, content: str | None, problem: str
) -> None:
    path = tmp_path / "other.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match="tosca_file") as caught:
        async with run(tosca_file=str(path)):
            pass
    assert problem in str(caught.value)


async def test_without_a_template_the_application_says_that_nothing_can_be_created(client: Client, run: Run) -> None:
    await add_cloud(client, "cloud")
    async with run(tosca_file=""):
        await ask(client)
        assert "The scheduler has no template for it." in await see_refused(client)


async def test_a_cluster_that_does_not_work_is_waited_for_only_for_a_while(client: Client, run: Run) -> None:
    await add_cloud(client, "cloud")
    async with run(retention=1):
        await ask(client)
        name = await see_waiting(client)
        await bring_up(client, name)
        await see_placed(client, name)
        await set_state(client, name, "OFFLINE")
        await ask(client, "second")
        assert await see_waiting(client, "second") == name
        await see(client, lambda app: app.status.auto_cluster_create_started not in (None, name), "second")
        assert (await client.get(Cluster, Key("red", name))).status.state is ClusterState.OFFLINE


async def test_a_cluster_that_was_gone_before_it_was_seen_is_not_waited_for(client: Client, api: str, template: Path) -> None:
    await add_cloud(client, "cloud")
    mended = asyncio.Event()

    def build_deaf(client: Client) -> Parts:
        creation = ClusterCreationConfig(tosca_file=str(template))
        parts = build(SchedulerConfig(reschedule_after=30.0, automatic_cluster_creation=creation), client)
        clusters = next(each for each in parts.informers if each.kind is Cluster)
        follow = clusters.run

        async def hear_late() -> None:
            clusters.synced.set()
            await mended.wait()
            await follow()

        clusters.run = hear_late  # type: ignore[method-assign]
        return parts

    async with running(build_deaf, api):
        await ask(client)
        (name,) = await eventually(partial(created, client), lambda names: len(names) == 1)
        await client.delete(Cluster, Key("red", name), force=True)
        mended.set()
        # The next application looks for what it could wait for.
        await ask(client, "late")
        await see(client, lambda app: app.status.auto_cluster_create_started is not None, "late")
        await eventually(partial(created, client), lambda names: len(names) == 1)


async def test_nobody_comes_to_an_idle_cluster_while_it_is_being_deleted(client: Client, api: str, template: Path) -> None:
    await add_cloud(client, "cloud")
    about_to_go, gone = asyncio.Event(), asyncio.Event()

    class Slow(Client):
        async def delete(self, kind: type[Any], *args: Any, **options: Any) -> Any:
            if kind is Cluster:
                about_to_go.set()
                await gone.wait()
            return await super().delete(kind, *args, **options)

    creation = ClusterCreationConfig(tosca_file=str(template), deletion_retention=1)
    config = SchedulerConfig(reschedule_after=30.0, automatic_cluster_creation=creation)
    stop = asyncio.Event()
    async with Slow(api) as slow:
        scheduler = asyncio.create_task(serve("test", build(config, slow), slow, ControllerConfig(drain_timeout=5), stop))
        await ask(client)
        first = await see_waiting(client)
        await bring_up(client, first)
        await see_placed(client, first)
        await client.delete(Application, Key("red", "app"), force=True)
        await asyncio.wait_for(about_to_go.wait(), 20)
        await ask(client, "late")
        # It is decided on before another one that comes after it, and goes elsewhere.
        await add_cluster(client, "elsewhere", labels={"zone": "z"})
        await add_app(client, "witness", labels=["zone is z"])
        await see_placed(client, "elsewhere", "witness")
        late = await client.get(Application, Key("red", "late"))
        assert late.status.scheduled_to is None or late.status.scheduled_to.name != first
        gone.set()
        await eventually(partial(created, client), lambda names: first not in names)
        await see(client, lambda app: app.status.scheduled_to is not None and app.status.scheduled_to.name != first, "late")
        stop.set()
        await scheduler
