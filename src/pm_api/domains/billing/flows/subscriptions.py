"""Beginning a subscription at Stripe."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.actor import AccountScope
from pm_api.core.answers import Response
from pm_api.core.flows import FlowKind, FlowView, RequestKey
from pm_api.core.platform import Platform
from pm_api.core.problem import problem_response
from pm_api.domains.billing import accounts, changes, payment_methods, pictures, promotions, subscriptions, trials
from pm_api.domains.billing.enums import SubscriptionStatus
from pm_api.domains.billing.errors import (
    BESIDE_A_CONTRACT,
    BankDeclined,
    PaymentMethodUnusable,
    PromotionCodeInvalid,
    SubscriptionExists,
    SubscriptionIncomplete,
    SubscriptionRefused,
)
from pm_api.domains.billing.flows.callers import account_of, pinned
from pm_api.domains.billing.flows.checkouts import MISUSED_KEY, close_other_pages, forget_if_deleted
from pm_api.domains.billing.flows.subscription_answers import answer, record
from pm_api.domains.billing.flows.subscription_debts import cancel_and_void
from pm_api.domains.billing.pictures import OVER, SubscriptionPicture
from pm_api.domains.billing.repository import contracts as contract_repository
from pm_api.domains.billing.schemas.subscriptions import SubscriptionCreate
from pm_api.domains.payments import checkouts as till
from pm_api.domains.payments import customers
from pm_api.entitlements.enums import Plan
from pm_api.integrations.stripe import (
    CardDeclined,
    StripeDoor,
    StripeObjectMissing,
    StripePaymentMethod,
    StripeRefused,
    StripeSubscription,
    payments,
)
from pm_api.integrations.stripe import payment_methods as stripe_methods
from pm_api.integrations.stripe import subscriptions as stripe_subscriptions

ADDRESS: Final = "/api/billing/subscriptions"
PROMOTION_CODE: Final = "promotionCode"


class BeginSubscription(FlowKind[SubscriptionPicture]):
    """Found again by the flow's id in its metadata. One that waits for its first payment is not begun twice."""

    name = "billing.begin_subscription"

    async def act(self, platform: Platform, flow: FlowView) -> SubscriptionPicture:
        door, wanted = platform.part(StripeDoor), flow.parameters
        waiting = await _waiting(door, wanted["existing"])
        if waiting is not None:
            return waiting
        await close_other_pages(platform, flow)
        customer_id = await customers.ensure(platform, *account_of(flow))
        try:
            made = await _create(platform, flow, customer_id, key=flow.key("subscription"))
        except StripeRefused as refused:
            if not await forget_if_deleted(platform, customer_id, refused):
                raise _refusal(refused) from refused
            customer_id = await customers.ensure(platform, *account_of(flow))
            try:
                made = await _create(platform, flow, customer_id, key=flow.key("subscription-again"))
            except StripeRefused as again:
                raise _refusal(again) from again
        picture = await pictures.fetch_by_subscription(door, made.id)
        if wanted.get("chargesNow"):
            await _end_if_declined(door, flow, picture)
        return picture

    async def find(self, platform: Platform, flow: FlowView) -> SubscriptionPicture | None:
        door, wanted = platform.part(StripeDoor), flow.parameters
        waiting = await _waiting(door, wanted["existing"])
        if waiting is not None:
            return waiting
        async with platform.database.reading() as session:
            customer_id = await customers.known(session, *account_of(flow))
        if customer_id is None:
            return None
        for one in (await stripe_subscriptions.list_of_customer(door, customer_id)).items:
            # One that was charged at once and is over was declined: nothing is left of it.
            is_left = not wanted.get("chargesNow") or one.status not in OVER
            if is_left and one.metadata.get("flow") == str(flow.id):
                return await pictures.fetch_by_subscription(door, one.id)
        return None

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: SubscriptionPicture
    ) -> Response:
        await subscriptions.apply_picture(session, platform, found)
        counting = await subscriptions.live_of(session, account_of(flow))
        if counting is not None and counting.stripe_subscription_id != found.subscription.id:
            # Answered, not raised: that this one is held, and is going to be ended, stays written down.
            return problem_response(SubscriptionExists())
        is_new = found.subscription.id != flow.parameters["existing"]
        if not is_new and _is_another(flow, found.subscription):
            waits = found.subscription.status == "incomplete"
            return problem_response(SubscriptionIncomplete() if waits else SubscriptionExists())
        if is_new:
            record(session, platform, flow, "begun", found.subscription.id, plan=flow.parameters["plan"])
        waits = found.subscription.status == "incomplete"
        return await answer(
            session,
            platform,
            flow,
            client_secret=found.subscription.client_secret if waits else found.subscription.setup_client_secret,
            status=201 if is_new else 200,
            location=ADDRESS if is_new else None,
        )

    async def give_up(self, session: AsyncSession, platform: Platform, flow: FlowView) -> None:  # noqa: ARG002
        await trials.let_go(session, flow.id)


BEGIN: Final = flows.register(BeginSubscription())


