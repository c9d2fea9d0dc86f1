"""What comes of a Magnum that answers nonsense, or what somebody has put in its place."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from krake.adapters.openstack.magnum import MagnumConnector
from krake.adapters.outgoing import Outgoing
from krake.data import Key
from krake.data.destinations import Destinations
from krake.data.openstack import ApplicationCredential, AuthMethod, ProjectSpec
from krake.ports.infrastructure import Busy, InfrastructureError, NotFound, Refused, Rejected, Unavailable
from krake.ports.magnum import Magnum, Order, Sight
from krake.simulator.openstack import SimulatedCloud

SECRET = "demo-secret"
ORDER = Order("krake-1", "template")
CALLS: dict[str, Callable[[Magnum], Awaitable[Any]]] = {
    "find": lambda magnum: magnum.find("krake-1"),
    "observe": lambda magnum: magnum.observe("1"),
    "orchestrator": lambda magnum: magnum.orchestrator("1"),
    "create": lambda magnum: magnum.create(ORDER),
    "resize": lambda magnum: magnum.resize("1", 2),
    "delete": lambda magnum: magnum.delete("1"),
    "authority": lambda magnum: magnum.authority("1"),
    "sign": lambda magnum: magnum.sign("1", "csr"),
}


@dataclass
class Impostor:
    """Answers everything that is asked of Magnum alike.

    :param endless: there are many clusters of each name, and after each page another one.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    endless: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((f"{request.method} {request.raw_path}", dict(request.headers)))
        if self.endless:
            assert len(self.asked) < 1000
            number = len(self.asked)
            clusters = [{"uuid": f"{number}-{each}", "name": "other"} for each in range(500)]
            return web.json_response({"clusters": clusters}, status=409 if number == 1 else 200)
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    def say(self, document: Any, status: int = 200) -> None:
        self.status, self.body = status, json.dumps(document).encode()


@pytest.fixture
async def impostor() -> Impostor:
    return Impostor()


@pytest.fixture
async def magnum(impostor: Impostor) -> AsyncIterator[Magnum]:
    cloud = SimulatedCloud()
    cloud.paths["container-infra"] = "/elsewhere"
    cloud.routes.append(lambda: [web.route("*", "/elsewhere/{rest:.*}", impostor.answer)])
    async with cloud, MagnumConnector(Outgoing(Destinations(["127.0.0.1"]), "openstack.allow", 2.0)) as connector:
        credential = ApplicationCredential(id=cloud.credential.id, secret=SECRET)
        spec = ProjectSpec(url=cloud.url, auth=AuthMethod(value=credential), template="t")
        yield connector.connect(Key("red", "mine"), spec)


NONSENSE = [b"", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"uuid": 7, "pem": "x", "clusters": {}}', b"<html>Hello</html>"]


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("call", [call for call in CALLS if call not in ("delete", "resize", "orchestrator")])
async def test_nonsense_is_no_answer(magnum: Magnum, impostor: Impostor, call: str, body: bytes) -> None:
    impostor.body = body
    with pytest.raises(Unavailable, match=r"'mine'"):
        await CALLS[call](magnum)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "error"), [(302, Unavailable), (400, Rejected), (401, Refused), (403, Rejected), (409, Busy), (500, Unavailable)]
)
async def test_what_goes_wrong_is_told_in_the_words_of_magnum_without_secrets(
    magnum: Magnum, impostor: Impostor, call: str, status: int, error: type[InfrastructureError]
) -> None:
    impostor.headers = {"Location": "http://169.254.169.254/"}
    impostor.say({"errors": [{"title": "No", "detail": f"Quota exceeded\nfor {SECRET}"}]}, status)
    if call in ("find", "observe") and status == 400:
        error = Busy  # the cluster is just being forgotten
    with pytest.raises(error) as raised:
        await CALLS[call](magnum)
    assert "'mine'" in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)
    if status != 302:
        assert "Quota exceeded" in str(raised.value)
    assert all(asked.partition(" ")[2].startswith("/elsewhere/v1/") for asked, _ in impostor.asked)


async def test_an_answer_without_end_is_cut(magnum: Magnum, impostor: Impostor) -> None:
    impostor.body = b'{"uuid": "' + b"x" * 5_000_000 + b'"}'
    with pytest.raises(Unavailable, match="more than"):
        await magnum.observe("1")


async def test_a_list_without_end_is_given_up(magnum: Magnum, impostor: Impostor) -> None:
    impostor.endless = True
    with pytest.raises(Unavailable, match="tells of more than 10000 clusters"):
        await magnum.find("krake-1")


async def test_what_is_odd_of_a_cluster_does_no_harm(magnum: Magnum, impostor: Impostor) -> None:
    impostor.say(
        {
            "uuid": "1",
            "status": None,
            "status_reason": "Broken\n" + "x" * 1000,
            "node_count": True,
            "api_address": 5,
            "node_addresses": ["10.0.0.5", None, {"a": 1}],
        }
    )
    sight = await magnum.observe("1")
    assert sight.message is not None
    assert len(sight.message) <= 300
    assert sight == Sight("1", "CREATE_IN_PROGRESS", sight.message, node_addresses=("10.0.0.5",))
    impostor.say({"uuid": "1", "status": "DELETE_COMPLETE"})
    with pytest.raises(NotFound):
        await magnum.observe("1")
    impostor.say({"uuid": "1", "status": "CREATE_FAILED", "faults": {"worker-0": "No host."}})
    assert (await magnum.observe("1")).message == "worker-0: No host."


async def test_ids_stay_a_part_of_the_path(magnum: Magnum, impostor: Impostor) -> None:
    impostor.say({"uuid": "1"})
    for id in ("../clustertemplates/x", "..", "a/b?c=d#e", "%2e%2e"):
        await magnum.observe(id)
    paths = [asked.partition(" ")[2] for asked, _ in impostor.asked]
    assert all(path.startswith("/elsewhere/v1/clusters/") and path.count("/") == 4 and "?" not in path for path in paths)


async def test_each_request_names_the_version_that_resizes(magnum: Magnum, impostor: Impostor) -> None:
    impostor.say({"uuid": "1"})
    await magnum.resize("1", 2)
    (_, headers) = impostor.asked[-1]
    assert headers["OpenStack-API-Version"] == "container-infra 1.7"


async def test_a_token_that_ended_is_replaced(magnum: Magnum, impostor: Impostor) -> None:
    impostor.say({"uuid": "1"})
    await magnum.observe("1")
    impostor.say({}, 401)
    with pytest.raises(Refused):
        await magnum.observe("1")
    shown = [headers["X-Auth-Token"] for _, headers in impostor.asked]
    assert len(shown) == 3
    assert len(set(shown)) == 2
