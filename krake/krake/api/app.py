"""Puts the API together and serves it."""

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

from aiohttp import web

from krake.adapters.identity import Web
from krake.api.authentication import make_chain
from krake.api.authorization import Escalation, Redirection, make_authorizer
from krake.api.authorization.review import ReviewHandlers
from krake.api.cache import Cache
from krake.api.cross_origin import CrossOrigin
from krake.api.defaults import create_missing, read_defaults
from krake.api.events import Recorder
from krake.api.gate import Gate
from krake.api.handlers import Services
from krake.api.openapi.handlers import add_description
from krake.api.operations import Health, Operations, Stopping
from krake.api.operations.connection import Connection, Lobby, most_waiting
from krake.api.operations.health import check_identity, check_secrets
from krake.api.reader import Reader
from krake.api.routes import add_routes, routes_of
from krake.api.schema.upgrade import keep_up
from krake.api.secrets.resealing import follow_keys
from krake.api.secrets.source import make_source
from krake.api.secrets.store import SealedStore
from krake.api.secrets.vault import Vault
from krake.api.service import ServiceHandlers
from krake.api.settings import ApiConfig
from krake.api.tls import HANDSHAKE_LIMIT, ServerTls
from krake.api.watch import Watches
from krake.api.writer import Writer
from krake.data.kinds import KINDS
from krake.ports.store import Store

SHUTDOWN_LIMIT = 10.0
"""Seconds that requests under way have to end when the server stops."""
_LAST_REQUESTS = 0.2
"""Seconds that requests which are on their way when the server stops have to arrive."""
_TURNS_OF_CALLERS = 1000
OPERATIONS = web.AppKey("operations", Operations)


def make_app(
    config: ApiConfig, store: Store, tls: ServerTls | None = None, stopping: Stopping | None = None
) -> web.Application:
    """Return the API on *store*, which stays the caller's to close.

    :raises ValueError: the configuration asks for what cannot be had.
    """
    defaults = read_defaults(config)
    sealed, vault = store, Vault(make_source(config.secrets))
    store = SealedStore(sealed, vault)
    cache = Cache(store, history=config.watch.history, max_staleness=config.max_staleness)
    operations = Operations.of(config, cache, stopping or Stopping())
    reader = Reader(store, cache)
    authorizer = make_authorizer(config.authorization, cache)
    recorder = Recorder(_now)
    services = Services(
        cache=cache,
        reader=reader,
        writer=Writer(
            store, cache, repetitions=config.etcd.retry_transactions, ttl=config.events.ttl, changed=recorder.changed
        ),
        watches=Watches(store, cache, operations.limits, buffer=config.watch.buffer),
        authorizer=authorizer,
        escalation=Escalation(authorizer, cache),
        redirection=Redirection(authorizer, cache),
        now=_now,
    )
    app = web.Application(client_max_size=config.max_body_size)
    app[OPERATIONS] = operations
    cross_origin = CrossOrigin(config.authentication.cors_origin)
    identity_services = Web(config.authentication.timeout)
    chain = make_chain(config.authentication, identity_services, tls)
    Gate(chain, operations, cross_origin, config.docs.problem_base_url).install(app)
    informing = {"identity": check_identity(identity_services), "secrets": check_secrets(vault)}
    health = Health(store, cache, operations.stopping, informing)
    ServiceHandlers(cache, reader, operations.figures, health).add_routes(app.router)
    ReviewHandlers(authorizer, reader).add_routes(app.router)
    add_routes(app.router, services, authorizer)
    add_description(app.router, ((kind, route) for kind in KINDS.values() for route in routes_of(kind, services)))

    async def follow() -> None:
        await keep_up(store)
        await cache.run()

    async def follow_store(_: web.Application) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(follow()),
            asyncio.create_task(follow_keys(sealed, vault)),
            asyncio.create_task(create_missing(defaults, cache, services.writer, services.now)),
        ]
        recorder.start(services.writer)
        yield
        await recorder.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def reach_identity_services(_: web.Application) -> AsyncIterator[None]:
        async with identity_services:
            yield

    async def keep_audit(_: web.Application) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(operations.audit.close)

    async def end_watches(_: web.Application) -> None:
        cache.close_subscriptions()

    app.cleanup_ctx.append(keep_audit)
    app.cleanup_ctx.append(reach_identity_services)
    app.cleanup_ctx.append(follow_store)
    app.on_shutdown.append(end_watches)
    return app


def _now() -> datetime:
    return datetime.now(UTC)


@contextlib.asynccontextmanager
async def serve(config: ApiConfig, store: Store, stopping: Stopping | None = None) -> AsyncIterator[str]:
    """Serve the API as long as the context lasts; gives its URL.

    :param stopping: tells clients to turn to another process from when it has begun.
    :raises ValueError: the configuration asks for what cannot be had.
    :raises OSError: the address cannot be listened on.
    """
    # Whoever hangs up ends the handler: nobody waits for its answer, and a watch would not notice otherwise.
    tls = ServerTls(config.tls) if config.tls.enabled else None
    app = make_app(config, store, tls, stopping)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_LIMIT)
    await runner.setup()
    try:
        async with _listen(config, runner, tls) as (host, port):
            yield f"{'http' if tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"
        if app[OPERATIONS].stopping.begun:
            await _drain(app)
    finally:
        await runner.cleanup()


async def _drain(app: web.Application) -> None:
    """End the watches, and let all other requests come to their end. (aiohttp would not read the rest of their bodies.)"""
    await asyncio.sleep(_LAST_REQUESTS)
    await app.shutdown()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SHUTDOWN_LIMIT):
            while app[OPERATIONS].figures.in_flight:  # noqa: ASYNC110 - a moment more or less means nothing now
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def _listen(config: ApiConfig, runner: web.AppRunner, tls: ServerTls | None) -> AsyncIterator[tuple[str, int]]:
    """Accept connections; gives the address. (A site of aiohttp would not limit the time of handshakes.)"""
    assert runner.server is not None, "The runner is not set up."
    server = await asyncio.get_running_loop().create_server(
        partial(Connection, runner.server, runner.app[OPERATIONS].figures, Lobby(most_waiting()), config.docs.problem_base_url),
        config.host,
        config.port,
        backlog=1024,
        ssl=None if tls is None else tls.context,
        ssl_handshake_timeout=None if tls is None else HANDSHAKE_LIMIT,
    )
    try:
        host, port, *_ = server.sockets[0].getsockname()
        yield host, port
        # Who has connected already, and is not accepted yet, would be cut off.
        for _ in range(_TURNS_OF_CALLERS):
            if not _has_callers(server):
                break
            await asyncio.sleep(0)
    finally:
        server.close()


def _has_callers(server: asyncio.Server) -> bool:
    waiting = select.poll()
    for each in server.sockets:
        waiting.register(each.fileno(), select.POLLIN)
    return bool(waiting.poll(0))
