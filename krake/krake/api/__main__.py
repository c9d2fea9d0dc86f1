"""``python3 -m krake.api``: serves the API until it is told to stop by SIGTERM or SIGINT."""

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

import uvloop

from krake import logs
from krake.adapters.etcd import EtcdStore
from krake.api.app import serve
from krake.api.settings import ApiConfig
from krake.config import parse

logger = logging.getLogger("krake.api")


async def run(config: ApiConfig) -> None:
    """Serve until a signal comes."""
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    endpoint = f"http://{config.etcd.host}:{config.etcd.port}"
    async with EtcdStore([endpoint]) as store, serve(config, store) as url:
        if config.authentication.strategy.static.enabled and config.authorization == "always-allow":
            logger.warning("Everybody who reaches this API may do everything.")
        logger.info("Serving at %s on the etcd at %s.", url, endpoint)
        await stop.wait()
        logger.info("Stopping.")


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
