"""What a session at an OpenStack cloud does, on a real Keystone and on the simulated one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from fixtures.identity import Impostor
from fixtures.proxy import Proxy
from fixtures.simulated_clouds import StartCloud
from realidentity.keystone import Keystone

from krake.adapters.openstack import Login, Session, Sessions, login_to_cloud, login_to_project
from krake.adapters.outgoing import Outgoing
from krake.data.destinations import Destinations
from krake.data.infrastructure import OpenstackSpec
from krake.data.openstack import ProjectSpec
from krake.ports.infrastructure import InfrastructureError, Refused, Rejected, Unavailable

EVERYWHERE = Destinations(deny=())
PASSWORD = "carols secret; with = and ü"
NAME = "The cloud 'north'"


@dataclass
class Account:
    """A user of a Keystone, as it declares how to log in."""

    keystone: Any
    user: str
    user_id: str
    project: str
    project_id: str
    domain: str
    domain_id: str

    def cloud(self, password: str = PASSWORD, url: str | None = None, **changes: Any) -> Login:
        user = {"username": self.user, "password": password, "domain_name": self.domain}
        project = {"name": self.project, "domain_id": self.domain_id}
        method = {"version": "3", "user": user, "project": project, **changes}
        return _login(login_to_cloud, OpenstackSpec, url or self.keystone.endpoint, "password", method)

    def of_project(self, password: str = PASSWORD, url: str | None = None) -> Login:
        method = {"user": {"id": self.user_id, "password": password}, "project": {"id": self.project_id}}
        return _login(login_to_project, ProjectSpec, url or self.keystone.endpoint, "password", method)

    def application_credential(self) -> tuple[str, str]:
        token = self.keystone.issue_token(self.user, PASSWORD, domain=self.domain, project_id=self.project_id)
        return self.keystone.create_application_credential(token, self.user_id)

    def by_credential(self, read: Any, spec: Any, id: str, secret: str, url: str | None = None) -> Login:
        method = {"id": id, "secret": secret}
        return _login(read, spec, url or self.keystone.endpoint, "application_credential", method)


def _login(read: Callable[[Any], Login], spec: Any, url: str, kind: str, method: dict[str, Any]) -> Login:
    other = {"template": "t", "metrics": [], "infrastructure_provider": {"name": "im", "namespaced": True}}
    return read(spec.restore({"url": url, "auth": {"type": kind, kind: method}, **other}))


@pytest.fixture(scope="module")
def account(keystone: Keystone) -> Account:
    domain_id = keystone.create_domain("the-domain")
    user_id = keystone.create_user("frida", PASSWORD, domain_id=domain_id)
    project_id = keystone.create_project("the project", user_id, domain_id=domain_id)
    for region in ("RegionTwo", "RegionOne"):
        keystone.create_endpoint("container-infra", f"http://127.0.0.1:1/{region}/v1/", region=region)
    return Account(keystone, "frida", user_id, "the project", project_id, "the-domain", domain_id)


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    async with Outgoing(EVERYWHERE, "setting", timeout=30) as outgoing:
        yield outgoing


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("version", ["", "/v3"])
async def test_logging_in_to_a_cloud(outgoing: Outgoing, account: Account, version: str, slash: str) -> None:
    url = account.keystone.endpoint.removesuffix("/v3") + version + slash
    token = await Session(outgoing, NAME, account.cloud(url=url)).token()
    assert token.project == account.project_id
    assert token.renewal > datetime.now(UTC) + timedelta(minutes=1)


async def test_logging_in_to_a_project(outgoing: Outgoing, account: Account) -> None:
    assert (await Session(outgoing, NAME, account.of_project()).token()).project == account.project_id


@pytest.mark.parametrize(("read", "spec"), [(login_to_cloud, OpenstackSpec), (login_to_project, ProjectSpec)])
async def test_logging_in_by_an_application_credential(outgoing: Outgoing, account: Account, read: Any, spec: Any) -> None:
    id, secret = account.application_credential()
    token = await Session(outgoing, NAME, account.by_credential(read, spec, id, secret)).token()
    assert token.project == account.project_id
    with pytest.raises(Refused, match="refuses the login") as caught:
        await Session(outgoing, NAME, account.by_credential(read, spec, id, "guessed-secret")).token()
    assert "guessed-secret" not in str(caught.value)


async def test_a_wrong_login_is_refused(outgoing: Outgoing, account: Account) -> None:
    wrong = [
        account.cloud("wrong-password"),
        replace(account, user="nobody").cloud("wrong-password"),
        replace(account, domain="elsewhere").cloud("wrong-password"),
        account.cloud("wrong-password", project={"name": "admin", "domain_id": "default"}),
        account.of_project("wrong-password"),
    ]
    for login in wrong:
        with pytest.raises(Refused, match=r"^The cloud 'north' refuses the login \(HTTP 401 Unauthorized\)") as caught:
            await Session(outgoing, NAME, login).check()
        assert "wrong-password" not in str(caught.value)
    with pytest.raises(Refused):
        await Session(outgoing, NAME, account.cloud(project={"name": "admin", "domain_id": "default"})).check()


async def test_a_token_is_kept_until_it_ends(outgoing: Outgoing, account: Account, start_proxy: Any) -> None:
    proxy: Proxy = await start_proxy(account.keystone.port)
    time = [datetime.now(UTC)]
    session = Session(outgoing, NAME, account.cloud(url=proxy.url), lambda: time[0])
    first = await asyncio.gather(*(session.token() for _ in range(20)))
    assert len({token.value for token in first}) == 1
    await proxy.refuse()
    time[0] = first[0].renewal - timedelta(seconds=1)
    assert await session.token() is first[0]
    time[0] = first[0].renewal
    with pytest.raises(Unavailable, match="can not be reached"):
        await session.token()
    await proxy.resume()
    assert (await session.token()).value != first[0].value


async def test_a_check_is_no_memory(outgoing: Outgoing, account: Account) -> None:
    user_id = account.keystone.create_user("greta", PASSWORD, domain_id=account.domain_id)
    account.keystone.create_project("gretas", user_id, domain_id=account.domain_id)
    session = Session(outgoing, NAME, replace(account, user="greta", project="gretas").cloud())
    await session.check()
    account.keystone.change_user(user_id, password="another-one")
    await session.token()
    with pytest.raises(Refused):
        await session.check()
    with pytest.raises(Refused):
        await session.token()


Undo = Callable[[Keystone, Account], None]
LOSSES: dict[str, Undo] = {
    "another password": lambda keystone, account: keystone.change_user(account.user_id, password="another-one"),
    "a disabled user": lambda keystone, account: keystone.change_user(account.user_id, enabled=False),
    "a deleted user": lambda keystone, account: keystone.delete(f"/users/{account.user_id}"),
    "a disabled project": lambda keystone, account: keystone.change_project(account.project_id, enabled=False),
    "a deleted project": lambda keystone, account: keystone.delete(f"/projects/{account.project_id}"),
    "no role any more": lambda keystone, account: keystone.take_roles(account.user_id, account.project_id),
}


@pytest.mark.parametrize("services", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
async def test_a_check_needs_no_login_and_notices_losses(
    outgoing: Outgoing, keystone: Keystone, loss: str, services: bool
) -> None:
    name = f"{loss} {services}"
    user_id = keystone.create_user(name, PASSWORD)
    account = Account(keystone, name, user_id, name, keystone.create_project(name, user_id), "Default", "default")
    session = Session(outgoing, NAME, account.cloud(), services=services)
    first = await session.check()
    assert bool(first.endpoints) == services
    again = await session.check()
    assert (again.value, bool(again.endpoints)) == (first.value, services)
    LOSSES[loss](keystone, account)
    for _ in range(2):
        with pytest.raises(Refused, match="refuses the login"):
            await session.check()


async def test_a_check_notices_that_an_application_credential_is_gone(outgoing: Outgoing, account: Account) -> None:
    id, secret = account.application_credential()
    session = Session(outgoing, NAME, account.by_credential(login_to_cloud, OpenstackSpec, id, secret))
    first = await session.check()
    assert (await session.check()).value == first.value
    # Who has come by an application credential may not take it back.
    owner = account.keystone.issue_token(account.user, PASSWORD, domain=account.domain, project_id=account.project_id)
    account.keystone.delete(f"/users/{account.user_id}/application_credentials/{id}", as_user=owner)
    with pytest.raises(Refused):
        await session.check()


async def test_a_check_logs_in_again_only_if_that_is_of_use(
    outgoing: Outgoing, account: Account, start_proxy: Callable[..., Awaitable[Proxy]]
) -> None:
    proxy = await start_proxy(account.keystone.port)
    session = Session(outgoing, NAME, account.cloud(url=proxy.url))
    first = await session.check()
    account.keystone.revoke_token(first.value)
    second = await session.check()
    assert second.value != first.value
    await proxy.refuse()
    with pytest.raises(Unavailable, match="can not be reached"):
        await session.check()
    await proxy.resume()
    assert (await session.check()).value == second.value


async def test_checks_of_a_simulated_cloud_are_alike(outgoing: Outgoing, start_simulated_cloud: StartCloud) -> None:
    cloud = await start_simulated_cloud()
    user, project, credential = cloud.user, cloud.project, cloud.credential
    account = Account(cloud, user.name, user.id, project.name, project.id, "Default", "default")
    by_password = Session(outgoing, NAME, account.cloud(user.password, cloud.url))
    method = account.by_credential(login_to_cloud, OpenstackSpec, credential.id, credential.secret, cloud.url)
    by_credential = Session(outgoing, NAME, method)
    for session in (by_password, by_credential) * 5:
        await session.check()
    assert cloud.service.count("POST /v3/auth/tokens") == 2
    cloud.directory.delete_credential(credential.id)
    await by_password.check()
    with pytest.raises(Refused):
        await by_credential.check()
    cloud.directory.change_password(user.name, "another-one")
    with pytest.raises(Refused):
        await by_password.check()
    cloud.directory.change_password(user.name, "demo")
    logins = cloud.service.count("POST /v3/auth/tokens")
    cloud.paths["new"] = "/new"
    assert await by_password.endpoint(["new"])
    cloud.paths.clear()
    await by_password.check()
    with pytest.raises(Rejected):
        await by_password.endpoint(["new"])
    for status in (429, 500, 503):
        cloud.service.answer_with(status, "GET /v3/auth/tokens")
        with pytest.raises(Unavailable):
            await by_password.check()
    await by_password.check()
    assert cloud.service.count("POST /v3/auth/tokens") == logins + 1
    for status in (401, 403, 404):
        cloud.service.answer_with(status, "GET /v3/auth/tokens")
        await by_password.check()
    assert cloud.service.count("POST /v3/auth/tokens") == logins + 4


async def test_sessions_are_kept_for_the_very_same_login(outgoing: Outgoing, account: Account) -> None:
    sessions = Sessions(outgoing, services=True)
    logins = [
        account.cloud(),
        account.cloud("another-one"),
        account.cloud(url="http://127.0.0.1:1"),
        replace(account, domain="elsewhere").cloud(),
        replace(account.cloud(), ca="ours"),
        account.of_project(),
    ]
    opened = [sessions.open(NAME, login) for login in logins]
    assert len({id(session) for session in opened}) == len(logins)
    assert [sessions.open(NAME, login) for login in logins] == opened
    assert sessions.open("The cloud 'south'", logins[0]) is not opened[0]
    for number in range(995):
        sessions.open(NAME, account.cloud(url=f"http://127.0.0.1:1/{number}"))
    assert sessions.open(NAME, logins[2]) is opened[2]
    assert sessions.open(NAME, logins[0]) is not opened[0]


async def test_a_simulated_cloud_is_logged_in_to_alike(outgoing: Outgoing, start_simulated_cloud: StartCloud) -> None:
    cloud = await start_simulated_cloud()
    user, project, credential = cloud.user, cloud.project, cloud.credential
    account = Account(cloud, user.name, user.id, project.name, project.id, "Default", "default")
    logins = [
        account.cloud(user.password, cloud.url),
        account.of_project(user.password, cloud.url),
        account.by_credential(login_to_cloud, OpenstackSpec, credential.id, credential.secret, cloud.url),
    ]
    for login in logins:
        session = Session(outgoing, NAME, login)
        assert (await session.token()).project == project.id
        assert (await session.endpoint(["identity"])).startswith(cloud.url)
    with pytest.raises(Refused):
        await Session(outgoing, NAME, account.cloud("wrong-password", cloud.url)).check()


async def test_finding_services(outgoing: Outgoing, account: Account) -> None:
    session = Session(outgoing, NAME, account.cloud())
    assert await session.endpoint(["identity"]) == account.keystone.endpoint
    assert await session.endpoint(["identity"], "internal") == account.keystone.endpoint
    assert await session.endpoint(["container", "container-infra"]) == "http://127.0.0.1:1/RegionOne/v1"
    assert await session.endpoint(["container-infra"], region="RegionTwo") == "http://127.0.0.1:1/RegionTwo/v1"
    for missing, region in ((["compute"], None), (["identity"], "RegionTwo")):
        with pytest.raises(Rejected, match=f"has no service '{missing[0]}'"):
            await session.endpoint(missing, region=region)
    with pytest.raises(Rejected, match="has no service"):
        await session.endpoint(["container-infra"], "internal")


async def test_a_revoked_token_is_replaced(outgoing: Outgoing, account: Account) -> None:
    session = Session(outgoing, NAME, account.cloud())
    before = await session.token()
    assert (await session.ask(["identity"], "GET", "/auth/projects")).status == 200
    account.keystone.revoke_token(before.value)
    reply = await session.ask(["identity"], "GET", "/auth/projects")
    assert [each["name"] for each in reply.document()["projects"]] == ["the project"]
    assert (await session.token()).value != before.value


async def test_a_service_that_accepts_no_token_is_asked_twice_only(
    outgoing: Outgoing, account: Account, impostor: Impostor
) -> None:
    account.keystone.create_endpoint("never", impostor.url)
    impostor.answer = lambda _: web.Response(status=401)
    session = Session(outgoing, NAME, account.cloud())
    assert (await session.ask(["never"], "GET", "/")).status == 401
    assert impostor.asked == 2


def answer(text: str, status: int = 201, **headers: str) -> Callable[[web.Request], web.Response]:
    return lambda _: web.Response(text=text, status=status, headers=headers)


def token_of(**changes: Any) -> str:
    return json.dumps({"token": {"expires_at": "2030-01-01T00:00:00Z", "catalog": [], **changes}})


NONSENSE = {
    "an error": answer("Internal Server Error", 500),
    "busy": answer("", 429),
    "away": answer('{"error": {"message": "Not found"}}', 404),
    "elsewhere": answer("", 302, Location="http://127.0.0.1:1/"),
    "a choice": answer("{}", 300),
    "a page": answer("<html>Welcome</html>", 200),
    "nothing": answer(""),
    "a list": answer("[]", **{"X-Subject-Token": "t"}),
    "null": answer("null", **{"X-Subject-Token": "t"}),
    "no token": answer(token_of()),
    "no end": answer(token_of(expires_at=None), **{"X-Subject-Token": "t"}),
    "no time zone": answer(token_of(expires_at="2030-01-01T00:00:00"), **{"X-Subject-Token": "t"}),
    "the end of time": answer(token_of(expires_at="0001-01-01T00:00:00+00:00"), **{"X-Subject-Token": "t"}),
    "a wrong catalogue": answer(token_of(catalog=[{"type": "x"}]), **{"X-Subject-Token": "t"}),
    "no catalogue": answer(token_of(catalog="none"), **{"X-Subject-Token": "t"}),
    "an enormous catalogue": answer(
        token_of(catalog=[{"type": "x", "endpoints": [{"interface": "public", "region": "r", "url": "u" * 100}] * 3_000}]),
        **{"X-Subject-Token": "t"},
    ),
    "deeply nested": answer("[" * 100_000, **{"X-Subject-Token": "t"}),
    "not text": lambda _: web.Response(body=b"\xff\xfe\x00", status=201, headers={"X-Subject-Token": "t"}),
    "enormous": answer(" " * 5_000_000),
    "compressed": answer("{}", **{"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_a_cloud_that_talks_nonsense(outgoing: Outgoing, account: Account, impostor: Impostor, nonsense: str) -> None:
    impostor.answer = NONSENSE[nonsense]
    with pytest.raises(Unavailable, match=r"^The cloud 'north' .*[.?)]$") as caught:
        await Session(outgoing, NAME, account.cloud(url=impostor.url)).token()
    assert PASSWORD not in str(caught.value)


async def test_what_a_cloud_says_is_passed_on_without_secrets(outgoing: Outgoing, account: Account, impostor: Impostor) -> None:
    said = f'{{"error": {{"message": "no \\n\\u0000 such thing as {PASSWORD} here", "code": 400}}}}'
    impostor.answer = answer(said, 400)
    with pytest.raises(Rejected, match=r"no such thing as … here$"):
        await Session(outgoing, NAME, account.cloud(url=impostor.url)).token()


async def test_a_cloud_that_hangs_or_is_not_there(account: Account, start_proxy: Callable[[int], Awaitable[Proxy]]) -> None:
    proxy = await start_proxy(account.keystone.port)
    async with Outgoing(EVERYWHERE, "setting", timeout=1) as outgoing:
        session = Session(outgoing, NAME, account.cloud(url=proxy.url))
        proxy.hang()
        began = time.monotonic()
        outcomes = await asyncio.gather(*(session.token() for _ in range(10)), return_exceptions=True)
        assert {str(outcome) for outcome in outcomes} == {"The cloud 'north' did not answer within 1 s."}
        assert time.monotonic() - began < 3
        await proxy.refuse()
        with pytest.raises(Unavailable, match="can not be reached"):
            await session.token()
        await proxy.resume()
        async with asyncio.timeout(20):
            while True:
                try:
                    await session.token()
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
        with pytest.raises(Unavailable, match="no host of the name"):
            await Session(outgoing, NAME, account.cloud(url="http://nowhere.invalid:5000")).token()


async def test_whoever_gives_up_leaves_the_others_alone(outgoing: Outgoing, account: Account) -> None:
    session = Session(outgoing, NAME, account.cloud())
    hasty, patient = asyncio.create_task(session.token()), asyncio.create_task(session.token())
    await asyncio.sleep(0)
    hasty.cancel()
    assert (await patient).project == account.project_id


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000", "http://localhost:5000/v3", "http://0177.0.0.1:5000"])
async def test_what_is_not_allowed_is_not_asked(account: Account, url: str) -> None:
    async with Outgoing(Destinations(), "infrastructure.allow", timeout=5) as outgoing:
        with pytest.raises(InfrastructureError, match="is not asked: ") as caught:
            await Session(outgoing, NAME, account.cloud(url=url)).token()
        assert isinstance(caught.value, Rejected)


async def test_a_password_in_the_url_is_not_told(outgoing: Outgoing, account: Account) -> None:
    with pytest.raises(Rejected, match="must not have a user or a password") as caught:
        await Session(outgoing, NAME, account.cloud(url="http://me:hidden@127.0.0.1:5000/v3")).token()
    assert "hidden" not in str(caught.value)


def test_only_version_3(account: Account) -> None:
    with pytest.raises(Rejected, match=r"Version 2\.0 of Keystone is not supported"):
        account.cloud(version="2.0")
    assert account.cloud(version="3").url == account.cloud(version="v3").url


async def test_nothing_is_sent_after_the_end(account: Account) -> None:
    async with Outgoing(EVERYWHERE, "setting", timeout=5) as outgoing:
        session = Session(outgoing, NAME, account.cloud())
    with pytest.raises(Unavailable, match="Krake stops"):
        await session.token()
    assert PASSWORD not in repr(account.cloud())
