"""The checks of providers and clouds; a cloud is of no use without its provider."""

from collections.abc import Sequence
from typing import Any

from krake.client import Client
from krake.controller.infrastructure.checking.checker import Checker
from krake.controller.infrastructure.checking.verdict import Pace, ProviderOffline
from krake.controller.runtime import Controller, Informer, Recorder
from krake.data import Key
from krake.data.infrastructure import (
    Cloud,
    GlobalCloud,
    GlobalInfrastructureProvider,
    InfrastructureProvider,
    InfrastructureProviderState,
)
from krake.ports.infrastructure import Connector, Rejected

AnyCloud = Cloud | GlobalCloud
AnyProvider = InfrastructureProvider | GlobalInfrastructureProvider

PROVIDER = "provider"
"""Index of the clouds by the keys of their providers, those of global ones without a namespace."""


class Checking:
    """What the infrastructure controller runs besides clusters.

    :param connector: must work while the controllers run.
    """

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        connector: Connector,
        clouds: Informer[Cloud],
        global_clouds: Informer[GlobalCloud],
        providers: Informer[InfrastructureProvider],
        global_providers: Informer[GlobalInfrastructureProvider],
        pace: Pace,
    ) -> None:
        self._connector = connector
        self._providers = providers
        self._global_providers = global_providers
        self._clouds: list[tuple[Informer[Any], Checker[Any]]] = [
            (informer, Checker[Any](client, informer, recorder, self._ask_cloud, pace)) for informer in (clouds, global_clouds)
        ]
        self._checkers = [
            *(Checker[Any](client, informer, recorder, self._ask_provider, pace) for informer in (providers, global_providers)),
            *(checker for _, checker in self._clouds),
        ]
        for cloud_informer in (clouds, global_clouds):
            cloud_informer.index(PROVIDER, lambda cloud: [provider_key(cloud)])
        for provider_informer in (providers, global_providers):
            provider_informer.on_change(self._follow_provider)

    @property
    def controllers(self) -> Sequence[Controller[Key]]:
        """What works here."""
        return [controller for checker in self._checkers for controller in checker.controllers]

    async def _ask_provider(self, provider: AnyProvider) -> None:
        trusted = provider.metadata.namespace is None
        await self._connector.check_provider(provider.metadata.name, provider.spec, trusted=trusted)

    async def _ask_cloud(self, cloud: AnyCloud) -> None:
        key = provider_key(cloud)
        provider: AnyProvider | None = (self._providers if key.namespace else self._global_providers).get(key)
        name = f"{'' if key.namespace else 'global '}infrastructure provider '{key.name}'"
        if provider is None:
            raise Rejected(f"There is no {name}, which is to create its clusters: register it.")
        status = provider.status
        if status.state is InfrastructureProviderState.OFFLINE:
            said = status.reason.message if status.reason else ""
            subject = f"The infrastructure provider '{key.name}' "
            raise ProviderOffline(
                f"The {name} is OFFLINE: {f'it {said[len(subject) :]}' if said.startswith(subject) else said}"
            )
        cloud_name, trusted = cloud.metadata.name, cloud.metadata.namespace is None
        access = self._connector.connect(key.name, provider.spec, cloud_name, cloud.spec, trusted=key.namespace is None)
        await access.close()
        await self._connector.check_cloud(cloud_name, cloud.spec, trusted=trusted)

    def _follow_provider(self, old: AnyProvider | None, new: AnyProvider | None) -> None:
        obj: Any = new or old
        if old is None or new is None or (old.status.state, old.spec) != (new.status.state, new.spec):
            for informer, checker in self._clouds:
                for cloud in informer.lookup(PROVIDER, obj.key):
                    checker.enqueue(cloud.key)


def provider_key(cloud: AnyCloud) -> Key:
    """Return the key of the provider that a cloud names."""
    ref = cloud.spec.infrastructure_provider
    return Key(cloud.metadata.namespace if ref.namespaced else None, ref.name)
