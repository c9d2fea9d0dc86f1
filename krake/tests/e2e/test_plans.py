"""A user plans, then does what was planned, on simulated clusters; and it is what happens."""

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.up import RunningKrake, StartKrake, wait_for

ROOT = Path(__file__).parents[3]
SHOP = ROOT / "examples" / "scheduling" / "shop.yaml"
GREEN = {"sim-1": 0.9, "sim-2": 0.5, "sim-3": 0.2}
APPS = {"any-1": [], "any-2": [], "de-1": ["location in (DE, AT)"], "de-2": ["location in (DE, AT)"]}
LOCATIONS = {"sim-1": "DE", "sim-2": "AT", "sim-3": "SK"}


@pytest.fixture(scope="module")
def krake(start_krake: StartKrake) -> RunningKrake:
    krake = start_krake("--simulated-clusters", "3", variables={"KRAKE_RESCHEDULE_AFTER": "2"})
    values = [word for name, value in GREEN.items() for word in ("-m", f"green-{name}", str(value))]
    krake.rok("core", "gmp", "create", "sites", "--type", "static", *values)
    for path, (name, location) in zip(krake.kubeconfigs, LOCATIONS.items(), strict=True):
        krake.rok("core", "gm", "create", f"green-{name}", "--gmp-name", "sites", "--min", "0", "--max", "1")
        krake.rok(
            "kube", "cluster", "register", "-k", path, "-l", f"location={location}", "--global-metric", f"green-{name}", "1"
        )
    for name, constraints in APPS.items():
        create(krake, name, *constraints)
    wait_for("all to run", lambda: set(places(krake).values()) == {"sim-1"})
    return krake


def create(krake: RunningKrake, name: str, *constraints: str) -> None:
    manifest = krake.directory / f"{name}.yaml"
    manifest.write_text(SHOP.read_text().replace("shop", name))
    words = [word for each in constraints for word in ("-L", each)]
    krake.rok("kube", "app", "create", "-f", manifest, *words, name)


def places(krake: RunningKrake) -> dict[str, str | None]:
    """Where the applications run."""
    found = {}
    for app in krake.rok_json("kube", "app", "list"):
        runs = app["status"]["state"] == "RUNNING" and app["status"]["running_on"] == app["status"]["scheduled_to"]
        found[app["metadata"]["name"]] = app["status"]["running_on"]["name"] if runs else None
    return found


def plan(krake: RunningKrake, *words: str | Path) -> tuple[int, Any]:
    done = krake.rok("plan", *words, "-o", "json", check=False)
    assert done.returncode in (0, 2), done.stderr
    return done.returncode, json.loads(done.stdout)


def set_green(krake: RunningKrake, **values: float) -> None:
    given = {f"green-{name}": value for name, value in {**GREEN, **values}.items()}
    krake.rok("core", "gmp", "update", "sites", *[word for each in given.items() for word in ("-m", each[0], str(each[1]))])


def test_what_is_planned_is_what_happens(krake: RunningKrake) -> None:
    """One change after the other, of several kinds."""
    steps: list[tuple[tuple[str | Path, ...], Any]] = [
        (("--metric", "green-sim-3=0.99"), lambda: set_green(krake, **{"sim-3": 0.99})),
        (("--constraint", "any-1=location is AT"), lambda: krake.rok("kube", "app", "update", "any-1", "-L", "location is AT")),
        (("--drain", "sim-1"), lambda: krake.rok("kube", "cluster", "drain", "sim-1")),
        (("--label", "sim-3:location=DE"), lambda: krake.rok("kube", "cluster", "update", "sim-3", "-l", "location=DE")),
        (
            ("--weight", "sim-2:green-sim-3=3"),
            lambda: krake.rok(
                *("kube", "cluster", "update", "sim-2", "--global-metric", "green-sim-2", "1"),
                *("--global-metric", "green-sim-3", "3"),
            ),
        ),
        (
            ("-f", f"new={SHOP}", "--constraint", "new=location is AT"),
            lambda: create(krake, "new", "location is AT"),
        ),
    ]
    for words, do in steps:
        wait_for("rest", lambda: None not in places(krake).values() and plan(krake)[0] == 0)
        before = places(krake)
        status, answer = plan(krake, *words)
        planned = before | {each["application"]: each["choice"] for each in answer["moves"]}
        assert places(krake) == before, words
        assert status == (2 if planned != before else 0), words
        do()
        wait_for(f"{words}: {planned}", lambda planned=planned: places(krake) == planned)
        wait_for("rest", lambda: plan(krake)[0] == 0)
        assert places(krake) == planned, words


def test_people_read_a_table(krake: RunningKrake) -> None:
    done = krake.rok("plan", "--lose", "sim-2", "--explain", "new", check=False)
    assert done.returncode == 2
    assert "does not fit" in done.stdout
    assert "application new" in done.stdout
    assert krake.rok("plan", "--lose", "nowhere", check=False).returncode == 1
    assert krake.rok("plan", "--nope", check=False).returncode == 1
