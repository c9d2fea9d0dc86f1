"""Applications are asked by their own service, until a call gets through, and know who calls."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from aiohttp import web
from fixtures import polling
from unit.kubernetes.applications import UID, A, app

from krake.adapters.shutdown import CallFailed
from krake.controller.kubernetes.application.hooks import calls
from krake.controller.kubernetes.application.hooks.calls import ShutdownCalls, ask, url_of
from krake.controller.kubernetes.application.services import SERVICE
from krake.controller.kubernetes.application.site import Site
from krake.data.kubernetes import Application
from krake.lib.backoff import Backoff
from krake.ports.cluster import OWNER_LABEL, Identity, Unreachable

TOKEN = "t0k"


async def until(accept: Callable[[], bool]) -> None:
    async def ask() -> bool:
        return accept()

    await polling.until(ask, 5)


def service(port: int | None, *, owner: str = UID, name: str = "shutdown", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "apps", "labels": {OWNER_LABEL: owner}}
    ports = [{"port": 80, "nodePort": port}] if port else [{"port": 80}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"type": "NodePort", "ports": ports, **spec}}


@dataclass
class Cluster:
    """A cluster as the calls see it."""

    services: list[dict[str, Any]] = field(default_factory=list)
    host: str = "127.0.0.1"
    lost: int = 0
    down: bool = False

    @property
    def connection(self) -> "Cluster":
        return self

    async def look(self, identity: Identity) -> dict[str, Any] | None:
        if self.down:
            raise Unreachable("No route.")
        found = {each["metadata"]["name"]: each for each in self.services}
        return found.get(identity.name) if identity.type == SERVICE else None

    def lose(self, error: Unreachable) -> None:
        self.lost += 1


def site(*services: dict[str, Any], **fields: Any) -> Site:
    return cast(Site, Cluster(list(services), **fields))


def asked(grace: float = 60, number: int = 1, **status: Any) -> Application:
    recorded = [service(1)]
    deadline = datetime.now(UTC) + timedelta(seconds=grace)
    known = {"running_on": A, "shutdown_token": TOKEN, "last_applied_manifest": recorded}
    found = app(**known | {"shutdown_attempts": number, "shutdown_grace_period": deadline} | status)
    return replace(found, spec=replace(found.spec, hooks=["shutdown"]))


class Program:
    """The program in the container: remembers who called."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: list[Mapping[str, str]] = []
        self.answers: list[int] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Program"]:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            self.seen.append({"path": f"{request.method} {request.path}", **request.headers})
            return web.Response(status=self.answers.pop(0) if self.answers else 200)

        server = web.Server(answer, access_log=None)
        listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            await server.shutdown(0)


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    async with Program().running() as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "REPEATS", Backoff(0.01, 0.02))


async def test_an_application_can_tell_who_calls_without_the_token_being_sent(program: Program) -> None:
    found, now = asked(), datetime.now(UTC)
    await ask(found, site(service(program.port)), now)
    (seen,) = program.seen
    assert seen["path"] == "PUT /shutdown"
    assert found.status.shutdown_grace_period is not None
    assert abs(int(seen["Krake-Timestamp"]) - now.timestamp()) < 2
    assert int(seen["Krake-Deadline"]) == int(found.status.shutdown_grace_period.timestamp())
    # As an application checks it, by what its documentation says.
    text = f"PUT /shutdown\n{seen['Krake-Timestamp']}\n{seen['Krake-Deadline']}"
    expected = hmac.new(TOKEN.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert seen["Krake-Signature"] == f"sha256={expected}"
    assert TOKEN not in str(seen)


@pytest.mark.parametrize(
    ("found", "where", "why"),
    [
        (asked(last_applied_manifest=[]), site(service(1)), "no service called 'shutdown'"),
        (asked(), site(), "is not on its cluster"),
        (asked(), site(service(1, owner="somebody")), "is not on its cluster"),
        (asked(), site(service(None)), "can not be reached from outside"),
        (asked(), site(service(None, externalIPs=["10.0.0.1"])), "can not be reached from outside"),
        (asked(), site(service(None, type="ExternalName", externalName="etcd.internal")), "can not be reached from outside"),
        (asked(), site(service(None, type="LoadBalancer")), "has no address yet"),
        (asked(), site(service(1), host="169.254.169.254"), "are not called at"),
        (asked(shutdown_token=None), site(service(1)), "no token"),
    ],
)
async def test_only_its_own_live_service_is_called(found: Application, where: Site, why: str) -> None:
    found = replace(found, status=replace(found.status, services={"shutdown": "127.0.0.1:1"}))
    with pytest.raises(CallFailed, match=why):
        await ask(found, where, datetime.now(UTC))


async def test_a_label_says_which_service_it_is_if_another_application_has_the_name(program: Program) -> None:
    labelled = service(program.port, name="app-shutdown")
    labelled["metadata"]["labels"]["krake.cloud/hook"] = "shutdown"
    other = service(None, name="other")
    await ask(asked(last_applied_manifest=[other, labelled]), site(other, labelled), datetime.now(UTC))
    assert len(program.seen) == 1


async def test_balancers_must_not_lead_back_to_this_machine(program: Program) -> None:
    balanced = service(None, type="LoadBalancer", ports=[{"port": program.port}])
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}
    with pytest.raises(CallFailed, match="are not called at"):
        await ask(asked(), site(balanced, host="cluster.example"), datetime.now(UTC))
    assert program.seen == []


