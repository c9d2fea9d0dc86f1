"""How Kubernetes gets built, up to where the compiler would start."""

import fcntl
import re
import threading
import time
from pathlib import Path

import pytest
from realkube import build
from realkube.apt import derive_sources
from realkube.binaries import NotBuilt, Unavailable, find
from realkube.build import BuildError, choose_version
from realkube.existing import find_existing

DEB822 = """\
Types: deb
URIs: http://archive.example/debian
Suites: bookworm
Components: main
"""
ONE_LINE = """\
# the archive
deb [signed-by=/k.gpg] http://archive.example/debian bookworm main
deb-src http://old.example/debian bookworm main
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for stand-ins of apt; nothing is built before and nothing named by the environment."""
    for name in ("KRAKE_KUBERNETES_BIN", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    sources = tmp_path / "debian.sources"
    sources.write_text(DEB822)
    monkeypatch.setattr(build, "SOURCES", (sources,))
    monkeypatch.setattr(build, "SCRATCH_BYTES", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_source_packages_are_asked_for_beside_binary_ones() -> None:
    assert derive_sources(DEB822, deb822=True) == DEB822.replace("Types: deb", "Types: deb deb-src")
    assert derive_sources(ONE_LINE, deb822=False) == (
        "deb [signed-by=/k.gpg] http://archive.example/debian bookworm main\n"
        "deb-src [signed-by=/k.gpg] http://archive.example/debian bookworm main\n"
    )


def test_known_version_is_chosen_also_with_security_fixes() -> None:
    text = "Package: kubernetes\nVersion: 1.0\n\nPackage: kubernetes\nVersion: 1.20.5+really1.20.2-1.1+deb12u1\n"
    assert choose_version(text) == "1.20.5+really1.20.2-1.1+deb12u1"


@pytest.mark.parametrize(("offered", "told"), [("Version: 1.33.4+ds-1\n", "only 1.33.4+ds-1"), ("", "none")])
def test_other_release_is_told(offered: str, told: str) -> None:
    with pytest.raises(BuildError, match=f"offer {re.escape(told)}; use Debian 12"):
        choose_version(offered)


def test_failure_names_phase_and_log_and_leaves_nothing(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script(machine / "apt-get", "echo 'E: the archive is gone'; exit 100")
    with pytest.raises(BuildError) as failure:
        build.build()
    cache = build.cache_folder()
    assert "failed while reading the package lists" in str(failure.value)
    assert "E: the archive is gone" in str(failure.value)
    assert str(cache / "build.log") in str(failure.value)
    assert sorted(path.name for path in cache.iterdir()) == ["build.lock", "build.log"]
    assert "[0:00] reading the package lists" in capsys.readouterr().err


def test_second_run_waits_for_the_first_and_takes_its_result(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script(machine / "apt-get", "exit 1")  # a build of its own would fail
    cache = build.cache_folder()
    cache.mkdir(parents=True)
    results: list[Path] = []
    second = threading.Thread(target=lambda: results.append(build.build()))
    with (cache / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        second.start()
        told, deadline = "", time.monotonic() + 10
        while "waiting" not in told:
            assert time.monotonic() < deadline
            told += capsys.readouterr().err
        assert "process 4711" in told
        published = cache / f"1-{build.recipe_hash()}"
        published.mkdir()
    second.join(10)
    assert results == [published]


def test_machine_without_apt_is_told(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine))
    with pytest.raises(BuildError, match="by apt-get and dpkg, which this machine lacks"):
        build.build()
    with pytest.raises(NotBuilt, match=r"cannot be built here.*KRAKE_KUBERNETES_BIN"):
        find()


def test_named_folder_is_used_with_its_etcd(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kube-apiserver", "etcd"):
        script(machine / name, "exit 0")
    monkeypatch.setenv("KRAKE_KUBERNETES_BIN", str(machine))
    with pytest.raises(Unavailable, match="lacks kube-controller-manager"):
        find()
    script(machine / "kube-controller-manager", "exit 0")
    assert find().api_server == machine / "kube-apiserver"
    assert find().etcd == machine / "etcd"


def test_envtest_folder_counts_only_when_it_has_both(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kube-apiserver", "etcd"):
        script(machine / name, "exit 0")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(machine))
    with pytest.raises(NotBuilt):
        find()
    script(machine / "kube-controller-manager", "exit 0")
    assert find().folder == machine


def test_existing_clusters_are_read_from_their_kubeconfigs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("current-context: mine\n")
    bad.write_text("clusters: []\n")
    monkeypatch.setenv("KRAKE_TEST_KUBECONFIGS", f"{good}:")
    assert [(it.name, it.kubeconfig_path) for it in find_existing()] == [("mine", good)]
    monkeypatch.setenv("KRAKE_TEST_KUBECONFIGS", f"{good}:{bad}")
    with pytest.raises(Unavailable, match="bad, which is not a kubeconfig"):
        find_existing()
