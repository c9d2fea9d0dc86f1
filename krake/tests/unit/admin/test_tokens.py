"""The command that makes tokens, and the file that the API knows them by."""

import hashlib
import threading
from pathlib import Path

import pytest

from krake.__main__ import main
from krake.adapters.identity import TokenFile
from krake.ports.identity import Rejected, User


def create(name: str, file: Path) -> int:
    return main(["token", "create", name, "--file", str(file)])


async def test_a_token_is_good_for_its_user_and_stands_in_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tokens"
    tokens = {}
    for name in ("system:scheduler", "änne@example.org"):
        assert create(name, file) == 0
        tokens[name] = capsys.readouterr().out.strip()
    assert file.stat().st_mode & 0o777 == 0o600
    known = TokenFile(str(file))
    for name, token in tokens.items():
        assert await known.identify(token) == User(name)
        assert token not in file.read_text()
        assert len(token) > 40
    with pytest.raises(Rejected):
        await known.identify(hashlib.sha256(tokens["system:scheduler"].encode()).hexdigest())


def test_what_is_in_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# by hand")
    file.chmod(0o640)
    threads = [threading.Thread(target=create, args=(f"user-{number}", file)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, *others = file.read_text().splitlines()
    assert first == "# by hand"
    assert sorted(line.split()[0] for line in others) == [f"user-{number}" for number in range(8)]
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["", "two words", "#1", "a\nsystem:admin", "a\u200bb"])
def test_names_that_would_break_the_file(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert create(name, tmp_path / "tokens") == 1
    assert "name" in capsys.readouterr().err
    assert not (tmp_path / "tokens").exists()


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert create("ann", tmp_path / "missing" / "tokens") == 1
    captured = capsys.readouterr()
    assert "missing" in captured.err
    assert not captured.out
