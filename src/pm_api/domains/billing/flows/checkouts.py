"""Opening a page at Stripe where something is bought."""

from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.answers import Response, answer_with
from pm_api.core.flows import FlowKind, FlowView
from pm_api.core.jobs import declare, enqueue
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, promotions
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.errors import CheckoutRefused, PromotionCodeInvalid, SubscriptionExists
from pm_api.domains.billing.flows.callers import account_of
from pm_api.domains.billing.schemas.checkouts import CheckoutItem, CheckoutOpened
from pm_api.domains.payments import checkouts as till
from pm_api.domains.payments import customers
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import (
    CheckoutVisit,
    NamedItem,
    PricedItem,
    StripeCheckout,
    StripeDoor,
    StripeObjectMissing,
    StripeRefused,
    checkouts,
)
from pm_api.integrations.stripe import customers as stripe_customers

ADDRESS: Final = "/api/billing/checkout-session"
MISSING: Final = "resource_missing"
MISUSED_KEY: Final = "idempotency_error"
EXPIRED: Final = "expired"

_log = structlog.get_logger(__name__)


class GoneAccount(BaseModel):
    """Close its pages at Stripe: nobody is to pay for a workspace that is deleted."""

    account_kind: AccountType
    account_id: UUID


CLOSE_PAGES: Final = declare("billing.close_pages", GoneAccount)


class OpenCheckout(FlowKind[StripeCheckout]):
    """Found again by the flow's id in the session's metadata."""

    name = "billing.open_checkout"

    async def act(self, platform: Platform, flow: FlowView) -> StripeCheckout:
        customer_id = await customers.ensure(platform, *account_of(flow))
        promotion_code_id = None
        if flow.parameters["promotionCode"] is not None:
            promotion_code_id = await promotions.usable(
                platform,
                customer_id,
                flow.parameters["promotionCode"],
                amount=flow.parameters["amount"],
                currency=flow.parameters["currency"],
                may_be_free=flow.parameters["item"] == CheckoutItem.PLAN,
            )
        await close_other_pages(platform, flow)
        try:
            return await _open(platform, flow, customer_id, promotion_code_id, key=flow.key("session"))
        except StripeRefused as refused:
            if not await forget_if_deleted(platform, customer_id, refused):
                raise _refusal(refused) from refused
        customer_id = await customers.ensure(platform, *account_of(flow))
        try:
            return await _open(platform, flow, customer_id, promotion_code_id, key=flow.key("session-again"))
        except StripeRefused as refused:
            raise _refusal(refused) from refused

    async def find(self, platform: Platform, flow: FlowView) -> StripeCheckout | None:
        async with platform.database.reading() as session:
            customer_id = await customers.known(session, *account_of(flow))
        if customer_id is None:
            return None
        listed = await checkouts.list_of_customer(platform.part(StripeDoor), customer_id)
        return next((one for one in listed.items if one.metadata.get("flow") == str(flow.id)), None)

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: StripeCheckout
    ) -> Response:
        account = account_of(flow)
        if await accounts.is_deleted(session, account):  # while its page was being opened
            await enqueue(session, CLOSE_PAGES, GoneAccount(account_kind=account[0], account_id=account[1]))
        checkout = await till.claim(session, UUID(flow.parameters["checkoutId"]), found.id)
        till.follow(checkout, found, platform.clock.now())
        opened = CheckoutOpened(session_id=found.id, url=found.url, expires_at=found.expires_at)
        return answer_with(opened, status=201, location=f"{ADDRESS}/{found.id}")

    async def give_up(self, session: AsyncSession, platform: Platform, flow: FlowView) -> None:  # noqa: ARG002
        await till.abandon(session, UUID(flow.parameters["checkoutId"]))


OPEN_CHECKOUT: Final = flows.register(OpenCheckout())


