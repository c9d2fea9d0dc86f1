"""Which other documents a template needs.

A document is known by its location: an absolute http(s) URL, or its path inside of the archive that is being read.
"""

import posixpath
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from krake.data.tosca.problems import InvalidTemplate, mapping, sequence, show

_SCHEMES = ("http://", "https://")


@dataclass(frozen=True)
class Import:
    """A document that another one needs.

    :param prefix: what the names of its types begin with where it is imported, with a dot in between.
    """

    location: str
    prefix: str | None = None


def is_url(location: str) -> bool:
    """Whether a location is outside of any archive."""
    return location.lower().startswith(_SCHEMES)


def imports_of(document: dict[str, Any], base: str | None) -> list[Import]:
    """Return what a document imports.

    :param base: the location of the document; ``None`` for one that was declared inline.
    :raises InvalidTemplate: something is imported from a place that can not be meant.
    """
    repositories = mapping(document.get("repositories"), "repositories")
    found = []
    for number, entry in enumerate(sequence(document.get("imports"), "imports"), start=1):
        what = f"Import {number}" if base is None else f"Import {number} of {base}"
        found.append(_import_of(_definition_of(entry, what), repositories, base, what))
    return found


def _definition_of(entry: Any, what: str) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"file": entry}
    named = mapping(entry, what)
    if "file" in named:
        return named
    if len(named) != 1:
        raise InvalidTemplate(f"{what} must be an address, a name with an address, or have a 'file'.")
    (definition,) = named.values()
    return {"file": definition} if isinstance(definition, str) else mapping(definition, what)


def _import_of(definition: dict[str, Any], repositories: dict[str, Any], base: str | None, what: str) -> Import:
    file, prefix, repository = (definition.get(key) for key in ("file", "namespace_prefix", "repository"))
    if not isinstance(file, str) or not file:
        raise InvalidTemplate(f"{what} must have a 'file', not {show(file)}.")
    if prefix is not None and not isinstance(prefix, str):
        raise InvalidTemplate(f"{what}: namespace_prefix must be a text, not {show(prefix)}.")
    if repository is not None:
        base = _address_of(repository, repositories, what)
    return Import(_locate(file, base, what), prefix)


def _address_of(name: Any, repositories: dict[str, Any], what: str) -> str:
    found = repositories.get(name) if isinstance(name, str) else None
    url = found.get("url") if isinstance(found, dict) else found
    if not isinstance(url, str) or not is_url(url):
        raise InvalidTemplate(f"{what}: the repository {show(name)} is not defined with an http or https URL.")
    return url if url.endswith("/") else f"{url}/"


def _locate(file: str, base: str | None, what: str) -> str:
    if is_url(file):
        return _join(file, "", what)
    if base is None:
        raise InvalidTemplate(
            f"{what}: {show(file)} must be an http or https URL, as no files are sent along with a template:"
            " put it where it can be fetched, or write what is in it into the template."
        )
    if is_url(base):
        return _join(base, file, what)
    path = posixpath.normpath(posixpath.join(posixpath.dirname(base), file))
    if path.startswith(("/", "..")) or "://" in file or "\\" in file:
        raise InvalidTemplate(f"{what}: {show(file)} must be a file of the archive, or an http or https URL.")
    return path


def _join(base: str, file: str, what: str) -> str:
    try:
        url = urljoin(base, file)
        parts = urlsplit(url)
    except ValueError:
        raise InvalidTemplate(f"{what}: {show(file or base)} is no URL.") from None
    if not is_url(url) or not parts.hostname:
        raise InvalidTemplate(f"{what}: {show(file or base)} must be an http or https URL.")
    return url
