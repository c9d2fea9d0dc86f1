"""What the docstrings of records say, for readers of the documentation."""

import inspect
import re
from collections.abc import Iterator

_PARAMETER = re.compile(r"^:param (\w+): ", re.MULTILINE)
_ROLE = re.compile(r":[a-z]+:(`[^`]+`)")


def description_of(cls: type) -> str:
    """Return what the docstring of a class says of it as a whole, as Markdown."""
    return _markdown(_PARAMETER.split(inspect.cleandoc(cls.__doc__ or ""))[0])


def parameters_of(cls: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each field, as Markdown."""
    return {name: text for each in reversed(cls.__mro__) for name, text in _parameters(each)}


def _parameters(cls: type) -> Iterator[tuple[str, str]]:
    _, *parts = _PARAMETER.split(inspect.cleandoc(cls.__dict__.get("__doc__") or ""))
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        words = _markdown(text.partition("\n\n")[0])
        yield name, words[:1].upper() + words[1:]


def first_line(text: str | None) -> str:
    """Return the first sentence of a docstring, without a full stop, as a summary."""
    return _markdown((text or "").partition("\n\n")[0]).rstrip(".")


def _markdown(text: str) -> str:
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(_ROLE.sub(r"\1", " ".join(each.split())).replace("``", "`") for each in paragraphs)
