"""``rok kube cluster`` against a real API."""

import asyncio
import base64
from typing import Any

import pytest
from command import Done, Rok
from krake.client import Client
from krake.data import Key
from krake.data.infrastructure import GlobalCloud
from krake.data.kubernetes import Cluster

TOSCA = {
    "tosca_definitions_version": "tosca_simple_yaml_1_0",
    "topology_template": {"outputs": {"kubeconfig": {"value": "x"}}},
}
ROWS = [
    *("name", "namespace", "labels", "created", "modified", "deleted", "state", "reason", "custom_resources", "metrics"),
    *("failing_metrics", "label constraints", "metric constraints", "scheduled_to", "scheduled", "running_on"),
]
NODE_ROWS = ["nodes", "nodes_pid_pressure", "nodes_memory_pressure", "nodes_disk_pressure"]
UNREACHABLE = {"code": "CLUSTER_NOT_REACHABLE", "message": "Connection refused"}

pytestmark = pytest.mark.usefixtures("client")


def kubeconfig(name: str = "minikube2", **user: Any) -> dict[str, Any]:
    """Return a kubeconfig of one cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": name, "user": user or {"token": "t"}}],
    }


async def find_state(client: Client, state: str, name: str = "minikube2", **status: Any) -> None:
    """Find a cluster in a state, as the cluster controller does as soon as there is the cluster."""
    async with asyncio.timeout(60):
        while True:
            clusters = (await client.list(Cluster, "system:admin")).items
            if found := [item for item in clusters if item.metadata.name == name]:
                break
            await asyncio.sleep(0.02)
    changes = {"status": {"state": state, "observed_generation": found[0].metadata.generation, **status}}
    await client.patch(Cluster, Key("system:admin", name), changes, subresource="status")


async def register(rok: Rok, client: Client, options: str = "", state: str = "ONLINE", **status: Any) -> Done:
    """Register a cluster that is found to be in a state."""
    rok.write("minikube_conf.yaml", kubeconfig())
    command = asyncio.create_task(rok(f"kube cluster register -k minikube_conf.yaml {options}"))
    await find_state(client, state, **status)
    return await command


async def test_the_story_of_the_readme(rok: Rok, client: Client) -> None:
    empty = await rok("kube cluster list")
    assert empty.out.splitlines()[1] == "| name | namespace | labels | created | modified | deleted | state |"
    done = await register(rok, client)
    assert (done.status, done.err) == (0, "")
    assert list(done.rows) == ROWS
    expected = {
        **{"name": "minikube2", "namespace": "system:admin", "labels": "None", "deleted": "None", "state": "ONLINE"},
        **{"custom_resources": "[]", "metrics": "[]", "failing_metrics": "None"},
    }
    assert {key: done.rows[key] for key in expected} == expected
    (row,) = (await rok("kube cluster list")).lines
    assert (row[:3], row[5:]) == (["minikube2", "system:admin", "None"], ["None", "ONLINE"])
    deleted = await rok("kube cluster delete minikube2")
    assert list(deleted.rows) == ROWS
    assert deleted.rows["deleted"] != "None"
    assert (await rok("kube cluster list")).out == empty.out


async def test_register_says_why_a_cluster_is_not_online(rok: Rok, client: Client) -> None:
    done = await register(rok, client, state="OFFLINE", reason=UNREACHABLE)
    assert done.status == 0
    assert (done.rows["state"], done.rows["reason"]) == ("OFFLINE", "code: CLUSTER_NOT_REACHABLE/message: Connection refused")
    assert done.err == (
        "rok: warning: cluster minikube2 is OFFLINE (CLUSTER_NOT_REACHABLE: Connection refused): Krake goes on trying\n"
    )


async def test_register_need_not_wait(rok: Rok) -> None:
    rok.write("minikube_conf.yaml", kubeconfig())
    done = await rok("kube cluster register -k minikube_conf.yaml --no-wait")
    assert (done.status, done.err, done.rows["state"]) == (0, "", "PENDING")


async def test_register_waits_for_a_cluster_that_comes_later(rok: Rok, client: Client) -> None:
    command = asyncio.create_task(register(rok, client, "--wait --timeout 30", "OFFLINE", reason=UNREACHABLE))
    await find_state(client, "OFFLINE", reason=UNREACHABLE)
    assert not command.done()
    await find_state(client, "ONLINE", reason=None)
    done = await command
    assert (done.status, done.rows["state"]) == (0, "ONLINE")


async def test_register_sends_what_the_user_says(rok: Rok, client: Client) -> None:
    (rok.directory / "certs").mkdir()
    (rok.directory / "certs" / "client.crt").write_text("certificate")
    (rok.directory / "certs" / "client.key").write_text("key")
    user = {"client-certificate": "./certs/client.crt", "client-key": str(rok.directory / "certs" / "client.key")}
    rok.write("two.yaml", {**kubeconfig("arn:aws:eks/x", **user), "current-context": "none"})
    done = await rok(
        "kube cluster register -k two.yaml -c arn:aws:eks/x --name two --no-wait -R a.b -R c.d"
        " --metric m 1 --global-metric g 2.5 -l location=DE --backoff 2 --backoff_delay 3 --backoff_limit 4 -o json"
    )
    assert done.status == 0, done.err
    assert (done.json["metadata"]["name"], done.json["metadata"]["labels"]) == ("two", {"location": "DE"})
    spec = (await client.get(Cluster, Key("system:admin", "two"))).spec
    assert spec.kubeconfig["current-context"] == "arn:aws:eks/x"
    assert spec.kubeconfig["users"][0]["user"] == {
        "client-certificate-data": base64.b64encode(b"certificate").decode(),
        "client-key-data": base64.b64encode(b"key").decode(),
    }
    assert done.json["spec"]["metrics"] == [
        {"name": "m", "weight": 1.0, "namespaced": True},
        {"name": "g", "weight": 2.5, "namespaced": False},
    ]
    assert (spec.custom_resources, spec.backoff, spec.backoff_delay, spec.backoff_limit) == (["a.b", "c.d"], 2, 3, 4)


async def test_a_table_shows_no_kubeconfig(rok: Rok, client: Client) -> None:
    rok.write("secret.yaml", kubeconfig(token="very-hidden"))
    for line in ("register -k secret.yaml --no-wait", "get minikube2", "list", "update minikube2 -k secret.yaml"):
        done = await rok(f"kube cluster {line}")
        assert done.status == 0, done.err
        assert "hidden" not in done.out + done.err


@pytest.mark.parametrize(
    ("user", "name", "options", "message"),
    [
        (
            {"exec": {"command": "aws"}},
            "a",
            "",
            "the user 'a' of k.yaml runs a program to log in (exec), which Krake can not do",
        ),
        ({"auth-provider": {}}, "a", "", "the user 'a' of k.yaml logs in by a plugin (auth-provider), which Krake can not do"),
        ({"client-key": "gone.key"}, "a", "", "the client-key of k.yaml is not there: put it at"),
        ({}, "a/b", "", "'a/b' can not be the name of a cluster in Krake: choose one with --name"),
        ({}, "a", "-c other", "k.yaml has no context 'other': choose one with -c (a)"),
    ],
)
async def test_kubeconfigs_that_can_not_be_used(user: dict[str, Any], name: str, options: str, message: str, rok: Rok) -> None:
    rok.write("k.yaml", kubeconfig(name, **user))
    done = await rok(f"kube cluster register -k k.yaml {options}")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"rok: error: {message}")
    assert done.err.count("\n") == 1


async def test_create_from_a_template(rok: Rok, client: Client) -> None:
    rok.write("im.yaml", TOSCA)
    command = asyncio.create_task(
        rok(
            "kube cluster create -f im.yaml mine --inherit-labels --inherit-metrics --wait --metric m 1 -l a=b",
            *("-L", "location is DE", "-M", "load < 1"),
        )
    )
    for state in ("CREATING", "CONNECTING", "ONLINE"):
        await find_state(client, state, "mine")
    done = await command
    assert (done.status, done.rows["state"]) == (0, "ONLINE"), done.err
    stored = await client.get(Cluster, Key("system:admin", "mine"))
    assert (stored.spec.tosca, stored.spec.inherit_metrics, stored.metadata.inherit_labels) == (TOSCA, True, True)
    assert done.rows["label constraints"] == "['location is DE']"
    assert done.rows["metric constraints"] == "['load < 1']"


PROVIDER = {"api": "infrastructure", "kind": "InfrastructureProvider", "namespace": "system:admin", "name": "im"}


async def test_who_waits_sees_how_far_the_infrastructure_is(rok: Rok, client: Client) -> None:
    rok.write("im.yaml", TOSCA)
    command = asyncio.create_task(rok.on_terminal("kube cluster create -f im.yaml mine --wait online"))
    infrastructure: dict[str, Any] = {"provider": PROVIDER, "phase": "pending", "message": None, "machines": {}}
    await find_state(client, "CREATING", "mine", cluster_id="i-1", infrastructure=infrastructure)
    for ready, message in ((0, "No quota."), (1, None)):
        machines = {f"vm-{number}": "configured" if number < ready else "creating" for number in range(2)}
        infrastructure = {**infrastructure, "phase": "creating", "message": message, "machines": machines}
        await find_state(client, "CREATING", "mine", infrastructure=infrastructure)
    (row,) = (await rok("kube cluster list")).lines
    assert row[-1] == "creating, 1/2 machines configured"
    await find_state(client, "CREATING", "mine", infrastructure={**infrastructure, "message": "It takes long. " * 30})
    (row,) = (await rok("kube cluster list")).lines
    assert row[-1] == "creating, 1/2 machines configured: It takes long. It takes …"
    machines = dict.fromkeys(machines, "configured")
    await find_state(client, "ONLINE", "mine", infrastructure={**infrastructure, "phase": "configured", "machines": machines})
    done = await command
    assert done.status == 0
    assert [line for line in done.err.splitlines() if "(" in line] == [
        "cluster mine: CREATING (pending)",
        "cluster mine: CREATING (creating, 0/2 machines configured: No quota.)",
        "cluster mine: CREATING (creating, 1/2 machines configured)",
        f"cluster mine: CREATING (creating, 1/2 machines configured: {('It takes long. ' * 30).strip()})",
    ]
    assert (done.rows["infrastructure"], done.rows["machines"]) == ("configured", "vm-0: configured/vm-1: configured")
    await find_state(client, "ONLINE", "mine", idle_since="2030-01-01T00:00:00+00:00")
    assert (await rok("kube cluster get mine")).rows["idle_since"] == "2030-01-01 00:00:00"
    assert done.rows["cluster_id"] == "i-1"
    assert "'name': 'im'" in done.rows["infrastructure_provider"]
    assert (await rok("kube cluster list")).lines[0][-1] == "ONLINE"


async def test_get_shows_nodes(rok: Rok, client: Client) -> None:
    ready = {"type": "Ready", "status": "True", "reason": "", "message": ""}
    pressed = {"type": "MemoryPressure", "status": "True", "reason": "", "message": ""}
    nodes = [
        {"metadata": {"name": "a"}, "status": {"conditions": [ready]}},
        {"metadata": {"name": "b"}, "status": {"conditions": [pressed]}},
    ]
    await register(rok, client, nodes=nodes)
    done = await rok("kube cluster get minikube2")
    added = ["kubernetes_version", "capacity", "allocatable", "requested", "retries", "scheduled_retry"]
    assert list(done.rows) == [*ROWS, "schedulable", "taints", *NODE_ROWS, "backoff", "backoff_delay", "backoff_limit", *added]
    assert [done.rows[name] for name in NODE_ROWS] == ["1/2", "0/2", "1/2", "0/2"]


async def test_update_merges_appends_and_replaces(rok: Rok, client: Client) -> None:
    await register(rok, client, "-R a.b --metric m 1 --metric n 1 -l one=1 --backoff 5")
    options = ["-L", "zone is a", "-M", "load < 1"]
    assert (await rok("kube cluster update minikube2 -R c.d --metric n 2 --global-metric n 3 -l two=2", *options)).status == 0
    assert (await rok("kube cluster update minikube2", "-L", "zone is a", "-L", "zone is b")).status == 0
    stored = await client.get(Cluster, Key("system:admin", "minikube2"))
    assert stored.metadata.labels == {"one": "1", "two": "2"}
    assert (stored.spec.custom_resources, stored.spec.backoff) == (["c.d"], 5)
    assert [(each.name, each.weight, each.namespaced) for each in stored.spec.metrics] == [
        ("m", 1.0, True),
        ("n", 2.0, True),
        ("n", 3.0, False),
    ]
    cloud = stored.spec.constraints.cloud
    assert [list(map(str, each or [])) for each in (cloud.labels, cloud.metrics)] == [["zone is a", "zone is b"], ["load < 1"]]


async def test_update_drops_what_is_to_be_dropped(rok: Rok, client: Client) -> None:
    await register(rok, client, "--metric m 1 -l one=1")
    assert (await rok("kube cluster update minikube2", "-L", "zone is a", "-M", "load < 1")).status == 0
    done = await rok(
        "kube cluster update minikube2 --remove-existing-labels --remove-existing-metrics -l two=2"
        " --remove-existing-cloud-label-constraints --remove-existing-cloud-metric-constraints"
    )
    shown = [done.rows[name] for name in ("labels", "metrics", "label constraints", "metric constraints")]
    assert shown == ["two: 2", "[]", "[]", "[]"]


async def test_update_replaces_the_kubeconfig(rok: Rok, client: Client) -> None:
    await register(rok, client)
    rok.write("new.yaml", kubeconfig("other", token="new"))
    assert (await rok("kube cluster update minikube2 -k new.yaml")).status == 0
    assert (await client.get(Cluster, Key("system:admin", "minikube2"))).spec.kubeconfig["current-context"] == "other"


async def test_delete_by_force(rok: Rok, client: Client) -> None:
    await register(rok, client)
    assert (await rok("kube cluster delete minikube2 --force")).status == 0
    assert (await rok("kube cluster list")).lines == []


async def cloud(client: Client) -> None:
    """Create a cloud with labels and metrics."""
    await client.create(
        GlobalCloud.restore(
            {
                "metadata": {"name": "os", "labels": {"location": "SK", "tier": "1"}},
                "spec": {
                    "type": "openstack",
                    "openstack": {
                        "url": "http://os:5000",
                        "metrics": [{"name": "green", "weight": 2.0}, {"name": "load", "weight": 1.0}],
                        "infrastructure_provider": {"name": "im", "namespaced": False},
                        "auth": {
                            "type": "password",
                            "password": {
                                "version": "3",
                                "user": {"username": "u", "password": "p", "domain_name": "d"},
                                "project": {"name": "p", "domain_id": "d"},
                            },
                        },
                    },
                },
            }
        )
    )


@pytest.mark.parametrize(
    ("options", "labels", "metrics"),
    [
        (["--inherit-labels"], {"own": "1", "location": "SK (inherited)", "tier": "1 (inherited)"}, []),
        (["--inherit-metrics"], {"own": "1"}, ["green", "load"]),
        (["-L", "location is SK"], {"own": "1", "location": "SK (inherited)"}, []),
        (["-M", "green > 1"], {"own": "1"}, ["green"]),
        ([], {"own": "1"}, []),
    ],
)
async def test_get_shows_what_is_inherited(
    options: list[str], labels: dict[str, str], metrics: list[str], rok: Rok, client: Client
) -> None:
    await cloud(client)
    rok.write("im.yaml", TOSCA)
    assert (await rok("kube cluster create -f im.yaml mine -l own=1 --metric m 1", *options)).status == 0
    ref = {"api": "infrastructure", "kind": "GlobalCloud", "name": "os"}
    await find_state(client, "ONLINE", "mine", scheduled_to=ref, running_on=ref)
    item = (await rok("kube cluster get mine -o json")).json
    assert item["metadata"]["labels"] == labels
    inherited = [each["name"] for each in item["spec"]["metrics"] if each.get("inherited")]
    assert (inherited, item["spec"]["metrics"][0]["name"]) == (metrics, "m")
    await client.delete(GlobalCloud, Key(None, "os"), force=True)


async def test_get_works_without_the_cloud(rok: Rok, client: Client) -> None:
    rok.write("im.yaml", TOSCA)
    await rok("kube cluster create -f im.yaml mine --inherit-labels")
    ref = {"api": "infrastructure", "kind": "Cloud", "namespace": "system:admin", "name": "gone"}
    await find_state(client, "ONLINE", "mine", scheduled_to=ref)
    done = await rok("kube cluster get mine")
    assert (done.status, done.rows["state"]) == (0, "ONLINE")
    assert done.err.startswith("rok: warning: what the cluster inherits is not shown: 'Cloud' 'gone' does not exist")


async def test_a_template_that_imports_a_file_is_refused(rok: Rok) -> None:
    rok.write("good.yaml", {**TOSCA, "imports": [{"custom": "https://types.example/types.yaml"}]})
    rok.write("bad.yaml", {**TOSCA, "imports": [{"custom": "types.yaml"}]})
    assert (await rok("kube cluster create -f good.yaml mine")).status == 0
    for line in ("create -f bad.yaml other", "update -f bad.yaml mine"):
        done = await rok(f"kube cluster {line}")
        assert (done.status, done.out) == (1, "")
        assert done.err == (
            "rok: error: bad.yaml can not be used as a template: Import 1: 'types.yaml' must be an http or https URL, as no"
            " files are sent along with a template: put it where it can be fetched, or write what is in it into the template\n"
        )
