"""Reads passwords, and other secrets, from where nobody else sees them."""

import sys

from rok.errors import Failure


def read_secret(given: str) -> str:
    """Read the value of an option that is secret: ``-`` is the next line of the standard input, or is typed unseen there.

    :raises Failure: there is no such line.
    """
    if given != "-":
        return given
    if sys.stdin.isatty():
        return _type_unseen("Secret")
    line = sys.stdin.readline()
    if not line:
        raise Failure("the standard input has no line for the option with -: write a secret there")
    return line.rstrip("\r\n")


def ask_secret(what: str, option: str) -> str:
    """Have a secret typed on the terminal.

    :param what: is asked for, for example ``Password of ann``.
    :param option: could have given it.
    :raises Failure: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise Failure(f"{option} is missing, and there is no terminal to ask on: give it, or {option} - to read a line")
    return _type_unseen(what)


def _type_unseen(what: str) -> str:
    from getpass import getpass

    try:
        return getpass(f"{what}: ", stream=sys.stderr)
    except EOFError:
        raise Failure("nothing was typed: begin again") from None
