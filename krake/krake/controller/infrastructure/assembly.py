"""What the process of the infrastructure controller consists of."""

from krake.adapters.infrastructure import Connector
from krake.adapters.infrastructure.local import Driver
from krake.client import Client
from krake.controller.infrastructure.checking import Checking, Pace
from krake.controller.infrastructure.controller import InfrastructureController
from krake.controller.infrastructure.homes import Sight
from krake.controller.infrastructure.settings import InfrastructureConfig
from krake.controller.runtime import Parts, Recorder
from krake.controller.runtime.settings import endpoint_of


def build(config: InfrastructureConfig, client: Client) -> Parts:
    """Return the parts of the process."""
    recorder = Recorder(client, "infrastructure")
    sight = Sight.of(client)
    providers = config.providers
    # What namespaces declare must not make Krake ask its own API, which might know this process by its certificate.
    driver = Driver(config.local.command, timeout=config.local.timeout, at_once=config.local.at_once)
    connector = Connector(providers.destinations, "providers.allow", providers.timeout, endpoint_of(config), driver)
    pace = Pace(config.check_interval, providers.timeout)
    clouds, global_clouds, known, known_globally = sight.clouds, sight.global_clouds, sight.providers, sight.global_providers
    checking = Checking(client, recorder, connector, clouds, global_clouds, known, known_globally, pace)
    infrastructure = InfrastructureController(client, config, sight, recorder, connector)
    return Parts(
        informers=[sight.clusters, *sight.hosts],
        controllers=[*infrastructure.controllers, *checking.controllers],
        resources=[recorder, connector],
    )
