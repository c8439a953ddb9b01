"""Trials: team plans, 14 days, once for each account and for each card, and only with a card."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.billing import payment_methods, telling
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.enums import SubscriptionStatus
from pm_api.domains.billing.models.subscriptions import LIVE, Subscription
from pm_api.domains.billing.repository import payment_methods as methods
from pm_api.domains.billing.repository import subscriptions as repository
from pm_api.entitlements.enums import Plan

TRIAL_DAYS: Final = 14
WITH_TRIAL: Final = frozenset({Plan.TEAM_STANDARD, Plan.TEAM_PREMIUM})


async def trial_days_for(session: AsyncSession, account: Account, plan: Plan) -> int | None:
    """How long an account may try a plan; None: not at all, because the plan has no trial or the account has had its
    one, or a subscription. Whether the card has had one is only known once there is a card: `claim`.
    """
    if plan not in WITH_TRIAL or await repository.trial_of(session, account[1]) is not None:
        return None
    return None if await repository.had_a_subscription(session, account[1]) else TRIAL_DAYS


async def claim(platform: Platform, account: Account, flow_id: UUID, card_fingerprint: str) -> bool:
    """Take the account's and the card's one trial for a request; False when either has had it. In a transaction of
    its own: the request is at Stripe before and after. Of the card only a digest is kept.
    """
    digests = [one.hex() for one in payment_methods.fingerprints(platform, card_fingerprint)]
    async with platform.database.transaction() as session:
        if await repository.card_has_tried(session, digests, flow_id):
            return False
        return await repository.claim_trial(
            session,
            {
                "account_id": account[1],
                "account_kind": account[0],
                "card_fingerprint": digests[0],
                "flow_id": flow_id,
                "created_at": platform.clock.now(),
            },
        )


async def let_go(session: AsyncSession, flow_id: UUID) -> None:
    """The request came to nothing: what it claimed may be claimed again."""
    await repository.let_go_of_trial(session, flow_id)


async def note(
    session: AsyncSession, platform: Platform, account: Account, row: Subscription, card_fingerprint: str | None
) -> bool:
    """A trial has begun, by whatever way: the account has had its one, and so has its card. Whether the trial stands.

    On Stripe's page nobody can ask for the card before the trial begins: with one that was in another account's trial
    it does not stand, gives nothing, and is ended. `card_fingerprint` is Stripe's, where the look has told it.
    """
    await repository.note_trial(
        session,
        {
            "account_id": account[1],
            "account_kind": account[0],
            "stripe_subscription_id": row.stripe_subscription_id,
            "created_at": platform.clock.now(),
        },
    )
    claim = await repository.trial_of(session, account[1])
    if claim is not None and claim.card_fingerprint is not None:
        return True  # its own card; another one that pays it since does not undo the trial
    digests = await _digests(session, platform, row, card_fingerprint)
    if not digests:
        return row.status in LIVE  # what ended before its card was known brings nothing afterwards
    if await repository.note_card(session, account[1], row.stripe_subscription_id, digests):
        return True
    if row.status == SubscriptionStatus.TRIALING:
        await _tell_refused(session, platform, account, row)
    return False


async def _digests(
    session: AsyncSession, platform: Platform, row: Subscription, card_fingerprint: str | None
) -> list[str]:
    """Those under which the trial's card may be known, the one that is written now first."""
    if card_fingerprint is not None:
        return [one.hex() for one in payment_methods.fingerprints(platform, card_fingerprint)]
    if row.default_payment_method_id is None:
        return []
    method = await methods.by_stripe_id(session, payment_methods.MIRROR, row.default_payment_method_id)
    return [] if method is None or method.fingerprint is None else [method.fingerprint.hex()]


async def _tell_refused(session: AsyncSession, platform: Platform, account: Account, row: Subscription) -> None:
    await telling.tell(
        session,
        platform,
        account,
        type="billing.trial_refused",
        dedup_key=f"trial-refused:{row.stripe_subscription_id}",
        title="This card has had its trial",
        body="Another account has tried a plan with this card, and a card is good for one trial. The trial has been "
        "ended and nothing was charged. Subscribe without a trial to go on.",
        data={"subscriptionId": str(row.id), "plan": row.plan},
    )
    await telling.tell_operators(
        session,
        platform,
        type="billing.trial_card_reused",
        dedup_key=f"trial-card:{row.stripe_subscription_id}",
        title="A card is in a trial for the second time",
        body=f"{row.stripe_subscription_id} is tried with a card that another account has tried a plan with: it is "
        "being ended.",
        data={"stripeSubscriptionId": row.stripe_subscription_id, "accountId": str(account[1])},
    )
