"""Where the configuration comes from, and what it may say."""

from pathlib import Path

import pytest

from rok import config
from rok.config import Config, find_config, read_config
from rok.errors import Failure


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, on a machine without a configuration in /etc."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "etc" / "rok.yaml")
    return directory


def write(path: Path, user: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"user: {user}\n")
    return path


def test_the_first_file_counts(here: Path, tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path / "home")}
    assert find_config(None, environ) == Config(api_url="http://localhost:8080", user="system:admin", tls=None, source=None)
    write(config.SYSTEM_FILE, "system")
    assert find_config(None, environ).user == "system"
    write(tmp_path / "home" / ".config" / "rok.yaml", "home")
    assert find_config(None, environ).user == "system"
    assert find_config(None, {"HOME": environ["HOME"]}).user == "home"
    write(tmp_path / "xdg" / "rok.yaml", "xdg")
    assert find_config(None, environ).user == "xdg"
    write(here / "rok.yaml", "here")
    assert find_config(None, environ).user == "here"
    assert find_config(str(write(tmp_path / "named.yaml", "named")), environ).user == "named"


def test_no_home_is_needed(here: Path) -> None:
    assert find_config(None, {}) == Config()


def test_a_named_file_must_be_there(here: Path) -> None:
    with pytest.raises(Failure, match=r"there is no configuration file 'gone.yaml'"):
        find_config("gone.yaml", {})


def test_an_empty_file_says_nothing(here: Path) -> None:
    (here / "rok.yaml").write_text("")
    assert find_config(None, {}) == Config(source=Path("rok.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("api_url: [", "is not YAML"),
        ("- a", "write a mapping with the keys api_url, user, tls"),
        ("api-url: x", "there is no key 'api-url'; the keys are api_url, user, tls"),
        ("api_url: 5", "api_url is 5"),
        ("user: ''", "user is ''"),
        ("api_url: ftp://x", "which is not a URL: write for example http://localhost:8080"),
        ("api_url: 'http://'", "which is not a URL"),
        ("api_url: 'http://x:port'", "which is not a URL"),
        ("tls: yes", "write a mapping with the keys enabled"),
        ("tls: {enabled: maybe}", "the value of tls.enabled must be true or false, not 'maybe'"),
        ("tls: {enabled: true, client_cert: rok.yaml}", "tls.client_key is missing"),
        ("tls: {enabled: true, client_key: rok.yaml}", "tls.client_cert is missing"),
        ("tls: {enabled: true, client_ca: gone.pem}", "tls.client_ca names 'gone.pem', which is not there"),
    ],
)
def test_what_can_not_be_used_is_told_in_one_line(text: str, message: str, here: Path) -> None:
    (here / "rok.yaml").write_text(text)
    with pytest.raises(Failure) as failed:
        find_config(None, {})
    assert message in str(failed.value)
    assert "rok.yaml" in str(failed.value)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("url", "tls", "expected", "warned"),
    [
        ("http://krake:8080", False, "http://krake:8080", False),
        ("https://krake:8080", False, "http://krake:8080", True),
        ("http://krake:8080/", True, "https://krake:8080", True),
        ("https://krake", True, "https://krake", False),
        ("krake:8080", False, "http://krake:8080", False),
    ],
)
def test_the_scheme_follows_tls(
    url: str, tls: bool, expected: str, warned: bool, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rok.yaml").write_text(f"api_url: '{url}'\ntls: {{enabled: {str(tls).lower()}}}\n")
    assert read_config(Path("rok.yaml")).api_url == expected
    assert ("rok: warning: api_url of rok.yaml starts with" in capsys.readouterr().err) == warned


def test_relative_paths_start_at_the_file_then_here(here: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "beside" / "cert.pem", tmp_path / "beside" / "key.pem", here / "key.pem", here / "ca.pem"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    file = tmp_path / "beside" / "rok.yaml"
    file.write_text("tls: {enabled: true, client_ca: ca.pem, client_cert: cert.pem, client_key: key.pem}")
    tls = read_config(file).tls
    assert tls is not None
    assert tls.pair == (str(tmp_path / "beside" / "cert.pem"), str(tmp_path / "beside" / "key.pem"))
    assert tls.ca == "ca.pem"
