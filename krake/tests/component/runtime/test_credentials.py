"""What a controller shows to the API is taken from its files as they are now."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fixtures.api import api_config
from testpki.directory import API_SERVER, Directory

from krake.adapters.etcd import EtcdStore
from krake.api.app import serve
from krake.client import ApiError, Client
from krake.client.errors import Forbidden, Unauthorized, Unavailable
from krake.controller.runtime import ControllerConfig
from krake.controller.runtime.settings import endpoint_of, ssl_context_of, token_of
from krake.data.core import Role

ROLES = {
    "default_roles": [
        {"metadata": {"name": "r"}, "rules": [{"api": "core", "resources": ["roles"], "namespaces": [""], "verbs": ["list"]}]}
    ],
    "default_role_bindings": [{"metadata": {"name": "r"}, "users": ["system:gc"], "roles": ["r"]}],
}


@asynccontextmanager
async def secured(store: EtcdStore, pki: Directory, **authentication: Any) -> AsyncIterator[str]:
    cert, key = pki.files(API_SERVER)
    tls = {"enabled": True, "cert": str(cert), "key": str(key), "client_ca": str(pki.folder / "ca.pem")}
    async with serve(api_config(tls=tls, authentication=authentication, authorization="RBAC", **ROLES), store) as url:
        yield url


def client_of(**settings: Any) -> Client:
    """Make the client as a controller process does."""
    config = ControllerConfig.deserialize(settings)
    return Client(endpoint_of(config), ssl_context=ssl_context_of(config.tls), token=token_of(config))


async def until_it_works(call: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await call()
            except ApiError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_changed_certificate_is_shown_without_a_restart(
    etcd_store: EtcdStore, shared_pki: Directory, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def use(name: str) -> None:
        for source, target in zip(shared_pki.files(name), (certificate, key), strict=True):
            shutil.copy(source, target)

    use("system:magnum")
    tls = {"enabled": True, "client_ca": str(shared_pki.folder / "ca.pem")}
    tls |= {"client_cert": str(certificate), "client_key": str(key)}
    async with secured(etcd_store, shared_pki) as url, client_of(api_endpoint=url, tls=tls) as client:
        await until_it_works(client.ping)
        with pytest.raises(Forbidden, match="system:magnum"):
            await client.list(Role)
        use("system:gc")
        await until_it_works(lambda: client.list(Role))


async def test_a_certificate_that_the_api_does_not_accept(etcd_store: EtcdStore, shared_pki: Directory, tmp_path: Path) -> None:
    certificate, key = Directory(tmp_path).make("system:gc")
    tls = {"enabled": True, "client_ca": str(shared_pki.folder / "ca.pem")}
    tls |= {"client_cert": str(certificate), "client_key": str(key)}
    async with secured(etcd_store, shared_pki) as url, client_of(api_endpoint=url, tls=tls) as client:
        with pytest.raises(Unavailable, match="does not accept the certificate that it is shown"):
            await client.ping()


async def test_a_changed_token_is_shown_without_a_restart(etcd_store: EtcdStore, shared_pki: Directory, tmp_path: Path) -> None:
    known, own = tmp_path / "tokens", tmp_path / "token"
    known.write_text(f"system:gc {hashlib.sha256(b't0k').hexdigest()}\n")
    own.write_text("old")
    tls = {"enabled": True, "client_ca": str(shared_pki.folder / "ca.pem")}
    tokens = {"strategy": {"tokens": {"enabled": True, "file": str(known)}}}
    async with (
        secured(etcd_store, shared_pki, **tokens) as url,
        client_of(api_endpoint=url, tls=tls, token_file=str(own)) as client,
    ):
        await until_it_works(client.ping)
        with pytest.raises(Unauthorized):
            await client.list(Role)
        own.write_text("t0k\n")
        await until_it_works(lambda: client.list(Role))
