"""Alembic's door: online, over the direct URL, with a lock timeout so that a migration never queues traffic."""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, pool, text

from pm_api.core.db import Base, driver_url, engine_over
from pm_api.registry import MODULES

assert MODULES
LOCK_TIMEOUT = "5s"


def include_object(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    """pgqueuer's own tables come by our migration from its own DDL, and are not ours to compare."""
    return not (kind == "table" and name is not None and name.startswith("pgqueuer"))


def run(connection: Connection) -> None:
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=include_object,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
        on_version_apply=context.config.attributes.get("on_version_apply"),
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_async() -> None:
    url = driver_url(context.config.get_main_option("sqlalchemy.url") or "")
    engine = engine_over(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_async())
