"""The sources of a configuration: which one wins, and what is said of mistakes."""

from pathlib import Path
from typing import Any

import pytest

from krake import config
from krake.data.record import Record, field


class Tls(Record):
    enabled: bool = False
    client_ca: str = ""


class Settings(Record):
    api_endpoint: str = "http://localhost:8080"
    worker_count: int = 5
    origins: list[str] = field(factory=list)
    tls: Tls = field(factory=Tls)
    log: dict[str, Any] = field(factory=dict)


@pytest.fixture(autouse=True)
def _in_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "SYSTEM_DIRECTORY", tmp_path / "etc")


def parse(*argv: str, **environ: str) -> Settings:
    return config.parse(Settings, "settings.yaml", "Test.", argv, environ)


def write(text: str, path: str = "settings.yaml") -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)


def test_defaults_without_any_source() -> None:
    assert parse() == Settings()


def test_option_beats_variable_beats_file_beats_default() -> None:
    write("worker-count: 1\ntls: {client-ca: file}\n")
    assert parse().worker_count == 1
    assert parse(KRAKE_WORKER_COUNT="2").worker_count == 2
    assert parse("--worker-count", "5", KRAKE_WORKER_COUNT="2").worker_count == 5
    assert parse("--tls-client-ca", "option").tls == Tls(client_ca="option")


def test_booleans_switch_both_ways() -> None:
    write("tls: {enabled: true}\n")
    assert parse().tls.enabled
    assert not parse("--no-tls-enabled").tls.enabled
    assert not parse(KRAKE_TLS_ENABLED="false").tls.enabled


def test_option_reaches_into_a_section_that_the_file_lacks() -> None:
    write("worker_count: 3\n")
    assert parse("--tls-enabled").tls.enabled


def test_working_directory_comes_before_system_directory() -> None:
    write("worker_count: 7\n", "etc/settings.yaml")
    assert parse().worker_count == 7
    write("worker_count: 8\n")
    assert parse().worker_count == 8


def test_keys_inside_log_are_left_alone() -> None:
    write("log: {loggers: {my-logger: {}}}\n")
    assert parse().log == {"loggers": {"my-logger": {}}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "worker_cuont: 3\n",
            "field 'worker_cuont': Unknown key. Did you mean 'worker_count'? (settings.yaml, line 1)",
        ),
        ("\ntls:\n  zzz: on\n", "field 'tls.zzz': Unknown key. (settings.yaml, line 3)"),
        ("tls:\n  client-ac: x\n", "field 'tls.client_ac': Unknown key. Did you mean 'tls.client_ca'? (settings.yaml, line 2)"),
        ("# Text.\nworker-count: many\n", "field 'worker_count': Not a valid integer. (settings.yaml, line 2)"),
        ("tls: {enabled: [1]}\n", "field 'tls.enabled': Not a valid boolean. (settings.yaml, line 1)"),
        ("origins:\n- a\n- [b]\n", "field 'origins[1]': Not a valid string. (settings.yaml, line 3)"),
        ("worker_count: 1\nworker-count: 2\n", "'worker_count' stands twice in 'settings.yaml': in line 1 and in line 2"),
        ("tls: 5\n", "field 'tls': Invalid input type. (settings.yaml, line 1)"),
        ("- a list\n", "must hold a mapping"),
        ("a: {", "can not be read"),
    ],
)
def test_mistakes_are_named_with_their_place(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(text)
    with pytest.raises(SystemExit) as stop:
        parse()
    assert stop.value.code == 1
    told = capsys.readouterr().err
    assert said in told
    assert "settings.yaml" in told


def test_named_file_must_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("-c", "nowhere.yaml")
    assert "'nowhere.yaml' does not exist" in capsys.readouterr().err


def test_a_wrong_variable_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    write("worker_count: 3\n")
    with pytest.raises(SystemExit):
        parse(KRAKE_WORKER_COUNT="some")
    assert "field 'worker_count': Not a valid integer. (variable KRAKE_WORKER_COUNT)" in capsys.readouterr().err


def test_lists_and_deeper_contents_come_from_every_source() -> None:
    write("origins: [file]\nlog: {level: INFO}\n")
    assert parse(KRAKE_ORIGINS="a, b c").origins == ["a", "b", "c"]
    assert parse("--origins", "x", "--origins", "y", KRAKE_ORIGINS="a").origins == ["x", "y"]
    assert parse(KRAKE_LOG="{level: DEBUG}").log == {"level": "DEBUG"}
    assert parse("--log", "level: WARNING", KRAKE_LOG="{level: DEBUG}").log == {"level": "WARNING"}


def test_an_option_that_is_no_yaml_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--log", "{")
    assert "--log must hold YAML" in capsys.readouterr().err


def test_a_section_without_keys_is_none() -> None:
    write("tls:\nlog:\n")
    assert parse() == Settings()


def test_check_says_whether_the_configuration_is_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    write("worker_count: 3\n")
    with pytest.raises(SystemExit) as stop:
        parse("--check")
    assert stop.value.code == 0
    assert capsys.readouterr().out == "The configuration is in order (settings.yaml).\n"
    with pytest.raises(SystemExit) as stop:
        parse("--check", "--worker-count", "3", "--tls-enabled", KRAKE_TLS_ENABLED="perhaps", KRAKE_WORKER_COUNT="x")
    assert stop.value.code == 0
    with pytest.raises(SystemExit) as stop:
        parse("--check", KRAKE_TLS_ENABLED="perhaps")
    assert stop.value.code == 1
