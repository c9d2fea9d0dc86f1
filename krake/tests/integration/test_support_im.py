"""`support/im` as somebody uses it by hand."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from realim.manager import Manager
from realkube.process import free_port

SUPPORT = Path(__file__).parents[3] / "support"


def call(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, SUPPORT / "im", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env=os.environ | environ)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/version", timeout=10) as answer:
            return bool(answer.read())
    except OSError:
        return False


@pytest.fixture
def port(im: Manager) -> Iterator[int]:
    """A free port, where IM is installed."""
    port = free_port()
    yield port
    shutil.rmtree(SUPPORT.parent / "tmp" / "im" / f"test-{port}", ignore_errors=True)


def test_it_runs_until_it_is_interrupted(port: int) -> None:
    command = [sys.executable, SUPPORT / "im", "--no-docker", "--port", str(port), "--name", f"test-{port}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        assert process.stdout.readline() == f"http://localhost:{port}\n"
        assert answers(port)
        second = call("--no-docker", "--port", str(port), "--name", "another")
        assert second.returncode == 1
        assert f"The port {port} of this machine is in use" in second.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "Ready." in process.stderr.read()
    assert not answers(port)


def test_it_runs_in_the_background_until_it_is_stopped(port: int) -> None:
    name = f"test-{port}"
    begun = call("--no-docker", "--port", str(port), "--name", name, "--detach")
    try:
        assert begun.returncode == 0, begun.stderr
        assert begun.stdout == f"http://localhost:{port}\n"
        assert answers(port)
    finally:
        assert call("--no-docker", "--stop", "--name", name).returncode == 0
    assert not answers(port)
    again = call("--no-docker", "--stop", "--name", name)
    assert again.returncode == 1
    assert again.stderr == f"No IM of the name {name} runs in the background.\n"


def test_docker_is_used_where_it_runs(port: int, tmp_path: Path) -> None:
    """There is no Docker here: what stands for it says what it is asked, and gives up."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$1" = info ] && exit 0\necho "docker $*" >&2\nexit 5\n')
    docker.chmod(0o755)
    ended = call("--port", str(port), "--name", "mine", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert ended.returncode == 1
    assert f"docker run --rm --name mine --publish 127.0.0.1:{port}:8800 grycap/im\n" in ended.stderr
    assert "Docker ended with status 5" in ended.stderr
