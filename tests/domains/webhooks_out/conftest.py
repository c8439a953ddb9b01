"""A platform that may send to this machine, on a database kept from test to test, and somebody who receives."""

from collections.abc import AsyncIterator

import pytest

from pm_api.core.platform import Platform
from tests.support.kept import kept
from tests.support.receivers import Receiver, receiving

ALLOWED = {"allow_networks": "127.0.0.0/8", "timeout_s": 2}


@pytest.fixture
async def sender() -> AsyncIterator[Platform]:
    async with kept(webhooks=ALLOWED) as one:
        yield one.platform


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one
