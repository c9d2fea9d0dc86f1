"""Clouds of namespaces have providers sent nowhere that Krake itself would not go for a namespace."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from component.controllers.clouds import NAMESPACE, infrastructure_controller, order_cluster, see_gone, see_state, template
from component.controllers.world import eventually, running

from krake.adapters.infrastructure import Connector
from krake.client import Client
from krake.controller.gc.controller import build as build_gc
from krake.controller.runtime import ControllerConfig
from krake.data import Key, Metadata, ReasonCode
from krake.data.destinations import Destinations
from krake.data.infrastructure import (
    Cloud,
    CloudPassword,
    CloudProject,
    CloudSpec,
    CloudState,
    CloudUser,
    GlobalInfrastructureProvider,
    ImSpec,
    InfrastructureProviderRef,
    InfrastructureProviderSpec,
    OpenstackAuthMethod,
    OpenstackSpec,
)
from krake.data.kubernetes import Cluster, ClusterState
from krake.ports.infrastructure import InfrastructureError, Infrastructures, Rejected, Unavailable
from krake.simulator.infrastructure import SimulatedProvider

FORBIDDEN = "http://169.254.169.254/v3"
ASKS: dict[str, Callable[[Infrastructures], Awaitable[Any]]] = {
    "find": lambda access: access.find("krake-1"),
    "create": lambda access: access.create("krake-1", template()),
    "observe": lambda access: access.observe("1"),
    "update": lambda access: access.update("1", template()),
    "reconfigure": lambda access: access.reconfigure("1"),
    "delete": lambda access: access.delete("1"),
    "kubeconfig": lambda access: access.kubeconfig("1"),
}


def cloud_at(url: str) -> CloudSpec:
    login = CloudPassword(user=CloudUser(username="u", password="p"), project=CloudProject(name="p"))
    auth = OpenstackAuthMethod(value=login)
    provider = InfrastructureProviderRef(name="im", namespaced=False)
    return CloudSpec(value=OpenstackSpec(url=url, auth=auth, infrastructure_provider=provider))


def provider_at(url: str) -> InfrastructureProviderSpec:
    return InfrastructureProviderSpec(value=ImSpec(url=url, username="u", password="p"))


@pytest.fixture
async def connector() -> AsyncIterator[Connector]:
    async with Connector(Destinations(["10.1.0.0/16"]), "providers.allow", 10.0) as connector:
        yield connector


async def refusal(connector: Connector, im: SimulatedProvider, url: str, ask: str = "create") -> InfrastructureError:
    """Return why a global provider is not asked for a cloud of a namespace."""
    access = connector.connect("im", provider_at(im.url), "north", cloud_at(url), trusted=True)
    with pytest.raises(InfrastructureError, match=r"^The cloud 'north' is not asked: ") as caught:
        await ASKS[ask](access)
    assert not im.service.requests
    return caught.value


@pytest.mark.parametrize("ask", ASKS)
async def test_no_question_is_asked(connector: Connector, simulated_provider: SimulatedProvider, ask: str) -> None:
    said = await refusal(connector, simulated_provider, FORBIDDEN, ask)
    assert isinstance(said, Rejected)
    assert "169.254.169.254 is not reached from here: the administrator of Krake has not allowed it (providers.allow)" in str(
        said
    )


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://localhost:5000/v3", Rejected),
        ("http://0177.0.0.1:5000/v3", Rejected),
        ("http://[::ffff:169.254.169.254]/v3", Rejected),
        ("http://me:hidden@10.1.0.1/v3", Rejected),
        ("ftp://10.1.0.1/v3", Rejected),
        ("http://nowhere.invalid/v3", Unavailable),
    ],
)
async def test_what_leads_nowhere_else(
    connector: Connector, simulated_provider: SimulatedProvider, url: str, error: type[InfrastructureError]
) -> None:
    said = await refusal(connector, simulated_provider, url)
    assert isinstance(said, error)
    assert "hidden" not in str(said)


async def test_all_addresses_of_a_name_count(
    connector: Connector, simulated_provider: SimulatedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, look_up = {"good.example": ["10.1.0.1"], "sly.example": ["10.1.0.1", "fd00:ec2::254"]}, socket.getaddrinfo

    def answer(host: str, *args: Any, **options: Any) -> Any:
        if host not in known:
            return look_up(host, *args, **options)
        kinds = ((socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in known[host])
        return [(kind, socket.SOCK_STREAM, 6, "", (address, 5000)) for kind, address in kinds]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert isinstance(await refusal(connector, simulated_provider, "http://sly.example:5000"), Rejected)
    spec = provider_at(simulated_provider.url)
    access = connector.connect("im", spec, "north", cloud_at("http://good.example:5000"), trusted=True)
    assert await access.find("krake-1") == []
    known["good.example"] = ["127.0.0.1"]
    with pytest.raises(Rejected):
        await access.find("krake-1")


async def test_clouds_of_administrators_may_be_anywhere(connector: Connector, simulated_provider: SimulatedProvider) -> None:
    spec = provider_at(simulated_provider.url)
    access = connector.connect("im", spec, "north", cloud_at(FORBIDDEN), trusted=True, cloud_trusted=True)
    assert await access.find("krake-1") == []


async def test_a_cluster_on_such_a_cloud_is_refused(api: str, simulated_provider: SimulatedProvider) -> None:
    garbage_collector = running(partial(build_gc, ControllerConfig()), api)
    async with Client(api) as client, garbage_collector, infrastructure_controller(api):
        spec = provider_at(simulated_provider.url)
        await client.create(GlobalInfrastructureProvider(metadata=Metadata(name="im"), spec=spec))
        metadata = Metadata(name="cloud", namespace=NAMESPACE)
        await client.create(Cloud(metadata=metadata, spec=cloud_at(FORBIDDEN)))

        async def look() -> Cloud:
            return await client.get(Cloud, Key(NAMESPACE, "cloud"))

        cloud = await eventually(look, lambda found: "not allowed" in str(found.status.reason))
        assert (cloud.status.state, cloud.status.reason.code) == (CloudState.OFFLINE, ReasonCode.INVALID_RESOURCE)
        # The scheduler gives it nothing; but whoever may bind need not ask.
        await order_cluster(client)
        cluster = await see_state(client, ClusterState.FAILED)
        assert cluster.status.reason is not None
        assert "(providers.allow)" in cluster.status.reason.message
        assert simulated_provider.infrastructures == {}
        assert simulated_provider.service.count("POST") == 0
        await client.delete(Cluster, cluster.key)
        await see_gone(client)
