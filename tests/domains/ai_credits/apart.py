"""A database for one module alone: for tests that change books behind the ledger's back.

What they leave would be found by the sweeps that other tests run in the worker's database.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from pm_api.core.platform import Platform
from tests.conftest import copy_of_template, database_url, open_platform, server_command
from tests.support.clock import MovableClock
from tests.support.settings import settings_for


@asynccontextmanager
async def platform_apart() -> AsyncIterator[Platform]:
    name = f"pm_apart_{uuid4().hex[:12]}"
    await server_command(copy_of_template(name))
    try:
        async with open_platform(settings_for(database_url(name)), MovableClock()) as platform:
            yield platform
    finally:
        await server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
