"""``krake secrets``: the keys that seal secrets in the store."""

import argparse
import asyncio
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from krake.admin.store import ToolError, explained, read_config
from krake.admin.store import add_arguments as add_store_arguments
from krake.api.secrets.keyfile import create_key_file, make_key, sole_user_of
from krake.api.settings import ApiConfig

HELP = "make and rotate the keys that seal secrets"
DESCRIPTION = (
    "Secrets are sealed in the store with the first key of a file that the API is told of by secrets.key_file. Keep a copy of"
    " the file: nobody can read the secrets without it."
)
_WAIT = 5.0
"""Seconds that running APIs get to take notice of a new key; they look for one every two seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    create = commands.add_parser("create-key", help="make a file with a new key", description="Make a file with a new key.")
    create.add_argument("file", type=Path, metavar="FILE", help="must not exist; only its owner can read it")
    create.set_defaults(command=_create_key)
    status = commands.add_parser(
        "status", help="count what is sealed with which key", description="Count the secrets in the store by the key."
    )
    add_store_arguments(status)
    status.set_defaults(command=_status)
    rotate = commands.add_parser(
        "rotate",
        help="seal all secrets with a new key",
        description="Put a new key first in the file, and seal every secret in the store with it, beside running APIs. What was"
        " interrupted is carried on by the same command. Where APIs run on several machines, begin with --stage.",
    )
    rotate.add_argument(
        "--stage",
        action="store_true",
        help="only add the new key to the file, so that it can be copied to other machines; rotate uses it when run again",
    )
    rotate.add_argument(
        "--drop-old", action="store_true", help="then remove the keys that nothing is sealed with, as drop-old does"
    )
    rotate.set_defaults(command=_rotate)
    drop = commands.add_parser(
        "drop-old",
        help="remove the keys that nothing is sealed with any more",
        description="Seal every secret in the store with the first key of the file, and remove those that nothing is sealed"
        " with then. Where APIs run on several machines, all of them must have the file as it is after the rotation.",
    )
    drop.set_defaults(command=_drop_old)
    for each in (rotate, drop):
        each.add_argument("--key-file", type=Path, metavar="FILE", help="(otherwise secrets.key_file of the configuration)")
        each.add_argument("--wait", type=float, default=_WAIT, metavar="SECONDS", help=argparse.SUPPRESS)
        add_store_arguments(each)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    logging.basicConfig(format="krake secrets: %(message)s", level=logging.WARNING)
    try:
        with explained():
            return int(options.command(options))
    except ToolError as error:
        print(f"krake secrets: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("krake secrets: interrupted; the same command carries on.", file=sys.stderr)
        return 130


def _create_key(options: argparse.Namespace) -> int:
    key = make_key(datetime.now(UTC).date())
    create_key_file(options.file, key)
    print(f"Made the key {key.id} in {options.file}. Set secrets.key_file of the API to it, and keep a copy elsewhere.")
    return 0


def _status(options: argparse.Namespace) -> int:
    from krake.admin.rotation import print_counts

    asyncio.run(print_counts(read_config(options).etcd))
    return 0


def _rotate(options: argparse.Namespace) -> int:
    if not options.stage:
        return _seal_all(options, anew=True, drop_old=options.drop_old)
    from krake.admin.rotation import stage_key

    path = _key_file(options, read_config(options))
    with sole_user_of(path):
        stage_key(path)
    return 0


def _drop_old(options: argparse.Namespace) -> int:
    return _seal_all(options, anew=False, drop_old=True)


def _seal_all(options: argparse.Namespace, *, anew: bool, drop_old: bool) -> int:
    from krake.admin.rotation import rotate

    config = read_config(options)
    path = _key_file(options, config)
    with sole_user_of(path):
        if asyncio.run(rotate(path, config.etcd, options.wait, anew=anew, drop_old=drop_old)):
            return 0
    raise ToolError("The secrets named above can not be unsealed; they were left as they are.")


def _key_file(options: argparse.Namespace, config: ApiConfig) -> Path:
    if not (options.key_file or config.secrets.key_file):
        raise ToolError("Which keys? Give --key-file, or set secrets.key_file in the configuration of the API.")
    return Path(options.key_file or config.secrets.key_file).resolve()
