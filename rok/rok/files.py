"""Reads the YAML files that users hand over."""

import sys
from pathlib import Path
from typing import Any

from rok.errors import Failure, Misuse

Document = dict[str, Any]


def read_documents(path: str) -> list[Document]:
    """Return the documents of a YAML file, empty ones left out; ``-`` is the standard input.

    :raises Misuse: the file can not be read.
    :raises Failure: it is not YAML, or a document is no mapping.
    """
    import yaml

    try:
        documents = [each for each in yaml.load_all(read_text(path), _loader()) if each is not None]
    except yaml.YAMLError as error:
        raise Failure(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    for number, document in enumerate(documents, start=1):
        if not isinstance(document, dict):
            raise Failure(f"{path}: document {number} is {type(document).__name__}, not a mapping of keys to values")
    if not documents:
        raise Failure(f"{path} is empty: write at least one document")
    return documents


def _loader() -> Any:
    """Return a reader that takes texts for dates no more than Kubernetes does."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads no dates."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def read_text(path: str) -> str:
    """Return the content of a text file; ``-`` is the standard input.

    :raises Misuse: it can not be read.
    """
    try:
        return sys.stdin.read() if path == "-" else Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise Misuse(f"can not read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Misuse(f"can not read {path}: it is not a text in UTF-8") from None
