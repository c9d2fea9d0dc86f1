"""One call of the API: its query, its body, and what it asks the resources for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from krake.simulator.kubernetes import selectors, watch
from krake.simulator.kubernetes import status as statuses
from krake.simulator.kubernetes.kinds import BUILT_IN_NAMES, Kind, Object
from krake.simulator.kubernetes.pages import Position, cut
from krake.simulator.kubernetes.patch import json_patch, merge_patch, strategic
from krake.simulator.kubernetes.patch.apply import Manager
from krake.simulator.kubernetes.patch.errors import MalformedPatch, PatchError
from krake.simulator.kubernetes.paths import Target
from krake.simulator.kubernetes.resources import Deletion, Resources
from krake.simulator.kubernetes.scale import scale_of, with_scale
from krake.simulator.kubernetes.storage import Expired, Key

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_TRUE = ("true", "1", "True", "")


@dataclass(frozen=True, slots=True)
class Call:
    """A request for one kind, as far as HTTP is concerned already understood."""

    kind: Kind
    target: Target
    query: Mapping[str, str]
    body: bytes = b""
    content_type: str = "application/json"
    agent: str = "unknown"

    @property
    def key(self) -> Key:
        namespace = (self.target.namespace or "") if self.kind.namespaced else ""
        return namespace, self.target.name or ""

    @property
    def dry_run(self) -> bool:
        return self.query.get("dryRun") == "All"

    @property
    def subresource(self) -> str:
        return self.target.subresource or ""

    def flag(self, name: str) -> bool:
        return name in self.query and self.query[name] in _TRUE

    def number(self, name: str) -> int:
        text = self.query.get(name) or "0"
        if not text.isascii() or not text.isdigit():
            raise statuses.bad_request(f'invalid {name} "{text}": it must be a whole number')
        return int(text)

    def manager(self, operation: str) -> Manager:
        name = self.query.get("fieldManager") or self.agent.split("/")[0] or "unknown"
        subresource = self.subresource if self.subresource != "scale" else ""
        return Manager(name, operation, self.kind.api_version, subresource)

    def predicate(self) -> selectors.Predicate | None:
        """Raises `ApiStatus` (400) for selectors that can't be understood."""
        labels, fields = self.query.get("labelSelector", ""), self.query.get("fieldSelector", "")
        try:
            return selectors.predicate(self.kind.resource, labels, fields)
        except selectors.SelectorError as error:
            raise statuses.bad_request(str(error)) from None

    def document(self) -> Any:
        """The parsed body; raises `ApiStatus` (400)."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            if "yaml" not in self.content_type:
                raise self._unreadable(error) from None
        except RecursionError as error:
            raise self._unreadable(error) from None
        try:
            return yaml.safe_load(self.body)  # most of it is JSON, which is read two hundred times faster
        except (ValueError, yaml.YAMLError, RecursionError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> statuses.ApiStatus:
        return statuses.bad_request(f"couldn't get version/kind; json parse error: {error}")

    def object(self) -> Object:
        """The object in the body, checked against the place that it was sent to; raises `ApiStatus` (400)."""
        body = self.document()
        body = {} if body is None else body
        if not isinstance(body, dict) or not isinstance(body.get("metadata") or {}, dict):
            raise statuses.bad_request(
                f'{self.kind.kind} in version "{self.kind.version}" cannot be handled as a {self.kind.kind}: '
                "json: cannot unmarshal into Go value: an object with metadata is expected"
            )
        self._check_type(body)
        body = {**body, "metadata": dict(body.get("metadata") or {})}
        metadata = body["metadata"]
        if self.kind.namespaced:
            namespace = metadata.setdefault("namespace", self.key[0])
            if namespace != self.key[0]:
                text = "the namespace of the provided object does not match the namespace sent on the request"
                raise statuses.bad_request(text)
        return body

    def _check_type(self, body: Object) -> None:
        expected = self.kind.api_version
        if self.subresource == "scale":
            return
        version, name = str(body.get("apiVersion") or expected), str(body.get("kind") or self.kind.kind)
        if self.kind.custom and not body.get("kind"):
            raise statuses.bad_request(f"Object 'Kind' is missing in '{json.dumps(body)}'")
        refused = f'{name} in version "{version.rpartition("/")[2]}" cannot be handled as a {self.kind.kind}: '
        if not self.kind.custom and (version, name) not in BUILT_IN_NAMES:
            raise statuses.bad_request(
                f'{refused}no kind "{name}" is registered for version "{version}" in scheme "krake/simulator"'
            )
        if name != self.kind.kind and version == expected:
            raise statuses.bad_request(f"{refused}converting {name} to {self.kind.kind}: unknown conversion")
        if version != expected:
            text = f"the API version in the data ({version}) does not match the expected API version ({expected})"
            raise statuses.bad_request(text)

    def named_object(self) -> Object:
        """The object in the body, which must bear the name in the URL."""
        body = self.object()
        name = body["metadata"].setdefault("name", self.key[1])
        if name != self.key[1]:
            text = f"the name of the object ({name}) does not match the name on the URL ({self.key[1]})"
            raise statuses.bad_request(text)
        return body

    def deletion(self) -> Deletion:
        """How to delete, from the query or from `DeleteOptions` in the body."""
        document = self.document() if self.body.strip() else {}
        options: Object = document if isinstance(document, dict) else {}
        preconditions = options.get("preconditions") or {}
        policy = self.query.get("propagationPolicy") or options.get("propagationPolicy")
        if policy not in (None, "Orphan", "Background", "Foreground"):
            cause = statuses.unsupported("propagationPolicy", policy, ["Foreground", "Background", "Orphan"])
            raise statuses.ApiStatus(422, "Invalid", f'DeleteOptions.meta.k8s.io "" is invalid: {cause}')
        orphans = self.query.get("orphanDependents", options.get("orphanDependents"))
        if policy is None and orphans is not None:
            policy = "Orphan" if orphans in (True, "true") else "Background"
        given = "gracePeriodSeconds" in self.query
        grace = self.number("gracePeriodSeconds") if given else options.get("gracePeriodSeconds")
        return Deletion(
            propagation=policy,
            grace=grace if isinstance(grace, int) else None,
            uid=preconditions.get("uid"),
            resource_version=preconditions.get("resourceVersion"),
            dry_run=self.dry_run or options.get("dryRun") == ["All"],
        )


def list_objects(call: Call, resources: Resources) -> Object:
    """The list document of a collection, or of one page of it."""
    storage, kind = resources.storage, call.kind
    namespace = call.target.namespace if kind.namespaced else None
    position = Position.parse(call.query["continue"]) if call.query.get("continue") else None
    revision = storage.revision
    if position is None:
        found = storage.objects(kind.resource, namespace)
    else:
        revision = position.revision
        try:
            found = storage.objects_at(kind.resource, namespace, revision)
        except Expired:
            raise statuses.expired(
                "The provided continue parameter is too old to display a consistent list result. You must start a new "
                "list without the continue parameter."
            ) from None
    matches = call.predicate()
    if matches is not None:
        found = [obj for obj in found if matches(obj)]
    page, rest = cut(found, call.number("limit"), position.key if position else None, revision)
    if call.kind.custom:
        items = [watch.present(kind, obj) for obj in page]
    else:
        items = [{name: part for name, part in obj.items() if name not in ("apiVersion", "kind")} for obj in page]
    return {
        "kind": f"{kind.kind}List",
        "apiVersion": kind.api_version,
        "metadata": {"resourceVersion": str(revision), **rest},
        "items": items,
    }


def watch_request(call: Call) -> watch.Request:
    """The watch that a call asks for."""
    version = call.query.get("resourceVersion", "")
    if version and not (version.isascii() and version.isdigit()):
        raise statuses.bad_request(f'invalid resource version "{version}"')
    matches = call.predicate()
    if call.target.name is not None:
        name, inner = call.target.name, matches

        def matches(obj: Object) -> bool:
            return obj["metadata"]["name"] == name and (inner is None or inner(obj))

    initial = version in ("", "0") or call.flag("sendInitialEvents")
    return watch.Request(
        kind=call.kind,
        namespace=call.target.namespace if call.kind.namespaced else None,
        matches=matches,
        revision=None if initial else int(version),
        bookmarks=call.flag("allowWatchBookmarks"),
        marks_initial_end=call.flag("sendInitialEvents"),
        timeout=call.number("timeoutSeconds") or None,
    )


def get_object(call: Call, resources: Resources) -> Object:
    obj = watch.present(call.kind, resources.get(call.kind, call.key))
    return scale_of(obj) if call.subresource == "scale" else obj


def create_object(call: Call, resources: Resources) -> Object:
    created = resources.create(call.kind, call.object(), call.manager("Update"), dry_run=call.dry_run)
    return watch.present(call.kind, created)


def update_object(call: Call, resources: Resources) -> Object:
    """PUT of an object or of a sub-resource."""
    return _write(call, resources, call.named_object())


def _write(call: Call, resources: Resources, body: Object) -> Object:
    manager = call.manager("Update")
    if call.subresource == "scale":
        body = with_scale(resources.get(call.kind, call.key), body)
    part = "" if call.subresource == "scale" else call.subresource
    written = resources.update(call.kind, call.key, body, manager, subresource=part, dry_run=call.dry_run)
    return scale_of(written) if call.subresource == "scale" else watch.present(call.kind, written)


def patch_object(call: Call, resources: Resources) -> tuple[Object, bool]:
    """PATCH of any type; also tells whether it has made the object."""
    if call.content_type == APPLY_PATCH:
        return _apply(call, resources)
    accepted = [JSON_PATCH, MERGE_PATCH, *([] if call.kind.custom else [STRATEGIC_PATCH]), APPLY_PATCH]
    if call.content_type not in accepted:
        raise statuses.unsupported_media_type(call.kind, accepted)
    current = get_object(call, resources)
    try:
        patched = _patched(call, current)
    except MalformedPatch as error:
        raise statuses.bad_request(str(error)) from None
    except PatchError as error:
        raise statuses.rejected_patch(str(error)) from None
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
        raise statuses.rejected_patch("the patched object would have no metadata")
    for name in ("name", "namespace"):
        if patched["metadata"].get(name) != current["metadata"].get(name):
            raise statuses.bad_request(f"the {name} of an object can't be changed by a patch")
    if call.kind.custom:
        patched["metadata"].setdefault("resourceVersion", current["metadata"]["resourceVersion"])
    return _write(call, resources, patched), False


def _patched(call: Call, current: Object) -> Any:
    document = call.document()
    if call.content_type == JSON_PATCH:
        return json_patch.apply_operations(current, document)
    if not isinstance(document, dict):
        raise MalformedPatch("a merge patch is a JSON object")
    if call.content_type == MERGE_PATCH:
        return merge_patch.merge(current, document)
    return strategic.merge(current, document)


def _apply(call: Call, resources: Resources) -> tuple[Object, bool]:
    if not call.query.get("fieldManager"):
        cause = statuses.required("fieldManager", "is required for apply patch")
        raise statuses.ApiStatus(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {cause}')
    config = call.named_object()
    if not config.get("kind") or not config.get("apiVersion"):
        raise statuses.bad_request("an applied object needs its apiVersion and kind")
    if config["metadata"].get("managedFields"):
        raise statuses.bad_request("metadata.managedFields must be nil")
    applied, created = resources.apply(
        call.kind,
        call.key,
        config,
        call.manager("Apply"),
        force=call.flag("force"),
        dry_run=call.dry_run,
        subresource=call.subresource,
    )
    return watch.present(call.kind, applied), created


def delete_object(call: Call, resources: Resources) -> Object:
    return resources.delete(call.kind, call.key, call.deletion())


def delete_collection(call: Call, resources: Resources) -> Object:
    """Delete all objects that match; the answer lists them as they were."""
    document = list_objects(call, resources)
    how = call.deletion()
    for item in document["items"]:
        key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
        resources.delete(call.kind, key, how)
    return document
