"""Users known by the tokens that an OpenID provider signs, which the API verifies itself."""

import asyncio
import base64
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fixtures.api import Serve
from fixtures.identity import Impostor, StartProvider, me, refusal, user_of, ways

REAL_KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)


class Issuer:
    """Publishes keys as an OpenID provider does."""

    def __init__(self, impostor: Impostor) -> None:
        self.impostor = impostor
        self.issuer = impostor.url
        self.claimed = impostor.url
        self.keys = {"real": REAL_KEY}
        self.jwks_uri = f"{impostor.url}/keys"
        impostor.answer = self._answer

    def _answer(self, request: web.Request) -> web.Response:
        if request.path == "/keys":
            algorithm = jwt.get_algorithm_by_name("RS256")
            published = [algorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid} for kid, key in self.keys.items()]
            return web.json_response({"keys": published})
        assert request.path == "/.well-known/openid-configuration"
        return web.json_response({"issuer": self.claimed, "jwks_uri": self.jwks_uri})

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "krake", "exp": now + 600, "preferred_username": "alice", **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, key: Any = REAL_KEY, algorithm: str = "RS256", header: Any = None, **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), key, algorithm, {"kid": "real"} if header is None else header)


@pytest.fixture
def issuer(impostor: Impostor) -> Issuer:
    return Issuer(impostor)


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["other", "krake"]},
        {"nbf": NOW - 60, "iat": NOW - 60},
        {"exp": 1e300},
        {"email": "alice@example.org", "email_verified": False},
    ],
)
@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
async def test_tokens_that_are_accepted(serve_api: Serve, issuer: Issuer, claims: Any, algorithm: str) -> None:
    async with serve_api(authentication=ways(oidc={"issuer": issuer.issuer})) as http:
        assert await user_of(http, issuer.sign(algorithm=algorithm, **claims)) == "alice"
        assert await user_of(http, issuer.sign(algorithm=algorithm, header={}, **claims)) == "alice"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW - 60}, "it has expired"),
        ({"exp": None}, "it lacks the claim 'exp'"),
        ({"exp": "soon"}, "it breaks the rules of JWT"),
        ({"exp": float("inf")}, "it breaks the rules of JWT"),
        ({"nbf": NOW + 3600}, "it is not valid yet"),
        ({"aud": "other"}, "it is meant for another audience"),
        ({"aud": None}, "it lacks the claim 'aud'"),
        ({"aud": [5]}, "it is meant for another audience"),
        ({"preferred_username": None}, "its claim 'preferred_username' does not name a user"),
        ({"preferred_username": ["alice"]}, "its claim 'preferred_username' does not name a user"),
    ],
)
async def test_claims_that_are_refused(serve_api: Serve, issuer: Issuer, claims: Any, why: str) -> None:
    strategy = {"oidc": {"issuer": issuer.issuer}, "static": {}}
    async with serve_api(authentication=ways(**strategy, anonymous=True)) as http:
        assert await refusal(http, issuer.sign(**claims)) == ("INVALID_TOKEN", f"The token is not accepted: {why}.")


async def test_a_token_of_another_issuer(serve_api: Serve, issuer: Issuer) -> None:
    async with serve_api(authentication=ways(oidc={"issuer": issuer.issuer})) as http:
        for foreign in ("https://evil.example", f"{issuer.issuer}/", [issuer.issuer], None):
            token = issuer.sign() if foreign is None else unchecked(issuer, {"alg": "RS256", "kid": "real"}, iss=foreign)
            if foreign is None:
                token = issuer.sign(iss=None)
            assert await refusal(http, token) == ("INVALID_TOKEN", "The token is of another issuer.")
        assert issuer.impostor.asked == 0, "Nobody is asked for the keys of a token that is not theirs."


def unchecked(issuer: Issuer, header: dict[str, Any], signature: bytes = b"none", **changes: Any) -> str:
    """A token as only an attacker writes it."""
    parts = [json.dumps(each).encode() for each in (header, issuer.claims(**changes))]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


