"""Waiting for what Krake does after a command: for a state, or for the end of an object."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rok.cells import Object, brief_reason, dig
from rok.errors import Failure
from rok.place import Place
from rok.progress import find_progress

if TYPE_CHECKING:
    from rok.session import Session


@dataclass(frozen=True)
class Goal:
    """What is waited for.

    :param word: how the user calls it.
    :param states: in any of which it is reached.
    :param lasting: of the states, those in which the object may already have been before the command; they count once its
        controller has acted upon all that is declared.
    :param gone: it is reached when the object is no more.
    """

    word: str
    states: frozenset[str] = frozenset()
    lasting: frozenset[str] = frozenset()
    gone: bool = False

    def is_reached(self, item: Object | None) -> bool:
        """Whether an object is as wanted.

        :param item: the object; ``None`` if it is gone.
        """
        if item is None:
            return self.gone
        state = str(dig(item, "status.state"))
        return state in self.states and (state not in self.lasting or _speaks_of_now(item))

    def is_hopeless(self, item: Object) -> bool:
        """Whether an object will not be as wanted unless somebody changes something."""
        return not self.gone and is_given_up(item) and dig(item, "status.state") not in self.states - self.lasting


DELETED = Goal("deleted", gone=True)


def _speaks_of_now(item: Object) -> bool:
    """Whether the state of an object is about what is declared now; where generations are not counted, it counts as that."""
    generation, observed = dig(item, "metadata.generation"), dig(item, "status.observed_generation")
    return not isinstance(generation, int) or (isinstance(observed, int) and observed >= generation)


def is_given_up(item: Object) -> bool:
    """Whether what is declared now is not tried any more: all attempts have failed, or it can not work."""
    status = item.get("status") or {}
    if not status.get("reason") or status.get("scheduled_retry") is not None:
        return False
    failed = status.get("state") == "FAILED"
    if failed and item.get("kind") == "Application":
        # It may have been refused by the scheduler, which does not say what it has seen; but it was never declared otherwise.
        return _speaks_of_now(item) or dig(item, "metadata.generation") == 1
    tried = dig(status, "infrastructure.attempts") or (failed and status.get("attempts"))
    return bool(tried) and _speaks_of_now(item)


def wait_for(session: "Session", place: Place, item: Object, goal: Goal, timeout: float) -> Object:
    """Return the object once the goal is reached; an object that is gone as it was last seen, in the state DELETED.

    :param item: the object as the command left it.
    :param timeout: in seconds.
    :raises Failure: the goal was not reached in time or is given up, or the object was deleted meanwhile.
    """
    progress = Progress(place)
    latest = item
    for current in session.follow(place, item, time.monotonic() + timeout):
        if current is not None and goal.is_hopeless(current):
            raise Failure(f"{place} will not be {goal.word} as it is declared now, so change it: it is {summarize(current)}")
        if goal.is_reached(current):
            return _ended(latest) if current is None else current
        if current is None:
            raise Failure(f"{place} was deleted while rok waited for it to be {goal.word}")
        latest = current
        progress.tell(summarize(latest))
    raise Failure(f"{place} is not {goal.word} after {timeout:g} s: it is {summarize(latest)}")


def await_check(session: "Session", place: Place, item: Object, is_checked: Callable[[Object], bool], timeout: float) -> Object:
    """Return the object once it is checked, or as it is when the time is over."""
    progress = Progress(place)
    for current in session.follow(place, item, time.monotonic() + timeout):
        if current is None or is_checked(current):
            return item if current is None else current
        item = current
        # Its state may be one that was found, or supposed, before.
        progress.tell("being checked")
    return item


class Progress:
    """Tells on a terminal what becomes of an object."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._told = ""

    def tell(self, text: str) -> None:
        """Print how the object is if that is not what was told last."""
        if text != self._told and sys.stderr.isatty():
            print(f"{self._place}: {text}", file=sys.stderr, flush=True)
        self._told = text


def summarize(item: Object) -> str:
    """Return the state of an object, the reason for it, and how far its infrastructure is, in one line."""
    state, reason = dig(item, "status.state"), dig(item, "status.reason")
    details = [brief_reason(reason)] if isinstance(reason, Mapping) else []
    if state == "WAITING_FOR_CLUSTER_CREATION" and (awaited := dig(item, "status.auto_cluster_create_started")):
        details.append(f"cluster {awaited}")
    progress = find_progress(item, besides=details[0] if details else "")
    if progress is not None:
        details.append(progress)
    return f"{state} ({'; '.join(details)})" if details else str(state)


def _ended(item: Object) -> Object:
    return {**item, "status": {**item.get("status", {}), "state": "DELETED"}}