async def forget_if_deleted(platform: Platform, customer_id: str, refused: StripeRefused) -> bool:
    """Whether Stripe refused because it has deleted the customer; then the account's next one is a new one."""
    if refused.code != MISSING or refused.parameter != "customer":
        return False
    try:
        found = await stripe_customers.retrieve(platform.part(StripeDoor), customer_id)
    except StripeObjectMissing:  # another Stripe account's, or another sandbox's
        found = None
    if found is not None and not found.is_deleted:
        return False
    async with platform.database.transaction() as session:
        await customers.forget(session, platform, customer_id)
    return True


async def _open(
    platform: Platform, flow: FlowView, customer_id: str, promotion_code_id: str | None, *, key: str
) -> StripeCheckout:
    door, wanted = platform.part(StripeDoor), flow.parameters
    item = CheckoutItem(wanted["item"])
    visit = CheckoutVisit(
        customer_id=customer_id,
        reference=wanted["checkoutId"],
        metadata={**accounts.in_metadata(account_of(flow)), item.lower(): wanted["name"], **flow.metadata},
        success_url=wanted["successUrl"],
        cancel_url=wanted["cancelUrl"],
        locale=wanted["locale"],
        promotion_code_id=promotion_code_id,
    )
    if item is CheckoutItem.PLAN:
        return await checkouts.open_subscription(
            door, visit, PricedItem(wanted["priceId"]), trial_days=wanted["trialDays"], key=key
        )
    if wanted["priceId"] is not None:
        return await checkouts.open_payment(door, visit, [PricedItem(wanted["priceId"])], key=key)
    named = NamedItem(wanted["label"], wanted["amount"], wanted["currency"])
    return await checkouts.open_payment(door, visit, [named], key=key)


async def close_other_pages(platform: Platform, flow: FlowView) -> None:
    """From a page that is open still an account could subscribe twice, or be in a second trial. Raises
    SubscriptionExists when one was gone through.
    """
    door = platform.part(StripeDoor)
    for session_id in flow.parameters["otherPages"]:
        try:
            await checkouts.expire(door, session_id, key=flow.key(f"expire:{session_id}"))
        except StripeObjectMissing:
            continue
        except StripeRefused as refused:
            if (await checkouts.retrieve(door, session_id)).status == "complete":
                raise SubscriptionExists from refused


async def close_pages(platform: Platform, account: Account, *, for_good: bool = False) -> None:
    """Close every page on which something may still be bought for a workspace that is deleted, or, `for_good`, for
    whoever goes. What was paid there before is for its event. Raises PaymentProviderUnavailable.
    """
    door, after = platform.part(StripeDoor), None
    while True:
        async with platform.database.transaction() as session:
            if not for_good and not await accounts.is_deleted(session, account):
                return  # it was restored
            waiting = await till.open_pages(session, account[1], after)
        for checkout_id, session_id in waiting:
            await _close_page(platform, door, checkout_id, session_id)
        if not waiting:
            return
        after = waiting[-1][0]


async def _close_page(platform: Platform, door: StripeDoor, checkout_id: UUID, session_id: str) -> None:
    try:
        # Under a key of its own each time: Stripe repeats its failures under the same one.
        found = await checkouts.expire(door, session_id, key=f"pm:close:{session_id}:{platform.randomness.uuid()}")
    except StripeRefused:
        found = await checkouts.retrieve(door, session_id)
    except StripeObjectMissing:
        return
    if found.status == EXPIRED:
        async with platform.database.transaction() as session:
            till.follow(await till.claim(session, checkout_id, session_id), found, platform.clock.now())


def _refusal(refused: StripeRefused) -> Exception:
    """As callers hear it. A key that was used for something else is our own mistake, and says nothing of the page."""
    if refused.code == MISUSED_KEY:
        return refused
    if (refused.parameter or "").startswith("discounts"):
        return PromotionCodeInvalid(reason=refused.code)
    _log.warning("checkout_refused", code=refused.code, parameter=refused.parameter)
    return CheckoutRefused(reason=refused.code)


def pinned(**parameters: Any) -> dict[str, Any]:
    """The parameters of this flow that not every checkout has, and those that are given."""
    return {"priceId": None, "trialDays": None, "otherPages": [], "label": None} | parameters