@pytest.mark.parametrize(
    ("ports", "url"),
    [
        ([{"port": 80, "nodePort": 1}], "http://h:1/shutdown"),
        ([{"port": 443, "nodePort": 1}], "https://h:1/shutdown"),
        ([{"name": "https", "port": 80, "nodePort": 1}], "https://h:1/shutdown"),
        ([{"port": 80, "nodePort": 1, "appProtocol": "https"}], "https://h:1/shutdown"),
        ([{"name": "a", "port": 1, "nodePort": 1}, {"name": "shutdown", "port": 2, "nodePort": 2}], "http://h:2/shutdown"),
        ([{"name": "a", "port": 1, "nodePort": 1}, {"name": "https", "port": 2, "nodePort": 2}], "https://h:2/shutdown"),
    ],
)
def test_the_port_and_the_scheme(ports: list[dict[str, Any]], url: str) -> None:
    assert url_of(service(1, ports=ports), "h") == url


async def test_calls_are_repeated_until_one_gets_through(program: Program) -> None:
    program.answers = [503, 404]
    called: list[object] = []
    found, cluster = asked(), site(service(program.port))
    async with ShutdownCalls(called.append) as asking:
        asking.ask(found, cluster)
        await until(lambda: len(program.seen) == 3)
        await until(lambda: asking.trouble(found) is None)
        # Whoever has accepted is left alone in this attempt, and asked again in the next one.
        asking.ask(found, cluster)
        asking.ask(asked(number=2), cluster)
        await until(lambda: len(program.seen) == 4)
    assert called == [found.key, found.key]


async def test_another_process_asks_again_as_it_can_not_know(program: Program) -> None:
    found = asked()
    for _ in range(2):
        async with ShutdownCalls(lambda key: None) as asking:
            seen = len(program.seen)
            asking.ask(found, site(service(program.port)))
            await until(lambda seen=seen: len(program.seen) == seen + 1)


async def test_a_cluster_that_comes_back_is_asked_in_the_same_attempt(program: Program) -> None:
    cluster = Cluster([service(program.port)], down=True)
    found = asked()
    async with ShutdownCalls(lambda key: None) as asking:
        asking.ask(found, cast(Site, cluster))
        await until(lambda: "does not answer" in (asking.trouble(found) or ""))
        assert cluster.lost > 0
        cluster.down = False
        await until(lambda: len(program.seen) == 1)


async def test_nobody_is_asked_after_the_time_is_over(program: Program) -> None:
    program.answers = [503] * 10_000
    found = asked(grace=0.2)
    async with ShutdownCalls(lambda key: None) as asking:
        asking.ask(found, site(service(program.port)))
        (task,) = (each for each in asyncio.all_tasks() if each.get_name() == f"shutdown-{found.key}")
        await asyncio.wait_for(task, 5)
        assert "status 503" in (asking.trouble(found) or "")
        asking.forget(found.metadata.uid)
        assert asking.trouble(found) is None
