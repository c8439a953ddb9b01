"""Up, down and up again on a database of its own: nothing is left behind, and the catalogue is there."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from pm_api import migrate, registry
from pm_api.core.db import Base
from tests.checks.migrations import one_head, tables_match
from tests.conftest import database_url, server_command

assert registry.MODULES, "every module with tables is imported"

OURS = """
    SELECT kind, name FROM (
        SELECT 'relation' AS kind, c.relname AS name, c.relnamespace AS namespace FROM pg_class c
        UNION ALL SELECT 'type', t.typname, t.typnamespace FROM pg_type t
        UNION ALL SELECT 'function', p.proname, p.pronamespace FROM pg_proc p
    ) found WHERE namespace = 'public'::regnamespace ORDER BY kind, name
"""
CATALOGUE = {
    "SELECT service, cost FROM credit_price_rules WHERE version = 1 ORDER BY service": [
        ("CHAT_ASSISTANT", 2),
        ("DOCUMENT_ANALYSIS", 4),
        ("INACTIVITY_REMINDER", 1),
        ("PROJECT_ANALYSIS", 5),
        ("SMART_NOTIFICATIONS", 1),
        ("TASK_GENERATION", 3),
        ("WORKFLOW_OPTIMIZATION", 5),
    ],
    "SELECT plan, credits FROM credit_plan_grants WHERE version = 1 ORDER BY credits": [
        ("FREE", 10),
        ("INDIVIDUAL_PRO", 100),
        ("TEAM_STANDARD", 500),
        ("TEAM_PREMIUM", 1000),
        ("ENTERPRISE", 5000),
    ],
    "SELECT name, credits, bonus, price_minor FROM credit_packs WHERE version = 1 ORDER BY credits": [
        ("SMALL", 100, 0, 199),
        ("MEDIUM", 500, 50, 899),
        ("LARGE", 1000, 150, 1599),
        ("XL", 2000, 0, None),
    ],
}


@pytest.fixture
async def empty_database() -> AsyncIterator[str]:
    name = f"pm_empty_{uuid4().hex[:12]}"
    await server_command(f"CREATE DATABASE {name} TEMPLATE template0")
    yield database_url(name)
    await server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def rows(url: str, query: str) -> list[tuple[object, ...]]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def shape(url: str) -> list[tuple[object, ...]]:
    """Columns, constraints and indexes, in words."""
    columns = await rows(
        url,
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY table_name, column_name",
    )
    constraints = await rows(
        url,
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
    )
    indexes = await rows(
        url, "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
    )
    return [*columns, *constraints, *indexes]


async def test_up_down_up(empty_database: str) -> None:
    url = empty_database
    await asyncio.to_thread(migrate.upgrade, url)
    first = await shape(url)
    tables = {table for _, table in await rows(url, OURS)}
    assert set(Base.metadata.tables) | {"pgqueuer", "alembic_version"} <= tables
    for query, wanted in CATALOGUE.items():
        assert await rows(url, query) == wanted

    await asyncio.to_thread(migrate.downgrade, url, "base")
    left = await rows(url, OURS)
    assert {name for _, name in left} <= {"alembic_version", "_alembic_version", "alembic_version_pkc"}
    assert await rows(url, "SELECT * FROM alembic_version") == []

    await asyncio.to_thread(migrate.upgrade, url)
    assert await shape(url) == first
    for query, wanted in CATALOGUE.items():
        assert await rows(url, query) == wanted


async def test_every_step_goes_down_and_up_again(empty_database: str) -> None:
    """One by one: what a deployment that is taken back does."""
    url = empty_database
    script = ScriptDirectory.from_config(migrate.alembic_config(url))
    steps = [one.revision for one in reversed(list(script.walk_revisions()))]
    assert len(steps) >= 3
    before = "base"
    for revision in steps:
        await asyncio.to_thread(migrate.upgrade, url, revision)
        there = await shape(url)
        await asyncio.to_thread(migrate.downgrade, url, before)
        await asyncio.to_thread(migrate.upgrade, url, revision)
        assert await shape(url) == there, revision
        before = revision


async def test_the_tables_are_as_the_models_say(fresh_database: str) -> None:
    one_head(fresh_database)
    await asyncio.to_thread(tables_match, fresh_database)
    assert await rows(fresh_database, "SELECT version_num FROM alembic_version") == [(migrate.head(),)]


async def test_a_migration_does_not_wait_for_ever_behind_a_lock(empty_database: str) -> None:
    """A migration queued behind a long transaction would stop everybody who comes after it."""

    def upgrade_over(connection: Connection) -> str:
        config = migrate.alembic_config(empty_database)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return str(connection.execute(text("SHOW lock_timeout")).scalar_one())

    engine = create_async_engine(empty_database, poolclass=NullPool)
    async with engine.connect() as connection:
        assert await connection.run_sync(upgrade_over) == "5s"
    await engine.dispose()
