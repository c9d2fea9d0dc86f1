"""The verbs of the API on the objects of one cluster, without any HTTP."""

import copy
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from krake.simulator.kubernetes import status as statuses
from krake.simulator.kubernetes.addresses import Addresses
from krake.simulator.kubernetes.defaults import fill
from krake.simulator.kubernetes.kinds import BY_RESOURCE, Kind, Object, Registry
from krake.simulator.kubernetes.patch.apply import (
    Conflicts,
    Manager,
    Owners,
    apply,
    owners_of,
    record_update,
    with_owners,
)
from krake.simulator.kubernetes.patch.errors import PatchError
from krake.simulator.kubernetes.patch.lists import Topology
from krake.simulator.kubernetes.patch.ownership import describe
from krake.simulator.kubernetes.schema import conform
from krake.simulator.kubernetes.shapes import check
from krake.simulator.kubernetes.storage import Key, Storage, key_of
from krake.simulator.kubernetes.validation import check_create, check_update
from krake.simulator.kubernetes.workloads.ownership import CLEANUP, FOREGROUND, ORPHAN

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
# What a client can't change by writing the object.
_SERVER_METADATA = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds",
                    "name", "namespace", "generateName", "managedFields")  # fmt: skip
_SERVICES = BY_RESOURCE["services"]
_NAMESPACES = BY_RESOURCE["namespaces"]


@dataclass(frozen=True, slots=True)
class Deletion:
    """How to delete: `propagation` is None for the kind's own default; `grace` in seconds, None for the object's own."""

    propagation: str | None = None
    grace: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


