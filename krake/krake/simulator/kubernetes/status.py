"""Errors as the Kubernetes API words them: an exception that carries a `Status` object."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from krake.simulator.kubernetes.kinds import Kind, Object


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with one field of an object."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class ApiStatus(Exception):
    """A request failed; `code` is the HTTP status, `reason` one of the words that Kubernetes uses."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def document(self) -> Object:
        """The `Status` object that goes over the wire."""
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            status["details"] = self.details
        return {**status, "code": self.code}


def success(kind: Kind, name: str, uid: str) -> Object:
    """What a delete answers once the object is gone."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {**_details(kind, name), "uid": uid},
    }


def _details(kind: Kind, name: str) -> Object:
    group: Object = {"group": kind.group} if kind.group else {}
    return {"name": name, **group, "kind": kind.plural}


def bad_request(message: str) -> ApiStatus:
    return ApiStatus(400, "BadRequest", message)


def unauthorized() -> ApiStatus:
    return ApiStatus(401, "Unauthorized", "Unauthorized")


def terminating_namespace(kind: Kind, name: str, namespace: str) -> ApiStatus:
    text = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    details = {**_details(kind, name), "causes": [cause]}
    return ApiStatus(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {text}', details)


def forbidden(kind: Kind, name: str, why: str) -> ApiStatus:
    return ApiStatus(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', _details(kind, name))


def not_found(kind: Kind, name: str) -> ApiStatus:
    return ApiStatus(404, "NotFound", f'{kind.resource} "{name}" not found', _details(kind, name))


def nothing_here() -> ApiStatus:
    return ApiStatus(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiStatus:
    message = "the server does not allow this method on the requested resource"
    return ApiStatus(405, "MethodNotAllowed", message, {})


def already_exists(kind: Kind, name: str) -> ApiStatus:
    message = f'{kind.resource} "{name}" already exists'
    return ApiStatus(409, "AlreadyExists", message, _details(kind, name))


def conflict(kind: Kind, name: str, why: str = "") -> ApiStatus:
    why = why or ("the object has been modified; please apply your changes to the latest version and try again")
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return ApiStatus(409, "Conflict", message, _details(kind, name))


def expired(message: str) -> ApiStatus:
    return ApiStatus(410, "Expired", message)


def too_large(limit: int) -> ApiStatus:
    return ApiStatus(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def unsupported_media_type(kind: Kind, accepted: Iterable[str]) -> ApiStatus:
    message = "415: Unsupported Media Type"
    if kind.custom:
        listed = ", ".join(accepted)
        message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return ApiStatus(415, "UnsupportedMediaType", message)


def invalid(kind: Kind, name: str, causes: list[Cause]) -> ApiStatus:
    """`Deployment.apps "x" is invalid: …` with one cause, or several in brackets."""
    texts = [str(cause) for cause in causes]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    group: Object = {"group": kind.group} if kind.group else {}
    details: Object = {
        "name": name,
        **group,
        "kind": kind.kind,
        "causes": [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes],
    }
    return ApiStatus(422, "Invalid", f'{kind.qualified} "{name}" is invalid: {listed}', details)


def rejected_patch(why: str) -> ApiStatus:
    """A patch that parses but can't be carried out on the object."""
    message = f"the server rejected our request due to an error in our request: {why}"
    return ApiStatus(422, "Invalid", message, {"causes": [{"message": why}]})


def internal(message: str) -> ApiStatus:
    return ApiStatus(500, "InternalError", f"Internal error occurred: {message}")


def required(field: str, detail: str = "") -> Cause:
    return Cause(field, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")


def invalid_value(field: str, value: Any, detail: str) -> Cause:
    return Cause(field, "FieldValueInvalid", f"Invalid value: {_quote(value)}: {detail}")


def unsupported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    choices = ", ".join(f'"{choice}"' for choice in supported)
    message = f"Unsupported value: {_quote(value)}: supported values: {choices}"
    return Cause(field, "FieldValueNotSupported", message)


def duplicate(field: str, value: Any) -> Cause:
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {_quote(value)}")


def _quote(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if value == {}:
        return "map[string]string(nil)"  # as the real server prints it
    if isinstance(value, dict):
        pairs = ",".join(f"{_quote(key)}:{_quote(item)}" for key, item in value.items())
        return "{" + pairs + "}"
    if isinstance(value, list):
        return "[" + ",".join(_quote(item) for item in value) + "]"
    return "null" if value is None else str(value)
