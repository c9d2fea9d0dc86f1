"""The command ``krake``, for those who run Krake; its users have ``rok``."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from krake import __version__

COMMANDS = {
    "up": "krake.up.command",
    "token": "krake.admin.tokens",
    "secrets": "krake.admin.secrets",
    "backup": "krake.admin.backup",
    "restore": "krake.admin.restore",
    "repair": "krake.admin.repair",
}
"""The module of each command: has ``HELP``, ``DESCRIPTION``, ``add_arguments(parser)`` and ``run(options) -> exit status``.

Modules import what takes long inside of ``run``.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    parser = argparse.ArgumentParser(prog="krake", description="Runs Krake.")
    parser.add_argument("--version", action="version", version=f"krake {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, path in COMMANDS.items():
        module = importlib.import_module(path)
        command = commands.add_parser(name, help=module.HELP, description=module.DESCRIPTION)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args(argv)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
