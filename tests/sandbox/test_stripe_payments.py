"""Setup intents and payment intents of the sandbox Stripe, driven by the official SDK."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_setup import Setup, fresh_sandbox

# The SDK's HTTPXClient hands its form body to httpx as `data`, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ASKING_CARD = "4000 0025 0000 3155"
DECLINING_CARD = "4000 0000 0000 0002"


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with fresh_sandbox() as one:
        yield one


async def new_customer(setup: Setup, **more: Any) -> stripe.Customer:
    params: Any = {"email": "ada@example.com", **more}
    return await setup.client.v1.customers.create_async(params)


async def saved_card(setup: Setup, customer: str, token: str = "pm_card_visa") -> stripe.PaymentMethod:
    return await setup.client.v1.payment_methods.attach_async(token, {"customer": customer})


def top_up(customer: str, method: str, **more: Any) -> Any:
    return {
        "amount": 2500,
        "currency": "usd",
        "customer": customer,
        "payment_method": method,
        "allowed_payment_method_types": ["card"],
        "off_session": True,
        "confirm": True,
        "metadata": {"intent": "top-up-1"},
        **more,
    }


# Setup intents


async def test_a_card_is_set_up_on_the_page_that_stands_in_for_the_browser(setup: Setup) -> None:
    intents = setup.client.v1.setup_intents
    customer = await new_customer(setup)
    made = await intents.create_async({"customer": customer.id, "usage": "off_session", "metadata": {"k": "v"}})
    assert (made.status, made.payment_method) == ("requires_payment_method", None)
    assert made.client_secret is not None
    address = f"/_sandbox/elements/{made.client_secret}"
    form = await setup.http.get(address)
    assert (form.status_code, "4242 4242 4242 4242" in form.text) == (200, True)
    back = "http://localhost:3000/cards?tab=1"
    fields = {"card_number": "4242424242424242", "expiry": "12 / 40", "name": "Ada"}
    done = await setup.http.post(address, data=fields, params={"return_url": back})
    assert done.status_code == 303
    assert done.headers["Location"] == (
        f"{back}&setup_intent={made.id}&setup_intent_client_secret={made.client_secret}&redirect_status=succeeded"
    )
    kept = await intents.retrieve_async(made.id, {"expand": ["payment_method", "latest_attempt"]})
    assert kept.status == "succeeded"
    assert isinstance(kept.payment_method, stripe.PaymentMethod)
    assert isinstance(kept.latest_attempt, stripe.SetupAttempt)
    assert (kept.payment_method.customer, kept.latest_attempt.status) == (customer.id, "succeeded")
    assert (await setup.types())[:3] == ["setup_intent.succeeded", "payment_method.attached", "setup_intent.created"]
    assert "The card has been saved" in (await setup.http.get(address)).text
    assert (await setup.http.post(address, data=fields)).status_code == 400
    assert (await setup.http.get("/_sandbox/elements/seti_gone_secret_x")).status_code == 404
    assert [one.id for one in (await intents.list_async({"customer": customer.id})).data] == [made.id]


async def test_a_refused_card_leaves_the_setup_open_and_an_asking_one_waits(setup: Setup) -> None:
    intents = setup.client.v1.setup_intents
    customer = await new_customer(setup)
    made = await intents.create_async({"customer": customer.id})
    address = f"/_sandbox/elements/{made.client_secret}"
    fields = {"expiry": "12/40"}
    refused = await setup.http.post(address, data={**fields, "card_number": DECLINING_CARD})
    assert (refused.status_code, "Your card was declined." in refused.text) == (402, True)
    assert (await setup.types())[0] == "setup_intent.setup_failed"
    assert (await setup.http.post(address, data={**fields, "card_number": "1234"})).status_code == 422
    asked = await setup.http.post(address, data={**fields, "card_number": ASKING_CARD})
    assert "Your bank asks" in asked.text
    waiting = await intents.retrieve_async(made.id)
    assert waiting.next_action is not None
    assert (waiting.status, waiting.next_action.type) == ("requires_action", "use_stripe_sdk")
    no = await setup.http.post(f"{address}/answer", data={"answer": "refuse"})
    assert (no.status_code, "authentication failed" in no.text) == (402, True)
    left = await intents.retrieve_async(made.id)
    assert left.last_setup_error is not None
    assert (left.status, left.last_setup_error.code) == (
        "requires_payment_method",
        "setup_intent_authentication_failure",
    )
    await setup.http.post(address, data={**fields, "card_number": ASKING_CARD})
    yes = await setup.http.post(f"{address}/answer", data={"answer": "confirm"})
    assert (yes.status_code, "The card has been saved" in yes.text) == (200, True)
    attempts = await setup.client.v1.setup_attempts.list_async({"setup_intent": made.id})
    assert [one.status for one in attempts.data] == ["succeeded", "failed", "failed"]


async def test_a_setup_is_confirmed_by_the_server(setup: Setup) -> None:
    intents = setup.client.v1.setup_intents
    customer = await new_customer(setup)
    never: Any = {"enabled": True, "allow_redirects": "never"}
    wish: Any = {
        "customer": customer.id,
        "payment_method": "pm_card_visa",
        "confirm": True,
        "automatic_payment_methods": never,
    }
    at_once = await intents.create_async(wish)
    assert at_once.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        await intents.create_async({"payment_method": "pm_card_visa", "confirm": True})
    later = await intents.create_async({"customer": customer.id, "allowed_payment_method_types": ["card"]})
    with pytest.raises(stripe.CardError) as refused:
        await intents.confirm_async(later.id, {"payment_method": "pm_card_chargeDeclined"})
    assert refused.value.error is not None
    assert refused.value.error.setup_intent is not None
    assert refused.value.error.setup_intent.id == later.id
    asked = await intents.confirm_async(
        later.id, {"payment_method": "pm_card_authenticationRequired", "return_url": "http://localhost:3000/back"}
    )
    assert asked.next_action is not None
    assert asked.next_action.redirect_to_url is not None
    assert asked.next_action.redirect_to_url.url == f"{setup.url}/_sandbox/elements/{later.client_secret}"
    bank = await setup.http.get(asked.next_action.redirect_to_url.url)
    assert "Your bank asks" in bank.text
    answered = await setup.http.post(f"{asked.next_action.redirect_to_url.url}/answer", data={"answer": "confirm"})
    assert answered.headers["Location"].startswith("http://localhost:3000/back?setup_intent=")
    dropped = await intents.create_async({"customer": customer.id})
    assert (await intents.cancel_async(dropped.id, {"cancellation_reason": "abandoned"})).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as closed:
        await intents.confirm_async(dropped.id, {"payment_method": "pm_card_visa"})
    assert closed.value.code == "setup_intent_unexpected_state"
    assert (await setup.types())[0] == "setup_intent.canceled"


# Payment intents


async def test_an_absent_holder_pays_with_a_kept_card(setup: Setup) -> None:
    customer = await new_customer(setup)
    card = await saved_card(setup, customer.id)
    key: Any = {"idempotency_key": "top-up-1"}
    paid = await setup.client.v1.payment_intents.create_async(top_up(customer.id, card.id), key)
    again = await setup.client.v1.payment_intents.create_async(top_up(customer.id, card.id), key)
    assert (paid.status, paid.amount_received, again.id) == ("succeeded", 2500, paid.id)
    assert paid.metadata.to_dict() == {"intent": "top-up-1"}
    charges = (await setup.client.v1.charges.list_async({"payment_intent": paid.id})).data
    assert [(charge.id, charge.paid, charge.customer) for charge in charges] == [
        (paid.latest_charge, True, customer.id)
    ]
    assert (await setup.types())[:3] == ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]
    described = await setup.client.v1.charges.update_async(charges[0].id, {"metadata": {"seen": "yes"}})
    assert described.metadata.to_dict() == {"intent": "top-up-1", "seen": "yes"}
    assert (await setup.types())[0] == "charge.updated"


@pytest.mark.parametrize(
    ("token", "code", "reason"),
    [
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
        ("pm_card_authenticationRequired", "authentication_required", "authentication_required"),
    ],
)
async def test_a_declined_top_up_says_which_intent_it_was(setup: Setup, token: str, code: str, reason: str) -> None:
    customer = await new_customer(setup)
    card = await saved_card(setup, customer.id, token)
    key: Any = {"idempotency_key": "top-up-1"}
    told_of = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refused:
            await setup.client.v1.payment_intents.create_async(top_up(customer.id, card.id), key)
        error = refused.value.error
        assert error is not None
        assert error.payment_intent is not None
        told_of.add(error.payment_intent.id)
        assert (refused.value.http_status, refused.value.code, error.decline_code) == (402, code, reason)
        assert error.payment_intent.metadata.to_dict() == {"intent": "top-up-1"}
    kept = (await setup.client.v1.payment_intents.list_async({"customer": customer.id})).data
    assert ({one.id for one in kept}, kept[0].status) == (told_of, "requires_payment_method")
    assert kept[0].last_payment_error is not None
    assert kept[0].last_payment_error.code == code
    assert kept[0].last_payment_error.payment_method is not None
    assert kept[0].last_payment_error.payment_method.id == card.id
    assert (await setup.types())[0] == "payment_intent.payment_failed"


async def test_a_card_without_funds_says_so(setup: Setup) -> None:
    customer = await new_customer(setup)
    with pytest.raises(stripe.CardError) as refused:
        await setup.client.v1.payment_intents.create_async(
            top_up(customer.id, "pm_card_chargeDeclinedInsufficientFunds")
        )
    assert refused.value.error is not None
    assert refused.value.error.decline_code == "insufficient_funds"
    assert (await setup.types())[:2] == ["payment_intent.payment_failed", "charge.failed"]


async def test_after_a_setup_the_asking_card_pays_alone(setup: Setup) -> None:
    intents, customer = setup.client.v1.payment_intents, await new_customer(setup)
    unasked = await saved_card(setup, customer.id, "pm_card_authenticationRequiredOnSetup")
    with pytest.raises(stripe.CardError):
        await intents.create_async(top_up(customer.id, unasked.id))
    made = await setup.client.v1.setup_intents.create_async({"customer": customer.id})
    entry = {"cardNumber": ASKING_CARD, "confirm": True}
    done = await setup.control("PUT", f"/elements/{made.client_secret}", entry)
    assert (done["error"], done["intent"]["status"]) == (None, "succeeded")
    paid = await intents.create_async(top_up(customer.id, done["intent"]["payment_method"]))
    assert paid.status == "succeeded"


async def test_a_failed_top_up_is_saved_by_its_holder(setup: Setup) -> None:
    intents, customer = setup.client.v1.payment_intents, await new_customer(setup)
    card = await saved_card(setup, customer.id, "pm_card_authenticationRequired")
    with pytest.raises(stripe.CardError) as refused:
        await intents.create_async(top_up(customer.id, card.id))
    assert refused.value.error is not None
    assert refused.value.error.payment_intent is not None
    secret = refused.value.error.payment_intent.client_secret
    address = f"/_sandbox/elements/{secret}"
    form = await setup.http.get(address)
    assert ("Pay 25.00 USD" in form.text, "ending in 3184" in form.text) == (True, True)
    assert "Your bank asks" in (await setup.http.post(address, data={"payment_method": card.id})).text
    assert (await setup.types())[0] == "payment_intent.requires_action"
    done = await setup.http.post(f"{address}/answer", data={"answer": "confirm"})
    assert "The payment has been made" in done.text
    assert (await intents.retrieve_async(refused.value.error.payment_intent.id)).status == "succeeded"
    assert (await setup.types())[:2] == ["payment_intent.succeeded", "charge.succeeded"]


async def test_a_present_holder_is_asked_and_may_refuse(setup: Setup) -> None:
    intents, customer = setup.client.v1.payment_intents, await new_customer(setup)
    made = await intents.create_async({"amount": 900, "currency": "usd", "customer": customer.id})
    assert made.status == "requires_payment_method"
    address = f"/elements/{made.client_secret}"
    asked = await setup.control("PUT", address, {"cardNumber": ASKING_CARD})
    assert (asked["error"], asked["intent"]["status"]) == (None, "requires_action")
    refused = await setup.control("PUT", address, {"confirm": False})
    assert refused["error"]["code"] == "payment_intent_authentication_failure"
    assert refused["intent"]["status"] == "requires_payment_method"
    paid = await setup.control("PUT", address, {"cardNumber": ASKING_CARD, "confirm": True})
    assert paid["intent"]["status"] == "succeeded"
    spent = paid["intent"]["payment_method"]
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await intents.create_async(top_up(customer.id, spent))
    for act in (
        intents.cancel_async(made.id),
        intents.confirm_async(made.id, {"payment_method": "pm_card_visa", "return_url": "http://localhost/"}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as closed:
            await act
        assert closed.value.code == "payment_intent_unexpected_state"


async def test_a_card_is_kept_for_later_while_paying(setup: Setup) -> None:
    intents, customer = setup.client.v1.payment_intents, await new_customer(setup)
    made = await intents.create_async(
        {"amount": 900, "currency": "usd", "customer": customer.id, "setup_future_usage": "off_session"}
    )
    paid = await setup.control("PUT", f"/elements/{made.client_secret}", {"cardNumber": ASKING_CARD, "confirm": True})
    card = paid["intent"]["payment_method"]
    assert (await setup.client.v1.payment_methods.retrieve_async(card)).customer == customer.id
    assert (await intents.create_async(top_up(customer.id, card))).status == "succeeded"


async def test_the_buyer_pays_a_first_invoice_on_the_page(setup: Setup) -> None:
    client, customer = setup.client.v1, await new_customer(setup)
    price = await client.prices.create_async(
        {"currency": "usd", "unit_amount": 9999, "recurring": {"interval": "month"}, "product_data": {"name": "Team"}}
    )
    made = await client.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": price.id}],
            "payment_behavior": "default_incomplete",
            "payment_settings": {"save_default_payment_method": "on_subscription"},
            "billing_mode": {"type": "flexible"},
            "expand": ["latest_invoice.confirmation_secret"],
        }
    )
    assert isinstance(made.latest_invoice, stripe.Invoice)
    assert made.latest_invoice.confirmation_secret is not None
    secret = made.latest_invoice.confirmation_secret.client_secret
    intent_id, address = secret.partition("_secret_")[0], f"/elements/{secret}"
    with pytest.raises(stripe.InvalidRequestError, match="void the invoice"):
        await client.payment_intents.cancel_async(intent_id)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be changed"):
        await client.payment_intents.update_async(intent_id, {"amount": 100})
    declined = await setup.control("PUT", address, {"cardNumber": DECLINING_CARD})
    assert declined["error"]["code"] == "card_declined"
    assert (await client.subscriptions.retrieve_async(made.id)).status == "incomplete"
    asked = await setup.control("PUT", address, {"cardNumber": ASKING_CARD})
    assert asked["intent"]["status"] == "requires_action"
    paid = await setup.control("PUT", address, {"confirm": True})
    assert (paid["error"], paid["intent"]["status"]) == (None, "succeeded")
    running = await client.subscriptions.retrieve_async(made.id, {"expand": ["default_payment_method"]})
    assert isinstance(running.default_payment_method, stripe.PaymentMethod)
    assert (running.status, running.default_payment_method.customer) == ("active", customer.id)
    await client.payment_methods.detach_async(running.default_payment_method.id)
    assert (await client.subscriptions.retrieve_async(made.id)).default_payment_method is None
    assert (await setup.types())[:2] == ["customer.subscription.updated", "payment_method.detached"]


async def test_a_merchant_may_refuse_to_wait_for_the_holder(setup: Setup) -> None:
    with pytest.raises(stripe.CardError) as refused:
        await setup.client.v1.payment_intents.create_async(
            {
                "amount": 900,
                "currency": "usd",
                "payment_method": "pm_card_authenticationRequired",
                "allowed_payment_method_types": ["card"],
                "confirm": True,
                "error_on_requires_action": True,
            }
        )
    assert refused.value.code == "authentication_required"
    kept = (await setup.client.v1.payment_intents.list_async()).data
    assert [one.status for one in kept] == ["requires_payment_method"]


async def test_a_customer_on_a_test_clock_pays_in_its_time(setup: Setup) -> None:
    client, ahead = setup.client.v1, int(setup.clock().timestamp()) + 90 * 24 * 3600
    clock = await client.test_helpers.test_clocks.create_async({"frozen_time": ahead})
    customer = await new_customer(setup, test_clock=clock.id)
    card = await saved_card(setup, customer.id)
    paid = await client.payment_intents.create_async(top_up(customer.id, card.id))
    charge = await client.charges.retrieve_async(str(paid.latest_charge))
    assert (customer.created, paid.created, charge.created) == (ahead, ahead, ahead)
    told = (await client.events.list_async({"limit": 1})).data[0]
    assert (told.type, told.created < ahead) == ("payment_intent.succeeded", True)


async def test_what_no_payment_intent_can_be(setup: Setup) -> None:
    intents, customer = setup.client.v1.payment_intents, await new_customer(setup)
    stranger = await saved_card(setup, (await new_customer(setup)).id)
    cases: list[tuple[dict[str, Any], str]] = [
        (top_up(customer.id, stranger.id), "does not belong to the Customer"),
        (top_up(customer.id, "pm_gone"), "No such PaymentMethod"),
        (top_up("cus_gone", "pm_card_visa"), "No such customer"),
        (top_up(customer.id, "pm_card_visa", amount=10), "at least"),
        (top_up(customer.id, "pm_card_visa", transfer_group="x"), "unknown parameter"),
        ({"amount": 900, "currency": "usd", "payment_method_types": ["card"]}, "no longer supported"),
        (top_up(customer.id, "pm_card_visa", automatic_payment_methods={"enabled": True}), "only specify one"),
        (top_up(customer.id, "pm_card_visa", allowed_payment_method_types=["pix"]), "can be used here"),
        ({"amount": 900, "currency": "usd", "off_session": True}, "You must set `confirm`"),
        ({"amount": 900, "currency": "usd", "confirm": True}, "Missing required param: payment_method"),
        (
            {"amount": 900, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"},
            "you must provide a `return_url`",
        ),
    ]
    for params, words in cases:
        with pytest.raises(stripe.InvalidRequestError, match=words):
            await intents.create_async(params)  # type: ignore[arg-type]
    assert (await intents.list_async()).data == []
    made = await intents.create_async({"amount": 900, "currency": "usd"})
    changed = await intents.update_async(made.id, {"amount": 950, "metadata": {"a": "b"}})
    assert (changed.amount, changed.metadata.to_dict()) == (950, {"a": "b"})
    dropped = await intents.cancel_async(made.id, {"cancellation_reason": "abandoned"})
    assert (dropped.status, dropped.cancellation_reason) == ("canceled", "abandoned")
    assert (await setup.types())[0] == "payment_intent.canceled"
    log = (await setup.http.get("/events")).text
    assert ("payment_intent.canceled" in log, "payment_intent.created" in log) == (True, True)
