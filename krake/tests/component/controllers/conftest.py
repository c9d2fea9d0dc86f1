"""What the tests of the controllers share."""

from collections.abc import AsyncIterator

import pytest

from krake.client import Client


@pytest.fixture
async def client(api: str) -> AsyncIterator[Client]:
    """A client of the API that the controllers work for."""
    async with Client(api) as client:
        yield client
