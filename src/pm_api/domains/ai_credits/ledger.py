"""The ledger's first door: commands in the caller's own transaction, its locks taken last.

For grants that must commit together with something else: a webhook's effect, a registration, a renewal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.actor import Actor
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import sql, store
from pm_api.domains.ai_credits.book import (
    Applied,
    By,
    LotDraft,
    Refused,
    canonical_json,
    fingerprint,
)
from pm_api.domains.ai_credits.commands import Grant
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.store import Answer, Order

FREE_PERIOD: Final = timedelta(days=30)
FREE_PLAN: Final = "FREE"
SYSTEM: Final = "system"


def by(actor: Actor) -> By:
    """The actor as the ledger writes them, with the request at hand."""
    return By(str(actor.kind), actor.user_id, telemetry.request_id())


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


def plan_grant(
    account_id: UUID, *, plan: str, amount: int, kind: LotKind, period: tuple[datetime, datetime]
) -> Grant:
    """A plan's credits for one period. Every cause uses this one key, so a period is granted once."""
    started_at, ends_at = period
    reference = started_at.isoformat()
    draft = LotDraft(
        kind=kind, amount=amount, source_type="plan", source_ref=f"{plan}:{reference}", expires_at=ends_at
    )
    return Grant(
        account_id=account_id,
        key=f"s:plan:{account_id}:{reference}",
        fingerprint=fingerprint("plan", account_id, reference),
        by=by_system(),
        lots=(draft,) if amount else (),
        description=f"{plan} plan credits",
        details=canonical_json({"plan": plan}),
        period=period,
    )


async def open_user_account(session: AsyncSession, platform: Platform, user_id: UUID) -> None:
    """A new user's wallet with the free plan's first credits."""
    now = platform.clock.now()
    credits = await repository.plan_credits(session, FREE_PLAN)
    grant = plan_grant(
        user_id, plan=FREE_PLAN, amount=credits, kind=LotKind.FREE_TIER, period=(now, now + FREE_PERIOD)
    )
    await apply(session, platform, [Order(AccountKind.USER, grant)])


def current_period(started_at: datetime, next_reset_at: datetime, now: datetime) -> tuple[datetime, datetime]:
    """The free period that `now` lies in, counted on from the last one."""
    passed = (now - next_reset_at) // FREE_PERIOD + 1 if now >= next_reset_at else 0
    if passed == 0:
        return started_at, next_reset_at
    begins = next_reset_at + FREE_PERIOD * (passed - 1)
    return begins, begins + FREE_PERIOD


async def renew_free_tier(session: AsyncSession, platform: Platform, limit: int = 200) -> int:
    """Give the free plan's credits to wallets whose period has ended; returns how many were renewed."""
    now = platform.clock.now()
    due = await repository.wallets_due_for_reset(session, now, limit)
    credits = await repository.plan_credits(session, FREE_PLAN)
    orders = [
        Order(
            AccountKind.USER,
            plan_grant(
                account.id,
                plan=FREE_PLAN,
                amount=credits,
                kind=LotKind.FREE_TIER,
                period=current_period(account.period_started_at or now, account.next_reset_at or now, now),
            ),
        )
        for account in due
    ]
    if orders:
        await apply(session, platform, orders)
    return len(orders)


class UnknownPack(Exception):
    """No such version of a pack was ever on offer."""


class PurchaseRefused(Exception):
    """The account cannot take what was paid for."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """A pack that was paid for. The checkout session at Stripe is what makes it one purchase."""

    account_kind: str
    account_id: UUID
    pack: str
    pack_version: int
    checkout_session: str
    cost_minor: int | None
    cost_currency: str | None


async def grant_purchase(session: AsyncSession, platform: Platform, purchase: Purchase) -> int:
    """Bring what a pack holds, once for ever for one checkout session. What was bought and what came on top are two
    lots; neither ever expires. Returns the credits granted now, 0 when they were granted before; raises UnknownPack,
    and PurchaseRefused, after which the caller must roll back: a kept refusal would hold for ever.
    """
    pack = await repository.pack(session, purchase.pack, purchase.pack_version)
    if pack is None:
        raise UnknownPack(f"pack {purchase.pack} version {purchase.pack_version} is unknown")
    reference = purchase.checkout_session
    bought = LotDraft(
        kind=LotKind.PURCHASE,
        amount=pack.credits,
        source_type="stripe_checkout",
        source_ref=reference,
        cost_minor=purchase.cost_minor,
        cost_currency=purchase.cost_currency,
    )
    bonus = LotDraft(
        kind=LotKind.BONUS, amount=pack.bonus, source_type="stripe_checkout", source_ref=f"{reference}:bonus"
    )
    command = Grant(
        account_id=purchase.account_id,
        key=f"s:stripe:checkout:{reference}",
        fingerprint=fingerprint("stripe checkout", reference),
        by=by_system(),
        lots=(bought, bonus) if pack.bonus else (bought,),
        description=f"{pack.name} credit pack",
        details=canonical_json({"pack": pack.name, "packVersion": pack.version, "checkoutSession": reference}),
    )
    [answer] = await apply(session, platform, [Order(AccountKind(purchase.account_kind), command)])
    if not isinstance(answer.result, Applied):
        reason = answer.result.reason if isinstance(answer.result, Refused) else "the key belongs to another command"
        raise PurchaseRefused(f"checkout session {reference} cannot be granted: {reason}")
    return 0 if answer.replayed else pack.credits + pack.bonus
