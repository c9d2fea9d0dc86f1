"""``python3 -m krake.api``: serves the API until it is told to stop by SIGTERM or SIGINT."""

import asyncio
import logging
import sys
from collections.abc import Sequence

import uvloop

from krake import logs
from krake.api.app import SHUTDOWN_LIMIT, serve
from krake.api.operations import Stopping
from krake.api.settings import ApiConfig
from krake.api.stores import endpoints_of, open_store
from krake.config import parse
from krake.signals import stop_on_signals

logger = logging.getLogger("krake.api")


GRACE = 10.0
"""Seconds from when all requests should have ended until a process that still hangs is ended the hard way."""


async def run(config: ApiConfig) -> None:
    """Serve until a signal comes; then refuse to be ready, go on for a moment, and let what is under way come to its end."""
    stop = asyncio.Event()
    stopping = Stopping()
    stop_on_signals(stop, config.stop_delay + 2 * SHUTDOWN_LIMIT + GRACE)
    async with open_store(config.etcd) as store, serve(config, store, stopping) as url:
        if warning := concern(config):
            logger.warning(warning)
        logger.info("Serving at %s on the etcd at %s.", url, ", ".join(endpoints_of(config.etcd)))
        await stop.wait()
        logger.info("Stopping; requests are taken for another %g s.", config.stop_delay)
        stopping.begun = True
        await asyncio.sleep(config.stop_delay)


def concern(config: ApiConfig) -> str | None:
    """What an administrator should know about who may use this API, or nothing."""
    strategy = config.authentication.strategy
    open_to_all = strategy.static.enabled or config.authentication.allow_anonymous
    by_token = any(way.enabled for way in (strategy.tokens, strategy.oidc, strategy.keystone, strategy.keycloak))
    if not (open_to_all or by_token or (config.tls.enabled and config.tls.client_ca)):
        return "Nobody can use this API: no way of authentication is configured (see the section 'authentication')."
    if open_to_all and config.authorization == "always-allow":
        return "Everybody who reaches this API may do everything."
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Start the API; returns the exit status."""
    config = parse(ApiConfig, "api.yaml", "The API of Krake.", argv)
    try:
        logs.configure(config.log)
        uvloop.run(run(config))
    except (ValueError, OSError) as error:
        print(f"krake.api: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
