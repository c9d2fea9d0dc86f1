"""Requests made from the description of the API: no failure of the server, and answers as they are described.

A watch and a wait for a state never end by themselves, so these parameters are left out here; see `test_sequences`.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.api import Http
from fixtures.api_process import RunApi
from fixtures.fuzzing import MINUTES, check_log
from fixtures.samples import path_of, sample

from krake.data import KINDS

ENDLESS = {"watch", "blocking"}
LIMITED = {
    "default_roles": [
        {
            "api": "core",
            "kind": "Role",
            "metadata": {"name": "limited"},
            "rules": [
                {
                    "api": "",
                    "resources": [
                        "applications",
                        "applications/status",
                        "applications/binding",
                        "clusters",
                        "metrics",
                        "globalmetrics",
                    ],
                    "namespaces": ["default"],
                    "verbs": ["create", "list", "get", "update"],
                }
            ],
        }
    ],
    "default_role_bindings": [
        {"api": "core", "kind": "RoleBinding", "metadata": {"name": "limited"}, "users": ["ann"], "roles": ["limited"]}
    ],
}
USER = ("--authentication-strategy-static-name",)
NOBODY = ("--no-authentication-strategy-static-enabled",)
MODES = {
    "everything is allowed": (0.5, ()),
    "some is allowed": (0.3, ("--authorization", "RBAC", *USER, "ann")),
    "nothing is allowed": (0.1, ("--authorization", "always-deny")),
    "nobody is known": (0.1, ("--authorization", "RBAC", *NOBODY, "--authentication-allow-anonymous")),
}
"""Each with its share of the time, and the options of the API."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_described(run_api: RunApi, tmp_path: Path, fuzz_seed: int, mode: str) -> None:
    share, options = MODES[mode]
    (tmp_path / "api.yaml").write_text(json.dumps(LIMITED))
    async with run_api("--config", str(tmp_path / "api.yaml"), *options) as api, aiohttp.ClientSession() as session:
        http = Http(session, api.url)
        (tmp_path / "openapi.json").write_text(json.dumps(narrowed((await http.get("/openapi.json")).json)))
        for kind in KINDS.values():
            await http.post(path_of(kind, namespace="default"), sample(kind, name="example"))
        seconds = max(5, round(MINUTES * 60 * share))
        status, said = await run_schemathesis(tmp_path, api.url, seconds, fuzz_seed)
        assert status == 0, said[-20_000:]
        assert api.process.returncode is None, api.output
    check_log(api.output)


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """The description without what never ends, and with so few names that objects meet."""
    for operations in document["paths"].values():
        for operation in operations.values():
            given = operation.get("parameters", [])
            operation["parameters"] = [each for each in given if _name_of(each) not in ENDLESS]
    components = document["components"]
    components["parameters"]["name"]["schema"] = {"type": "string", "enum": ["example", "other"]}
    components["parameters"]["namespace"]["schema"] = {"type": "string", "enum": ["default", "elsewhere"]}
    components["schemas"]["MetadataWrite"]["properties"]["name"]["enum"] = ["example", "other"]
    return document


def _name_of(parameter: dict[str, Any]) -> str:
    return str(parameter.get("name") or parameter["$ref"].rpartition("/")[2])


async def run_schemathesis(directory: Path, url: str, seconds: int, seed: int) -> tuple[int, str]:
    """Run schemathesis for some time; returns its exit status and all that it said."""
    (directory / "schemathesis.toml").touch()
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        "schemathesis.toml",
        "run",
        "openapi.json",
        "--url",
        url,
    ]
    command += ["--seed", str(seed), "--max-time", str(seconds), "--checks", ",".join(CHECKS), "--request-timeout", "20"]
    command += ["--suppress-health-check", "all", "--generation-database", "none", "--warnings", "off", "--no-color"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=directory, env=os.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(2 * seconds + 120):
            said, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")
