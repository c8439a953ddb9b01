"""What tests of mails stand on."""

from collections.abc import AsyncIterator

import pytest

from tests.domains.notifications.house import House, open_house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as made:
        yield made
