"""A test run without a real Kubernetes says so, and in CI it is not green."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ONE = "integration/test_support_kubernetes.py::test_everything_listens_on_loopback_only"


@pytest.mark.parametrize(
    ("ci", "status", "told"),
    [
        pytest.param("", 0, "NOT TESTED: 1 tests on a real Kubernetes were skipped", id="skips loudly"),
        pytest.param("true", 1, "1 failed", id="fails in CI"),
    ],
)
def test_clusters_that_cannot_be_had(ci: str, status: int, told: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "kubernetes", str(TESTS / ONE)]
    environment = os.environ | {"CI": ci, "KRAKE_KUBERNETES_BIN": str(tmp_path)}
    run = subprocess.run(command, env=environment, cwd=TESTS.parent, capture_output=True, text=True, timeout=60)
    assert (run.returncode, told in run.stdout) == (status, True), run.stdout
    assert f"no real Kubernetes: KRAKE_KUBERNETES_BIN names {tmp_path}, which lacks" in run.stdout
