"""The checks of what users hand over in other tools' formats: manifests, observer schemas, TOSCA templates, kubeconfigs.

Nothing is fetched or opened here: a template's imports and a kubeconfig's files are not looked at.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import ValidationError

from krake.data.destinations import Denied, read_url
from krake.data.rules import rule
from krake.data.tosca import InvalidTemplate, check_template, is_inherently_wrong

MIN_LENGTH = "observer_schema_list_min_length"
MAX_LENGTH = "observer_schema_list_max_length"

_TEXT = {"type": "string", "minLength": 1}
_OBJECT = {
    "required": ["apiVersion", "kind", "metadata"],
    "properties": {
        "apiVersion": _TEXT,
        "kind": _TEXT,
        "metadata": {"type": "object", "required": ["name"], "properties": {"name": _TEXT}},
    },
}
_TEMPLATE: dict[str, Any] = {
    "required": ["tosca_definitions_version", "topology_template"],
    "properties": {
        "tosca_definitions_version": {"type": "string", "pattern": "^tosca_simple_yaml_"},
        "topology_template": {"type": "object"},
    },
}
_OUTPUTS = {"type": "object", "required": ["kubeconfig"]}
_ONE_OBJECT = {"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "object"}}


def _unless_empty(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords that hold for objects with any property."""
    return {"if": {"minProperties": 1}, "then": keywords}


@rule({"items": _OBJECT})
def check_manifest(manifest: list[dict[str, Any]]) -> None:
    """Refuse Kubernetes objects without ``apiVersion``, ``kind`` or ``metadata.name``; all faults are named."""
    problems = [problem for index, item in enumerate(manifest) for problem in object_problems(item, index)]
    if problems:
        raise ValidationError(problems)


def object_problems(item: Mapping[str, Any], index: int) -> Iterator[str]:
    metadata = item.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not name or not isinstance(name, str):
        yield f"Field 'metadata.name' not found in resource at index {index}"
    known = f" (metadata.name: '{name}')" if name else ""
    for key in ("apiVersion", "kind"):
        if not isinstance(item.get(key), str) or not item[key]:
            yield f"Field '{key}' not found in resource at index {index}{known}"
    if metadata is None:
        yield f"Field 'metadata' not found in resource at index {index}{known}"
    elif not isinstance(metadata, Mapping):
        yield f"Field 'metadata' of resource at index {index} is not a mapping"


def observer_schema_problem(schema: list[dict[str, Any]], manifest: list[dict[str, Any]]) -> str | None:
    """What is wrong with an observer schema for a manifest, or nothing."""
    known = {_identity(item)[:3] for item in manifest} | {_identity(item) for item in manifest}
    for index, item in enumerate(schema):
        problem = _first_level_problem(item) or _observed_problem(item)
        identity = _identity(item) if problem is None else ()
        if problem is None and (identity if identity[3] else identity[:3]) not in known:
            problem = "Observed resource must be in manifest"
        if problem is not None:
            return f"Observer schema of resource at index {index}: {problem}"
    return None


def _identity(item: Mapping[str, Any]) -> tuple[Any, ...]:
    metadata = item["metadata"]
    names = item.get("apiVersion"), item.get("kind"), metadata.get("name"), metadata.get("namespace")
    return tuple(str(name) if name else None for name in names)


def _first_level_problem(item: Mapping[str, Any]) -> str | None:
    for key in ("apiVersion", "kind"):
        if item.get(key) is None:
            return f"{key} is not defined"
        if not isinstance(item[key], str):
            return f"{key} must be a text"
    metadata = item.get("metadata")
    if metadata is None:
        return "metadata dictionary is not defined"
    if not isinstance(metadata, Mapping):
        return "metadata must be a dictionary"
    if metadata.get("name") is None:
        return "name is not defined in the metadata dictionary"
    return None if isinstance(metadata["name"], str) else "name must be a text"


