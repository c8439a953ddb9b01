"""Customers, cards, payments, refunds and disputes: through the sandbox, over real HTTP."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pm_api.integrations.stripe import (
    CardDeclined,
    StripeObjectMissing,
    StripePayment,
    StripeRefused,
    customers,
    payment_methods,
    payments,
    refunds,
)
from pm_api.integrations.stripe.values import BEGINNING
from tests.integrations.stripe_doors import (
    ASKS_ALWAYS,
    DECLINES_LATER,
    PAYS,
    Shop,
    new_key,
    open_shop,
    this_second,
)
from tests.support.settings import STRIPE_KEY


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


async def topped_up(shop: Shop, amount: int = 2500) -> StripePayment:
    buyer = await shop.customer()
    assert buyer.default_payment_method_id is not None
    return await payments.charge_off_session(
        shop.door,
        customer_id=buyer.id,
        payment_method_id=buyer.default_payment_method_id,
        amount=amount,
        currency="EUR",
        description="500 credits",
        metadata={"intent": "7"},
        key=new_key(),
    )


# --- customers --------------------------------------------------------------------------------------------------


async def test_a_customer_is_made_read_and_changed(shop: Shop) -> None:
    before = this_second()
    made = await customers.create(
        shop.door, name="Ada", email="ada@example.com", metadata={"accountId": "u1"}, key=new_key()
    )
    assert (made.name, made.email, made.is_deleted) == ("Ada", "ada@example.com", False)
    assert made.metadata == {"accountId": "u1"}
    assert made.default_payment_method_id is None
    assert made.created_at is not None
    assert before <= made.created_at <= this_second()
    assert await customers.retrieve(shop.door, made.id) == made
    renamed = await customers.update(shop.door, made.id, name="Ada L.", email=None, key=new_key())
    assert (renamed.name, renamed.email) == ("Ada L.", "ada@example.com")


async def test_customers_are_found_by_their_address(shop: Shop) -> None:
    address = f"{new_key()}@example.com"
    made = [
        await customers.create(shop.door, name="Ada", email=address, metadata={"intent": mark}, key=new_key())
        for mark in ("1", "2")
    ]
    found = await customers.list_with_email(shop.door, address)
    assert sorted(one.id for one in found.items) == sorted(one.id for one in made)
    assert (await customers.list_with_email(shop.door, "nobody@example.com")).items == ()


async def test_a_customer_without_a_name(shop: Shop) -> None:
    made = await customers.create(shop.door, name=None, email=None, metadata={}, key=new_key())
    assert (made.name, made.email, made.metadata) == (None, None, {})


async def test_a_deleted_customer_is_found_and_marked(shop: Shop) -> None:
    made = await shop.customer()
    answer = await shop.stripe.http.delete(f"/v1/customers/{made.id}", auth=(STRIPE_KEY, ""))
    assert answer.status_code == 200
    gone = await customers.retrieve(shop.door, made.id)
    assert (gone.id, gone.is_deleted, gone.email, gone.created_at) == (made.id, True, None, None)


# --- cards ------------------------------------------------------------------------------------------------------


async def test_cards_are_kept_changed_and_taken_away(shop: Shop) -> None:
    buyer = await shop.customer(card=None)
    first, second = await shop.card(buyer.id), await shop.card(buyer.id, "pm_card_mastercard")
    assert (first.type, first.brand, first.last4, first.customer_id) == ("card", "visa", "4242", buyer.id)
    assert (second.brand, second.last4) == ("mastercard", "4444")
    found = await payment_methods.list_of_customer(shop.door, buyer.id)
    assert found.is_complete
    assert sorted(found.items, key=lambda one: one.id) == sorted([first, second], key=lambda one: one.id)
    assert await payment_methods.retrieve(shop.door, first.id) == first

    changed = await payment_methods.update_expiry(shop.door, first.id, exp_month=7, exp_year=None, key=new_key())
    assert (changed.exp_month, changed.exp_year) == (7, first.exp_year)
    changed = await payment_methods.update_expiry(shop.door, first.id, exp_month=None, exp_year=2041, key=new_key())
    assert (changed.exp_month, changed.exp_year) == (7, 2041)

    default = await customers.set_default_payment_method(shop.door, buyer.id, second.id, key=new_key())
    assert default.default_payment_method_id == second.id
    taken = await payment_methods.detach(shop.door, second.id, key=new_key())
    assert (taken.id, taken.customer_id) == (second.id, None)
    assert (await customers.retrieve(shop.door, buyer.id)).default_payment_method_id is None
    with pytest.raises(StripeRefused):
        await payment_methods.detach(shop.door, second.id, key=new_key())


async def test_the_same_card_is_known_again(shop: Shop) -> None:
    """A trial is given once a card, whoever has it."""
    one, other = await shop.customer(), await shop.customer()
    [mine] = (await payment_methods.list_of_customer(shop.door, one.id)).items
    [theirs] = (await payment_methods.list_of_customer(shop.door, other.id)).items
    assert mine.id != theirs.id
    assert mine.fingerprint is not None
    assert mine.fingerprint == theirs.fingerprint


async def test_a_list_that_meets_its_limit_says_so(shop: Shop) -> None:
    buyer = await shop.customer(card=None)
    kept = [await shop.card(buyer.id) for _ in range(3)]
    found = await payment_methods.list_of_customer(shop.door, buyer.id, limit=2)
    assert (len(found.items), found.is_complete) == (2, False)
    found = await payment_methods.list_of_customer(shop.door, buyer.id, limit=3)
    assert ({one.id for one in found.items}, found.is_complete) == ({one.id for one in kept}, True)


async def test_a_declined_card_cannot_be_kept(shop: Shop) -> None:
    buyer = await shop.customer(card=None)
    with pytest.raises(CardDeclined) as declined:
        await shop.card(buyer.id, "pm_card_chargeDeclinedInsufficientFunds")
    assert (declined.value.code, declined.value.decline_code) == ("card_declined", "insufficient_funds")
    assert declined.value.payment_intent_id is None


async def test_a_card_is_taken_in_the_browser(shop: Shop) -> None:
    buyer = await shop.customer(card=None)
    wanted = await payment_methods.create_setup_intent(shop.door, buyer.id, metadata={"intent": "1"}, key=new_key())
    assert (wanted.status, wanted.customer_id) == ("requires_payment_method", buyer.id)
    assert (wanted.payment_method_id, wanted.metadata) == (None, {"intent": "1"})
    assert wanted.client_secret is not None
    await shop.control("PUT", f"/elements/{wanted.client_secret}", {"cardNumber": "4242424242424242"})
    done = await payment_methods.retrieve_setup_intent(shop.door, wanted.id)
    [card] = (await payment_methods.list_of_customer(shop.door, buyer.id)).items
    assert (done.status, done.payment_method_id) == ("succeeded", card.id)


# --- payments ---------------------------------------------------------------------------------------------------


async def test_money_is_taken_with_nobody_there(shop: Shop) -> None:
    paid = await topped_up(shop)
    assert (paid.status, paid.amount, paid.amount_received, paid.currency) == ("succeeded", 2500, 2500, "EUR")
    assert (paid.error_code, paid.decline_code, paid.metadata) == (None, None, {"intent": "7"})
    assert paid.charge_id is not None
    assert await payments.retrieve(shop.door, paid.id) == paid
    assert paid.customer_id is not None
    assert (await payments.list_of_customer(shop.door, paid.customer_id)).items == (paid,)
    later = await payments.list_of_customer(shop.door, paid.customer_id, since=this_second() + timedelta(days=1))
    assert later.items == ()
    charge = await payments.retrieve_charge(shop.door, paid.charge_id)
    assert (charge.status, charge.amount, charge.amount_refunded, charge.currency) == ("succeeded", 2500, 0, "EUR")
    assert (charge.payment_intent_id, charge.customer_id) == (paid.id, paid.customer_id)
    assert (charge.is_refunded, charge.is_disputed) == (False, False)


@pytest.mark.parametrize(
    ("card", "code", "paid_after"),
    [(DECLINES_LATER, "card_declined", False), (ASKS_ALWAYS, "authentication_required", True)],
)
async def test_a_refused_payment_can_be_looked_at(shop: Shop, card: str, code: str, paid_after: bool) -> None:
    buyer = await shop.customer(card=None)
    kept = await shop.card(buyer.id, card)
    with pytest.raises(CardDeclined) as declined:
        await payments.charge_off_session(
            shop.door,
            customer_id=buyer.id,
            payment_method_id=kept.id,
            amount=500,
            currency="USD",
            description="500 credits",
            metadata={},
            key=new_key(),
        )
    assert declined.value.code == code
    assert declined.value.payment_intent_id is not None
    tried = await payments.retrieve(shop.door, declined.value.payment_intent_id)
    assert (tried.status, tried.error_code) == ("requires_payment_method", code)
    if paid_after:
        entry = {"paymentMethod": kept.id, "confirm": True}
        await shop.control("PUT", f"/elements/{tried.client_secret}", entry)
        assert (await payments.retrieve(shop.door, tried.id)).status == "succeeded"


# --- refunds and disputes ---------------------------------------------------------------------------------------


async def test_refunds_add_up(shop: Shop) -> None:
    paid = await topped_up(shop)
    assert paid.charge_id is not None
    part = await refunds.create(
        shop.door,
        payment_intent_id=paid.id,
        amount=1000,
        reason="requested_by_customer",
        metadata={"intent": "8"},
        key=new_key(),
    )
    assert (part.status, part.amount, part.currency) == ("succeeded", 1000, "EUR")
    assert (part.charge_id, part.payment_intent_id) == (paid.charge_id, paid.id)
    assert (part.reason, part.failure_reason, part.metadata) == ("requested_by_customer", None, {"intent": "8"})
    assert (await payments.retrieve_charge(shop.door, paid.charge_id)).amount_refunded == 1000

    rest = await refunds.create(shop.door, payment_intent_id=paid.id, metadata={}, key=new_key())
    assert (rest.amount, rest.reason) == (1500, None)
    charge = await payments.retrieve_charge(shop.door, paid.charge_id)
    assert (charge.amount_refunded, charge.is_refunded) == (2500, True)
    found = await refunds.list_of_charge(shop.door, paid.charge_id)
    assert {one.id for one in found.items} == {part.id, rest.id}
    window = await refunds.list_created(shop.door, since=part.created_at)
    assert {part.id, rest.id} <= {one.id for one in window.items}
    before = await refunds.list_created(shop.door, since=BEGINNING, until=part.created_at)
    assert not {part.id, rest.id} & {one.id for one in before.items}
    with pytest.raises(StripeRefused, match="charge_already_refunded"):
        await refunds.create(shop.door, payment_intent_id=paid.id, metadata={}, key=new_key())


async def test_a_refund_that_comes_back(shop: Shop) -> None:
    paid = await topped_up(shop)
    made = await refunds.create(shop.door, payment_intent_id=paid.id, metadata={}, key=new_key())
    await shop.control("POST", f"/refunds/{made.id}/fail")
    failed = await refunds.retrieve(shop.door, made.id)
    assert failed.status == "failed"
    assert failed.failure_reason is not None


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_a_dispute_from_its_start_to_its_end(shop: Shop, outcome: str) -> None:
    paid = await topped_up(shop)
    assert paid.charge_id is not None
    started = await shop.control("POST", "/disputes", {"charge": paid.charge_id})
    dispute = await refunds.retrieve_dispute(shop.door, started["id"])
    assert (dispute.status, dispute.amount, dispute.currency) == ("needs_response", 2500, "EUR")
    assert (dispute.charge_id, dispute.payment_intent_id) == (paid.charge_id, paid.id)
    assert (await payments.retrieve_charge(shop.door, paid.charge_id)).is_disputed
    started_then = await refunds.list_disputes_created(shop.door, since=dispute.created_at)
    assert dispute in started_then.items
    await shop.control("POST", f"/disputes/{dispute.id}/close", {"outcome": outcome})
    assert (await refunds.retrieve_dispute(shop.door, dispute.id)).status == outcome


async def test_ids_of_something_else_name_nothing(shop: Shop) -> None:
    buyer = await shop.customer(card=PAYS)
    for retrieve in (
        payments.retrieve,
        payments.retrieve_charge,
        payment_methods.retrieve,
        refunds.retrieve,
        refunds.retrieve_dispute,
    ):
        with pytest.raises(StripeObjectMissing):
            await retrieve(shop.door, buyer.id)
