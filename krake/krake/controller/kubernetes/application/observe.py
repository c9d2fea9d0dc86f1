"""What the status tells about the objects on the cluster: the fields that are observed. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from krake.data.manifests import MAX_LENGTH, MIN_LENGTH
from krake.ports.cluster import Object

CURRENT_LENGTH = "observer_schema_list_current_length"


def observer_schema(manifest: Iterable[Mapping[str, Any]], given: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return which fields of each object are observed: as its user said, otherwise all that were declared.

    A leaf is ``null``; a list ends with an object that says how long it may be.
    """
    chosen = {_name_of(item): item for item in given}
    return [dict(chosen.get(_name_of(item)) or _default(item)) for item in manifest]


def observe(schema: Mapping[str, Any], live: Object) -> dict[str, Any]:
    """Return the observed fields of an object with their values now; a list ends with an object that says how long it is."""
    return {
        **{key: _observe(each, live[key]) for key, each in schema.items() if key in live and key not in ("apiVersion", "kind")},
        "apiVersion": schema["apiVersion"],
        "kind": schema["kind"],
        "metadata": {**_observe(_without_name(schema["metadata"]), live["metadata"]), "name": live["metadata"]["name"]},
    }


def _name_of(item: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return item.get("apiVersion"), item.get("kind"), item["metadata"].get("name")


def _without_name(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key != "name"}


def _default(item: Mapping[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {key: _leaves(value) for key, value in item.items()}
    schema |= {"apiVersion": item["apiVersion"], "kind": item["kind"]}
    schema["metadata"] = {**schema["metadata"], "name": item["metadata"]["name"]}
    spec = item.get("spec")
    if isinstance(spec, Mapping) and spec.get("type") == "LoadBalancer":
        # Its address comes later, and from the cluster.
        schema["status"] = {"loadBalancer": {"ingress": None}}
    return schema


def _leaves(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _leaves(each) for key, each in value.items()}
    if isinstance(value, list):
        return [*map(_leaves, value), {MIN_LENGTH: len(value), MAX_LENGTH: len(value)}]
    return None


def _observe(schema: Any, live: Any) -> Any:
    if isinstance(schema, Mapping):
        return (
            {key: _observe(each, live[key]) for key, each in schema.items() if key in live} if isinstance(live, Mapping) else {}
        )
    if isinstance(schema, list):
        values = live if isinstance(live, list) else []
        observed = [_observe(each, value) for each, value in zip(schema[:-1], values, strict=False)]
        return [*observed, {CURRENT_LENGTH: len(values)}]
    return live
