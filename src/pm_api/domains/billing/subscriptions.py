"""Subscriptions: Stripe's, mirrored forward only, and what follows from them. `apply_picture` is the one that writes.

Of several live subscriptions of an account the one that began first counts, whichever was heard of first. The others
are held: they give nothing, are ended at Stripe by a job, and are reported for what was paid for them to be refunded.
A subscription of an account that has a contract is held in the same way.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.errors import NotFound
from pm_api.core.jobs import declare, enqueue
from pm_api.core.platform import Platform
from pm_api.domains.billing import (
    accounts,
    entitling,
    invoices,
    paid_periods,
    payment_methods,
    prices,
    telling,
    trials,
)
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.enums import HeldReason, SubscriptionStatus
from pm_api.domains.billing.invoices import InvoiceMismatch
from pm_api.domains.billing.models.subscriptions import LIVE, Subscription
from pm_api.domains.billing.pictures import SubscriptionPart, SubscriptionPicture
from pm_api.domains.billing.prices import PlanPrice
from pm_api.domains.billing.repository import contracts as contract_repository
from pm_api.domains.billing.repository import subscriptions as repository
from pm_api.domains.billing.repository.invoices import OPEN
from pm_api.domains.billing.understanding import EventNotUnderstood
from pm_api.domains.payments import customers
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import StripeSubscription

SCOPE: Final = SystemScope("subscriptions follow Stripe")

_STATUSES: Final = {
    "active": SubscriptionStatus.ACTIVE,
    "trialing": SubscriptionStatus.TRIALING,
    "past_due": SubscriptionStatus.PAST_DUE,
    "incomplete": SubscriptionStatus.INCOMPLETE,
    "incomplete_expired": SubscriptionStatus.INCOMPLETE_EXPIRED,
    "canceled": SubscriptionStatus.CANCELED,
    "unpaid": SubscriptionStatus.UNPAID,
    "paused": SubscriptionStatus.PAUSED,
}

_log = structlog.get_logger(__name__)


class HeldSubscription(BaseModel):
    """End it at Stripe: the account has another one, or a contract, or is gone, or its trial does not stand.

    `for_good`: its workspace was deleted, and nothing brings it back.
    """

    stripe_subscription_id: str
    for_good: bool = False


class EndedSubscription(BaseModel):
    """Void at Stripe what it has left open: paying that would buy nothing."""

    stripe_subscription_id: str


END_HELD: Final = declare("billing.end_held_subscription", HeldSubscription)
VOID_OPEN: Final = declare("billing.void_open_invoices", EndedSubscription)


def owner_of(row: Subscription) -> Account:
    if row.user_id is not None:
        return AccountType.USER, row.user_id
    assert row.workspace_id is not None, "a CHECK sees to it"
    return AccountType.WORKSPACE, row.workspace_id


async def live_of(session: AsyncSession, account: Account) -> Subscription | None:
    """The subscription that counts for an account, INCOMPLETE ones too; None: it has none."""
    return await repository.live(session, account[1])


async def is_in_the_making(session: AsyncSession, account: Account) -> bool:
    """Whether a subscription of the account is being begun or changed at this moment. Asked under its lock."""
    return await repository.in_the_making(session, accounts.one_change_at_a_time(account))


async def apply_picture(session: AsyncSession, platform: Platform, picture: SubscriptionPicture) -> str:
    """Write down what Stripe has, and everything that follows: invoices, limits, credits, notices. Returns what was
    done. An older picture changes nothing. Raises EventNotUnderstood for an unknown owner or price.
    """
    owner = await _owner(session, picture.subscription)
    try:
        await accounts.lock(session, owner, gone_too=True)
    except NotFound:
        raise EventNotUnderstood(f"there is no {owner[0].lower()} {owner[1]}") from None
    fresh: list[tuple[Subscription, SubscriptionPart]] = []
    with session.no_autoflush:
        for part in sorted(picture.parts, key=lambda one: (one.subscription.created_at, one.subscription.id)):
            try:
                row = await _mirrored(session, platform, owner, part, picture.fetched_at)
            except EventNotUnderstood as strange:
                if part.subscription.id == picture.subscription.id:
                    raise
                # An event of its own is held for it: what is paid for beside it must not wait for that.
                _log.warning("subscription_passed_over", subscription=part.subscription.id, problem=str(strange))
                continue
            if row is not None:
                fresh.append((row, part))
        if not fresh:
            return "nothing new: a later look was here before"
        fresh = [*await _ended(session, platform, owner, picture), *fresh]
        contract = await contract_repository.current(session, SCOPE, owner[1], platform.clock.now())
        counting = await _choose(session, owner, [row for row, _ in fresh], has_contract=contract is not None)
    for row, part in fresh:
        another = counting if counting is not row else None
        outlived = contract is not None or (another is not None and another.began_at is not None)
        await _follow(session, platform, owner, row, part, picture.fetched_at, outlived=outlived)
    told = picture.subscription
    return f"subscription {told.id} is {told.status}"


async def _owner(session: AsyncSession, found: StripeSubscription) -> Account:
    known = await repository.by_stripe_id(session, SCOPE, found.id)
    if known is not None:
        return owner_of(known)
    owner = await customers.owner_of(session, found.customer_id) or accounts.from_metadata(dict(found.metadata))
    if owner is None:
        raise EventNotUnderstood(f"nobody here is customer {found.customer_id}, and {found.id} names no account")
    return owner


async def plan_price(session: AsyncSession, price_id: str) -> PlanPrice:
    """Raises EventNotUnderstood: nothing defaults to a plan."""
    found = await prices.plan_of(session, price_id)
    if found is None:
        raise EventNotUnderstood(f"price {price_id} sells no plan that is known here")
    return found


async def _mirrored(
    session: AsyncSession, platform: Platform, owner: Account, part: SubscriptionPart, fetched_at: datetime
) -> Subscription | None:
    """The row as Stripe has it, not flushed; None when a later look was written before."""
    found = part.subscription
    row = await repository.by_stripe_id(session, SCOPE, found.id)
    if row is not None and fetched_at < row.synced_at:
        return None
    status = _STATUSES.get(found.status)
    if status is None:
        raise EventNotUnderstood(f"{found.id} is {found.status}, which is no state known here")
    if row is not None and owner_of(row) != owner:
        raise EventNotUnderstood(f"{found.id} belongs to another account than its customer's other subscriptions")
    values = await _values(session, owner, part, status)
    now = platform.clock.now()
    if row is None:
        row = Subscription(
            id=platform.randomness.uuid(),
            user_id=owner[1] if owner[0] is AccountType.USER else None,
            workspace_id=owner[1] if owner[0] is AccountType.WORKSPACE else None,
            account_id=owner[1],
            version=1,
            created_at=now,
            updated_at=now,
            synced_at=fetched_at,
            **values,
        )
        session.add(row)
        return row
    _write(row, values, now)
    row.synced_at = fetched_at
    return row


async def _ended(
    session: AsyncSession, platform: Platform, owner: Account, picture: SubscriptionPicture
) -> list[tuple[Subscription, SubscriptionPart]]:
    """Rows that live here and are over at Stripe, as their own event, which is on its way, will say too. Without
    their invoices: those come with that event.
    """
    over = {one.id: one for one in picture.over}
    ended: list[tuple[Subscription, SubscriptionPart]] = []
    for row in await repository.living(session, owner[1]):
        found = over.get(row.stripe_subscription_id)
        if found is None or picture.fetched_at < row.synced_at:
            continue
        values = {
            "status": _STATUSES[found.status],
            "cancel_at_period_end": found.cancel_at_period_end,
            "cancel_at": found.cancel_at,
            "canceled_at": found.canceled_at,
            "ended_at": found.ended_at,
            "grace_ends_at": None,
        }
        _write(row, values, platform.clock.now())
        row.synced_at = picture.fetched_at
        ended.append((row, SubscriptionPart(found, ())))
    return ended


async def _values(
    session: AsyncSession, owner: Account, part: SubscriptionPart, status: SubscriptionStatus
) -> dict[str, Any]:
    found = part.subscription
    price = await plan_price(session, found.price_id)
    upcoming_id = None if found.upcoming_price_id == found.price_id else found.upcoming_price_id
    upcoming = None if upcoming_id is None else await plan_price(session, upcoming_id)
    terms = await entitlements.terms_of(session, price.plan)
    if terms.account_kind is not None and terms.account_kind != owner[0]:
        raise EventNotUnderstood(f"{found.id}: {price.plan} is no plan for a {owner[0].lower()}")
    grace_ends_at = None
    if status is SubscriptionStatus.PAST_DUE:
        grace_ends_at = paid_periods.grace_ends_at(part.invoices, found.period_start)
    in_time = [one for one in part.invoices if not paid_periods.after_the_end(one.paid_at, found.ended_at)]
    return {
        "stripe_customer_id": found.customer_id,
        "stripe_subscription_id": found.id,
        "stripe_item_id": found.item_id,
        "stripe_price_id": found.price_id,
        "plan": price.plan,
        "plan_version": terms.version,
        "status": status,
        "billing_interval": price.interval,
        "amount_minor": price.amount_minor if found.amount is None else found.amount,
        "currency": found.currency,
        "current_period_start": found.period_start,
        "current_period_end": found.period_end,
        "trial_start": found.trial_start,
        "trial_end": found.trial_end,
        "cancel_at_period_end": found.cancel_at_period_end,
        "cancel_at": found.cancel_at,
        "canceled_at": found.canceled_at,
        "ended_at": found.ended_at,
        "schedule_id": found.schedule_id,
        "upcoming_price_id": upcoming.price_id if upcoming else None,
        "upcoming_plan": upcoming.plan if upcoming else None,
        "upcoming_interval": upcoming.interval if upcoming else None,
        "upcoming_amount_minor": upcoming.amount_minor if upcoming else None,
        "upcoming_at": found.upcoming_at if upcoming else None,
        "has_pending_update": found.has_pending_update,
        "default_payment_method_id": found.default_payment_method_id,
        "max_users": terms.max_users,
        "max_storage_bytes": terms.max_storage_bytes,
        "max_ai_credits": await entitling.credits_of(session, price, found),
        "max_api_calls": terms.max_api_calls,
        "began_at": paid_periods.began_at(found.trial_start, in_time),
        "grace_ends_at": grace_ends_at,
        "stripe_created_at": found.created_at,
    }


def _write(row: Subscription, values: dict[str, Any], now: datetime) -> None:
    if all(getattr(row, name) == value for name, value in values.items()):
        return
    for name, value in values.items():
        setattr(row, name, value)
    row.version += 1
    row.updated_at = now


async def _choose(
    session: AsyncSession, owner: Account, fresh: Sequence[Subscription], *, has_contract: bool
) -> Subscription | None:
    """Which of the account's live subscriptions counts; the others are held. At most one is not, at any moment."""
    known = await repository.living(session, owner[1])
    living = {row.stripe_subscription_id: row for row in (*known, *fresh) if row.status in LIVE}
    ranked = sorted(living.values(), key=_rank)
    counting = ranked[0] if ranked and not has_contract else None
    for row in ranked:
        if row is not counting:
            await _hold(session, row, HeldReason.CONTRACT if has_contract else HeldReason.SECOND_SUBSCRIPTION)
    if counting is None or (counting not in session.new and counting.held_reason is None):
        await session.flush()
        return counting
    # Whoever counted until now makes room first: the database allows one at any moment.
    if counting.held_reason is not None:
        counting.version += 1
    counting.held_reason = HeldReason.SECOND_SUBSCRIPTION
    await session.flush()
    counting.held_reason = None
    await session.flush()
    return counting


