"""Processes are slow to start: the races of this package share two, each with people of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from tests.races.town import Town, open_town

HERE: Final = Path(__file__).parent
MOVES_THE_CLOCK: Final = ("test_credit_sweeps.py", "test_credit_holds.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who moves the clock has every sweep look at everybody in town: they come first, while few are there."""
    places = [place for place, item in enumerate(items) if item.path.parent == HERE]
    ours = sorted((items[place] for place in places), key=lambda item: item.path.name not in MOVES_THE_CLOCK)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


@pytest.fixture(scope="package")
async def town() -> AsyncIterator[Town]:
    async with open_town() as found:
        yield found
