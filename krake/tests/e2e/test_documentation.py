"""Every command of the documentation works, in the order in which it stands there.

The commands of a page are those in its ``console`` blocks. `krake up` is running, so a page's own start of it is left out; what
it sets in the environment is set.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.terminal import commands
from fixtures.up import ROOT, StartKrake

TESTED_ELSEWHERE = {"infrastructure-providers.md", "local-clusters.md", "magnum.md"}
"""By test_infrastructure_story.py, test_local_clusters.py and test_magnum_story.py."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "user").glob("*.md"))]
RUN_OTHERWISE = {
    "scripts/quickstart": "test_scripts.py runs it",
    "scripts/test": "this is it",
    "source .venv/bin/activate": "the environment of the tests",
    "krake up --simulated-clusters 2": "runs already",
}


STARTED = re.compile(r"((?:KRAKE_\w+=\S+ )+)krake up ")


def settings_of(page: Path) -> dict[str, str]:
    """What the page sets in the environment of `krake up`."""
    found = STARTED.search(page.read_text())
    return dict(each.split("=", 1) for each in found[1].split()) if found else {}


def commands_here(page: Path) -> list[str]:
    return [command for command in commands(page) if command not in RUN_OTHERWISE]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in TESTED_ELSEWHERE and commands_here(page)], ids=lambda page: page.name
)
def test_commands_work(page: Path, start_krake: StartKrake, tmp_path: Path) -> None:
    krake = start_krake("--simulated-clusters", "2", variables=settings_of(page))
    for name in ("examples", "docs", "support", "templates"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "tmp").symlink_to(krake.directory)
    shutil.copy(krake.directory / "rok.yaml", tmp_path / "rok.yaml")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands_here(page):
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    krake.stop()
