"""What can make clusters: an Infrastructure Manager and the clouds that it works on, as one process runs them."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from krake.simulator.infrastructure import Settings, SimulatedProvider
from krake.simulator.keeping import write_whole
from krake.simulator.kubernetes import Settings as ClusterSettings
from krake.simulator.openstack import SimulatedCloud
from krake.simulator.openstack.magnum import Settings as MagnumSettings
from krake.simulator.openstack.magnum import SimulatedMagnum
from krake.simulator.ports import is_free

# Anybody may use the Infrastructure Manager, and sees what was made with the same name and password.
USER = "test"
PORT = 8800


class Landscape:
    """An Infrastructure Manager and some clouds, on the ports that they had in an earlier process if those are free.

    :param directory: where ports, infrastructures and the clusters of Magnum are kept.
    :param creation_time: seconds that it takes to create a cluster; to delete one takes a third.
    :param port: of the Infrastructure Manager, the first time, if it is free.
    """

    def __init__(
        self,
        clouds: int,
        directory: Path,
        *,
        creation_time: float = 6.0,
        port: int = PORT,
        clusters: ClusterSettings | None = None,
    ) -> None:
        third = creation_time / 3
        settings = Settings(boot_delay=third, configure_delay=2 * third, delete_delay=third)
        self._kept = directory / "ports.json"
        self._ports = _read_ports(self._kept)
        self.provider = SimulatedProvider(
            settings, port=self._port("im", port), directory=directory / "infrastructures", clusters=clusters
        )
        names = [f"cloud-{number}" for number in range(1, clouds + 1)]
        self.clouds = [SimulatedCloud(name, port=self._port(name, 0)) for name in names]
        delays = MagnumSettings(create_delay=creation_time, update_delay=third, delete_delay=third)
        self.magnums = [
            SimulatedMagnum(cloud, delays, clusters, directory=directory / "magnum" / cloud.name) for cloud in self.clouds
        ]
        self._stack = AsyncExitStack()

    def _port(self, name: str, wanted: int) -> int:
        port = self._ports.get(name, wanted)
        return port if is_free(port) else 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            services: Sequence[Any] = [*self.magnums, *self.clouds, self.provider]
            for service in services:
                await stack.enter_async_context(service)
            ports = {"im": self.provider.service.port, **{cloud.name: cloud.service.port for cloud in self.clouds}}
            write_whole(self._kept, json.dumps(self._ports | ports))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def describe(self) -> dict[str, Any]:
        """How to reach everything: ``provider`` and ``clouds``, with what it takes to log in."""
        return {
            "provider": {"url": self.provider.url, "username": USER, "password": USER},
            "clouds": [_describe(cloud, magnum) for cloud, magnum in zip(self.clouds, self.magnums, strict=True)],
        }


def _describe(cloud: SimulatedCloud, magnum: SimulatedMagnum) -> dict[str, Any]:
    return {
        "name": cloud.name,
        "url": cloud.url,
        "project": cloud.project.name,
        "project_id": cloud.project.id,
        "username": cloud.user.name,
        "user_id": cloud.user.id,
        "password": cloud.user.password,
        "application_credential": {"id": cloud.credential.id, "secret": cloud.credential.secret},
        "template": magnum.template.id,
    }


def _read_ports(path: Path) -> dict[str, int]:
    try:
        ports = json.loads(path.read_text())
        return {str(name): int(port) for name, port in ports.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
