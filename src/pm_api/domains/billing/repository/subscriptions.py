"""Queries of subscriptions and trials."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.tables import FlowRecord
from pm_api.domains.billing.enums import SubscriptionStatus
from pm_api.domains.billing.models.subscriptions import LIVE, Subscription, TrialClaim


async def by_stripe_id(session: AsyncSession, _scope: SystemScope, stripe_id: str) -> Subscription | None:
    """As committed now; asked under its account's lock by whoever writes it."""
    return await session.scalar(
        select(Subscription)
        .where(Subscription.stripe_subscription_id == stripe_id)
        .execution_options(populate_existing=True)
    )


async def living(session: AsyncSession, account_id: UUID) -> Sequence[Subscription]:
    """All live ones of an account, held ones too. What the session has changed in them is not read over."""
    rows = await session.scalars(
        select(Subscription)
        .where(Subscription.account_id == account_id, Subscription.status.in_(LIVE))
        .order_by(Subscription.id)
    )
    return rows.all()


async def live(session: AsyncSession, account_id: UUID) -> Subscription | None:
    """The one that counts, as committed now."""
    return await session.scalar(
        select(Subscription)
        .where(
            Subscription.account_id == account_id,
            Subscription.status.in_(LIVE),
            Subscription.held_reason.is_(None),
        )
        .execution_options(populate_existing=True)
    )


async def in_the_making(session: AsyncSession, exclusive: str) -> bool:
    """Whether a request that holds this word is under way at Stripe, or its outcome is not known yet."""
    found = await session.scalar(
        select(exists().where(FlowRecord.exclusive == exclusive, FlowRecord.status == "OPEN"))
    )
    return bool(found)


async def beyond_grace(
    session: AsyncSession, _scope: SystemScope, now: datetime, limit: int, after: UUID | None
) -> Sequence[Subscription]:
    """Those whose grace is over and that are not paid; a page by id."""
    statement = select(Subscription).where(
        Subscription.grace_ends_at <= now,
        Subscription.status == SubscriptionStatus.PAST_DUE,
        Subscription.held_reason.is_(None),
    )
    if after is not None:
        statement = statement.where(Subscription.id > after)
    rows = await session.scalars(statement.order_by(Subscription.id).limit(limit))
    return rows.all()


# --- trials ----------------------------------------------------------------------------------------------------


async def trial_of(session: AsyncSession, account_id: UUID) -> TrialClaim | None:
    return await session.get(TrialClaim, account_id, populate_existing=True)


async def had_a_subscription(session: AsyncSession, account_id: UUID) -> bool:
    """Whether one has ever begun."""
    found = await session.scalar(
        select(exists().where(Subscription.account_id == account_id, Subscription.began_at.is_not(None)))
    )
    return bool(found)


async def card_has_tried(session: AsyncSession, digests: Sequence[str], besides: UUID) -> bool:
    """Whether a card, under any of its digests, was in a trial that another request claimed."""
    found = await session.scalar(
        select(exists().where(TrialClaim.card_fingerprint.in_(digests), TrialClaim.flow_id.is_distinct_from(besides)))
    )
    return bool(found)


async def claim_trial(session: AsyncSession, values: dict[str, object]) -> bool:
    """Whether it is this request's: neither the account nor the card has had one."""
    await session.execute(insert(TrialClaim).values(**values).on_conflict_do_nothing())
    found = await session.scalar(
        select(TrialClaim.flow_id).where(
            TrialClaim.account_id == values["account_id"], TrialClaim.flow_id == values["flow_id"]
        )
    )
    return found is not None


async def let_go_of_trial(session: AsyncSession, flow_id: UUID) -> None:
    """A claim that came to nothing."""
    await session.execute(
        delete(TrialClaim).where(TrialClaim.flow_id == flow_id, TrialClaim.stripe_subscription_id.is_(None))
    )


async def note_trial(session: AsyncSession, values: dict[str, object]) -> None:
    """A trial that has begun, whoever began it; the card stays what it was claimed with."""
    await session.execute(
        insert(TrialClaim).values(**values).on_conflict_do_nothing(index_elements=[TrialClaim.account_id])
    )
    await session.execute(
        update(TrialClaim)
        .where(
            TrialClaim.account_id == values["account_id"],
            or_(
                TrialClaim.stripe_subscription_id.is_(None),
                TrialClaim.stripe_subscription_id == values["stripe_subscription_id"],
            ),
        )
        .values(stripe_subscription_id=values["stripe_subscription_id"])
    )


async def note_card(
    session: AsyncSession, account_id: UUID, stripe_subscription_id: str, digests: Sequence[str]
) -> bool:
    """Keep the card of an account's trial, under the first of its digests, where none is known yet; False when it was
    in another account's.
    """
    elsewhere = await session.scalar(
        select(exists().where(TrialClaim.card_fingerprint.in_(digests), TrialClaim.account_id != account_id))
    )
    if elsewhere:
        return False
    await session.execute(
        update(TrialClaim)
        .where(
            TrialClaim.account_id == account_id,
            TrialClaim.stripe_subscription_id == stripe_subscription_id,
            TrialClaim.card_fingerprint.is_(None),
        )
        .values(card_fingerprint=digests[0])
    )
    return True
