"""What is different about an application on some clusters: its manifest as it is meant for one of them. Pure."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from krake.data.constraints import LabelConstraint, check_constraints
from krake.data.elements import has_keys, key_of
from krake.data.manifests import check_manifest
from krake.data.record import Record, field

_DIRECTIVE = "$patch"
_DELETE = "delete"
_Places = Mapping[tuple[str, ...], Sequence[int]]
"""Where the objects of a manifest are, by how patches may name them: there may be thousands of both."""
_EXAMPLE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"}, "data": {"text": "hello"}}


class Override(Record):
    """What is different about an application on some clusters.

    :param cluster: the name of the cluster; null is any.
    :param labels: what the labels of the cluster must be; all must hold.
    :param patches: parts of objects, which are named as in the manifest; what they hold replaces what is there, null takes it
        away, and in lists of things with names each is changed by its own; ``$patch: delete`` takes one of these, or the whole
        object, away.
    """

    cluster: str | None = None
    labels: list[LabelConstraint] | None = field(default=None, validate=check_constraints, example=["location is DE"])
    patches: list[dict[str, Any]] = field(validate=check_manifest, example=[_EXAMPLE])

    def problem(self) -> str | None:
        """Refuse an override that is meant for no cluster in particular."""
        return None if self.cluster or self.labels else "An override names a cluster, or constraints on the labels of clusters."


class InvalidOverride(ValueError):
    """An override can not be what its user means; the message names it, and the object."""


def render(
    manifest: Sequence[dict[str, Any]], overrides: Iterable[Override], cluster: str, labels: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the manifest of an application as it is meant for a cluster.

    :param cluster: its name.
    :param labels: of the cluster.
    :raises InvalidOverride: an override that matches the cluster changes an object that is not in the manifest.
    """
    places, gone = _places_of(manifest), set[int]()
    rendered = list(manifest)
    for override in overrides:
        if matches(override, cluster, labels):
            for index, patch in _aim(override, places, gone):
                rendered[index] = _merge(rendered[index], patch, "")
    return [item for index, item in enumerate(rendered) if index not in gone]


def matches(override: Override, cluster: str, labels: Mapping[str, str]) -> bool:
    """Whether an override is meant for a cluster."""
    named = override.cluster in (None, cluster)
    return named and all(constraint.match(labels) for constraint in override.labels or ())


def overrides_problem(overrides: Iterable[Override], manifest: Sequence[dict[str, Any]]) -> str | None:
    """What is wrong with overrides for a manifest, or nothing."""
    places = _places_of(manifest)
    for override in overrides:
        try:
            for _ in _aim(override, places, set()):
                pass
        except InvalidOverride as error:
            return str(error)
    return None


def _name_of(override: Override) -> str:
    name = f"cluster {override.cluster}" if override.cluster else "clusters"
    labels = " and ".join(str(constraint) for constraint in override.labels or ())
    return f"{name} where {labels}" if labels else name


def _aim(override: Override, places: _Places, gone: set[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each patch that changes an object with where that is.

    :param gone: the objects that were taken away; more are added.
    """
    who = f"The override for {_name_of(override)}"
    for patch in override.patches:
        index = _find(places, gone, patch, who)
        if patch.get(_DIRECTIVE) == _DELETE:
            gone.add(index)
        else:
            yield index, patch


def _places_of(manifest: Iterable[Mapping[str, Any]]) -> _Places:
    """Return where the objects are, by how patches may name them."""
    places: dict[tuple[str, ...], list[int]] = {}
    for index, item in enumerate(manifest):
        for names in _names_of(item):
            places.setdefault(names, []).append(index)
    return places


def _names_of(item: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """How an object is named: without its namespace, and with it."""
    metadata = item["metadata"]
    names = item["apiVersion"], item["kind"], metadata["name"]
    yield names
    if (namespace := metadata.get("namespace")) is not None:
        yield *names, repr(namespace)


def _find(places: _Places, gone: Container[int], patch: Mapping[str, Any], who: str) -> int:
    """Return where the object is that a patch is for."""
    *_, names = _names_of(patch)
    found = [index for index in places.get(names, ()) if index not in gone]
    if len(found) == 1:
        return found[0]
    name = f"{patch['kind']} {patch['metadata']['name']} ({patch['apiVersion']})"
    if not found:
        raise InvalidOverride(f"{who} changes {name}, which is not in the manifest; correct its name or leave it out.")
    raise InvalidOverride(f"{who} changes {name}, of which there are several; name the namespace in the patch.")


def _merge(value: Any, patch: Any, name: str) -> Any:
    """Return a value as changed by a patch; *name* is the field it stands under."""
    if isinstance(patch, Mapping):
        return _merge_mappings(value if isinstance(value, Mapping) else {}, patch)
    if isinstance(patch, list) and isinstance(value, list) and has_keys(name, patch, value):
        return _merge_elements(value, patch, name)
    return patch


def _merge_mappings(value: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(value)
    for key, change in patch.items():
        if change is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(value.get(key), change, key)
    return merged


def _merge_elements(value: list[Any], patch: list[Any], name: str) -> list[Any]:
    merged = {key_of(name, item): item for item in value}
    for change in patch:
        key = key_of(name, change)
        if change.get(_DIRECTIVE) == _DELETE:
            merged.pop(key, None)
        else:
            merged[key] = _merge_mappings(merged.get(key, {}), change)
    return list(merged.values())
