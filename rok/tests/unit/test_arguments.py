"""The words of commands: what each reads, and how it may be spelled."""

import argparse
import shlex
from typing import Any

import pytest
from krake.data import KINDS

from rok.commands import TABLE, Single, build_parser
from rok.errors import Misuse
from rok.flags import Shutdown, separate


def parse(line: str) -> argparse.Namespace:
    return build_parser().parse_args(separate(line.split()))


def leaves(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], argparse.ArgumentParser]:
    """Return the parsers of all commands by their words; aliases count as words of their own."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                found |= leaves(child, (*path, name))
    return found or {path: parser}


COMMANDS = {" ".join(path): parser for path, parser in leaves(build_parser()).items()}


def options(command: str) -> set[str]:
    return {name for action in COMMANDS[command]._actions for name in action.option_strings} - {"-h", "--help"}


COMMON = {"-n", "--namespace", "-o", "--output", "--config"}
BACKOFF = {"--backoff", "--backoff-delay", "--backoff-limit"}
WAIT = {"--wait", "--timeout"}
LABELS = {"-l", "--label"}
METRICS = {"--metric", "--global-metric"}
APP = {
    *("-f", "--file", "-u", "--url", "-O", "--observer-schema-file", "--disable-migration", "--enable-migration"),
    *("-L", "--cluster-label-constraint", "-R", "--cluster-resource-constraint", "-M", "--cluster-metric-constraint"),
    *(
        "--hook-complete",
        "--hook-shutdown",
        "--migration-strategy",
        "--storage-migration",
        "--toleration",
        "--overrides",
        "--input",
        "--inputs-file",
        "--priority",
        "--anti-affinity",
        "--spread",
        "--disruption-budget",
    ),
    *COMMON,
    *BACKOFF,
    *WAIT,
    *LABELS,
}
CLOUD = {"-L", "--cloud-label-constraint", "-M", "--cloud-metric-constraint"}
CLUSTER = {"-R", "--custom-resource", *METRICS, *LABELS, *BACKOFF, *WAIT, *COMMON}
EXPECTED = {
    "app list": {"-a", "--all", *COMMON},
    "app create": APP | {"--auto-cluster-create", "-i", "--inject"},
    "app get": {"--rendered", *COMMON},
    "app update": APP
    | {
        "--remove-existing-labels",
        "--remove-existing-label-constraints",
        "--remove-existing-resource-constraints",
        "--remove-existing-metric-constraints",
        "--remove-existing-overrides",
        "--remove-existing-inputs",
        "--remove-existing-hooks",
        "--remove-existing-tolerations",
        "--remove-existing-anti-affinity",
        "--remove-existing-spread",
        "--remove-existing-disruption-budget",
    },
    "app delete": {"--force", *WAIT, *COMMON},
    "app retry": COMMON,
    "app explain": {"--now", *COMMON},
    "app history": COMMON,
    "cluster register": CLUSTER | {"-k", "--kubeconfig", "-c", "--context", "--name", "--no-wait"},
    "cluster create": CLUSTER | CLOUD | {"-f", "--file", "--inherit-metrics", "--inherit-labels"},
    "cluster list": {"-a", "--all", *COMMON},
    "cluster get": COMMON,
    "cluster update": CLUSTER
    | CLOUD
    | {
        *("-k", "--kubeconfig", "-c", "--context", "-f", "--file", "--remove-existing-labels", "--remove-existing-metrics"),
        *("--remove-existing-cloud-label-constraints", "--remove-existing-cloud-metric-constraints"),
    },
    "cluster delete": {"--force", "--cascade", *WAIT, *COMMON},
    "cluster cordon": COMMON,
    "cluster uncordon": COMMON,
    "cluster drain": {*WAIT, *COMMON},
    "cluster taint": COMMON,
    "cluster explain": COMMON,
}


@pytest.mark.parametrize("command", EXPECTED)
@pytest.mark.parametrize("group", ["kubernetes", "kube"])
def test_a_command_has_its_options(group: str, command: str) -> None:
    assert options(f"{group} {command}") == EXPECTED[command]


EVERYWHERE = COMMON - {"-n", "--namespace"}
PROVIDER = {
    *("--url", "-m", "--metric", "--table", "--comparison-column", "--value-column", "--org", "--bucket"),
    *("--token", "--username", "--password", "--ca"),
}
METRIC = {"--min", "--max", "--metric-name", "--allowed-values", "--out-of-range", "--on-failure", "--max-age"}
QUOTA = {"--applications", "--clusters", "--request"}
CORE = {
    ("metricsprovider", "mp"): ({*PROVIDER, "--type"}, PROVIDER),
    ("globalmetricsprovider", "gmp"): ({*PROVIDER, "--type"}, PROVIDER),
    ("metric",): ({*METRIC, "--mp-name"}, {*METRIC, "--mp-name"}),
    ("quota",): (QUOTA, QUOTA | {"--remove-existing-requests"}),
    ("globalmetric", "gm"): ({*METRIC, "--gmp-name"}, {*METRIC, "--gmp-name"}),
}


IM = {"--url", "--username", "--password", "--token", "--ca"}
OPENSTACK = {
    *("--url", "--project", "--username", "--password", "--domain-name", "--domain-id", "--application-credential", "--ca"),
    *("--global-infra-provider", "--global-metric", *LABELS),
}
OWN = {"--infra-provider", "--metric"}
REMOVE = {"--remove-existing-labels", "--remove-existing-metrics"}
NO_WAIT = {"--no-wait"}
CHANGE = {"--no-ca"} | NO_WAIT
REGISTER = {"--type"} | NO_WAIT
INFRASTRUCTURE = {
    ("globalinfrastructureprovider", "gprovider", "gip"): (IM | REGISTER, IM | CHANGE),
    ("infrastructureprovider", "provider", "ip"): (IM | REGISTER, IM | CHANGE),
    ("globalcloud", "gcloud", "gc"): (OPENSTACK | REGISTER, OPENSTACK | REMOVE | CHANGE),
    ("cloud",): (OPENSTACK | OWN | REGISTER, OPENSTACK | OWN | REMOVE | CHANGE),
}


@pytest.mark.parametrize("names", INFRASTRUCTURE)
@pytest.mark.parametrize("group", ["infrastructure", "infra"])
def test_clouds_and_their_providers_have_their_options(group: str, names: tuple[str, ...]) -> None:
    register, update = INFRASTRUCTURE[names]
    common = EVERYWHERE if names[0].startswith("global") else COMMON
    for name in names:
        assert options(f"{group} {name} list") == (common if common is EVERYWHERE else {*common, "-a", "--all"})
        assert options(f"{group} {name} register") == register | common
        assert options(f"{group} {name} get") == common
        assert options(f"{group} {name} update") == update | common
        assert options(f"{group} {name} delete") == {"--force", *WAIT, *common}


PROJECT = {
    *("--template", "--auth-url", "--application-credential", "--user-id", "--password", "--project-id", "--ca"),
    *(*METRICS, *LABELS, *COMMON),
}
MAGNUM = {"--node-count", "-L", "--project-label-constraint", *METRICS, *LABELS, *WAIT, *COMMON}
MAGNUM_OPTIONS = {
    "project create": PROJECT | NO_WAIT,
    "project update": PROJECT | REMOVE | CHANGE,
    "project list": {"-a", "--all", *COMMON},
    "project get": COMMON,
    "project delete": {*WAIT, *COMMON},
    "cluster create": MAGNUM | {"--master-count"},
    "cluster update": MAGNUM | REMOVE | {"--remove-existing-label-constraints"},
    "cluster list": {"-a", "--all", *COMMON},
    "cluster get": COMMON,
    "cluster delete": {*WAIT, *COMMON},
}


@pytest.mark.parametrize("command", MAGNUM_OPTIONS)
@pytest.mark.parametrize("group", ["openstack", "os"])
def test_projects_and_magnum_clusters_have_their_options(group: str, command: str) -> None:
    assert options(f"{group} {command}") == MAGNUM_OPTIONS[command]


@pytest.mark.parametrize("names", CORE)
def test_metrics_and_their_providers_have_their_options(names: tuple[str, ...]) -> None:
    create, update = CORE[names]
    common = EVERYWHERE if names[0].startswith("global") else COMMON
    for name in names:
        assert options(f"core {name} list") == (common if common is EVERYWHERE else {*common, "-a", "--all"})
        assert options(f"core {name} create") == create | common
        assert options(f"core {name} update") == update | common
        for operation in ("get", "delete"):
            assert options(f"core {name} {operation}") == common


def test_aliases_are_the_same_commands() -> None:
    assert options("kubernetes application create") == options("kube app create")


def test_events_has_its_options() -> None:
    assert options("events") == {"-a", "--all", "--all-namespaces", "--earlier", *COMMON}


@pytest.mark.parametrize(
    ("line", "kind", "name"),
    [
        ("events", None, None),
        ("events app", "Application", None),
        ("events app echo-demo", "Application", "echo-demo"),
        ("events -n red app echo-demo", "Application", "echo-demo"),
        ("events -a Applications", "Application", None),
        ("events global-metric heat -o json", "GlobalMetric", "heat"),
        ("events metrics_providers x", "MetricsProvider", "x"),
        ("events mp x", "MetricsProvider", "x"),
        ("events gmp x", "GlobalMetricsProvider", "x"),
        ("events gm", "GlobalMetric", None),
        ("events provider im", "InfrastructureProvider", "im"),
        ("events gip im", "GlobalInfrastructureProvider", "im"),
        ("events gc", "GlobalCloud", None),
    ],
)
def test_events_are_of_everything_or_of_one_kind_or_object(line: str, kind: str | None, name: str | None) -> None:
    args = parse(line)
    assert (args.about_kind, args.about_name) == (kind, name)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("kube app create echo -L 'zone is'", "'zone is' is no constraint on labels: write for example 'location is DE'"),
        ("kube app update echo -M 'load < much'", "'load < much' is no constraint on metrics: write for example 'load < 0.5'"),
        ("kube cluster create -f c.yaml c -L zone", "'zone' is no constraint on labels"),
        ("kube app create echo --anti-affinity 'app web'", "'app web' is no constraint on labels"),
        ("kube app create echo --disruption-budget '1 of app web'", "'app web' is no constraint on labels"),
    ],
)
def test_who_writes_no_constraint_is_told_how_to(words: str, told: str) -> None:
    with pytest.raises(Misuse, match=told):
        build_parser().parse_args(separate(shlex.split(words)))


def test_events_of_what_does_not_exist_are_refused() -> None:
    with pytest.raises(Misuse, match="there is no kind 'pod': choose application, cloud, cluster"):
        parse("events pod x")


def test_no_command_is_left_out_of_this_test() -> None:
    about_kinds = {" ".join(words[1:]) for words in map(str.split, COMMANDS) if len(words) == 3}
    written = {f"{name} {verb}" for names in CORE for name in names for verb in ("create", "update")}
    registered = {f"{name} {verb}" for names in INFRASTRUCTURE for name in names for verb in ("register", "update")}
    shown = {f"{name} {verb}" for names in {**CORE, **INFRASTRUCTURE} for name in names for verb in ("list", "get", "delete")}
    expected = {*EXPECTED, *MAGNUM_OPTIONS, *written, *registered, *shown}
    assert {command.replace("application", "app") for command in about_kinds} == expected
    assert {command for command in COMMANDS if len(command.split()) < 3} == {"plan", "events", "auth whoami", "auth can-i"}


def test_permissions_are_asked_for_by_words() -> None:
    assert options("auth can-i") == {"-a", "--all", "--all-namespaces", "--list", *COMMON}
    assert options("auth whoami") == {"-o", "--output", "--config"}
    args = parse("auth can-i get applications/status --all-namespaces")
    assert (args.verb, args.kind, args.all) == ("get", "applications/status", True)


def test_every_command_takes_config_and_output() -> None:
    assert all({"--config", "-o", "--output"} <= options(command) for command in COMMANDS)


def test_the_routes_of_the_table_are_those_of_the_kinds() -> None:
    views = [
        view
        for entry in TABLE
        for view in ([entry.view] if isinstance(entry, Single) else [resource.view for resource in entry.resources])
    ]
    assert {view.kind for view in views} >= {"Application", "Cluster", "Event"}
    for view in views:
        route = view.route
        kind = KINDS[route.api, view.kind].definition
        assert (route.api, route.plural, route.namespaced) == (kind.api, kind.plural, kind.namespaced)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kube app list", {"output": "table", "all": False, "namespace": None, "config": None}),
        ("kube app list -a -n red -o yaml", {"all": True, "namespace": "red", "output": "yaml"}),
        ("kube app create x", {"name": "x", "migration": None, "wait": None, "backoff": None, "labels": [], "timeout": None}),
        ("kube app create x --disable-migration", {"migration": False}),
        ("kube app create x --enable-migration", {"migration": True}),
        ("kube app create x -l a=b -l c=d=e", {"labels": [("a", "b"), ("c", "d=e")]}),
        ("kube app create x --observer_schema o.yaml", {"observer_schema_file": "o.yaml"}),
        ("kube app create x --observer_schema_file o.yaml", {"observer_schema_file": "o.yaml"}),
        ("kube app create x --obs o.yaml", {"observer_schema_file": "o.yaml"}),
        (
            "kube app create x --backoff 2 --backoff_delay 3 --backoff-limit -1",
            {"backoff": 2, "backoff_delay": 3, "backoff_limit": -1},
        ),
        ("kube app create x --backoff_limit=4", {"backoff_limit": 4}),
        ("kube app create --wait x", {"wait": "running", "name": "x"}),
        ("kube app create x --wait", {"wait": "running"}),
        ("kube app create --wait creating x", {"wait": "creating", "name": "x"}),
        ("kube app create x --wait=pending --timeout 2.5", {"wait": "pending", "timeout": 2.5}),
        ("kube app update x --wait reconciling", {"wait": "reconciling"}),
        ("kube app delete --wait x", {"wait": "deleted", "name": "x"}),
        ("kube app delete x --wait deleting --force", {"wait": "deleting", "force": True}),
        ("kube app create --hook-shutdown x", {"hook_shutdown": Shutdown(60, None, None), "name": "x"}),
        ("kube app create --hook-shutdown 30 x", {"hook_shutdown": Shutdown(30, None, None), "name": "x"}),
        ("kube app create --hook_shutdown 30 delete 3 x", {"hook_shutdown": Shutdown(30, "delete", 3), "name": "x"}),
        ("kube app create x --hook-shutdown 30 give_up", {"hook_shutdown": Shutdown(30, "give_up", None)}),
        (
            "kube app create x --hook-shutdown --hook-complete",
            {"hook_shutdown": Shutdown(60, None, None), "hook_complete": True},
        ),
        ("kube app create -i A=1 B=2 x", {"injections": ["A=1", "B=2"], "name": "x"}),
        ("kube app create --inject A=1 x -i B=2 C=3", {"injections": ["A=1", "B=2", "C=3"], "name": "x"}),
        (
            "kube cluster register -k k --metric a 1 --global-metric b 2.5",
            {
                "metrics": [
                    {"name": "a", "weight": 1.0, "namespaced": True},
                    {"name": "b", "weight": 2.5, "namespaced": False},
                ]
            },
        ),
        ("kube cluster register -k k -c ctx", {"kubeconfig": "k", "context": "ctx", "name": None, "no_wait": False}),
        ("kube cluster update x -R a.b -R c.d", {"custom_resources": ["a.b", "c.d"]}),
        ("kube app get -- --odd_name", {"name": "--odd_name"}),
    ],
)
def test_words_are_read(line: str, expected: dict[str, Any]) -> None:
    args = vars(parse(line))
    assert {key: args[key] for key in expected} == expected


def test_a_default_is_not_shared_between_commands() -> None:
    parse("kube cluster register -k k --metric a 1 -R a.b -l a=b")
    args = parse("kube cluster register -k k")
    assert (args.metrics, args.custom_resources, args.labels) == ([], [], [])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "required: GROUP"),
        ("kube", "required: RESOURCE"),
        ("kube app", "required: OPERATION"),
        ("kube app create", "required: name"),
        ("kube pod list", "invalid choice: 'pod'"),
        ("kube app get x --nope", "unrecognized arguments: --nope"),
        ("kube cluster register", "required: -k/--kubeconfig"),
        ("kube cluster create x", "required: -f/--file"),
        ("kube app create x --backoff 2.5", "invalid int value: '2.5'"),
        ("kube app create x --enable-migration --disable-migration", "not allowed with argument"),
        ("kube app list -o xml", "invalid choice: 'xml'"),
        ("kube cluster register -k k --metric a b", "the weight 'b' of the metric 'a' is not a number"),
    ],
)
def test_wrong_words_end_with_usage(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(line)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("usage: rok")
    assert message in error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kube app create x -l foo", "the label 'foo' is not KEY=VALUE"),
        ("kube app create x -l =foo", "the label '=foo' is not KEY=VALUE"),
        ("kube app create x --wait=online", "--wait can not wait for 'online' here: choose creating, pending, running"),
        ("kube app create x --timeout soon", "the time limit 'soon' is not a number of seconds above 0"),
        ("kube app create x --timeout 0", "the time limit '0' is not"),
        ("kube app create x --hook-shutdown=5,foo", "--hook-shutdown '5,foo' is not [SECONDS [give_up|delete [RETRIES]]]"),
        ("kube app get ..", "'..' is not a name"),
        ("kube app get x -n .", "'.' is not a name"),
    ],
)
def test_wrong_values_are_told_in_one_line(line: str, message: str) -> None:
    with pytest.raises(Misuse) as refused:
        parse(line)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_every_command_has_help(width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for command, parser in COMMANDS.items():
        assert parser.format_help().startswith("usage: rok"), command


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh", "fish"])
def test_completion_scripts_know_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(f"--print-completion {shell}")
    assert ended.value.code == 0
    assert "kubernetes" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out == "rok 2.0.0\n"
