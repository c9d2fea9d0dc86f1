"""What logging in at Keystone looks like, on a real one and on the simulated one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from fixtures.simulated_clouds import StartCloud
from realidentity.keystone import Keystone

USER, PASSWORD, PROJECT = "demo", "demo", "demo"


@dataclass
class Place:
    """Where a user logs in.

    :param credential: id and secret of an application credential.
    """

    url: str
    user_id: str
    project_id: str
    credential: tuple[str, str]
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, self.url + path, json=body, headers=shown, allow_redirects=False) as answer:
            return answer.status, await answer.json() if await answer.read() else None, answer.headers

    async def log_in(self, identity: Any, scope: Any = None) -> tuple[int, Any, Any]:
        auth = {"identity": identity} if scope is None else {"identity": identity, "scope": scope}
        return await self.ask("POST", "/v3/auth/tokens", {"auth": auth})


@pytest.fixture(params=["real", "simulated"])
async def place(request: pytest.FixtureRequest, start_simulated_cloud: StartCloud) -> AsyncIterator[Place]:
    async with aiohttp.ClientSession() as session:
        if request.param == "simulated":
            cloud = await start_simulated_cloud()
            credential = (cloud.credential.id, cloud.credential.secret)
            yield Place(cloud.url, cloud.user.id, cloud.project.id, credential, session)
        else:
            yield _real(request.getfixturevalue("keystone"), session)


def _real(keystone: Keystone, session: aiohttp.ClientSession) -> Place:
    if not hasattr(keystone, "demo"):
        user = keystone.create_user(USER, PASSWORD)
        project = keystone.create_project(PROJECT, user)
        credential = keystone.create_application_credential(keystone.issue_token(USER, PASSWORD, project_id=project), user)
        keystone.demo = (user, project, credential)  # type: ignore[attr-defined]
    return Place(keystone.endpoint.removesuffix("/v3"), *keystone.demo, session)  # type: ignore[attr-defined]


def by_password(password: str = PASSWORD, **user: Any) -> Any:
    named = user or {"name": USER, "domain": {"name": "Default"}}
    return {"methods": ["password"], "password": {"user": {**named, "password": password}}}


IN_PROJECT = {"project": {"name": PROJECT, "domain": {"id": "default"}}}


async def test_a_token_of_a_project(place: Place) -> None:
    status, body, headers = await place.log_in(by_password(), IN_PROJECT)
    assert (status, bool(headers["X-Subject-Token"])) == (201, True)
    token = body["token"]
    domain = {"id": "default", "name": "Default"}
    assert token["methods"] == ["password"]
    assert token["user"] == {"id": place.user_id, "name": USER, "domain": domain, "password_expires_at": None}
    assert token["project"] == {"id": place.project_id, "name": PROJECT, "domain": domain}
    assert sorted(role["name"] for role in token["roles"]) == ["member", "reader"]
    assert token["expires_at"].endswith("Z")
    assert datetime.fromisoformat(token["expires_at"]) > datetime.now(UTC) + timedelta(minutes=10)
    (identity,) = [service for service in token["catalog"] if service["type"] == "identity"]
    assert {"id", "interface", "region", "region_id", "url"} == identity["endpoints"][0].keys()
    assert {each["interface"]: each["url"] for each in identity["endpoints"]}["public"] == f"{place.url}/v3"


async def test_ids_serve_as_well_as_names(place: Place) -> None:
    status, body, _ = await place.log_in(by_password(id=place.user_id), {"project": {"id": place.project_id}})
    assert (status, body["token"]["project"]["id"]) == (201, place.project_id)


async def test_a_token_of_no_project(place: Place) -> None:
    status, body, _ = await place.log_in(by_password(), "unscoped")
    assert status == 201
    assert not {"project", "catalog", "roles"} & body["token"].keys()


async def test_an_application_credential(place: Place) -> None:
    id, secret = place.credential
    shown = {"methods": ["application_credential"], "application_credential": {"id": id, "secret": secret}}
    status, body, _ = await place.log_in(shown)
    assert (status, body["token"]["methods"]) == (201, ["application_credential"])
    assert body["token"]["project"]["id"] == place.project_id
    shown["application_credential"] = {"id": id, "secret": "wrong"}
    assert (await place.log_in(shown))[0] == 401


@pytest.mark.parametrize(
    ("identity", "scope"),
    [
        (by_password("wrong"), IN_PROJECT),
        (by_password(name="nobody", domain={"id": "default"}), IN_PROJECT),
        (by_password(name=USER, domain={"name": "Elsewhere"}), IN_PROJECT),
        (by_password(), {"project": {"name": "another", "domain": {"id": "default"}}}),
    ],
)
async def test_what_is_wrong_is_refused(place: Place, identity: Any, scope: Any) -> None:
    status, body, headers = await place.log_in(identity, scope)
    assert status == 401
    message = "The request you have made requires authentication."
    assert body == {"error": {"code": 401, "message": message, "title": "Unauthorized"}}
    assert headers["WWW-Authenticate"].startswith("Keystone uri=")


@pytest.mark.parametrize(
    "body", [{}, {"auth": {}}, {"auth": 1}, {"auth": {"identity": {}}}, {"auth": {"identity": {"methods": 1}}}]
)
async def test_what_is_no_login_is_told(place: Place, body: Any) -> None:
    status, problem, _ = await place.ask("POST", "/v3/auth/tokens", body)
    assert (status, problem["error"]["code"], problem["error"]["title"]) == (400, 400, "Bad Request")


async def test_a_token_can_be_shown_and_revoked(place: Place) -> None:
    _, body, headers = await place.log_in(by_password(), IN_PROJECT)
    token = {"X_Auth_Token": headers["X-Subject-Token"], "X_Subject_Token": headers["X-Subject-Token"]}
    status, shown, _ = await place.ask("GET", "/v3/auth/tokens", **token)
    assert (status, shown["token"]["user"]) == (200, body["token"]["user"])
    status, catalog, _ = await place.ask("GET", "/v3/auth/catalog", X_Auth_Token=token["X_Auth_Token"])
    assert [each["type"] for each in catalog["catalog"]] == [each["type"] for each in body["token"]["catalog"]]
    status, again, _ = await place.log_in({"methods": ["token"], "token": {"id": token["X_Auth_Token"]}}, IN_PROJECT)
    assert (status, again["token"]["project"]["id"]) == (201, place.project_id)
    assert (await place.ask("DELETE", "/v3/auth/tokens", **token))[0] == 204
    assert (await place.ask("GET", "/v3/auth/tokens", **token))[0] == 401


async def test_tokens_that_are_none_are_not_found(place: Place) -> None:
    _, _, headers = await place.log_in(by_password(), IN_PROJECT)
    unknown = {"X_Auth_Token": headers["X-Subject-Token"], "X_Subject_Token": "made-up"}
    status, problem, _ = await place.ask("GET", "/v3/auth/tokens", **unknown)
    assert (status, problem["error"]["title"]) == (404, "Not Found")
    assert (await place.log_in({"methods": ["token"], "token": {"id": "made-up"}}))[0] == 404


async def test_the_version_is_told(place: Place) -> None:
    status, body, _ = await place.ask("GET", "/")
    assert (status, [each["id"][:2] for each in body["versions"]["values"]]) == (300, ["v3"])
    status, body, _ = await place.ask("GET", "/v3/")
    assert (status, body["version"]["status"]) == (200, "stable")
