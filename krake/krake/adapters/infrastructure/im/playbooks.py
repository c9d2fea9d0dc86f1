"""What Ansible said while IM configured machines, which is among the messages of an infrastructure. Pure."""

import json
import re
from typing import Any

_LONGEST = 1_000_000
"""Characters of messages that are read: what some dozens of machines say."""
_MACHINE = re.compile(r"^VM (?=\d+:$)", re.MULTILINE)
_DEFEAT = re.compile(r"\b(?:failed|unreachable)=[1-9]")
"""In the recap of a playbook; what was ignored or rescued is not counted there."""
_TASK = re.compile(r"^TASK \[", re.MULTILINE)
_IGNORED = "\n...ignoring"
_FAILURE = re.compile(r"^(?:fatal|failed): \[[^\]\n]*\][^\n]*? => ([^\n]*)", re.MULTILINE)
_RECAP = "\nPLAY RECAP"
_DETAILS = ("stderr", "module_stderr", "stdout")
"""Where it stands what a command said, if that is not the message."""


def failure_in(messages: str) -> str:
    """Return which task of a playbook has failed, where, and why; empty if none has."""
    for part in _MACHINE.split(messages[-_LONGEST:]):
        if _DEFEAT.search(part) and (failure := _last_failure_in(part)):
            number = part.partition(":")[0]
            return f"machine {number}: {failure}" if number.isdecimal() else failure
    return ""


def _last_failure_in(part: str) -> str:
    for task in reversed(_TASK.split(part)[1:]):
        said = task.partition(_RECAP)[0]
        if _IGNORED not in said and (found := _FAILURE.search(said)):
            return f"the task '{task.partition('] **')[0]}' failed: {_explain(found[1])}"
    return ""


def _explain(result: str) -> str:
    try:
        document = json.loads(result)
    except (ValueError, RecursionError):
        return result
    if not isinstance(document, dict):
        return result
    details = next((line for key in _DETAILS if (line := _last_line(document.get(key)))), "")
    message = _last_line(document.get("msg"))
    return ": ".join(dict.fromkeys(filter(None, (message, details)))) or result


def _last_line(text: Any) -> str:
    lines = text.split("\n") if isinstance(text, str) else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
