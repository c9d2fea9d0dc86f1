"""The switches of a simulated Magnum over HTTP, below `/_simulator` of its cloud. They work for everybody.

GET /_simulator                                what the cloud was asked so far, and the clusters with their phases
PATCH /_simulator/settings {"create_delay": N} see `Settings`
POST /_simulator/finish                        ends all operations that are in progress
DELETE /_simulator/clusters/ID                 lets a cluster vanish
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from krake.simulator.service import CONTROL, switch

if TYPE_CHECKING:
    from krake.simulator.openstack.magnum import SimulatedMagnum


def routes(magnum: "SimulatedMagnum") -> Sequence[web.AbstractRouteDef]:
    """The switches of a Magnum."""
    control = Control(magnum)
    return [
        web.get(CONTROL, switch(control.show)),
        web.patch(CONTROL + "/settings", switch(control.tune)),
        web.post(CONTROL + "/finish", switch(control.finish)),
        web.delete(CONTROL + "/clusters/{id}", switch(control.lose)),
    ]


class Control:
    """Answers the requests below `/_simulator` of one cloud."""

    def __init__(self, magnum: "SimulatedMagnum") -> None:
        self._magnum = magnum

    async def show(self, request: web.Request) -> Any:
        magnum = self._magnum
        return {
            "simulator": "krake",
            "requests": magnum.cloud.service.requests,
            "clusters": {id: each.status for id, each in magnum.clusters.items()},
        }

    async def tune(self, request: web.Request) -> None:
        self._magnum.settings = replace(self._magnum.settings, **await request.json())

    async def finish(self, request: web.Request) -> None:
        self._magnum.finish()

    async def lose(self, request: web.Request) -> None:
        await self._magnum.lose(request.match_info["id"])
