"""The application that is read and written by all measurements: a Deployment and a Service, about 2 kB as stored."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

NAMESPACE = "bench"
COLLECTION = f"/kubernetes/namespaces/{NAMESPACE}/applications"
ECHO_DEMO = Path(__file__).parents[2] / "examples" / "templates" / "applications" / "echo-demo.yaml"


@cache
def _manifest() -> str:
    """Return the Kubernetes objects as JSON; reading YAML takes longer than what is measured."""
    return json.dumps(list(yaml.safe_load_all(ECHO_DEMO.read_text())))


def manifest(name: str) -> list[dict[str, Any]]:
    """Return the Kubernetes objects of an application: named like it, and selecting only its own Pods."""
    objects: list[dict[str, Any]] = json.loads(_manifest().replace('"echo-demo"', f'"{name}"').replace('"echo"', f'"{name}"'))
    return objects


def application(name: str, **labels: str) -> dict[str, Any]:
    """Return the body of a request to create an application."""
    return {
        "api": "kubernetes",
        "kind": "Application",
        "metadata": {"name": name, "labels": labels},
        "spec": {"manifest": manifest(name), "constraints": {"cluster": {}}},
    }


def application_bytes(name: str, **labels: str) -> bytes:
    """Return the same as JSON."""
    return json.dumps(application(name, **labels)).encode()
