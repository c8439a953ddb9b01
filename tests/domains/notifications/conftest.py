"""What tests of mails stand on."""

from collections.abc import AsyncIterator

import pytest

from pm_api.app import create_app
from tests.conftest import open_platform
from tests.domains.notifications.house import House
from tests.support.clock import MovableClock
from tests.support.mail import post_office, smtp_settings
from tests.support.settings import settings_for


@pytest.fixture
async def house(fresh_database: str) -> AsyncIterator[House]:
    async with post_office() as post:
        settings = settings_for(fresh_database, smtp=smtp_settings(post.url))
        async with open_platform(settings, MovableClock()) as platform:
            made = House(platform, create_app(settings, platform), post, [])
            yield made
            for person in made.people:
                await person.client.aclose()
