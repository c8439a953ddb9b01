"""A customer's cards, default card and balance in the sandbox Stripe, driven by the official SDK."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_setup import Setup, fresh_sandbox

# The SDK's HTTPXClient hands its form body to httpx as `data`, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with fresh_sandbox() as one:
        yield one


async def new_customer(setup: Setup, **more: Any) -> stripe.Customer:
    params: Any = {"email": "ada@example.com", **more}
    return await setup.client.v1.customers.create_async(params)


async def saved_card(setup: Setup, customer: str, token: str = "pm_card_visa") -> stripe.PaymentMethod:
    return await setup.client.v1.payment_methods.attach_async(token, {"customer": customer})


async def test_a_card_is_kept_changed_and_taken_away(setup: Setup) -> None:
    methods = setup.client.v1.payment_methods
    customer, other = await new_customer(setup), await new_customer(setup)
    kept = await saved_card(setup, customer.id)
    assert kept.id.startswith("pm_")
    assert kept.id != "pm_card_visa"
    assert kept.card is not None
    assert (kept.customer, kept.card.last4, kept.card.brand) == (customer.id, "4242", "visa")
    assert (await methods.attach_async(kept.id, {"customer": customer.id})).id == kept.id
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        await methods.attach_async(kept.id, {"customer": other.id})
    changed = await methods.update_async(
        kept.id, {"card": {"exp_month": 7, "exp_year": 2044}, "billing_details": {"name": "Ada"}}
    )
    assert changed.card is not None
    assert (changed.card.exp_month, changed.card.exp_year, changed.billing_details.name) == (7, 2044, "Ada")
    with pytest.raises(stripe.CardError) as past:
        await methods.update_async(kept.id, {"card": {"exp_year": 2001}})
    assert past.value.code == "invalid_expiry_year"
    second = await saved_card(setup, customer.id, "pm_card_mastercard")
    listed = await methods.list_async({"customer": customer.id, "type": "card", "limit": 1})
    assert ([one.id for one in listed.data], listed.has_more) == ([second.id], True)
    own = await setup.client.v1.customers.payment_methods.list_async(customer.id)
    assert [one.id for one in own.data] == [second.id, kept.id]
    assert (await setup.client.v1.customers.payment_methods.retrieve_async(customer.id, kept.id)).id == kept.id
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        await setup.client.v1.customers.payment_methods.retrieve_async(other.id, kept.id)
    assert (await methods.detach_async(kept.id)).customer is None
    for act in (methods.attach_async(kept.id, {"customer": customer.id}), methods.detach_async(kept.id)):
        with pytest.raises(stripe.InvalidRequestError):
            await act
    assert (await methods.list_async({"customer": other.id})).data == []
    assert (await setup.types())[:4] == [
        "payment_method.detached",
        "payment_method.attached",
        "payment_method.updated",
        "payment_method.attached",
    ]
    gone = (await setup.client.v1.events.list_async({"type": "payment_method.detached"})).data[0]
    assert gone.data.previous_attributes is not None
    assert gone.data.previous_attributes["customer"] == customer.id


async def test_a_typed_card_is_read_as_stripe_reads_it(setup: Setup) -> None:
    methods = setup.client.v1.payment_methods
    typed: Any = {
        "type": "card",
        "card": {"number": "4242424242424242", "exp_month": 3, "exp_year": 2041, "cvc": "1"},
    }
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"cvc": "1"}, "invalid_cvc"),
        ({"number": "4242424242424241"}, "incorrect_number"),
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_year": 2001}, "invalid_expiry_year"),
    ]
    for fields, code in wrong:
        mistyped: Any = {"type": "card", "card": {**typed["card"], "cvc": "123", **fields}}
        with pytest.raises(stripe.CardError) as refused:
            await methods.create_async(mistyped)
        assert refused.value.code == code
    typed["card"]["cvc"] = "123"
    made = await methods.create_async(typed)
    assert made.card is not None
    assert (made.customer, made.card.exp_year, made.card.fingerprint) == (None, 2041, "sandboxPays00001")
    assert (await setup.client.v1.payment_methods.retrieve_async(made.id)).id == made.id
    surplus: Any = {"type": "card", "card": {"token": "tok_visa", "wallet": "x"}}
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        await methods.create_async(surplus)
    token: Any = {"type": "card", "card": {"token": "tok_visa"}}
    assert (await methods.create_async(token)).type == "card"
    assert await setup.types() == []


async def test_a_card_that_declines_at_once_cannot_be_kept(setup: Setup) -> None:
    customer = await new_customer(setup)
    tokens = {
        "pm_card_chargeDeclined": "generic_decline",
        "pm_card_visa_chargeDeclined": "generic_decline",
        "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    }
    for token, reason in tokens.items():
        with pytest.raises(stripe.CardError) as refused:
            await saved_card(setup, customer.id, token)
        assert refused.value.error is not None
        assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
        assert refused.value.error.decline_code == reason
    assert (await saved_card(setup, customer.id, "pm_card_chargeCustomerFail")).customer == customer.id


async def test_the_default_card_follows_what_happens_to_it(setup: Setup) -> None:
    customers = setup.client.v1.customers
    made = await new_customer(
        setup, payment_method="pm_card_visa", invoice_settings={"default_payment_method": "pm_card_visa"}
    )
    assert made.invoice_settings is not None
    card = made.invoice_settings.default_payment_method
    assert isinstance(card, str)
    assert (await setup.client.v1.payment_methods.retrieve_async(card)).customer == made.id
    other = await saved_card(setup, (await new_customer(setup)).id)
    with pytest.raises(stripe.InvalidRequestError, match="must be attached to the customer"):
        await customers.update_async(made.id, {"invoice_settings": {"default_payment_method": other.id}})
    second = await saved_card(setup, made.id)
    changed = await customers.update_async(
        made.id,
        {
            "invoice_settings": {"default_payment_method": second.id},
            "expand": ["invoice_settings.default_payment_method"],
        },
    )
    assert changed.invoice_settings is not None
    assert isinstance(changed.invoice_settings.default_payment_method, stripe.PaymentMethod)
    await setup.client.v1.payment_methods.detach_async(second.id)
    left = await customers.retrieve_async(made.id)
    assert left.invoice_settings is not None
    assert left.invoice_settings.default_payment_method is None
    told = (await setup.client.v1.events.list_async({"type": "customer.updated"})).data
    previous = [
        event.data.previous_attributes["invoice_settings"] for event in told if event.data.previous_attributes
    ]
    assert [one["default_payment_method"] for one in previous] == [second.id, card]
    await customers.delete_async(made.id)
    assert (await setup.client.v1.payment_methods.retrieve_async(card)).customer is None
    assert (await setup.types())[:2] == ["customer.deleted", "payment_method.detached"]


async def test_a_customers_balance_is_explained(setup: Setup) -> None:
    customers = setup.client.v1.customers
    made = await new_customer(setup)
    await customers.balance_transactions.create_async(
        made.id, {"amount": -700, "currency": "usd", "description": "Sorry"}
    )
    await customers.update_async(made.id, {"balance": -500})
    rows = (await customers.balance_transactions.list_async(made.id)).data
    assert [(row.amount, row.ending_balance, row.type) for row in rows] == [
        (200, -500, "adjustment"),
        (-700, -700, "adjustment"),
    ]
    assert (await customers.balance_transactions.retrieve_async(made.id, rows[0].id)).amount == 200
    assert (await customers.retrieve_async(made.id)).balance == -500
    with pytest.raises(stripe.InvalidRequestError, match="currency"):
        await customers.balance_transactions.create_async(made.id, {"amount": 1, "currency": "eur"})
    with pytest.raises(stripe.InvalidRequestError, match="zero"):
        await customers.balance_transactions.create_async(made.id, {"amount": 0, "currency": "usd"})
    assert (await setup.types())[:2] == ["customer.updated"] * 2


async def test_the_network_renews_a_card_by_itself(setup: Setup) -> None:
    customer = await new_customer(setup)
    card = await saved_card(setup, customer.id)
    await setup.control(
        "POST", f"/payment-methods/{card.id}/renew", {"expMonth": 2, "expYear": 2049, "last4": "4343"}
    )
    renewed = await setup.client.v1.payment_methods.retrieve_async(card.id)
    assert renewed.card is not None
    assert (renewed.card.exp_year, renewed.card.last4) == (2049, "4343")
    assert (await setup.types())[0] == "payment_method.automatically_updated"
    missing = await setup.http.post("/_sandbox/payment-methods/pm_gone/renew", json={"expMonth": 2, "expYear": 2049})
    assert missing.status_code == 404


async def test_what_a_deleted_customer_owes_is_let_be(setup: Setup) -> None:
    client, customer = setup.client.v1, await new_customer(setup)
    await client.invoice_items.create_async({"customer": customer.id, "amount": 500, "currency": "usd"})
    draft = await client.invoices.create_async({"customer": customer.id, "auto_advance": True})
    await client.customers.delete_async(customer.id)
    setup.clock.moment += timedelta(days=2)
    left = await client.invoices.retrieve_async(draft.id)
    assert (left.status, left.auto_advance) == ("draft", False)
