"""Kubeconfigs as others want them."""

from typing import Any


def leave_one_context(kubeconfig: dict[str, Any]) -> dict[str, Any]:
    """Leave only the current context of a kubeconfig, and the user of it."""
    name = kubeconfig["current-context"]
    contexts = [entry for entry in kubeconfig["contexts"] if entry["name"] == name]
    users = [entry for entry in kubeconfig["users"] if entry["name"] in [context["context"]["user"] for context in contexts]]
    return kubeconfig | {"contexts": contexts, "users": users}
