"""``--check`` says what a component would not start with."""

import pytest
from fixtures.generated import generate
from fixtures.tools import Tools


async def test_generated_files_are_in_order(tools: Tools) -> None:
    generate(tools.folder)
    for module, file in (("krake.api", "api.yaml"), ("krake.controller.scheduler", "scheduler.yaml")):
        ended = await tools(module, "--check")
        assert (ended.status, ended.out) == (0, f"The configuration is in order ({file}).\n")


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("krake.api", [], "There is no key to seal secrets with"),
        ("krake.api", ["--secrets-key-file", "missing.key"], "missing.key cannot be read"),
        ("krake.api", ["--secrets-allow-plain", "--tls-enabled"], "tls.cert"),
        ("krake.api", ["--secrets-allow-plain", "--default-roles", "[{metadata: {}}]"], "default_roles[0]"),
        ("krake.api", ["--secrets-allow-plain", "--log", "{root: {handlers: [none]}}"], "log: "),
        ("krake.api", ["--port", "70000"], "field 'port': Must be a port: 0 to 65535. (option --port)"),
        ("krake.controller.gc", ["--tls-enabled", "--tls-client-ca", "missing.pem"], "tls.client_ca"),
        ("krake.controller.gc", ["--log", "{handlers: 5}"], "log: "),
        ("krake.controller.gc", ["--api-endpoint", "localhost"], "field 'api_endpoint': Not a valid URL"),
        ("krake.controller.magnum", ["--poll-interval", "0"], "field 'poll_interval'"),
        (
            "krake.controller.kubernetes.application",
            ["--hooks-shutdown-failure-strategy", "explode"],
            "field 'hooks.shutdown.failure_strategy': Must be one of: delete, give_up.",
        ),
    ],
)
async def test_what_is_wrong_is_said(tools: Tools, module: str, arguments: list[str], said: str) -> None:
    ended = await tools(module, "--check", *arguments)
    assert (ended.status, ended.out) == (1, "")
    assert said in ended.err
