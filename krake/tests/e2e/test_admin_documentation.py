"""Every command of docs/admin works, in the order in which it stands there, on the secured Krake that its `setup.md` sets up.

What `setup.md` starts goes on running, and the other pages are followed beside it. A block of YAML that begins with the name of
a file is put into this file, as the reader is told to; one that names a path elsewhere is only checked.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.generated import CONFIGS
from fixtures.terminal import File, Terminal, commands, steps
from fixtures.up import ROOT

from krake.config import read
from krake.up.process import free_port

ADMIN = ROOT / "docs" / "admin"
SETUP = ADMIN / "setup.md"
# In the order of reading; the last one takes the store from the API that runs.
PAGES = ["configuration", "bootstrap", "authorization", "authentication", "secrets", "backup", "monitoring", "tls"]
SERVICES = re.compile(r"(etcd |python3 -m krake\.(?!.* --check))")
RUN_OTHERWISE = {
    "python3 -m venv .venv": "the environment of the tests",
    "source .venv/bin/activate": "the environment of the tests",
    "pip install './krake[up]' ./rok": "the environment of the tests",
    "krake up": "test_up.py runs it",
}


def follow(page: Path, terminal: Terminal) -> None:
    """Do what the page says."""
    for step in steps(page):
        if isinstance(step, File):
            if "/" not in step.name:
                put(terminal.folder / step.name, terminal.with_free_ports(step.text))
        elif step not in RUN_OTHERWISE:
            # The only place of ports that are not named.
            terminal.run(step.replace("krake_generate_config ", "krake_generate_config --api-port 8080 --etcd-port 2379 "))
    terminal.check_services()


def put(file: Path, text: str) -> None:
    """Write a file, or put keys beside those that it has."""
    if file.exists():
        text = yaml.safe_dump(merge(yaml.safe_load(file.read_text()), yaml.safe_load(text)))
    file.write_text(text)


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        inner = old.get(key)
        merged[key] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal in which all of `setup.md` was done."""
    ports = {named: str(free_port()) for named in ("8080", "2379")}
    with Terminal(tmp_path_factory.mktemp("admin"), SERVICES, ports) as terminal:
        follow(SETUP, terminal)
        yield terminal


def test_no_page_is_forgotten() -> None:
    with_commands = {page.stem for page in ADMIN.glob("*.md") if commands(page)}
    assert with_commands == {SETUP.stem, *PAGES}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_work(page: str, terminal: Terminal) -> None:
    follow(ADMIN / f"{page}.md", terminal)


FILES = [(page.stem, step) for page in sorted(ADMIN.glob("*.md")) for step in steps(page) if isinstance(step, File)]


@pytest.mark.parametrize(("page", "shown"), FILES, ids=[f"{page} {shown.name}" for page, shown in FILES])
def test_configurations_are_understood(page: str, shown: File, tmp_path: Path) -> None:
    file = tmp_path / Path(shown.name).name
    file.write_text(shown.text)
    if cls := CONFIGS.get(file.name):
        read(cls, file.name, str(file), {}, {})
    else:
        assert list(yaml.safe_load_all(shown.text))
