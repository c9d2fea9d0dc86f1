"""Runs ``rok``.

Exit status: 0 when the command was carried out, 1 when it failed or the answer is no, 2 when its words are wrong, 130 when it
was interrupted.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from rok.output import Result

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    try:
        status = run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("rok: interrupted: what Krake was told to do goes on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has enough; what is still buffered must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def run(argv: Sequence[str]) -> int:
    """Carry out a command and return the exit status."""
    from krake.client.errors import ApiError

    from rok.errors import Failure, describe

    form = "table"
    try:
        from rok.commands import build_parser
        from rok.flags import separate

        args = build_parser().parse_args(separate(argv))
        form = args.output
        return _carry_out(args)
    except (Failure, ApiError) as error:
        for line in describe(error, form):
            print(line, file=sys.stderr)
        return error.status if isinstance(error, Failure) else 1


def _carry_out(args: "argparse.Namespace") -> int:
    from rok.config import find_config
    from rok.output import show
    from rok.session import Session
    from rok.verbs import Call

    config = find_config(args.config, os.environ)
    with Session(config) as session:
        result: Result = args.run(Call(args.view, args, session, config.user))
    show(result, args.view, args.output)
    return result.status


if __name__ == "__main__":
    sys.exit(main())
