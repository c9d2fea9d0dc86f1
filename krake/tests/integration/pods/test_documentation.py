"""The commands of docs/dev/real-pods.md work; the clusters and Krake itself run already."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from fixtures.real_pods import RealPods
from fixtures.terminal import commands
from fixtures.up import ROOT, StartKrake

PAGE = ROOT / "docs" / "dev" / "real-pods.md"
RUN_OTHERWISE = {
    "source .venv/bin/activate",
    "python3 support/kubernetes --pods --build-only",
    'sudo HOME="$HOME" "$(command -v python3)" support/kubernetes --pods --dir tmp/pods',
}


def test_commands_work(real_pods: RealPods, start_krake: StartKrake, tmp_path: Path) -> None:
    krake = start_krake()
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    shutil.copy(krake.directory / "rok.yaml", tmp_path / "rok.yaml")
    for cluster in real_pods.clusters:
        place = tmp_path / "tmp" / "pods" / cluster.name
        place.mkdir(parents=True)
        (place / "kubeconfig").symlink_to(cluster.kubeconfig_path)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    written = commands(PAGE)
    assert set(written) >= RUN_OTHERWISE
    printed = ""
    for command in (each for each in written if each not in RUN_OTHERWISE):
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    assert "real path=/hello" in printed
    krake.stop()
