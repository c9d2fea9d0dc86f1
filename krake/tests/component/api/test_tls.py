"""The API behind TLS: who is known by a certificate, who is not, and what happens when certificates change."""

import asyncio
import logging
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from fixtures.api import api_config
from fixtures.pki import https, store_pair
from fixtures.samples import sample
from testpki.authority import CLIENT, SERVER, Authority, Pair
from testpki.directory import API_SERVER, Directory, Files

from krake.adapters.etcd import EtcdStore
from krake.api import tls as api_tls
from krake.api.app import serve
from krake.data.kubernetes import Application

APPS = "/kubernetes/namespaces/testing/applications"
APP = f"{APPS}/{sample(Application)['metadata']['name']}"
ADMIN = {
    "default_roles": [
        {
            "metadata": {"name": "admin"},
            "rules": [
                {"api": "", "resources": [""], "namespaces": [""], "verbs": ["create", "list", "get", "update", "delete"]}
            ],
        }
    ],
    "default_role_bindings": [
        {"metadata": {"name": "admin"}, "users": ["system:admin", "system:complete-hook"], "roles": ["admin"]}
    ],
}


def settings(folder: Path) -> dict[str, Any]:
    cert, key = Directory(folder).files(API_SERVER)
    named = {"cert": cert, "key": key, "client_ca": folder / "ca.pem", "hook_ca": folder / "hook-ca.pem"}
    return {"enabled": True} | {name: str(path) for name, path in named.items()}


@asynccontextmanager
async def open_api(store: EtcdStore, folder: Path, **more: Any) -> AsyncIterator[str]:
    config = api_config(**{"tls": settings(folder), "authentication": {}, "authorization": "RBAC", **ADMIN, **more})
    async with serve(config, store) as url:
        async with https(url, folder / "ca.pem", Directory(folder).files("system:admin")) as admin, asyncio.timeout(60):
            while (await admin.get("/core/rolebindings/admin")).status != 200:  # noqa: ASYNC110 (it is asked over HTTP)
                await asyncio.sleep(0.02)
        yield url


@pytest.fixture
async def url(etcd_store: EtcdStore, shared_pki: Directory) -> AsyncIterator[str]:
    """An API with TLS, RBAC and no other way to know users, in which ``system:admin`` may do everything."""
    async with open_api(etcd_store, shared_pki.folder) as url:
        yield url


@pytest.fixture
def ca(shared_pki: Directory) -> Path:
    return shared_pki.folder / "ca.pem"


@pytest.fixture
def users(shared_pki: Directory) -> Authority:
    return shared_pki.authority("ca", "")


@pytest.fixture
def hooks(shared_pki: Directory) -> Authority:
    return shared_pki.authority("system:complete-signing", "")


async def test_a_certificate_names_the_user(url: str, ca: Path, shared_pki: Directory) -> None:
    assert url.startswith("https://127.0.0.1:")
    async with https(url, ca, shared_pki.files("system:gc")) as http:
        assert (await http.get("/me")).json["user"] == "system:gc"
        assert (await http.get(APPS)).status == 403
    async with https(url, ca, shared_pki.files("system:admin")) as http:
        assert (await http.post(APPS, sample(Application))).status == 201


async def test_without_a_certificate_nobody_is_known_but_probes_are_served(url: str, ca: Path) -> None:
    async with https(url, ca) as http:
        assert (await http.get("/me")).status == 401
        assert (await http.get("/readyz")).status == 200


async def test_somebody_without_a_certificate_may_be_known_otherwise(
    etcd_store: EtcdStore, shared_pki: Directory, ca: Path
) -> None:
    static = {"strategy": {"static": {"enabled": True, "name": "ann"}}}
    async with open_api(etcd_store, shared_pki.folder, authentication=static) as url:
        async with https(url, ca) as http:
            assert (await http.get("/me")).json["user"] == "ann"
        async with https(url, ca, shared_pki.files("system:gc")) as http:
            assert (await http.get("/me")).json["user"] == "system:gc"


@pytest.mark.parametrize("name", ["Jane Doe", "jane@example.com", "Jörg", "a+b_c-d.e"])
async def test_names_of_people(url: str, ca: Path, users: Authority, tmp_path: Path, name: str) -> None:
    async with https(url, ca, store_pair(tmp_path, "user", users.issue(name))) as http:
        assert (await http.get("/me")).json["user"] == name


@pytest.mark.parametrize("name", [" ", "a\nb", "ann ", "ann\x00", "ann, system:admin", "a  b", "a/b", "ann\u202e"])
async def test_odd_names_are_refused(url: str, ca: Path, users: Authority, tmp_path: Path, name: str) -> None:
    async with https(url, ca, store_pair(tmp_path, "user", users.issue(name))) as http:
        answer = await http.get("/me")
        assert (answer.status, answer.detail) == (
            401,
            "The certificate has no common name that could be the name of a user.",
        )


