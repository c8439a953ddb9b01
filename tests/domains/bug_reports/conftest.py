"""People around the bug reports of one workspace."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update

from pm_api.core.platform import Platform
from pm_api.identity.models.people import User
from tests.conftest import NewPerson
from tests.domains.bug_reports.desk import Desk, open_desk


@pytest.fixture
async def desk(platform: Platform, new_person: NewPerson) -> AsyncIterator[Desk]:
    opened = await open_desk(platform, new_person)
    yield opened
    async with platform.database.transaction() as session:  # or every later report would tell one operator more
        await session.execute(update(User).where(User.id == opened.operator.id).values(is_admin=False))
