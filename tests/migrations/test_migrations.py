"""Up, down and up again on a database of its own: nothing is left behind, and the catalogue is there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pm_api import migrate, registry
from pm_api.core.db import Base
from tests.checks.migrations import one_head, tables_match
from tests.conftest import database_url, server_command
from tests.migrations.lot_sums import BEFORE_LOT_SUMS, lot_sums, put_a_lot

assert registry.MODULES, "every module with tables is imported"

Rows = list[tuple[Any, ...]]

OURS = """
    SELECT kind, name FROM (
        SELECT 'relation' AS kind, c.relname AS name, c.relnamespace AS namespace FROM pg_class c
        UNION ALL SELECT 'type', t.typname, t.typnamespace FROM pg_type t
        UNION ALL SELECT 'function', p.proname, p.pronamespace FROM pg_proc p
    ) found WHERE namespace = 'public'::regnamespace ORDER BY kind, name
"""
SHAPE = """
    WITH ours AS MATERIALIZED (
        SELECT oid, relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace
    )
    SELECT 'relation', o.relname, o.relkind::text, NULL FROM ours o
    UNION ALL SELECT 'column', o.relname, a.attname, concat_ws(
        ' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, (
            SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = o.oid AND d.adnum = a.attnum
        )
    ) FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid
    WHERE o.relkind IN ('r', 'p', 'v') AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT 'constraint', o.relname, c.conname, pg_get_constraintdef(c.oid)
    FROM ours o JOIN pg_constraint c ON c.conrelid = o.oid
    UNION ALL SELECT 'index', o.relname, '', pg_get_indexdef(o.oid) FROM ours o WHERE o.relkind IN ('i', 'I')
    UNION ALL SELECT 'trigger', o.relname, t.tgname, pg_get_triggerdef(t.oid)
    FROM ours o JOIN pg_trigger t ON t.tgrelid = o.oid WHERE NOT t.tgisinternal
    UNION ALL SELECT 'function', p.proname, '', p.prosrc FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'type', t.typname, t.typtype::text, (
        SELECT string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid
    ) FROM pg_type t WHERE t.typnamespace = 'public'::regnamespace
"""
FILLED = """
    SELECT quote_ident(relname) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
      AND pg_relation_size(oid) > 0
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


def rows(connection: Connection, query: str) -> Rows:
    return [tuple(row) for row in connection.execute(text(query))]


@dataclass(frozen=True)
class Shape:
    """Tables, columns, constraints, indexes, triggers, functions and types in words; and what is in the tables."""

    words: frozenset[tuple[Any, ...]]
    content: dict[str, str | None]


def shape(connection: Connection) -> Shape:
    tables = [name for (name,) in rows(connection, FILLED)]
    digest = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {} t"
    content = {table: rows(connection, digest.format(table))[0][0] for table in tables}
    filled = {table: found for table, found in content.items() if found is not None}
    return Shape(frozenset(rows(connection, SHAPE)), filled)


@dataclass
class Walk:
    """The shape after each step up and after each step down, by the revision one then stands on."""

    steps: list[str]
    up: dict[str, Shape]
    down: dict[str, Shape]
    catalogues: list[dict[str, Rows]]
    left: tuple[Rows, Rows]
    again: Shape
    lot_sums: Rows


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[AsyncEngine]:
    name = f"pm_empty_{uuid4().hex[:12]}"
    await server_command(f"CREATE DATABASE {name} TEMPLATE template0")
    found = create_async_engine(database_url(name), poolclass=NullPool)
    yield found
    await found.dispose()
    await server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="module")
async def walk(engine: AsyncEngine) -> Walk:
    async with engine.connect() as connection:
        return await connection.run_sync(walk_over)


def walk_over(connection: Connection) -> Walk:
    """All the way up, all the way down, and up again with data that an early version left."""
    config = migrate.alembic_config("")
    config.attributes["connection"] = connection
    steps = [one.revision for one in reversed(list(ScriptDirectory.from_config(config).walk_revisions()))]

    def go(to: Callable[[Config, str], None], revision: str, *, at: Callable[[str], None]) -> None:
        """`at` is called in the transaction of each step, with the revision that it led to."""

        def step(*, heads: set[str], **_: object) -> None:
            at(next(iter(heads), "base"))

        config.attributes["on_version_apply"] = step
        to(config, revision)

    def look(found: dict[str, Shape], revision: str) -> None:
        found[revision] = shape(connection)

    def catalogue() -> dict[str, Rows]:
        return {query: rows(connection, query) for query in CATALOGUE}

    up: dict[str, Shape] = {}
    down: dict[str, Shape] = {}
    go(command.upgrade, "head", at=partial(look, up))
    first = catalogue()
    connection.rollback()
    go(command.downgrade, "base", at=partial(look, down))
    left = rows(connection, OURS), rows(connection, "SELECT * FROM alembic_version")
    connection.rollback()

    def fill(revision: str) -> None:
        if revision == BEFORE_LOT_SUMS:
            put_a_lot(connection)

    go(command.upgrade, "head", at=fill)
    again = Walk(steps, up, down, [first, catalogue()], left, shape(connection), lot_sums(connection))
    connection.rollback()
    return again


def test_all_that_the_models_say_is_there_and_the_catalogue_is_filled(walk: Walk) -> None:
    tables = {words[1] for words in walk.up[walk.steps[-1]].words if words[0] == "relation"}
    assert set(Base.metadata.tables) | {"pgqueuer", "alembic_version"} <= tables
    assert walk.catalogues == [CATALOGUE, CATALOGUE]


def test_every_step_goes_down_to_what_was_before_it(walk: Walk) -> None:
    """One by one: what a deployment that is taken back does. What the step brought, and filled, is gone."""
    assert len(walk.steps) >= 3
    assert list(walk.up) == walk.steps
    assert list(walk.down) == [*reversed(walk.steps[:-1]), "base"]
    for revision in reversed(walk.steps[:-1]):  # the first to differ is named
        before, after = walk.up[revision], walk.down[revision]
        assert before.words ^ after.words == set(), f"what the step after {revision} did not take back"
        assert before.content == after.content, f"what the step after {revision} left in tables"


def test_nothing_is_left_at_the_bottom(walk: Walk) -> None:
    ours, versions = walk.left
    assert {name for _, name in ours} <= {"alembic_version", "_alembic_version", "alembic_version_pkc"}
    assert versions == []


def test_up_again_is_as_the_first_time(walk: Walk) -> None:
    assert walk.again.words ^ walk.up[walk.steps[-1]].words == set()


def test_lots_made_before_learn_where_their_credits_went_from_their_lines(walk: Walk) -> None:
    assert walk.lot_sums == [(10, 6, 4, 0)]


async def test_the_tables_are_as_the_models_say(fresh_database: str) -> None:
    one_head(fresh_database)
    await asyncio.to_thread(tables_match, fresh_database)
    opened = create_async_engine(fresh_database, poolclass=NullPool)
    async with opened.connect() as connection:
        found = await connection.run_sync(rows, "SELECT version_num FROM alembic_version")
    assert found == [(migrate.head(),)]
    await opened.dispose()


async def test_a_migration_does_not_wait_for_ever_behind_a_lock(engine: AsyncEngine) -> None:
    """A migration queued behind a long transaction would stop everybody who comes after it."""

    def upgrade_over(connection: Connection) -> str:
        config = migrate.alembic_config("")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return str(connection.execute(text("SHOW lock_timeout")).scalar_one())

    async with engine.connect() as connection:
        assert await connection.run_sync(upgrade_over) == "5s"
