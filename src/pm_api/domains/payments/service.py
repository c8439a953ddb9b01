"""Checkouts: opened when somebody sets out to buy, completed by what Stripe says."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, SystemScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.payments import repository
from pm_api.domains.payments.models import CheckoutSession

PACK = "PACK"
OPEN, COMPLETE, EXPIRED = "OPEN", "COMPLETE", "EXPIRED"


class CheckoutMismatch(Exception):
    """Two sessions at Stripe claim one checkout of ours, or none of ours is meant."""


def open_pack_checkout(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    *,
    pack: tuple[str, int],
    amount_minor: int,
    currency: str,
) -> CheckoutSession:
    """Remember that a pack (name, version) is about to be bought for the scope's account."""
    is_workspace = isinstance(scope, WorkspaceScope)
    checkout = CheckoutSession(
        id=platform.randomness.uuid(),
        account_kind="WORKSPACE" if is_workspace else "USER",
        account_id=scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id,
        buyer_user_id=scope.user_id,
        item_kind=PACK,
        item_name=pack[0],
        item_version=pack[1],
        amount_minor=amount_minor,
        currency=currency,
        status=OPEN,
        created_at=platform.clock.now(),
    )
    session.add(checkout)
    return checkout


async def claim_checkout(
    session: AsyncSession, scope: SystemScope, checkout_id: UUID, stripe_session_id: str
) -> CheckoutSession:
    """The checkout a Stripe session belongs to, locked and bound to it for ever; raises CheckoutMismatch."""
    checkout = await repository.lock_checkout(session, scope, checkout_id)
    if checkout is None:
        raise CheckoutMismatch(f"no checkout {checkout_id} is known")
    if checkout.stripe_session_id is None:
        checkout.stripe_session_id = stripe_session_id
    elif checkout.stripe_session_id != stripe_session_id:
        raise CheckoutMismatch(f"checkout {checkout_id} belongs to {checkout.stripe_session_id}")
    return checkout


def close(checkout: CheckoutSession, *, status: str, now: datetime) -> None:
    """Forward only: a completed checkout stays completed."""
    if checkout.status == OPEN:
        checkout.status = status
        checkout.completed_at = now