async def begin(platform: Platform, scope: AccountScope, wanted: SubscriptionCreate, key: RequestKey) -> Response:
    """Begin a subscription, or answer the one that waits for its first payment.

    Raises ContactSales, PlanNotForAccount, PlanNotOnSale, SubscriptionExists, SubscriptionIncomplete,
    PaymentMethodUnusable, BankDeclined, PromotionCodeInvalid, SubscriptionRefused, and what flows raise.
    """
    account = accounts.of_scope(scope)

    async def begin(session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        await accounts.lock(session, account)
        price = await changes.sellable(session, account, Plan(wanted.plan), wanted.billing_interval)
        row = await subscriptions.live_of(session, account)
        if row is not None and row.status != SubscriptionStatus.INCOMPLETE:
            raise SubscriptionExists
        now = platform.clock.now()
        if await contract_repository.current(session, subscriptions.SCOPE, account[1], now) is not None:
            raise SubscriptionExists(BESIDE_A_CONTRACT)
        on_file = await payment_methods.to_charge(session, account[1])
        return pinned(
            scope,
            existing=row.stripe_subscription_id if row is not None else None,
            plan=price.plan,
            priceId=price.price_id,
            amount=price.amount_minor,
            currency=price.currency,
            trialDays=await trials.trial_days_for(session, account, price.plan),
            chargesNow=wanted.payment_method_id is not None,
            paymentMethodId=wanted.payment_method_id or (on_file and on_file.stripe_payment_method_id),
            promotionCode=wanted.promotion_code,
            otherPages=list(await till.open_plans(session, account[1])),
        )

    word = accounts.one_change_at_a_time(account)
    return await flows.run(platform, BEGIN, begin, request_key=key, exclusive=word, subject=account[1])


async def _waiting(door: StripeDoor, existing: str | None) -> SubscriptionPicture | None:
    """The subscription that waits for its first payment; None: there is none, or it has lapsed by now."""
    if existing is None:
        return None
    picture = await pictures.fetch_by_subscription(door, existing)
    return None if picture.subscription.status in OVER else picture


async def _end_if_declined(door: StripeDoor, flow: FlowView, picture: SubscriptionPicture) -> None:
    """Raises BankDeclined when the card that was charged at once did not pay; nothing is left of the try then. One
    whose holder has to confirm goes on waiting.
    """
    made = picture.subscription
    if made.status in OVER:  # by an earlier try of this flow
        raise BankDeclined
    if made.status != "incomplete":
        return
    first = next((one for one in picture.invoices if one.id == made.latest_invoice_id), None)
    if first is None or first.payment_intent_id is None:
        return
    payment = await payments.retrieve(door, first.payment_intent_id)
    if payment.status != "requires_payment_method":
        return
    await cancel_and_void(door, flow, made.id)
    raise BankDeclined(declineCode=payment.decline_code or payment.error_code)


def _is_another(flow: FlowView, waiting: StripeSubscription) -> bool:
    """Whether the one that waits is not what is asked for now."""
    wanted = flow.parameters
    codes = [waiting.metadata.get(PROMOTION_CODE), wanted["promotionCode"]]
    same_code = (codes[0] or "").upper() == (codes[1] or "").upper()
    return waiting.price_id != wanted["priceId"] or not same_code


async def _create(platform: Platform, flow: FlowView, customer_id: str, *, key: str) -> StripeSubscription:
    """Raises StripeRefused, PromotionCodeInvalid, PaymentMethodUnusable."""
    door, wanted = platform.part(StripeDoor), flow.parameters
    promotion_code_id = await _promotion_code(platform, flow, customer_id)
    method = await _payment_method(door, flow, customer_id)
    trial_days = wanted["trialDays"]
    if trial_days and not await _may_try(platform, flow, method):
        trial_days = None
    try:
        return await stripe_subscriptions.create(
            door,
            customer_id=customer_id,
            price_id=wanted["priceId"],
            metadata={
                **accounts.in_metadata(account_of(flow)),
                "plan": wanted["plan"],
                **({PROMOTION_CODE: wanted["promotionCode"]} if wanted["promotionCode"] else {}),
                **flow.metadata,
            },
            trial_days=trial_days,
            promotion_code_id=promotion_code_id,
            payment_method_id=method.id if method is not None else None,
            # A trial has nothing to charge; whether its card has to be confirmed is told as for any other.
            charges_now=bool(wanted.get("chargesNow")) and not trial_days,
            key=key,
        )
    except CardDeclined as declined:
        raise PaymentMethodUnusable("The bank declined this card.") from declined


def _refusal(refused: StripeRefused) -> Exception:
    """As callers hear it. A key that was used for something else does not say that nothing was begun."""
    if refused.code == MISUSED_KEY:
        return refused
    if (refused.parameter or "").startswith("discounts"):
        return PromotionCodeInvalid(reason=refused.code)
    return SubscriptionRefused(reason=refused.code)


async def _promotion_code(platform: Platform, flow: FlowView, customer_id: str) -> str | None:
    """Raises PromotionCodeInvalid."""
    wanted = flow.parameters
    if wanted["promotionCode"] is None:
        return None
    return await promotions.usable(
        platform, customer_id, wanted["promotionCode"], amount=wanted["amount"], currency=wanted["currency"]
    )


async def _payment_method(door: StripeDoor, flow: FlowView, customer_id: str) -> StripePaymentMethod | None:
    """What it is paid with, which is the customer's from now on; raises PaymentMethodUnusable."""
    method_id = flow.parameters["paymentMethodId"]
    if method_id is None:
        return None
    try:
        method = await stripe_methods.retrieve(door, method_id)
        if method.customer_id is None:
            return await stripe_methods.attach(door, method_id, customer_id, key=flow.key("attach"))
    except (StripeObjectMissing, StripeRefused) as refused:
        raise PaymentMethodUnusable from refused
    if method.customer_id != customer_id:
        raise PaymentMethodUnusable
    return method


async def _may_try(platform: Platform, flow: FlowView, method: StripePaymentMethod | None) -> bool:
    """A trial needs a card that has not been in one."""
    if method is None or method.fingerprint is None:
        return False
    return await trials.claim(platform, account_of(flow), flow.id, method.fingerprint)
