"""What an ended subscription has left open at Stripe: nobody is to pay it any more, because it would buy nothing."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.flows import ChangeInProgress, FlowKind, FlowView
from pm_api.core.platform import Platform
from pm_api.domains.billing import pictures, subscriptions
from pm_api.domains.billing.pictures import OVER, SubscriptionPicture
from pm_api.integrations.stripe import (
    PaymentProviderUnavailable,
    StripeDoor,
    StripeObjectMissing,
    StripeRefused,
    invoices,
)
from pm_api.integrations.stripe import subscriptions as stripe_subscriptions

OPEN: Final = "open"


async def cancel_and_void(door: StripeDoor, flow: FlowView, stripe_id: str) -> None:
    """End a subscription now, and void what it has left open. Raises StripeRefused, StripeObjectMissing."""
    await stripe_subscriptions.cancel_now(door, stripe_id, key=flow.key("cancel"))
    await void_open(door, flow, stripe_id)


async def void_open(door: StripeDoor, flow: FlowView, stripe_id: str) -> None:
    """Void a subscription's open invoices; one that is paid or void by now is let be."""
    for one in (await invoices.list_all(door, subscription_id=stripe_id)).items:
        if one.status != OPEN:
            continue
        try:
            await invoices.void(door, one.id, key=flow.key(f"void:{one.id}"))
        except StripeRefused:
            if (await invoices.retrieve(door, one.id)).status == OPEN:
                raise


class VoidOpen(FlowKind[SubscriptionPicture]):
    """Known by what it leads to: nothing of the subscription is open."""

    name = "billing.void_open_invoices"

    async def act(self, platform: Platform, flow: FlowView) -> SubscriptionPicture:
        door, stripe_id = platform.part(StripeDoor), flow.parameters["subscription"]
        await void_open(door, flow, stripe_id)
        return await pictures.fetch_by_subscription(door, stripe_id)

    async def find(self, platform: Platform, flow: FlowView) -> SubscriptionPicture | None:
        try:
            picture = await pictures.fetch_by_subscription(platform.part(StripeDoor), flow.parameters["subscription"])
        except StripeObjectMissing:
            return None
        return None if _owes(picture) else picture

    async def settle(
        self,
        session: AsyncSession,
        platform: Platform,
        flow: FlowView,  # noqa: ARG002
        found: SubscriptionPicture,
    ) -> None:
        await subscriptions.apply_picture(session, platform, found)


VOID_OPEN: Final = flows.register(VoidOpen())


async def void_what_is_open(platform: Platform, stripe_subscription_id: str) -> None:
    """Void the open invoices of a subscription, if by what Stripe says now it has ended. Raises what flows raise."""
    try:
        picture = await pictures.fetch_by_subscription(platform.part(StripeDoor), stripe_subscription_id)
    except StripeObjectMissing:
        return
    if picture.subscription.status not in OVER or not _owes(picture):
        return

    async def begin(_session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        return {"subscription": stripe_subscription_id}

    word = f"void-open:{stripe_subscription_id}"
    try:
        await flows.run(platform, VOID_OPEN, begin, request_key=None, exclusive=word)
    except ChangeInProgress as unknown:  # an earlier try, of which Stripe has not told yet
        raise PaymentProviderUnavailable from unknown


def _owes(picture: SubscriptionPicture) -> bool:
    return any(one.status == OPEN for one in picture.invoices)
