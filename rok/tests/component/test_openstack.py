"""``rok os``: projects and Magnum clusters, against a real API."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from command import Rok
from krake.client import Client
from krake.data import Key
from krake.data.openstack import MagnumCluster, MagnumClusterBinding, Project
from testpki.authority import Authority

BASE = ["name", "namespace", "labels", "created", "modified", "deleted"]
CREATE = "os project create --no-wait --template t-1 --auth-url https://keystone.example:5000/v3"
BY_PASSWORD = f"{CREATE} --user-id u-1 --password s3cret --project-id p-1 mine"
BY_CREDENTIAL = f"{CREATE} --application-credential c-1 s3cret mine"
CLUSTER_ROWS = [
    *(*BASE, "state", "reason", "master", "nodes", "label constraints", "metrics", "project", "template", "cluster_id"),
    *("node_count", "api_address", "master_addresses", "node_addresses", "cluster"),
]

pytestmark = pytest.mark.usefixtures("client")


async def project(client: Client) -> Project:
    return await client.get(Project, Key("system:admin", "mine"))


async def login(client: Client) -> Any:
    return (await project(client)).spec.auth.serialize()


async def cluster(client: Client) -> MagnumCluster:
    return await client.get(MagnumCluster, Key("system:admin", "c"))


async def test_the_story_of_a_project(rok: Rok, client: Client) -> None:
    done = await rok(f"{BY_PASSWORD} -l zone=a --metric load 2")
    assert done.status == 0, done.err
    rows = done.rows
    assert list(rows)[:9] == [*BASE, "url", "template", "auth type"]
    assert (rows["url"], rows["template"], rows["auth type"]) == ("https://keystone.example:5000/v3", "t-1", "password")
    assert "s3cret" not in done.out
    stored = await project(client)
    assert (stored.metadata.labels, [metric.name for metric in stored.spec.metrics]) == ({"zone": "a"}, ["load"])
    assert (await login(client))["password"] == {
        "user": {"id": "u-1", "password": "s3cret", "comment": None},
        "project": {"id": "p-1", "comment": None},
    }
    listed = await rok("openstack project list -a")
    assert [part.strip() for part in listed.out.splitlines()[1].strip("|").split("|")] == BASE
    assert [line[0] for line in listed.lines] == ["mine"]
    assert (await rok("os project delete mine --wait")).rows["name"] == "mine"
    assert (await rok("os project list -o json")).json == []


async def test_a_project_that_is_out_of_order_says_so(rok: Rok, client: Client) -> None:
    await rok(BY_CREDENTIAL)
    reason = {"code": "INVALID_CREDENTIALS", "message": "The project refuses the login."}
    status = {"status": {"state": "OFFLINE", "reason": reason}}
    await client.patch(Project, Key("system:admin", "mine"), status, subresource="status")
    assert [line[-1] for line in (await rok("os project list")).lines] == ["OFFLINE"]
    rows = (await rok("os project get mine")).rows
    assert (rows["state"], rows["application credential"]) == ("OFFLINE", "c-1")
    assert "refuses the login" in rows["reason"]
    await rok(BY_CREDENTIAL.replace("mine", "other"))
    assert [line[-1] for line in (await rok("os project list")).lines] == ["OFFLINE", "ONLINE"]


async def test_what_is_not_given_comes_from_the_environment(rok: Rok, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AUTH_URL": "https://k.example", "USER_ID": "ann", "PASSWORD": "env", "PROJECT_ID": "p"}.items():
        monkeypatch.setenv(f"OS_{name}", value)
    assert (await rok("os project create --no-wait --template t --user-id bob mine")).status == 0
    found = await project(client)
    assert found.spec.url == "https://k.example"
    assert (await login(client))["password"]["user"] == {"id": "bob", "password": "env", "comment": None}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("create --no-wait --template t mine", "give --auth-url, or set OS_AUTH_URL"),
        ("create --no-wait --template t --auth-url https://k --user-id u --password p mine", "OS_PROJECT_ID"),
        (
            "create --no-wait --template t --auth-url https://k --application-credential a b --user-id u mine",
            "leave out --user-id",
        ),
        ("update mine", "nothing is to be changed"),
    ],
)
async def test_what_is_missing_is_said_in_a_line(
    rok: Rok, client: Client, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    for name in ("OS_AUTH_URL", "OS_USER_ID", "OS_PASSWORD", "OS_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    await rok(BY_CREDENTIAL.replace("mine", "mine" if words.startswith("update") else "other"))
    done = await rok(f"os project {words}")
    assert done.status == 1
    assert said in done.err
    assert len(done.err.splitlines()) == 1


async def test_only_what_is_given_of_a_project_is_changed(rok: Rok, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await rok(BY_PASSWORD)
    assert (await rok("os project update mine --template t-2 -l zone=b")).status == 0
    assert (await login(client))["password"]["user"]["password"] == "s3cret"
    assert ((await project(client)).spec.template, (await project(client)).metadata.labels) == ("t-2", {"zone": "b"})

    monkeypatch.setattr("sys.stdin", io.StringIO("n3w\n"))
    assert (await rok("os project update mine --password -")).status == 0
    assert (await login(client))["password"]["user"] == {"id": "u-1", "password": "n3w", "comment": None}
    refused = await rok("os project update mine --user-id u-2")
    assert (refused.status, "--password" in refused.err) == (1, True)

    assert (await rok("os project update mine --application-credential c-2 x")).status == 0
    assert await login(client) == {"type": "application_credential", "application_credential": {"id": "c-2", "secret": "x"}}


async def test_the_story_of_a_magnum_cluster(rok: Rok, client: Client) -> None:
    done = await rok("os cluster create c --master-count 1 --node-count 2 -l zone=a --metric load 1 -L", "location is DE")
    assert done.status == 0, done.err
    assert list(done.rows)[: len(CLUSTER_ROWS)] == CLUSTER_ROWS
    assert (done.rows["master"], done.rows["nodes"], done.rows["state"]) == ("1", "2", "PENDING")
    assert done.rows["label constraints"] == "['location is DE']"
    found = await cluster(client)
    assert found.spec.constraints is not None
    assert found.spec.constraints.project is not None
    assert [str(each) for each in found.spec.constraints.project.labels or ()] == ["location is DE"]

    await rok(BY_CREDENTIAL)
    binding = MagnumClusterBinding(project=(await project(client)).ref, template="t-1")
    await client.act(MagnumCluster, found.key, "binding", binding)
    status = {"state": "RUNNING", "phase": "CREATE_COMPLETE", "node_count": 2, "cluster_id": "1234"}
    await client.patch(MagnumCluster, found.key, {"status": status}, subresource="status")
    rows = (await rok("os cluster get c")).rows
    assert (rows["cluster_id"], rows["node_count"], rows["template"], rows["phase"]) == ("1234", "2", "t-1", "CREATE_COMPLETE")
    assert "'kind': 'Project'" in rows["project"]
    assert [(line[0], line[-1]) for line in (await rok("os cluster list")).lines] == [("c", "RUNNING")]

    changed = await rok("os cluster update c --node-count 5 -L", "zone is a")
    assert (changed.rows["nodes"], changed.rows["label constraints"]) == ("5", "['location is DE', 'zone is a']")
    assert (await rok("os cluster delete c --wait")).status == 0
    assert (await rok("os cluster list -o name")).out == ""


async def test_who_changes_a_magnum_cluster_waits_for_what_was_changed(rok: Rok, client: Client) -> None:
    await rok("os cluster create c --node-count 1")
    key = (await cluster(client)).key
    running = {"status": {"state": "RUNNING", "observed_generation": 1}}
    await client.patch(MagnumCluster, key, running, subresource="status")
    command = asyncio.create_task(rok("os cluster update c --node-count 2 --wait running"))
    async with asyncio.timeout(60):
        while (await cluster(client)).spec.node_count != 2:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.02)
    assert not command.done()
    await client.patch(MagnumCluster, key, {"status": {"observed_generation": 2, "node_count": 2}}, subresource="status")
    done = await command
    assert (done.status, done.rows["node_count"]) == (0, "2")


@pytest.mark.parametrize("words", ["create c --node-count many", "create c --master-count 0", "create c -L zone=", "create"])
async def test_what_can_not_be_read_is_said_with_the_usage(rok: Rok, words: str) -> None:
    done = await rok(f"os cluster {words}")
    assert done.status == 2
    assert "os cluster" in done.err or "openstack cluster" in done.err or "no constraint" in done.err or "number" in done.err


async def test_an_authority_of_ones_own(rok: Rok, client: Client, tmp_path: Path) -> None:
    authority = Authority.make("Ours", days=1).pair.certificate_pem.decode()
    file = tmp_path / "ca.pem"
    file.write_text(authority)
    done = await rok(f"{BY_PASSWORD} --ca {file}")
    assert (done.status, done.rows["ca"]) == (0, "1 certificate"), done.err
    assert (await project(client)).spec.ca == authority
    assert (await rok("os project update mine --template t-2 --no-wait")).rows["ca"] == "1 certificate"
    assert "ca" not in (await rok("os project update mine --no-ca --no-wait")).rows
    assert (await project(client)).spec.ca is None
    assert (await rok(f"os project update mine --ca {file} --no-wait")).status == 0
    assert (await project(client)).spec.ca == authority
