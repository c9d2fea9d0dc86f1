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
def manifest() -> list[dict[str, Any]]:
    """Return the Kubernetes objects; reading them takes longer than writing them, which is what is measured."""
    return list(yaml.safe_load_all(ECHO_DEMO.read_text()))


def application(name: str, **labels: str) -> dict[str, Any]:
    """Return the body of a request to create an application."""
    return {
        "api": "kubernetes",
        "kind": "Application",
        "metadata": {"name": name, "labels": labels},
        "spec": {"manifest": manifest(), "constraints": {"cluster": {}}},
    }


def application_bytes(name: str, **labels: str) -> bytes:
    """Return the same as JSON."""
    return json.dumps(application(name, **labels)).encode()
