"""No process writes a secret anywhere: not to a log, and not into the files of etcd."""

import base64
import stat
from pathlib import Path

import yaml
from fixtures.up import StartKrake, wait_for

PLANTED = base64.b64encode(b"pl4nted by a user of krake").decode()
MANIFEST = f"""\
apiVersion: v1
kind: Secret
metadata:
  name: login
data:
  password: {PLANTED}
"""
ECHO_DEMO = "examples/templates/applications/echo-demo.yaml"


def credentials_of(kubeconfig: Path) -> list[str]:
    """The texts that somebody logs in with."""
    users = yaml.safe_load(kubeconfig.read_text())["users"]
    return [value for entry in users for key, value in entry["user"].items() if key != "username"]


def holding(directory: Path, texts: list[str]) -> dict[str, str]:
    """The files below a directory that hold one of the texts."""
    found = {}
    for path in directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found |= {str(path.relative_to(directory)): text for text in texts if text.encode() in content}
    return found


def test_secrets_stay_secret(start_krake: StartKrake, tmp_path: Path) -> None:
    krake = start_krake("--simulated-clusters", "1")
    manifest = tmp_path / "login.yaml"
    manifest.write_text(MANIFEST)
    krake.rok("kube", "cluster", "register", "-k", krake.kubeconfigs[0])
    krake.rok("kube", "app", "create", "-f", manifest, "login", "--wait", "running")
    krake.rok("kube", "app", "create", "-f", ECHO_DEMO, "echo-demo", "--hook-complete", "--wait", "running")
    krake.rok("kube", "app", "create", "-f", manifest, "login", check=False)
    krake.rok("kube", "app", "delete", "login")
    wait_for("the end of the application", lambda: len(krake.rok_json("kube", "app", "list")) == 1)
    cluster = krake.rok_json("kube", "cluster", "get", "sim-1")
    planted = [PLANTED, *credentials_of(krake.kubeconfigs[0])]
    shown = [value for entry in cluster["spec"]["kubeconfig"]["users"] for value in entry["user"].values()]
    assert set(planted[1:]) <= set(shown)
    assert krake.stop() == 0
    found = holding(krake.directory, planted)
    # The simulator is not Krake: it knows its own credentials, and what was applied.
    assert {where: text for where, text in found.items() if not where.startswith("clusters/")} == {}
    assert holding(krake.directory / "etcd", ["sealed:v1:"])
    assert stat.S_IMODE((krake.directory / "secrets.keys").stat().st_mode) == 0o600
