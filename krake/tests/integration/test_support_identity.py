"""`support/keystone` and `support/oidc` as somebody uses them by hand."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realidentity.keystone import Keystone
from realidentity.provider import Provider

SUPPORT = Path(__file__).parents[3] / "support"


@contextmanager
def running(script: str, lines: int) -> Iterator[list[str]]:
    """Run a script until it has printed so many *lines*; then stop it, which must go well."""
    process = subprocess.Popen([sys.executable, SUPPORT / script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    with process.stdout:
        try:
            yield [process.stdout.readline().strip() for _ in range(lines)]
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(30)
    assert status == 0


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except OSError:
        return False


def ends(url: str) -> bool:
    """Whether nothing answers there any more, before long."""
    deadline = time.monotonic() + 10
    while answers(url):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_provider(provider: Provider) -> None:
    with running("oidc", 1) as (issuer,):
        address = f"{issuer}/.well-known/openid-configuration"
        assert answers(address)
    assert ends(address)


def test_keystone(keystone: Keystone) -> None:
    with running("keystone", 7) as lines:
        variables = dict(re.fullmatch(r"export (\w+)=(\S+)", line).groups() for line in lines)  # type: ignore[union-attr]
        assert answers(variables["OS_AUTH_URL"])
    assert ends(variables["OS_AUTH_URL"])
