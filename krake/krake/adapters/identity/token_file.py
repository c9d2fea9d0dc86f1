"""A file of tokens: lines ``NAME SHA256-OF-TOKEN``. What is in it is of no use to who reads it, as tokens are random."""

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from krake.ports.identity import Rejected, User
from krake.renewal import Renewed

logger = logging.getLogger(__name__)

NAME = re.compile(r"[^\s#]+")
_LINE = re.compile(rf"(?P<name>{NAME.pattern})\s+(?P<digest>[0-9a-fA-F]{{64}})")


def digest(token: str) -> str:
    """Return what stands in the file instead of *token*."""
    return hashlib.sha256(token.encode()).hexdigest()


def parse(text: str) -> tuple[Mapping[str, str], list[int]]:
    """Return the names by digest, and the numbers of the lines that are wrong. ``#`` begins a comment."""
    names: dict[str, str] = {}
    wrong: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        match = _LINE.fullmatch(content)
        if match is None or names.setdefault(match["digest"].lower(), match["name"]) != match["name"]:
            wrong.append(number)
    return names, wrong


class TokenFile:
    """Knows the users of a file, which may change at any time.

    :raises ValueError: the file can not be read, or a line is wrong; the message begins with ``file``.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        if wrong := self._parse()[1]:
            raise ValueError(
                f"file: Line {wrong[0]} of '{file}' is not NAME SHA256-OF-TOKEN, or has the token of another user."
            )
        self._names = Renewed([file], self._read)

    async def identify(self, token: str) -> User:
        """See the port."""
        # Looked up by digest: the time that it takes tells nothing of the tokens that there are.
        name = self._names.value.get(digest(token))
        if name is None:
            raise Rejected("The token is not in the file of tokens.")
        return User(name)

    def _read(self) -> Mapping[str, str]:
        names, wrong = self._parse()
        if wrong:
            # A slip in one line must not keep the removal of another one from having effect.
            logger.error("These lines of '%s' are not NAME SHA256-OF-TOKEN, and count for nothing: %s", self._file, wrong)
        return names

    def _parse(self) -> tuple[Mapping[str, str], list[int]]:
        try:
            return parse(Path(self._file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"file: '{self._file}' can not be read: {error}.") from None
