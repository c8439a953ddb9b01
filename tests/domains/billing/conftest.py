"""Fixtures of billing."""

import pytest

from pm_api.app import create_app
from pm_api.core.platform import Platform
from tests.domains.billing.accounts import Installation


@pytest.fixture
def installation(platform: Platform) -> Installation:
    """On the worker's database: for tests that leave the clock alone."""
    return Installation(platform, create_app(platform.settings, platform))


@pytest.fixture
def own_installation(fresh_platform: Platform) -> Installation:
    """On a database of its own."""
    return Installation(fresh_platform, create_app(fresh_platform.settings, fresh_platform))
