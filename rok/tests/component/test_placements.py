"""``rok kube app explain|history`` against a real API; the test writes down what the scheduler would."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from command import Rok
from krake.client import Client
from krake.data import Key, Metadata, ResourceRef
from krake.data.events import Regarding
from krake.data.kubernetes import Application, Cluster, ClusterBinding
from krake.data.placements import CandidateRecord, DecisionRecord, Placement, placement_key
from objects import application, cluster

NAMESPACE = "system:admin"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MANIFEST = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"}}]

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "c", "user": {"token": "t"}}],
}


async def add_app(client: Client) -> Application:
    body = application("demo")
    body["spec"]["manifest"] = MANIFEST
    return await client.create(Application.deserialize(body))


async def add_cluster(client: Client) -> None:
    body = cluster("north")
    body["spec"]["kubeconfig"] = KUBECONFIG
    await client.create(Cluster.deserialize(body))


def place(name: str) -> ResourceRef:
    return Cluster.definition.ref(Key(NAMESPACE, name))


def placement(app: Application, *choices: str) -> Placement:
    """What was decided about an application, the latest last."""
    decisions = [
        DecisionRecord(
            since=(time := NOW + timedelta(minutes=number)),
            time=time,
            choice=place(choice),
            ground="BEST",
            message="It suits best.",
            considered=1,
            candidates=[CandidateRecord(place=place(choice), score=0.5)],
        )
        for number, choice in enumerate(choices)
    ]
    namespace, name = placement_key(app.ref)
    return Placement(metadata=Metadata(name=name, namespace=namespace), subject=Regarding.of(app), decisions=decisions[::-1])


async def test_the_latest_decision_is_explained_and_all_are_told(rok: Rok, client: Client) -> None:
    app = await add_app(client)
    await client.create(placement(app, "north", "south"))
    done = await rok("kube", "app", "explain", "demo")
    assert done.status == 0
    assert done.out.startswith("application demo is placed on cluster south: It suits best.\n")
    assert json.loads((await rok("kube", "app", "explain", "demo", "-o", "json")).out)["choice"]["name"] == "south"
    assert [row[2] for row in (await rok("kube", "app", "history", "demo")).lines] == ["north", "south"]
    told = json.loads((await rok("kube", "app", "history", "demo", "-o", "json")).out)
    assert [each["choice"]["name"] for each in told] == ["south", "north"]


async def test_a_move_that_is_still_to_be_made_is_told(rok: Rok, client: Client) -> None:
    await add_cluster(client)
    app = await add_app(client)
    await client.act(Application, app.key, "binding", ClusterBinding(cluster=place("north")))
    await client.create(placement(app, "south"))
    done = await rok("kube", "app", "explain", "demo")
    assert "It is bound to cluster north still: moves are made by and by.\n" in done.out


async def test_the_cluster_that_is_created_for_an_application_is_told(rok: Rok, client: Client) -> None:
    app = await add_app(client)
    waiting = {"state": "WAITING_FOR_CLUSTER_CREATION", "auto_cluster_create_started": "fresh"}
    await client.patch(Application, app.key, {"status": waiting}, subresource="status")
    await client.create(placement(app, "north"))
    done = await rok("kube", "app", "explain", "demo")
    assert "It waits for cluster fresh, which is being created for it.\n" in done.out


async def test_why_a_move_waits_is_told(rok: Rok, client: Client) -> None:
    await add_cluster(client)
    app = await add_app(client)
    await client.act(Application, app.key, "binding", ClusterBinding(cluster=place("north")))
    told = placement(app, "north", "south")
    waiting = replace(told.decisions[0], waits="It waits for its turn.")
    await client.create(replace(told, decisions=[waiting, told.decisions[1]]))
    done = await rok("kube", "app", "explain", "demo")
    assert done.out.startswith("application demo is to go to cluster south: It suits best.\n")
    assert "It is not carried out yet: It waits for its turn.\n" in done.out
    assert "(Waits: It waits for its turn.)" in (await rok("kube", "app", "history", "demo")).out


async def test_what_is_written_down_in_a_moment_is_waited_for(rok: Rok, client: Client) -> None:
    app = await add_app(client)

    async def write_later() -> None:
        await asyncio.sleep(0.5)
        await client.create(placement(app, "north"))

    done, _ = await asyncio.gather(rok("kube", "app", "explain", "demo"), write_later())
    assert done.status == 0
    assert "cluster north" in done.out


async def test_decisions_about_another_one_of_the_same_name_do_not_count(rok: Rok, client: Client) -> None:
    app = await add_app(client)
    await client.create(placement(app, "north"))
    await client.delete(Application, app.key, force=True)
    await add_app(client)
    done = await rok("kube", "app", "history", "demo")
    assert done.status == 1
    assert "nothing is written down yet of what was decided about application demo: is the scheduler running?" in done.err


async def test_what_is_not_there_or_was_not_decided_is_told_at_once(rok: Rok, client: Client) -> None:
    done = await rok("kube", "app", "explain", "demo")
    assert (done.status, "'demo' does not exist" in done.err) == (1, True)
    await add_cluster(client)
    done = await rok("kube", "cluster", "explain", "north")
    assert done.status == 1
    assert "cluster north was registered as it is: Krake has not decided where it is" in done.err
