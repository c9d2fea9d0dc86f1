"""What stands in a file: YAML documents, each of which is to become an object."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import yaml
from marshmallow import ValidationError

from krake.api import lifecycle
from krake.api.items import encode
from krake.data.kinds import KINDS, Resource
from krake.data.metadata import Key
from krake.data.record import parse_time
from krake.data.schema import Purpose, flatten_errors, load


@dataclass(frozen=True)
class Document:
    """A YAML document."""

    file: str
    line: int
    body: Any

    @property
    def place(self) -> str:
        return f"'{self.file}', line {self.line}"

    def __str__(self) -> str:
        """Names the object as far as the document does."""
        body = self.body if isinstance(self.body, Mapping) else {}
        metadata = body.get("metadata")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        named = {"kind": body.get("kind"), "api": body.get("api")} | {
            each: metadata.get(each) for each in ("namespace", "name")
        }
        return ", ".join(f"{part}: '{'MISSING' if value is None else value}'" for part, value in named.items())


@dataclass(frozen=True)
class Draft:
    """An object that a document asks for, and what of it the document did not leave to the server."""

    document: Document
    record: Resource

    def __str__(self) -> str:
        return describe(self.record)


@dataclass(frozen=True)
class Fault:
    """Something that can not be added, and why."""

    document: Document
    name: str
    error: str


class _Loader(yaml.SafeLoader):
    """Reads dates as the texts that they are in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def describe(record: Resource) -> str:
    """Name an object."""
    namespace, name = record.key
    return f"{record.kind}(api='{record.api}', namespace='{namespace}', name='{name}')"


def read_documents(text: str, file: str) -> Iterator[Document | Fault]:
    """Yield the documents of a file, without empty ones; at a mistake, a fault, with which it ends."""
    loader = _Loader(text)
    line = 1
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None, "There is one, by check_node()."
            line = node.start_mark.line + 1
            body = loader.construct_document(node)
            if body is not None:
                yield Document(file, line, body)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else line
        yield Fault(Document(file, line, None), f"line {line}", f"not YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        yield Fault(Document(file, line, None), f"line {line}", f"not YAML: {' '.join(str(error).split())}")
    finally:
        loader.dispose()


def draft(document: Document, now: datetime) -> Draft | Fault:
    """Return the object that a document asks for, or why there can be none."""
    try:
        return Draft(document, _read(document.body, now))
    except ValidationError as error:
        told = "; ".join(f"{field}: {message}" if field else message for field, message in flatten_errors(error.messages))
        return Fault(document, str(document), told)


def _read(body: Any, now: datetime) -> Resource:
    if not isinstance(body, dict):
        raise ValidationError("The document must be a mapping with api, kind and metadata.")
    kind = _kind_of(body)
    made: Resource = load(kind, lifecycle.refuse_marks(kind, body), Purpose.CREATE)
    namespace = made.metadata.namespace if kind.definition.namespaced else None
    if kind.definition.namespaced and namespace is None:
        raise ValidationError({"metadata": {"namespace": [f"A {kind.kind} needs a namespace."]}})
    given = body["metadata"]
    record = lifecycle.create(made, namespace, _uid(given), now)
    created, modified = (_time(given, name) or now for name in ("created", "modified"))
    record = replace(record, metadata=replace(record.metadata, created=created, modified=modified))
    try:
        encode(record.serialize())
    except (ValueError, TypeError):
        raise ValidationError("It holds what JSON does not know, for example a number that is not finite.") from None
    return record


def _kind_of(body: Mapping[str, Any]) -> type[Resource]:
    for part in ("api", "kind"):
        if not isinstance(body.get(part), str):
            raise ValidationError({part: ["Missing data for required field."]})
    api, kind = body["api"], body["kind"]
    if api not in {each for each, _ in KINDS}:
        raise ValidationError(f"The api '{api}' could not be found.")
    if (api, kind) not in KINDS:
        raise ValidationError(f"The kind '{kind}' could not be found.")
    return KINDS[api, kind]


def _uid(metadata: Mapping[str, Any]) -> str:
    uid = metadata.get("uid")
    if uid is None:
        return str(uuid.uuid4())
    if not isinstance(uid, str) or not uid.strip():
        raise ValidationError({"metadata": {"uid": ["Not a valid string."]}})
    return uid


def _time(metadata: Mapping[str, Any], name: str) -> datetime | None:
    value = metadata.get(name)
    if value is None:
        return None
    try:
        return parse_time(value)
    except (ValueError, TypeError):
        raise ValidationError({"metadata": {name: ["Not a valid datetime."]}}) from None


def refuse_repetitions(drafts: list[Draft]) -> Iterator[Fault]:
    """Yield a fault for each object that is there before."""
    seen: dict[tuple[str, Key], Draft] = {}
    for each in drafts:
        first = seen.setdefault((each.record.definition.prefix, each.record.key), each)
        if first is not each:
            yield Fault(each.document, str(each), f"The same object stands in {first.document.place}")
