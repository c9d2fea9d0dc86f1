"""The generated files: complete, understood by the components, and safe."""

import base64
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.generated import CONFIGS, ROOT, TEMPLATES, generate

from krake import config
from krake.admin.generate_config import main
from krake.api.settings import ApiConfig
from krake.config import leaves
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.data.record import Record

LEFT_OUT = {"hooks.complete.external_endpoint", "hooks.shutdown.external_endpoint"}
"""Stand in comments only."""
OTHER_THAN_DEFAULT = {"secrets.key_file", "authentication.strategy.static.name", "log"}
"""What the templates give a value of its own, beside the paths of certificates."""


def read(folder: Path, name: str) -> Any:
    return config.read(CONFIGS[name], name, str(folder / name), {}, {})


def values_of(record: Record) -> dict[str, Any]:
    out = {}
    for dotted, _ in leaves(type(record)):
        value: Any = record
        for part in dotted.split("."):
            value = getattr(value, part)
        out[dotted] = value
    return out


def keys_of(tree: dict[str, Any], known: set[str], path: str = "") -> set[str]:
    keys: set[str] = set()
    for key, value in tree.items():
        dotted = f"{path}{key}"
        keys |= {dotted} if dotted in known else keys_of(value, known, f"{dotted}.")
    return keys


def test_the_templates_are_those_of_all_components() -> None:
    assert {Path(each).name.removesuffix(".template") for each in TEMPLATES} == {*CONFIGS, "rok.yaml"}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_key_stands_in_the_file_with_its_default(tmp_path: Path, name: str) -> None:
    generate(tmp_path)
    known = {dotted for dotted, _ in leaves(CONFIGS[name])}
    assert keys_of(yaml.safe_load((tmp_path / name).read_text()), known) == known - LEFT_OUT
    defaults, values = values_of(CONFIGS[name].deserialize({})), values_of(read(tmp_path, name))
    different = {
        key for key in values if values[key] != defaults[key] and str(Path("tmp/pki").resolve()) not in str(values[key])
    }
    assert different <= OTHER_THAN_DEFAULT


def test_the_files_of_the_quickstart_let_everybody_in_and_others_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api = read(generate(tmp_path), "api.yaml")
    strict = api.authentication.allow_anonymous, api.authentication.strategy.static.enabled, api.authorization
    assert strict == (False, False, "RBAC")
    assert capsys.readouterr().err == ""
    api = read(generate(tmp_path, "--allow-anonymous", "--static-authentication-enabled"), "api.yaml")
    lax = api.authentication.allow_anonymous, api.authentication.strategy.static, api.authorization
    assert lax == (True, type(api.authentication.strategy.static)(enabled=True, name="system:admin"), "always-allow")
    assert "Everybody will be allowed to do everything" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--allow-anonymous"], ["--static-authentication-enabled"]])
def test_one_of_the_lax_options_does_not_switch_the_roles_off(tmp_path: Path, given: list[str]) -> None:
    assert read(generate(tmp_path, *given), "api.yaml").authorization == "RBAC"


def test_a_chosen_mode_stays(tmp_path: Path) -> None:
    lax = ["--allow-anonymous", "--static-authentication-enabled", "--authorization-mode", "RBAC"]
    assert read(generate(tmp_path, *lax), "api.yaml").authorization == "RBAC"


def test_options_arrive_in_the_files_whatever_they_hold(tmp_path: Path) -> None:
    name = 'a "b": {c} \\ #d $e'
    generate(
        tmp_path,
        *(
            "--static-authentication-username",
            name,
            "--tls-enabled",
            "--cert-dir",
            str(tmp_path / "certs"),
            "--api-port",
            "8443",
        ),
        *("--external-endpoint", "https://outside:1", "--worker-count", "7", "--poll-interval", "2.5", "--debounce", "1"),
    )
    api: ApiConfig = read(tmp_path, "api.yaml")
    assert (api.authentication.strategy.static.name, api.port) == (name, 8443)
    assert (api.tls.enabled, api.tls.cert) == (True, str(tmp_path / "certs" / "system:api-server.pem"))
    application: ApplicationControllerConfig = read(tmp_path, "kubernetes_application.yaml")
    assert (application.api_endpoint, application.worker_count, application.debounce) == ("https://localhost:8443", 7, 1.0)
    assert application.hooks.complete.external_endpoint == application.hooks.shutdown.external_endpoint == "https://outside:1"
    assert read(tmp_path, "magnum.yaml").poll_interval == 2.5


def test_a_key_to_seal_secrets_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "secrets.key"
    assert read(generate(tmp_path), "api.yaml").secrets.key_file == str(path)
    assert f"Generated file: {path}\n" in capsys.readouterr().out
    text = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(text.split()[1])) == 32
    generate(tmp_path)
    assert path.read_text() == text
    assert str(path) not in capsys.readouterr().out


def test_the_file_of_rok_is_understood(tmp_path: Path) -> None:
    from rok.config import read_config

    rok = read_config(generate(tmp_path, "--api-host", "krake.example") / "rok.yaml")
    assert (rok.api_url, rok.user, rok.tls) == ("http://krake.example:8080", "system:admin", None)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "The given path 'x.template' should be a file"),
        ("a: $unheard_of", "x.template asks for $unheard_of, which is no option."),
        ("a: $ b", "line 1"),
    ],
)
def test_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], template: str | None, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if template is not None:
        Path("x.template").write_text(template)
    assert main(["x.template"]) == 1
    assert said in capsys.readouterr().err
    assert not Path("x").exists()


def test_a_value_that_would_break_the_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dst", str(tmp_path), "--api-host", "a\nport: 1", *TEMPLATES]) == 1
    assert "--api-host" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_can_not_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rok.yaml").mkdir()
    assert main(["--dst", str(tmp_path), str(ROOT / "templates/config/rok.yaml.template")]) == 1
    assert str(tmp_path / "rok.yaml") in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "rok.yaml"]


def test_the_commands_of_the_quickstart_work_without_anything_installed(tmp_path: Path) -> None:
    (tmp_path / "krake").mkdir()
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    shutil.copytree(ROOT / "krake" / "scripts", tmp_path / "krake" / "scripts")
    shutil.copytree(ROOT / "krake" / "krake", tmp_path / "krake" / "krake", ignore=shutil.ignore_patterns("__pycache__"))
    commands = (
        "krake/scripts/krake_generate_config templates/config/*.template templates/config/rok.yaml.template",
        "krake/scripts/krake_generate_config --allow-anonymous --static-authentication-enabled"
        " templates/config/api.yaml.template",
    )
    for command in commands:
        # -S: without what is installed.
        subprocess.run(["sh", "-ec", f"{sys.executable} -S {command}"], cwd=tmp_path, check=True, capture_output=True)
    assert {path.name for path in tmp_path.glob("*.yaml")} == {*CONFIGS, "rok.yaml"}
    assert read(tmp_path, "api.yaml").authorization == "always-allow"
    assert (ROOT / "krake/scripts/krake_generate_config").stat().st_mode & 0o111
