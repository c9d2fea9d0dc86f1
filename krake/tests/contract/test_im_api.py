"""What the REST API of an Infrastructure Manager looks like, on a real one and on the simulated one."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import yaml
from fixtures.im import cloud_of, provider_of, template_of
from fixtures.polling import until
from fixtures.simulated_clouds import StartProvider

from krake.adapters.infrastructure.im.authorization import authorize
from krake.data.infrastructure import CloudSpec, ImSpec, OpenstackSpec


@dataclass
class Manager:
    """An Infrastructure Manager, as users of one of its clouds know it."""

    url: str
    cloud: CloudSpec
    session: aiohttp.ClientSession

    async def ask(
        self,
        method: str,
        path: str,
        body: str | None = None,
        user: str | None = "raw",
        accept: str = "*/*",
        content_type: str = "text/yaml",
    ) -> tuple[int, str, str]:
        """Return status, content type, and text without the address of the server."""
        headers = {"Accept": accept} | ({} if user is None else {"Authorization": self.authorization(user)})
        if body is not None:
            headers["Content-Type"] = content_type
        async with self.session.request(method, self.url + path, data=body, headers=headers) as answer:
            return answer.status, answer.content_type, (await answer.text()).replace(self.url, "").strip()

    def authorization(self, user: str) -> str:
        im, openstack = provider_of(self.url, username=user).value, self.cloud.value
        assert isinstance(im, ImSpec)
        assert isinstance(openstack, OpenstackSpec)
        return authorize("im", im, "cloud", openstack).header

    async def create(self, wanted: Mapping[str, Any]) -> str:
        status, kind, path = await self.ask("POST", "/infrastructures?async=true", yaml.safe_dump(wanted))
        assert (status, kind) == (200, "text/uri-list")
        assert path.startswith("/infrastructures/")
        return path

    async def state(self, path: str) -> dict[str, Any] | None:
        status, kind, text = await self.ask("GET", path + "/state")
        if status == 404:
            return None
        assert (status, kind) == (200, "application/json")
        return dict(json.loads(text)["state"])

    async def reaches(self, path: str, state: str | None, **machines: str) -> None:
        async def reached() -> bool:
            found = await self.state(path)
            if found is None or state is None:
                return found is state
            return found["state"] == state and (not machines or found["vm_states"].values() == machines.values())

        await until(reached)

    async def delete(self, path: str) -> None:
        """Delete, as long as it takes: what is at work refuses, and a zombie has to be deleted twice."""

        async def gone() -> bool:
            return (await self.ask("DELETE", path))[0] == 404

        await until(gone)


@pytest.fixture(params=["real", "simulated"])
async def manager(request: pytest.FixtureRequest, start_simulated_provider: StartProvider) -> AsyncIterator[Manager]:
    async with aiohttp.ClientSession() as session:
        if request.param == "real":
            yield Manager(request.getfixturevalue("im").url, request.getfixturevalue("openstack"), session)
        else:
            yield Manager((await start_simulated_provider()).url, cloud_of("http://127.0.0.1:1/v3"), session)


JSON, TEXT, URIS = "application/json", "text/plain", "text/uri-list"


async def test_from_creation_to_deletion(manager: Manager) -> None:
    one = await manager.create(template_of("the config", front=1, worker=2))
    assert one in (await manager.ask("GET", "/infrastructures"))[2].splitlines()
    await manager.reaches(one, "configured")
    assert (await manager.state(one)) == {"state": "configured", "vm_states": dict.fromkeys(("0", "1", "2"), "configured")}
    machines = "\n".join(f"{one}/vms/{number}" for number in range(3))
    assert await manager.ask("GET", one) == (200, URIS, machines)
    status, kind, text = await manager.ask("GET", one + "/outputs")
    assert (status, kind, json.loads(text)) == (200, JSON, {"outputs": {"kubeconfig": "the config"}})
    assert await manager.ask("GET", one + "/vms/0/state") == (200, TEXT, "configured")
    assert (await manager.ask("PUT", one + "/reconfigure"))[::2] == (200, "")
    await manager.reaches(one, "configured")
    await manager.delete(one)
    assert await manager.state(one) is None
    assert one not in (await manager.ask("GET", "/infrastructures"))[2]


async def test_scaling(manager: Manager) -> None:
    one = await manager.create(template_of("the config", front=1, worker=1))
    await manager.reaches(one, "configured")
    more = yaml.safe_dump(template_of("the config", front=1, worker=2))
    assert await manager.ask("POST", one + "?async=true", more) == (200, URIS, f"{one}/vms/2")
    await manager.reaches(one, "configured")
    less = yaml.safe_dump(template_of("the config", front=1, worker=1))
    assert await manager.ask("POST", one + "?async=true", less) == (200, URIS, "")

    async def is_smaller() -> bool:
        return (await manager.ask("GET", one))[2] == f"{one}/vms/0\n{one}/vms/2"

    await until(is_smaller)
    assert (await manager.ask("DELETE", one + "/vms/2"))[::2] == (200, "")
    assert await manager.ask("GET", one) == (200, URIS, f"{one}/vms/0")
    await manager.delete(one)


async def test_what_was_asked_for_can_be_read_again(manager: Manager) -> None:
    wanted = template_of("the config", front=1) | {"metadata": {"infra_name": "a-mark"}}
    one = await manager.create(wanted)
    await manager.reaches(one, "configured")
    status, kind, text = await manager.ask("GET", one + "/tosca")
    assert (status, kind, yaml.safe_load(text)) == (200, TEXT, wanted)
    again = yaml.safe_dump(template_of("the config", front=1))
    assert (await manager.ask("POST", one + "?async=true", again))[0] == 200
    assert yaml.safe_load((await manager.ask("GET", one + "/tosca"))[2]) == wanted
    assert "description desc (name = 'a-mark')" in (await manager.ask("GET", one + "/radl"))[2]
    await manager.delete(one)


async def test_forms_of_answers(manager: Manager) -> None:
    one = await manager.create(template_of(front=1))
    await manager.reaches(one, "configured")
    status, kind, text = await manager.ask("GET", one, accept=JSON)
    assert (status, kind, json.loads(text)) == (200, JSON, {"uri-list": [{"uri": f"{one}/vms/0"}]})
    status, kind, text = await manager.ask("GET", "/infrastructures/unknown/state", accept=JSON)
    assert (status, kind, json.loads(text)["code"]) == (404, JSON, 404)
    assert (await manager.ask("GET", one + "/outputs", accept=TEXT))[0] == 415
    assert (await manager.ask("GET", one + "/nonsense"))[0] == 422
    await manager.delete(one)


async def test_users_see_only_their_own(manager: Manager) -> None:
    one = await manager.create(template_of(front=1))
    assert one not in (await manager.ask("GET", "/infrastructures", user="another"))[2]
    words = "Error Getting Inf. prop: Access to this infrastructure not granted."
    assert await manager.ask("GET", one + "/state", user="another") == (403, TEXT, words)
    assert (await manager.ask("DELETE", one, user="another"))[0] == 403
    await manager.reaches(one, "configured")
    await manager.delete(one)


UNKNOWN = "Invalid infrastructure ID or access not granted."
MISTAKES = [
    ("GET", "/infrastructures", None, None, "text/yaml", 401, "No authentication data provided"),
    ("GET", "/infrastructures/unknown/state", "raw", None, "text/yaml", 404, f"Error Getting Inf. prop: {UNKNOWN}"),
    ("DELETE", "/infrastructures/unknown", "raw", None, "text/yaml", 404, f"Error Destroying Inf: {UNKNOWN}"),
    ("GET", "/infrastructures/unknown", "raw", None, "text/yaml", 404, f"Error Getting Inf. info: {UNKNOWN}"),
    ("GET", "/nowhere", "raw", None, "text/yaml", 404, '{"detail":"Not Found"'),
    ("POST", "/infrastructures", "raw", "a: [", "text/yaml", 400, "Error parsing request body: Error parsing TOSCA template: "),
    (
        "POST",
        "/infrastructures",
        "raw",
        "hello: 1",
        "text/yaml",
        400,
        "Error parsing request body: Error parsing TOSCA template: ",
    ),
    ("POST", "/infrastructures", "raw", "a", "application/xml", 415, "Unsupported Media Type ['application/xml']"),
]


@pytest.mark.parametrize(("method", "path", "user", "body", "content_type", "status", "words"), MISTAKES)
async def test_mistakes(
    manager: Manager, method: str, path: str, user: str | None, body: str | None, content_type: str, status: int, words: str
) -> None:
    answered, _, text = await manager.ask(method, path, body, user=user, content_type=content_type)
    assert answered == status
    assert text.replace(": ", ":").startswith(words.replace(": ", ":")), text


async def test_a_machine_that_is_not_there(manager: Manager) -> None:
    one = await manager.create(template_of(front=1))
    await manager.reaches(one, "configured")
    assert await manager.ask("GET", one + "/vms/7") == (404, TEXT, "Error Getting VM. info: Invalid VM ID")
    assert (await manager.ask("DELETE", one + "/vms/7"))[0] == 404
    await manager.delete(one)


async def test_nothing_to_make(manager: Manager) -> None:
    nothing = {"tosca_definitions_version": "tosca_simple_yaml_1_0"}
    assert (await manager.ask("POST", "/infrastructures", yaml.safe_dump(nothing)))[0] == 400
    one = await manager.create(nothing | {"topology_template": {"node_templates": {}}})
    await manager.reaches(one, "failed")
    assert (await manager.state(one)) == {"state": "failed", "vm_states": {}}
    assert "Infrastructure without any deploy. Exiting." in (await manager.ask("GET", one + "/contmsg"))[2]
    await manager.delete(one)
