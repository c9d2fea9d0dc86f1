"""Where a URL path points to in the Kubernetes API."""

from dataclasses import dataclass
from urllib.parse import unquote

NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Target:
    """A collection (no `name`), an object or one of its sub-resources; `namespace` is None outside of one."""

    group: str
    version: str
    plural: str
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None


def parse(path: str) -> Target | None:
    """The target of a path below `/api/v1/` or `/apis/GROUP/VERSION/`; None for everything else."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) > 2:
        return _parse_resource("", parts[1], parts[2:])
    if parts[0] == "apis" and len(parts) > 3:
        return _parse_resource(parts[1], parts[2], parts[3:])
    return None


def _parse_resource(group: str, version: str, parts: list[str]) -> Target | None:
    namespace: str | None = None
    if parts[0] == "namespaces" and len(parts) > 2 and not (len(parts) == 3 and parts[2] in NAMESPACE_SUBRESOURCES):
        namespace, parts = parts[1], parts[2:]
    if len(parts) > 3 or "" in parts:
        return None
    name = parts[1] if len(parts) > 1 else None
    subresource = parts[2] if len(parts) > 2 else None
    return Target(group, version, parts[0], namespace, name, subresource)
