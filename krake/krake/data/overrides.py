"""What is different about an application on some clusters: its manifest as it is meant for one of them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from krake.data.constraints import LabelConstraint
from krake.data.credentials import rewrite_manifest
from krake.data.elements import has_keys, key_of
from krake.data.manifests import check_manifest
from krake.data.record import Record, field

_DIRECTIVE = "$patch"
_DELETE = "delete"
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
    labels: list[LabelConstraint] | None = field(default=None, example=["location is DE"])
    patches: list[dict[str, Any]] = field(secret=rewrite_manifest, validate=check_manifest, example=[_EXAMPLE])

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
    rendered = list(manifest)
    for override in overrides:
        if matches(override, cluster, labels):
            rendered = _patch_all(rendered, override.patches, f"The override for {_name_of(override)}")
    return rendered


def matches(override: Override, cluster: str, labels: Mapping[str, str]) -> bool:
    """Whether an override is meant for a cluster."""
    named = override.cluster in (None, cluster)
    return named and all(constraint.match(labels) for constraint in override.labels or ())


def overrides_problem(overrides: Iterable[Override], manifest: Sequence[dict[str, Any]]) -> str | None:
    """What is wrong with overrides for a manifest, or nothing."""
    for override in overrides:
        try:
            _patch_all(manifest, override.patches, f"The override for {_name_of(override)}")
        except InvalidOverride as error:
            return str(error)
    return None


def _name_of(override: Override) -> str:
    name = f"cluster {override.cluster}" if override.cluster else "clusters"
    labels = " and ".join(str(constraint) for constraint in override.labels or ())
    return f"{name} where {labels}" if labels else name


def _patch_all(manifest: Sequence[dict[str, Any]], patches: Iterable[dict[str, Any]], who: str) -> list[dict[str, Any]]:
    patched = list(manifest)
    for patch in patches:
        index = _find(patched, patch, who)
        if patch.get(_DIRECTIVE) == _DELETE:
            del patched[index]
        else:
            patched[index] = _merge(patched[index], patch, "")
    return patched


def _find(manifest: Sequence[Mapping[str, Any]], patch: Mapping[str, Any], who: str) -> int:
    """Return where the object is that a patch is for."""
    found = [index for index, item in enumerate(manifest) if _is_for(patch, item)]
    if len(found) == 1:
        return found[0]
    name = f"{patch['kind']} {patch['metadata']['name']} ({patch['apiVersion']})"
    if not found:
        raise InvalidOverride(f"{who} changes {name}, which is not in the manifest; correct its name or leave it out.")
    raise InvalidOverride(f"{who} changes {name}, of which there are several; name the namespace in the patch.")


def _is_for(patch: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    same = all(patch[key] == item[key] for key in ("apiVersion", "kind"))
    given, metadata = patch["metadata"], item["metadata"]
    namespaced = given.get("namespace") in (None, metadata.get("namespace"))
    return bool(same and given["name"] == metadata["name"] and namespaced)


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
