"""Makes the parser of the command line from the table of commands."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from rok import __version__
from rok.errors import Failure, Misuse
from rok.operations import MISUSE, Group, Operation, Resource, Single
from rok.output import View


class PrintCompletion(argparse.Action):
    """Prints the completion script of a shell."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        """Print the script and end."""
        import shtab

        print(shtab.complete(parser, values))
        parser.exit()


class Parser(argparse.ArgumentParser):
    """Reads the words of a command; *misuse* is the exit status where they are wrong."""

    misuse = MISUSE

    def parse_known_args(self, *args: Any, **settings: Any) -> Any:
        """Read words. Where the status of misuse is an answer of the command, it does not mean misuse."""
        try:
            found, unknown = super().parse_known_args(*args, **settings)
        except Misuse as error:
            if self.misuse == MISUSE:
                raise
            raise Failure(str(error)) from None
        if unknown and self.misuse != MISUSE:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the process."""
        super().exit(self.misuse if status == MISUSE else status, message)


def make_parser(table: Sequence[Group | Single]) -> argparse.ArgumentParser:
    """Return the parser of the whole command line.

    What it reads has the attributes ``view`` and ``run`` beside those of the flags.
    """
    parser = Parser(prog="rok", description="The command line of Krake.")
    parser.add_argument("--version", action="version", version=f"rok {__version__}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=("bash", "zsh", "tcsh", "fish"),
        help="print a script that completes the commands of rok in this shell",
    )
    groups = parser.add_subparsers(dest="group", metavar="GROUP", required=True)
    for entry in table:
        if isinstance(entry, Single):
            _add_operation(groups, entry.operation, entry.view)
        else:
            _add_group(groups, entry)
    return parser


def _add_group(groups: Any, group: Group) -> None:
    inner = _add(groups, group).add_subparsers(dest="resource", metavar="RESOURCE", required=True)
    for command in group.commands:
        _add_operation(inner, command.operation, command.view)
    for resource in group.resources:
        operations = _add(inner, resource).add_subparsers(dest="operation", metavar="OPERATION", required=True)
        for operation in resource.operations:
            _add_operation(operations, operation, resource.view)


def _add_operation(parsers: Any, operation: Operation, view: View) -> None:
    leaf = parsers.add_parser(
        operation.name, help=operation.summary, description=_sentence(operation.summary), epilog=operation.remark
    )
    for each in operation.flags:
        each.add_to(leaf)
    leaf.misuse = operation.misuse
    leaf.set_defaults(view=view, run=operation.run)


def _add(parsers: Any, entry: Group | Resource) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = parsers.add_parser(
        entry.name, aliases=entry.aliases, help=entry.summary, description=_sentence(entry.summary)
    )
    return parser


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."
