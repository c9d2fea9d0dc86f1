"""Where the keys come from: a file that is read anew whenever it changes, or the environment."""

import asyncio
import contextlib
import logging
import os
import stat
from pathlib import Path

from krake.api.secrets.keys import Keyring, parse_keys
from krake.api.settings import SecretsSettings

logger = logging.getLogger(__name__)


class KeySource:
    """The keys that are known now.

    :param name: of where they come from, for messages.
    :param path: of the file that they are read from.
    """

    def __init__(self, name: str, keyring: Keyring, path: Path | None = None) -> None:
        self.name = name
        self.keyring = keyring
        self._path = path
        self._seen = None if path is None else _state_of(path)
        self._failed = False

    @classmethod
    def of_file(cls, path: Path) -> "KeySource":
        """Return the keys of a file. Raises ValueError if it cannot be read or does not hold keys."""
        keyring = read_keys(path)
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            logger.warning("Others than its owner can use the key file %s; 'chmod 600' it.", path)
        return cls(str(path), keyring, path)

    async def refresh(self) -> bool:
        """Read the file anew if it has changed; returns whether the keys did. What cannot be read changes nothing."""
        if self._path is None:
            return False
        state = await asyncio.to_thread(_state_of, self._path)
        if state == self._seen:
            return False
        try:
            keyring = await asyncio.to_thread(read_keys, self._path)
        except ValueError as error:
            if not self._failed:
                logger.error("The keys of before stay in use: %s", error)
            self._failed = True
            return False
        self._seen, self._failed = state, False
        changed = keyring != self.keyring
        self.keyring = keyring
        return changed


def make_source(settings: SecretsSettings) -> KeySource:
    """Return the keys that the configuration names.

    :raises ValueError: there are none, and secrets may not be stored plain; or they cannot be read.
    """
    if settings.key_file and settings.keys:
        raise ValueError("secrets.key_file and secrets.keys are both set; keep one of them.")
    if settings.key_file:
        return KeySource.of_file(Path(settings.key_file))
    if settings.keys:
        return KeySource("secrets.keys", parse_keys(settings.keys, "secrets.keys"))
    if not settings.allow_plain:
        raise ValueError(
            "There is no key to seal secrets with: make one by 'krake secrets create-key FILE' and set secrets.key_file to that"
            " file, or set secrets.allow_plain to store secrets as they are."
        )
    return KeySource("the configuration", Keyring())


def read_keys(path: Path) -> Keyring:
    """Return the keys of a file. Raises ValueError."""
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise ValueError(f"The key file {path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ValueError(f"The key file {path} is not a text file.") from None
    return parse_keys(text, str(path))


def _state_of(path: Path) -> tuple[int, int, int] | None:
    with contextlib.suppress(OSError):
        found = os.stat(path)
        return found.st_ino, found.st_mtime_ns, found.st_size
    return None
