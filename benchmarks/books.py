"""After all that load: is every credit where the answers said it went?"""

import random
from typing import Final

from sqlalchemy import func, select

from benchmarks.ground import OPEN_HOLDS, Caller, Ground
from pm_api.core.actor import AccountScope, Actor, ActorKind, UserScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.enums import EntryType
from pm_api.domains.ai_credits.models.ledger import CreditAllocation, CreditCommand, CreditEntry
from pm_api.domains.ai_credits.verification import verify
from pm_api.identity.permissions import Role

SAMPLE: Final = 20


async def prove(platform: Platform, ground: Ground, spends: int, holds: int) -> list[str]:
    """What is wrong with the books: of hot accounts, the pool, some others, and the numbers of spends and holds."""
    problems: list[str] = []
    sample = random.sample(ground.many, min(SAMPLE, len(ground.many)))
    wallets = [UserScope(_actor(caller), caller.user_id) for caller in (ground.hot, ground.writer, *sample)]
    member = ground.many[0]
    pool = WorkspaceScope(_actor(member), ground.pool, member.user_id, Role.MEMBER)
    scopes: list[AccountScope] = [*wallets, pool]
    for scope in scopes:
        async with platform.database.reading() as session:
            found = await verify(session, platform, scope)
        problems += [f"account {found.account_id}: {text}" for text in found.problems]
    async with platform.database.reading() as session:
        others = CreditEntry.account_id != ground.pgbench.user_id
        entries = await session.scalar(
            select(func.count()).select_from(CreditEntry).where(CreditEntry.type == EntryType.USAGE, others)
        )
        accounts = len(scopes) - len(sample) + len(ground.many)
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
        ("allocations", allocations, spends + 2 * accounts),
        ("commands", commands, spends + accounts + holds + 2 * OPEN_HOLDS),
    ):
        if count != expected:
            problems.append(f"{count} {name} are stored, {expected} were answered for")
    return problems


def _actor(caller: Caller) -> Actor:
    return Actor(ActorKind.USER, caller.user_id, caller.session_id)