def _observed_problem(item: Mapping[str, Any]) -> str | None:
    for key, value in item.items():
        if key in ("apiVersion", "kind"):
            continue
        inner = value
        if key == "metadata":
            # The namespace may be said, to tell objects of one name apart.
            named = {"name", "namespace"} if isinstance(value.get("namespace"), str) else {"name"}
            inner = {name: each for name, each in value.items() if name not in named}
        if problem := _leaf_problem(key, inner):
            return problem
    return None


def _leaf_problem(key: str, value: Any) -> str | None:
    if isinstance(value, Mapping):
        return next((problem for name, each in value.items() if (problem := _leaf_problem(name, each))), None)
    if isinstance(value, list):
        return _list_problem(value)
    return None if value is None else f"Value of '{key}' is not 'None'"


def _list_problem(values: list[Any]) -> str | None:
    control = values[-1] if values else None
    if not isinstance(control, Mapping) or not ({MIN_LENGTH, MAX_LENGTH} & control.keys()):
        return "Special list control dictionary not found"
    if control.keys() != {MIN_LENGTH, MAX_LENGTH}:
        return "Special list control dictionary malformed"
    for key, length in control.items():
        if not isinstance(length, int) or isinstance(length, bool):
            return f"{key} should be an integer"
        if length < 0:
            return f"Invalid value for {key}"
    observed = values[:-1]
    if 0 != control[MAX_LENGTH] < max(control[MIN_LENGTH], len(observed)):
        return f"{MAX_LENGTH} is inferior to {MIN_LENGTH} or to the number of observed elements"
    for value in observed:
        if value is not None and not isinstance(value, (Mapping, list)):
            return "Element of a list is not 'None'"
        if problem := _leaf_problem("list element", value):
            return problem
    return None


@rule({"pattern": r"^$|^https?://.*\.ya?ml$", **_unless_empty(_TEMPLATE)})
def check_application_tosca(tosca: dict[str, Any] | str) -> None:
    """Refuse what can not be a TOSCA template or the address of one, as far as that is seen without fetching anything."""
    if isinstance(tosca, str):
        if tosca:
            _check_address(tosca, (".yaml", ".yml"), "Invalid TOSCA template URL.")
    elif tosca and (problem := is_inherently_wrong(tosca)):
        raise ValidationError(f"Invalid TOSCA template content. {problem}")


def inputs_problem(tosca: dict[str, Any] | str, inputs: Mapping[str, Any]) -> str | None:
    """What is wrong with the inputs of a template that is declared inline, or nothing."""
    if isinstance(tosca, str) or not tosca:
        return None
    try:
        check_template(tosca, inputs)
    except InvalidTemplate as error:
        return f"The inputs do not fit the TOSCA template: {error}"
    return None


def _check_address(url: str, endings: tuple[str, ...], complaint: str) -> None:
    if not url.endswith(endings):
        raise ValidationError(f"{complaint} It must end with {' or '.join(endings)}.")
    if not url.startswith(("http://", "https://")):
        raise ValidationError(f"{complaint} It must begin with http:// or https://.")
    try:
        read_url(url)
    except Denied as error:
        raise ValidationError(f"{complaint} {error}") from None


@rule(
    _unless_empty(
        {
            **_TEMPLATE,
            "properties": {
                **_TEMPLATE["properties"],
                "topology_template": {"type": "object", "required": ["outputs"], "properties": {"outputs": _OUTPUTS}},
            },
        }
    )
)
def check_cluster_tosca(tosca: dict[str, Any]) -> None:
    """Refuse what can not be a TOSCA template that outputs a kubeconfig."""
    if not tosca:
        return
    topology = tosca.get("topology_template")
    outputs = topology.get("outputs") if isinstance(topology, Mapping) else None
    if not isinstance(outputs, Mapping) or not outputs.get("kubeconfig"):
        raise ValidationError("Invalid TOSCA template content. The output `kubeconfig` is missing.")
    if not _is_template(tosca):
        raise ValidationError("Invalid TOSCA template content.")


