"""A cloud as tests and demos use it: Keystone and other services on one port."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from aiohttp import web

from krake.simulator.openstack import identity
from krake.simulator.openstack.directory import ApplicationCredential, Directory, Project, Token, User
from krake.simulator.service import Service

DEMO = "demo"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SimulatedCloud:
    """An OpenStack cloud that is not there, with one user in one project, both called ``demo``, and so the password.

    `directory` has the users, and what to do with them; `service` can be made to fail. A service of the cloud adds its routes
    to `routes` before the start, its path by its type to `paths`, and has tokens checked by `check`.
    """

    def __init__(self, name: str = "cloud", *, port: int = 0, clock: Callable[[], datetime] = _utc_now) -> None:
        self.name = name
        self.region = "RegionOne"
        self.now = clock
        user = User(_id(name, "user"), DEMO, DEMO)
        project = Project(_id(name, "project"), DEMO, [user.id])
        credential = ApplicationCredential(_id(name, "credential"), f"{DEMO}-secret", user.id, project.id)
        self.directory = Directory([user], [project], [credential])
        self.paths: dict[str, str] = {}
        self.routes: list[Callable[[], Sequence[web.AbstractRouteDef]]] = [lambda: identity.routes(self)]
        self.service = Service(lambda: [route for routes in self.routes for route in routes()], port=port)

    @property
    def url(self) -> str:
        """Where Keystone is, without a version."""
        return self.service.url

    @property
    def endpoints(self) -> dict[str, str]:
        """The URLs of the services other than Keystone, by their types."""
        return {type_: self.url + path for type_, path in self.paths.items()}

    @property
    def user(self) -> User:
        """The first user."""
        return self.directory.users[0]

    @property
    def project(self) -> Project:
        """The first project."""
        return self.directory.projects[0]

    @property
    def credential(self) -> ApplicationCredential:
        """The first application credential."""
        return self.directory.credentials[0]

    def check(self, request: web.Request) -> Token:
        """Return the token of a request. Raises `Denied` if it has none; `identity.worded` answers that."""
        return self.directory.check(request.headers.get(identity.HEADER, ""), self.now())

    async def start(self) -> None:
        """Begin to serve, on the same port as before if it ran already."""
        await self.service.start()

    async def stop(self) -> None:
        """Stop serving; what is known stays."""
        await self.service.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def _id(name: str, what: str) -> str:
    """The same for each process, so that projects that were registered with one stay valid with the next."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"krake-simulator/{name}/{what}").hex
