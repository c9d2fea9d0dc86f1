"""Reads YAML as Kubernetes does: what looks like a date stays a text, and everything can be written as JSON."""

from typing import Any

import yaml

from krake.data.tosca import InvalidTemplate

DEPTH_LIMIT = 60
VALUE_LIMIT = 500_000
"""How many values a document may have, each alias counted with all that it stands for."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _JsonLoader(_Loader):  # type: ignore[misc]
    """Reads no dates."""


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def read_documents(text: str | bytes, what: str) -> list[Any]:
    """Return the documents of a YAML text, empty ones left out.

    :raises InvalidTemplate: it is not YAML, or is more than anybody can mean.
    """
    try:
        documents = [each for each in yaml.load_all(text, _JsonLoader) if each is not None]
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidTemplate(f"{what} is not YAML{place}: {error.problem or error.context}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError):
        raise InvalidTemplate(f"{what} is not YAML.") from None
    for document in documents:
        _check(document, what)
    return documents


def read_document(text: str | bytes, what: str) -> dict[str, Any]:
    """Return the first document of a YAML text, which must be a mapping.

    :raises InvalidTemplate: it is something else.
    """
    documents = read_documents(text, what)
    if not documents or not isinstance(documents[0], dict):
        raise InvalidTemplate(f"{what} is no TOSCA document: it must be a mapping.")
    return documents[0]


def _check(document: Any, what: str) -> None:
    """Refuse what JSON can not say, and bombs of aliases."""
    layer, count = [document], 0
    for _ in range(DEPTH_LIMIT):
        count += len(layer)
        if count > VALUE_LIMIT:
            raise InvalidTemplate(f"{what} has more than {VALUE_LIMIT} values.")
        inner: list[Any] = []
        for value in layer:
            if isinstance(value, dict):
                if not all(isinstance(key, str) for key in value):
                    odd = next(key for key in value if not isinstance(key, str))
                    raise InvalidTemplate(f"{what} has the key {odd!r:.40}, which is no text; quote it.")
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif not isinstance(value, str | int | float | bool | None) or value != value or value in _INFINITE:
                raise InvalidTemplate(f"{what} has a value that is neither text nor number: {value!r:.40}.")
            if len(inner) > VALUE_LIMIT:
                raise InvalidTemplate(f"{what} has more than {VALUE_LIMIT} values.")
        layer = inner
        if not layer:
            return
    raise InvalidTemplate(f"{what} is nested more than {DEPTH_LIMIT} levels deep.")


_INFINITE = (float("inf"), float("-inf"))
