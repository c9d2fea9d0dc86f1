"""Hooks of all of Krake under TLS and RBAC: containers call back with certificates of their own."""

import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from fixtures.kubernetes_api import KubernetesApi
from fixtures.pki import Files, https
from fixtures.polling import until
from fixtures.secured import SecuredKrake, secured_krake

TEAM = "team-a"
APP = ("kube", "app")
ADMIN = "system:admin"
SHUTDOWN = {"fake-node/calls-on-put": "KRAKE_SHUTDOWN"}
COMPLETE = {"fake-node/calls-when-ready": "KRAKE_COMPLETE"}


@pytest.fixture(scope="module")
async def krake(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredKrake]:
    async with secured_krake(tmp_path_factory.mktemp("krake"), clusters=2) as krake:
        for kubeconfig in krake.kubeconfigs:
            await krake.rok(ADMIN, "kube", "cluster", "register", "-k", kubeconfig, "-l", "zone=a", namespace=TEAM)
        yield krake


def manifest(name: str, annotations: dict[str, str]) -> list[dict[str, Any]]:
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "registry.example/app:1"}]}
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    service = {"type": "NodePort", "selector": labels, "ports": [{"port": 10000}]}
    metadata = {"name": f"{name}-shutdown", "labels": {"krake.cloud/hook": "shutdown"}}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]


async def create(krake: SecuredKrake, folder: Path, name: str, annotations: dict[str, str], *options: str) -> Any:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump_all(manifest(name, annotations)))
    wait = ("--wait", "creating", "--timeout", "60")
    return await krake.rok_json(ADMIN, *APP, "create", name, "-f", str(path), *options, *wait, namespace=TEAM)


async def until_running(krake: SecuredKrake, name: str) -> Any:
    return await krake.rok_json(ADMIN, *APP, "update", name, "--wait", "running", "--timeout", "60", namespace=TEAM)


async def secret(krake: SecuredKrake, app: Any, name: str) -> dict[str, str]:
    place = app["status"]["running_on"]["name"]
    path = next(each for each in map(Path, krake.kubeconfigs) if each.stem == place)
    async with KubernetesApi(yaml.safe_load(path.read_text())) as api:
        found = await api.get(f"/api/v1/namespaces/default/secrets/{name}")
    assert found.status == 200
    return {key: base64.b64decode(value).decode() for key, value in found.body["data"].items()}


def check_logs(krake: SecuredKrake) -> None:
    for name, log in krake.logs.items():
        assert not [line for line in log if "Traceback" in line], name


@pytest.mark.slow
async def test_a_container_is_asked_and_calls_back_by_tls(krake: SecuredKrake, tmp_path: Path) -> None:
    created = await create(krake, tmp_path, "asked", SHUTDOWN, "--hook-shutdown=600,give_up,0")
    assert created["spec"]["hooks"] == ["shutdown"]
    await krake.rok(ADMIN, *APP, "delete", "asked", "--wait", "deleted", "--timeout", "60", namespace=TEAM)
    callers = [line for line in krake.audit() if line["user"] == "system:shutdown-hook"]
    assert {(line["way"], line["status"]) for line in callers} == {("certificate", 200)}
    events = [event["reason"] for event in await krake.rok_json(ADMIN, "events", namespace=TEAM)]
    assert {"ShutdownRequested", "ShutdownAcknowledged"} <= set(events)
    check_logs(krake)


@pytest.mark.slow
async def test_a_container_says_by_tls_that_it_is_complete(krake: SecuredKrake, tmp_path: Path) -> None:
    await create(krake, tmp_path, "works", COMPLETE, "--hook-complete")

    async def is_gone() -> bool:
        return "works" not in [each["metadata"]["name"] for each in await krake.rok_json(ADMIN, *APP, "list", namespace=TEAM)]

    await until(is_gone, 60)
    assert "system:complete-hook" in {line["user"] for line in krake.audit()}
    check_logs(krake)


@pytest.mark.slow
async def test_what_a_container_holds_opens_nothing_but_its_own_door(krake: SecuredKrake, tmp_path: Path) -> None:
    await create(krake, tmp_path, "one", {}, "--hook-shutdown", "600")
    await create(krake, tmp_path, "other", {}, "--hook-shutdown", "600")
    one, other = await until_running(krake, "one"), await until_running(krake, "other")
    certs, token = (
        await secret(krake, one, "one-krake-shutdown-secret-certs"),
        await secret(krake, one, "one-krake-shutdown-secret-token"),
    )
    assert token["krake_shutdown_url"] == f"{krake.url}/kubernetes/namespaces/{TEAM}/applications/one/shutdown"
    certificate = x509.load_pem_x509_certificate(certs["cert.pem"].encode())
    assert certificate.subject.rfc4514_string() == "CN=system:shutdown-hook"
    assert certs["cert.pem"] != (await secret(krake, other, "other-krake-shutdown-secret-certs"))["cert.pem"]
    files = Files(tmp_path / "cert.pem", tmp_path / "key.pem")
    files.certificate.write_text(certs["cert.pem"])
    files.key.write_text(certs["key.pem"])
    ca = tmp_path / "ca-bundle.pem"
    ca.write_text(certs["ca-bundle.pem"])
    apps = f"/kubernetes/namespaces/{TEAM}/applications"
    body = {"token": token["krake_shutdown_token"]}
    async with https(krake.url, ca, files) as container:
        assert (await container.put(f"{apps}/one/shutdown", body)).status == 200
        assert (await container.put(f"{apps}/other/shutdown", body)).status == 401
        assert (await container.put(f"{apps}/one/complete", body)).status == 403
        assert (await container.get(f"{apps}/one")).status == 403
        assert (await container.get("/kubernetes/applications")).status == 403
    # Nobody had asked it.
    assert (await krake.rok_json(ADMIN, *APP, "get", "one", namespace=TEAM))["status"]["state"] == "RUNNING"
    # Who may see secrets sees them in the status; nobody sees them in a log.
    async with krake.as_user(ADMIN) as admin:
        shown = (await admin.get(f"{apps}/one")).json
        assert shown["status"]["shutdown_key"] == certs["key.pem"]
    assert not [line for log in krake.logs.values() for line in log if re.search(re.escape(body["token"]), line)]
    check_logs(krake)
