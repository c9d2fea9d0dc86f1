"""Users who need not show anything."""

from aiohttp import web

from krake.api.requests import Identity

ANONYMOUS = "system:anonymous"


class Static:
    """Everybody is the same user."""

    def __init__(self, name: str, way: str = "static") -> None:
        self._identity = Identity(name, way)

    async def identify(self, request: web.Request) -> Identity | None:
        return self._identity


class Anonymous(Static):
    """Everybody may come in; the last of the chain."""

    def __init__(self) -> None:
        super().__init__(ANONYMOUS, "anonymous")
