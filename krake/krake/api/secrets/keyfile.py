"""The file with the keys that seal secrets: made once, replaced as a whole, and never readable by others than its owner."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from krake.api.secrets.keys import KEY_SIZE, Key, Keyring


def make_key(today: date) -> Key:
    """Return a new key, called by the day."""
    return Key(f"{today.isoformat()}-{secrets.token_hex(3)}", secrets.token_bytes(KEY_SIZE))


def create_key_file(path: Path, key: Key) -> None:
    """Write a new file that only its owner can read. Raises ValueError if there is one, or it cannot be written."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            _fill(file.fileno(), Keyring((key,)))
        _sync_directory(path.parent)
    except FileExistsError:
        raise ValueError(f"{path} exists; a key that has sealed secrets must not be lost, so choose another name.") from None
    except OSError as error:
        raise ValueError(f"{path} can not be written ({error.strerror}).") from None


def replace_keys(path: Path, ring: Keyring) -> None:
    """Write the keys so that readers see either the old ones or the new ones; owner and mode stay. Raises ValueError."""
    partial = path.with_name(f".{path.name}.new")
    try:
        before = path.stat()
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, before.st_mode & 0o777)
            _fill(descriptor, ring)
        finally:
            os.close(descriptor)
        partial.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ValueError(f"{path} can not be replaced ({error.strerror}); run the command as its owner.") from None


@contextlib.contextmanager
def sole_user_of(path: Path) -> Iterator[None]:
    """Hold the lock of the directory of a key file. Raises ValueError if another rotation has it."""
    try:
        directory = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise ValueError(f"{path.parent} can not be opened ({error.strerror}).") from None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ValueError(f"Another rotation works on {path} now; wait for it.") from None
    finally:
        os.close(directory)


def _fill(descriptor: int, ring: Keyring) -> None:
    os.write(descriptor, str(ring).encode())
    os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
