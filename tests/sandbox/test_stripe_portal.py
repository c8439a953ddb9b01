"""The sandbox Stripe's billing portal: its configurations and sessions by the SDK, its page as a person sees it."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_setup import Setup, fresh_sandbox
from tests.sandbox.test_stripe_checkout import missing_keys

# The SDK's HTTPXClient hands its form body to httpx as `data`, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "stripe" / "fixtures3.json"
RETURN_URL = "http://localhost:3000/billing"
FEATURES: Any = {
    "customer_update": {"enabled": True, "allowed_updates": ["email", "address"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {
        "enabled": True,
        "mode": "at_period_end",
        "cancellation_reason": {"enabled": True, "options": ["too_expensive", "other"]},
    },
}


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with fresh_sandbox() as one:
        yield one


async def configured(setup: Setup, **features: Any) -> stripe.billing_portal.Configuration:
    params: Any = {"features": {**FEATURES, **features}}
    return await setup.client.v1.billing_portal.configurations.create_async(params)


async def subscribed(setup: Setup) -> tuple[stripe.Customer, stripe.Subscription]:
    client = setup.client.v1
    customer = await client.customers.create_async(
        {
            "email": "ada@example.com",
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
        }
    )
    price = await client.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": 9999,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Team standard"},
        }
    )
    return customer, await client.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": price.id}], "billing_mode": {"type": "flexible"}}
    )


async def entered(setup: Setup, customer: str, configuration: str, **more: Any) -> stripe.billing_portal.Session:
    params: Any = {"customer": customer, "configuration": configuration, "return_url": RETURN_URL, **more}
    return await setup.client.v1.billing_portal.sessions.create_async(params)


async def test_configurations_are_made_changed_and_listed(setup: Setup) -> None:
    configurations = setup.client.v1.billing_portal.configurations
    made = await configurations.create_async(
        {
            "features": FEATURES,
            "business_profile": {"headline": "Hello", "privacy_policy_url": "https://example.com/privacy"},
            "default_return_url": RETURN_URL,
            "metadata": {"app": "pm"},
        }
    )
    assert (made.is_default, made.active, made.default_return_url) == (False, True, RETURN_URL)
    assert (made.features.subscription_cancel.mode, made.features.subscription_update.enabled) == (
        "at_period_end",
        False,
    )
    changed = await configurations.update_async(
        made.id, {"features": {"subscription_cancel": {"mode": "immediately"}}, "name": "Main"}
    )
    assert (changed.features.subscription_cancel.mode, changed.features.subscription_cancel.enabled) == (
        "immediately",
        True,
    )
    assert (changed.name, changed.business_profile.headline) == ("Main", "Hello")
    other = await configured(setup)
    await configurations.update_async(other.id, {"active": False})
    assert [one.id for one in (await configurations.list_async({"active": True})).data] == [made.id]
    assert (await configurations.retrieve_async(other.id)).active is False
    customer = await setup.client.v1.customers.create_async({})
    with pytest.raises(stripe.InvalidRequestError, match="not active"):
        await entered(setup, customer.id, other.id)
    with pytest.raises(stripe.InvalidRequestError, match="No configuration provided"):
        await setup.client.v1.billing_portal.sessions.create_async({"customer": customer.id})
    await setup.control("PUT", "/portal-default", {"configuration": made.id})
    session = await setup.client.v1.billing_portal.sessions.create_async({"customer": customer.id})
    assert (session.configuration, session.return_url) == (made.id, RETURN_URL)
    assert [one.id for one in (await configurations.list_async({"is_default": True})).data] == [made.id]
    for wrong in ({}, {"features": {"subscription_pause": {"enabled": True}}}, {"features": {}, "colour": "red"}):
        with pytest.raises(stripe.InvalidRequestError):
            await configurations.create_async(wrong)  # type: ignore[arg-type]
    assert (await setup.types())[:6] == [
        "billing_portal.session.created",
        "customer.created",
        "billing_portal.configuration.updated",
        "billing_portal.configuration.created",
        "billing_portal.configuration.updated",
        "billing_portal.configuration.created",
    ]


async def test_a_person_cancels_at_period_end_and_stays_after_all(setup: Setup) -> None:
    configuration = await configured(setup)
    customer, subscription = await subscribed(setup)
    session = await entered(setup, customer.id, configuration.id)
    assert (session.url, session.return_url) == (f"{setup.url}/portal/{session.id}", RETURN_URL)
    shown = (await setup.http.get(session.url)).text
    for words in ("Team standard", "99.99 USD", "Visa ending in 4242", "PDF", "Too expensive", RETURN_URL):
        assert words in shown
    address = f"{session.url}/subscriptions/{subscription.id}"
    left = await setup.http.post(f"{address}/cancel", data={"feedback": "too_expensive"})
    assert (left.status_code, left.headers["Location"]) == (303, f"/portal/{session.id}")
    going = await setup.client.v1.subscriptions.retrieve_async(subscription.id)
    assert going.cancellation_details is not None
    assert (going.status, going.cancel_at_period_end, going.cancellation_details.feedback) == (
        "active",
        True,
        "too_expensive",
    )
    assert (await setup.types())[0] == "customer.subscription.updated"
    assert "Keep the subscription" in (await setup.http.get(session.url)).text
    await setup.http.post(f"{address}/resume")
    staying = await setup.client.v1.subscriptions.retrieve_async(subscription.id)
    assert (staying.cancel_at_period_end, staying.cancel_at) == (False, None)
    foreign = await setup.http.post(f"{session.url}/subscriptions/sub_gone/cancel")
    assert (foreign.status_code, "not yours" in foreign.text) == (409, True)


async def test_a_person_adds_chooses_and_removes_cards(setup: Setup) -> None:
    configuration = await configured(setup)
    customer, _ = await subscribed(setup)
    assert customer.invoice_settings is not None
    first = customer.invoice_settings.default_payment_method
    session = await entered(setup, customer.id, configuration.id)
    opened = await setup.http.post(f"{session.url}/cards")
    assert (opened.status_code, "/_sandbox/elements/seti_" in opened.headers["Location"]) == (303, True)
    fields = {"card_number": "5555 5555 5555 4444", "expiry": "11 / 41"}
    typed = await setup.http.post(opened.headers["Location"], data=fields)
    back = await setup.http.get(typed.headers["Location"])
    assert (back.status_code, back.headers["Location"]) == (303, f"/portal/{session.id}")
    cards = (await setup.client.v1.customers.payment_methods.list_async(customer.id)).data
    assert len(cards) == 2
    second = cards[0].id
    kept = await setup.http.post(f"{session.url}/cards/{first}/remove")
    assert (kept.status_code, "pays for a subscription" in kept.text) == (409, True)
    assert (await setup.http.post(f"{session.url}/cards/{second}/default")).status_code == 303
    now = await setup.client.v1.customers.retrieve_async(customer.id)
    assert now.invoice_settings is not None
    assert now.invoice_settings.default_payment_method == second
    assert (await setup.http.post(f"{session.url}/cards/{first}/remove")).status_code == 303
    assert [one.id for one in (await setup.client.v1.payment_methods.list_async({"customer": customer.id})).data] == [
        second
    ]
    assert (await setup.types())[:2] == ["payment_method.detached", "customer.updated"]
    assert (await setup.http.post(f"{session.url}/cards/pm_gone/default")).status_code == 409


async def test_a_new_default_also_replaces_a_subscriptions_own_card(setup: Setup) -> None:
    client, configuration = setup.client.v1, await configured(setup)
    customer, subscription = await subscribed(setup)
    own = await client.payment_methods.attach_async("pm_card_mastercard", {"customer": customer.id})
    await client.subscriptions.update_async(subscription.id, {"default_payment_method": own.id})
    chosen = await client.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    session = await entered(setup, customer.id, configuration.id)
    await setup.http.post(f"{session.url}/cards/{chosen.id}/default")
    assert (await client.subscriptions.retrieve_async(subscription.id)).default_payment_method == chosen.id
    assert (await setup.http.post(f"{session.url}/cards/{own.id}/remove")).status_code == 303


async def test_a_portal_allows_what_it_is_configured_to(setup: Setup) -> None:
    bare = await setup.client.v1.billing_portal.configurations.create_async(
        {"features": {"invoice_history": {"enabled": False}}}
    )
    customer, subscription = await subscribed(setup)
    session = await entered(setup, customer.id, bare.id)
    shown = (await setup.http.get(session.url)).text
    assert [word in shown for word in ("Team standard", "Cancel", "Add a card", "PDF")] == [True, False, False, False]
    for path, status in ((f"subscriptions/{subscription.id}/cancel", 409), ("cards", 403)):
        assert (await setup.http.post(f"{session.url}/{path}")).status_code == status
    at_once = await configured(setup, subscription_cancel={"enabled": True, "mode": "immediately"})
    session = await entered(setup, customer.id, at_once.id)
    await setup.http.post(f"{session.url}/subscriptions/{subscription.id}/cancel")
    assert (await setup.client.v1.subscriptions.retrieve_async(subscription.id)).status == "canceled"
    assert (await setup.types())[0] == "customer.subscription.deleted"
    assert "No subscription is running" in (await setup.http.get(session.url)).text
    setup.clock.moment += timedelta(hours=1, seconds=1)
    assert (await setup.http.get(session.url)).status_code == 410
    assert (await setup.http.get("/portal/bps_gone")).status_code == 404


async def test_a_flow_leads_to_one_thing_and_back(setup: Setup) -> None:
    configuration = await configured(setup)
    customer, subscription = await subscribed(setup)
    flow: Any = {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": subscription.id},
        "after_completion": {"type": "redirect", "redirect": {"return_url": f"{RETURN_URL}?left=1"}},
    }
    session = await entered(setup, customer.id, configuration.id, flow_data=flow)
    shown = (await setup.http.get(session.url)).text
    assert ("Cancel at the end" in shown, "Add a card" in shown) == (True, False)
    left = await setup.http.post(f"{session.url}/subscriptions/{subscription.id}/cancel")
    assert left.headers["Location"] == f"{RETURN_URL}?left=1"
    with pytest.raises(stripe.InvalidRequestError, match="already set to be canceled"):
        await entered(setup, customer.id, configuration.id, flow_data=flow)
    with pytest.raises(stripe.InvalidRequestError, match="Missing required param"):
        await entered(setup, customer.id, configuration.id, flow_data={"type": "subscription_cancel"})


@pytest.mark.skipif(not SAMPLES.exists(), reason="Stripe's published samples are not beside the repository")
async def test_answers_have_every_key_of_the_published_samples(setup: Setup) -> None:
    samples = json.loads(SAMPLES.read_text())["resources"]
    configuration = await configured(setup)
    customer, subscription = await subscribed(setup)
    flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscription.id}}
    session = await entered(setup, customer.id, configuration.id, flow_data=flow)
    for name, answer in (("billing_portal.configuration", configuration), ("billing_portal.session", session)):
        assert missing_keys(samples[name], answer.to_dict()) == [], name
