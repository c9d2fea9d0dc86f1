"""Runs the operator's program: one question on its standard input, one answer on its standard output."""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any, cast

from krake.ports.infrastructure import Busy, InfrastructureError, NotFound, Refused, Rejected, Unavailable

_FAILURES: Mapping[int, type[InfrastructureError]] = {
    os.EX_DATAERR: Rejected,
    os.EX_NOINPUT: NotFound,
    os.EX_TEMPFAIL: Busy,
    os.EX_NOPERM: Refused,
}
"""By the status that the program ends with; any other one but 0 is trouble of its own."""
_INPUT, _OUTPUT, _ERRORS = 0, 1, 2
_MAX_ANSWER = 4_194_304
_MAX_COMPLAINT = 65_536
_LONGEST_MESSAGE = 300
_LAST_WORDS = 1.0
"""Seconds in which the output ends after the program, unless what it has left running holds it open."""
_ADVICE = "tell the administrator of Krake."

log = logging.getLogger(__name__)


class Driver:
    """The program that makes infrastructures.

    :param command: the program and its first arguments, to which the verb is added; nothing of it comes from users.
    :param timeout: seconds that an answer may take; then the program is killed, with all that is in its process group.
    :param at_once: so many of them run at the same time.
    """

    def __init__(self, command: Sequence[str], *, timeout: float, at_once: int) -> None:
        self._command = command
        self._timeout = timeout
        self._turns = asyncio.Semaphore(at_once)

    async def ask(self, verb: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer of the program.

        :raises InfrastructureError: it has none; the message is the last line that it wrote to its standard error.
        """
        if not self._command:
            raise Rejected(
                "Nothing makes local infrastructure here: the administrator of Krake names a program (local.command)."
            )
        try:
            async with asyncio.timeout(self._timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise Busy(f"The local infrastructure has had too much to do for {self._timeout:g} s.") from None
        try:
            status, output, complaint = await self._run(verb, json.dumps(question).encode())
        finally:
            self._turns.release()
        if status:
            raise _fail(verb, status, complaint)
        return _read(verb, output)

    async def _run(self, verb: str, question: bytes) -> tuple[int, bytes, bytes]:
        """Return the status that the program ended with, its answer, and what it complained of."""
        loop = asyncio.get_running_loop()
        try:
            process, talk = await loop.subprocess_exec(_Conversation, *self._command, verb, start_new_session=True)
        except (OSError, ValueError) as error:
            log.error("The program of local infrastructure, %s, can not be started: %s", self._command[0], error)
            raise Unavailable(f"The program of local infrastructure can not be started: {_ADVICE}") from None
        try:
            async with asyncio.timeout(self._timeout):
                _say(process, question)
                await talk.over.wait()
        except TimeoutError:
            raise Unavailable(f"The local infrastructure did not answer '{verb}' within {self._timeout:g} s.") from None
        else:
            if len(talk.answer) > _MAX_ANSWER:
                raise Unavailable(f"The local infrastructure answers '{verb}' with more than {_MAX_ANSWER} bytes.")
            await _wait(talk.silent)
            return process.get_returncode() or 0, bytes(talk.answer), bytes(talk.complaint)
        finally:
            await _end(process, talk)


class _Conversation(asyncio.SubprocessProtocol):
    """What a program says.

    The streams of `asyncio.subprocess` would wait for whatever it leaves running with its output open.
    """

    def __init__(self) -> None:
        self.answer, self.complaint = bytearray(), bytearray()
        self.exited, self.silent = asyncio.Event(), asyncio.Event()
        self.over = asyncio.Event()
        """The program has ended, or says too much."""
        self.asked = False
        """Nothing more is written."""
        self._open = {_OUTPUT, _ERRORS}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _ERRORS:
            self.complaint += data
            del self.complaint[:-_MAX_COMPLAINT]
        elif len(self.answer) <= _MAX_ANSWER:
            self.answer += data
            if len(self.answer) > _MAX_ANSWER:
                self.over.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.asked = self.asked or fd == _INPUT
        self._open.discard(fd)
        if not self._open:
            self.silent.set()

    def process_exited(self) -> None:
        self.exited.set()
        self.over.set()


def _say(process: asyncio.SubprocessTransport, question: bytes) -> None:
    pipe = _input_of(process)
    with contextlib.suppress(RuntimeError):  # that is how uvloop calls a program that reads nothing, or has ended already
        pipe.write(question)
        pipe.close()  # once all is written


async def _wait(event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            await event.wait()


async def _end(process: asyncio.SubprocessTransport, talk: _Conversation) -> None:
    """Kill a program that still runs, and whatever it has started in its process group."""
    if process.get_returncode() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.get_pid(), signal.SIGKILL)
        await _wait(talk.exited)
    if not talk.asked:
        _input_of(process).abort()  # nobody reads the rest of the question
    process.close()


def _input_of(process: asyncio.SubprocessTransport) -> asyncio.WriteTransport:
    return cast(asyncio.WriteTransport, process.get_pipe_transport(_INPUT))  # that of uvloop is no subclass of it


def _fail(verb: str, status: int, complaint: bytes) -> InfrastructureError:
    lines = complaint.decode(errors="replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    readable = "".join(character for character in last if character.isprintable())[:_LONGEST_MESSAGE]
    ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return _FAILURES.get(status, Unavailable)(readable or f"The program of local infrastructure {ended} at '{verb}': {_ADVICE}")


def _read(verb: str, output: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(output)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise Unavailable(f"The program of local infrastructure does not answer '{verb}' by a JSON object: {_ADVICE}")
    return answer
