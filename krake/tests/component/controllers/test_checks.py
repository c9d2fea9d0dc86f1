"""Whether providers and clouds answer stands in their status: against a real API, a simulated Infrastructure Manager and clouds
that do as they are told."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from component.controllers.magnum import declare_project
from component.controllers.magnum import run as run_magnum
from component.controllers.world import eventually, running

from krake.adapters.infrastructure import Connector
from krake.client import Client
from krake.controller.infrastructure.checking import Checking, Pace
from krake.controller.runtime import Informer, Parts, Recorder
from krake.data import Key, Metadata, ReasonCode
from krake.data.destinations import Destinations
from krake.data.events import Event
from krake.data.infrastructure import (
    Cloud,
    CloudPassword,
    CloudProject,
    CloudSpec,
    CloudState,
    CloudUser,
    GlobalCloud,
    GlobalInfrastructureProvider,
    ImSpec,
    InfrastructureProvider,
    InfrastructureProviderRef,
    InfrastructureProviderSpec,
    InfrastructureProviderState,
    OpenstackAuthMethod,
    OpenstackSpec,
)
from krake.data.openstack import Project
from krake.simulator.infrastructure import SimulatedProvider
from krake.simulator.openstack.magnum import SimulatedMagnum

PACE = Pace(interval=0.2, timeout=1.0)
TOKEN = json.dumps({"token": {"expires_at": "2090-01-01T00:00:00Z", "project": {"id": "p"}, "catalog": []}})


@dataclass
class Clouds:
    """Many clouds behind one address, each under a path of its own: they let in whoever has the password ``right``."""

    url: str = ""
    broken: dict[str, int | None] = field(default_factory=dict)
    """With what status clouds answer instead; ``None`` for not at all."""
    asked: Counter[str] = field(default_factory=Counter)
    logins: Counter[str] = field(default_factory=Counter)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.asked[name] += 1
        self.logins[name] += request.method == "POST"
        if name in self.broken:
            if (status := self.broken[name]) is None:
                await asyncio.Event().wait()
            return web.Response(status=status or 0)
        if request.method == "GET":
            shown = {request.headers[key] for key in ("X-Auth-Token", "X-Subject-Token")}
            return web.Response(text=TOKEN, status=200 if shown == {"token"} else 401, headers={"X-Subject-Token": "token"})
        login = (await request.json())["auth"]["identity"]["password"]["user"]
        if login["password"] != "right":
            return web.Response(status=401)
        return web.Response(text=TOKEN, status=201, headers={"X-Subject-Token": "token"})


@pytest.fixture
async def clouds() -> AsyncIterator[Clouds]:
    clouds = Clouds()
    app = web.Application()
    for method in ("GET", "POST"):
        app.router.add_route(method, "/{name}/v3/auth/tokens", clouds.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clouds.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield clouds
    await runner.cleanup()


def build(client: Client, destinations: Destinations, pace: Pace) -> Parts:
    connector = Connector(destinations, "infrastructure.allow", timeout=pace.timeout)
    recorder = Recorder(client, "infrastructure-controller")
    informers: list[Any] = [Informer(client, kind) for kind in (Cloud, GlobalCloud)]
    informers += [Informer(client, kind) for kind in (InfrastructureProvider, GlobalInfrastructureProvider)]
    checking = Checking(client, recorder, connector, *informers, pace)
    return Parts(informers=informers, controllers=checking.controllers, resources=[connector, recorder])


Run = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def run(api: str) -> Run:
    def start(*, allow: tuple[str, ...] = ("127.0.0.1",), pace: Pace = PACE) -> AbstractAsyncContextManager[None]:
        return running(partial(build, destinations=Destinations(allow=allow), pace=pace), api)

    return start


@pytest.fixture
async def checks(run: Run) -> AsyncIterator[None]:
    async with run():
        yield


def provider_spec(url: str, password: str = "p") -> InfrastructureProviderSpec:
    return InfrastructureProviderSpec(value=ImSpec(url=url, username="u", password=password))


async def add_provider(client: Client, url: str, name: str = "im") -> InfrastructureProvider:
    metadata = Metadata(name=name, namespace="red")
    return await client.create(InfrastructureProvider(metadata=metadata, spec=provider_spec(url)))


def cloud_spec(url: str, password: str = "right", *, namespaced: bool = True) -> CloudSpec:
    login = CloudPassword(user=CloudUser(username="u", password=password), project=CloudProject(name="p"))
    ref = InfrastructureProviderRef(name="im", namespaced=namespaced)
    return CloudSpec(
        value=OpenstackSpec(url=url, auth=OpenstackAuthMethod(value=login), infrastructure_provider=ref),
    )


async def add_cloud(client: Client, clouds: Clouds, name: str, password: str = "right") -> Cloud:
    spec = cloud_spec(f"{clouds.url}/{name}", password)
    return await client.create(Cloud(metadata=Metadata(name=name, namespace="red"), spec=spec))


async def see(client: Client, state: str, name: str = "north", kind: Any = Cloud) -> Any:
    """Return a resource once it has been found to be in a state."""
    look = partial(client.get, kind, Key("red", name))
    return await eventually(look, lambda seen: bool(seen.status.checked and seen.status.state.name == state))


async def events_about(client: Client, name: str) -> set[tuple[str, str]]:
    events = await client.list(Event, "red")
    return {(each.reason, each.message) for each in events.items if each.regarding.name == name}


@pytest.mark.usefixtures("checks")
async def test_what_is_registered_is_checked_at_once(
    client: Client, clouds: Clouds, simulated_provider: SimulatedProvider
) -> None:
    await add_provider(client, simulated_provider.url)
    assert (await see(client, "ONLINE", "im", InfrastructureProvider)).status.reason is None
    await add_cloud(client, clouds, "north")
    await see(client, "ONLINE")
    await add_cloud(client, clouds, "south", password="wrong-password")
    reason = (await see(client, "OFFLINE", "south")).status.reason
    assert reason.code is ReasonCode.INVALID_CREDENTIALS
    assert reason.message.startswith("The cloud 'south' refuses the login (HTTP 401 Unauthorized)")
    await eventually(partial(events_about, client, "south"), lambda told: ("Offline", reason.message) in told)
    await eventually(partial(events_about, client, "north"), lambda told: {"Online"} == {each[0] for each in told})


@pytest.mark.usefixtures("checks")
async def test_new_credentials_are_tried_at_once(client: Client, clouds: Clouds, simulated_provider: SimulatedProvider) -> None:
    await add_provider(client, simulated_provider.url)
    await add_cloud(client, clouds, "north", password="wrong")
    await see(client, "OFFLINE")
    login = {"password": {"user": {"password": "right"}}}
    await client.patch(Cloud, Key("red", "north"), {"spec": {"openstack": {"auth": login}}})
    assert (await see(client, "ONLINE")).status.reason is None
    login = {"password": {"user": {"password": "wrong"}}}
    await client.patch(Cloud, Key("red", "north"), {"spec": {"openstack": {"auth": login}}})
    checked = (await see(client, "OFFLINE")).status.checked
    login = {"password": {"user": {"password": "wrong, too"}}}
    await client.patch(Cloud, Key("red", "north"), {"spec": {"openstack": {"auth": login}}})
    # Whoever has changed it sees that the answer is about the change.
    look = partial(client.get, Cloud, Key("red", "north"))
    assert (await eventually(look, lambda seen: seen.status.checked != checked)).status.state is CloudState.OFFLINE


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize("trouble", [500, None, 401])
async def test_a_cloud_that_is_lost_and_comes_back(
    client: Client, clouds: Clouds, simulated_provider: SimulatedProvider, trouble: int | None
) -> None:
    await add_provider(client, simulated_provider.url)
    await add_cloud(client, clouds, "north")
    await see(client, "ONLINE")
    broken = {"state": "FAILING_METRICS", "metrics_reasons": {"load": {"code": "INVALID_METRIC", "message": "It is none."}}}
    await client.patch(Cloud, Key("red", "north"), {"status": broken}, subresource="status")
    clouds.broken["north"] = trouble
    code = ReasonCode.INVALID_CREDENTIALS if trouble == 401 else ReasonCode.INFRASTRUCTURE_NOT_REACHABLE
    lost = await see(client, "OFFLINE")
    assert (lost.status.reason.code, list(lost.status.metrics_reasons)) == (code, ["load"])
    del clouds.broken["north"]
    assert (await see(client, "FAILING_METRICS")).status.reason is None


@pytest.mark.usefixtures("checks")
async def test_a_cloud_is_of_no_use_without_its_provider(
    client: Client, clouds: Clouds, simulated_provider: SimulatedProvider
) -> None:
    await add_cloud(client, clouds, "north")
    reason = (await see(client, "OFFLINE")).status.reason
    assert reason.message == "There is no infrastructure provider 'im', which is to create its clusters: register it."
    await add_provider(client, simulated_provider.url)
    await see(client, "ONLINE")
    await simulated_provider.stop()
    lost = (await see(client, "OFFLINE", "im", InfrastructureProvider)).status.reason
    assert lost.code is ReasonCode.INFRASTRUCTURE_NOT_REACHABLE
    reason = (await see(client, "OFFLINE")).status.reason
    assert reason.message.startswith("The infrastructure provider 'im' is OFFLINE: ")
    assert reason.message.endswith(": it " + lost.message.removeprefix("The infrastructure provider 'im' "))
    await simulated_provider.start()
    await see(client, "ONLINE", "im", InfrastructureProvider)
    await see(client, "ONLINE")
    await client.delete(InfrastructureProvider, Key("red", "im"))
    await see(client, "OFFLINE")


@pytest.mark.usefixtures("checks")
async def test_a_reference_to_a_global_provider_means_that_one(
    client: Client, clouds: Clouds, simulated_provider: SimulatedProvider
) -> None:
    await add_provider(client, "http://127.0.0.1:1")
    await see(client, "OFFLINE", "im", InfrastructureProvider)
    spec = provider_spec(simulated_provider.url)
    await client.create(GlobalInfrastructureProvider(metadata=Metadata(name="im"), spec=spec))
    spec_of_cloud = cloud_spec(f"{clouds.url}/north", namespaced=False)
    await client.create(Cloud(metadata=Metadata(name="north", namespace="red"), spec=spec_of_cloud))
    await see(client, "ONLINE")


async def test_namespaces_lead_only_where_the_administrator_allows_it(
    client: Client, clouds: Clouds, simulated_provider: SimulatedProvider, run: Run
) -> None:
    async with run(allow=()):
        await add_provider(client, simulated_provider.url)
        reason = (await see(client, "OFFLINE", "im", InfrastructureProvider)).status.reason
        assert (
            "is not reached from here: the administrator of Krake has not allowed it (infrastructure.allow)" in reason.message
        )
        spec = provider_spec(simulated_provider.url)
        await client.create(GlobalInfrastructureProvider(metadata=Metadata(name="im"), spec=spec))
        spec_of_cloud = cloud_spec(f"{clouds.url}/north", namespaced=False)
        await client.create(GlobalCloud(metadata=Metadata(name="north"), spec=spec_of_cloud))
        look = partial(client.get, GlobalCloud, Key(None, "north"))
        await eventually(look, lambda seen: seen.status.checked is not None and seen.status.state is CloudState.ONLINE)
    assert set(clouds.asked) == {"north"}


async def test_what_has_not_changed_is_not_written(
    client: Client, clouds: Clouds, simulated_provider: SimulatedProvider, run: Run
) -> None:
    await add_provider(client, simulated_provider.url)
    await add_cloud(client, clouds, "north")
    await add_cloud(client, clouds, "south", password="wrong")
    async with run():
        before = [await see(client, state, name) for name, state in (("north", "ONLINE"), ("south", "OFFLINE"))]
    asked = clouds.asked.copy()
    async with run():

        async def ask() -> Counter[str]:
            return clouds.asked

        await eventually(ask, lambda now: all(now[name] >= asked[name] + 3 for name in ("north", "south")))
    after = [await client.get(Cloud, each.key) for each in before]
    assert [each.metadata.resource_version for each in after] == [each.metadata.resource_version for each in before]
    assert clouds.asked["north"] > asked["north"]
    # One login for each run of the controller; a login that is refused is tried at every check.
    assert clouds.logins["north"] == 2
    assert clouds.logins["south"] == clouds.asked["south"]


async def test_hundreds_of_clouds_that_hang_are_in_nobodys_way(
    client: Client, clouds: Clouds, simulated_provider: SimulatedProvider, run: Run
) -> None:
    await add_provider(client, simulated_provider.url)
    names = [f"hanging-{number}" for number in range(120)]
    clouds.broken.update(dict.fromkeys(names))
    await asyncio.gather(*(add_cloud(client, clouds, name) for name in [*names, "north"]))
    async with run(pace=Pace(interval=0.5, timeout=1.0)):
        await see(client, "ONLINE")
        for state in ("OFFLINE", "ONLINE", "OFFLINE"):
            if state == "OFFLINE":
                clouds.broken["north"] = 401
            else:
                clouds.broken.pop("north")
            await see(client, state)

        async def count() -> int:
            listed = await client.list(Cloud, "red")
            return sum(each.status.state is CloudState.OFFLINE for each in listed.items)

        await eventually(count, lambda number: number == len(names) + 1)


@pytest.mark.usefixtures("checks")
async def test_a_provider_that_refuses_says_so(client: Client, simulated_provider: SimulatedProvider) -> None:
    simulated_provider.accepts = lambda owner: False
    await add_provider(client, simulated_provider.url)
    refused = await see(client, "OFFLINE", "im", InfrastructureProvider)
    assert refused.status.state is InfrastructureProviderState.OFFLINE
    assert refused.status.reason.code is ReasonCode.INVALID_CREDENTIALS
    simulated_provider.accepts = lambda owner: True
    await see(client, "ONLINE", "im", InfrastructureProvider)


async def test_projects_are_checked_likewise(client: Client, api: str, simulated_magnum: SimulatedMagnum) -> None:
    cloud = simulated_magnum.cloud
    async with run_magnum(api, check_interval=0.2):
        await declare_project(client, simulated_magnum)
        await see(client, "ONLINE", "project", Project)
        cloud.directory.disable(cloud.user.name)
        reason = (await see(client, "OFFLINE", "project", Project)).status.reason
        assert reason.code is ReasonCode.INVALID_CREDENTIALS
        cloud.directory.disable(cloud.user.name, enabled=True)
        await see(client, "ONLINE", "project", Project)
        cloud.paths.clear()
        reason = (await see(client, "OFFLINE", "project", Project)).status.reason
        assert reason.message == "The project 'project' has no service 'container-infra' in its catalogue."
