"""What is made of files follows them."""

import os
from pathlib import Path

import pytest

from krake.renewal import Renewed


def read(path: Path) -> str:
    text = path.read_text()
    if text == "broken":
        raise ValueError("it is broken")
    return text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("first")
    return path


def test_a_change_is_seen_and_nothing_is_read_without_one(path: Path) -> None:
    reads: list[str] = []

    def make() -> str:
        reads.append(read(path))
        return reads[-1]

    renewed = Renewed([str(path)], make, interval=0)
    assert [renewed.value, renewed.value] == ["first", "first"]
    assert reads == ["first"]
    path.write_text("second")
    assert renewed.value == "second"


def test_a_file_of_the_same_time_and_size_that_takes_the_place_is_seen(path: Path, tmp_path: Path) -> None:
    renewed = Renewed([str(path)], lambda: read(path), interval=0)
    other = tmp_path / "other"
    other.write_text("FIRST")
    found = path.stat()
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(path)
    assert renewed.value == "FIRST"


def test_what_cannot_be_used_is_told_once_and_changes_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    renewed = Renewed([str(path)], lambda: read(path), interval=0)
    path.write_text("broken")
    assert [renewed.value, renewed.value] == ["first", "first"]
    assert [record.getMessage() for record in caplog.records] == [
        "Changed files cannot be used, so that what they held before stays in use: it is broken"
    ]
    path.write_text("mended")
    assert renewed.value == "mended"


def test_files_are_not_looked_at_all_the_time(path: Path) -> None:
    renewed = Renewed([str(path)], lambda: read(path), interval=3600)
    path.write_text("second")
    assert renewed.value == "first"


def test_the_first_time_it_fails(path: Path) -> None:
    path.write_text("broken")
    with pytest.raises(ValueError, match="it is broken"):
        Renewed([str(path)], lambda: read(path))
