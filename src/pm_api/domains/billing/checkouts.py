"""What may be bought on a page of Stripe's, at which price, and by whom."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.actor import AccountScope
from pm_api.core.answers import Response
from pm_api.core.flows import RequestKey
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import catalogue
from pm_api.domains.billing import accounts, changes, prices, return_urls, subscriptions, trials
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.enums import BillingInterval
from pm_api.domains.billing.errors import BESIDE_A_CONTRACT, SubscriptionExists
from pm_api.domains.billing.flows.callers import pinned as pinned_of
from pm_api.domains.billing.flows.checkouts import OPEN_CHECKOUT, pinned
from pm_api.domains.billing.repository import contracts as contract_repository
from pm_api.domains.billing.schemas.checkouts import CheckoutCreate, CheckoutItem, CheckoutRead, PurchaseCreate
from pm_api.domains.payments import checkouts as till
from pm_api.domains.payments.checkouts import Item
from pm_api.entitlements.enums import Plan

Wanted = CheckoutCreate | PurchaseCreate

LOCALES: Final = {
    tag.lower(): tag
    for tag in (
        *("bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA", "hr", "hu"),
        *("id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl"),
        *("sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW"),
    )
}
"""Languages that Stripe's page speaks."""


async def open_one(platform: Platform, scope: AccountScope, wanted: Wanted, key: RequestKey) -> Response:
    """Open a page where a pack, a bundle or a plan is bought.

    Raises ReturnUrlNotAllowed, UnknownPackName, OfferExpired, ContactSales, PlanNotForAccount, PlanNotOnSale,
    SubscriptionExists, PromotionCodeInvalid, CheckoutRefused, and what flows raise.
    """
    account = accounts.of_scope(scope)
    visit = {
        "successUrl": return_urls.after_success(platform, wanted.success_url),
        "cancelUrl": return_urls.after_cancel(platform, wanted.cancel_url),
        "locale": locale_of(wanted.locale),
        "promotionCode": wanted.promotion_code,
    }
    plan = wanted.plan if isinstance(wanted, CheckoutCreate) else None

    async def begin(session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        if plan is not None and isinstance(wanted, CheckoutCreate):
            item, more = await _plan(session, platform, account, plan, wanted)
        else:
            item, more = await _offer(session, platform, wanted)
        checkout = till.open_one(session, platform, scope, item)
        return pinned_of(
            scope,
            **pinned(
                checkoutId=checkout.id,
                item=item.kind,
                name=item.name,
                amount=item.amount_minor,
                currency=item.currency,
                priceId=item.stripe_price_id,
                **more,
                **visit,
            ),
        )

    word = accounts.one_change_at_a_time(account) if plan is not None else None
    return await flows.run(platform, OPEN_CHECKOUT, begin, request_key=key, exclusive=word, subject=account[1])


async def read(session: AsyncSession, scope: AccountScope, checkout_id: UUID) -> CheckoutRead:
    """A checkout as far as Stripe has told of it; raises NotFound."""
    row = await till.get(session, scope, checkout_id)
    return CheckoutRead(
        id=row.id,
        session_id=row.stripe_session_id,
        status=row.status,
        payment_status=row.payment_status,
        account_type=row.account_kind,
        account_id=row.account_id,
        item=row.item_kind,
        name=row.item_name,
        billing_interval=row.billing_interval,
        amount=row.amount_minor,
        currency=row.currency,
        amount_paid=row.paid_minor,
        credits_granted=row.credits_granted,
        created_at=row.created_at,
        expires_at=row.expires_at,
        completed_at=row.completed_at,
        version=row.version,
    )


def locale_of(wanted: str | None) -> str | None:
    """The nearest language that Stripe's page speaks; None leaves it to the browser."""
    if wanted is None:
        return None
    tag = wanted.replace("_", "-").lower()
    return LOCALES.get(tag) or LOCALES.get(tag.partition("-")[0])


async def _offer(session: AsyncSession, platform: Platform, wanted: Wanted) -> tuple[Item, dict[str, Any]]:
    kind = CheckoutItem.PACK if wanted.pack is not None else CheckoutItem.BUNDLE
    found = await catalogue.offer_now(
        session, platform, wanted.pack or wanted.bundle or "", is_bundle=kind is CheckoutItem.BUNDLE
    )
    assert found.price_minor is not None, "else it is not on offer"
    price = await prices.offer_price_of(session, found.name)
    same = price is not None and (price.amount_minor, price.currency) == (found.price_minor, found.currency)
    item = Item(
        kind,
        found.name,
        found.price_minor,
        found.currency,
        version=found.version,
        stripe_price_id=price.price_id if price is not None and same else None,
        promotion_code=wanted.promotion_code,
    )
    return item, {"label": f"{found.credits + found.bonus} AI credits ({found.name})"}


async def _plan(
    session: AsyncSession, platform: Platform, account: Account, plan: Plan, wanted: CheckoutCreate
) -> tuple[Item, dict[str, Any]]:
    await accounts.lock(session, account)
    price = await changes.sellable(session, account, plan, wanted.billing_interval or BillingInterval.MONTHLY)
    if await subscriptions.live_of(session, account) is not None:
        raise SubscriptionExists
    now = platform.clock.now()
    if await contract_repository.current(session, subscriptions.SCOPE, account[1], now) is not None:
        raise SubscriptionExists(BESIDE_A_CONTRACT)
    item = Item(
        CheckoutItem.PLAN,
        price.plan,
        price.amount_minor,
        price.currency,
        billing_interval=price.interval,
        stripe_price_id=price.price_id,
        promotion_code=wanted.promotion_code,
    )
    return item, {
        "trialDays": await trials.trial_days_for(session, account, price.plan),
        "otherPages": list(await till.open_plans(session, account[1])),
    }
