"""Fixtures of billing."""

from collections.abc import AsyncIterator

import pytest

from pm_api.app import create_app
from pm_api.core.platform import Platform
from tests.domains.billing.accounts import Installation
from tests.domains.billing.subscribing import Shop, open_shop


@pytest.fixture
def installation(platform: Platform) -> Installation:
    """On the worker's database: for tests that leave the clock alone."""
    return Installation(platform, create_app(platform.settings, platform))


@pytest.fixture
def own_installation(fresh_platform: Platform) -> Installation:
    """On a database of its own."""
    return Installation(fresh_platform, create_app(fresh_platform.settings, fresh_platform))


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """On a database of its own, with a Stripe of its own that lives in the same time."""
    async with open_shop() as opened:
        yield opened
