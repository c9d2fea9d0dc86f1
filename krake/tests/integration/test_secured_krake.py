"""All of Krake under TLS and RBAC: the shipped roles, and nothing else, let every controller do its work."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.secured import SecuredKrake, secured_krake
from testpki.directory import USERS, Directory

TEAM = "team-a"
ECHO = "examples/templates/applications/echo-demo.yaml"
UPDATE = "examples/templates/applications/echo-demo-update.yaml"
EDITOR = {
    "metadata": {"name": "team-a"},
    "rules": [
        {
            "api": "kubernetes",
            "resources": ["applications", "clusters"],
            "namespaces": [TEAM],
            "verbs": ["create", "list", "get", "update", "delete"],
        }
    ],
}


@pytest.fixture(scope="module")
async def krake(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredKrake]:
    async with secured_krake(tmp_path_factory.mktemp("krake"), clusters=2) as krake:
        yield krake


def check_nobody_else_was_refused(krake: SecuredKrake) -> None:
    """Who was refused stands in the audit log."""
    lines = krake.audit()
    refused = [line for line in lines if line["decision"] != "allow"]
    assert {line["user"] for line in refused} == {"ann", "bob"}, refused
    wrote = {line["user"] for line in lines if line["verb"] in ("update", "delete", "create")}
    workers = {"system:gc", "system:scheduler", "system:kubernetes-application", "system:kubernetes-cluster"}
    assert workers <= wrote
    assert {line["user"] for line in lines} - {""} <= {"ann", "bob", *USERS}
    assert {line["way"] for line in lines} <= {"certificate", ""}
    for name, log in krake.logs.items():
        assert not [line for line in log if re.search("Traceback|refuse", line)], name


@pytest.mark.slow
async def test_a_user_of_one_namespace_and_all_controllers_do_their_work(krake: SecuredKrake) -> None:
    async with krake.as_user("system:admin") as admin:
        assert (await admin.post("/core/roles", EDITOR)).status == 201
        binding = {"metadata": {"name": TEAM}, "users": ["ann"], "roles": [TEAM]}
        assert (await admin.post("/core/rolebindings", binding)).status == 201

    for kubeconfig, location in zip(krake.kubeconfigs, ("DE", "SK"), strict=True):
        await krake.rok("ann", "kube", "cluster", "register", "-k", kubeconfig, "-l", f"location={location}", namespace=TEAM)

    async def placed() -> Any:
        app = await krake.rok_json("ann", "kube", "app", "get", "echo-demo", namespace=TEAM)
        assert app["status"]["state"] == "RUNNING"
        return app["status"]["running_on"]["name"]

    app = ("kube", "app")
    wait = ("--wait", "running", "--timeout", "60")
    await krake.rok("ann", *app, "create", "-f", ECHO, "echo-demo", "-L", "location=DE", *wait, namespace=TEAM)
    assert await placed() == "sim-1"
    await krake.rok("ann", *app, "update", "echo-demo", "-f", UPDATE, *wait, namespace=TEAM)
    await krake.rok("ann", *app, "update", "echo-demo", "-L", "location=SK", *wait, namespace=TEAM)
    assert await placed() == "sim-2"

    events = await krake.rok_json("system:admin", "events", namespace=TEAM)
    assert {"Application", "Cluster"} <= {event["regarding"]["kind"] for event in events}

    # Neither others nor elsewhere.
    assert "403" in await krake.rok("bob", *app, "list", namespace=TEAM, status=1)
    assert "403" in await krake.rok("ann", *app, "list", namespace="team-b", status=1)

    assert [each["metadata"]["name"] for each in await krake.rok_json("system:admin", *app, "list", namespace=TEAM)] == [
        "echo-demo"
    ]
    await krake.rok("system:admin", *app, "delete", "echo-demo", "--wait", "deleted", namespace=TEAM)
    for name in ("sim-1", "sim-2"):
        await krake.rok("ann", "kube", "cluster", "delete", name, "--wait", "deleted", namespace=TEAM)
    assert await krake.rok_json("ann", *app, "list", namespace=TEAM) == []
    check_nobody_else_was_refused(krake)


@pytest.mark.slow
async def test_nonsense_leaves_no_traceback_in_the_log(krake: SecuredKrake) -> None:
    host, port = krake.url.removeprefix("https://").split(":")
    for words in (b"GET / HTTP/1.1\r\nHost: krake\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" + b"\x00" * 600, b""):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(words)
        if not words:
            writer.write_eof()
        async with asyncio.timeout(30):
            await reader.read()
        writer.close()
    async with krake.as_user("system:admin") as admin:
        assert (await admin.get("/me")).status == 200
    assert not [line for line in krake.logs["api"] if re.search("Traceback|ERROR|Fatal", line)]


@pytest.mark.slow
async def test_a_controller_of_another_authority_gets_nowhere(krake: SecuredKrake, tmp_path: Path) -> None:
    strangers = Directory(tmp_path)
    stranger = SecuredKrake(krake.folder, krake.url, strangers, krake.logs)
    assert "does not accept your certificate" in await stranger.rok(
        "system:gc", "kube", "app", "list", namespace=TEAM, status=1
    )
