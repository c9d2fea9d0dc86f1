"""The switches of a simulated provider over HTTP, below `/_simulator`. They work whatever failure is on, for everybody.

GET /_simulator                                     what was asked so far, the failure, the settings, and the infrastructures
PUT /_simulator/failure {"mode": M}                 see `Failure`; DELETE goes back to normal
PATCH /_simulator/settings {"fate": "failed", …}    see `Settings`
POST /_simulator/finish                             has all machines that are being made made
DELETE /_simulator/infrastructures/ID               lets one vanish
PUT /_simulator/infrastructures/ID/machines/N {"state": "off"}
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from krake.simulator.failures import Failure
from krake.simulator.infrastructure.settings import FATES
from krake.simulator.service import CONTROL, switch

if TYPE_CHECKING:
    from krake.simulator.infrastructure.provider import SimulatedProvider


def routes(provider: "SimulatedProvider") -> Sequence[web.AbstractRouteDef]:
    """The switches of a provider."""
    control = Control(provider)
    one = CONTROL + "/infrastructures/{id}"
    return [
        web.get(CONTROL, switch(control.show)),
        web.put(CONTROL + "/failure", switch(control.fail)),
        web.delete(CONTROL + "/failure", switch(control.recover)),
        web.patch(CONTROL + "/settings", switch(control.tune)),
        web.post(CONTROL + "/finish", switch(control.finish)),
        web.delete(one, switch(control.lose)),
        web.put(one + "/machines/{number}", switch(control.set_machine)),
    ]


class Control:
    """Answers the requests below `/_simulator` of one provider."""

    def __init__(self, provider: "SimulatedProvider") -> None:
        self._provider = provider

    async def show(self, request: web.Request) -> Any:
        provider, now = self._provider, self._provider.now()
        return {
            "simulator": "krake",
            "requests": provider.service.requests,
            "failure": asdict(provider.service.failure),
            "settings": asdict(provider.settings),
            "infrastructures": {id: each.state(now) for id, each in provider.infrastructures.items()},
        }

    async def fail(self, request: web.Request) -> None:
        self._provider.service.fail(Failure(**await request.json()))

    async def recover(self, request: web.Request) -> None:
        self._provider.service.recover()

    async def tune(self, request: web.Request) -> None:
        changed = replace(self._provider.settings, **await request.json())
        if changed.fate not in FATES:
            raise ValueError(f"the fate must be one of {', '.join(FATES)}")
        self._provider.settings = changed

    async def finish(self, request: web.Request) -> None:
        self._provider.finish()

    async def lose(self, request: web.Request) -> None:
        await self._provider.lose(request.match_info["id"])

    async def set_machine(self, request: web.Request) -> None:
        state = str((await request.json())["state"])
        await self._provider.set_machine(request.match_info["id"], int(request.match_info["number"]), state)
