"""All components start with the files that the generator makes, from another folder than the one they were made in."""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fixtures.generated import ROOT, generate
from fixtures.tools import Tools
from testpki.directory import Directory

from krake.up.process import free_port, stop

CONTROLLERS = (
    "krake.controller.gc",
    "krake.controller.scheduler",
    "krake.controller.kubernetes.application",
    "krake.controller.kubernetes.cluster",
    "krake.controller.infrastructure",
    "krake.controller.magnum",
)


@contextlib.asynccontextmanager
async def component(module: str, folder: Path, ready: str) -> AsyncIterator[list[str]]:
    """Run a component that finds its configuration in *folder*, once it has said *ready*; gives what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith("KRAKE_")},
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(40):
            while line := (await process.stdout.readline()).decode():
                said.append(line)
                if ready in line:
                    break
            else:
                raise AssertionError(f"{module} ended: {''.join(said)}")
        draining = asyncio.create_task(process.stdout.read())
        yield said
    finally:
        await stop(process, 10)
    await draining


async def start_all(stack: AsyncExitStack, folder: Path) -> Sequence[str]:
    """Start the API and all controllers; returns what the API said."""
    said = await stack.enter_async_context(component("krake.api", folder, "Serving at"))
    async with asyncio.timeout(120):
        await asyncio.gather(*(stack.enter_async_context(component(each, folder, "is ready")) for each in CONTROLLERS))
    return said


def generate_elsewhere(tools: Tools, *options: str) -> Path:
    """Generate all files, and copy them to a folder of their own, as to ``/etc/krake``."""
    made = generate(tools.folder / "made", "--api-port", str(free_port()), "--etcd-port", tools.port, *options)
    etc = tools.folder / "etc"
    etc.mkdir()
    for path in made.glob("*.yaml"):
        shutil.copy(path, etc)
    return etc


@pytest.mark.slow
async def test_the_quickstart(tools: Tools) -> None:
    folder = generate_elsewhere(tools, "--allow-anonymous", "--static-authentication-enabled")
    async with AsyncExitStack() as stack:
        said = await start_all(stack, folder)
        rok = await tools("rok", "kube", "cluster", "list", "--config", str(folder / "rok.yaml"))
        assert (rok.status, rok.err) == (0, "")
    warnings = [line for line in said if "WARNING" in line]
    assert len(warnings) == 3
    expected = ("taken for system:admin", "known or not", "may do everything")
    assert all(part in warning for part, warning in zip(expected, warnings, strict=True))


@pytest.mark.slow
async def test_roles_and_tls(tools: Tools, shared_pki: Directory) -> None:
    folder = generate_elsewhere(tools, "--tls-enabled", "--cert-dir", str(shared_pki.folder))
    roles = str(ROOT / "templates" / "bootstrapping" / "base_roles.yaml")
    ended = await tools("krake.admin.bootstrap.command", "--config", str(folder / "api.yaml"), roles)
    assert ended.status == 0, ended.err
    async with AsyncExitStack() as stack:
        said = await start_all(stack, folder)
        assert not any("WARNING" in line for line in said)
        rok = await tools("rok", "kube", "cluster", "list", "--config", str(folder / "rok.yaml"))
        assert (rok.status, rok.err) == (0, "")
