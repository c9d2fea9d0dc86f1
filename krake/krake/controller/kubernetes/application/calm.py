"""Keeps the state of an application from following each blink of its Pods. Pure: the time is an argument of each call.

What is short does not count: an application that runs is not called otherwise before its Pods have been unready for a moment,
unless they say what is wrong. And one that falls back soon after it has recovered must stay well for longer each time before it
is said to run again: a container that crashes once a minute does not make it run once a minute.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from krake.controller.kubernetes.application.health import Verdict
from krake.controller.kubernetes.application.lifecycle import Outcome, State
from krake.data.kubernetes import Application, ApplicationStatus
from krake.data.metadata import Key, ReasonCode

BLINK = timedelta(seconds=2)
"""For so long Pods may be unready without a word."""
SOON = timedelta(seconds=60)
"""Who falls back in this time has not really recovered."""
FIRST_PROOF, LONGEST_PROOF = timedelta(seconds=5), timedelta(seconds=60)
"""For how long an application must be well after it fell back; each time twice as long."""

_TROUBLE = (State.DEGRADED, State.RESTARTING)


@dataclass(frozen=True)
class _Memory:
    """What was seen of an application lately.

    :param since: when its Pods began to say something else than what is shown.
    :param recovered: when it was last said to run again.
    :param relapses: how often it fell back soon after that.
    """

    since: datetime | None = None
    recovered: datetime | None = None
    relapses: int = 0

    @property
    def proof(self) -> timedelta:
        """For how long it must be well before it is said to run again."""
        return min(FIRST_PROOF * 2 ** min(self.relapses - 1, 8), LONGEST_PROOF) if self.relapses else timedelta()


class Calm:
    """Remembers for each application what was seen of it lately."""

    def __init__(self) -> None:
        self._memories: dict[Key, _Memory] = {}

    def forget(self, key: Key) -> None:
        """Forget what was seen: it is another application, or declared differently."""
        self._memories.pop(key, None)

    def settle(
        self, app: Application, status: ApplicationStatus, outcome: Outcome, now: datetime
    ) -> tuple[ApplicationStatus, float | None]:
        """Return what to write instead of a *status*, and in how many seconds to look again, if that may be another one."""
        before = app.status
        if before.observed_generation != app.metadata.generation or outcome.problem is not None:
            self.forget(app.key)
            return status, None
        memory = self._memories.get(app.key, _Memory())
        wait = _wait(before, status, outcome, memory)
        if wait is not None:
            since = memory.since or now
            if (rest := (since + wait - now).total_seconds()) > 0:
                self._memories[app.key] = replace(memory, since=since)
                return replace(status, state=before.state, reason=before.reason), rest
        if (memory := _follow(before, status, replace(memory, since=None), now)) == _Memory():
            self.forget(app.key)
        else:
            self._memories[app.key] = memory
        return status, None


def _wait(before: ApplicationStatus, after: ApplicationStatus, outcome: Outcome, memory: _Memory) -> timedelta | None:
    """For how long a change must last; ``None`` if nothing has changed that must."""
    verdict = outcome.health.verdict if outcome.health is not None else None
    if before.state is State.RUNNING and after.state in _TROUBLE:
        return BLINK if verdict in (Verdict.STARTING, Verdict.RESTARTING) else None
    ailing = before.reason is not None and before.reason.code is ReasonCode.KUBERNETES_ERROR
    return memory.proof if before.state in _TROUBLE and ailing and after.state is State.RUNNING else None


def _follow(before: ApplicationStatus, after: ApplicationStatus, memory: _Memory, now: datetime) -> _Memory:
    """Take over a change that counts."""
    if before.state in _TROUBLE and after.state is State.RUNNING:
        return replace(memory, recovered=now)
    if before.state is State.RUNNING and after.state in _TROUBLE:
        relapsed = memory.recovered is not None and now - memory.recovered <= SOON
        return replace(memory, relapses=memory.relapses + 1 if relapsed else 0)
    return memory
