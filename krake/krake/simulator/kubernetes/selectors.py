"""Label selectors (equality, sets, `matchLabels`/`matchExpressions`) and field selectors."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from krake.simulator.kubernetes.kinds import Object

Predicate = Callable[[Object], bool]

# What can be selected by field beside metadata.name and metadata.namespace.
FIELDS: dict[str, tuple[str, ...]] = {
    "pods": ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase",
             "status.podIP", "status.nominatedNodeName"),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "events": ("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
               "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
               "source", "type"),
    "jobs.batch": ("status.successful",),
    "replicasets.apps": ("status.replicas",),
}  # fmt: skip

_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=,()]*)$")
_EXISTS = re.compile(r"^(?P<negation>!?)\s*(?P<key>[^\s!=,()]+)$")


class SelectorError(ValueError):
    """A selector that can't be understood."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label; all requirements of a selector must hold."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        present = self.key in labels
        if self.operator == "Exists":
            return present
        if self.operator == "DoesNotExist":
            return not present
        chosen = present and labels[self.key] in self.values
        return chosen if self.operator == "In" else not chosen


def parse_labels(text: str) -> list[Requirement]:
    """Requirements of a `labelSelector` query parameter; raises `SelectorError`."""
    terms = re.split(r",(?![^(]*\))", text)
    return [_parse_term(term.strip()) for term in terms] if text.strip() else []


def _parse_term(term: str) -> Requirement:
    if found := _SET.match(term):
        values = tuple(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], "In" if found["operator"] == "in" else "NotIn", values)
    if found := _EQUAL.match(term):
        operator = "NotIn" if found["operator"] == "!=" else "In"
        return Requirement(found["key"], operator, (found["value"],))
    if found := _EXISTS.match(term):
        return Requirement(found["key"], "DoesNotExist" if found["negation"] else "Exists")
    raise SelectorError(
        f"unable to parse requirement: found '{term}', expected: identifier, '!', 'in', 'notin', '=', '==', '!='"
    )


def requirements_of(selector: Object | None) -> list[Requirement]:
    """Requirements of the `selector` of a workload."""
    selector = selector or {}
    found = [Requirement(key, "In", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        values = tuple(expression.get("values") or ())
        found.append(Requirement(expression["key"], expression["operator"], values))
    return found


def match_labels(requirements: list[Requirement], labels: Mapping[str, str] | None) -> bool:
    return all(requirement.matches(labels or {}) for requirement in requirements)


def parse_fields(text: str, resource: str) -> list[tuple[str, bool, str]]:
    """Terms (path, equal?, value) of a `fieldSelector`; raises `SelectorError`."""
    terms = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        found = _EQUAL.match(term)
        if found is None:
            raise SelectorError(f"invalid selector: '{term}'; can't understand '{term}'")
        path = found["key"]
        if path not in ("metadata.name", "metadata.namespace", *FIELDS.get(resource, ())):
            raise SelectorError(f'field label not supported: "{path}"')
        terms.append((path, found["operator"] != "!=", found["value"]))
    return terms


def predicate(resource: str, labels: str, fields: str) -> Predicate | None:
    """The test that both selectors put to an object, or None when everything matches; raises `SelectorError`."""
    requirements = parse_labels(labels)
    terms = parse_fields(fields, resource)
    if not requirements and not terms:
        return None

    def matches(obj: Object) -> bool:
        if not match_labels(requirements, obj["metadata"].get("labels")):
            return False
        return all((_field(obj, path) == value) is equal for path, equal, value in terms)

    return matches


def _field(obj: Object, path: str) -> str:
    value: Any = obj
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
