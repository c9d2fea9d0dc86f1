"""The command lines of `support/keystone` and `support/oidc`."""

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from realkube.process import Process, StartError

from . import keystone, provider
from .installing import Unavailable

_KEYSTONE = f"""\
Start a real OpenStack Keystone {keystone.VERSION} on 127.0.0.1, with an administrator and nothing else, until Ctrl-C.

It is installed once into your cache folder (two minutes), from PyPI, and forgets everything when it ends. The variables for
OpenStack's own commands are all that is printed to standard output.
"""
_PROVIDER = f"""\
Start a real OpenID provider (oidc-provider {provider.VERSION}, from npm) on 127.0.0.1, until Ctrl-C.

Its paths are those of Keycloak before version 17, so that it stands in for one; it has the users alice and bob, whose passwords
are their names. Its issuer is all that is printed to standard output.
"""


def run_keystone(arguments: Sequence[str] | None = None) -> int:
    """Run `support/keystone` and return its exit status."""
    options = _parser("support/keystone", _KEYSTONE).parse_args(arguments)
    return _run(keystone.install, None if options.install_only else _serve_keystone)


def run_provider(arguments: Sequence[str] | None = None) -> int:
    """Run `support/oidc` and return its exit status."""
    options = _parser("support/oidc", _PROVIDER).parse_args(arguments)
    return _run(provider.install, None if options.install_only else _serve_provider)


@contextlib.contextmanager
def _serve_keystone(folder: Path) -> Iterator[Process]:
    running = keystone.Keystone(folder)
    with contextlib.closing(running):
        for name, value in keystone.environment_of(running).items():
            print(f"export {name}={value}", flush=True)
        _say("For Krake: authentication.strategy.keystone: {enabled: true, endpoint: " + running.endpoint + "}")
        yield running.process


@contextlib.contextmanager
def _serve_provider(folder: Path) -> Iterator[Process]:
    running = provider.Provider(folder)
    with contextlib.closing(running):
        print(running.issuer, flush=True)
        _say("For Krake: authentication.strategy.oidc: {enabled: true, issuer: " + running.issuer + "}")
        _say(f"       or: authentication.strategy.keycloak: {{enabled: true, endpoint: {running.endpoint}, base_path: /auth}}")
        _say("A token that Krake verifies itself (leave out the resource for one that Keycloak is asked for):")
        form = f"grant_type=password&client_id={provider.CLIENT}&client_secret={provider.SECRET}&scope=openid%20profile"
        _say(
            f"  curl -s {running.issuer}/protocol/openid-connect/token"
            f" -d '{form}&username=alice&password=alice&resource=urn:krake'"
        )
        yield running.process


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install-only", action="store_true", help="install what is missing and end")
    return parser


def _run(install: Callable[[], Path], serve: Callable[[Path], contextlib.AbstractContextManager[Process]] | None) -> int:
    _stop_on_signals()
    try:
        install()
        if serve is None:
            return 0
        with tempfile.TemporaryDirectory(prefix="krake-identity-") as folder, serve(Path(folder)) as process:
            _say("Ready; Ctrl-C stops it. For tests on loopback only: its passwords are known to everybody.")
            while process.alive:
                time.sleep(0.5)
            raise StartError(f"{process.name} ended by itself.")
    except (Unavailable, StartError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 0


def _stop_on_signals() -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):  # INT too: a shell starts background jobs with it ignored
        signal.signal(number, interrupt)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