def _is_template(tosca: Mapping[str, Any]) -> bool:
    version = tosca.get("tosca_definitions_version")
    topology = tosca.get("topology_template")
    return isinstance(version, str) and version.startswith("tosca_simple_yaml_") and isinstance(topology, Mapping)


@rule({"pattern": r"^https?://.*\.(csar|zip)$"})
def check_csar(csar: str | None) -> None:
    """Refuse what can not be the address of a CSAR archive."""
    if csar is not None:
        _check_address(csar, (".csar", ".zip"), "Invalid CSAR archive URL.")


_INVALID = "Invalid kube-config file. Expected"
_FORBIDDEN_USER_KEYS = {"exec", "auth-provider", "client-certificate", "client-key", "tokenFile"}
_FORBIDDEN_CLUSTER_KEYS = {"certificate-authority"}


@rule(
    _unless_empty(
        {
            "required": ["current-context", "contexts", "clusters", "users"],
            "properties": {
                "current-context": _TEXT,
                "contexts": _ONE_OBJECT,
                "clusters": _ONE_OBJECT,
                "users": _ONE_OBJECT,
            },
        }
    )
)
def check_kubeconfig(kubeconfig: dict[str, Any]) -> None:
    """Refuse a kubeconfig that does not name exactly one context, user and cluster, or that would run or read something.

    ``exec`` and ``auth-provider`` make the reader of a kubeconfig run programs, and paths make it read its own files; both
    would happen in the controllers. Certificates, keys and tokens must be embedded.
    """
    if not kubeconfig:
        return
    name = kubeconfig.get("current-context")
    if not name or not isinstance(name, str):
        raise ValidationError(f"{_INVALID} key current-context in kube-config")
    context = _entry(kubeconfig, "contexts", "context", name)
    cluster = _entry(kubeconfig, "clusters", "cluster", context.get("cluster"))
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith(("http://", "https://")):
        raise ValidationError(f"{_INVALID} key server in kube-config/clusters[name={context.get('cluster')}]/cluster")
    for plural in ("contexts", "users", "clusters"):
        if len(_entries(kubeconfig, plural)) != 1:
            raise ValidationError(f"Only one {plural[:-1]} is allowed")
    user = _entries(kubeconfig, "users")[0].get("user") or {}
    if not isinstance(user, Mapping):
        raise ValidationError(f"{_INVALID} object user in kube-config/users[0]")
    _refuse_keys(user, _FORBIDDEN_USER_KEYS, "users[0].user")
    _refuse_keys(cluster, _FORBIDDEN_CLUSTER_KEYS, "clusters[0].cluster")


def _entries(kubeconfig: Mapping[str, Any], plural: str) -> list[Mapping[str, Any]]:
    entries = kubeconfig.get(plural)
    if not isinstance(entries, list) or not all(isinstance(each, Mapping) for each in entries):
        raise ValidationError(f"{_INVALID} list {plural} in kube-config")
    return entries


def _entry(kubeconfig: Mapping[str, Any], plural: str, inner: str, name: Any) -> Mapping[str, Any]:
    found = [each for each in _entries(kubeconfig, plural) if each.get("name") == name]
    if not found:
        raise ValidationError(f"{_INVALID} object with name {name} in kube-config/{plural} list")
    value = found[0].get(inner)
    if not isinstance(value, Mapping):
        raise ValidationError(f"{_INVALID} key {inner} in kube-config/{plural}[name={name}]")
    return value


def _refuse_keys(given: Mapping[str, Any], forbidden: set[str], place: str) -> None:
    for key in sorted(forbidden & given.keys()):
        raise ValidationError(
            f"{place}.{key} is not allowed: embed the data itself"
            " (certificate-authority-data, client-certificate-data, client-key-data or token)."
        )
