"""Clouds and providers whose certificates come from an authority of their own: real and simulated ones, behind real TLS."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from fixtures.pki import store_pair
from fixtures.proxy import Proxy
from realidentity.keystone import Keystone
from testpki.authority import SERVER, Authority

from krake.adapters.infrastructure import Connector
from krake.adapters.openstack.magnum import MagnumConnector
from krake.adapters.outgoing import Outgoing
from krake.data import Key
from krake.data.destinations import Destinations
from krake.data.infrastructure import (
    CloudPassword,
    CloudProject,
    CloudSpec,
    CloudUser,
    ImSpec,
    InfrastructureProviderRef,
    InfrastructureProviderSpec,
    OpenstackAuthMethod,
    OpenstackSpec,
)
from krake.data.openstack import ApplicationCredential, AuthMethod, ProjectSpec
from krake.ports.infrastructure import Rejected, Unavailable
from krake.simulator.infrastructure import SimulatedProvider
from krake.simulator.openstack import SimulatedCloud
from krake.simulator.openstack.magnum import SimulatedMagnum

LOOPBACK = Destinations(["127.0.0.1"])
NONE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
Ask = Callable[[str | None], Awaitable[None]]


@dataclass(frozen=True)
class Tls:
    """What a server shows, by whom it is known, and by whom it is not; the latter two in PEM."""

    context: ssl.SSLContext
    ca: str
    other: str


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    # The authorities have the same name: only their keys tell which is which.
    authority, other = (Authority.make("The authority of a cloud", days=1) for _ in range(2))
    files = store_pair(tmp_path_factory.mktemp("tls"), "server", authority.issue("server", [SERVER], hosts=["127.0.0.1"]))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    return Tls(context, *(each.pair.certificate_pem.decode() for each in (authority, other)))


@pytest.fixture
async def connector() -> AsyncIterator[Connector]:
    async with Connector(LOOPBACK, "providers.allow", timeout=20.0) as connector:
        yield connector


async def see(ask: Ask, tls: Tls) -> None:
    """See that a service is known by its own authority, and by no other."""
    await ask(tls.ca)
    with pytest.raises(Unavailable, match="shows a certificate that is not trusted by its ca: check"):
        await ask(tls.other)
    with pytest.raises(Unavailable, match="shows a certificate that is not trusted by the authorities of the system: check"):
        await ask(None)
    with pytest.raises(Rejected, match="has a ca that holds no certificates"):
        await ask(NONE)
    await ask(f"Ours, and another one:\n{tls.other}\n{tls.ca}")


def cloud(url: str, user: str, password: str, project: str, ca: str | None) -> CloudSpec:
    login = CloudPassword(user=CloudUser(username=user, password=password), project=CloudProject(name=project))
    auth, provider = OpenstackAuthMethod(value=login), InfrastructureProviderRef(name="im")
    return CloudSpec(value=OpenstackSpec(url=url, auth=auth, infrastructure_provider=provider, ca=ca))


async def test_a_cloud(
    connector: Connector, keystone: Keystone, tls: Tls, start_proxy: Callable[..., Awaitable[Proxy]]
) -> None:
    keystone.create_project("heidis", keystone.create_user("heidi", "pw"))
    proxy = await start_proxy(keystone.port, context=tls.context)
    await see(lambda ca: connector.check_cloud("north", cloud(f"{proxy.url}/v3", "heidi", "pw", "heidis", ca)), tls)
    await connector.check_cloud("north", cloud(f"{proxy.url}/v3", "heidi", "pw", "heidis", tls.ca), trusted=True)


async def test_a_cloud_that_is_simulated(
    connector: Connector, simulated_cloud: SimulatedCloud, tls: Tls, start_proxy: Callable[..., Awaitable[Proxy]]
) -> None:
    proxy = await start_proxy(simulated_cloud.service.port, context=tls.context)
    await see(lambda ca: connector.check_cloud("north", cloud(f"{proxy.url}/v3", "demo", "demo", "demo", ca)), tls)


async def test_an_infrastructure_manager(
    connector: Connector, simulated_provider: SimulatedProvider, tls: Tls, start_proxy: Callable[..., Awaitable[Proxy]]
) -> None:
    proxy = await start_proxy(simulated_provider.service.port, context=tls.context)

    def spec(ca: str | None) -> InfrastructureProviderSpec:
        return InfrastructureProviderSpec(value=ImSpec(url=proxy.url, username="u", password="p", ca=ca))

    await see(lambda ca: connector.check_provider("im", spec(ca)), tls)
    access = connector.connect("im", spec(tls.ca), "north", cloud("http://127.0.0.1:9", "demo", "demo", "demo", None))
    assert await access.find("krake-none") == []


async def test_magnum(
    simulated_magnum: SimulatedMagnum, tls: Tls, start_proxy: Callable[..., Awaitable[Proxy]], monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = simulated_magnum.cloud
    proxy = await start_proxy(behind.service.port, context=tls.context)
    endpoints = {type_: proxy.url + path for type_, path in behind.paths.items()}
    monkeypatch.setattr(SimulatedCloud, "endpoints", endpoints)
    auth = AuthMethod(value=ApplicationCredential(id=behind.credential.id, secret=behind.credential.secret))
    async with MagnumConnector(Outgoing(LOOPBACK, "openstack.allow", 20.0)) as connector:

        async def ask(ca: str | None) -> None:
            spec = ProjectSpec(url=f"{proxy.url}/v3", auth=auth, template=simulated_magnum.template.id, ca=ca)
            await connector.check(Key("red", "mine"), spec)
            assert await connector.connect(Key("red", "mine"), spec).find("none") == []

        await see(ask, tls)


def test_files_of_authorities_are_what_they_should_be(tls: Tls) -> None:
    for ca in (NONE, "/etc/ssl/cert.pem", "", f"{tls.ca}-----BEGIN PRIVATE KEY-----"):
        with pytest.raises(Exception, match=r"certificates? (in PEM|of the authorities)"):
            ImSpec.deserialize({"url": "https://im.example", "token": "t", "ca": ca})
    assert ImSpec.deserialize({"url": "https://im.example", "token": "t", "ca": tls.ca}).ca == tls.ca
    assert ImSpec.deserialize({"url": "https://im.example", "token": "t"}).ca is None
