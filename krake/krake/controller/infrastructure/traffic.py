"""How many calls a provider gets at once, or a namespace makes, so that what hangs keeps nobody else waiting. Pure."""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

PATIENCE = 10.0
"""Seconds after which who was turned away comes again, should nobody be called whose turn it is."""


class Traffic(Generic[K]):
    """Counts the calls that are under way, and remembers who waits for one.

    :param at_once: to the same provider. One that did not answer the last time gets one at a time.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._under_way: Counter[Hashable] = Counter()
        self._silent: set[Hashable] = set()
        self._waiting: dict[Hashable, dict[K, None]] = {}

    def enter(self, provider: Hashable, who: K) -> bool:
        """Begin a call, if there is room for one; otherwise who wants to is remembered."""
        if self._under_way[provider] >= self._room(provider):
            self._waiting.setdefault(provider, {})[who] = None
            return False
        self._under_way[provider] += 1
        return True

    def leave(self, provider: Hashable, *, answered: bool) -> list[K]:
        """End a call; returns whose turn it is now."""
        self._under_way[provider] -= 1
        if answered:
            self._silent.discard(provider)
        else:
            self._silent.add(provider)
        waiting = self._waiting.get(provider, {})
        called = list(waiting)[: max(self._room(provider) - self._under_way[provider], 0)]
        for who in called:
            del waiting[who]
        if not waiting:
            self._waiting.pop(provider, None)
        if not self._under_way[provider]:
            del self._under_way[provider]
        return called

    def _room(self, provider: Hashable) -> int:
        return 1 if provider in self._silent else self._at_once
