"""Describes the routes of kinds as operations."""

from collections.abc import Callable
from typing import Any

from krake.api.actions import ACTIONS
from krake.api.admission import offers_cascade
from krake.api.handlers import states_of
from krake.api.openapi.answers import JSON, answer_of, content, problems
from krake.api.openapi.samples import sample_of
from krake.api.openapi.schemas import Schema, Schemas, Use, reference
from krake.api.openapi.words import first_line
from krake.api.routes import Route
from krake.api.watch import CONTENT_TYPE as LINES
from krake.data.kinds import Kind, Resource
from krake.data.metadata import ListMetadata
from krake.data.names import check_resource_name
from krake.data.record import Record, fields_of

MERGE_PATCH = "application/merge-patch+json"

_FLAG = {"type": "boolean", "default": False}
_VERSION = {"type": "string", "pattern": "^[0-9]{0,19}$"}
_ONLY_VERSION: Schema = {
    "type": "object",
    "properties": {
        "resource_version": {
            "type": ["string", "null"],
            "description": "The version that the change is meant for; another one than the stored is refused.",
        }
    },
}
PARAMETERS: dict[str, Any] = {
    name: {"name": name, "in": "query", "description": words, "schema": schema}
    for name, words, schema in (
        ("watch", "Send changes from now on, one JSON object a line, instead of a list.", _FLAG),
        (
            "heartbeat",
            "Seconds between the empty lines of a quiet watch; 0 for none.",
            {"type": "integer", "minimum": 0, "default": 10},
        ),
        ("bookmarks", "Send `BOOKMARK` events instead of empty lines.", _FLAG),
        ("resource_version", "Begin the watch right after this version, for example that of a list.", _VERSION),
        (
            "label_selector",
            "Only objects with such labels, for example `env=prod,zone in (north, south),!legacy`.",
            {"type": "string"},
        ),
        (
            "limit",
            "So many objects at most; `metadata.continue` of the list then leads to the rest.",
            {"type": "integer", "minimum": 1},
        ),
        ("continue", "Go on where the list ended that gave this token.", {"type": "string"}),
        ("force", "Remove the object at once, and leave behind what belongs to it.", _FLAG),
        ("cascade", "Delete what runs there as well, instead of moving it elsewhere.", _FLAG),
    )
} | {
    name: {
        "name": name,
        "in": "path",
        "required": True,
        "description": words,
        "schema": {"type": "string", **check_resource_name.keywords},
    }
    for name, words in (("namespace", "Of the objects."), ("name", "Of the object."))
}
_OF_LISTS = ("watch", "heartbeat", "bookmarks", "resource_version", "label_selector", "limit", "continue")


