"""Templates and archives as users declare them, by file and by address, with all of Krake running."""

import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fixtures.up import ROOT, RunningKrake, wait_for

EXAMPLES = ROOT / "examples"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address where the examples are, as a user may serve them."""
    (tmp_path / "echo-demo.yaml").write_text((EXAMPLES / "tosca" / "echo-demo.yaml").read_text())
    with zipfile.ZipFile(tmp_path / "echo-demo.csar", "w") as archive:
        for path in sorted((EXAMPLES / "csar").rglob("*")):
            archive.write(path, path.relative_to(EXAMPLES / "csar"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cluster(krake: RunningKrake) -> Iterator[None]:
    """A cluster to run on; what a failed test left behind is removed."""
    krake.rok("kube", "cluster", "register", "-k", krake.kubeconfigs[0])
    yield
    krake.rok("kube", "app", "delete", "echo-demo", "--force", check=False)
    for each in krake.rok_json("kube", "cluster", "list"):
        krake.rok("kube", "cluster", "delete", each["metadata"]["name"], "--force")


def replicas_of(app: dict[str, Any]) -> int:
    (found,) = [item["spec"]["replicas"] for item in app["spec"]["manifest"] if item["kind"] == "Deployment"]
    return int(found)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("source", ["file", "template", "archive"])
def test_a_template(krake: RunningKrake, served: str, source: str) -> None:
    given = {
        "file": ("-f", EXAMPLES / "tosca" / "echo-demo.yaml"),
        "template": ("-u", f"{served}/echo-demo.yaml"),
        "archive": ("-u", f"{served}/echo-demo.csar"),
    }[source]
    krake.rok("kube", "app", "create", "echo-demo", *given, "--input", "replicas=2", "--wait")
    app = krake.rok_json("kube", "app", "get", "echo-demo")
    assert [item["kind"] for item in app["spec"]["manifest"]] == ["Service", "Deployment"]
    assert replicas_of(app) == 2
    assert app["status"]["container_health"]["running_pods"] == 2
    krake.rok("kube", "app", "update", "echo-demo", "--input", "replicas=1", "--wait")
    app = krake.rok_json("kube", "app", "get", "echo-demo")
    assert replicas_of(app) == app["status"]["container_health"]["desired_pods"] == 1
    krake.rok("kube", "app", "delete", "echo-demo", "--wait")


@pytest.mark.usefixtures("cluster")
def test_a_template_that_is_not_there(krake: RunningKrake, served: str) -> None:
    krake.rok("kube", "app", "create", "echo-demo", "-u", f"{served}/gone.yaml")

    def reason() -> Any:
        return krake.rok_json("kube", "app", "get", "echo-demo")["status"]["reason"]

    assert wait_for("a reason", reason) == {
        "code": "INVALID_TOSCA_MANIFEST",
        "message": f"{served}/gone.yaml can not be fetched: its host answers HTTP 404.",
    }
    krake.rok("kube", "app", "update", "echo-demo", "-u", f"{served}/echo-demo.yaml", "--wait")
