"""Reads YAML as Kubernetes does: what looks like a date stays a text, and everything can be written as JSON."""

from typing import Any

import yaml

from krake.data.tosca import InvalidTemplate

DEPTH_LIMIT = 60
VALUE_LIMIT = 500_000
"""How many values a document may have, each alias counted with all that it stands for."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_INTEGER, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_LONGEST_NUMBER = 400
"""Digits."""


class _JsonLoader(_Loader):  # type: ignore[misc]
    """Reads no dates, no numbers to the base of 60, and no merges that make more of a text than anybody can mean."""

    def __init__(self, text: str | bytes) -> None:
        super().__init__(text)
        self._merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put what a mapping merges into it; merges of merges multiply."""
        super().flatten_mapping(node)
        self._merged += len(node.value)
        if self._merged > VALUE_LIMIT:
            raise yaml.constructor.ConstructorError(None, None, "it merges too much", node.start_mark)

    def construct_number(self, node: yaml.ScalarNode) -> int | float | str:
        """Return a number; texts with colons stay texts, as times and addresses do."""
        text = str(node.value)
        if ":" in text:
            return text
        if len(text) > _LONGEST_NUMBER:
            raise yaml.constructor.ConstructorError(None, None, "a number is too long", node.start_mark)
        construct = self.construct_yaml_int if node.tag == _INTEGER else self.construct_yaml_float
        number: int | float = construct(node)
        return number


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
for _tag in (_INTEGER, _FLOAT):
    _JsonLoader.add_constructor(_tag, _JsonLoader.construct_number)


def read_documents(text: str | bytes, what: str) -> list[Any]:
    """Return the documents of a YAML text, empty ones left out.

    :raises InvalidTemplate: it is not YAML, or is more than anybody can mean.
    """
    try:
        _check_form(text, what)
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


def _check_form(text: str | bytes, what: str) -> None:
    """Refuse what is nested so deeply that the parser would not survive it, before it builds anything of it."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, _Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_LIMIT:
            raise InvalidTemplate(f"{what} is nested more than {DEPTH_LIMIT} levels deep.")
        if count > 3 * VALUE_LIMIT:
            raise InvalidTemplate(f"{what} has more than {VALUE_LIMIT} values.")


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