async def test_the_first_name_counts_and_one_is_needed(url: str, ca: Path, users: Authority, tmp_path: Path) -> None:
    async with https(url, ca, store_pair(tmp_path, "two", users.issue(["ann", "system:admin"]))) as http:
        assert (await http.get("/me")).json["user"] == "ann"
    async with https(url, ca, store_pair(tmp_path, "none", users.issue([]))) as http:
        assert (await http.get("/me")).status == 401


async def test_any_purpose_is_good_for_a_user(url: str, ca: Path, users: Authority, tmp_path: Path) -> None:
    for purposes in ([], [CLIENT, SERVER]):
        async with https(url, ca, store_pair(tmp_path, "user", users.issue("ann", purposes))) as http:
            assert (await http.get("/me")).json["user"] == "ann"


async def test_those_who_are_not_let_in(url: str, ca: Path, users: Authority, tmp_path: Path) -> None:
    stranger = Authority.make("Krake test CA", 1)
    strangers = {
        "of another authority with the same name": stranger.issue("system:admin"),
        "by itself": stranger.pair,
        "of a server": users.issue("system:admin", [SERVER]),
        "expired": users.issue("system:admin", days=-1),
    }
    for why, pair in strangers.items():
        async with https(url, ca, store_pair(tmp_path, "stranger", pair)) as http:
            with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
                pytest.fail(f"{why}: {await http.get('/readyz')}")


async def test_who_may_not_make_users(url: str, ca: Path, users: Authority, shared_pki: Directory, tmp_path: Path) -> None:
    """As in the original, where the application controller held such an authority, and could be anybody."""
    middle = users.make_below("system:complete-signing", 1)
    issued = middle.issue("system:admin")
    chained = Pair(issued.certificate, issued.key, (middle.pair.certificate,))
    for pair, why in ((chained, "not directly issued"), (middle.pair, "of an authority"), (users.pair, "of an authority")):
        async with https(url, ca, store_pair(tmp_path, "forged", pair)) as http:
            for path in ("/me", "/core/roles"):
                answer = await http.get(path)
                assert answer.status == 401
                assert why in answer.detail


async def set_token(url: str, ca: Path, admin: Files, token: str) -> None:
    async with https(url, ca, admin) as http:
        hooked = sample(Application)
        hooked["spec"]["hooks"] = ["complete"]
        assert (await http.post(APPS, hooked)).status == 201
        answer = await http.patch(f"{APP}/status", {"status": {"complete_token": token}})
        assert answer.status == 200, answer.text


async def test_a_hook_may_tell_of_its_end_and_do_nothing_else(
    url: str, ca: Path, hooks: Authority, shared_pki: Directory, tmp_path: Path
) -> None:
    await set_token(url, ca, shared_pki.files("system:admin"), "t0k")
    for name in ("system:complete-hook", "system:admin"):
        async with https(url, ca, store_pair(tmp_path, "hook", hooks.issue(name))) as http:
            for method, path in (
                *(
                    ("GET", path)
                    for path in ("/", "/me", "/release", "/core/roles", "/kubernetes/applications", APP, "/nowhere")
                ),
                *(("PUT", APP), ("PUT", f"{APP}/status"), ("PUT", f"{APP}/binding"), ("PUT", f"{APP}/retry")),
                *(("DELETE", APP), ("POST", "/core/roles"), ("GET", f"{APP}/complete"), ("PUT", f"{APP}/complete/")),
            ):
                answer = await http(method, path, json={})
                assert (answer.status, "of a hook" in answer.detail) == (403, True), (method, path)
            assert (await http.put(f"{APP}/complete", {"token": "wrong"})).status in (401, 403)
            assert (await http.put(f"{APP}/shutdown", {"token": "wrong"})).status in (401, 403)
    async with https(url, ca, store_pair(tmp_path, "hook", hooks.issue("system:complete-hook"))) as http:
        assert (await http.put(f"{APP}/complete", {"token": "t0k"})).status == 200
    async with https(url, ca, shared_pki.files("system:admin")) as http:
        assert (await http.get(APP)).json["metadata"]["deleted"]


async def test_a_hook_is_asked_for_its_role_too(url: str, ca: Path, hooks: Authority, tmp_path: Path) -> None:
    async with https(url, ca, store_pair(tmp_path, "hook", hooks.issue("somebody"))) as http:
        answer = await http.put(f"{APP}/complete", {"token": "t0k"})
        assert (answer.status, "may not update" in answer.detail) == (403, True)


async def test_a_new_certificate_is_shown_without_a_restart(
    etcd_store: EtcdStore, shared_pki: Directory, tmp_path: Path
) -> None:
    folder = shutil.copytree(shared_pki.folder, tmp_path / "pki")
    pki = Directory(folder)

    async with open_api(etcd_store, folder) as url:
        host, port = url.removeprefix("https://").split(":")

        async def serial() -> str:
            context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            _, writer = await asyncio.open_connection(host, int(port), ssl=context)
            found = writer.get_extra_info("peercert")["serialNumber"]
            writer.close()
            await writer.wait_closed()
            return str(found)

        before = await serial()
        # Half a change is no reason to stop serving.
        pki.files(API_SERVER).key.write_text("not written yet")
        assert await serial() == before
        pki.files(API_SERVER).key.unlink()
        pki.make(API_SERVER)
        async with asyncio.timeout(60):
            while await serial() == before:  # noqa: ASYNC110 (it is asked over TLS)
                await asyncio.sleep(0.1)


