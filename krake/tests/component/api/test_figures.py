"""What the processes show to Prometheus, and whether that is what the documentation says."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from fixtures.api import Http
from fixtures.api_process import ApiProcess, RunApi
from fixtures.polling import until
from fixtures.samples import path_of, sample
from prometheus_client.parser import text_string_to_metric_families

from krake.data.core import Role
from krake.up.etcd import EtcdProcess
from krake.up.parts import CommandPart, answers
from krake.up.process import free_port

ROLES = path_of(Role)
PAGE = Path(__file__).parents[4] / "docs" / "admin" / "monitoring.md"
ROW = re.compile(r"^\| `(krake_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)

Figures = dict[str, tuple[str, frozenset[str]]]


def documented() -> Figures:
    """Name, type and labels of all figures that the page lists."""
    rows = ROW.findall(PAGE.read_text())
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def shown(text: str) -> Figures:
    """Those in an answer. Of figures without any value yet, the labels are not known."""
    found: Figures = {}
    for family in text_string_to_metric_families(text):
        labels = {label for each in family.samples for label in each.labels} - {"le"}
        found[f"{family.name}_total" if family.type == "counter" else family.name] = (family.type, frozenset(labels))
    return found


@pytest.fixture
async def api(run_api: RunApi, etcd: EtcdProcess, tmp_path: Path) -> AsyncIterator[ApiProcess]:
    async with run_api("--audit-file", str(tmp_path / "audit"), "--watch-per-user", "20") as api:
        yield api


async def metrics_of(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        return await response.text()


@asynccontextmanager
async def running(controller: str, api: ApiProcess) -> AsyncIterator[str]:
    """Run a controller; its health address is the value."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", f"krake.controller.{controller}", "--config", "/dev/null"]
    command += ["--api-endpoint", api.url, "--health-port", str(port)]
    part = CommandPart(command, ready=answers(f"{url}/readyz"), print_line=lambda line: None)
    await part.start()
    try:
        yield url
    finally:
        await part.stop()


async def test_the_page_lists_exactly_what_is_shown(api: ApiProcess) -> None:
    async with running("gc", api) as collector, running("scheduler", api) as scheduler:
        async with aiohttp.ClientSession() as session:
            http = Http(session, api.url)
            await http.post(ROLES, {**sample(Role), "metadata": {"name": "doomed"}})
            await http.delete(f"{ROLES}/doomed")

            async def is_gone() -> bool:
                return (await http.get(f"{ROLES}/doomed")).status == 404

            await until(is_gone)
        texts = [await metrics_of(url) for url in (api.url, collector, scheduler)]
    found: Figures = {}
    for text in texts:
        figures = shown(text)
        for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "krake_build_info"):
            assert name in figures
        found |= {name: figure for name, figure in figures.items() if name.startswith("krake_")}
    page = documented()
    assert found.keys() == page.keys()
    for name, (kind, labels) in found.items():
        assert kind == page[name][0], name
        assert labels in (frozenset(), page[name][1]), name


async def test_what_is_counted(api: ApiProcess) -> None:
    async with aiohttp.ClientSession() as session:
        http = Http(session, api.url)
        await http.post(ROLES, sample(Role, "counted"))
        async with http.watch(ROLES):
            text = await metrics_of(api.url)
            assert 'krake_api_watchers{kind="Role"} 1.0' in text
            assert "krake_api_requests_in_flight 2.0" in text
        await http.delete(f"{ROLES}/counted", force="True")
    text = await metrics_of(api.url)
    for line in (
        'krake_api_request_seconds_count{code="201",method="POST",route="/core/roles"} 1.0',
        'krake_api_authentications_total{outcome="success",way="static"} 3.0',
        'krake_store_request_seconds_count{operation="txn",outcome="success"}',
        'krake_store_request_seconds_count{operation="range",outcome="success"}',
        "krake_api_cache_lag_revisions 0.0",
        "krake_api_audit_lost_lines_total 0.0",
    ):
        assert line in text
