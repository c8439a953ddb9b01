"""Promotion codes: what one gives, and each reason why it cannot be used."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from pm_api.domains.billing import promotions as ours
from pm_api.domains.billing.errors import PromotionCodeInvalid
from pm_api.domains.billing.promotions import why_over
from pm_api.integrations.stripe import (
    AmountOff,
    PercentOff,
    StripeCoupon,
    StripePromotionCode,
    checkouts,
    invoices,
    payments,
    promotions,
)
from tests.conftest import Person, client_of
from tests.domains.billing.bills import bills, tell
from tests.domains.billing.subscribing import PAYS, Shop, new_key, open_shop
from tests.domains.billing.wallets import add_card, customer_of
from tests.support.settings import STRIPE_KEY

CODES = "/api/billing/promotion-codes"


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    """One for all: every test has people and codes of its own."""
    async with open_shop() as opened:
        yield opened


async def coupon(shop: Shop, off: PercentOff | AmountOff | None = None, **more: Any) -> StripeCoupon:
    return await promotions.create_coupon(
        shop.door,
        off=off or PercentOff(Decimal("12.5")),
        duration="once",
        name="Spring",
        metadata={},
        key=new_key(),
        **more,
    )


async def code(shop: Shop, of: StripeCoupon | None = None, **more: Any) -> StripePromotionCode:
    return await promotions.create_code(
        shop.door,
        coupon_id=(of or await coupon(shop)).id,
        code=f"SPRING{uuid4().hex[:8].upper()}",
        metadata={},
        key=new_key(),
        **more,
    )


async def shown(person: Person, text: str, workspace_id: str | None = None) -> dict[str, Any]:
    answer = await person.client.get(f"{CODES}/{text}", params={"workspaceId": workspace_id} if workspace_id else {})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["promotionCode"]
    return found


async def reason(person: Person, text: str) -> str:
    answer = await person.client.get(f"{CODES}/{text}")
    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, "promotion_code_invalid"), body
    assert body["detail"]
    found: str = body["reason"]
    return found


async def pay(shop: Shop, person: Person) -> None:
    card = await add_card(shop, person)
    await payments.charge_off_session(
        shop.door,
        customer_id=await customer_of(shop, person),
        payment_method_id=card["stripePaymentMethodId"],
        amount=500,
        currency="USD",
        description="before",
        metadata={},
        key=new_key(),
    )


async def test_what_a_code_gives(shop: Shop) -> None:
    person, (owner, workspace_id) = await shop.person(), await shop.team()
    made = await code(shop, first := await coupon(shop))
    found = await shown(person, made.code)
    assert found == {
        "code": made.code,
        "name": "Spring",
        "percentOff": 12.5,
        "amountOff": None,
        "currency": None,
        "duration": "once",
        "durationMonths": None,
        "firstTimeOnly": False,
        "minimumAmount": None,
        "minimumAmountCurrency": None,
        "expiresAt": None,
    }
    assert await shown(person, made.code.lower()) == found, "as Stripe reads them"
    assert await shown(owner, made.code, workspace_id) == found
    assert await ours.usable(shop.till.platform, None, made.code) == made.id
    assert first.percent_off == Decimal("12.5")
    amount = await code(shop, await coupon(shop, AmountOff(500, "USD")))
    assert (await shown(person, amount.code))["amountOff"] == 500
    customers = await shop.rows("SELECT count(*) FROM stripe_customers WHERE account_id = :id", id=person.id)
    assert customers == [(0,)], "to look at a code makes nobody a customer"


async def test_who_may_look(shop: Shop) -> None:
    made = await code(shop)
    (_, workspace_id), stranger = await shop.team(), await shop.person()
    async with client_of(shop.till.app) as nobody:
        assert (await nobody.get(f"{CODES}/{made.code}")).status_code == 401
    found = await stranger.client.get(f"{CODES}/{made.code}", params={"workspaceId": workspace_id})
    assert found.status_code == 404
    for text in ("A%20B", "A" * 101, "A_B"):
        assert (await stranger.client.get(f"{CODES}/{text}")).status_code == 422


async def test_every_reason_has_its_name(shop: Shop) -> None:
    person, other, buyer = await shop.person(), await shop.person(), await shop.person()
    assert await reason(person, "NEVERMADE") == "unknown"
    theirs = await code(shop, customer_id=await customer_of(shop, other))
    assert await reason(person, theirs.code) == "other_customer"
    assert (await shown(other, theirs.code))["code"] == theirs.code
    newcomers = await code(shop, is_first_time_only=True)
    await pay(shop, buyer)
    assert await reason(buyer, newcomers.code) == "first_time_only"
    assert (await shown(person, newcomers.code))["firstTimeOnly"] is True
    switched_off = await code(shop)
    answer = await shop.till.stripe.http.post(
        f"/v1/promotion_codes/{switched_off.id}",
        data={"active": "false"},
        headers={"Authorization": f"Bearer {STRIPE_KEY}"},
    )
    assert answer.status_code == 200, answer.text
    assert await reason(person, switched_off.code) == "inactive"


async def test_what_ran_out_and_what_was_used_up(shop: Shop) -> None:
    person = await shop.person()
    once = await code(shop, max_redemptions=1)
    found = await shop.till.stripe.http.get(
        f"/v1/promotion_codes/{once.id}", headers={"Authorization": f"Bearer {STRIPE_KEY}"}
    )
    await shop.till.stripe.put(found.json() | {"times_redeemed": 1, "active": False})
    assert await reason(person, once.code) == "used_up"
    soon = await code(shop, expires_at=shop.now + timedelta(days=1))
    assert (await shown(person, soon.code))["expiresAt"] is not None
    ended = await promotions.retrieve_code(shop.door, soon.id)
    assert ended.expires_at is not None
    assert why_over(ended, ended.expires_at - timedelta(seconds=1)) is None
    assert why_over(ended, ended.expires_at) == "expired"
    shop.installation.stand_at(shop.now + timedelta(days=2))
    try:
        assert await reason(person, soon.code) == "expired"
    finally:
        shop.installation.clock.reset()


async def test_what_a_purchase_must_come_to(shop: Shop) -> None:
    platform = shop.till.platform
    made = await code(shop)
    found = await shop.till.stripe.http.get(
        f"/v1/promotion_codes/{made.id}", headers={"Authorization": f"Bearer {STRIPE_KEY}"}
    )
    limited = found.json()
    limited["restrictions"] |= {"minimum_amount": 1000, "minimum_amount_currency": "usd"}
    await shop.till.stripe.put(limited)
    assert await ours.usable(platform, None, made.code, amount=1000, currency="USD") == made.id
    assert await ours.usable(platform, None, made.code) == made.id, "what is bought is not known yet"
    in_euro = await code(shop, await coupon(shop, AmountOff(500, "EUR")))
    for text, amount, currency, why in (
        (made.code, 999, "USD", "minimum_amount"),
        (made.code, 5000, "EUR", "other_currency"),
        (in_euro.code, 5000, "USD", "other_currency"),
    ):
        with pytest.raises(PromotionCodeInvalid) as refused:
            await ours.usable(platform, None, text, amount=amount, currency=currency)
        assert refused.value.extra == {"reason": why}


async def test_a_code_that_leaves_nothing_to_pay_buys_no_credits(shop: Shop) -> None:
    """Credits come of a payment: nobody is led through a page that brings them nothing. A plan may begin for free."""
    person = await shop.person()
    whole, large, nearly = [
        (await code(shop, await coupon(shop, off))).code
        for off in (PercentOff(Decimal(100)), AmountOff(1599, "USD"), PercentOff(Decimal("99.95")))
    ]
    for path in ("/api/billing/checkout-session", "/api/credits/purchase"):
        for text, pack in ((whole, "LARGE"), (large, "LARGE"), (large, "SMALL"), (nearly, "MEDIUM")):
            answer = await shop.send(person, "POST", path, pack=pack, promotionCode=text)
            body = answer.json()
            assert (answer.status_code, body["code"]) == (422, "promotion_code_invalid"), (text, pack, body)
            assert body["reason"] == "nothing_to_pay"
            assert "nothing to pay" in body["detail"]
    assert await shop.rows("SELECT DISTINCT status FROM checkout_sessions WHERE account_id = :id", id=person.id) in (
        [],
        [("ABANDONED",)],
    )
    opened = await shop.done(
        person, "POST", "/api/billing/checkout-session", 201, plan="INDIVIDUAL_PRO", promotionCode=whole
    )
    assert opened["url"]
    found = await promotions.find_code(shop.door, nearly)
    assert found is not None
    assert [ours.left_to_pay(found, amount) for amount in (899, 1000, 1001)] == [0, 0, 1]


async def test_of_one_text_for_several_each_has_their_own(shop: Shop) -> None:
    platform, text = shop.till.platform, f"YOURS{uuid4().hex[:8].upper()}"
    buyers = [await customer_of(shop, await shop.person()) for _ in range(2)]
    made = {
        customer_id: await promotions.create_code(
            shop.door,
            coupon_id=(await coupon(shop)).id,
            code=text,
            customer_id=customer_id,
            metadata={},
            key=new_key(),
        )
        for customer_id in buyers
    }
    for customer_id in buyers:
        assert await ours.usable(platform, customer_id, text) == made[customer_id].id
    for stranger in (None, await customer_of(shop, await shop.person())):
        with pytest.raises(PromotionCodeInvalid) as refused:
            await ours.usable(platform, stranger, text)
        assert refused.value.extra == {"reason": "other_customer"}


async def test_stripe_is_away(shop: Shop) -> None:
    person = await shop.person()
    await shop.till.stripe.fail(pathPrefix="/v1/promotion_codes", status=500, times=9)
    answer = await person.client.get(f"{CODES}/ANY")
    await shop.till.stripe.heal()
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_provider_unavailable")


async def test_the_invoice_of_a_pack_shows_what_the_code_took_off(shop: Shop) -> None:
    person = await shop.person()
    fifth = await code(shop, await coupon(shop, PercentOff(Decimal(20))))
    opened = await shop.done(
        person, "POST", "/api/billing/checkout-session", 201, pack="LARGE", promotionCode=fifth.code
    )
    fields = {"email": "ada@example.com", "card_number": PAYS, "expiry": "12 / 40", "cvc": "123", "name": "Ada"}
    paid = await shop.till.stripe.http.post(f"/checkout/{opened['sessionId']}", data=fields)
    assert paid.status_code in (200, 303), paid.text
    visit = await checkouts.retrieve(shop.door, opened["sessionId"])
    assert visit.amount_total == 1279
    assert visit.invoice_id is not None
    found = await invoices.retrieve(shop.door, visit.invoice_id)
    assert (found.subtotal, found.discount, found.total, found.amount_paid) == (1599, 320, 1279, 1279)
    for kind, about in (("checkout.session.completed", visit.id), ("invoice.paid", visit.invoice_id)):
        await tell(shop, kind, about)
    [bill] = await bills(person)
    assert (bill["subtotal"], bill["discount"], bill["amount"], bill["amountPaid"]) == (1599, 320, 1279, 1279)
