"""What hooks add to the objects of an application: Secrets, and where its containers find what is in them. Pure."""

import base64
import copy
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CA_BUNDLE, CERTIFICATE, KEY = "ca-bundle.pem", "cert.pem", "key.pem"

_TEMPLATED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job")
_LONGEST_NAME = 253
_LONGEST_VOLUME = 63
_DIGEST = 10


@dataclass(frozen=True)
class Binding:
    """What an application needs for a hook.

    :param hook: its name, ``complete`` or ``shutdown``.
    :param files: content by name, for the folder *cert_dest* of the containers; empty if the API is reached without TLS.
    """

    hook: str
    token: str
    url: str
    env_token: str
    env_url: str
    cert_dest: str = ""
    files: tuple[tuple[str, str], ...] = ()


def mangle(
    app: str, manifest: Sequence[dict[str, Any]], bindings: Iterable[Binding], default_namespace: str
) -> list[dict[str, Any]]:
    """Return the objects of an application with what its hooks need; the given ones are not changed.

    The containers of all Pods find the token and the URL in their environment, and the files in a folder. Whatever the user
    has declared under one of the names is left alone.

    :param app: the name of the application.
    :param default_namespace: of the objects that name none.
    """
    objects = list(manifest)
    for binding in bindings:
        names = _Names.of(app, binding.hook)
        holders = [index for index, item in enumerate(manifest) if _path_of(item) is not None]
        namespaces = dict.fromkeys(_namespace_of(manifest[index], default_namespace) for index in holders)
        for index in holders:
            objects[index] = _mangle_one(objects[index], binding, names)
        taken = {(_namespace_of(item, default_namespace), _name_of(item)) for item in manifest if item.get("kind") == "Secret"}
        added = [secret for namespace in namespaces for secret in _secrets(binding, names, namespace)]
        objects += [secret for secret in added if (_namespace_of(secret, ""), _name_of(secret)) not in taken]
    return objects


@dataclass(frozen=True)
class _Names:
    """The names of what is added."""

    token: str
    certs: str
    volume: str

    @classmethod
    def of(cls, app: str, hook: str) -> "_Names":
        return cls(
            token=fit_name(app, f"-krake-{hook}-secret-token", _LONGEST_NAME),
            certs=fit_name(app, f"-krake-{hook}-secret-certs", _LONGEST_NAME),
            volume=fit_name(app, f"-krake-{hook}-volume", _LONGEST_VOLUME, dots=False),
        )


def fit_name(app: str, ending: str, longest: int, *, dots: bool = True) -> str:
    """Return *app* and *ending* as one name that Kubernetes takes; where *app* must be changed for that, a digest tells it from
    others that look the same then.

    :param dots: whether the name may hold any.
    """
    stem = re.sub(r"[^a-z0-9.-]" if dots else r"[^a-z0-9-]", "-", app.lower())
    stem = re.sub(r"-*\.[.-]*", ".", stem).strip("-.")
    if stem == app and len(stem) + len(ending) <= longest:
        return f"{stem}{ending}"
    digest = hashlib.sha256(app.encode()).hexdigest()[:_DIGEST]
    stem = stem[: longest - len(ending) - len(digest) - 1].rstrip("-.")
    return f"{stem}-{digest}{ending}" if stem else f"{digest}{ending}"


def _path_of(item: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Where the Pods of an object are declared, if it has some; objects of others may be called the same."""
    kind, built_in = item.get("kind"), "." not in str(item.get("apiVersion"))
    path: tuple[str, ...] | None = None
    if built_in and kind == "Pod":
        path = ("spec",)
    elif built_in and kind in _TEMPLATED:
        path = ("spec", "template", "spec")
    elif built_in and kind == "CronJob":
        path = ("spec", "jobTemplate", "spec", "template", "spec")
    return path if path and isinstance(_at(item, path), dict) else None


def _at(item: Any, path: Iterable[str]) -> Any:
    for key in path:
        item = item.get(key) if isinstance(item, Mapping) else None
    return item


def _namespace_of(item: Mapping[str, Any], default: str) -> str:
    return str(_at(item, ("metadata", "namespace")) or default)


def _name_of(item: Mapping[str, Any]) -> str:
    return str(_at(item, ("metadata", "name")))


def _secrets(binding: Binding, names: _Names, namespace: str) -> Iterator[dict[str, Any]]:
    yield _secret(names.token, namespace, [(binding.env_token.lower(), binding.token), (binding.env_url.lower(), binding.url)])
    if binding.files:
        yield _secret(names.certs, namespace, binding.files)


def _secret(name: str, namespace: str, data: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data},
    }


def _mangle_one(item: dict[str, Any], binding: Binding, names: _Names) -> dict[str, Any]:
    item = copy.deepcopy(item)
    path = _path_of(item)
    assert path is not None
    pod = _at(item, path)
    if binding.files:
        _add(pod, "volumes", [{"name": names.volume, "secret": {"secretName": names.certs}}], "name")
    for group in ("initContainers", "containers"):
        containers = pod.get(group)
        for container in containers if isinstance(containers, list) else ():
            if isinstance(container, dict):
                _equip(container, binding, names)
    return item


def _equip(container: dict[str, Any], binding: Binding, names: _Names) -> None:
    variables = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": names.token, "key": variable.lower()}}}
        for variable in (binding.env_token, binding.env_url)
    ]
    _add(container, "env", variables, "name")
    if binding.files:
        mount = {"name": names.volume, "mountPath": binding.cert_dest, "readOnly": True}
        _add(container, "volumeMounts", [mount], "mountPath")


def _add(holder: dict[str, Any], key: str, items: Iterable[dict[str, Any]], identity: str) -> None:
    """Add items to a list that may be missing, unless they are there; what should be a list but is none is for Kubernetes."""
    present = holder.get(key)
    if present is None:
        present = []
    if isinstance(present, list):
        taken = [_same_place(each.get(identity)) for each in present if isinstance(each, Mapping)]
        holder[key] = [*present, *(item for item in items if _same_place(item[identity]) not in taken)]


def _same_place(name: Any) -> str:
    """Paths mean the same with and without a slash at their end."""
    text = str(name)
    return text.rstrip("/") or text
