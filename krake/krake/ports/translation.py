"""What Krake needs to understand TOSCA templates and CSAR archives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class TranslationError(Exception):
    """There is no manifest; the message says why, for the owner of the template.

    :param passing: whether another attempt may end otherwise though nothing is declared differently: something could not be
        fetched, or what was fetched may be mended where it is.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


@dataclass(frozen=True)
class Source:
    """What is translated: one of a template, its URL, or that of an archive."""

    template: Mapping[str, Any] | None = None
    url: str | None = None
    archive: str | None = None


class Translator(Protocol):
    """Makes manifests of templates."""

    async def translate(self, source: Source, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the Kubernetes objects that a template describes, what is required by others before them.

        The call ends within the translator's time limit, whatever the template is.

        :raises TranslationError: there is no manifest.
        """
