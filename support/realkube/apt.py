"""Debian's package manager with source files, lists and caches of its own: the machine's settings stay untouched."""

import re
from pathlib import Path

SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


def derive_sources(text: str, *, deb822: bool) -> str:
    """Rewrite one of the machine's apt source files so that it offers source packages beside the binary ones."""
    if deb822:
        return re.sub(r"(?im)^types:.*$", "Types: deb deb-src", text)
    lines = [line for line in text.splitlines() if line.startswith(("deb ", "deb\t"))]
    return "".join(f"{line}\ndeb-src{line[3:]}\n" for line in lines)


def prepare_apt(scratch: Path) -> list[str]:
    """Make what apt needs in *scratch*, and return the options by which it uses that and the machine's package sources."""
    parts = scratch / "sources.d"
    for folder in (parts, scratch / "lists" / "partial", scratch / "archives" / "partial"):
        folder.mkdir(parents=True)
    for path in SOURCES:
        if path.is_file():
            text = derive_sources(path.read_text(), deb822=path.suffix == ".sources")
            (parts / f"machine{path.suffix}").write_text(text)
    options = {
        "APT::Get::Assume-Yes": "true",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": parts,
        "Dir::State::lists": scratch / "lists",
        "Dir::Cache": scratch,
        "Dir::Cache::archives": scratch / "archives",
        "Acquire::Retries": 3,
        "DPkg::Lock::Timeout": 120,
        "Acquire::http::Timeout": 60,
    }
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