class Operations:
    """Describes the operations on one kind."""

    def __init__(self, kind: type[Resource], schemas: Schemas) -> None:
        self._kind = kind
        self._definition: Kind = kind.definition
        self._schemas = schemas
        self._object = schemas.of(kind, Use.READ)
        self._describe: dict[str, Callable[[], dict[str, Any]]] = {
            "list_or_watch": self._list,
            "create": self._create,
            "read": self._read,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "update_status": self._update_status,
            "patch_status": self._patch_status,
        }

    def of(self, route: Route) -> dict[str, Any]:
        """Return the operation of a route."""
        describe = self._describe.get(route.operation)
        operation = self._act(route) if describe is None else describe()
        parameters = [name for name in ("namespace", "name") if f"{{{name}}}" in route.path]
        references = [{"$ref": f"#/components/parameters/{name}"} for name in (*parameters, *operation.pop("parameters", ()))]
        return {
            "operationId": self._operation_id(route),
            "tags": [self._definition.api],
            "description": _permission_needed(route),
            **operation,
            "parameters": [*references, *self._blocking(route)],
        }

    def _operation_id(self, route: Route) -> str:
        if route.operation == "list_or_watch":
            return (
                f"list_all_{self._definition.singular}s"
                if route.permission.everywhere
                else f"list_{self._definition.singular}s"
            )
        return self._name(f"update_{route.operation}" if route.operation in self._definition.actions else route.operation)

    def _list(self) -> dict[str, Any]:
        envelope = self._envelope()
        lines = content(self._event(), LINES)
        return {
            "summary": f"List or watch {self._definition.plural}",
            "parameters": _OF_LISTS,
            "responses": {
                "200": answer_of("The list or, with `watch`, a line for each change.", content(envelope) | lines),
                **problems(410),
            },
        }

    def _create(self) -> dict[str, Any]:
        created = answer_of("The new object.", content(self._object), Location="Location")
        return {
            "summary": f"Create {_a(self._kind)}",
            "requestBody": self._body(self._schemas.of(self._kind, Use.WRITE), example=sample_of(self._kind)),
            "responses": {"201": created | {"links": self._links()}, **problems(408, 409, 413, 415)},
        }

    def _read(self) -> dict[str, Any]:
        return {"summary": f"Read {_a(self._kind)}", "responses": self._answers("The object.")}

    def _update(self) -> dict[str, Any]:
        body = self._body(self._schemas.of(self._kind, Use.WRITE), example=sample_of(self._kind))
        return self._change(f"Replace {_a(self._kind)}", body)

    def _patch(self) -> dict[str, Any]:
        return self._change(f"Change {_a(self._kind)}", self._body(self._schemas.of(self._kind, Use.PATCH), MERGE_PATCH))

    def _delete(self) -> dict[str, Any]:
        return {
            "summary": f"Delete {_a(self._kind)}",
            "parameters": ("force", "cascade") if offers_cascade(self._kind) else ("force",),
            "responses": self._answers("The object as it is now, or as it was last.", 409),
        }

    def _update_status(self) -> dict[str, Any]:
        body = {"type": "object", "properties": self._with_status(Use.WRITE), "required": ["status"]}
        return self._change(f"Replace the status of {_a(self._kind)}", self._body(body))

    def _patch_status(self) -> dict[str, Any]:
        body = {"type": "object", "properties": self._with_status(Use.PATCH)}
        return self._change(f"Change the status of {_a(self._kind)}", self._body(body, MERGE_PATCH))

    def _act(self, route: Route) -> dict[str, Any]:
        summary = first_line(ACTIONS[self._kind, route.operation].run.__doc__)
        if route.body is None:
            return {"summary": summary, "responses": self._answers("The object as it is now.", 409)}
        return self._change(summary, self._body(self._schemas.of(route.body, Use.WRITE), example=sample_of(route.body)))

    def _change(self, summary: str, body: dict[str, Any]) -> dict[str, Any]:
        responses = self._answers("The object as it is now.", 408, 409, 413, 415)
        return {"summary": summary, "requestBody": body, "responses": responses}

    def _answers(self, words: str, *errors: int) -> dict[str, Any]:
        return {"200": answer_of(words, content(self._object)), **problems(404, *errors)}

    def _body(self, schema: Schema, media_type: str = JSON, **more: Any) -> dict[str, Any]:
        return {"required": True, "content": content(schema, media_type, **more)}

    def _with_status(self, use: Use) -> dict[str, Any]:
        status: type[Record] = next(info.type for info in fields_of(self._kind) if info.name == "status")
        return {"metadata": _ONLY_VERSION, "status": self._schemas.of(status, use)}

    def _blocking(self, route: Route) -> list[dict[str, Any]]:
        states = states_of(self._kind)
        if route.operation not in ("create", "delete") or not states:
            return []
        words = "Answer only when the object is in this state, or after a minute."
        choices = {"type": "string", "enum": ["false", *sorted({state.lower() for state in states} | {"deleted"})]}
        return [{"name": "blocking", "in": "query", "description": words, "schema": {**choices, "default": "false"}}]

    def _envelope(self) -> Schema:
        constants = {"api": self._definition.api, "kind": self._definition.list_kind}
        properties: Schema = {name: {"type": "string", "const": value} for name, value in constants.items()}
        properties["metadata"] = self._schemas.of(ListMetadata, Use.READ)
        properties["items"] = {"type": "array", "items": self._object}
        name = self._definition.list_kind
        self._schemas.components[name] = {"type": "object", "properties": properties, "required": [*properties]}
        return reference(name)

    def _event(self) -> Schema:
        def case(types: list[str], shown: Schema) -> Schema:
            properties = {"type": {"type": "string", "enum": types}, "object": shown}
            return {"type": "object", "properties": properties, "required": [*properties]}

        name = f"{self._definition.name}WatchEvent"
        self._schemas.components[name] = {
            "description": f"A line of a watch on {self._definition.plural}.",
            "oneOf": [
                case(["ADDED", "MODIFIED", "DELETED"], self._object),
                case(["BOOKMARK"], reference("Bookmark")),
                case(["ERROR"], reference("Problem")),
            ],
        }
        return reference(name)

    def _links(self) -> dict[str, Any]:
        parameters = {"name": "$response.body#/metadata/name"}
        if self._definition.namespaced:
            parameters["namespace"] = "$response.body#/metadata/namespace"
        subresources = [f"update_{name}" for name in self._definition.actions]
        subresources += ["update_status", "patch_status"] if self._definition.has_status else []
        names = {each: self._name(each) for each in ("read", "update", "patch", "delete", *subresources)}
        return {each: {"operationId": name, "parameters": parameters} for each, name in names.items()}

    def _name(self, operation: str) -> str:
        verb, _, subresource = operation.partition("_")
        return "_".join(filter(None, (verb, self._definition.singular, subresource)))


def _permission_needed(route: Route) -> str:
    api, resources, verb, *_ = route.permission
    names = " or ".join(f"`{resource}`" for resource in resources)
    where = " in all namespaces" if route.permission.everywhere else ""
    return f"A role must allow `{verb.name}` on {names} of `{api}`{where}."


def _a(kind: type[Resource]) -> str:
    name = kind.definition.name
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
