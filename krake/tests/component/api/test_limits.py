"""Who asks for too much is refused, and nobody else."""

import asyncio
import hashlib
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fixtures.api import Answer, Http, Serve, api_config
from fixtures.polling import until
from fixtures.samples import path_of, sample
from marshmallow import ValidationError

from krake.data.core import Role
from krake.data.kubernetes import Application

ROLES = path_of(Role)


def check_refusal(answer: Answer) -> None:
    assert (answer.status, answer.json["title"]) == (429, "TOO_MANY_REQUESTS")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "try again in" in answer.detail


async def exhaust(http: Http, path: str = ROLES, **options: Any) -> Answer:
    """The first answer that is a refusal."""
    async with asyncio.timeout(60):
        while (answer := await http("GET", path, **options)).status != 429:
            pass
    return answer


async def succeeds(http: Http) -> bool:
    return (await http.get(ROLES)).status == 200


async def nobody_watches(http: Http) -> bool:
    return 'krake_api_watchers{kind="Role"} 0.0' in (await http.get("/metrics")).text


async def test_requests_of_a_user(serve_api: Serve) -> None:
    async with serve_api(rate={"per_second": 0.01, "burst": 5}) as http:
        answers = [await http.get(ROLES) for _ in range(6)]
        assert [answer.status for answer in answers] == [200] * 5 + [429]
        check_refusal(answers[-1])
        # Probes have no users.
        assert (await http.get("/readyz")).status == 200
        assert 'krake_api_limited_requests_total{limit="user"} 1.0' in (await http.get("/metrics")).text


async def test_the_rate_is_granted_again(serve_api: Serve) -> None:
    async with serve_api(rate={"per_second": 20, "burst": 1}) as http:
        await exhaust(http)
        await until(lambda: succeeds(http))


async def test_watches_of_a_user(serve_api: Serve) -> None:
    async with serve_api(watch={"per_user": 3}) as http:
        async with AsyncExitStack() as watches:
            for _ in range(3):
                await watches.enter_async_context(http.watch(ROLES))
            check_refusal(await http.get(ROLES, watch=""))
            assert (await http.get(ROLES)).status == 200
            assert (await http.post(ROLES, sample(Role))).status == 201
        await until(lambda: nobody_watches(http))
        async with http.watch(ROLES):
            pass


async def test_who_waits_for_a_state_takes_the_place_of_a_watch(serve_api: Serve) -> None:
    async with serve_api(watch={"per_user": 1}) as http:
        path = path_of(Application)
        waiting = asyncio.create_task(http.post(path, sample(Application), blocking="running"))

        async def created() -> bool:
            return (await http.get(f"{path}/sample")).status == 200

        await until(created)
        check_refusal(await http.post(path, sample(Application, "second"), blocking="running"))
        assert (await http.get(f"{path}/second")).status == 404
        assert (await http("DELETE", f"{path}/sample?force")).status == 200
        assert (await waiting).status == 201
        assert (await http.post(path, sample(Application, "second"))).status == 201


async def test_failed_logins_of_an_address(serve_api: Serve, tmp_path: Any) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n")  # of "test"
    ways = {"strategy": {"tokens": {"enabled": True, "file": str(tokens)}}}
    async with serve_api(authentication=ways, authorization="always-allow", rate={"failed_logins": 3}) as http:
        good, bad = ({"headers": {"Authorization": f"Bearer {token}"}} for token in ("test", "guess"))
        assert (await http("GET", ROLES, **good)).status == 200
        for _ in range(50):
            # Who shows nothing does not try to log in.
            assert (await http.get(ROLES)).status == 401
        refusal = await exhaust(http, **bad)
        check_refusal(refusal)
        # Who has logged in before is no guesser, but a new guess that is right must not be told from the others.
        assert (await http("GET", ROLES, **good)).status == 200
        tokens.write_text(f"{tokens.read_text()}eve {hashlib.sha256(b'new').hexdigest()}\n")
        check_refusal(await http("GET", ROLES, headers={"Authorization": "Bearer new"}))
        assert (await http.get(ROLES)).status == 401
        text = (await http.get("/metrics")).text
        assert 'krake_api_authentications_total{outcome="success",way="tokens"} 2.0' in text
        assert 'krake_api_authentications_total{outcome="refused",way=""}' in text
        assert 'krake_api_limited_requests_total{limit="logins"} 2.0' in text


@pytest.mark.parametrize("setting", [{"per_second": -1}, {"burst": 0}, {"failed_logins": 0}])
def test_limits_that_let_nobody_in_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        api_config(rate=setting)