def _rank(row: Subscription) -> tuple[bool, datetime, datetime, str]:
    """What began comes before what did not, then by time; the id decides within a second."""
    began = row.began_at or row.stripe_created_at
    return row.began_at is None, began, row.stripe_created_at, row.stripe_subscription_id


async def _hold(session: AsyncSession, row: Subscription, reason: HeldReason) -> None:
    if row.held_reason == reason:
        return
    row.held_reason = reason
    row.version += 1
    stripe_id = row.stripe_subscription_id
    _log.error("subscription_held", subscription=stripe_id, account_id=str(row.account_id), reason=reason)
    await _end_soon(session, row)


async def _end_soon(session: AsyncSession, row: Subscription) -> None:
    await enqueue(
        session,
        END_HELD,
        HeldSubscription(stripe_subscription_id=row.stripe_subscription_id),
        dedupe_key=f"end-held:{row.stripe_subscription_id}",
    )


async def end_all_of(session: AsyncSession, account: Account, until: datetime | None) -> None:
    """Every live subscription of an account, or those begun until a moment, is ended at Stripe, by a job."""
    for row in await repository.living(session, account[1]):
        if until is None or row.stripe_created_at <= until:
            await enqueue(
                session,
                END_HELD,
                HeldSubscription(stripe_subscription_id=row.stripe_subscription_id, for_good=True),
                dedupe_key=f"end-deleted:{row.stripe_subscription_id}",
            )


