from pathlib import Path

import pytest
from testpki.directory import Directory

from krake.controller.runtime import ControllerConfig, TlsConfig
from krake.controller.runtime.settings import SettingsError, endpoint_of, ssl_context_of, token_of


def test_every_setting_has_a_default() -> None:
    config = ControllerConfig.deserialize({})
    assert (config.api_endpoint, config.worker_count, config.tls.enabled) == ("http://localhost:8080", 5, False)


@pytest.mark.parametrize(
    ("endpoint", "tls", "expected"),
    [
        ("http://h:1", False, "http://h:1"),
        ("https://h:1", False, "http://h:1"),
        ("http://h:1/p", True, "https://h:1/p"),
        ("https://h:1", True, "https://h:1"),
    ],
)
def test_the_scheme_follows_from_tls(endpoint: str, tls: bool, expected: str, caplog: pytest.LogCaptureFixture) -> None:
    assert endpoint_of(ControllerConfig(api_endpoint=endpoint, tls=TlsConfig(enabled=tls))) == expected
    assert len(caplog.records) == (endpoint != expected)


def test_without_tls_no_file_is_looked_at() -> None:
    assert ssl_context_of(TlsConfig(client_ca="/nowhere")) is None


@pytest.mark.parametrize("content", [None, "", "no certificate"])
@pytest.mark.parametrize("name", ["client_ca", "client_cert"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: str | None) -> None:
    path = tmp_path / "file.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=rf"^tls\.{name}.*file\.pem") as caught:
        ssl_context_of(TlsConfig.deserialize({"enabled": True, name: str(path)}))
    assert "\n" not in str(caught.value)


def test_a_certificate_without_its_key(tmp_path: Path) -> None:
    certificate = Directory(tmp_path).make("ann").certificate
    with pytest.raises(SettingsError, match=r"^tls\.client_key: no file is named"):
        ssl_context_of(TlsConfig(enabled=True, client_cert=str(certificate)))


def test_a_token_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("t0k\n")
    token = token_of(ControllerConfig(token_file=str(path)))
    assert token is not None
    assert token.value == "t0k"
    assert token_of(ControllerConfig()) is None


@pytest.mark.parametrize("content", [None, "", " \n", "two tokens", "töken", "a\x00b"])
def test_a_file_without_a_token_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"^token_file: .*token") as caught:
        token_of(ControllerConfig(token_file=str(path)))
    assert "two tokens" not in str(caught.value)


def test_authorities_of_the_system_are_taken_if_none_are_named() -> None:
    assert ssl_context_of(TlsConfig(enabled=True)) is not None
