"""What a driver is asked, and what its answers mean."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from krake.adapters.infrastructure.local.driver import Driver
from krake.ports.infrastructure import Infrastructure, NotFound, Phase, Unavailable

PROTOCOL = 1
_LONGEST_MESSAGE = 300


class LocalInfrastructures:
    """The infrastructures that a driver has made.

    :param name: of the provider.
    :param cloud: its name; ``None`` where only the provider is asked about.
    """

    def __init__(self, driver: Driver, name: str, cloud: str | None = None) -> None:
        self._driver = driver
        self._known = {"protocol": PROTOCOL, "provider": name, "cloud": cloud}

    async def check(self) -> None:
        """Ask whether infrastructures can be made. Raises `InfrastructureError` if not."""
        await self._ask("check")

    async def find(self, mark: str) -> Sequence[str]:
        """Return the ids of the infrastructures that were created with a mark."""
        found = (await self._ask("list", mark=mark)).get("infrastructures")
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise _not_understood("list")
        return [_text("list", each, "id") for each in found if each.get("mark") == mark]

    async def create(self, mark: str, template: Mapping[str, Any]) -> str:
        """Begin to create an infrastructure by a TOSCA template, and return its id."""
        return _text("create", await self._ask("create", mark=mark, template=template), "id")

    async def observe(self, id: str) -> Infrastructure:
        """Return how an infrastructure is."""
        answer = await self._ask("observe", id=id)
        machines, message = answer.get("machines", {}), answer.get("message")
        if not isinstance(machines, dict) or not isinstance(message, str | None):
            raise _not_understood("observe")
        phases = {name: _phase(phase) for name, phase in machines.items()}
        return Infrastructure(_phase(answer.get("phase")), phases, message[:_LONGEST_MESSAGE] if message else None)

    async def update(self, id: str, template: Mapping[str, Any]) -> None:
        """Begin to make an infrastructure what a template says."""
        await self._ask("update", id=id, template=template)

    async def reconfigure(self, id: str) -> None:
        """Begin to configure the machines anew."""
        await self._ask("reconfigure", id=id)

    async def delete(self, id: str) -> None:
        """Begin to delete an infrastructure; one that is gone is no trouble."""
        with suppress(NotFound):
            await self._ask("delete", id=id)

    async def kubeconfig(self, id: str) -> dict[str, Any] | None:
        """Return the kubeconfig of the cluster."""
        kubeconfig = (await self._ask("kubeconfig", id=id)).get("kubeconfig")
        if not isinstance(kubeconfig, dict | None):
            raise _not_understood("kubeconfig")
        return kubeconfig or None

    async def close(self) -> None:
        """Nothing is held."""

    async def _ask(self, verb: str, **question: Any) -> dict[str, Any]:
        return await self._driver.ask(verb, self._known | question)


def _text(verb: str, answer: Mapping[str, Any], key: str) -> str:
    if not isinstance(value := answer.get(key), str) or not value:
        raise _not_understood(verb)
    return value


def _phase(text: object) -> Phase:
    try:
        return Phase(text)
    except ValueError:
        raise _not_understood("observe") from None


def _not_understood(verb: str) -> Unavailable:
    return Unavailable(
        f"What the program of local infrastructure answers to '{verb}' is not understood: tell the administrator of Krake."
    )
