"""Which volumes an application has. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any


def has_claims(manifest: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a manifest declares PersistentVolumeClaims, or StatefulSets that do."""
    return any(
        item.get("kind") == "PersistentVolumeClaim"
        or (item.get("kind") == "StatefulSet" and bool((item.get("spec") or {}).get("volumeClaimTemplates")))
        for item in manifest
    )
