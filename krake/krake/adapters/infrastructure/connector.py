"""From what is declared to what can be asked."""

from contextlib import AsyncExitStack
from functools import partial
from typing import Self

from krake.adapters.infrastructure.im import ImInfrastructures, Memory
from krake.adapters.infrastructure.im.authorization import authorize
from krake.adapters.infrastructure.local import Driver, LocalInfrastructures
from krake.adapters.openstack import Sessions, login_to_cloud
from krake.adapters.outgoing import Forbidden, Outgoing, Unanswered
from krake.data.destinations import Destinations
from krake.data.infrastructure import (
    CloudSpec,
    ImSpec,
    InfrastructureProviderSpec,
    LocalCloudSpec,
    LocalProviderSpec,
    OpenstackSpec,
)
from krake.ports.infrastructure import Infrastructures, Rejected, Unavailable


class Connector:
    """Reaches providers and clouds, and holds the connections to them; an asynchronous context manager.

    :param destinations: where what namespaces declare may lead; what administrators declare may lead anywhere.
    :param setting: of the configuration, by which an administrator may allow more.
    :param timeout: seconds that a provider or a cloud may take to answer.
    :param forbidden: an endpoint that is never asked for namespaces: the API of Krake.
    :param driver: makes local infrastructures; without, there are none.
    """

    def __init__(
        self,
        destinations: Destinations,
        setting: str,
        timeout: float,
        forbidden: str | None = None,
        driver: Driver | None = None,
    ) -> None:
        self._of_namespaces = Outgoing(destinations, setting, timeout, forbidden)
        self._of_all = Outgoing(Destinations(deny=()), setting, timeout)
        self._sessions = {outgoing: Sessions(outgoing, services=False) for outgoing in (self._of_namespaces, self._of_all)}
        self._stack = AsyncExitStack()
        self._driver = driver or Driver((), timeout=timeout, at_once=1)
        self._memory = Memory()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for outgoing in (self._of_namespaces, self._of_all):
                await stack.enter_async_context(outgoing)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._memory.close()
        await self._stack.aclose()

    def connect(
        self,
        name: str,
        provider: InfrastructureProviderSpec,
        cloud_name: str,
        cloud: CloudSpec,
        *,
        trusted: bool = False,
        cloud_trusted: bool = False,
    ) -> Infrastructures:
        """Return access to the infrastructures of a provider on a cloud; nothing is asked yet.

        :raises Rejected: this provider can not work on this cloud.
        """
        match provider.value, cloud.value:
            case ImSpec() as im, OpenstackSpec() as openstack:
                authorization = authorize(name, im, cloud_name, openstack)
                admit = None if cloud_trusted else partial(self._admit, f"The cloud '{cloud_name}'", openstack.url)
                outgoing = self._outgoing(trusted)
                return ImInfrastructures(outgoing, name, im.url, authorization, self._memory, ca=im.ca, admit=admit)
            case LocalProviderSpec(), LocalCloudSpec():
                return LocalInfrastructures(self._driver, name, cloud_name)
        raise Rejected(
            f"Infrastructure providers of the type '{provider.type}' do not work on clouds of the type '{cloud.type}':"
            " let the cloud name another one."
        )

    async def check_provider(self, name: str, provider: InfrastructureProviderSpec, *, trusted: bool = False) -> None:
        """Ask whether the provider answers and accepts the credentials. Raises `InfrastructureError` if not."""
        match provider.value:
            case ImSpec() as im:
                outgoing, authorization = self._outgoing(trusted), authorize(name, im)
                await ImInfrastructures(outgoing, name, im.url, authorization, self._memory, ca=im.ca).check()
                return
            case LocalProviderSpec():
                await LocalInfrastructures(self._driver, name).check()
                return
        raise Rejected(f"Infrastructure providers of the type '{provider.type}' are not supported.")

    async def check_cloud(self, name: str, cloud: CloudSpec, *, trusted: bool = False) -> None:
        """Ask whether the cloud answers and accepts the credentials. Raises `InfrastructureError` if not."""
        match cloud.value:
            case OpenstackSpec() as openstack:
                sessions = self._sessions[self._outgoing(trusted)]
                await sessions.open(f"The cloud '{name}'", login_to_cloud(openstack)).check()
                return
            case LocalCloudSpec():
                return
        raise Rejected(f"Clouds of the type '{cloud.type}' are not supported.")

    async def _admit(self, service: str, url: str) -> None:
        """Let providers go no further for the sake of a namespace than Krake itself would."""
        try:
            await self._of_namespaces.check(service, url)
        except Forbidden as error:
            raise Rejected(str(error)) from None
        except Unanswered as error:
            raise Unavailable(str(error)) from None

    def _outgoing(self, trusted: bool) -> Outgoing:
        return self._of_all if trusted else self._of_namespaces