@dataclass(slots=True)
class Resources:
    """Creates, changes and deletes objects as an API server does; every failure is an `ApiStatus`."""

    storage: Storage
    registry: Registry
    addresses: Addresses
    clock: Callable[[], datetime]
    chance: random.Random = field(default_factory=random.Random)

    def now(self) -> str:
        return self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")

    def get(self, kind: Kind, key: Key) -> Object:
        found = self.storage.get(kind.resource, key)
        if found is None:
            raise statuses.not_found(kind, key[1])
        return found

    def create(
        self, kind: Kind, body: Object, manager: Manager | None, *, dry_run: bool = False, owners: Owners | None = None
    ) -> Object:
        """Make an object; `owners` of its fields default to the manager who creates it."""
        check(kind, body)
        obj = self._with_identity(kind, body)
        name = obj["metadata"]["name"]
        self._require_namespace(kind, obj)
        _reset_status(kind, obj)
        obj = _conform(kind, fill(kind, obj))
        causes = check_create(kind, obj)
        if causes:
            raise statuses.invalid(kind, name, causes)
        if self.storage.get(kind.resource, key_of(obj)) is not None:
            raise statuses.already_exists(kind, name)
        if owners is None:
            owners = record_update({}, manager, None, obj, _topology(kind)) if manager else {}
        obj = with_owners(obj, owners, None, self.now())
        if dry_run:
            return obj
        self._assign(kind, obj, None)
        return self.storage.put(kind.resource, obj)

    def _with_identity(self, kind: Kind, body: Object) -> Object:
        obj = copy.deepcopy(body)
        metadata = obj["metadata"] = dict(obj.get("metadata") or {})
        if metadata.get("resourceVersion"):
            raise statuses.bad_request("resourceVersion should not be set on objects to be created")
        for name in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "managedFields", "selfLink",
                     "deletionGracePeriodSeconds", "resourceVersion"):  # fmt: skip
            metadata.pop(name, None)
        if not metadata.get("name"):
            if not metadata.get("generateName"):
                cause = statuses.required("metadata.name", "name or generateName is required")
                raise statuses.invalid(kind, "", [cause])
            metadata["name"] = metadata["generateName"] + "".join(self.chance.choices(_SUFFIX, k=5))
        if not kind.namespaced:
            metadata.pop("namespace", None)
        metadata |= {"uid": str(uuid.UUID(int=self.chance.getrandbits(128), version=4)), "creationTimestamp": self.now()}
        if kind.generation:
            metadata["generation"] = 1
        if kind.resource == "customresourcedefinitions.apiextensions.k8s.io":
            metadata["finalizers"] = [*(metadata.get("finalizers") or ()), CLEANUP]
        return {"apiVersion": kind.api_version, "kind": kind.kind, **obj}

    def _require_namespace(self, kind: Kind, obj: Object) -> None:
        if not kind.namespaced:
            return
        name = obj["metadata"]["namespace"]
        namespace = self.storage.get("namespaces", ("", name))
        if namespace is None:
            raise statuses.not_found(_NAMESPACES, name)
        if namespace["metadata"].get("deletionTimestamp"):
            raise statuses.terminating_namespace(kind, obj["metadata"]["name"], name)

    def _assign(self, kind: Kind, obj: Object, old: Object | None) -> None:
        if kind.resource != "services":
            return
        causes = self.addresses.assign(obj, old)
        if causes:
            self.addresses.release(obj, old)
            raise statuses.invalid(kind, obj["metadata"]["name"], causes)

    def update(
        self, kind: Kind, key: Key, body: Object, manager: Manager | None, *, subresource: str = "", dry_run: bool = False,
        owners: Owners | None = None,
    ) -> Object:  # fmt: skip
        """Replace an object, or the part of it that a sub-resource stands for; an unchanged object isn't written."""
        current = self.get(kind, key)
        check(kind, body)
        obj = self._next_state(kind, current, body, subresource)
        causes = check_update(kind, obj, current)
        if causes:
            raise statuses.invalid(kind, key[1], causes)
        if owners is None:
            before = owners_of(current)
            owners = record_update(before, manager, current, obj, _topology(kind)) if manager else before
        if _bare(obj) == _bare(current) and owners == owners_of(current):
            return current
        obj = with_owners(obj, owners, current, self.now())
        if dry_run:
            return obj
        self._assign(kind, obj, current)
        return self.put(kind, obj)

    def _next_state(self, kind: Kind, current: Object, body: Object, subresource: str) -> Object:
        self._check_preconditions(kind, current, body)
        old = current["metadata"]
        obj: Object
        if subresource == "status":
            obj = {**current, "status": copy.deepcopy(body.get("status") or {})}
            return _conform(kind, obj)
        if subresource == "finalize":
            return {**current, "spec": copy.deepcopy(body.get("spec") or {})}
        obj = copy.deepcopy(body)
        metadata = {k: v for k, v in (obj.get("metadata") or {}).items() if k not in _SERVER_METADATA}
        kept = {name: old[name] for name in _SERVER_METADATA if name in old}
        obj |= {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {**metadata, **kept}}
        if kind.has_status:
            obj.pop("status", None)
            if "status" in current:
                obj["status"] = current["status"]
        if kind.resource == "namespaces":
            obj["spec"] = current["spec"]
        return _conform(kind, fill(kind, obj))

    def _check_preconditions(self, kind: Kind, current: Object, body: Object) -> None:
        wanted, old = body.get("metadata") or {}, current["metadata"]
        version, name = wanted.get("resourceVersion"), old["name"]
        if not version and kind.custom:
            cause = statuses.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise statuses.invalid(kind, name, [cause])
        if wanted.get("uid") and wanted["uid"] != old["uid"]:
            text = f"Precondition failed: UID in precondition: {wanted['uid']}, UID in object meta: {old['uid']}"
            raise statuses.conflict(kind, name, text)
        if version and version != old["resourceVersion"]:
            raise statuses.conflict(kind, name)

    def put(self, kind: Kind, obj: Object) -> Object:
        """Store a valid new state: counts the generation and ends a deletion that nothing holds up any more."""
        current = self.get(kind, key_of(obj))
        if kind.generation and _spec_of(obj) != _spec_of(current):
            generation = current["metadata"].get("generation", 1) + 1
            obj = {**obj, "metadata": {**obj["metadata"], "generation": generation}}
        stored = self.storage.put(kind.resource, obj)
        if kind.resource == "services":
            self.addresses.release(current, stored)
        if self._may_go(kind, stored):
            self._remove(kind, stored)
        return stored

    def _may_go(self, kind: Kind, obj: Object) -> bool:
        metadata = obj["metadata"]
        if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
            return False
        if kind.resource == "namespaces" and obj["spec"].get("finalizers"):
            return False
        return not metadata.get("deletionGracePeriodSeconds")

    def _remove(self, kind: Kind, obj: Object) -> Object:
        last = self.storage.remove(kind.resource, key_of(obj))
        if kind.resource == "services":
            self.addresses.release(obj, None)
        return last

    def apply(
        self, kind: Kind, key: Key, config: Object, manager: Manager, *, force: bool, dry_run: bool, subresource: str = ""
    ) -> tuple[Object, bool]:
        """Server-side apply; also tells whether the object is new."""
        check(kind, config)
        current = self.storage.get(kind.resource, key)
        try:
            merged, owners = apply(current, config, manager, _topology(kind), force=force)
        except PatchError as error:
            raise statuses.ApiStatus(500, "InternalError", str(error)) from None
        except Conflicts as error:
            causes = [
                {"reason": "FieldManagerConflict", "message": f"conflict with {found.manager}", "field": describe(found.field)}
                for found in error.conflicts
            ]
            raise statuses.ApiStatus(409, "Conflict", str(error), {"causes": causes}) from None
        if current is None:
            if subresource:
                raise statuses.not_found(kind, key[1])
            return self.create(kind, merged, manager, dry_run=dry_run, owners=owners), True
        obj = self.update(kind, key, merged, manager, subresource=subresource, dry_run=dry_run, owners=owners)
        return obj, False

    def delete(self, kind: Kind, key: Key, how: Deletion) -> Object:
        """Delete an object; the answer is a `Status` when it is gone, else the object that still waits for something."""
        current = self.get(kind, key)
        metadata = current["metadata"]
        if how.uid and how.uid != metadata["uid"]:
            text = f"Precondition failed: UID in precondition: {how.uid}, UID in object meta: {metadata['uid']}"
            raise statuses.conflict(kind, key[1], text)
        if how.resource_version and how.resource_version != metadata["resourceVersion"]:
            raise statuses.conflict(kind, key[1])
        if kind.resource == "namespaces" and key[1] in ("default", "kube-system", "kube-public"):
            raise statuses.forbidden(kind, key[1], "this namespace may not be deleted")
        marked = self._mark(kind, current, how)
        gone = self._may_go(kind, marked)
        if how.dry_run:
            return statuses.success(kind, key[1], metadata["uid"]) if gone else marked
        if gone:
            self._remove(kind, current)
            return current if kind.resource == "pods" else statuses.success(kind, key[1], metadata["uid"])
        return current if marked == current else self.storage.put(kind.resource, marked)

    def _mark(self, kind: Kind, current: Object, how: Deletion) -> Object:
        metadata: dict[str, Any] = dict(current["metadata"])
        finalizers = [name for name in metadata.get("finalizers") or () if name not in (ORPHAN, FOREGROUND)]
        policy = how.propagation or ("Orphan" if kind.orphans else "Background")
        if policy == "Orphan":
            finalizers.append(ORPHAN)
        elif policy == "Foreground":
            finalizers.append(FOREGROUND)
        grace = _grace(kind, current, how)
        metadata.setdefault("deletionTimestamp", self.now())
        metadata["deletionGracePeriodSeconds"] = min(grace, metadata.get("deletionGracePeriodSeconds", grace))
        if finalizers:
            metadata["finalizers"] = finalizers
        else:
            metadata.pop("finalizers", None)
        marked = {**current, "metadata": metadata}
        if kind.resource == "namespaces":
            marked["status"] = {**(current.get("status") or {}), "phase": "Terminating"}
        return marked


