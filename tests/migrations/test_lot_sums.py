"""Data that stood before lots told where their credits went."""

import asyncio
from uuid import uuid4

from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from pm_api.migrate import alembic_config
from tests.conftest import database_url, server_command

BEFORE = "0003"
PUT = (
    (
        "INSERT INTO credit_accounts (id, user_id, balance, granted, spent, created_at, updated_at)"
        " VALUES (:account, :account, 6, 10, 4, now(), now())"
    ),
    (
        "INSERT INTO credit_grants (account_id, id, kind, priority, amount, remaining, source_type, source_ref,"
        " effective_at, created_at) VALUES (:account, :lot, 'BONUS', 60, 10, 6, 't', 't', now(), now())"
    ),
    (
        "INSERT INTO credit_entries (account_id, seq, id, type, amount, balance_after, actor_kind, description,"
        " metadata, command_key, request_id, created_at, hash) VALUES"
        " (:account, 1, gen_random_uuid(), 'BONUS', 10, 10, 'system', '', '{}', 'k', '', now(), ''),"
        " (:account, 2, gen_random_uuid(), 'USAGE', -4, 6, 'system', '', '{}', 'k', '', now(), '')"
    ),
    (
        "INSERT INTO credit_allocations (account_id, entry_seq, grant_id, amount)"
        " VALUES (:account, 1, :lot, 10), (:account, 2, :lot, -4)"
    ),
)


async def test_lots_made_before_learn_it_from_their_lines() -> None:
    name = f"pm_lot_sums_{uuid4().hex[:8]}"
    await server_command(f"CREATE DATABASE {name} TEMPLATE template0")
    config = alembic_config(database_url(name))
    await asyncio.to_thread(command.upgrade, config, BEFORE)
    engine = create_async_engine(database_url(name))
    ids = {"account": uuid4(), "lot": uuid4()}
    async with engine.begin() as connection:
        await connection.execute(
            text("SET LOCAL session_replication_role = replica")
        )  # the account's user is no matter
        for statement in PUT:
            await connection.execute(
                text(statement), {key: one for key, one in ids.items() if f":{key}" in statement}
            )
    await asyncio.to_thread(command.upgrade, config, "head")
    async with engine.connect() as connection:
        sums = await connection.execute(text("SELECT amount, remaining, spent, expired FROM credit_grants"))
        assert sums.all() == [(10, 6, 4, 0)]
    await engine.dispose()
    await server_command(f"DROP DATABASE {name} WITH (FORCE)")