async def test_forged_signatures(serve_api: Serve, issuer: Issuer) -> None:
    public = REAL_KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    shared = unchecked(issuer, {"alg": "HS256", "typ": "JWT", "kid": "real"})
    signed = shared.rpartition(".")[0].encode()
    mac = base64.urlsafe_b64encode(hmac.digest(public, signed, "sha256")).rstrip(b"=").decode()
    curve = ec.generate_private_key(ec.SECP256R1())
    unsigned = "it is not signed by a public-key algorithm"
    forged = {
        unchecked(issuer, {"alg": "none", "kid": "real"}, b""): unsigned,
        unchecked(issuer, {"alg": "None", "kid": "real"}): unsigned,
        f"{signed.decode()}.{mac}": unsigned,
        issuer.sign(OTHER_KEY): "its signature is wrong",
        issuer.sign(OTHER_KEY, header={"kid": "mine"}): "it is signed by a key that the provider does not publish",
        issuer.sign(curve, "ES256"): "it is signed by a key that the provider does not publish",
        issuer.sign(
            OTHER_KEY, header={"kid": "real", "jwk": {"kty": "RSA"}, "jku": "https://evil.example"}
        ): "its signature is wrong",
    }
    async with serve_api(authentication=ways(oidc={"issuer": issuer.issuer})) as http:
        for token, why in forged.items():
            assert await refusal(http, token) == ("INVALID_TOKEN", f"The token is not accepted: {why}."), why
        assert (await me(http, issuer.sign(header={"kid": "real", "crit": ["x"], "x": 1}))).status == 401
        head, payload, signature = issuer.sign().split(".")
        admin = issuer.sign(OTHER_KEY, preferred_username="admin").split(".")[1]
        assert (await me(http, f"{head}.{admin}.{signature}")).status == 401
        assert await user_of(http, f"{head}.{payload}.{signature}") == "alice"


async def test_guessing_keys_does_not_trouble_the_provider(serve_api: Serve, issuer: Issuer) -> None:
    async with serve_api(authentication=ways(oidc={"issuer": issuer.issuer})) as http:
        await asyncio.gather(*(refusal(http, issuer.sign(header={"kid": str(number)})) for number in range(30)))
        assert issuer.impostor.asked == 2  # where the keys are, and the keys


@pytest.mark.parametrize(
    "change",
    [{"claimed": "https://other.example"}, {"jwks_uri": "file:///etc/passwd"}, {"jwks_uri": "http://[::1"}, {"jwks_uri": 5}],
)
async def test_providers_that_are_not_who_they_should_be(serve_api: Serve, issuer: Issuer, change: dict[str, Any]) -> None:
    vars(issuer).update(change)
    async with serve_api(authentication=ways(oidc={"issuer": issuer.issuer})) as http:
        assert (await me(http, issuer.sign())).status == 503


async def test_addresses_count_only_if_the_provider_has_verified_them(serve_api: Serve, issuer: Issuer) -> None:
    async with serve_api(authentication=ways(oidc={"issuer": issuer.issuer, "username_claim": "email"})) as http:
        assert await user_of(http, issuer.sign(email="a@example.org", email_verified=True)) == "a@example.org"
        assert (await me(http, issuer.sign(email="a@example.org", email_verified=False))).status == 401


async def test_outsiders_do_not_become_parts_of_krake_by_signed_tokens(serve_api: Serve, issuer: Issuer) -> None:
    async with serve_api(authentication=ways(oidc={"issuer": issuer.issuer})) as http:
        assert "begins with 'system:'" in (await refusal(http, issuer.sign(preferred_username="system:admin")))[1]
    async with serve_api(authentication=ways(oidc={"issuer": issuer.issuer, "username_prefix": "oidc:"})) as http:
        assert await user_of(http, issuer.sign(preferred_username="system:admin")) == "oidc:system:admin"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
async def test_tokens_of_a_real_provider(serve_api: Serve, start_provider: StartProvider, algorithm: str) -> None:
    provider = start_provider(algorithm=algorithm)
    async with serve_api(authentication=ways(oidc={"issuer": provider.issuer})) as http:
        assert await user_of(http, provider.issue_token("bob", signed=True)) == "bob"
        assert (await me(http, provider.issue_token("bob"))).status == 401


async def test_a_real_token_that_expires(serve_api: Serve, start_provider: StartProvider) -> None:
    provider = start_provider(ttl=1)
    strategy = {"oidc": {"issuer": provider.issuer}, "keycloak": {"endpoint": provider.endpoint, "base_path": "/auth"}}
    async with serve_api(authentication=ways(**strategy, cache=3600)) as http:
        signed = provider.issue_token(signed=True)
        assert await user_of(http, signed) == "alice"
        async with asyncio.timeout(60):
            while (await me(http, signed)).status == 200:  # noqa: ASYNC110 - the public way to know
                await asyncio.sleep(0.1)
        assert "it has expired" in (await refusal(http, signed))[1]