def _grace(kind: Kind, obj: Object, how: Deletion) -> int:
    if kind.resource != "pods" or not obj["spec"].get("nodeName"):
        return 0
    return how.grace if how.grace is not None else int(obj["spec"].get("terminationGracePeriodSeconds") or 0)


def _topology(kind: Kind) -> Topology:
    return Topology(kind.custom, kind.schema)


def _bare(obj: Object) -> Object:
    hidden = ("resourceVersion", "managedFields")
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key not in hidden}}


def _spec_of(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name not in ("metadata", "status", "apiVersion", "kind")}


def _conform(kind: Kind, obj: Object) -> Object:
    """A custom object as its schema wants it: unknown fields dropped, defaults filled in; raises `ApiStatus`."""
    if kind.schema is None:
        return obj
    conformed, causes = conform(obj, kind.schema)
    if causes:
        raise statuses.invalid(kind, obj["metadata"]["name"], causes)
    return conformed


def _reset_status(kind: Kind, obj: Object) -> None:
    if kind.resource in ("nodes", "persistentvolumes") and obj.get("status"):
        return
    if kind.has_status:
        obj.pop("status", None)
    initial: dict[str, Object] = {
        "namespaces": {"phase": "Active"},
        "pods": {"phase": "Pending", "qosClass": "BestEffort"},
        "services": {"loadBalancer": {}},
        "persistentvolumes": {"phase": "Available"},
        "persistentvolumeclaims": {"phase": "Pending"},
        "statefulsets.apps": {"replicas": 0, "availableReplicas": 0},
        "daemonsets.apps": {
            "currentNumberScheduled": 0,
            "desiredNumberScheduled": 0,
            "numberMisscheduled": 0,
            "numberReady": 0,
        },
        "ingresses.networking.k8s.io": {"loadBalancer": {}},
    }
    if kind.resource in initial:
        obj["status"] = initial[kind.resource]
    elif kind.generation and kind.has_status and not kind.custom:
        obj["status"] = {}
