"""Which volumes an application has, and which of them are copied together. Pure."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from krake.controller.kubernetes.application.desired import MANAGED_BY, Declared
from krake.data.quantities import parse_quantity
from krake.ports.cluster import OWNER_LABEL, Identity, Object, ObjectType

CLAIM = ObjectType("v1", "PersistentVolumeClaim")


class Claim(NamedTuple):
    """Names a PersistentVolumeClaim."""

    namespace: str
    name: str

    @property
    def identity(self) -> Identity:
        """By which clusters know it."""
        return Identity(CLAIM, self.namespace, self.name)


class Made(NamedTuple):
    """The claims that a StatefulSet makes of one of its templates, one for each ordinal."""

    stateful_set: Identity
    template: Mapping[str, Any]

    def claim(self, ordinal: int) -> Claim:
        """The claim of an ordinal."""
        name = f"{self.template['metadata']['name']}-{self.stateful_set.name}-{ordinal}"
        return Claim(str(self.stateful_set.namespace), name)

    def ordinal(self, claim: Claim) -> int | None:
        """The ordinal of a claim; ``None`` if it is not made of this template."""
        prefix = re.escape(f"{self.template['metadata']['name']}-{self.stateful_set.name}-")
        found = re.fullmatch(f"{prefix}(0|[1-9][0-9]*)", claim.name)
        return int(found[1]) if found and claim.namespace == self.stateful_set.namespace else None


def has_claims(manifest: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a manifest declares PersistentVolumeClaims, or StatefulSets that do."""
    return any(item.get("kind") == "PersistentVolumeClaim" or any(_templates(item)) for item in manifest)


def declared_claims(declared: Iterable[Declared]) -> list[Claim]:
    """The claims that are objects of their own."""
    found = [each.identity for each in declared if each.identity.type == CLAIM]
    return [Claim(str(each.namespace), each.name) for each in found]


def made_claims(declared: Iterable[Declared]) -> list[Made]:
    """The claims that StatefulSets make; generic ephemeral volumes are none, they go with their Pod."""
    return [Made(each.identity, template) for each in declared for template in _templates(each.object)]


def _templates(obj: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    spec = obj.get("spec")
    if obj.get("kind") != "StatefulSet" or not isinstance(spec, Mapping):
        return
    for template in spec.get("volumeClaimTemplates") or ():
        if isinstance(template, Mapping) and isinstance((template.get("metadata") or {}).get("name"), str):
            yield template


def ordinals_of(stateful_set: Object, replicas: int) -> range:
    """The ordinals that the Pods of a StatefulSet have."""
    start = (stateful_set["spec"].get("ordinals") or {}).get("start") or 0
    return range(start, start + replicas)


def object_of(claim: Claim, declared: Sequence[Declared], owner: str, source: Object | None) -> dict[str, Any] | None:
    """Return what a claim is declared to be; ``None`` if it is not declared any more.

    :param source: the claim where it is now. What a StatefulSet declares can not be changed, so people enlarge its claims one
        by one; they are as large on the target.
    """
    for each in declared:
        if each.identity == claim.identity:
            return each.object
    for made in made_claims(declared):
        if made.ordinal(claim) is not None:
            return _made_object(claim, made, declared, owner, source)
    return None


def _made_object(claim: Claim, made: Made, declared: Sequence[Declared], owner: str, source: Object | None) -> dict[str, Any]:
    stateful_set = next(each.object for each in declared if each.identity == made.stateful_set)
    selector = (stateful_set["spec"].get("selector") or {}).get("matchLabels") or {}
    metadata = made.template["metadata"]
    labels = {MANAGED_BY: "krake", **selector, **(metadata.get("labels") or {}), OWNER_LABEL: owner}
    spec = dict(made.template.get("spec") or {})
    spec["resources"] = {**(spec.get("resources") or {}), "requests": _larger(spec, (source or {}).get("spec") or {})}
    return {
        "apiVersion": CLAIM.api_version,
        "kind": CLAIM.kind,
        "metadata": {
            "name": claim.name,
            "namespace": claim.namespace,
            "labels": labels,
            "annotations": dict(metadata.get("annotations") or {}),
        },
        "spec": spec,
    }


def _larger(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    requests = [dict((spec.get("resources") or {}).get("requests") or {}) for spec in (one, other)]
    sizes = [parse_quantity(each.get("storage")) for each in requests]
    if sizes[0] is not None and sizes[1] is not None and sizes[1] > sizes[0]:
        return {**requests[0], "storage": requests[1]["storage"]}
    return requests[0]


class Group(NamedTuple):
    """Claims that are mounted by one Pod, so one Job can mount them, and has to where a volume is made for whoever comes first.

    :param pod: the spec of the Pod.
    """

    claims: tuple[Claim, ...]
    pod: Mapping[str, Any]


def group(declared: Iterable[Declared], claims: Iterable[Claim]) -> list[Group]:
    """Return which claims are copied together; a claim that several Pods mount is copied with the first one."""
    left = dict.fromkeys(claims)
    groups = []
    for mounted, pod in _pods(list(declared), list(left)):
        taken = tuple(claim for claim in left if claim in mounted)
        if taken:
            groups.append(Group(taken, pod))
        for claim in taken:
            del left[claim]
    return [*groups, *(Group((claim,), {}) for claim in left)]


def _pods(declared: Sequence[Declared], claims: Sequence[Claim]) -> Iterator[tuple[set[Claim], Mapping[str, Any]]]:
    for each in declared:
        pod = _pod_of(each.object)
        namespace = str(each.identity.namespace)
        sources = [volume.get("persistentVolumeClaim") for volume in pod.get("volumes") or () if isinstance(volume, Mapping)]
        mounted = {Claim(namespace, str(source.get("claimName"))) for source in sources if isinstance(source, Mapping)}
        ordinals: dict[int, set[Claim]] = {}
        for template in _templates(each.object):
            made = Made(each.identity, template)
            for claim in claims:
                ordinal = made.ordinal(claim)
                if ordinal is not None:
                    ordinals.setdefault(ordinal, set()).add(claim)
        for _, own in sorted(ordinals.items()):
            yield own | mounted, pod
        if not ordinals:
            yield mounted, pod


def _pod_of(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec of the Pods that come of an object."""
    spec: Any = obj.get("spec")
    if obj.get("kind") == "Pod":
        return spec if isinstance(spec, Mapping) else {}
    for key in ("jobTemplate", "spec", "template", "spec") if obj.get("kind") == "CronJob" else ("template", "spec"):
        spec = spec.get(key) if isinstance(spec, Mapping) else None
    return spec if isinstance(spec, Mapping) else {}


def job_of(owner: str, claims: Sequence[Claim]) -> str:
    """The name of the objects that copy some claims: the same at all times."""
    text = "/".join((owner, *claims[0]))
    return f"krake-volumes-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
