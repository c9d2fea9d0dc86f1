"""What IM answers, in the terms of the port. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

from krake.adapters.infrastructure.im.playbooks import failure_in
from krake.ports.infrastructure import Infrastructure, Phase

_PHASES = {
    "pending": Phase.PENDING,
    "running": Phase.CREATING,
    "configured": Phase.CONFIGURED,
    "unconfigured": Phase.UNCONFIGURED,
    "deleting": Phase.DELETING,
    "failed": Phase.FAILED,
    "off": Phase.FAILED,
    "stopped": Phase.FAILED,
    "unknown": Phase.UNKNOWN,
}
_BROKEN = frozenset({"failed", "off"})
"""The states of machines that will never work again."""
_LOST = "unknown"
_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?: ")
_TRACEBACK = re.compile(r"Traceback \(most|\t\t|    |  File ")
_PROBLEM = re.compile(r"^\t(?:\w+(?:Error|Exception|Mismatch)): (.+)$", re.MULTILINE)
_PREFIX = re.compile(r"Error parsing request body: (Error parsing TOSCA template: )?")
_DULL = re.compile(
    r"^(Select master VM|Creating and copying|Contextualization disabled|Wait master VM|\*+$|VM \d+:$|Error Adding|"
    r"\S+ +: ok=\d)"
)
_LAST = 20_000
"""Characters of messages among which trouble is looked for."""
_REFUSALS = re.compile(r"InfrastructureManager credentials|for the InfrastructureManager|Invalid username used|OIDC|auth token")
_UNREACHED = ("URLException", "Failed to reach", "Name or service not known", "timed out")


def read_state(document: Any) -> Infrastructure | None:
    """Return the infrastructure of an answer about its state; ``None`` if it is none."""
    state = document.get("state") if isinstance(document, dict) else None
    if not isinstance(state, dict) or not isinstance(state.get("state"), str):
        return None
    states = states_of(document)
    broken = broken_in(states)
    machines = {name: Phase.FAILED if name in broken else _PHASES.get(each, Phase.UNKNOWN) for name, each in states.items()}
    phase = _PHASES.get(state["state"], Phase.UNKNOWN)
    if phase is Phase.CONFIGURED and "unconfigured" in states.values():
        phase = Phase.UNCONFIGURED
    elif phase is Phase.UNKNOWN and broken:
        phase = Phase.FAILED
    return Infrastructure(phase, machines)


def broken_in(states: Mapping[str, str]) -> frozenset[str]:
    """Return the machines that will never work again.

    What IM does not know about a machine may be for want of an answer of the cloud; but if it knows about others, the machine
    is gone.
    """
    knows = any(state != _LOST for state in states.values())
    return frozenset(name for name, state in states.items() if state in _BROKEN or (knows and state == _LOST))


def states_of(document: Any) -> Mapping[str, str]:
    """Return the states of the machines, in the words of IM."""
    state = document.get("state") if isinstance(document, dict) else None
    machines = state.get("vm_states") if isinstance(state, dict) else None
    return {str(name): str(each) for name, each in machines.items()} if isinstance(machines, dict) else {}


def complaint_in(text: str) -> str:
    """Return what an error of IM says, whether as JSON or as text."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    said = document.get("detail") or document.get("message") if isinstance(document, dict) else None
    return said if isinstance(said, str) else text


def shorten(complaint: str) -> str:
    """Return what a complaint says to people, without the path that it took through the program of IM."""
    if problems := _PROBLEM.findall(complaint):
        return " ".join(problems)
    lines = [line for line in complaint.splitlines() if line.strip() and not _TRACEBACK.match(line)]
    return _PREFIX.sub("", " ".join(lines)).strip()


def trouble_in(messages: str) -> str:
    """Return the trouble that the messages of an infrastructure tell of, that of playbooks or the last; empty if none."""
    if failure := failure_in(messages):
        return failure
    lines = [_TIME.sub("", line).strip() for line in messages[-_LAST:].splitlines() if not _TRACEBACK.match(line)]
    told = [line for line in lines if line and not _DULL.match(line)]
    return next((line for line in reversed(told) if re.search("error|fail", line, re.IGNORECASE)), told[-1] if told else "")


def refuses_user(complaint: str) -> bool:
    """Whether IM does not know the user; it says so by different statuses."""
    return _REFUSALS.search(complaint) is not None


def refuses_cloud_user(complaint: str) -> bool:
    """Whether the cloud did not accept the credentials that IM passed on."""
    return "InvalidCreds" in complaint or "Invalid credentials with the provider" in complaint


def blames_template(complaint: str) -> bool:
    """Whether the template is at fault: not the cloud, nor an import that could not be fetched, which may go well next time."""
    return "Error Adding resources" not in complaint and not any(each in complaint for each in _UNREACHED)
