"""The OpenAPI document: valid, and true of what is declared."""

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import Mock

import pytest
from fixtures.records import records
from fixtures.samples import CHANGES, sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from marshmallow import ValidationError
from openapi_spec_validator import validate

from krake.api.openapi.document import make_document
from krake.api.openapi.samples import sample_of
from krake.api.routes import routes_of
from krake.data import KINDS, Resource
from krake.data.polymorphic import Polymorphic
from krake.data.record import Record, fields_of
from krake.data.schema import Purpose, flatten_errors, load
from krake.data.secrets import redact

EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
RELAXED = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@cache
def document() -> dict[str, Any]:
    # Describing a route does not call it: the services behind are not needed.
    return make_document((kind, route) for kind in KINDS.values() for route in routes_of(kind, Mock()))


@cache
def validator(name: str) -> Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def mistakes(name: str, wire: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(wire)]


def test_the_document_is_valid() -> None:
    validate(document())


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for path in document()["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    assert {"list_applications", "list_all_applications", "read_global_metrics_provider", "update_cluster_binding"} <= {*names}


def test_everything_is_described() -> None:
    for name, schema in document()["components"]["schemas"].items():
        assert schema.get("description") or name.endswith("List"), name
    for path in document()["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["responses"]


@EVERY_KIND
def test_samples_are_valid(kind: type[Resource]) -> None:
    wire = sample_of(kind)
    load(kind, wire, Purpose.CREATE)
    assert mistakes(f"{kind.__name__}Write", wire) == []
    assert mistakes(f"{kind.__name__}Write", sample(kind)) == []
    assert mistakes(f"{kind.__name__}Patch", CHANGES[kind]) == []


@EVERY_KIND
@RELAXED
@given(data=st.data())
def test_what_is_valid_fits(kind: type[Resource], data: st.DataObject) -> None:
    wire = data.draw(records(kind)).serialize()
    assert mistakes(kind.__name__, wire) == []
    assert mistakes(kind.__name__, redact(kind, wire)) == []
    assert mistakes(f"{kind.__name__}Write", wire) == []
    assert mistakes(f"{kind.__name__}Write", redact(kind, wire)) == []
    assert mistakes(f"{kind.__name__}Patch", wire) == []


@EVERY_KIND
@RELAXED
@given(data=st.data())
def test_what_is_not_of_its_type_does_not_fit(kind: type[Resource], data: st.DataObject) -> None:
    wire = copy.deepcopy(sample_of(kind))
    path = data.draw(st.sampled_from(list(declared_paths(kind, wire))))
    # Texts that stand for numbers or truths are taken as such, and so are numbers for truths; there are no such ones here.
    _replace(wire, path, data.draw(st.sampled_from([None, [], {}, "?", [{}], {"?": "?"}])))
    assert bool(mistakes(f"{kind.__name__}Write", wire)) == refused(kind, wire), (path, wire)


@EVERY_KIND
def test_what_lacks_something_does_not_fit(kind: type[Resource]) -> None:
    for path in declared_paths(kind, sample_of(kind)):
        wire = copy.deepcopy(sample_of(kind))
        _replace(wire, path)
        assert bool(mistakes(f"{kind.__name__}Write", wire)) == refused(kind, wire), path


IN_WORDS = (
    "The minimum must",
    "The application should",
    "The cluster should",
    "At least one authentication",
)
"""Refusals for what fields are together, which no schema says."""


def refused(kind: type[Resource], wire: Any) -> bool:
    """Whether a body is refused for what a schema can say."""
    try:
        load(kind, wire, Purpose.CREATE)
    except ValidationError as error:
        return any(not message.startswith(IN_WORDS) for _, message in flatten_errors(error.messages))
    return False


def declared_paths(cls: type[Record], wire: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all declared fields that are there."""
    if issubclass(cls, Polymorphic):
        yield (*path, "type")
        yield (*path, wire["type"])
        yield from declared_paths(cls.variants[wire["type"]], wire[wire["type"]], *path, wire["type"])
        return
    for info in fields_of(cls):
        if info.name in wire:
            yield (*path, info.name)
            if isinstance(info.type, type) and issubclass(info.type, Record):
                yield from declared_paths(info.type, wire[info.name], *path, info.name)


def _replace(wire: Any, path: tuple[str, ...], *values: Any) -> None:
    *parents, last = path
    for key in parents:
        wire = wire[key]
    if values:
        wire[last] = values[0]
    else:
        del wire[last]
