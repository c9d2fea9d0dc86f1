"""Users of a real Keystone and a real OpenID provider work with the API under RBAC, without TLS and with it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from fixtures.api import Answer, Http, api_config
from fixtures.identity import StartKeystone, StartProvider, ways
from fixtures.pki import https, store_pair
from realidentity.keystone import Keystone
from realidentity.provider import Provider
from testpki.authority import SERVER, Authority
from testpki.directory import API_SERVER, Directory

from krake.adapters.etcd import EtcdStore
from krake.api.app import serve

ROLES = "/core/roles"
READER = {
    "metadata": {"name": "reader"},
    "rules": [{"api": "core", "resources": ["roles"], "namespaces": [""], "verbs": ["list"]}],
}
READERS = {"metadata": {"name": "readers"}, "users": ["carol", "alice", "signed:alice", "dave"], "roles": ["reader"]}
ROOT = {
    "metadata": {"name": "root"},
    "rules": [{"api": "", "resources": [""], "namespaces": [""], "verbs": ["create", "list", "get"]}],
}
ROOTS = {"metadata": {"name": "roots"}, "users": ["system:admin"], "roles": ["root"]}


async def as_user(http: Http, method: str, path: str, token: str, body: Any = None) -> Answer:
    headers = {"Authorization": f"Bearer {token}"}
    return await http(method, path, headers=headers) if body is None else await http(method, path, headers=headers, json=body)


def strategy(keystone: Keystone, provider: Provider, tokens: Path, ca: str) -> dict[str, Any]:
    """Four ways to know users by tokens."""
    tokens.write_text(f"system:admin {hashlib.sha256(b'root').hexdigest()}\ndave {hashlib.sha256(b'his').hexdigest()}\n")
    return {
        "tokens": {"file": str(tokens)},
        "oidc": {"issuer": provider.issuer, "username_prefix": "signed:", "ca": ca},
        "keystone": {"endpoint": keystone.endpoint, "ca": ca},
        "keycloak": {"endpoint": provider.endpoint, "base_path": "/auth", "ca": ca},
    }


@asynccontextmanager
async def ready(http: Http) -> AsyncIterator[Http]:
    """Wait until the administrator may come in."""
    async with asyncio.timeout(60):
        while (await as_user(http, "GET", ROLES, "root")).status != 200:  # noqa: ASYNC110 (it is asked over HTTP)
            await asyncio.sleep(0.02)
    yield http


def settings(**changes: Any) -> dict[str, Any]:
    return {"authorization": "RBAC", "default_roles": [ROOT], "default_role_bindings": [ROOTS], **changes}


async def check(http: Http, keystone: Keystone, provider: Provider) -> None:
    """Let all kinds of users do what they may, and nothing else."""
    carol, alice = keystone.issue_token("carol", "carol"), provider.issue_token("alice")
    signed, bob = provider.issue_token("alice", signed=True), provider.issue_token("bob")
    for token in (carol, alice, signed, "his"):
        assert (await as_user(http, "GET", ROLES, token)).status == 403
    assert (await as_user(http, "POST", ROLES, carol, READER)).status == 403
    assert (await as_user(http, "POST", ROLES, "root", READER)).status == 201
    assert (await as_user(http, "POST", "/core/rolebindings", "root", READERS)).status == 201
    for token in (carol, alice, signed, "his"):
        assert (await as_user(http, "GET", ROLES, token)).status == 200
        assert (await as_user(http, "GET", "/core/rolebindings", token)).status == 403
    assert (await as_user(http, "GET", ROLES, bob)).status == 403
    assert (await as_user(http, "GET", ROLES, "wrong")).status == 401
    assert (await http.get(ROLES)).status == 401


async def test_over_plain_http(etcd_store: EtcdStore, keystone: Keystone, provider: Provider, tmp_path: Path) -> None:
    authentication = ways(**strategy(keystone, provider, tmp_path / "tokens", ca=""))
    config = api_config(**settings(authentication=authentication))
    async with serve(config, etcd_store) as url, aiohttp.ClientSession() as session, ready(Http(session, url)) as http:
        await check(http, keystone, provider)


async def test_with_tls(
    etcd_store: EtcdStore,
    start_keystone: StartKeystone,
    start_provider: StartProvider,
    shared_pki: Directory,
    tmp_path: Path,
) -> None:
    # Whoever issues the certificates of identity services has no say in who may use Krake.
    authority = Authority.make("Identity services", days=1)
    ca = store_pair(tmp_path, "identity-ca", authority.pair).certificate
    files = store_pair(tmp_path, "identity", authority.issue("identity", [SERVER], days=1, hosts=["127.0.0.1"]))
    keystone = start_keystone(files=files, ca=ca)
    keystone.create_user("carol", "carol")
    provider = start_provider(files=files, ca=ca)

    server, client_ca = shared_pki.files(API_SERVER), shared_pki.files("ca").certificate
    tls = {"enabled": True, "cert": str(server.certificate), "key": str(server.key), "client_ca": str(client_ca)}
    tokens = tmp_path / "tokens"
    authentication = ways(**strategy(keystone, provider, tokens, str(ca)))
    config = api_config(**settings(authentication=authentication, tls=tls))
    async with serve(config, etcd_store) as url, https(url, client_ca) as http, ready(http):
        await check(http, keystone, provider)
        async with https(url, client_ca, shared_pki.files("system:admin")) as admin:
            assert (await admin.get("/me")).json["user"] == "system:admin"
            # The certificate comes first in the order.
            assert (await as_user(admin, "GET", "/me", "his")).json["user"] == "system:admin"

    # Services are verified, too: by the authorities of the system, these are not known.
    config = api_config(**settings(authentication=ways(**strategy(keystone, provider, tokens, ca="")), tls=tls))
    async with serve(config, etcd_store) as url, https(url, client_ca) as http, ready(http):
        for token in (keystone.issue_token("carol", "carol"), provider.issue_token(signed=True)):
            answer = await as_user(http, "GET", ROLES, token)
            assert answer.status == 503
            assert "certificate" in answer.detail
