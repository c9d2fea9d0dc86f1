"""What is sent to declare an object, and whether it may be. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from krake.data.quantities import FIELDS, HOLDERS
from krake.ports.cluster import (
    ADOPT_ANNOTATION,
    APPLICATION_ANNOTATION,
    FIELD_MANAGER,
    Conflict,
    Foreign,
    Object,
    identify,
    owner_of,
)


def belongs(existing: Object, owner: str) -> bool:
    """Whether an object is an application's.

    One that lost its label, but whose fields were declared by Krake before, is still taken for it.
    """
    found = owner_of(existing)
    return found == owner or (found is None and _declared_before(existing))


def check_owner(existing: Object, obj: Object) -> None:
    """Refuse to apply an object to what is not the application's, or is on its way out.

    :raises Foreign: it is somebody else's, and was not handed over.
    :raises Conflict: it is being deleted.
    """
    identity, owner = identify(existing), owner_of(obj)
    if is_leaving(existing):
        raise Conflict(409, "Conflict", f"{identity} is still being deleted; it is created anew once it is gone.")
    application = _annotation(obj, APPLICATION_ANNOTATION)
    if (owner is None or not belongs(existing, owner)) and not _is_handed_over(existing, application):
        raise Foreign(identity, owner_of(existing), application or "NAMESPACE/APPLICATION")


def _is_handed_over(existing: Object, application: str | None) -> bool:
    return application is not None and owner_of(existing) is None and _annotation(existing, ADOPT_ANNOTATION) == application


def _annotation(obj: Object, name: str) -> str | None:
    annotations = obj["metadata"].get("annotations")
    value = annotations.get(name) if isinstance(annotations, Mapping) else None
    return value if isinstance(value, str) else None


def is_leaving(obj: Object) -> bool:
    """Whether an object is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def _declared_before(obj: Object) -> bool:
    entries = obj["metadata"].get("managedFields") or ()
    return any(entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" for entry in entries)


def as_sent(obj: Object) -> dict[str, Any]:
    """Return an object as all versions of Kubernetes take it."""
    return _with_texts(_with_merge_keys(obj)) if "." not in str(obj.get("apiVersion")) else dict(obj)


def _with_texts(value: Any, name: str = "", holder: str = "") -> Any:
    """Write quantities as texts: where they are numbers, not all versions take them when they are applied."""
    if isinstance(value, Mapping):
        return {key: _with_texts(each, key, name) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_texts(each) for each in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number and (holder in HOLDERS or name in FIELDS) else value


def _with_merge_keys(obj: Object) -> dict[str, Any]:
    """Name the protocol of each port.

    Lists of ports are merged by port and protocol, and Kubernetes before 1.21 takes a left out protocol for an error.
    """
    copy = dict(obj)
    spec = obj.get("spec")
    if not isinstance(spec, Mapping):
        return copy
    if obj.get("kind") == "Service" and obj.get("apiVersion") == "v1":
        copy["spec"] = {**spec, **_ports(spec)}
    elif obj.get("kind") == "Pod" and obj.get("apiVersion") == "v1":
        copy["spec"] = _pod(spec)
    else:
        copy["spec"] = _template(spec)
    return copy


def _template(spec: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(spec)
    for key in ("template", "jobTemplate"):
        inner = spec.get(key)
        if isinstance(inner, Mapping) and isinstance(inner.get("spec"), Mapping):
            deeper = _template(inner["spec"]) if key == "jobTemplate" else _pod(inner["spec"])
            changed[key] = {**inner, "spec": deeper}
    return changed


def _pod(spec: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(spec)
    for key in ("containers", "initContainers"):
        if isinstance(spec.get(key), list):
            changed[key] = [{**each, **_ports(each)} if isinstance(each, Mapping) else each for each in spec[key]]
    return changed


def _ports(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    ports = holder.get("ports")
    return {"ports": list(_with_protocol(ports))} if isinstance(ports, list) else {}


def _with_protocol(ports: list[Any]) -> Iterator[Any]:
    for port in ports:
        yield {"protocol": "TCP", **port} if isinstance(port, Mapping) else port
