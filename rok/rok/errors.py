"""What ends a command early: each says in one sentence what is wrong and what to do."""

import json
import sys
from collections.abc import Iterator

from krake.client.errors import ApiError

HINTS = {
    401: "Krake does not know who you are: check tls or the token in rok.yaml, or in the file of --config",
    403: "your roles do not allow this: look at 'rok auth can-i --list', or ask who runs this Krake",
}


class Failure(Exception):
    """The command could not be carried out; the message is for its user."""

    status = 1


class Misuse(Failure):
    """The words of the command are wrong."""

    status = 2


def describe(error: Failure | ApiError, form: str) -> Iterator[str]:
    """Yield the lines that tell the user about an error.

    What the API refused is one line, and one more for each field that is wrong; with the format json it is the problem
    document as it came.
    """
    if not isinstance(error, ApiError) or not error.status:
        yield f"rok: error: {error.detail if isinstance(error, ApiError) else error}"
    elif form == "json" and error.problem:
        yield json.dumps(error.problem, indent=2, sort_keys=True)
    else:
        yield from _describe_problem(error)


def _describe_problem(error: ApiError) -> Iterator[str]:
    detail = " ".join(error.detail.split()).rstrip(".")
    fields = error.errors
    if all(message.rstrip(".") in detail for _, message in fields):
        # The detail says it all: repeat nothing, unless it is a list that reads better as lines.
        detail, fields = (detail, ()) if len(fields) < 2 else (f"{len(fields)} fields are wrong", fields)
    hint = f": {HINTS[error.status]}" if error.status in HINTS else ""
    yield f"rok: error: {detail} ({f'{error.status} {error.title}'.rstrip()}){hint}"
    for field, message in fields:
        yield f"  {field}: {message}" if field else f"  {message}"


def warn(text: str) -> None:
    """Tell the user about something that does not stop the command; ``PYTHONWARNINGS=ignore`` keeps it quiet."""
    if "ignore" not in sys.warnoptions:
        print(f"rok: warning: {text}", file=sys.stderr)
