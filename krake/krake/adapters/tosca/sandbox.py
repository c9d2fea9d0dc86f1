"""Runs the worker, and fetches what it lacks."""

import asyncio
import base64
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from krake.adapters.fetching import FetchError
from krake.ports.translation import Source, TranslationError

_COMMAND = (sys.executable, "-P", "-m", "krake.adapters.tosca.worker")
_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG")
"""What the worker sees of the environment, in which there may be secrets."""
_TOGETHER = 2
"""How many workers run at once."""
_RUN_LIMIT = 20.0
"""Seconds for one run of a worker."""
_ROUNDS = 10
"""How often a document may need another one that was not known before."""
_ANSWER_LIMIT = 8_000_000


class Fetches(Protocol):
    """What fetches documents."""

    async def fetch(self, url: str) -> bytes:
        """Return a document.

        :raises FetchError: there is none.
        """


class Sandbox:
    """A :class:`~krake.ports.translation.Translator`.

    :param timeout: seconds for one translation, waiting for others not counted.
    :param size_limit: bytes of all documents of a template together.
    """

    def __init__(self, fetcher: Fetches, *, timeout: float, size_limit: int) -> None:
        self._fetcher = fetcher
        self._timeout = timeout
        self._size_limit = size_limit
        self._turns = asyncio.Semaphore(_TOGETHER)

    async def translate(self, source: Source, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the Kubernetes objects that a template describes, what is required by others before them.

        :raises TranslationError: there is no manifest.
        """
        job: dict[str, Any] = {
            "template": source.template,
            "url": source.url,
            "archive": source.archive,
            "inputs": dict(inputs),
            "documents": {},
        }
        try:
            async with asyncio.timeout(self._timeout):
                return await self._translate(job)
        except TimeoutError:
            raise TranslationError(f"The template was not there within {self._timeout:g} seconds.", passing=True) from None
        except FetchError as error:
            raise TranslationError(str(error), passing=error.passing) from None

    async def _translate(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        size = 0
        for _ in range(_ROUNDS):
            answer = await self._run(job)
            if "manifest" in answer:
                return list(answer["manifest"])
            if "problem" in answer:
                raise TranslationError(answer["problem"], passing=bool(job["documents"]))
            for url in answer["missing"]:
                content = await self._fetcher.fetch(url)
                size += len(content)
                if size > self._size_limit:
                    raise TranslationError(
                        f"The documents of the template have more than {self._size_limit} bytes.", passing=True
                    )
                job["documents"][url] = base64.b64encode(content).decode()
        raise TranslationError("The template needs documents that need documents, and so on, too often.", passing=True)

    async def _run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        passing = bool(job["documents"])
        async with self._turns:
            process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in _VARIABLES if name in os.environ},
            )
            try:
                async with asyncio.timeout(_RUN_LIMIT):
                    output, _ = await process.communicate(json.dumps(job).encode())
            except TimeoutError:
                raise TranslationError("The template takes too long to read.", passing=passing) from None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise TranslationError("The template needs too much time or memory to read.", passing=passing)
        if len(output) > _ANSWER_LIMIT:
            raise TranslationError(f"The manifest of the template has more than {_ANSWER_LIMIT} bytes.", passing=passing)
        return dict(json.loads(output))
