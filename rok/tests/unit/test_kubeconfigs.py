"""What becomes of a kubeconfig before it is sent."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from krake.data.manifests import check_kubeconfig

from rok.errors import Failure
from rok.kubeconfigs import read_kubeconfig

USERS: dict[str, Any] = {"one": {"token": "t"}, "two": {"client-certificate": "certs/two.crt", "client-key": "certs/two.key"}}


def kubeconfig(users_by_name: dict[str, Any] = USERS, **changes: Any) -> dict[str, Any]:
    """Return a kubeconfig with a context, a cluster and a user of each name."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in users_by_name],
        "clusters": [
            {"name": name, "cluster": {"server": f"https://{name}:6443", "extensions": [{"name": "x"}]}}
            for name in users_by_name
        ],
        "users": [{"name": name, "user": user} for name, user in users_by_name.items()],
        "preferences": {},
        **changes,
    }


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "there" / "config.yaml"


def write(file: Path, content: Any) -> str:
    file.write_text(yaml.safe_dump(content))
    return str(file)


def test_only_the_current_context_is_kept(file: Path) -> None:
    result = read_kubeconfig(write(file, kubeconfig()), None)
    assert result == {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "clusters": [{"name": "one", "cluster": {"server": "https://one:6443"}}],
        "users": [{"name": "one", "user": {"token": "t"}}],
    }
    check_kubeconfig(result)


@pytest.mark.parametrize("directory", ["there", "here"])
def test_files_are_embedded(directory: str, file: Path, tmp_path: Path) -> None:
    certs = tmp_path / directory / "certs"
    certs.mkdir()
    (certs / "two.crt").write_bytes(b"certificate")
    (certs / "two.key").write_bytes(b"key")
    result = read_kubeconfig(write(file, kubeconfig()), "two")
    assert result["users"][0]["user"] == {
        "client-certificate-data": base64.b64encode(b"certificate").decode(),
        "client-key-data": base64.b64encode(b"key").decode(),
    }
    check_kubeconfig(result)


def test_the_file_beside_the_kubeconfig_comes_first(file: Path, tmp_path: Path) -> None:
    (tmp_path / "there" / "ca.crt").write_bytes(b"there")
    (tmp_path / "here" / "ca.crt").write_bytes(b"here")
    content = kubeconfig()
    content["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"
    cluster = read_kubeconfig(write(file, content), None)["clusters"][0]["cluster"]
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"there"


def test_a_token_file_is_embedded(file: Path, tmp_path: Path) -> None:
    (tmp_path / "there" / "token").write_text("secret\n")
    result = read_kubeconfig(write(file, kubeconfig({"one": {"tokenFile": "token"}})), None)
    assert result["users"][0]["user"] == {"token": "secret"}


@pytest.mark.parametrize(
    ("content", "context", "message"),
    [
        (kubeconfig(), "three", "has no context 'three': choose one with -c (one, two)"),
        (kubeconfig(**{"current-context": None}), None, "has no current-context: choose a context with -c (one, two)"),
        (kubeconfig(contexts=None), None, "has no context 'one': choose one with -c (the file has none)"),
        (kubeconfig(clusters=[]), None, "has no cluster 'one'"),
        (kubeconfig(users=[{"name": "other"}]), None, "has no user 'one'"),
        (kubeconfig(clusters=[{"name": "one"}]), None, "the cluster 'one'"),
        (kubeconfig(), "two", "is not there: put it at"),
        (kubeconfig({"one": {"exec": {"command": "aws"}}}), None, "runs a program to log in (exec), which Krake can not do"),
        (kubeconfig({"one": {"auth-provider": {"name": "gcp"}}}), None, "logs in by a plugin (auth-provider)"),
        ([], None, "is list, not a mapping"),
    ],
)
def test_what_can_not_be_used_is_told_in_one_line(content: Any, context: str | None, message: str, file: Path) -> None:
    with pytest.raises(Failure) as failed:
        read_kubeconfig(write(file, content), context)
    assert message in str(failed.value)
    assert str(file) in str(failed.value)
    assert "\n" not in str(failed.value)
