"""Processes are slow to start: the races of this package share two, each with people of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.races.town import Town, open_town


@pytest.fixture(scope="package")
async def town() -> AsyncIterator[Town]:
    async with open_town() as found:
        yield found
