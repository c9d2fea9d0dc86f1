"""``python3 -m krake.api``: serves the API until it is told to stop by SIGTERM or SIGINT."""

import asyncio
import contextlib
import logging
import resource
import sys
from collections.abc import Iterator, Sequence

import uvloop

from krake import logs
from krake.api.app import SHUTDOWN_LIMIT, make_app, serve
from krake.api.operations import Stopping
from krake.api.schema.upgrade import check_schema
from krake.api.settings import ApiConfig
from krake.api.stores import endpoints_of, open_store
from krake.api.tls import ServerTls
from krake.config import parse
from krake.ports.store import Store, StoreError
from krake.signals import stop_on_signals

logger = logging.getLogger("krake.api")

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_FIRST_LOOK = 2.0
"""Seconds that the store has to say whose it is before the API serves."""
GRACE = 10.0
"""Seconds from when all requests should have ended until a process that still hangs is ended the hard way."""


async def run(config: ApiConfig) -> None:
    """Serve until a signal comes; then refuse to be ready, go on for a moment, and let what is under way come to its end."""
    stop = asyncio.Event()
    stopping = Stopping()
    stop_on_signals(stop, config.stop_delay + 2 * SHUTDOWN_LIMIT + GRACE)
    async with open_store(config.etcd) as store:
        await refuse_newer(store)
        async with serve(config, store, stopping) as url:
            for concern in concerns(config):
                logger.warning(concern)
            logger.info("Serving at %s on the etcd at %s.", url, ", ".join(endpoints_of(config.etcd)))
            await stop.wait()
            logger.info("Stopping; requests are taken for another %g s.", config.stop_delay)
            stopping.begun = True
            await asyncio.sleep(config.stop_delay)


def concerns(config: ApiConfig) -> Iterator[str]:
    """What an administrator should know about who may use this API, and how."""
    authentication, strategy = config.authentication, config.authentication.strategy
    by_token = any(way.enabled for way in (strategy.tokens, strategy.oidc, strategy.keystone, strategy.keycloak))
    by_certificate = config.tls.enabled and bool(config.tls.client_ca)
    if not (by_token or by_certificate or strategy.static.enabled or authentication.allow_anonymous):
        yield "Nobody can use this API: no way of authentication is configured (see the section 'authentication')."
    if strategy.static.enabled:
        yield f"Everybody who reaches this API is taken for {strategy.static.name} (authentication.strategy.static)."
    if authentication.allow_anonymous:
        yield "Everybody who reaches this API is let in, known or not (authentication.allow_anonymous)."
    if config.authorization == "always-allow":
        yield "Everybody who is let in may do everything (authorization: always-allow)."
    if config.secrets.allow_plain and not (config.secrets.key_file or config.secrets.keys):
        yield "Secrets are stored as they are (secrets.allow_plain)."
    if not config.tls.enabled and config.host not in _LOOPBACK:
        yield "Whoever can listen on the network can read tokens and secrets (tls.enabled is off)."


async def refuse_newer(store: Store) -> None:
    """Raise ValueError if the store belongs to a newer version of Krake; a store that cannot be reached will say so later."""
    with contextlib.suppress(StoreError, TimeoutError):
        async with asyncio.timeout(_FIRST_LOOK):
            await check_schema(store)


def verify(config: ApiConfig) -> None:
    """Raise ValueError or OSError for what the API would not start with."""
    logs.configure(config.log)
    asyncio.run(_assemble(config))


async def _assemble(config: ApiConfig) -> None:
    async with open_store(config.etcd) as store:
        make_app(config, store, ServerTls(config.tls) if config.tls.enabled else None)


def main(argv: Sequence[str] | None = None) -> int:
    """Start the API; returns the exit status."""
    config = parse(ApiConfig, "api.yaml", "The API of Krake.", argv, verify=verify)
    _allow_all_files()
    try:
        logs.configure(config.log)
        uvloop.run(run(config))
    except (ValueError, OSError) as error:
        print(f"krake.api: {error}", file=sys.stderr)
        return 1
    return 0


def _allow_all_files() -> None:
    """Let connections take as many files as the system permits, and not only the few that are usual for older programs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