async def test_an_authority_that_is_replaced_counts_no_more_not_even_on_open_connections(
    etcd_store: EtcdStore, shared_pki: Directory, tmp_path: Path
) -> None:
    folder = shutil.copytree(shared_pki.folder, tmp_path / "pki")
    old_ca = shared_pki.folder / "ca.pem"
    async with open_api(etcd_store, folder) as url:
        async with https(url, old_ca, shared_pki.files("system:admin")) as old:
            assert (await old.get("/me")).status == 200
            other = Authority.make("other", 1)
            (folder / "ca.pem").write_bytes(other.pair.certificate_pem)
            async with asyncio.timeout(60):
                while (await old.get("/me")).status == 200:  # noqa: ASYNC110 (it is asked over HTTP)
                    await asyncio.sleep(0.1)
        async with https(url, old_ca, shared_pki.files("system:admin")) as old:
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await old.get("/readyz")
        async with https(url, old_ca, store_pair(tmp_path, "new", other.issue("ann"))) as new:
            assert (await new.get("/me")).json["user"] == "ann"


async def test_whoever_talks_plainly_or_nonsense_leaves_no_trace(
    url: str, ca: Path, shared_pki: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = url.removeprefix("https://").split(":")
    caplog.clear()
    caplog.set_level(logging.INFO)
    for words in (b"GET / HTTP/1.1\r\nHost: krake\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" + b"\x00" * 600, b"\xff" * 100, b""):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(words)
        if not words:
            writer.close()
        async with asyncio.timeout(60):
            assert not (await reader.read()).startswith(b"HTTP")
        writer.close()
    async with https(url, ca, shared_pki.files("system:admin")) as http:
        assert (await http.get("/me")).status == 200
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_handshake_that_does_not_go_on_is_cut(
    etcd_store: EtcdStore, shared_pki: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("krake.api.app.HANDSHAKE_LIMIT", 0.5)
    assert api_tls.HANDSHAKE_LIMIT <= 15
    async with open_api(etcd_store, shared_pki.folder) as url:
        host, port = url.removeprefix("https://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x16\x03\x01")
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_old_versions_of_tls_are_refused(url: str, ca: Path) -> None:
    host, port = url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=str(ca))
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(host, int(port), ssl=context)


class TestFiles:
    """Each file that cannot be used is named by its key, in one line."""

    async def fail(self, store: EtcdStore, values: dict[str, Any]) -> str:
        with pytest.raises(ValueError) as caught:
            async with serve(api_config(tls=values), store):
                pass
        assert "\n" not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("key", ["cert", "key", "client_ca", "hook_ca"])
    async def test_missing_or_nonsense(self, etcd_store: EtcdStore, shared_pki: Directory, tmp_path: Path, key: str) -> None:
        values = settings(shared_pki.folder)
        path = tmp_path / "odd.pem"
        assert (await self.fail(etcd_store, values | {key: str(path)})).startswith(f"tls.{key}: {path} cannot be read")
        for content in ("", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            path.write_text(content)
            assert (await self.fail(etcd_store, values | {key: str(path)})).startswith(f"tls.{key}: {path} is not")

    @pytest.mark.parametrize("key", ["cert", "key"])
    async def test_not_named(self, etcd_store: EtcdStore, shared_pki: Directory, key: str) -> None:
        assert await self.fail(etcd_store, settings(shared_pki.folder) | {key: ""}) == f"tls.{key}: no file is named."

    async def test_a_key_of_another_certificate(self, etcd_store: EtcdStore, shared_pki: Directory) -> None:
        other = shared_pki.files("system:gc").key
        message = await self.fail(etcd_store, settings(shared_pki.folder) | {"key": str(other)})
        assert message.startswith(f"tls.key: the key in {other} does not belong to the certificate in ")

    async def test_an_encrypted_key(self, etcd_store: EtcdStore, shared_pki: Directory, tmp_path: Path) -> None:
        pem = shared_pki.files(API_SERVER).key.read_bytes()
        key = serialization.load_pem_private_key(pem, None)
        encrypted = tmp_path / "key.pem"
        form, how = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
        encrypted.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, how))
        message = await self.fail(etcd_store, settings(shared_pki.folder) | {"key": str(encrypted)})
        assert message == f"tls.key: the key in {encrypted} is encrypted; store it without a password."

    async def test_one_authority_for_users_and_hooks(self, etcd_store: EtcdStore, shared_pki: Directory) -> None:
        message = await self.fail(etcd_store, settings(shared_pki.folder) | {"hook_ca": str(shared_pki.folder / "ca.pem")})
        assert message.startswith("tls.hook_ca: CN=Krake test CA is also in tls.client_ca")
