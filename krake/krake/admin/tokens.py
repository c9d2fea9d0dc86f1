"""``krake token``: tokens for users and controllers, of which a file keeps the digests."""

import argparse
import fcntl
import os
import secrets
import sys
from pathlib import Path

HELP = "make tokens for users and controllers"
DESCRIPTION = "Makes tokens by which the API knows users and controllers (authentication.strategy.tokens)."

_PREFIX = "krake_"
"""So that programs which look for leaked secrets find them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    create = verbs.add_parser(
        "create",
        help="make a token",
        description="Makes a token for the user NAME and prints it, this once: the file keeps but a digest of it."
        " A running API knows it within a second. To revoke a token, delete its line.",
    )
    create.add_argument("name", metavar="NAME", help="of the user, for example system:scheduler")
    create.add_argument("--file", required=True, type=Path, help="that authentication.strategy.tokens.file names")
    create.set_defaults(verb=_create)


def run(options: argparse.Namespace) -> int:
    """Do what was asked for; return the exit status."""
    return int(options.verb(options))


def _create(options: argparse.Namespace) -> int:
    from krake.adapters.identity.token_file import NAME, digest

    if not NAME.fullmatch(options.name) or not options.name.isprintable():
        print("krake token: The name must have no blanks, no '#' and no characters that cannot be seen.", file=sys.stderr)
        return 1
    token = _PREFIX + secrets.token_urlsafe(32)
    try:
        append(options.file, f"{options.name} {digest(token)}")
    except (OSError, UnicodeDecodeError) as error:
        print(f"krake token: The token cannot be added to '{options.file}': {error}", file=sys.stderr)
        return 1
    print(token)
    return 0


def append(file: Path, line: str) -> None:
    """Add a line to a file, which is made for its owner alone if there is none; several processes may do so at a time."""
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        content = opened.read()
        opened.write(f"{line}\n" if not content or content.endswith("\n") else f"\n{line}\n")
        opened.flush()
        os.fsync(descriptor)
