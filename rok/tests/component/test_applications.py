"""``rok kube app`` against a real API."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from command import Rok
from krake.client import Client
from krake.data import Key, Metadata
from krake.data.kubernetes import Application, CloudConstraints, Cluster, ClusterCloudConstraints, ClusterSpec

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "echo"},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "echo",
                        "env": [
                            {"name": "A", "value": "PLACE"},
                            {"name": "B", "value": "other"},
                            {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                        ],
                    }
                ]
            }
        }
    },
}
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo"}, "spec": {"ports": [{"port": 80}]}}
NODE = {"type": "tosca.nodes.indigo.KubernetesObject", "properties": {"spec": "apiVersion: v1"}}
TOSCA = {"tosca_definitions_version": "tosca_simple_yaml_1_0", "topology_template": {"node_templates": {"echo": NODE}}}
TEMPLATE = {
    "tosca_definitions_version": "tosca_simple_yaml_1_0",
    "topology_template": {"outputs": {"kubeconfig": {"value": "x"}}},
}
LATER = "2030-01-01T00:00:00+00:00"
NO_CLUSTER = {"code": "NO_SUITABLE_RESOURCE", "message": "No matching Kubernetes cluster found"}

pytestmark = pytest.mark.usefixtures("client")


@pytest.fixture
async def created(client: Client, rok: Rok) -> dict[str, Any]:
    """An application that was just created."""
    rok.write("echo.yaml", DEPLOYMENT, None, SERVICE)
    item: dict[str, Any] = (await rok("kube app create echo -f echo.yaml -o json")).json
    return item


async def set_status(client: Client, name: str = "echo", namespace: str = "system:admin", **status: Any) -> None:
    """Change the status of an application, as a controller does."""
    await client.patch(Application, Key(namespace, name), {"status": status}, subresource="status")


async def spec_of(rok: Rok, name: str = "echo") -> dict[str, Any]:
    spec: dict[str, Any] = (await rok(f"kube app get {name} -o json")).json["spec"]
    return spec


async def test_list_without_applications(rok: Rok) -> None:
    done = await rok("kube app list")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[1] == "| name | namespace | labels | created | modified | deleted | state |"
    assert done.lines == []


async def test_create_from_manifests(rok: Rok) -> None:
    rok.write("echo.yaml", DEPLOYMENT, None, SERVICE)
    done = await rok(
        "kube app create -f echo.yaml echo -l tier=web --disable-migration", "-L", "location is DE", "-M", "load < 0.5"
    )
    assert (done.status, done.err) == (0, "")
    assert list(done.rows) == [
        *("name", "namespace", "labels", "created", "modified", "deleted", "state", "reason", "container_health", "services"),
        *("allow migration", "label constraints", "resources constraints", "metric constraints", "hooks"),
        *("scheduled_to", "scheduled", "running_on", "backoff", "backoff_delay", "backoff_limit"),
    ]
    expected = {
        "name": "echo",
        "namespace": "system:admin",
        "labels": "tier: web",
        "deleted": "None",
        "state": "PENDING",
        "allow migration": "False",
        "label constraints": "['location is DE']",
        "metric constraints": "['load < 0.5']",
        "backoff_limit": "-1",
    }
    assert {key: done.rows[key] for key in expected} == expected
    assert (await spec_of(rok))["manifest"] == [DEPLOYMENT, SERVICE]
    assert [row[0] for row in (await rok("kube app list")).lines] == ["echo"]


async def test_create_from_a_template_and_from_urls(rok: Rok) -> None:
    rok.write("tosca.yaml", TOSCA, SERVICE)
    sources = {
        "a": "-f tosca.yaml",
        "b": "-u http://x/t.yaml",
        "c": "-u http://x/t.zip",
        "d": "-f tosca.yaml -u http://x/t.zip",
    }
    for name, source in sources.items():
        done = await rok(f"kube app create {name} {source}")
        assert done.status == 0, done.err
    expected = {"a": (TOSCA, None), "b": ("http://x/t.yaml", None), "c": ({}, "http://x/t.zip"), "d": (TOSCA, None)}
    for name, (tosca, csar) in expected.items():
        spec = await spec_of(rok, name)
        assert (spec["tosca"], spec["csar"], spec["manifest"]) == (tosca, csar, [])


async def test_create_with_everything(rok: Rok) -> None:
    rok.write("echo.yaml", SERVICE)
    rok.write("seen.yaml", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo"}, "spec": {"type": None}})
    done = await rok(
        "kube app create --hook-complete --hook-shutdown 30 delete 2 echo -f echo.yaml --observer_schema_file seen.yaml"
        " -R crontabs.stable.example.com --backoff 2 --backoff_delay 3 --backoff-limit 4 --auto-cluster-create -n red"
    )
    assert (done.status, done.err) == (0, "")
    item = (await rok("kube app get echo -n red -o json")).json
    expected = {
        "hooks": ["complete", "shutdown"],
        "shutdown_grace_time": 30,
        "shutdown_failure_strategy": "delete",
        "shutdown_retry_count": 2,
        "backoff": 2,
        "backoff_delay": 3,
        "backoff_limit": 4,
        "auto_cluster_create": True,
    }
    assert {key: item["spec"][key] for key in expected} == expected
    assert item["metadata"]["namespace"] == "red"
    assert item["spec"]["constraints"]["cluster"]["custom_resources"] == ["crontabs.stable.example.com"]
    assert item["spec"]["observer_schema"][0]["spec"] == {"type": None}


async def test_injected_values_replace_placeholders_only(rok: Rok) -> None:
    rok.write("echo.yaml", DEPLOYMENT)
    done = await rok("kube app create -i PLACE=here=there NOBODY=1 echo -f echo.yaml")
    assert done.status == 0
    assert done.err == "rok: warning: no environment variable of the manifest has the value 'NOBODY', which -i replaces\n"
    (container,) = (await spec_of(rok))["manifest"][0]["spec"]["template"]["spec"]["containers"]
    assert [entry.get("value") for entry in container["env"]] == ["here=there", "other", None]


@pytest.mark.parametrize(
    ("options", "warned"), [("", True), ("--hook-shutdown", False), ("--disable-migration", False), ("-n red", True)]
)
async def test_state_that_may_get_lost_is_warned_of(options: str, warned: bool, rok: Rok) -> None:
    rok.write("job.yaml", {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}}, SERVICE)
    done = await rok(f"kube app create job -f job.yaml {options}")
    assert done.status == 0
    assert ("holds Job and may lose its state" in done.err) == warned


async def test_who_waits_for_a_cluster_to_be_created_sees_for_which(rok: Rok, client: Client) -> None:
    rok.write("echo.yaml", SERVICE)
    await rok("kube app create echo -f echo.yaml --auto-cluster-create")
    assert "waiting_for_cluster" not in (await rok("kube app get echo")).rows
    await set_status(client, state="WAITING_FOR_CLUSTER_CREATION", auto_cluster_create_started="cluster-1")
    assert (await rok("kube app get echo")).rows["waiting_for_cluster"] == "cluster-1"


async def test_lists_of_one_and_of_all_namespaces(rok: Rok) -> None:
    rok.write("echo.yaml", SERVICE)
    for namespace in ("red", "blue"):
        assert (await rok(f"kube app create echo -f echo.yaml -n {namespace}")).status == 0
    assert (await rok("kube app list")).lines == []
    assert [row[:2] for row in (await rok("kube app list -n red")).lines] == [["echo", "red"]]
    assert [row[:2] for row in (await rok("kube app list -a")).lines] == [["echo", "blue"], ["echo", "red"]]
    assert (await rok("kube app list -a -o name")).out == "application/echo\napplication/echo\n"
    assert [item["kind"] for item in (await rok("kube app list -a -o json")).json] == ["Application"] * 2


async def test_update_changes_what_is_given_and_keeps_the_rest(created: dict[str, Any], rok: Rok) -> None:
    options = ["-L", "location is DE", "-M", "load < 1", "-R", "a.b", "-l", "one=1", "-l", "two=2"]
    assert (await rok("kube app update echo --backoff 7 --backoff_delay 8", *options)).status == 0
    done = await rok("kube app update echo -l two=3 --disable-migration", "-L", "zone is a", "-M", "cost < 2", "-R", "c.d")
    assert done.status == 0, done.err
    item = (await rok("kube app get echo -o json")).json
    assert item["metadata"]["labels"] == {"one": "1", "two": "3"}
    constraints = item["spec"]["constraints"]
    assert constraints["migration"] is False
    assert constraints["cluster"] == {
        "labels": ["zone is a"],
        "custom_resources": ["c.d"],
        "metrics": ["load < 1", "cost < 2"],
    }
    assert (item["spec"]["backoff"], item["spec"]["backoff_delay"], item["spec"]["backoff_limit"]) == (7, 8, -1)
    assert item["spec"]["manifest"] == created["spec"]["manifest"]
    assert item["metadata"]["uid"] == created["metadata"]["uid"]


async def test_update_drops_what_is_to_be_dropped(created: dict[str, Any], rok: Rok) -> None:
    options = ["-L", "location is DE", "-M", "load < 1", "-R", "a.b", "-l", "one=1", "--hook-complete"]
    assert (await rok("kube app update echo", *options)).status == 0
    done = await rok(
        "kube app update echo -l two=2 --remove-existing-labels --remove-existing-label-constraints"
        " --remove_existing_resource_constraints --remove-existing-metric-constraints --remove-existing-hooks",
        *("-M", "cost < 2"),
    )
    assert done.status == 0, done.err
    item = (await rok("kube app get echo -o json")).json
    assert item["metadata"]["labels"] == {"two": "2"}
    assert item["spec"]["hooks"] == []
    assert item["spec"]["constraints"]["cluster"] == {"labels": [], "custom_resources": [], "metrics": ["cost < 2"]}


async def test_update_changes_hooks(created: dict[str, Any], rok: Rok) -> None:
    assert (await rok("kube app update echo --hook-complete")).rows["hooks"] == "['complete']"
    assert (await rok("kube app update --hook-shutdown 5 give_up 1 echo")).rows["hooks"] == "['complete', 'shutdown']"
    spec = await spec_of(rok)
    assert (spec["shutdown_grace_time"], spec["shutdown_failure_strategy"], spec["shutdown_retry_count"]) == (5, "give_up", 1)


async def test_update_replaces_the_definition(created: dict[str, Any], rok: Rok) -> None:
    rok.write("tosca.yaml", TOSCA)
    rok.write("service.yaml", SERVICE)
    for source, expected in {
        "-f tosca.yaml": ([], TOSCA, None),
        "-u http://x/t.csar": ([], {}, "http://x/t.csar"),
        "-f service.yaml": ([SERVICE], {}, None),
    }.items():
        assert (await rok(f"kube app update echo {source}")).status == 0
        spec = await spec_of(rok)
        assert (spec["manifest"], spec["tosca"], spec["csar"]) == expected


async def test_an_update_survives_what_controllers_write_meanwhile(created: dict[str, Any], rok: Rok, client: Client) -> None:
    async def write_status() -> None:
        for number in range(10_000):
            await set_status(client, retries=number)
            await asyncio.sleep(0.02)

    controller = asyncio.create_task(write_status())
    try:
        for number in range(3):
            done = await rok(f"kube app update echo -l number=n{number}")
            assert done.status == 0, done.err
    finally:
        controller.cancel()
    assert (await rok("kube app get echo -o json")).json["metadata"]["labels"] == {"number": "n2"}


SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}, "stringData": {"password": "s3cr3t"}}
NORTH = {"cluster": "north", "patches": [{**SERVICE, "spec": {"type": "NodePort"}}]}
PROD = {"labels": ["stage is prod"], "patches": [{**SECRET, "stringData": {"password": "pr0d"}}]}


@pytest.fixture
async def north(client: Client) -> None:
    constraints = ClusterCloudConstraints(cloud=CloudConstraints())
    metadata = Metadata(name="north", namespace="system:admin", labels={"stage": "prod"})
    await client.create(Cluster(metadata=metadata, spec=ClusterSpec(tosca=TEMPLATE, constraints=constraints)))


async def test_overrides_are_shown_as_they_are_meant_for_a_cluster(north: None, rok: Rok) -> None:
    rok.write("echo.yaml", SERVICE, SECRET)
    rok.write("overrides.yaml", NORTH, PROD)
    await rok("kube app create echo -f echo.yaml --overrides overrides.yaml")
    shown = await rok("kube app get echo --rendered north")
    service, secret = yaml.safe_load_all(shown.out)
    assert service == {**SERVICE, "spec": {"ports": [{"port": 80}], "type": "NodePort"}}
    assert secret["metadata"] == {"name": "password"}
    assert (await rok("kube app get echo --rendered north -o json")).json == {
        "apiVersion": "v1", "kind": "List", "items": [service, secret]
    }  # fmt: skip
    await rok("kube app update echo --remove-existing-overrides")
    assert next(yaml.safe_load_all((await rok("kube app get echo --rendered north")).out)) == SERVICE


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kube app get echo --rendered south", "there is no cluster south in namespace system:admin"),
        ("kube app get echo --rendered north -o name", "--rendered shows objects in full"),
        (
            "kube app update echo --overrides wrong.yaml",
            "The override for cluster north changes Service other (v1), which is not",
        ),
    ],
)
async def test_overrides_that_can_not_be_shown_say_why(
    created: dict[str, Any], north: None, rok: Rok, line: str, message: str
) -> None:
    rok.write("wrong.yaml", {"cluster": "north", "patches": [{**SERVICE, "metadata": {"name": "other"}}]})
    failed = await rok(line)
    assert failed.status != 0
    assert message in failed.err


async def test_delete_shows_when(created: dict[str, Any], rok: Rok) -> None:
    done = await rok("kube app delete echo")
    assert done.status == 0
    assert done.rows["deleted"] != "None"
    assert (await rok("kube app list")).lines == []


async def test_delete_by_force_removes_at_once(created: dict[str, Any], rok: Rok) -> None:
    assert (await rok("kube app delete echo --force")).status == 0
    assert (await rok("kube app list")).lines == []


async def test_retry_needs_a_degraded_application(created: dict[str, Any], rok: Rok, client: Client) -> None:
    done = await rok("kube app retry echo")
    assert (done.status, done.out) == (1, "")
    assert done.err == "rok: error: No migration or deletion retry needed (400 UPDATE_ERROR)\n"
    await set_status(client, state="DEGRADED")
    assert (await rok("kube app retry echo")).rows["state"] == "DEGRADED"
    assert (await rok("kube app update echo --hook-shutdown")).status == 0
    await set_status(client, state="DEGRADED", shutdown_attempts=1)
    assert (await rok("kube app retry echo")).rows["state"] == "WAITING_FOR_CLEANING"


async def test_a_failed_application_says_why(created: dict[str, Any], rok: Rok, client: Client) -> None:
    await set_status(client, state="FAILED", reason=NO_CLUSTER)
    rows = (await rok("kube app get echo")).rows
    assert (rows["state"], rows["reason"]) == (
        "FAILED",
        "code: NO_SUITABLE_RESOURCE/message: No matching Kubernetes cluster found",
    )


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("create echo", 1, "there is nothing to create: give a file with -f, or an address with -u"),
        ("create echo -f gone.yaml", 2, "can not read gone.yaml: No such file or directory"),
        ("create echo -f .", 2, "can not read .: Is a directory"),
        ("create echo -f broken.yaml", 1, "broken.yaml is not YAML: while parsing"),
        ("create echo -f empty.yaml", 1, "empty.yaml is empty: write at least one document"),
        ("create echo -f text.yaml", 1, "text.yaml: document 1 is str, not a mapping of keys to values"),
        ("create echo -u http://x/t.tgz", 1, "http://x/t.tgz is neither a TOSCA template (.yaml, .yml) nor a CSAR archive"),
        ("create echo -f good.yaml -l a=b!", 2, "the value 'b!' of the label 'a' is not allowed: use 1 to 63 letters"),
        ("create echo -f good.yaml -l -a=b", 2, "the label key '-a' is not allowed: use 1 to 63 letters"),
        ("get gone", 1, "'Application' 'gone' does not exist in namespace 'system:admin' (404 NOT_FOUND_ERROR)"),
        ("update gone -l a=b", 1, "'Application' 'gone' does not exist in namespace 'system:admin' (404 NOT_FOUND_ERROR)"),
        ("delete gone", 1, "'Application' 'gone' does not exist in namespace 'system:admin' (404 NOT_FOUND_ERROR)"),
    ],
)
async def test_mistakes_are_told_in_one_line(line: str, status: int, message: str, rok: Rok) -> None:
    for name, text in {"broken": "a: [", "empty": "---\n", "text": "just words", "good": json.dumps(SERVICE)}.items():
        (rok.directory / f"{name}.yaml").write_text(text)
    done = await rok(f"kube app {line.replace(' -l -a', ' -l=-a')}")
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(f"rok: error: {message}")
    assert done.err.count("\n") == 1


async def test_wrong_fields_get_a_line_each(rok: Rok) -> None:
    rok.write("bad.yaml", {"apiVersion": "v1", "kind": "Service"}, {"metadata": {"name": "x"}})
    done = await rok("kube app create bad!name -f bad.yaml --backoff -5")
    assert (done.status, done.out) == (1, "")
    first, *others = done.err.splitlines()
    assert first.startswith("rok: error: ")
    assert "(422)" in first
    assert len(others) >= 3
    assert any(line.startswith("  metadata.name: Invalid character") for line in others)
    assert any(line.startswith("  spec.backoff: ") for line in others)


async def test_json_tells_the_whole_problem(created: dict[str, Any], rok: Rok) -> None:
    done = await rok("kube app create echo -f echo.yaml -o json")
    assert (done.status, done.out) == (1, "")
    problem = json.loads(done.err)
    assert (problem["status"], problem["title"]) == (409, "RESOURCE_ALREADY_EXISTS")
    assert done.err == json.dumps(problem, indent=2, sort_keys=True) + "\n"


async def test_wait_until_it_runs(rok: Rok, client: Client) -> None:
    rok.write("echo.yaml", SERVICE)
    await rok("kube app create other -f echo.yaml")
    command = asyncio.create_task(rok("kube app create --wait echo -f echo.yaml"))
    await becomes(client, lambda item: True)
    # Another application that gets there first does not end the wait, and neither does a failure.
    await set_status(client, "other", state="RUNNING")
    await set_status(client, state="FAILED", reason=NO_CLUSTER, scheduled_retry=LATER)
    await set_status(client, state="CREATING", reason=None, scheduled_retry=None)
    assert not command.done()
    await set_status(client, state="RUNNING", services={"echo": "10.0.0.1:80"}, observed_generation=1)
    done = await command
    assert (done.status, done.err) == (0, "")
    assert (done.rows["state"], done.rows["services"]) == ("RUNNING", "echo: 10.0.0.1:80")


async def test_wait_ends_when_the_application_can_not_work(rok: Rok, client: Client) -> None:
    rok.write("echo.yaml", SERVICE)
    command = asyncio.create_task(rok("kube app create echo -f echo.yaml --wait running --timeout 50"))
    await becomes(client, lambda item: True)
    reason = {"code": "KUBERNETES_ERROR", "message": "Job a failed: BackoffLimitExceeded."}
    await set_status(client, state="FAILED", reason=reason, observed_generation=1)
    done = await command
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "rok: error: application echo will not be running as it is declared now, so change it:"
        " it is FAILED (KUBERNETES_ERROR: Job a failed: BackoffLimitExceeded.)\n"
    )


async def test_wait_ends_in_time_and_says_what_is_the_matter(rok: Rok, client: Client) -> None:
    rok.write("echo.yaml", SERVICE)
    command = asyncio.create_task(rok("kube app create echo -f echo.yaml --wait running --timeout 2"))
    await becomes(client, lambda item: True)
    await set_status(client, state="FAILED", reason=NO_CLUSTER, scheduled_retry=LATER)
    started = time.monotonic()
    done = await command
    assert time.monotonic() - started < 5
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "rok: error: application echo is not running after 2 s:"
        " it is FAILED (NO_SUITABLE_RESOURCE: No matching Kubernetes cluster found)\n"
    )


async def test_wait_pending_is_over_at_once(rok: Rok) -> None:
    rok.write("echo.yaml", SERVICE)
    assert (await rok("kube app create echo -f echo.yaml --wait pending --timeout 5")).rows["state"] == "PENDING"


async def test_wait_for_an_update(created: dict[str, Any], rok: Rok, client: Client) -> None:
    await set_status(client, state="RUNNING", observed_generation=1)
    command = asyncio.create_task(rok("kube app update echo --wait --hook-complete"))
    await becomes(client, lambda item: item.metadata.generation == 2)
    await set_status(client, state="RECONCILING")
    await set_status(client, state="RUNNING")
    assert not command.done()
    await set_status(client, observed_generation=2)
    done = await command
    assert (done.status, done.rows["state"], done.rows["hooks"]) == (0, "RUNNING", "['complete']")


@pytest.mark.parametrize("change", ["", "-l a=b"])
async def test_what_changes_nothing_that_is_declared_needs_no_wait(
    change: str, created: dict[str, Any], rok: Rok, client: Client
) -> None:
    await set_status(client, state="RUNNING", observed_generation=1)
    assert (await rok(f"kube app update echo --wait --timeout 2 {change}")).status == 0


async def test_wait_until_it_is_gone(created: dict[str, Any], rok: Rok, client: Client) -> None:
    await client.patch(Application, Key("system:admin", "echo"), {"metadata": {"finalizers": ["mine"]}})
    command = asyncio.create_task(rok("kube app delete --wait echo"))
    await becomes(client, lambda item: item.metadata.deleted is not None)
    await set_status(client, state="DELETING")
    await client.patch(Application, Key("system:admin", "echo"), {"metadata": {"finalizers": []}})
    done = await command
    assert (done.status, done.rows["state"]) == (0, "DELETED")
    assert done.rows["deleted"] != "None"
    assert (await rok("kube app list")).lines == []


@pytest.mark.parametrize("options", ["--wait", "--wait deleting", "--wait --force"])
async def test_what_is_gone_at_once_is_not_waited_for(options: str, created: dict[str, Any], rok: Rok) -> None:
    done = await rok(f"kube app delete echo --timeout 20 {options}")
    assert (done.status, done.rows["state"]) == (0, "DELETED")


async def test_wait_for_what_was_deleted_ends(rok: Rok, client: Client) -> None:
    rok.write("echo.yaml", SERVICE)
    command = asyncio.create_task(rok("kube app create echo -f echo.yaml --wait"))
    await becomes(client, lambda item: True)
    await client.delete(Application, Key("system:admin", "echo"), force=True)
    done = await command
    assert (done.status, done.err) == (1, "rok: error: application echo was deleted while rok waited for it to be running\n")


async def becomes(client: Client, condition: Callable[[Application], bool], name: str = "echo") -> None:
    """Return once there is an application of which the condition holds."""
    async with asyncio.timeout(60):
        while True:
            found = [item for item in await applications(client) if item.metadata.name == name]
            if found and condition(found[0]):
                return
            await asyncio.sleep(0.02)


async def applications(client: Client) -> list[Application]:
    return (await client.list(Application, "system:admin")).items
