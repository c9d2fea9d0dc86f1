"""The store as the settings name it: by TLS, with certificates and users, at several endpoints."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.etcd_secured import etcd_settings, secured_etcd
from testpki.directory import ETCD_CLIENT, Directory

from krake.adapters.etcd import EtcdStore
from krake.api.settings import EtcdSettings
from krake.api.stores import endpoints_of, open_store
from krake.ports.store import Denied, Unavailable
from krake.up.process import free_port


def store_of(values: dict[str, Any], timeout: float = 20) -> EtcdStore:
    return open_store(EtcdSettings.deserialize(values), timeout)


@pytest.fixture(scope="module")
async def port(shared_pki: Directory, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """The port of an etcd with TLS that wants a certificate and a user."""
    async with secured_etcd(shared_pki, tmp_path_factory.mktemp("etcd")) as port:
        yield port


async def test_certificate_and_password_open_the_door(shared_pki: Directory, port: int) -> None:
    async with store_of(etcd_settings(shared_pki, port)) as store:
        revision = await store.create("/settings/a", b"1")
        entry = await store.get("/settings/a")
        assert entry is not None
        assert (entry.value, entry.revision) == (b"1", revision)


async def test_members_that_are_down_are_passed_over(shared_pki: Directory, port: int) -> None:
    endpoints = [f"https://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", f"localhost:{port}"]
    async with store_of(etcd_settings(shared_pki, 1, endpoints=endpoints)) as store:
        await store.create("/settings/b", b"1")


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "nobody"}, {"username": "", "password": ""}])
async def test_a_wrong_login_is_denied(shared_pki: Directory, port: int, wrong: dict[str, str]) -> None:
    async with store_of(etcd_settings(shared_pki, port, **wrong)) as store:
        with pytest.raises(Denied):
            await store.get("/settings/a")


async def test_strangers_reach_nothing(shared_pki: Directory, port: int, tmp_path: Path) -> None:
    stranger = Directory(tmp_path).etcd(ETCD_CLIENT)
    right = etcd_settings(shared_pki, port)
    for values in (
        etcd_settings(shared_pki, port, stranger),  # which etcd does not know
        right | {"tls": right["tls"] | {"ca": str(tmp_path / "etcd-ca.pem")}},  # does not know etcd
        right | {"tls": right["tls"] | {"cert": "", "key": ""}},
        right | {"tls": {}},
        # A user of Krake is none of etcd.
        etcd_settings(shared_pki, port, shared_pki.files("system:admin")),
    ):
        async with store_of(values, timeout=1) as store:
            with pytest.raises(Unavailable):
                await store.get("/settings/a")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["http://127.0.0.1:2379"]),
        ({"host": "::1", "port": 1}, ["http://[::1]:1"]),
        ({"tls": {"enabled": True}}, ["https://127.0.0.1:2379"]),
        ({"endpoints": ["a:1", "http://b:2/", " [::1]:3"]}, ["http://a:1", "http://b:2", "http://[::1]:3"]),
        ({"endpoints": ["a:1", "https://b:2"], "tls": {"enabled": True}}, ["https://a:1", "https://b:2"]),
    ],
)
def test_endpoints(values: dict[str, Any], expected: list[str]) -> None:
    assert list(endpoints_of(EtcdSettings.deserialize(values))) == expected


class TestWrongSettings:
    """Each is named by its key, in one line."""

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (
                {"endpoints": ["https://a:1"]},
                "etcd.endpoints: https://a:1 begins with https, although etcd.tls is not enabled.",
            ),
            (
                {"endpoints": ["a:1", "http://a:1"], "tls": {"enabled": True}},
                "etcd.endpoints: http://a:1 begins with http, although etcd.tls is enabled.",
            ),
            ({"endpoints": ["ftp://a:1"]}, "etcd.endpoints: ftp://a:1 begins with ftp, although"),
            ({"endpoints": ["a"]}, "etcd.endpoints: The etcd endpoint http://a must be"),
            ({"endpoints": ["a:1/path"]}, "etcd.endpoints: The etcd endpoint http://a:1/path must be"),
            ({"username": "krake"}, "etcd.password: it is missing"),
            ({"password": "secret"}, "etcd.username: it is missing"),
            ({"tls": {"enabled": True, "ca": "/nowhere"}}, "etcd.tls.ca: /nowhere cannot be read"),
            ({"tls": {"enabled": True, "cert": "/nowhere"}}, "etcd.tls.cert: /nowhere cannot be read"),
            ({"tls": {"enabled": True, "key": "/nowhere"}}, "etcd.tls.cert: no file is named."),
        ],
    )
    async def test_refused(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError) as caught:
            store_of(values)
        assert str(caught.value).startswith(message)
        assert "secret" not in str(caught.value)

    async def test_a_key_of_another_certificate(self, shared_pki: Directory) -> None:
        values = etcd_settings(shared_pki, 1)
        values["tls"]["key"] = str(shared_pki.files("system:gc").key)
        with pytest.raises(ValueError, match=r"^etcd\.tls\.key: the key in .* does not belong to the certificate in"):
            store_of(values)
