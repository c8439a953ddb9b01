"""After all that load: is every credit where the answers said it went?"""

import random
from typing import Final

from sqlalchemy import func, select

from benchmarks.ground import Ground
from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.enums import EntryType
from pm_api.domains.ai_credits.models.ledger import CreditAllocation, CreditCommand, CreditEntry
from pm_api.domains.ai_credits.verification import verify

SAMPLE: Final = 20


async def prove(platform: Platform, ground: Ground, spends: int) -> list[str]:
    """What is wrong with the books: of the hot accounts, of some others, and of the number of spends in all."""
    problems: list[str] = []
    for caller in (ground.hot, ground.writer, *random.sample(ground.many, min(SAMPLE, len(ground.many)))):
        async with platform.database.reading() as session:
            scope = UserScope(Actor(ActorKind.USER, caller.user_id, caller.session_id), caller.user_id)
            found = await verify(session, platform, scope)
        problems += [f"account {caller.user_id}: {text}" for text in found.problems]
    async with platform.database.reading() as session:
        others = CreditEntry.account_id != ground.pgbench.user_id
        entries = await session.scalar(
            select(func.count()).select_from(CreditEntry).where(CreditEntry.type == EntryType.USAGE, others)
        )
        grants = 2 * (len(ground.many) + 2)
        allocations = await session.scalar(
            select(func.count())
            .select_from(CreditAllocation)
            .where(CreditAllocation.account_id != ground.pgbench.user_id)
        )
        commands = await session.scalar(
            select(func.count()).select_from(CreditCommand).where(CreditCommand.account_id != ground.pgbench.user_id)
        )
    for name, count, expected in (
        ("entries", entries, spends),
        ("allocations", allocations, spends + grants),
        ("commands", commands, spends + grants // 2),
    ):
        if count != expected:
            problems.append(f"{count} {name} are stored, {expected} were answered for")
    return problems
