"""`krake up`: what it says when ready, that it mends what dies, and that it leaves nothing behind."""

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from fixtures.up import ROOT, RunningKrake, StartKrake, alive, launch, wait_for, wait_until_ready

from krake.admin.bootstrap.command import main as add_objects

PARTS = {"etcd", "api", "gc", "scheduler", "cluster", "application", "infrastructure", "magnum", "simulator"}


def ask(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError):
        return None


def up(*options: str) -> subprocess.CompletedProcess[str]:
    """Run a `krake up` that is to end by itself."""
    command = [sys.executable, "-m", "krake", "up", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_everything_is_ready_when_it_says_so(krake: RunningKrake) -> None:
    assert set(krake.ready["pids"]) == PARTS
    assert all(alive(pid) for pid in krake.ready["pids"].values())
    assert ask(krake.api) == {"version": "2.0.0"}
    assert [path.name for path in krake.kubeconfigs] == ["sim-1.yaml", "sim-2.yaml", "sim-3.yaml"]


def test_administrators_are_told_where_the_store_is(krake: RunningKrake) -> None:
    port = str(krake.ready["etcd_port"])
    assert add_objects(["--db-port", port, str(ROOT / "support/static_metrics.yaml")]) == 0
    assert krake.rok_json("core", "gmp", "list")


def test_parts_that_die_are_started_again_and_nothing_is_lost(start_krake: StartKrake) -> None:
    krake = start_krake("--simulated-clusters", "1")
    krake.rok("kube", "cluster", "register", "-k", krake.kubeconfigs[0])
    for part in sorted(PARTS - {"simulator"}):
        before = krake.ready["pids"][part]
        os.kill(before, signal.SIGKILL)
        wait_for(f"another {part}", lambda part=part, before=before: krake.ready["pids"][part] != before)
    krake.rok("kube", "app", "create", "-f", "examples/templates/applications/echo-demo.yaml", "echo-demo", "--wait", "running")
    assert krake.rok_json("kube", "cluster", "get", "sim-1")["status"]["state"] == "ONLINE"


def test_stops_cleanly(start_krake: StartKrake) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        krake = start_krake("--simulated-clusters", "1")
        pids = krake.ready["pids"].values()
        assert krake.stop(number) == 0
        assert not any(alive(pid) for pid in pids)
        assert not (krake.directory / "ready.json").exists()


def test_simulated_clusters_stay_reachable_when_their_part_dies(start_krake: StartKrake) -> None:
    krake = start_krake("--simulated-clusters", "2")
    for kubeconfig in krake.kubeconfigs:
        krake.rok("kube", "cluster", "register", "-k", kubeconfig)
    krake.rok("kube", "app", "create", "-f", "examples/templates/applications/echo-demo.yaml", "echo-demo", "--wait", "running")
    kubeconfigs = [path.read_text() for path in krake.kubeconfigs]
    before = krake.ready["pids"]["simulator"]
    os.kill(before, signal.SIGKILL)
    wait_for("another simulator", lambda: krake.ready["pids"]["simulator"] != before)
    assert [path.read_text() for path in krake.kubeconfigs] == kubeconfigs

    def echo() -> bytes:
        services = krake.rok_json("kube", "app", "get", "echo-demo")["status"]["services"]
        try:
            with urllib.request.urlopen(f"http://{services['echo-demo']}", timeout=5) as page:
                return bytes(page.read())
        except (KeyError, OSError):
            return b""

    wait_for("the application to run again", lambda: b"Hostname: echo-demo-" in echo(), 60)


def test_stops_in_order_when_its_terminal_is_closed(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "krake", "up", "--api-port", "0", "--data-dir", str(tmp_path)]
    command += ["--ready-file", str(tmp_path / "ready.json")]
    # `setsid --ctty` makes it the terminal of the command, as a terminal window does.
    process = subprocess.Popen(["setsid", "--ctty", *command], stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    try:
        wait_for("Krake to be ready", (tmp_path / "ready.json").exists, 90)
        pids = json.loads((tmp_path / "ready.json").read_text())["pids"].values()
    finally:
        os.close(master)
    assert process.wait(60) == 0
    assert not any(alive(pid) for pid in pids)
    assert not (tmp_path / "ready.json").exists()


def test_goes_on_when_nobody_reads_its_log_any_more(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "krake", "up", "--api-port", "0", "--data-dir", str(tmp_path)]
    command += ["--ready-file", str(tmp_path / "ready.json")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    try:
        wait_for("Krake to be ready", (tmp_path / "ready.json").exists, 90)
        before = json.loads((tmp_path / "ready.json").read_text())["pids"]["gc"]
        os.kill(before, signal.SIGKILL)
        wait_for("another gc", lambda: json.loads((tmp_path / "ready.json").read_text())["pids"]["gc"] != before)
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_letters_that_the_terminal_lacks_do_not_hurt(tmp_path: Path) -> None:
    directory = tmp_path / "Kraken-Häuschen"
    directory.mkdir()
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    krake = launch(directory, "--simulated-clusters", "1", variables=ascii_only)
    try:
        wait_until_ready(krake)
        assert krake.kubeconfigs == [directory / "clusters" / "sim-1.yaml"]
    finally:
        krake.stop()
    assert "Kraken-H" in krake.log


def test_a_second_signal_ends_it_at_once(start_krake: StartKrake) -> None:
    krake = start_krake()
    pids = krake.ready["pids"]
    os.kill(pids["gc"], signal.SIGSTOP)  # So it can not stop in order.
    krake.process.send_signal(signal.SIGINT)
    wait_for("the stop to begin", lambda: "Krake stops." in krake.log)
    wait_for("the first signal to be over", lambda: krake.process.send_signal(signal.SIGINT) or krake.process.poll(), 5)
    assert krake.process.wait(5) == 128 + signal.SIGINT
    wait_for("the parts to end", lambda: not any(alive(pid) for pid in pids.values()))


def test_says_why_etcd_does_not_start(start_krake: StartKrake, tmp_path: Path) -> None:
    krake = start_krake()
    krake.stop()
    shutil.copytree(krake.directory / "etcd", tmp_path / "etcd")
    (tmp_path / "etcd" / "data" / "member" / "snap" / "db").write_bytes(b"nonsense" * 1000)
    broken = up("--api-port", "0", "--data-dir", str(tmp_path))
    assert broken.returncode == 1
    assert "krake up: etcd did not start: it ended with status 2; its last words in" in broken.stderr
    assert "failed to open database: " in broken.stderr


def test_no_part_outlives_it(start_krake: StartKrake) -> None:
    krake = start_krake()
    pids = list(krake.ready["pids"].values())
    krake.stop(signal.SIGKILL)
    wait_for("the parts to end", lambda: not any(alive(pid) for pid in pids))


def test_data_survives(start_krake: StartKrake, tmp_path: Path) -> None:
    krake = start_krake()
    krake.rok("kube", "app", "create", "-f", "examples/templates/applications/echo-demo.yaml", "kept")
    krake.stop(signal.SIGKILL)
    again = launch(krake.directory)
    try:
        wait_for("Krake to be ready again", lambda: (krake.directory / "ready.json").exists() and ask(again.api))
        (krake.directory / "rok.yaml").write_text(f"api_url: {again.api}\n")
        assert [app["metadata"]["name"] for app in again.rok_json("kube", "app", "list", "-n", "system:admin")] == ["kept"]
    finally:
        again.stop()


def test_says_what_is_in_the_way(krake: RunningKrake, tmp_path: Path) -> None:
    second = up("--api-port", "0", "--data-dir", str(krake.directory))
    assert second.returncode == 1
    assert f"Process {krake.process.pid} runs Krake in {krake.directory} already" in second.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        blocked = up("--api-port", str(taken.getsockname()[1]), "--data-dir", str(tmp_path))
    assert blocked.returncode == 1
    assert "choose another --api-port" in blocked.stderr

    file = tmp_path / "file"
    file.touch()
    unwritable = up("--api-port", "0", "--data-dir", str(file / "below"))
    assert unwritable.returncode == 1
    assert "choose another --data-dir" in unwritable.stderr
    unready = up("--api-port", "0", "--data-dir", str(tmp_path), "--ready-file", str(file / "below"))
    assert unready.returncode == 1
    assert f"The ready file {file / 'below'} can not be written" in unready.stderr
