"""Keystone's REST API of version 3, as far as its tokens go: paths, formats and words are those of the real one."""

import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

from krake.simulator.openstack.directory import Denied, Directory, Malformed, Token, Unknown

UNAUTHORIZED = "The request you have made requires authentication."
HEADER, SUBJECT = "X-Auth-Token", "X-Subject-Token"


class Cloud(Protocol):
    """What Keystone needs to know of the cloud it is in."""

    directory: Directory
    region: str

    @property
    def endpoints(self) -> dict[str, str]: ...

    @property
    def url(self) -> str: ...

    @property
    def now(self) -> Callable[[], datetime]: ...


def routes(cloud: Cloud) -> Sequence[web.AbstractRouteDef]:
    """What the Keystone of a cloud answers."""
    identity = Identity(cloud)
    tokens = "/v3/auth/tokens"
    return [
        web.get("/", identity.versions, allow_head=False),
        web.get("/v3", identity.version),
        web.get("/v3/", identity.version),
        web.post(tokens, worded(identity.log_in)),
        web.get(tokens, worded(identity.show)),
        web.delete(tokens, worded(identity.revoke)),
        web.get("/v3/auth/catalog", worded(identity.catalog)),
        web.get("/v3/auth/projects", worded(identity.projects)),
    ]


def worded(answer: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Word what went wrong as Keystone does."""

    async def respond(request: web.Request) -> web.Response:
        try:
            return await answer(request)
        except Denied:
            headers = {"WWW-Authenticate": f'Keystone uri="{request.url.origin()}/v3"'}
            return problem(HTTPStatus.UNAUTHORIZED, UNAUTHORIZED, headers)
        except Unknown as error:
            return problem(HTTPStatus.NOT_FOUND, str(error) or "Failed to validate token")
        except Malformed as error:
            return problem(
                HTTPStatus.BAD_REQUEST, f"{error} The server could not comply with the request since it is malformed."
            )

    return respond


def problem(status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error in Keystone's form."""
    document = {"error": {"code": int(status), "message": message, "title": status.phrase}}
    return web.json_response(document, status=status, headers=headers)


class Identity:
    """Answers the requests for the users of a cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def versions(self, request: web.Request) -> web.Response:
        return web.json_response({"versions": {"values": [self._version()]}}, status=300)

    async def version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": self._version()})

    async def log_in(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except (ValueError, RecursionError):
            raise Malformed("Expecting to find auth in request body.") from None
        token = self._cloud.directory.log_in(body, secrets.token_urlsafe(32), self._cloud.now())
        return web.json_response(self._describe(token), status=201, headers={SUBJECT: token.value, "Vary": HEADER})

    async def show(self, request: web.Request) -> web.Response:
        self._asker(request)
        token = self._cloud.directory.find(request.headers.get(SUBJECT, ""), self._cloud.now())
        return web.json_response(self._describe(token), headers={SUBJECT: token.value})

    async def revoke(self, request: web.Request) -> web.Response:
        self._asker(request)
        self._cloud.directory.tokens.pop(request.headers.get(SUBJECT, ""), None)
        return web.Response(status=204)

    async def catalog(self, request: web.Request) -> web.Response:
        self._asker(request)
        return web.json_response({"catalog": self._catalog()})

    async def projects(self, request: web.Request) -> web.Response:
        user = self._asker(request).user
        found = [project for project in self._cloud.directory.projects if user.id in project.members]
        shown = [{"id": each.id, "name": each.name, "domain_id": each.domain, "enabled": True} for each in found]
        return web.json_response({"projects": shown})

    def _asker(self, request: web.Request) -> Token:
        return self._cloud.directory.check(request.headers.get(HEADER, ""), self._cloud.now())

    def _version(self) -> dict[str, Any]:
        links = [{"rel": "self", "href": f"{self._cloud.url}/v3/"}]
        return {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": links}

    def _describe(self, token: Token) -> dict[str, Any]:
        domains = self._cloud.directory.domains
        user, project = token.user, token.project
        found: dict[str, Any] = {
            "methods": list(token.methods),
            "user": {"id": user.id, "name": user.name, "domain": _domain(domains, user.domain), "password_expires_at": None},
            "audit_ids": [secrets.token_urlsafe(16)],
            "issued_at": _time(token.issued),
            "expires_at": _time(token.expires),
        }
        if project is not None:
            found["project"] = {"id": project.id, "name": project.name, "domain": _domain(domains, project.domain)}
            found["is_domain"] = False
            found["roles"] = [{"id": _id(role), "name": role} for role in ("member", "reader")]
            found["catalog"] = self._catalog()
        return {"token": found}

    def _catalog(self) -> list[dict[str, Any]]:
        region = self._cloud.region
        services = {"identity": f"{self._cloud.url}/v3", **self._cloud.endpoints}
        return [
            {
                "type": type_,
                "id": _id(type_),
                "name": type_,
                "endpoints": [
                    {"id": _id(type_ + interface), "interface": interface, "region_id": region, "region": region, "url": url}
                    for interface in ("public", "internal", "admin")
                ],
            }
            for type_, url in services.items()
        ]


def _domain(domains: Mapping[str, str], id: str) -> dict[str, str]:
    return {"id": id, "name": domains.get(id, id)}


def _id(name: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_OID, name).hex


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
