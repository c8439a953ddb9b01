"""A workspace with a plan that holds everything."""

import pytest

from pm_api.core.platform import Platform
from tests.conftest import NewPerson
from tests.domains.tasks.sites import Site, open_site


@pytest.fixture
async def site(platform: Platform, new_person: NewPerson) -> Site:
    return await open_site(platform, new_person)
