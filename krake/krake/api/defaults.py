"""Roles and bindings that the configuration asks for; those that are missing are created when the API starts."""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from marshmallow import ValidationError

from krake.api import lifecycle
from krake.api.cache import Cache
from krake.api.problem import Problem
from krake.api.settings import ApiConfig
from krake.api.writer import Writer
from krake.data.core import Role, RoleBinding
from krake.data.kinds import Resource
from krake.data.schema import Purpose, flatten_errors, load
from krake.lib.backoff import Backoff
from krake.ports.store import StoreError

logger = logging.getLogger(__name__)

_RETRY = Backoff(initial=0.5, ceiling=10.0)


def read_defaults(config: ApiConfig) -> list[Resource]:
    """Return the objects of the configuration. Raises ValueError if one breaks its declaration."""
    given = [
        *((f"default_roles[{index}]", Role, body) for index, body in enumerate(config.default_roles)),
        *((f"default_role_bindings[{index}]", RoleBinding, body) for index, body in enumerate(config.default_role_bindings)),
    ]
    return [_read(key, kind, body) for key, kind, body in given]


def _read(key: str, kind: type[Resource], body: object) -> Resource:
    try:
        return load(kind, body, Purpose.CREATE)
    except ValidationError as error:
        field, message = next(flatten_errors(error.messages))
        raise ValueError(f"{key}.{field}: {message}") from None


async def create_missing(objects: Sequence[Resource], cache: Cache, writer: Writer, now: Callable[[], datetime]) -> None:
    """Create those of the objects that do not exist, as soon as the store can be reached."""
    failures = 0
    for each in objects:
        while not await _create(each, cache, writer, now):
            failures += 1
            await asyncio.sleep(_RETRY.delay(failures, random.random()))


async def _create(body: Resource, cache: Cache, writer: Writer, now: Callable[[], datetime]) -> bool:
    if not await cache.reach(1):
        return False
    if cache[type(body)].get(body.key) is not None:
        return True
    try:
        await writer.create(lifecycle.create(body, None, str(uuid.uuid4()), now()))
    except Problem as problem:
        return problem.status == 409
    except StoreError as error:
        logger.warning("%s of the configuration could not be created: %s", body.ref, error)
        return False
    logger.info("Created %s of the configuration.", body.ref)
    return True
