"""The sandbox Stripe's hosted checkout, webhooks, control routes and pages, and the shape of its objects."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe

from pm_api.sandbox.stripe import create_app, sign_payload
from tests.sandbox.stripe_setup import (
    CANCEL_URL,
    SECRET_KEY,
    WEBHOOK_SECRETS,
    MovableClock,
    Setup,
    fresh_sandbox,
    listening,
    running,
)

# The SDK's HTTPXClient hands its form body to httpx as `data`, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "stripe" / "fixtures3.json"
PAYING_CARD = "4242 4242 4242 4242"
DECLINING_CARD = "4000 0000 0000 0002"
ASKING_CARD = "4000 0025 0000 3155"


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with fresh_sandbox() as one:
        yield one


# Checkout


async def test_a_session_is_paid_on_the_hosted_page(setup: Setup) -> None:
    customer = await setup.client.v1.customers.create_async({"email": "ada@example.com"})
    intent_data = {"metadata": {"order": "7"}}
    session = await setup.new_session(customer=customer.id, payment_intent_data=intent_data)
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 1998)
    assert session.url == f"{setup.url}/checkout/{session.id}"
    form = await setup.http.get(session.url)
    assert form.status_code == 200
    for shown in (PAYING_CARD, "ada@example.com", "100 credits", "19.98 USD", CANCEL_URL):
        assert shown in form.text
    done = await setup.submit(session, PAYING_CARD)
    assert (done.status_code, done.headers["Location"]) == (303, f"http://localhost:3000/done?session={session.id}")
    paid = await setup.client.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["line_items.data.price.product", "customer", "payment_intent.latest_charge"]}
    )
    assert (paid.status, paid.payment_status, paid.client_reference_id) == ("complete", "paid", "checkout-1")
    assert paid.metadata is not None
    assert paid.metadata.to_dict() == {"accountType": "user", "accountId": "u1", "7": "digits"}
    assert paid.customer_details is not None
    assert paid.customer_details.email == "ada@example.com"
    assert isinstance(paid.customer, stripe.Customer)
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    assert (paid.payment_intent.status, paid.payment_intent.amount_received) == ("succeeded", 1998)
    assert paid.payment_intent.metadata.to_dict() == {"order": "7"}
    assert isinstance(paid.payment_intent.latest_charge, stripe.Charge)
    assert paid.payment_intent.latest_charge.paid
    assert paid.line_items is not None
    assert [(item.description, item.quantity, item.amount_total) for item in paid.line_items.data] == [
        ("100 credits", 2, 1998)
    ]
    assert "line_items" not in await setup.client.v1.checkout.sessions.retrieve_async(session.id)
    assert (await setup.types())[:2] == ["checkout.session.completed", "payment_intent.succeeded"]
    assert "checkout.session.completed" in await setup.told(5)
    again = await setup.submit(session, PAYING_CARD)
    assert (again.status_code, len(await setup.types())) == (200, 5)


async def test_a_declined_card_leaves_the_session_open(setup: Setup) -> None:
    session = await setup.new_session()
    refused = await setup.submit(session, DECLINING_CARD)
    assert (refused.status_code, "Your card was declined." in refused.text) == (402, True)
    left = await setup.client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["payment_intent"]})
    assert (left.status, left.payment_status) == ("open", "unpaid")
    assert isinstance(left.payment_intent, stripe.PaymentIntent)
    assert left.payment_intent.last_payment_error is not None
    assert left.payment_intent.last_payment_error.code == "card_declined"
    assert (await setup.types())[0] == "payment_intent.payment_failed"
    wrong_fields: list[dict[str, str]] = [{"card_number": "1234"}, {"card_number": PAYING_CARD, "email": "none"}, {}]
    for wrong in wrong_fields:
        fields = {"email": "a@b.c", "expiry": "12/40", **wrong}
        assert (await setup.http.post(f"/checkout/{session.id}", data=fields)).status_code == 422
    assert (await setup.submit(session, PAYING_CARD)).status_code == 303


async def test_a_card_that_asks_is_paid_after_the_answer(setup: Setup) -> None:
    session = await setup.new_session(customer_creation="always")
    confirm = f"/checkout/{session.id}/confirm"
    assert "Confirm the payment" in (await setup.submit(session, ASKING_CARD)).text
    assert (await setup.http.post(confirm, data={"answer": "refuse"})).status_code == 402
    await setup.submit(session, ASKING_CARD)
    assert (await setup.http.post(confirm, data={"answer": "confirm"})).status_code == 303
    paid = await setup.client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["customer"]})
    assert paid.payment_status == "paid"
    assert isinstance(paid.customer, stripe.Customer)
    assert (paid.customer.email, paid.customer.name) == ("ada@example.com", "Ada")


async def test_sessions_expire_by_the_clock_or_on_request(setup: Setup) -> None:
    sessions = setup.client.v1.checkout.sessions
    soon = int(setup.clock().timestamp()) + 1900
    first, second = await setup.new_session(expires_at=soon), await setup.new_session()
    assert (await sessions.expire_async(second.id)).status == "expired"
    setup.clock.moment += timedelta(seconds=2000)
    assert [one.id for one in (await sessions.list_async({"status": "expired"})).data] == [second.id, first.id]
    assert (await setup.http.get(f"/checkout/{first.id}")).status_code == 410
    assert (await setup.types())[:2] == ["checkout.session.expired"] * 2
    for name, value in (("expires_at", soon), ("mode", "subscription"), ("line_items", []), ("cancel_url", "data:1")):
        with pytest.raises(stripe.InvalidRequestError):
            await setup.new_session(**{name: value})


# Webhooks


async def test_webhooks_are_signed_with_every_secret(setup: Setup) -> None:
    await setup.client.v1.customers.create_async({"name": "Zoë"})
    assert await setup.told(1) == ["customer.created"]
    header, body = setup.receiver.received[0]
    for secret in WEBHOOK_SECRETS:
        event = stripe.Webhook.construct_event(body, header, secret)
        assert event.data.object["name"] == "Zoë"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, header, "whsec_other")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", header, WEBHOOK_SECRETS[0])
    forged = sign_payload(body, WEBHOOK_SECRETS[0], int(time.time()) - 299)
    assert stripe.Webhook.construct_event(body, forged, WEBHOOK_SECRETS[0]).id == event.id


async def test_a_failed_delivery_is_tried_again_and_then_given_up(setup: Setup) -> None:
    events = setup.client.v1.events
    setup.receiver.statuses = [500, 302]
    await setup.client.v1.customers.create_async({"name": "third time"})
    await setup.told(3)
    setup.receiver.statuses = [500] * 3
    await setup.client.v1.customers.create_async({"name": "given up"})
    await setup.told(6)
    await asyncio.sleep(0.1)
    assert len(setup.receiver.received) == 6
    lost, heard = (await events.list_async()).data
    assert (lost.data.object["name"], lost.pending_webhooks) == ("given up", 1)
    assert (heard.data.object["name"], heard.pending_webhooks) == ("third time", 0)
    assert [one.id for one in (await events.list_async({"delivery_success": False})).data] == [lost.id]
    assert [one.id for one in (await events.list_async({"delivery_success": True})).data] == [heard.id]
    log = (await setup.http.get("/events")).text
    assert (log.count(">500<"), log.count(">302<"), log.count(">200<"), log.count("Send again")) == (4, 1, 1, 2)
    sent = await setup.http.post(f"/events/{lost.id}/send")
    assert (sent.status_code, len(setup.receiver.received)) == (303, 7)
    assert (await events.list_async({"delivery_success": False})).data == []


async def test_events_are_found_by_type_and_moment(setup: Setup) -> None:
    events = setup.client.v1.events
    session = (await setup.control("POST", "/checkout-sessions", seed()))["session"]
    for number in range(5):
        body = {"type": "invoice.paid" if number % 2 else "invoice.created", "objectId": session["id"]}
        await setup.control("POST", "/events", body | {"id": f"evt_{number}"})
    assert [event.id for event in (await events.list_async({"type": "invoice.paid"})).data] == ["evt_3", "evt_1"]
    assert len((await events.list_async({"type": "invoice.*", "limit": 2})).data) == 2
    both = ["invoice.paid", "checkout.session.completed"]
    assert len((await events.list_async({"types": both})).data) == 3
    page = await events.list_async({"limit": 4, "types": ["invoice.paid", "invoice.created"]})
    assert len([event async for event in page.auto_paging_iter()]) == 5
    assert (await events.retrieve_async("evt_3")).type == "invoice.paid"
    setup.clock.moment += timedelta(days=31)
    assert (await events.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        await events.retrieve_async("evt_3")


# Control routes


def seed(**more: Any) -> dict[str, Any]:
    line = {"name": "100 credits", "amountMinor": 999, "currency": "usd", "quantity": 1}
    return {"clientReferenceId": "checkout-1", "metadata": {"pack": "p1"}, "lineItems": [line], **more}


async def test_webhooks_come_twice_late_out_of_order_or_never(setup: Setup) -> None:
    async def made(count: int) -> list[str]:
        return [(await setup.client.v1.customers.create_async({"name": str(one)})).id for one in range(count)]

    def told() -> list[str]:
        return [json.loads(body)["data"]["object"]["id"] for _, body in setup.receiver.received]

    found = await setup.control("PUT", "/delivery", {"duplicate": 1, "dropEvery": 3, "typePrefix": "customer."})
    assert found == {"duplicate": 1, "delayS": 0, "reorder": 0, "dropEvery": 3, "typePrefix": "customer."}
    first, second, lost, fourth = await made(4)
    await setup.told(6)
    assert sorted(told()) == sorted([first, first, second, second, fourth, fourth]), "the third never came"
    undelivered = await setup.client.v1.events.list_async({"delivery_success": False})
    assert [event.to_dict()["data"]["object"]["id"] for event in undelivered.data] == [lost]

    setup.receiver.received.clear()
    await setup.control("PUT", "/delivery", {"reorder": 3, "delayS": 0.1})
    in_order = await made(3)
    await setup.told(3)
    assert told() == in_order[::-1]

    setup.receiver.received.clear()
    await setup.control("PUT", "/delivery", {"dropEvery": 1, "typePrefix": "price."})
    elsewhere = await made(1)
    await setup.told(1)
    assert told() == elsewhere, "only what begins so"
    await setup.control("DELETE", "/delivery")
    assert (await setup.control("GET", "/delivery"))["dropEvery"] == 0
    assert (await setup.http.put("/_sandbox/delivery", json={"reorder": 101})).status_code == 422


async def test_a_seeded_session_is_complete_and_nobody_is_told(setup: Setup) -> None:
    made = await setup.control(
        "POST", "/checkout-sessions", seed(customerId="cus_1", customerEmail="ada@example.com")
    )
    assert made["event"]["data"]["object"] == made["session"]
    session = await setup.client.v1.checkout.sessions.retrieve_async(
        made["session"]["id"], {"expand": ["payment_intent", "customer", "line_items"]}
    )
    assert (session.status, session.payment_status, session.amount_total) == ("complete", "paid", 999)
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    assert isinstance(session.customer, stripe.Customer)
    assert (session.payment_intent.status, session.customer.email) == ("succeeded", "ada@example.com")
    late = await setup.control("POST", "/checkout-sessions", seed(paymentStatus="unpaid"))
    intent = await setup.client.v1.payment_intents.retrieve_async(late["session"]["payment_intent"])
    assert (late["session"]["payment_status"], intent.status) == ("unpaid", "processing")
    still_open = await setup.control("POST", "/checkout-sessions", seed(status="open"))
    assert (still_open["event"], still_open["session"]["status"]) == (None, "open")
    assert (await setup.client.v1.events.list_async({"delivery_success": True})).data == []
    assert setup.receiver.received == []


async def test_one_session_is_told_of_under_two_events_many_times(setup: Setup) -> None:
    made = await setup.control("POST", "/checkout-sessions", seed())
    twin = await setup.control(
        "POST", "/events", {"type": "checkout.session.completed", "objectId": made["session"]["id"], "id": "evt_twin"}
    )
    assert twin["data"] == made["event"]["data"]
    together = await setup.control("POST", "/events/evt_twin/deliver", {"times": 20, "concurrently": True})
    assert together == {"statuses": [200] * 20}
    setup.receiver.statuses = [400]
    one_by_one = await setup.control("POST", f"/events/{made['event']['id']}/deliver", {"times": 2})
    assert one_by_one == {"statuses": [400, 200]}
    ids = [json.loads(body)["id"] for _, body in setup.receiver.received]
    assert (ids.count("evt_twin"), ids.count(made["event"]["id"])) == (20, 2)
    for path, body, status in (
        ("/events", {"type": "a.b", "objectId": "cs_gone"}, 404),
        ("/events", {"type": "a.b", "objectId": made["session"]["id"], "id": "evt_twin"}, 409),
        ("/events", {"type": "a.b"}, 422),
        ("/events/evt_gone/deliver", {}, 404),
        ("/events/evt_twin/deliver", {"times": 51}, 422),
    ):
        assert (await setup.http.post(f"/_sandbox{path}", json=body)).status_code == status


async def test_raw_objects_are_answered_as_they_were_put_and_reset_forgets(setup: Setup) -> None:
    raw = {"id": "cs_raw", "object": "checkout.session", "created": 5, "expires_at": 5, "status": "open"}
    items = [{"id": f"li_{number}", "object": "item", "description": str(number)} for number in range(12)]
    await setup.control("PUT", "/objects", raw | {"line_items": {"object": "list", "data": items}})
    sessions = setup.client.v1.checkout.sessions
    assert (await sessions.retrieve_async("cs_raw")).to_dict() == raw
    expanded = await sessions.retrieve_async("cs_raw", {"expand": ["line_items"]})
    assert expanded.line_items is not None
    assert (len(expanded.line_items.data), expanded.line_items.has_more) == (10, True)
    assert "cs_raw" in (await setup.http.get("/checkout-sessions")).text
    assert (await setup.http.get("/checkout/cs_raw")).status_code == 404
    await setup.control("PUT", "/objects", {"id": "evt_raw", "object": "event"})
    assert "evt_raw" in (await setup.http.get("/events")).text
    page = await sessions.line_items.list_async("cs_raw", {"limit": 5})
    assert [item.description async for item in page.auto_paging_iter()] == [str(number) for number in range(12)]
    assert (await setup.http.put("/_sandbox/objects", json={"object": "price"})).status_code == 422
    await setup.control("POST", "/reset")
    assert (await sessions.list_async()).data == []
    assert len((await setup.control("GET", "/requests"))["requests"]) == 1


# Restart, pages, shapes


async def test_state_and_owed_webhooks_survive_a_restart(tmp_path: Path) -> None:
    store_path, clock = str(tmp_path / "data" / "stripe.db"), MovableClock()
    with listening() as (receiver, webhook_url):
        async with running(store_path, receiver, clock, "http://127.0.0.1:9/closed", (30.0,)) as before:
            made = await before.client.v1.customers.create_async({"name": "Ada"}, {"idempotency_key": "key-1"})
            await before.new_session()
        assert receiver.received == []
        async with running(store_path, receiver, clock, webhook_url) as after:
            again = await after.client.v1.customers.create_async({"name": "Ada"}, {"idempotency_key": "key-1"})
            assert again.id == made.id
            assert sorted(await after.told(3)) == ["customer.created", "price.created", "product.created"]


async def test_pages_show_what_there_is_and_escape_it(setup: Setup) -> None:
    assert PAYING_CARD in (await setup.http.get("/")).text
    assert "Nothing has happened yet" in (await setup.http.get("/events")).text
    session = await setup.new_session(client_reference_id="<script>alert(1)</script>")
    listed = (await setup.http.get("/checkout-sessions")).text
    assert f'href="/checkout/{session.id}"' in listed
    assert "<script>" not in listed
    assert (await setup.http.get("/checkout/cs_test_gone")).status_code == 404


def test_an_application_without_its_secrets_does_not_start() -> None:
    for secret_key, webhook_secrets in (("", ("whsec_1",)), (SECRET_KEY, ()), (SECRET_KEY, ("",))):
        with pytest.raises(ValueError, match="secret"):
            create_app(
                store_path=":memory:",
                secret_key=secret_key,
                webhook_secrets=webhook_secrets,
                webhook_url="http://127.0.0.1:9/",
            )


def missing_keys(sample: Any, answer: Any, path: str = "") -> list[str]:
    """Paths of the sample that the answer lacks; where either side has no structure there is nothing to compare."""
    if not isinstance(sample, dict) or not isinstance(answer, dict):
        return []
    missing = [f"{path}{name}" for name in sample if name not in answer]
    shared = [name for name in sample if name in answer and name != "metadata"]
    return missing + [
        entry for name in shared for entry in missing_keys(sample[name], answer[name], f"{path}{name}.")
    ]


@pytest.mark.skipif(not SAMPLES.exists(), reason="Stripe's published samples are not beside the repository")
async def test_answers_have_every_key_of_the_published_samples(setup: Setup) -> None:
    samples = json.loads(SAMPLES.read_text())["resources"]
    client = setup.client.v1
    customer = await client.customers.create_async({"email": "ada@example.com"})
    product = await client.products.create_async({"name": "Team"})
    terms: Any = {"product": product.id, "currency": "usd", "unit_amount": 5, "recurring": {"interval": "month"}}
    opened = await setup.new_session(customer=customer.id)
    await setup.submit(opened, PAYING_CARD)
    paths = ["line_items", "payment_intent.latest_charge", "payment_intent.payment_method"]
    paid = (await client.checkout.sessions.retrieve_async(opened.id, {"expand": paths})).to_dict()
    intent, event = paid["payment_intent"], (await client.events.list_async({"limit": 1})).data[0]
    answers = {
        "balance": await setup.balance(),
        "charge": intent["latest_charge"],
        "checkout.session": paid,
        "customer": customer,
        "event": event,
        "item": paid["line_items"]["data"][0],
        "payment_intent": intent,
        "payment_method": intent["payment_method"],
        "price": await client.prices.create_async(terms),
        "product": product,
    }
    for name, answer in answers.items():
        given = answer.to_dict() if isinstance(answer, stripe.StripeObject) else answer
        sample = samples[name] | ({"data": {}} if name == "event" else {})
        assert missing_keys(sample, given) == [], name
    assert missing_keys(samples["checkout.session"], event.data.object.to_dict()) == []
