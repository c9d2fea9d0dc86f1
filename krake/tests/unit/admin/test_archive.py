"""The file of a backup: what is written is read, and nothing else is taken for it."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.admin.archive import ArchiveWriter, Damaged, Header, read_archive

HEADER = Header("2.0.0", 1, 42, "2026-01-02T03:04:05+00:00")
ENTRIES = {"/core/roles/a": b'{"a": 1}', "/core/roles/b": b"\xff\x00{", "/core/roles/\udcff": b""}


def write(path: Path, entries: dict[str, bytes] = ENTRIES) -> Path:
    with ArchiveWriter(path, HEADER) as archive:
        for key, value in entries.items():
            archive.add(key, value)
    return path


@given(st.dictionaries(st.text(), st.binary()))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, bytes]) -> None:
    archive = read_archive(write(tmp_path_factory.mktemp("archive") / "all.krake", entries))
    assert archive.header == HEADER
    assert archive.keys == entries.keys()
    assert dict(archive.entries()) == entries


def test_the_file_is_its_owners_and_there_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "all.krake"
    with ArchiveWriter(path, HEADER):
        assert not path.exists()
    path.unlink()
    with pytest.raises(ZeroDivisionError), ArchiveWriter(path, HEADER):
        1 / 0  # noqa: B018 - whatever goes wrong
    assert list(tmp_path.iterdir()) == []
    assert write(path).stat().st_mode & 0o777 == 0o600
    with pytest.raises(ZeroDivisionError), ArchiveWriter(path, HEADER):
        1 / 0  # noqa: B018
    assert read_archive(path).keys == ENTRIES.keys()


Lines = list[bytes]


def rewritten(change: Callable[[Lines], Lines]) -> Callable[[bytes], bytes]:
    return lambda data: gzip.compress(b"".join(change(gzip.decompress(data).splitlines(keepends=True))))


def with_header(**changes: Any) -> Callable[[bytes], bytes]:
    return rewritten(lambda lines: [json.dumps({**json.loads(lines[0]), **changes}).encode() + b"\n", *lines[1:]])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (rewritten(lambda lines: [lines[0], lines[1].replace(b"1", b"2"), *lines[2:]]), "its content is not what was written"),
        (rewritten(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]), "its content is not what was written"),
        (rewritten(lambda lines: [lines[0], *lines[2:]]), "its content is not what was written"),
        (rewritten(lambda lines: [*lines[:2], lines[1], *lines[2:]]), "its content is not what was written"),
        (rewritten(lambda lines: lines[:-1]), "its end is missing"),
        (rewritten(lambda lines: [*lines, lines[1]]), "something follows its end"),
        (rewritten(lambda lines: [lines[0], b"nonsense\n", *lines[1:]]), "a line is not what was written"),
        (rewritten(lambda lines: [lines[0], b'{"key": "a"}\n', *lines[1:]]), "an entry is none"),
        (rewritten(lambda lines: []), "is no backup of Krake"),
        (lambda data: data[:-20], "is damaged"),
        (lambda data: data[:40], "is damaged"),
        (lambda data: data * 2, "something follows its end"),
        (lambda data: data[:60] + bytes([data[60] ^ 0x10]) + data[61:], "damaged"),
        (lambda data: b"kind: Role\n", "no backup at all"),
        (lambda data: b"", "is no backup of Krake"),
        (with_header(version=2), "has version 2 of the format"),
        (with_header(revision=1), "its content is not what was written"),
        (with_header(schema="x"), "does not tell what it holds"),
        (with_header(format="other"), "is no backup of Krake"),
    ],
)
def test_damage_is_noticed(tmp_path: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    path = write(tmp_path / "all.krake")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Damaged, match=said):
        read_archive(path)


def test_a_file_that_changes_while_it_is_used(tmp_path: Path) -> None:
    archive = read_archive(write(tmp_path / "all.krake"))
    write(tmp_path / "all.krake", {"/core/roles/a": b"{}"})
    with pytest.raises(Damaged, match="has been changed meanwhile"):
        list(archive.entries())
