"""`support/pki` as its user runs it, and what OpenSSL thinks of what it makes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from testpki.directory import API_SERVER, ETCD_CLIENT, ETCD_SERVER, HOOK_SIGNERS, USERS

ROOT = Path(__file__).resolve().parents[3]


def pki(folder: Path, *options: str, status: int = 0) -> str:
    command = [sys.executable, str(ROOT / "support" / "pki"), "--dest-dir", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def verify(folder: Path, authority: str, name: str, purpose: str, *options: str) -> bool:
    openssl = shutil.which("openssl")
    assert openssl is not None, "There is no openssl on the PATH."
    command = [openssl, "verify", "-x509_strict", "-purpose", purpose, *options]
    command += ["-CAfile", str(folder / f"{authority}.pem"), str(folder / f"{name}.pem")]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki(folder, "--host", "krake.example", "--host", "192.0.2.1")
    return folder


def test_openssl_accepts_each_for_its_purpose_and_no_other(folder: Path) -> None:
    names = ("-verify_hostname", "localhost"), ("-verify_hostname", "krake.example"), ("-verify_ip", "192.0.2.1")
    for authority, server in (("ca", API_SERVER), ("etcd-ca", ETCD_SERVER)):
        for name in (*names, ("-verify_ip", "127.0.0.1"), ("-verify_ip", "::1")):
            assert verify(folder, authority, server, "sslserver", *name), (server, name)
        assert not verify(folder, authority, server, "sslserver", "-verify_hostname", "other.example")
    assert not verify(folder, "ca", API_SERVER, "sslclient")
    for user in USERS:
        assert verify(folder, "ca", user, "sslclient"), user
        assert not verify(folder, "ca", user, "sslserver"), user
        for stranger in ("etcd-ca", "hook-ca"):
            assert not verify(folder, stranger, user, "sslclient")
    assert verify(folder, "etcd-ca", ETCD_CLIENT, "sslclient")
    assert not verify(folder, "ca", ETCD_CLIENT, "sslclient")
    for signer in HOOK_SIGNERS:
        assert verify(folder, "hook-ca", signer, "any")
        assert not verify(folder, "ca", signer, "any")


def test_keys_are_for_their_owner_only(folder: Path) -> None:
    keys = list(folder.glob("*-key.pem"))
    assert len(keys) * 2 == len(list(folder.iterdir()))
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}


def test_another_run_keeps_what_is_there(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "pki")
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert pki(copy) == ""
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    (copy / "system:gc-key.pem").unlink()
    assert pki(copy) == "made system:gc\n"
    assert verify(copy, "ca", "system:gc", "sslclient")


def test_certificates_that_have_expired_are_made_anew(tmp_path: Path) -> None:
    pki(tmp_path, "ann", "--days", "-1")
    assert not verify(tmp_path, "ca", "ann", "sslclient")
    assert pki(tmp_path, "ann") == "made ann\n"
    assert verify(tmp_path, "ca", "ann", "sslclient")


def test_further_users(tmp_path: Path) -> None:
    assert pki(tmp_path, "ann", "--user", "Jane Doe", "--user", "bob@example.com").splitlines() == [
        "made ca",
        "made ann",
        "made Jane Doe",
        "made bob@example.com",
    ]
    assert verify(tmp_path, "ca", "Jane Doe", "sslclient")


@pytest.mark.parametrize(
    "name", ["../ann", "", " ann", "a\nb", "a" * 65, "ca", "hook-ca", "etcd-client", "system:complete-signing"]
)
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    said = pki(tmp_path / "pki", "--user", name, status=1)
    assert said.startswith("support/pki: ")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_used_are_named(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "pki")
    (copy / "ca-key.pem").write_text("nonsense")
    said = pki(copy, "--user", "ann", status=1)
    assert f"{copy / 'ca.pem'} and {copy / 'ca-key.pem'} cannot be used" in said
    assert said.count("\n") == 1
