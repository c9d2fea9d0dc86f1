"""How many calls a provider gets at once, so that one that hangs keeps nobody else waiting. Pure."""

from collections import Counter
from collections.abc import Hashable

FULL = 1.0
"""Seconds after which somebody who was turned away comes again."""


class Traffic:
    """Counts the calls that are under way.

    :param at_once: to the same provider. One that did not answer the last time gets one at a time.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._under_way: Counter[Hashable] = Counter()
        self._silent: set[Hashable] = set()

    def enter(self, provider: Hashable) -> bool:
        """Begin a call, if there is room for one."""
        if self._under_way[provider] >= (1 if provider in self._silent else self._at_once):
            return False
        self._under_way[provider] += 1
        return True

    def leave(self, provider: Hashable, *, answered: bool) -> None:
        """End a call."""
        self._under_way[provider] -= 1
        if not self._under_way[provider]:
            del self._under_way[provider]
        if answered:
            self._silent.discard(provider)
        else:
            self._silent.add(provider)
