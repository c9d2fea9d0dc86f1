"""`support/prometheus` as somebody uses it by hand."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from fixtures.metrics import Prometheus
from realkube.process import free_port

SUPPORT = Path(__file__).parents[3] / "support"


def query(url: str, name: str) -> list[float]:
    with urllib.request.urlopen(f"{url}/api/v1/query?query={name}", timeout=10) as answer:
        return [float(series["value"][1]) for series in json.load(answer)["data"]["result"]]


def test_its_metrics_are_there_and_change(prometheus: Prometheus, tmp_path: Path) -> None:
    """Where there is no Prometheus to be had, the fixture skips this."""
    words = ["--port", str(free_port()), "--zones", "2", "--interval", "1", "--data-dir", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, SUPPORT / "prometheus", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            url = process.stdout.readline().strip()
            deadline, seen = time.monotonic() + 60, set[float]()
            while len(seen) < 2:
                seen |= set(query(url, "heat_demand_zone_2"))
                assert time.monotonic() < deadline, seen
                time.sleep(0.2)
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(30)
    assert status == 0
    assert all(1 <= value < 2 for value in seen)
    assert "scrape_configs" in (tmp_path / "prometheus.yml").read_text()
    assert (tmp_path / "data" / "wal").is_dir()
