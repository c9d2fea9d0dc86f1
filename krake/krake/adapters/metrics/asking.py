"""Several questions to one server, within one time limit: what fails or takes too long costs only those who asked it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from krake.ports.metrics import Answers, MetricError, ProviderError, Sample

AT_ONCE = 8
"""So many questions are under way to one server."""


@dataclass(frozen=True)
class Question:
    """A question about some names; *ask* answers it, or raises a ``MetricError`` or a ``ProviderError`` about all of them."""

    names: Sequence[str]
    ask: Callable[[], Awaitable[Answers]]


async def ask_all(service: str, questions: Iterable[Question], limit: float) -> Answers:
    """Return the answers to all questions.

    :param service: the server, as messages name it.
    :param limit: seconds for all of them together.
    :raises ProviderError: none could be answered.
    """
    gate = asyncio.Semaphore(AT_ONCE)
    tasks = {asyncio.create_task(_ask(each, gate)): each for each in questions}
    answers: dict[str, Sample | MetricError | ProviderError] = {}
    if not tasks:
        return answers
    try:
        _, late = await asyncio.wait(tasks, timeout=limit)
    finally:
        for task in tasks:
            task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    silence = ProviderError(f"{service} did not answer within {limit:g} s.")
    for task, question in tasks.items():
        answers |= {name: silence for name in question.names} if task in late else task.result()
    errors = [each for each in answers.values() if isinstance(each, ProviderError)]
    if errors and len(errors) == len(answers):
        raise errors[0]
    return answers


async def _ask(question: Question, gate: asyncio.Semaphore) -> Answers:
    async with gate:
        try:
            return await question.ask()
        except (MetricError, ProviderError) as error:
            return {name: error for name in question.names}
