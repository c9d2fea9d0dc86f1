"""``python3 -m krake.api``: serves the API until it is told to stop by SIGTERM or SIGINT."""

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

import uvloop

from krake import logs
from krake.api.app import serve
from krake.api.settings import ApiConfig
from krake.api.stores import endpoints_of, open_store
from krake.config import parse

logger = logging.getLogger("krake.api")


async def run(config: ApiConfig) -> None:
    """Serve until a signal comes."""
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with open_store(config.etcd) as store, serve(config, store) as url:
        if warning := concern(config):
            logger.warning(warning)
        logger.info("Serving at %s on the etcd at %s.", url, ", ".join(endpoints_of(config.etcd)))
        await stop.wait()
        logger.info("Stopping.")


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
