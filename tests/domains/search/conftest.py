"""A workspace with documents, its owner and somebody else."""

from uuid import UUID

import pytest

from pm_api.core.platform import Platform
from tests.conftest import NewPerson, Person
from tests.domains.search.shelf import Shelf
from tests.identity.teams import make_workspace


@pytest.fixture
async def owner(new_person: NewPerson) -> Person:
    return await new_person(name="Ann")


@pytest.fixture
async def shelf(platform: Platform, owner: Person) -> Shelf:
    return Shelf(platform, UUID((await make_workspace(owner))["id"]))
