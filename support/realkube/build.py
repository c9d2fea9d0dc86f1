"""Builds Kubernetes once per user from Debian bookworm's own source package.

Debian ships no kube-apiserver, but its source package ``kubernetes`` is the complete upstream tree with all
vendored libraries, so it builds with Debian's compiler and with nothing from outside Debian. One vendored library
must be swapped for Debian's newer packaged one: with ``modern-go/reflect2`` 1.0.1 the server segfaults on the first
request for a custom resource.

The result goes to the per-user cache, all or nothing; see :func:`build`.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .apt import SOURCES, prepare_apt
from .cache import cache_folder, only_one, say

SOURCE_VERSION = "1.20.5+really1.20.2"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
# The exact compiler is named, not `golang-go`, because backports offer newer ones that this source does not know.
PACKAGES = ("golang-1.19-go", "rsync", "jq", "golang-github-modern-go-reflect2-dev", "dpkg-dev", "make")
GOFLAGS = "-tags=providerless,dockerless"
GOROOT = "usr/lib/go-1.19"
REFLECT2 = "github.com/modern-go/reflect2"
SCRATCH_BYTES = 4 * 10**9
REPORT_EVERY = 30.0  # seconds between two signs of life in a long phase


class BuildError(Exception):
    """Kubernetes cannot be built on this machine; the text says why and what to do."""


def recipe_hash() -> str:
    """Name the recipe: another recipe has another name, a reworded comment does not."""
    recipe = json.dumps([SOURCE_VERSION, PROGRAMS, GOFLAGS, GOROOT, REFLECT2, platform.machine()])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def find_built(cache: Path | None = None) -> Path | None:
    """Return the folder that an earlier build of this very recipe published, if there is one."""
    found = sorted((cache or cache_folder()).glob(f"*-{recipe_hash()}"))
    return found[-1] if found else None


def why_not_buildable() -> str | None:
    """Say why a build cannot even be tried here; None where it can be."""
    if not sys.platform.startswith("linux"):
        return "Kubernetes is built on Linux only"
    missing = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    if missing:
        return f"Kubernetes is built from Debian's source package by {' and '.join(missing)}, which this machine lacks"
    if not any(path.is_file() for path in SOURCES):
        return f"Kubernetes is built from Debian's source package, and neither {SOURCES[0]} nor {SOURCES[1]} exists"
    return None


def build(cache: Path | None = None) -> Path:
    """Build all of :data:`PROGRAMS` unless they are there, and return the folder that holds them.

    Takes some minutes and 2 GB of scratch space in the cache folder. Only one build of a user runs at a time: a second
    one waits for it and takes its result. Progress goes to stderr, everything else to ``build.log`` in the cache.

    Raises:
        BuildError: It cannot be built here, or a phase of the build failed. Nothing half-made is left behind.
    """
    cache = cache or cache_folder()
    if found := find_built(cache):
        return found
    if reason := why_not_buildable():
        raise BuildError(reason + ".")
    cache.mkdir(parents=True, exist_ok=True)
    with only_one(cache / "build.lock", "building Kubernetes"):
        if found := find_built(cache):
            return found
        for stale in cache.glob("scratch-*"):  # of a build that was killed
            shutil.rmtree(stale, ignore_errors=True)
        if (free := shutil.disk_usage(cache).free) < SCRATCH_BYTES:
            raise BuildError(f"Building Kubernetes needs {SCRATCH_BYTES / 1e9:.0f} GB in {cache}; {free / 1e9:.1f} are free.")
        scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=cache))
        try:
            return _Build(cache, scratch).run()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def choose_version(showsrc: str) -> str:
    """Pick the version this recipe knows from the output of ``apt-cache showsrc``.

    Raises:
        BuildError: The package sources of this machine do not offer it.
    """
    offered: list[str] = re.findall(r"(?m)^Version: (\S+)$", showsrc)
    known = [version for version in offered if version.split("-")[0] == SOURCE_VERSION]
    if known:
        return known[-1]
    seen = f"only {', '.join(offered)}" if offered else "none"
    raise BuildError(
        f"Kubernetes is built from Debian 12's source package kubernetes {SOURCE_VERSION}, and the package sources of"
        f" this machine offer {seen}; use Debian 12 (bookworm), or name existing binaries by KRAKE_KUBERNETES_BIN"
        " or existing clusters by KRAKE_TEST_KUBECONFIGS."
    )


@dataclass
class _Build:
    cache: Path
    scratch: Path
    started: float = field(default_factory=time.monotonic)
    phase: str = ""

    @property
    def log(self) -> Path:
        return self.cache / "build.log"

    def run(self) -> Path:
        say(f"Building Kubernetes {SOURCE_VERSION} into {self.cache}, once; it takes 4 to 9 minutes (log: {self.log})")
        self.log.write_text("")
        self._enter("reading the package lists")
        apt = prepare_apt(self.scratch)
        self._call(["apt-get", *apt, "update"])
        version = choose_version(self._call(["apt-cache", *apt, "showsrc", "kubernetes"]))
        self._provide_toolchain(apt)
        self._enter("fetching the source")
        self._call(["apt-get", *apt, "source", f"kubernetes={version}"], env=self._environment())
        tree = next(path for path in self.scratch.glob("kubernetes-*") if path.is_dir())
        self._swap_reflect2(tree)
        self._enter("compiling")
        binaries = self._compile(tree)
        self._enter("publishing")
        return self._publish(binaries, version)

    def _provide_toolchain(self, apt: Sequence[str]) -> None:
        """Install what the build needs (root), or unpack what is not installed into the scratch folder."""
        self._enter("getting the compiler and its helpers")
        install = ["apt-get", *apt, "install", "--no-install-recommends", "--no-upgrade", *PACKAGES]
        if os.geteuid() == 0:
            self._call(install, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
            return
        debs = self.scratch / "debs"
        debs.mkdir()
        if missing := re.findall(r"(?m)^Inst (\S+)", self._call([*install, "--simulate"])):
            self._call(["apt-get", *apt, "download", *missing], cwd=debs)
        for deb in sorted(debs.glob("*.deb")):
            self._call(["dpkg", "-x", str(deb), str(self.scratch / "root")])

    def _locate(self, path: str) -> Path:
        """Return where the packaged `path` is: unpacked, else installed."""
        unpacked = self.scratch / "root" / path
        return unpacked if unpacked.exists() else Path("/") / path

    def _swap_reflect2(self, tree: Path) -> None:
        vendored = tree / "vendor" / REFLECT2
        shutil.rmtree(vendored)
        packaged = self._locate(f"usr/share/gocode/src/{REFLECT2}")
        shutil.copytree(packaged, vendored, ignore=shutil.ignore_patterns("go.mod"))

    def _environment(self) -> dict[str, str]:
        """Return an environment in which no setting of the user's own Go or make can change the build."""
        unpacked, goroot = self.scratch / "root", self._locate(GOROOT)
        home = self.scratch / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": f"{goroot}/bin:{unpacked}/usr/bin:/usr/local/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": f"{unpacked}/usr/lib/{platform.machine()}-linux-gnu",
            "PERL5LIB": f"{unpacked}/usr/share/perl5",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "GOROOT": str(goroot),
            "GOPROXY": "off",
            "CGO_ENABLED": "0",
        }

    def _compile(self, tree: Path) -> Path:
        gopath = tree / ".go"
        (gopath / "src" / "k8s.io").mkdir(parents=True)
        (gopath / "src" / "k8s.io" / "kubernetes").symlink_to("../../..")
        what = " ".join(f"cmd/{program}" for program in PROGRAMS)
        # `make` and not `go build`: it first generates pkg/generated/openapi, which the source package lacks.
        self._call(
            ["make", f"WHAT={what}", "GOLDFLAGS=-s -w", f"GOFLAGS={GOFLAGS}"],
            cwd=tree,
            env={**self._environment(), "GOPATH": str(gopath)},
        )
        return next((tree / "_output/local/bin/linux").iterdir())

    def _publish(self, binaries: Path, version: str) -> Path:
        staged = self.scratch / "result"
        staged.mkdir()
        for program in PROGRAMS:
            shutil.move(binaries / program, staged / program)
            self._call([str(staged / program), "--version"])
        facts = {"source": f"kubernetes {version}", "seconds": round(time.monotonic() - self.started)}
        (staged / "build.json").write_text(json.dumps(facts) + "\n")
        folder = self.cache / f"{version}-{recipe_hash()}"
        staged.rename(folder)  # all or nothing
        say(f"[{self._elapsed()}] built: {folder}")
        return folder

    def _enter(self, phase: str) -> None:
        self.phase = phase
        say(f"[{self._elapsed()}] {phase}")
        with self.log.open("a") as log:
            log.write(f"\n=== {phase}\n")

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        return f"{minutes}:{seconds:02}"

    def _call(self, argv: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
        """Run a step into the log and return what it wrote; stop all of it when this process is interrupted."""
        with self.log.open("a") as log:
            start = log.tell()
            process = subprocess.Popen(
                argv,
                cwd=cwd or self.scratch,
                env={**(env or os.environ), "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                self._wait(process)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        output = self.log.read_bytes()[start:].decode(errors="replace")
        if process.returncode:
            tail = "\n".join(f"    {line}" for line in output.strip().splitlines()[-15:])
            raise BuildError(
                f"Building Kubernetes failed while {self.phase}: `{argv[0]}` ended with status {process.returncode}."
                f" The whole log is {self.log}; its last lines:\n{tail}"
            )
        return output

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                process.wait(REPORT_EVERY)
            except subprocess.TimeoutExpired:
                say(f"[{self._elapsed()}] still {self.phase}")
            else:
                return
