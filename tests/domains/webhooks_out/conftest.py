"""A platform on a database of its own that may send to this machine, and somebody who receives."""

from collections.abc import AsyncIterator

import pytest

from pm_api.core.platform import Platform
from tests.conftest import open_platform
from tests.support.clock import MovableClock
from tests.support.receivers import Receiver, receiving
from tests.support.settings import settings_for

ALLOWED = {"allow_networks": "127.0.0.0/8", "timeout_s": 2}


@pytest.fixture
async def sender(fresh_database: str) -> AsyncIterator[Platform]:
    async with open_platform(settings_for(fresh_database, webhooks=ALLOWED), MovableClock()) as parts:
        yield parts


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one
