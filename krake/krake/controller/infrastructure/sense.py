"""What providers answer, as far as it makes sense: who runs one may be anybody, and what it says is stored and shown. Pure."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from krake.controller.infrastructure.steps import Call
from krake.data.secrets import MARK, SEALED
from krake.ports.infrastructure import Infrastructure, Rejected, Unavailable

MOST_MACHINES = 1_000
"""Of an infrastructure. More would not fit into what the store takes."""
LARGEST_KUBECONFIG = 262_144
"""Characters."""
_LONGEST_MESSAGE = 600
_DEEPEST = 50
_LONGEST_NAME = 200


def make_sense(call: Call, answer: Any) -> Any:
    """Return an answer as it may be stored.

    :raises Unavailable: it makes no sense.
    :raises Rejected: it is a kubeconfig that nobody can use.
    """
    match call, answer:
        case Call.OBSERVE, Infrastructure():
            return _check_infrastructure(answer)
        case Call.CREATE, str():
            _check_names([answer], "an id")
        case Call.FIND, [*_]:
            _check_names(answer, "ids")
        case Call.KUBECONFIG, dict():
            _check_kubeconfig(answer)
    return answer


def shorten(message: str, longest: int = _LONGEST_MESSAGE) -> str:
    """Return a message that is not longer than anybody reads, in one line."""
    line = "".join(each if each.isprintable() else " " for each in message[: 2 * longest])
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _check_infrastructure(answer: Infrastructure) -> Infrastructure:
    if len(answer.machines) > MOST_MACHINES:
        raise Unavailable(f"The provider tells of {len(answer.machines)} machines; more than {MOST_MACHINES} can not be kept.")
    _check_names(list(answer.machines), "machines")
    return answer if answer.message is None else replace(answer, message=shorten(answer.message))


def _check_names(names: Sequence[str], what: str) -> None:
    if not all(0 < len(name) <= _LONGEST_NAME and name.isprintable() for name in names):
        raise Unavailable(f"The provider tells of {what} that nobody can have given out.")


def _check_kubeconfig(kubeconfig: dict[str, Any]) -> None:
    if not _is_flat(kubeconfig, _DEEPEST):
        raise Rejected(f"The kubeconfig that the provider gives is nested more than {_DEEPEST} levels deep.")
    try:
        text = json.dumps(kubeconfig, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, TypeError):  # also where a text is no Unicode
        raise Rejected("The kubeconfig that the provider gives holds what no kubeconfig can hold.") from None
    if MARK in text or SEALED in text:
        # By which secrets that are stored already would stay, and be sent to where the provider wants them.
        raise Rejected("The kubeconfig that the provider gives has no secrets, but what stands for some.")
    if len(text) > LARGEST_KUBECONFIG:
        raise Rejected(f"The kubeconfig that the provider gives has more than {LARGEST_KUBECONFIG} characters.")


def _is_flat(value: Any, levels: int) -> bool:
    """Whether a value is not nested deeper than so many levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels >= 0 and all(_is_flat(each, levels - 1) for each in inner)
