"""The simulated Infrastructure Manager: what it answers, and the clusters that it makes."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from fixtures.polling import until
from fixtures.simulated_clouds import StartProvider

from krake.simulator import Failure
from krake.simulator.infrastructure import Settings, SimulatedProvider
from krake.simulator.openstack import SimulatedCloud

USER = "id = im;username = test;password = test;type = InfrastructureManager"
CLOUD = "id = os;host = http://127.0.0.1:1;auth_version = 3.x_password;username = u;password = p;tenant = t;type = OpenStack"
AUTHORIZATION = f"{USER}\\n{CLOUD}"


def template(workers: int = 1, **changes: Any) -> dict[str, Any]:
    compute = "tosca.nodes.indigo.Compute"
    scalable = {"scalable": {"properties": {"count": {"get_input": "workers"}}}}
    topology = {
        "inputs": {"workers": {"type": "integer", "default": workers}},
        "node_templates": {"front": {"type": compute}, "worker": {"type": compute, "capabilities": scalable}},
        "outputs": {"kubeconfig": {"value": {"get_attribute": ["front", "ansible_output"]}}},
    }
    return {"tosca_definitions_version": "tosca_simple_yaml_1_0", "topology_template": topology} | changes


class User:
    """Asks a provider."""

    def __init__(self, session: aiohttp.ClientSession, provider: SimulatedProvider) -> None:
        self.session, self.provider = session, provider

    async def ask(
        self, method: str, path: str, body: str | None = None, authorization: str | None = AUTHORIZATION, **headers: str
    ) -> tuple[int, Any]:
        if authorization is not None:
            headers["Authorization"] = authorization
        if body is not None:
            headers.setdefault("Content-Type", "text/yaml")
        url = path if path.startswith("http") else self.provider.url + path
        async with self.session.request(method, url, data=body, headers=headers) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.text(errors="replace"))

    async def create(self, wanted: Mapping[str, Any]) -> str:
        status, uri = await self.ask("POST", "/infrastructures?async=true", yaml.safe_dump(wanted))
        assert status == 200
        return str(uri).removeprefix(self.provider.url)

    async def state(self, one: str) -> str | None:
        status, answer = await self.ask("GET", one + "/state")
        return answer["state"]["state"] if status == 200 else None

    async def settled(self, one: str, state: str | None = "configured") -> None:
        async def reached() -> bool:
            return await self.state(one) == state

        await until(reached)

    async def kubeconfig(self, one: str) -> dict[str, Any]:
        status, answer = await self.ask("GET", one + "/outputs")
        assert status == 200
        return dict(yaml.safe_load(answer["outputs"]["kubeconfig"]))

    async def nodes(self, kubeconfig: Mapping[str, Any]) -> list[str]:
        """Ask the cluster itself for the nodes that are ready."""
        server, token = kubeconfig["clusters"][0]["cluster"]["server"], kubeconfig["users"][0]["user"]["token"]
        status, nodes = await self.ask("GET", f"{server}/api/v1/nodes", authorization=f"Bearer {token}")
        assert status == 200, nodes
        return sorted(node["metadata"]["name"] for node in nodes["items"] if _is_ready(node))


def _is_ready(node: Mapping[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


@pytest.fixture
def user(simulated_provider: SimulatedProvider, session: aiohttp.ClientSession) -> User:
    return User(session, simulated_provider)


async def test_a_cluster_comes_up_is_scaled_and_goes(user: User) -> None:
    one = await user.create(template(workers=2))
    assert await user.state(one) == "pending"
    assert await user.ask("GET", one + "/outputs") == (200, {"outputs": {"kubeconfig": None}})
    await user.settled(one)
    assert await user.nodes(await user.kubeconfig(one)) == ["front-0", "worker-1", "worker-2"]
    status, added = await user.ask("POST", one + "?async=true", yaml.safe_dump(template(workers=4)))
    assert (status, added.count("/vms/")) == (200, 2)
    assert await user.state(one) == "pending"
    await user.settled(one)
    assert await user.nodes(await user.kubeconfig(one)) == ["front-0", "worker-1", "worker-2", "worker-3", "worker-4"]
    status, added = await user.ask("POST", one + "?async=true", yaml.safe_dump(template(workers=1)))
    assert (status, added) == (200, "")
    kubeconfig = await user.kubeconfig(one)
    assert (await user.ask("GET", one + "/state"))[1]["state"]["vm_states"] == {"0": "configured", "4": "configured"}
    await until(lambda: _has(user, kubeconfig, ["front-0", "worker-4"]))
    assert await user.ask("DELETE", one + "?async=true") == (200, "")
    await user.settled(one, None)
    assert await user.ask("GET", "/infrastructures") == (200, "")
    with pytest.raises(aiohttp.ClientConnectionError):
        await user.nodes(kubeconfig)


async def _has(user: User, kubeconfig: Mapping[str, Any], nodes: list[str]) -> bool:
    return await user.nodes(kubeconfig) == nodes


@pytest.mark.parametrize("name", ["front_end", "Front End", "ÄÖ", "-", "x" * 300, "a." * 300])
async def test_nodes_have_names_that_kubernetes_allows(user: User, name: str) -> None:
    wanted = template()
    wanted["topology_template"]["node_templates"] = {name: {"type": "tosca.nodes.Compute"}}
    one = await user.create(wanted)
    await user.settled(one)
    assert len(await user.nodes(await user.kubeconfig(one))) == 1


async def test_machines_can_be_removed_by_their_numbers(user: User) -> None:
    one = await user.create(template(workers=2))
    await user.settled(one)
    for wrong in ("7", "x", "1,x", "1" * 5000):
        assert (await user.ask("DELETE", f"{one}/vms/{wrong}"))[0] == 404
    assert await user.ask("DELETE", one + "/vms/1?async=true") == (200, "")
    kubeconfig = await user.kubeconfig(one)
    await until(lambda: _has(user, kubeconfig, ["front-0", "worker-2"]))
    wanted = template(workers=0)
    wanted["topology_template"]["node_templates"]["worker"]["capabilities"]["scalable"]["properties"]["removal_list"] = ["2"]
    assert await user.ask("POST", one, yaml.safe_dump(wanted)) == (200, "")
    await until(lambda: _has(user, kubeconfig, ["front-0"]))


REQUESTS = [
    ("no credentials", "GET", "/infrastructures", None, None, 401, "No authentication data provided"),
    ("nonsense", "GET", "/infrastructures", "nonsense", None, 401, "No credentials provided for the InfrastructureManager."),
    ("a cloud only", "GET", "/infrastructures", CLOUD, None, 401, "No credentials provided for the InfrastructureManager."),
    ("an unknown one", "GET", "/infrastructures/x/state", USER, None, 404, "Invalid infrastructure ID or access not granted."),
    ("another path", "GET", "/nowhere", USER, None, 404, None),
    ("an unknown property", "GET", "/infrastructures/x/bogus", USER, None, 422, None),
    ("no YAML", "POST", "/infrastructures", USER, "a: [", 400, "Error parsing TOSCA template"),
    (
        "no template",
        "POST",
        "/infrastructures",
        USER,
        "hello: 1",
        400,
        'UnknownFieldError: Template contains unknown field "hel',
    ),
    (
        "a section that is misspelt",
        "POST",
        "/infrastructures",
        USER,
        "{tosca_definitions_version: tosca_simple_yaml_1_0, topology_template: {node_template: {}}}",
        400,
        'UnknownFieldError: Template contains unknown field "node_template"',
    ),
    ("text", "POST", "/infrastructures", USER, "hello", 400, "TypeMismatchError"),
    ("a bomb", "POST", "/infrastructures", USER, "[" * 1000, 400, "Error parsing TOSCA template"),
]


@pytest.mark.parametrize(
    ("method", "path", "who", "body", "status", "words"), [r[1:] for r in REQUESTS], ids=[r[0] for r in REQUESTS]
)
async def test_wrong_requests_are_answered_as_the_real_one_does(
    user: User, method: str, path: str, who: str | None, body: str | None, status: int, words: str | None
) -> None:
    answer = await user.ask(method, path, body, authorization=who)
    assert answer[0] == status
    assert words is None or words in answer[1]


async def test_users_see_only_their_own(user: User) -> None:
    one = await user.create(template())
    other = USER.replace("username = test", "username = other")
    assert await user.ask("GET", "/infrastructures", authorization=other) == (200, "")
    status, words = await user.ask("GET", one + "/state", authorization=other)
    assert (status, words) == (403, "Error Getting Inf. prop: Access to this infrastructure not granted.")
    listed = await user.ask("GET", "/infrastructures", Accept="application/json")
    assert listed == (200, {"uri-list": [{"uri": user.provider.url + one}]})


async def test_credentials_can_be_revoked(user: User) -> None:
    one = await user.create(template())
    user.provider.accepts = lambda owner: False
    status, words = await user.ask("GET", one + "/state")
    assert (status, "Invalid InfrastructureManager credentials" in words) == (401, True)


async def test_what_was_asked_for_can_be_read_again(user: User) -> None:
    wanted = template(metadata={"infra_name": "mine"})
    one = await user.create(wanted)
    status, text = await user.ask("GET", one + "/tosca")
    assert (status, yaml.safe_load(text)) == (200, wanted)
    status, text = await user.ask("GET", one + "/radl")
    assert "description desc (name = 'mine')" in text


@pytest.mark.parametrize(("fate", "state"), [("failed", "failed"), ("unconfigured", "unconfigured"), ("stuck", "pending")])
async def test_machines_end_as_they_are_told(user: User, fate: Any, state: str) -> None:
    user.provider.settings.fate = fate
    one = await user.create(template())
    await user.settled(one, state)
    assert (await user.ask("GET", one + "/outputs"))[1] == {"outputs": {"kubeconfig": None}}
    user.provider.settings.fate = "configured"
    if fate == "unconfigured":
        assert (await user.ask("PUT", one + "/reconfigure"))[0] == 200
        await user.settled(one)


async def test_a_cloud_that_can_not_be_reached_is_told(user: User) -> None:
    user.provider.settings.logs_in = True
    one = await user.create(template())
    await user.settled(one, "failed")
    status, words = await user.ask("GET", one + "/contmsg")
    assert (status, "Error connecting with OpenStack" in words) == (200, True)


async def test_a_template_without_machines_fails(user: User) -> None:
    one = await user.create({"tosca_definitions_version": "tosca_simple_yaml_1_0", "topology_template": {}})
    await user.settled(one, "failed")
    assert await user.ask("GET", one + "/contmsg") == (200, "Infrastructure without any deploy. Exiting.")


async def test_a_machine_may_fail_or_vanish(user: User) -> None:
    one = await user.create(template(workers=2))
    await user.settled(one)
    id = one.rpartition("/")[2]
    kubeconfig = await user.kubeconfig(one)
    await user.provider.set_machine(id, 1, "off")
    assert await user.state(one) == "off"
    assert await user.nodes(kubeconfig) == ["front-0", "worker-2"]
    await user.provider.lose_machine(id, 1)
    assert await user.state(one) == "unknown"
    assert await user.ask("DELETE", one + "/vms/1?context=false") == (200, "")
    assert await user.state(one) == "configured"
    assert (await user.ask("POST", one, yaml.safe_dump(template(workers=2))))[0] == 200
    await until(lambda: _has(user, kubeconfig, ["front-0", "worker-2", "worker-3"]))
    await user.provider.lose(id)
    assert await user.state(one) is None


async def test_a_kubeconfig_may_change(user: User) -> None:
    one = await user.create(template())
    await user.settled(one)
    before = await user.kubeconfig(one)
    await user.provider.rotate(one.rpartition("/")[2])
    after = await user.kubeconfig(one)
    assert after["users"] != before["users"]
    assert await user.nodes(after) == ["front-0", "worker-1"]


async def test_a_deletion_that_is_watched_may_leave_a_zombie(user: User) -> None:
    user.provider.settings.zombies = True
    one = await user.create(template())
    await user.settled(one)
    assert (await user.ask("DELETE", one + "?async=true"))[0] == 200
    assert await user.state(one) == "unknown"
    assert one in (await user.ask("GET", "/infrastructures"))[1]
    assert (await user.ask("DELETE", one + "?async=true"))[0] == 200
    assert await user.state(one) is None


async def test_answers_get_lost_after_the_work_is_done(user: User) -> None:
    user.provider.service.lose_answers("^POST /infrastructures$")
    with pytest.raises(aiohttp.ClientError):
        await user.ask("POST", "/infrastructures", yaml.safe_dump(template()))
    assert len(user.provider.infrastructures) == 1
    user.provider.service.answer_with(503, "^POST", times=2)
    for status in (503, 503, 200):
        assert (await user.ask("POST", "/infrastructures", yaml.safe_dump(template())))[0] == status
    assert len(user.provider.infrastructures) == 2
    assert user.provider.service.count("^POST /infrastructures$") == 4


async def test_it_fails_and_recovers(user: User) -> None:
    for failure in (Failure("unreachable"), Failure("errors"), Failure("garbage")):
        user.provider.service.fail(failure)
        try:
            status, answer = await user.ask("GET", "/version", authorization=None)
        except aiohttp.ClientError:
            assert failure.mode == "unreachable"
        else:
            assert (status, failure.mode) == (500, "errors") or answer.startswith("<html>")
    user.provider.service.fail(Failure("hanging"))
    asked = asyncio.create_task(user.ask("GET", "/version", authorization=None))
    await until(lambda: _count(user, 4))
    user.provider.service.recover()
    assert await asked == (200, "2.0.0")


async def _count(user: User, number: int) -> bool:
    return user.provider.service.count("/version") == number


async def test_infrastructures_survive_the_process(
    start_simulated_provider: StartProvider, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    settings = Settings(boot_delay=0.05, configure_delay=0.05, delete_delay=0.05, logs_in=False)
    async with SimulatedProvider(settings, directory=tmp_path) as first:
        user = User(session, first)
        one = await user.create(template(workers=2))
        await user.settled(one)
        kubeconfig = await user.kubeconfig(one)
        young = await user.create(template())
    (tmp_path / "broken.json").write_text('{"id": 1}')
    user = User(session, await start_simulated_provider(directory=tmp_path, port=first.service.port))
    assert await user.kubeconfig(one) == kubeconfig
    assert await user.nodes(kubeconfig) == ["front-0", "worker-1", "worker-2"]
    await user.settled(young)
    assert (await user.ask("DELETE", one))[0] == 200
    assert not (tmp_path / f"{one.rpartition('/')[2]}.json").exists()


async def test_it_is_switched_over_http(user: User) -> None:
    assert (await user.ask("PATCH", "/_simulator/settings", '{"fate": "failed"}'))[0] == 200
    assert (await user.ask("PATCH", "/_simulator/settings", '{"fate": "fine"}'))[0] == 400
    one = await user.create(template())
    await user.settled(one, "failed")
    assert (await user.ask("PUT", "/_simulator/failure", '{"mode": "errors"}'))[0] == 200
    assert await user.state(one) is None
    _, shown = await user.ask("GET", "/_simulator")
    assert shown["infrastructures"] == {one.rpartition("/")[2]: "failed"}
    assert shown["requests"]["POST /infrastructures"] == 1
    assert (await user.ask("DELETE", "/_simulator/failure"))[0] == 200
    assert (await user.ask("DELETE", f"/_simulator{one}"))[0] == 200
    assert await user.state(one) is None


def by_cloud(cloud: SimulatedCloud, **changes: str) -> str:
    entry = {
        **{"id": "os", "host": cloud.url, "auth_version": "3.x_password", "username": "demo", "password": "demo"},
        **{"tenant": "demo", "domain": "Default", "tenant_domain_id": "default", "type": "OpenStack"},
    }
    return "\\n".join((USER, ";".join(f"{key} = {value}" for key, value in (entry | changes).items())))


async def test_credentials_of_the_cloud_are_tried(user: User, simulated_cloud: SimulatedCloud) -> None:
    user.provider.settings.logs_in = True
    credential = {"auth_version": "3.x_appcred", "username": simulated_cloud.credential.id, "password": "demo-secret"}
    outcomes = {}
    for wrong in ({}, credential, {"password": "no"}, {"domain": "no"}, {**credential, "password": "no"}):
        authorization = by_cloud(simulated_cloud, **wrong)
        _, uri = await user.ask("POST", "/infrastructures", yaml.safe_dump(template()), authorization=authorization)
        outcomes[authorization] = uri
    *good, bad, _, _ = outcomes.values()
    assert len(good) == 2
    for uri in good:
        await user.settled(uri)
    await user.settled(bad, "failed")
    assert "requires authentication" in (await user.ask("GET", bad + "/contmsg"))[1]


async def test_a_cloud_that_refuses_keeps_machines_from_being_deleted(user: User, simulated_cloud: SimulatedCloud) -> None:
    user.provider.settings.logs_in = True
    as_demo = by_cloud(simulated_cloud)
    _, uri = await user.ask("POST", "/infrastructures", yaml.safe_dump(template()), authorization=as_demo)
    await user.settled(uri)
    simulated_cloud.directory.change_password("demo", "another one")
    await user.ask("DELETE", uri + "?async=true", authorization=as_demo)
    assert await user.state(uri) == "configured"
    assert "could not be finalized" in (await user.ask("GET", uri + "/contmsg"))[1]
    await user.ask("DELETE", uri + "?async=true", authorization=by_cloud(simulated_cloud, password="another one"))
    await user.settled(uri, None)


async def test_what_is_left_out_of_an_update_stays(user: User) -> None:
    one = await user.create(template(metadata={"infra_name": "mine"}))
    await user.settled(one)
    assert (await user.ask("POST", one, yaml.safe_dump(template(workers=2))))[0] == 200
    assert yaml.safe_load((await user.ask("GET", one + "/tosca"))[1])["metadata"] == {"infra_name": "mine"}
    broken = template(workers=2)
    broken["topology_template"]["inputs"] = {"workers": {"default": "many"}}
    assert (await user.ask("POST", one, yaml.safe_dump(broken)))[0] == 400


async def test_machines_can_be_stopped_and_started(user: User) -> None:
    one = await user.create(template())
    await user.settled(one)
    kubeconfig = await user.kubeconfig(one)
    assert await user.ask("PUT", one + "/vms/1/stop") == (200, "")
    assert (await user.state(one), await user.nodes(kubeconfig)) == ("stopped", ["front-0"])
    assert await user.ask("PUT", one + "/start") == (200, "")
    assert (await user.state(one), await user.nodes(kubeconfig)) == ("configured", ["front-0", "worker-1"])


async def test_credentials_may_come_as_json(user: User) -> None:
    one = await user.create(template())
    entries = [{"type": "InfrastructureManager", "username": "test", "password": "test"}, {"type": "OpenStack"}]
    assert (await user.ask("GET", one + "/state", authorization=json.dumps(entries)))[0] == 200
    entries[0]["password"] = 'a; b "c" \u00e9'
    assert (await user.ask("GET", one + "/state", authorization=json.dumps(entries)))[0] == 403


async def test_what_takes_long_can_be_finished(user: User) -> None:
    user.provider.settings.boot_delay = 3600
    one = await user.create(template())
    await until(lambda: _is_idle(user))
    assert await user.state(one) == "pending"
    assert (await user.ask("POST", "/_simulator/finish"))[0] == 200
    assert await user.state(one) == "configured"
    assert await user.nodes(await user.kubeconfig(one)) == ["front-0", "worker-1"]


async def _is_idle(user: User) -> bool:
    return not user.provider.busy
