"""``rok infra``: clouds and their providers, against a real API."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from command import Rok
from krake.client import Client
from krake.data import Key, Resource
from krake.data.events import Regarding, make_event, normal
from krake.data.infrastructure import Cloud, GlobalCloud, GlobalInfrastructureProvider, InfrastructureProvider
from testpki.authority import Authority

BASE = ["name", "namespace", "labels", "created", "modified", "deleted"]
PROVIDER_ROWS = [*BASE, "type", "url", "state"]
CLOUD_ROWS = [*BASE, "type", "metrics", "infra_provider", "state"]
PROVIDER = "register --no-wait --type im --url http://localhost:8800 --username test --password test im-provider"
CLOUD = (
    "register --no-wait --type openstack --url http://localhost:5000 --project demo --username ann --password s3cret"
    " --infra-provider im-provider os-cloud"
)
CHECKED = "2030-01-01T00:00:00+00:00"
REFUSED = {"code": "INVALID_CREDENTIALS", "message": "IM does not accept the credentials."}

pytestmark = pytest.mark.usefixtures("client")


async def provider_of(client: Client, name: str = "im-provider") -> Any:
    return (await client.get(InfrastructureProvider, Key("system:admin", name))).spec.value


async def cloud_of(client: Client, name: str = "os-cloud") -> Any:
    return (await client.get(Cloud, Key("system:admin", name))).spec.value


async def check(client: Client, kind: type[Resource], name: str, **status: Any) -> None:
    """Find out how something stands, as the infrastructure controller does as soon as it is registered."""
    namespace = "system:admin" if kind.definition.namespaced else None
    async with asyncio.timeout(60):
        while True:
            if any(each.metadata.name == name for each in (await client.list(kind, namespace)).items):
                break
            await asyncio.sleep(0.02)
    changes = {"status": {"checked": CHECKED, **status}}
    await client.patch(kind, Key(namespace, name), changes, subresource="status")


async def test_the_story_of_a_provider(rok: Rok, client: Client) -> None:
    empty = await rok("infra provider list")
    assert [part.strip() for part in empty.out.splitlines()[1].strip("|").split("|")] == PROVIDER_ROWS
    command = asyncio.create_task(rok(f"infra provider {PROVIDER.replace('--no-wait ', '')}"))
    await check(client, InfrastructureProvider, "im-provider", state="ONLINE")
    done = await command
    assert (done.status, done.err) == (0, "")
    assert list(done.rows)[: len(PROVIDER_ROWS)] == PROVIDER_ROWS
    expected = {"name": "im-provider", "type": "im", "url": "http://localhost:8800", "state": "ONLINE"}
    assert {key: done.rows[key] for key in expected} == expected
    assert (done.rows["username"], done.rows["password"]) == ("test", "********")
    (line,) = (await rok("infra ip list -a")).lines
    assert (line[0], line[6:]) == ("im-provider", ["im", "http://localhost:8800", "ONLINE"])
    deleted = await rok("infra infrastructureprovider delete im-provider --wait")
    assert deleted.status == 0, deleted.err
    assert (await rok("infra provider list")).out == empty.out


async def test_the_story_of_a_cloud(rok: Rok, client: Client) -> None:
    await rok(f"infra provider {PROVIDER}")
    command = asyncio.create_task(
        rok(f"infra cloud {CLOUD.replace('--no-wait ', '')} -l location=DE --metric heat 1 --global-metric cost 2")
    )
    await check(client, Cloud, "os-cloud")
    done = await command
    assert (done.status, done.err) == (0, "")
    assert list(done.rows)[: len(CLOUD_ROWS)] == CLOUD_ROWS
    expected = {"name": "os-cloud", "type": "openstack", "infra_provider": "im-provider", "labels": "location: DE"}
    assert {key: done.rows[key] for key in expected} == expected
    assert (done.rows["state"], done.rows["project"], done.rows["password"]) == ("ONLINE", "demo", "********")
    cloud = await cloud_of(client)
    assert [(each.name, each.weight, each.namespaced) for each in cloud.metrics] == [("heat", 1.0, True), ("cost", 2.0, False)]
    login = cloud.auth.value
    assert (login.user.password, login.user.domain_name, login.project.domain_id) == ("s3cret", "Default", "default")
    assert cloud.infrastructure_provider.namespaced
    assert [line[-1] for line in (await rok("infra cloud list")).lines] == ["ONLINE"]
    assert (await rok("infra cloud delete os-cloud --wait")).status == 0


async def test_who_registers_what_does_not_work_is_told_why(rok: Rok, client: Client) -> None:
    command = asyncio.create_task(rok(f"infra provider {PROVIDER.replace('--no-wait ', '')}"))
    await check(client, InfrastructureProvider, "im-provider", state="OFFLINE", reason=REFUSED)
    done = await command
    assert done.status == 0
    said = "infrastructureprovider im-provider is OFFLINE (INVALID_CREDENTIALS: IM does not accept the credentials.)"
    assert done.err == f"rok: warning: {said}: Krake goes on trying\n"
    assert done.rows["reason"] == "code: INVALID_CREDENTIALS/message: IM does not accept the credentials."


@pytest.mark.parametrize("group", ["gprovider", "gip", "globalinfrastructureprovider"])
async def test_global_providers_and_clouds(rok: Rok, client: Client, group: str) -> None:
    done = await rok(f"infra {group} register --no-wait --type im --url https://im.example:8800 --token t0k im")
    assert done.status == 0, done.err
    assert (done.rows["namespace"], done.rows["token"]) == ("None", "********")
    assert "username" not in done.rows
    provider = await client.get(GlobalInfrastructureProvider, Key(None, "im"))
    assert provider.spec.value.token == "t0k"
    cloud = CLOUD.replace("--infra-provider im-provider", "--global-infra-provider im --domain-name corp --domain-id c0")
    for name in ("gc", "gcloud", "globalcloud"):
        done = await rok(f"infra {name} {cloud}-{name} --global-metric cost 1")
        assert done.status == 0, done.err
    stored = (await client.get(GlobalCloud, Key(None, "os-cloud-gc"))).spec.value
    login: Any = stored.auth.value
    assert (login.user.domain_name, login.project.domain_id) == ("corp", "c0")
    assert len((await rok("infra gc list")).lines) == 3


async def test_a_password_that_is_changed_is_another_one(rok: Rok, client: Client) -> None:
    await rok(f"infra provider {PROVIDER}")
    await rok(f"infra cloud {CLOUD} -l location=DE")
    for words in ("provider update im-provider --password n3w", "cloud update --password n3w os-cloud"):
        done = await rok(f"infra {words}")
        assert (done.status, done.err) == (0, "")
        assert "n3w" not in done.out
    assert (await provider_of(client)).password == "n3w"
    login = (await cloud_of(client)).auth.value
    assert (login.user.username, login.user.password, login.project.name) == ("ann", "n3w", "demo")


async def test_who_changes_what_does_not_work_is_told_what_came_of_it(rok: Rok, client: Client) -> None:
    await rok(f"infra provider {PROVIDER}")
    await check(client, InfrastructureProvider, "im-provider", state="OFFLINE", reason=REFUSED)
    command = asyncio.create_task(rok("infra ip update im-provider --password n3w"))
    async with asyncio.timeout(60):
        while True:
            if (await provider_of(client)).password == "n3w":
                break
            await asyncio.sleep(0.02)
    later = "2030-01-01T00:00:01+00:00"
    await check(client, InfrastructureProvider, "im-provider", state="OFFLINE", reason=REFUSED, checked=later)
    done = await command
    assert done.rows["checked"] == "2030-01-01 00:00:01"
    assert "im-provider is OFFLINE (INVALID_CREDENTIALS: IM does not accept the credentials.)" in done.err
    done = await rok("infra ip update im-provider --password again --no-wait")
    assert (done.status, done.err) == (0, "")


async def test_updates_change_what_is_given_and_ask_for_nothing(rok: Rok, client: Client) -> None:
    await rok(f"infra provider {PROVIDER}")
    await rok(f"infra cloud {CLOUD} -l location=DE --metric heat 1")
    done = await rok("infra ip update im-provider --url https://im.example")
    assert (done.status, done.rows["url"]) == (0, "https://im.example")
    assert (await provider_of(client)).password == "test"
    words = "--url https://keystone.example --project other --global-infra-provider all -l a=b --metric heat 3 --metric cost 1"
    done = await rok(f"infra cloud update os-cloud {words}")
    assert done.status == 0, done.err
    assert done.rows["labels"] == "location: DE/a: b"
    cloud = await cloud_of(client)
    assert [(each.name, each.weight) for each in cloud.metrics] == [("heat", 3.0), ("cost", 1.0)]
    assert (cloud.url, cloud.auth.value.project.name, cloud.auth.value.user.password) == (
        *("https://keystone.example", "other", "s3cret"),
    )
    assert (cloud.infrastructure_provider.name, cloud.infrastructure_provider.namespaced) == ("all", False)
    done = await rok("infra cloud update os-cloud --remove-existing-metrics --remove-existing-labels -l c=d")
    assert (done.rows["metrics"], done.rows["labels"]) == ("[]", "c: d")


async def test_a_new_login_replaces_the_old_one(rok: Rok, client: Client) -> None:
    await rok(f"infra provider {PROVIDER}")
    await rok(f"infra cloud {CLOUD}")
    assert (await rok("infra ip update im-provider --token t0k")).status == 0
    stored = await provider_of(client)
    assert (stored.username, stored.password, stored.token) == (None, None, "t0k")
    assert (await rok("infra ip update im-provider --username u --password p")).status == 0
    stored = await provider_of(client)
    assert (stored.username, stored.password, stored.token) == ("u", "p", None)
    done = await rok("infra cloud update os-cloud --application-credential c1 hidden")
    assert (done.status, done.rows["auth type"], done.rows["application_credential"]) == (0, "application_credential", "c1")
    assert "hidden" not in done.out
    assert (await cloud_of(client)).auth.value.secret == "hidden"
    assert (await rok("infra cloud update os-cloud --username u --project p --password q")).status == 0
    assert (await cloud_of(client)).auth.value.user.password == "q"


async def test_local_ones_need_no_login(rok: Rok, client: Client) -> None:
    done = await rok("infra provider register --no-wait --type local laptop")
    assert (done.status, done.rows["type"], done.rows["url"]) == (0, "local", "None")
    done = await rok("infra cloud register --no-wait --type local --infra-provider laptop here --global-metric cost 1")
    assert (done.status, done.rows["infra_provider"]) == (0, "laptop")
    assert (await rok("infra cloud update here --infra-provider other")).rows["infra_provider"] == "other"


IM_URL = "--type im --url http://a.b"
OPENSTACK = "--type openstack --url http://a.b --infra-provider i"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("ip register --type im --token t p", 2, "a provider of the type im needs --url"),
        (f"ip register {IM_URL} p", 2, "a provider of the type im needs --username and --password, or --token"),
        (f"ip register {IM_URL} --username u p", 1, "--password is missing, and there is no terminal to ask on"),
        ("ip register --type local --url http://a.b p", 2, "what is of the type local has no --url"),
        ("ip update im-provider", 1, "nothing is to be changed"),
        ("ip update im-provider --username other", 1, "--password is missing, and there is no terminal"),
        ("ip update nobody --token t", 1, "nobody"),
        (f"cloud register {OPENSTACK} c", 2, "needs --username and --project, or --application-credential"),
        (f"cloud register {OPENSTACK} --username u c", 2, "needs --project, or"),
        (f"cloud register {OPENSTACK} --application-credential i s --project p c", 2, "leave out --project"),
        (f"cloud register {OPENSTACK} --global-infra-provider g c", 1, "a cloud has one provider: give --infra-provider or"),
        ("cloud register --type openstack --url http://a.b c", 1, "a cloud needs a provider: give --infra-provider or"),
        ("cloud register --type openstack --infra-provider i c", 2, "a cloud of the type openstack needs --url"),
        ("cloud register --type local --infra-provider i --password p c", 2, "what is of the type local has no --password"),
        ("cloud update os-cloud", 1, "nothing is to be changed"),
        ("cloud update os-cloud --username other", 1, "--password is missing, and there is no terminal"),
    ],
)
async def test_what_does_not_fit_is_said_in_a_line(rok: Rok, client: Client, words: str, status: int, said: str) -> None:
    await rok(f"infra provider {PROVIDER}")
    await rok(f"infra cloud {CLOUD}")
    done = await rok(f"infra {words}")
    assert done.status == status
    assert said in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("words", ["ip register --type ec2 p", "gc register --type openstack --infra-provider p c"])
async def test_what_can_not_be_read_is_said_with_the_usage(rok: Rok, words: str) -> None:
    done = await rok(f"infra {words}")
    assert done.status == 2
    assert "usage: rok infra" in done.err


async def test_what_the_api_refuses_is_said_in_a_line(rok: Rok, client: Client) -> None:
    done = await rok("infra ip register --no-wait --type im --url http://a.b --token", "a\nb", "p")
    assert (done.status, len(done.err.splitlines())) == (1, 1)
    assert "spec.token: Must not have line breaks or other control characters" in done.err


async def test_passwords_are_asked_for_on_a_terminal_where_they_are_needed(rok: Rok, client: Client) -> None:
    words = PROVIDER.replace("--password test ", "")
    done = await rok.on_terminal(f"infra provider {words}", "typed")
    assert (done.status, "typed" in done.out + done.err) == (0, False)
    assert done.err.startswith("Password of test: ")
    assert (await provider_of(client)).password == "typed"
    done = await rok.on_terminal(f"infra cloud {CLOUD.replace('s3cret', '-')}", "unseen")
    assert (done.status, "unseen" in done.out + done.err) == (0, False)
    done = await rok.on_terminal("infra cloud update os-cloud --username bob", "bobs")
    assert done.err.startswith("Password of bob: ")
    user = (await cloud_of(client)).auth.value.user
    assert (user.username, user.password) == ("bob", "bobs")


async def test_passwords_are_read_from_the_standard_input(rok: Rok, client: Client) -> None:
    await rok(f"infra cloud {CLOUD}")
    for typed, status in (("p;\\n w'\n", 0), ("", 1)):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "rok", *["infra", "cloud", "update", "os-cloud", "--password", "-"]),
            cwd=rok.directory,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await asyncio.wait_for(process.communicate(typed.encode()), 30)
        assert process.returncode == status, err
    assert b"the standard input has no line" in err
    assert (await cloud_of(client)).auth.value.user.password == "p;\\n w'"


AUTHORITY = Authority.make("Ours", days=1).pair.certificate_pem.decode()


async def test_an_authority_of_ones_own(rok: Rok, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(AUTHORITY)
    for words, found in ((f"provider {PROVIDER}", provider_of), (f"cloud {CLOUD}", cloud_of)):
        kind, name = words.split()[0], words.split()[-1]
        done = await rok(f"infra {words} --ca {file}")
        assert (done.status, done.rows["ca"]) == (0, "1 certificate"), done.err
        assert (await found(client)).ca == AUTHORITY
        assert (await rok(f"infra {kind} update {name} --password n3w --no-wait")).rows["ca"] == "1 certificate"
        assert "ca" not in (await rok(f"infra {kind} update {name} --no-ca --no-wait")).rows
        assert (await found(client)).ca is None
        done = await rok(f"infra {kind} update {name} --ca {file} --no-wait")
        assert (done.status, (await found(client)).ca) == (0, AUTHORITY)
        missing = await rok(f"infra {kind} update {name} --ca {file}.none")
        assert (missing.status, missing.err) == (2, f"rok: error: can not read {file}.none: No such file or directory\n")
    file.write_text("none")
    assert "Must be one or more certificates in PEM" in (await rok(f"infra cloud update os-cloud --ca {file}")).err
    assert "has no --ca" in (await rok(f"infra provider register --type local --ca {file} mine")).err


async def test_who_waits_for_a_deletion_in_vain_is_told_what_it_waits_for(rok: Rok, client: Client) -> None:
    await rok(f"infra provider {PROVIDER}")
    key = Key("system:admin", "im-provider")
    held = await client.patch(InfrastructureProvider, key, {"metadata": {"finalizers": ["infrastructure_resources_deletion"]}})
    said = normal("WaitingForClusters", "It stays until the clusters are gone that were created by it: dev.")
    await client.create(make_event(Regarding.of(held), said, "infrastructure", datetime.now(UTC)))
    done = await rok("infra provider delete im-provider --wait --timeout 1")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "rok: error: infrastructureprovider im-provider is not deleted after 1 s: it is PENDING:"
        " It stays until the clusters are gone that were created by it: dev\n"
    )
    await client.delete(InfrastructureProvider, key, force=True)
