"""Running the migrations from code: `pm-api migrate`, `make run` and the tests."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import pool, text

from pm_api.core.db import driver_url, engine_over

MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str, revision: str = "head") -> None:
    command.upgrade(alembic_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    command.downgrade(alembic_config(url), revision)


def current(url: str) -> str | None:
    """Where a database is; None when it has been at no revision, or gone back behind the first."""

    async def ask() -> str | None:
        engine = engine_over(driver_url(url), poolclass=pool.NullPool)
        try:
            async with engine.connect() as connection:
                found: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
                return found
        finally:
            await engine.dispose()

    return asyncio.run(ask())


def head() -> str:
    """The newest revision this code knows."""
    found = ScriptDirectory.from_config(alembic_config("")).get_current_head()
    assert found is not None
    return found
