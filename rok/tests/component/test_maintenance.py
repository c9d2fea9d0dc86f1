"""``rok kube cluster cordon|uncordon|drain|taint`` and ``delete`` against a real API; the test does what controllers would."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from command import Rok
from krake.client import Client
from krake.data import Key
from krake.data.kubernetes import Application, Cluster, ClusterBinding
from objects import application, cluster

NAMESPACE = "system:admin"
MANIFEST = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"}}]
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "c", "user": {"token": "t"}}],
}


@pytest.fixture(autouse=True)
async def two_clusters(client: Client) -> None:
    for name in ("north", "south"):
        body = cluster(name)
        body["spec"]["kubeconfig"] = KUBECONFIG
        await client.create(Cluster.deserialize(body))


async def add_app(client: Client, name: str, *, migration: bool = True) -> None:
    """Create an application that runs on the cluster north."""
    body = application(name)
    body["spec"]["manifest"] = MANIFEST
    body["spec"]["constraints"]["migration"] = migration
    await client.create(Application.deserialize(body))
    await move(client, name, "north")


async def move(client: Client, name: str, place: str) -> None:
    ref = Cluster.definition.ref(Key(NAMESPACE, place))
    await client.act(Application, Key(NAMESPACE, name), "binding", ClusterBinding(cluster=ref))
    status = {"state": "RUNNING", "running_on": ref.serialize(), "placed_on": [ref.serialize()]}
    await client.patch(Application, Key(NAMESPACE, name), {"status": status}, subresource="status")
    await client.patch(Application, Key(NAMESPACE, name), {"metadata": {"owners": [ref.serialize()]}})


async def spec_of(client: Client, accept: Callable[[Any], bool] = lambda _: True) -> Any:
    async with asyncio.timeout(60):
        while True:
            spec = (await client.get(Cluster, Key(NAMESPACE, "north"))).spec
            if accept(spec):
                return spec
            await asyncio.sleep(0.02)


async def test_a_cluster_is_cordoned_and_opened_again(rok: Rok, client: Client) -> None:
    done = await rok("kube cluster cordon north")
    assert (done.status, done.rows["schedulable"]) == (0, "no (cordoned)")
    assert (await spec_of(client)).unschedulable is True
    listed = {row[0]: row[-1] for row in (await rok("kube cluster list")).lines}
    assert listed == {"north": "no (cordoned)", "south": "yes"}
    await rok("kube cluster drain north")
    spec = await spec_of(client)
    assert (spec.unschedulable, spec.drain) == (True, True)
    done = await rok("kube cluster uncordon north")
    assert (done.status, done.rows["schedulable"]) == (0, "yes")
    spec = await spec_of(client)
    assert (spec.unschedulable, spec.drain) == (False, False)


async def test_taints_that_are_changed_at_the_same_time_are_all_there(rok: Rok, client: Client) -> None:
    words = [f"k{number}=v:NoSchedule" for number in range(6)]
    done = await asyncio.gather(*(rok(f"kube cluster taint north {word}") for word in words))
    assert [each.status for each in done] == [0] * len(words), [each.err for each in done]
    assert sorted(map(str, (await spec_of(client)).taints)) == words
    shown = await rok("kube cluster get north")
    assert set(shown.rows["taints"].split("/")) == set(words)
    removed = await rok("kube cluster taint north k0:NoSchedule- k1- k9- k2=w:NoSchedule")
    assert removed.err == "rok: warning: cluster north has no taint k9, so none is removed\n"
    assert sorted(map(str, (await spec_of(client)).taints)) == ["k2=w:NoSchedule", *words[3:]]


async def test_a_wrong_taint_changes_nothing(rok: Rok, client: Client) -> None:
    done = await rok("kube cluster taint north k:NoSchedule gpu=yes:Never")
    assert done.status == 2
    assert "'gpu=yes:Never' is no taint" in done.err
    assert (await spec_of(client)).taints == []


async def test_drain_says_who_is_there(rok: Rok, client: Client) -> None:
    await add_app(client, "echo")
    done = await rok("kube cluster drain north")
    assert (done.status, done.err) == (0, "application echo: RUNNING\n")
    assert done.rows["schedulable"] == "no (draining)"


async def test_drain_waits_until_the_last_application_has_left(rok: Rok, client: Client) -> None:
    await add_app(client, "echo")
    await add_app(client, "shop")
    command = asyncio.create_task(rok("kube cluster drain north --wait --timeout 30 -o name"))
    await spec_of(client, lambda spec: spec.drain)
    await move(client, "echo", "south")
    await client.delete(Application, Key(NAMESPACE, "shop"), force=True)
    done = await command
    assert (done.status, done.out) == (0, "cluster/north\n")
    assert {"application echo: has left", "application shop: has left"} <= set(done.err.splitlines())


async def test_drain_does_not_wait_for_those_who_may_not_move(rok: Rok, client: Client) -> None:
    await add_app(client, "echo", migration=False)
    done = await rok("kube cluster drain north --wait --timeout 30")
    assert done.status == 1
    assert done.err.splitlines()[-1] == (
        "rok: error: cluster north is not drained, because some may not move: echo (RUNNING); "
        "let them move (rok kube app update --enable-migration), or delete them"
    )


async def test_drain_says_who_was_not_in_time(rok: Rok, client: Client) -> None:
    await add_app(client, "echo")
    done = await rok("kube cluster drain north --wait --timeout 0.5")
    assert done.status == 1
    assert done.err.splitlines()[-1] == "rok: error: cluster north is not drained after 0.5 s: it waits for echo (RUNNING)"


async def test_delete_says_what_it_waits_for(rok: Rok, client: Client) -> None:
    await add_app(client, "echo")
    done = await rok("kube cluster delete north --wait --timeout 0.5")
    assert done.status == 1
    assert done.err.splitlines()[-1].endswith("; it waits for echo (RUNNING)")
    north = await client.get(Cluster, Key(NAMESPACE, "north"))
    assert (north.metadata.deleted is not None, north.status.cascade) == (True, False)


async def test_delete_takes_the_applications_along_on_request(rok: Rok, client: Client) -> None:
    await add_app(client, "echo")
    done = await rok("kube cluster delete north --cascade -o json")
    assert (done.status, done.json["status"]["cascade"]) == (0, True)


async def test_an_application_tolerates_taints(rok: Rok, client: Client) -> None:
    rok.write("app.yaml", *MANIFEST)
    done = await rok("kube app create echo -f app.yaml --toleration gpu=yes:NoSchedule --toleration old")
    assert done.status == 0, done.err
    assert (await rok("kube app get echo")).rows["tolerations"] == "gpu=yes:NoSchedule/old"
    await rok("kube app update echo --toleration *:NoExecute")
    assert (await rok("kube app get echo")).rows["tolerations"] == "gpu=yes:NoSchedule/old/*:NoExecute"
    await rok("kube app update echo --remove-existing-tolerations --toleration gpu")
    assert (await rok("kube app get echo")).rows["tolerations"] == "gpu"
    tolerations = (await client.get(Application, Key(NAMESPACE, "echo"))).spec.tolerations
    assert [(each.key, each.operator, each.effect) for each in tolerations] == [("gpu", "Exists", None)]


async def test_an_application_says_how_it_shares_clusters(rok: Rok, client: Client) -> None:
    rok.write("app.yaml", *MANIFEST)
    apart = "--anti-affinity", "app is web over zone", "--anti-affinity", "*"
    others = "--spread", "app is web by 2", "--disruption-budget", "1 of app is web"
    done = await rok("kube app create echo -f app.yaml --priority 5", *apart, *others)
    assert done.status == 0, done.err
    rows = (await rok("kube app get echo")).rows
    assert [rows[name] for name in ("priority", "anti-affinity", "spread", "disruption budget")] == [
        "5",
        "app is web over zone/*",
        "app is web by 2",
        "1 of app is web",
    ]
    await rok("kube app update echo --anti-affinity * --remove-existing-spread --remove-existing-disruption-budget")
    rows = (await rok("kube app get echo")).rows
    assert (rows["anti-affinity"], rows["spread"], rows["disruption budget"]) == ("*", "None", "None")
    done = await rok("kube app update echo", "--anti-affinity", "app ~ web")
    assert done.status == 2
    assert "'app ~ web' is no constraint on labels" in done.err
