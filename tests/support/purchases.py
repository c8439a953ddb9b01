"""A pack that somebody has paid for at the sandbox, as in a browser."""

from uuid import UUID, uuid4

import httpx

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts
from pm_api.domains.payments import checkouts, customers
from pm_api.integrations.stripe import CheckoutVisit, NamedItem, StripeCheckout, StripeDoor
from pm_api.integrations.stripe import checkouts as stripe_checkouts
from pm_api.webhooks.handlers import STRIPE
from tests.support.stripe import PACK_PRICE_MINOR


async def pay_for_pack(platform: Platform, scope: AccountScope) -> StripeCheckout:
    """MEDIUM, for the scope's account. Nobody here has been told of it yet."""
    kind, account_id = accounts.of_scope(scope)
    account = (kind, UUID(str(account_id)))  # a driver's own kind of id is no JSON
    item = checkouts.Item(checkouts.PACK, "MEDIUM", PACK_PRICE_MINOR, "USD", version=1)
    async with platform.database.transaction() as session:
        checkout = checkouts.open_one(session, platform, scope, item)
    visit = CheckoutVisit(
        customer_id=await customers.ensure(platform, *account),
        reference=str(checkout.id),
        metadata={**accounts.in_metadata(account), "pack": "MEDIUM"},
        success_url="https://app.example.com/done",
        cancel_url="https://app.example.com/credits",
    )
    door = platform.part(StripeDoor)
    named = NamedItem("MEDIUM: 550 credits", PACK_PRICE_MINOR, "USD")
    opened = await stripe_checkouts.open_payment(door, visit, [named], key=uuid4().hex)
    fields = {"email": "ada@example.com", "card_number": "4242424242424242", "expiry": "12 / 40", "name": "Ada"}
    address = platform.settings.stripe.api_base
    async with httpx.AsyncClient(base_url=address, trust_env=False, verify=False) as browser:
        answer = await browser.post(f"/checkout/{opened.id}", data=fields)
    assert answer.status_code < 400, answer.text
    paid = await stripe_checkouts.retrieve(door, opened.id)
    assert paid.is_paid, paid
    return paid


async def tell(platform: Platform, kind: str, object_id: str) -> str:
    """What an event of this type about this object brings, as a worker applies it."""
    handler = STRIPE[kind]
    found = await handler.fetch(platform.part(StripeDoor), object_id)
    async with platform.database.transaction() as session:
        return await handler.apply(session, platform, found)


async def bought_pack(platform: Platform, scope: AccountScope) -> StripeCheckout:
    """The same, and we have been told of it."""
    paid = await pay_for_pack(platform, scope)
    assert paid.invoice_id is not None
    await tell(platform, "checkout.session.completed", paid.id)
    await tell(platform, "invoice.paid", paid.invoice_id)
    return paid
