"""Checkouts: opened when somebody sets out to buy, brought to their end by what Stripe says."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, AdminScope, SystemScope, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.payments.models.checkouts import CheckoutSession
from pm_api.domains.payments.repository import checkouts as repository
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import StripeCheckout

PACK, BUNDLE, PLAN = "PACK", "BUNDLE", "PLAN"
OPEN, COMPLETE, EXPIRED, ABANDONED = "OPEN", "COMPLETE", "EXPIRED", "ABANDONED"
UNPAID: Final = "UNPAID"

_SCOPE: Final = SystemScope("checkouts follow Stripe")
_STATUSES: Final = {"open": OPEN, "complete": COMPLETE, "expired": EXPIRED}
_PAYMENTS: Final = {"unpaid": UNPAID, "paid": "PAID", "no_payment_required": "NO_PAYMENT_REQUIRED"}
_RANK: Final = {OPEN: 0, ABANDONED: 1, EXPIRED: 2, COMPLETE: 3}


class CheckoutMismatch(Exception):
    """Two sessions at Stripe claim one checkout of ours, or none of ours is meant."""


@dataclass(frozen=True, slots=True)
class Item:
    """What is bought, as the buyer saw it: a version of a pack or bundle, or a plan at a price."""

    kind: str
    name: str
    amount_minor: int
    currency: str
    version: int | None = None
    billing_interval: str | None = None
    stripe_price_id: str | None = None
    promotion_code: str | None = None


def open_one(session: AsyncSession, platform: Platform, scope: AccountScope, item: Item) -> CheckoutSession:
    """Remember that this is about to be bought for the scope's account."""
    is_workspace = isinstance(scope, WorkspaceScope)
    checkout = CheckoutSession(
        id=platform.randomness.uuid(),
        account_kind=AccountType.WORKSPACE if is_workspace else AccountType.USER,
        account_id=scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id,
        buyer_user_id=scope.user_id,
        item_kind=item.kind,
        item_name=item.name,
        item_version=item.version,
        billing_interval=item.billing_interval,
        stripe_price_id=item.stripe_price_id,
        amount_minor=item.amount_minor,
        currency=item.currency,
        promotion_code=item.promotion_code,
        status=OPEN,
        payment_status=UNPAID,
        version=1,
        created_at=platform.clock.now(),
    )
    session.add(checkout)
    return checkout


async def claim(session: AsyncSession, checkout_id: UUID, stripe_session_id: str) -> CheckoutSession:
    """The checkout a Stripe session belongs to, locked and bound to it for ever; raises CheckoutMismatch."""
    checkout = await repository.lock(session, _SCOPE, checkout_id)
    if checkout is None:
        raise CheckoutMismatch(f"no checkout {checkout_id} is known")
    if checkout.stripe_session_id is None:
        checkout.stripe_session_id = stripe_session_id
    elif checkout.stripe_session_id != stripe_session_id:
        raise CheckoutMismatch(f"checkout {checkout_id} belongs to {checkout.stripe_session_id}")
    return checkout


def follow(checkout: CheckoutSession, found: StripeCheckout, now: datetime) -> None:
    """Write down how far it has come. Forward only: what was complete or paid once stays so, whatever is heard later.

    What Stripe does not say is left as it was.
    """
    status = _STATUSES.get(found.status, checkout.status)
    before = _told(checkout)
    if _RANK[status] > _RANK[checkout.status]:
        checkout.status = status
        checkout.completed_at = now
    if checkout.payment_status == UNPAID:
        checkout.payment_status = _PAYMENTS.get(found.payment_status, UNPAID)
    checkout.stripe_payment_intent_id = found.payment_intent_id or checkout.stripe_payment_intent_id
    checkout.stripe_invoice_id = found.invoice_id or checkout.stripe_invoice_id
    checkout.stripe_subscription_id = found.subscription_id or checkout.stripe_subscription_id
    checkout.expires_at = found.expires_at or checkout.expires_at
    if found.is_paid and checkout.paid_minor is None:
        checkout.paid_minor = found.amount_total
    if _told(checkout) != before:
        checkout.version += 1


def granted(checkout: CheckoutSession, credits: int) -> None:
    """So many credits came of it."""
    if checkout.credits_granted != credits:
        checkout.credits_granted = credits
        checkout.version += 1


async def abandon(session: AsyncSession, checkout_id: UUID) -> None:
    """Its page was never opened."""
    checkout = await repository.lock(session, _SCOPE, checkout_id)
    if checkout is not None and checkout.status == OPEN and checkout.stripe_session_id is None:
        checkout.status = ABANDONED
        checkout.version += 1


async def get(session: AsyncSession, scope: AccountScope, checkout_id: UUID) -> CheckoutSession:
    """A checkout of the scope's account; raises NotFound."""
    found = await repository.get(session, scope, checkout_id)
    if found is None:
        raise NotFound
    return found


async def anybodys(session: AsyncSession, scope: AdminScope | SystemScope, identifier: str) -> CheckoutSession | None:
    """Whose ever it is, by its id here or at Stripe."""
    try:
        checkout_id = UUID(identifier)
    except ValueError:
        place = await repository.place_of(session, identifier)
        return None if place is None else await repository.anybodys(session, scope, place[0])
    return await repository.anybodys(session, scope, checkout_id)


async def place_of(session: AsyncSession, stripe_session_id: str) -> tuple[UUID, UUID] | None:
    """(id, account id) of the checkout that Stripe has under this id; anything may be asked about."""
    if not stripe_session_id.startswith("cs_") or not stripe_session_id.isascii() or "\0" in stripe_session_id:
        return None
    return await repository.place_of(session, stripe_session_id)


async def by_payment(session: AsyncSession, payment_intent_id: str) -> CheckoutSession | None:
    """The checkout that a payment was made on, once Stripe has told of the payment."""
    return await repository.by_payment(session, _SCOPE, payment_intent_id)


async def open_plans(session: AsyncSession, account_id: UUID, limit: int = 20) -> Sequence[str]:
    """Pages at Stripe on which the account may still begin a subscription."""
    return await repository.open_plans(session, account_id, limit)


async def open_pages(
    session: AsyncSession, account_id: UUID, after: UUID | None, limit: int = 100
) -> Sequence[tuple[UUID, str]]:
    """(id, Stripe's id) of the pages on which something may still be bought for the account; a page by id."""
    return await repository.open_pages(session, _SCOPE, account_id, after, limit)


async def by_sessions(session: AsyncSession, stripe_session_ids: Collection[str]) -> Sequence[CheckoutSession]:
    """Those of the sessions at Stripe that we know, whose ever they are."""
    return await repository.by_sessions(session, _SCOPE, stripe_session_ids)


async def sessions_between(
    session: AsyncSession, since: datetime, until: datetime, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, str]]:
    """(id, Stripe's id) of completed checkouts that were opened in a window; a page by id."""
    return await repository.sessions_between(session, _SCOPE, since, until, after, limit)


def _told(checkout: CheckoutSession) -> tuple[object, ...]:
    return (checkout.status, checkout.payment_status, checkout.expires_at, checkout.paid_minor)