async def must_end(
    session: AsyncSession, platform: Platform, row: Subscription, picture: SubscriptionPicture
) -> bool:
    """Whether a live subscription has no right to live. Asked under its account's lock, once it is written."""
    owner = owner_of(row)
    if row.held_reason is not None or await accounts.is_deleted(session, owner):
        return True
    if row.status != SubscriptionStatus.TRIALING:
        return False
    return not await trials.note(session, platform, owner, row, picture.card_fingerprint)


async def _follow(
    session: AsyncSession,
    platform: Platform,
    owner: Account,
    row: Subscription,
    part: SubscriptionPart,
    fetched_at: datetime,
    *,
    outlived: bool,
) -> None:
    """`outlived`: the account lives by something else, which this one must not touch."""
    try:
        for invoice in part.invoices:
            await invoices.mirror(session, platform, owner, invoice, fetched_at)
    except InvoiceMismatch as mismatch:
        raise EventNotUnderstood(str(mismatch)) from mismatch
    trial_stands = True
    if row.trial_start is not None:
        trial_stands = await trials.note(session, platform, owner, row, part.card_fingerprint)
    if row.status not in LIVE and any(one.status == OPEN for one in part.invoices):
        await enqueue(
            session,
            VOID_OPEN,
            EndedSubscription(stripe_subscription_id=row.stripe_subscription_id),
            dedupe_key=f"void-open:{row.stripe_subscription_id}",
        )
    if row.held_reason is not None:
        await _report_held(session, platform, row)
        return
    if row.status in LIVE:
        await payment_methods.follow_subscription(session, platform, owner, row.default_payment_method_id)
        is_refused_trial = row.status == SubscriptionStatus.TRIALING and not trial_stands
        if is_refused_trial or await accounts.is_deleted(session, owner):
            await _end_soon(session, row)
    await entitling.derive(
        session, platform, owner, row, as_of=fetched_at, outlived=outlived, trial_stands=trial_stands
    )


async def _report_held(session: AsyncSession, platform: Platform, row: Subscription) -> None:
    await telling.tell_operators(
        session,
        platform,
        type="billing.subscription_held",
        dedup_key=f"subscription-held:{row.stripe_subscription_id}",
        title="A second subscription was begun",
        body=f"{row.stripe_subscription_id} gives its account nothing ({row.held_reason}) and is being ended. "
        "What was paid for it has to be refunded.",
        data={"stripeSubscriptionId": row.stripe_subscription_id, "accountId": str(row.account_id)},
    )
