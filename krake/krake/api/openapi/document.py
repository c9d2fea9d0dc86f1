"""Puts the description of the whole API together."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from krake import __version__
from krake.api.openapi.answers import HEADERS, PROBLEM_SCHEMA, problem_components
from krake.api.openapi.operations import PARAMETERS, Operations
from krake.api.openapi.schemas import Schema, Schemas
from krake.api.openapi.service import service_paths
from krake.api.routes import Route
from krake.data.kinds import Resource

_DESCRIPTION = """\
Krake takes applications and clusters as declared resources, decides where each should run, makes it so, and keeps it so.

Every object carries `metadata.resource_version`; a request whose body names another version than the stored one is refused with
409. Fields that a body holds but that are not described here are ignored. Secrets are shown as `<redacted>` to whoever may not
read them; sent back so, they stay as they are. Every path that answers `GET` answers `HEAD`, too."""
_SECURITY: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of an identity service, or of the administrator."},
    "certificate": {"type": "mutualTLS", "description": "A client certificate whose common name is the user."},
}
_BOOKMARK: Schema = {
    "type": "object",
    "description": "How far a watch has come: everything up to the version has been sent.",
    "properties": {
        "api": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {
            "type": "object",
            "properties": {"resource_version": {"type": "string"}},
            "required": ["resource_version"],
        },
    },
    "required": ["api", "kind", "metadata"],
}


def make_document(routes: Iterable[tuple[type[Resource], Route]]) -> dict[str, Any]:
    """Return the OpenAPI document of an API with these routes of kinds, besides those that belong to none."""
    schemas = Schemas()
    schemas.components |= {"Problem": PROBLEM_SCHEMA, "Bookmark": _BOOKMARK}
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    apis: dict[str, list[str]] = defaultdict(list)
    operations: dict[type[Resource], Operations] = {}
    for kind, route in routes:
        if kind not in operations:
            operations[kind] = Operations(kind, schemas)
            apis[kind.definition.api].append(kind.definition.plural)
        paths[route.path][route.method.lower()] = operations[kind].of(route)
    tags = [{"name": api, "description": f"The kinds {', '.join(plurals)}."} for api, plurals in apis.items()]
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Krake",
            "version": __version__,
            "summary": "Applications over many clusters and clouds.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in _SECURITY] + [{}],
        "tags": [*tags, {"name": "service", "description": "The server itself."}],
        "paths": {**paths, **service_paths(schemas)},
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": problem_components(),
            "securitySchemes": _SECURITY,
        },
    }
