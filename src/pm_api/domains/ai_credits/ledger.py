"""The ledger's first door: commands in the caller's own transaction, its locks taken last.

For grants that must commit together with something else: a webhook's effect, a registration, a renewal.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.actor import Actor
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import sql, store
from pm_api.domains.ai_credits.book import (
    By,
)
from pm_api.domains.ai_credits.store import Answer, Order

SYSTEM: Final = "system"


def by(actor: Actor) -> By:
    """The actor as the ledger writes them, with the request at hand."""
    return By(str(actor.kind), actor.user_id, telemetry.request_id(), actor.api_key_id)


def by_system() -> By:
    return By(SYSTEM, None, telemetry.request_id())


async def apply(session: AsyncSession, platform: Platform, orders: Sequence[Order]) -> list[Answer]:
    """Apply commands exactly once under their keys, in this session's transaction; one answer a command.

    Refusals are answers, not exceptions: they are stored under their key like successes.
    """
    return await store.run(
        sql.SessionStatements(session),
        orders,
        platform.clock.now,
        platform.randomness.uuid,
        optimistic=False,
    )


async def expire_due(session: AsyncSession, platform: Platform, account_ids: Sequence[UUID]) -> None:
    """Post the expiry entries that are due. Visible balances do not change: they are computed by the clock."""
    await store.run(
        sql.SessionStatements(session),
        [],
        platform.clock.now,
        platform.randomness.uuid,
        optimistic=False,
        sweep=account_ids,
    )
