"""Whether the API can serve: a list of checks, each with what is wrong in one sentence."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from krake.adapters.identity import Web
from krake.api.cache import Cache
from krake.api.secrets.vault import Vault
from krake.lib.finding import Finding
from krake.ports.store import Store, StoreError

_LIMIT = 3.0
"""Seconds that a check may take."""
_MOST_BEHIND = 1000
"""With so many revisions missing, what is read is too old to send new clients here."""

Check = Callable[[], Awaitable[str]]
"""Returns what is fine, in a few words. Raises `Failing`."""


class Failing(Exception):
    """A check fails; the message says why, and holds nothing that outsiders must not know."""


class Stopping:
    """Whether the process was told to end."""

    def __init__(self) -> None:
        self.begun = False


class Health:
    """Runs the checks.

    :param informing: further checks by name that do not make the API unready: what they look at is needed by some requests.
    """

    def __init__(self, store: Store, cache: Cache, stopping: Stopping, informing: Mapping[str, Check]) -> None:
        self._store = store
        self._cache = cache
        self._stopping = stopping
        self._required: dict[str, Check] = {
            "stopping": self._check_stopping,
            "store": self._check_store,
            "cache": self._check_cache,
            "lag": self._check_lag,
        }
        self._informing = {"objects": self._check_objects, **informing}

    async def examine(self, informing: bool) -> list[Finding]:
        """Run all required checks at once, and on request those that only inform."""
        chosen = [(name, check, True) for name, check in self._required.items()]
        if informing:
            chosen += [(name, check, False) for name, check in self._informing.items()]
        return list(await asyncio.gather(*(_run(*each) for each in chosen)))

    async def _check_stopping(self) -> str:
        if self._stopping.begun:
            raise Failing("The process is stopping.")
        return "the process is not stopping"

    async def _check_store(self) -> str:
        try:
            return f"at revision {await self._store.ping()}"
        except StoreError:
            raise Failing("The store does not answer.") from None

    async def _check_cache(self) -> str:
        if self._cache.revision == 0:
            raise Failing("The cache has not been loaded from the store yet.")
        if self._cache.concern is not None:
            raise Failing(self._cache.concern)
        return f"at revision {self._cache.revision}"

    async def _check_lag(self) -> str:
        behind = max(0, self._cache.store_revision - self._cache.revision)
        if behind > _MOST_BEHIND:
            raise Failing(f"The cache is {behind} revisions behind the store.")
        return f"{behind} revisions behind the store"

    async def _check_objects(self) -> str:
        unreadable = sum(len(collection.unreadable) for collection in self._cache.collections)
        if unreadable:
            raise Failing(f"{unreadable} entries of the store are left out because they are no objects; the log names them.")
        return "all are readable"


def check_identity(services: Web) -> Check:
    """Return the check of the services that know users. They are not asked for its sake: their last answers count."""

    async def check() -> str:
        if services.troubles:
            raise Failing(" ".join(services.troubles[name] for name in sorted(services.troubles)))
        return "all services have answered when they were asked last"

    return check


def check_secrets(vault: Vault) -> Check:
    """Return the check of the keys that seal secrets. Their names are for the log only."""

    async def check() -> str:
        if vault.missing or vault.broken:
            raise Failing(
                f"{len(vault.missing)} keys are missing and {len(vault.broken)} objects cannot be opened with theirs; the log"
                " names them."
            )
        return "all that were read could be opened"

    return check


async def _run(name: str, check: Check, required: bool) -> Finding:
    try:
        async with asyncio.timeout(_LIMIT):
            return Finding(name, True, await check(), required)
    except Failing as failing:
        return Finding(name, False, str(failing), required)
    except TimeoutError:
        return Finding(name, False, f"It did not answer within {_LIMIT:g} s.", required)
