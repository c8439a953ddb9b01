"""Flows within flows, bodies that are none, and kinds that only other processes know."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from pm_api.core import flows
from pm_api.integrations.stripe import StripeDoor
from tests.domains.billing.subscribing import SUBSCRIPTIONS, Shop, new_key
from tests.support.processes import free_port
from tests.support.stripe import door_to

CHECKOUT = "/api/billing/checkout-session"
CUSTOMERS = "/v1/customers"


async def test_a_customer_that_takes_long_is_no_refusal_that_is_kept(shop: Shop) -> None:
    """Two pages are opened at once, and the customer that both need is made by the first."""
    person = await shop.person()
    await shop.till.stripe.fail(pathPrefix=CUSTOMERS, method="POST", delayS=4, times=1)
    first = asyncio.create_task(shop.done(person, "POST", CHECKOUT, 201, pack="MEDIUM"))
    await asyncio.sleep(0.5)
    key = new_key()
    second = await shop.send(person, "POST", CHECKOUT, key=key, pack="SMALL")
    assert (second.status_code, second.json()["code"]) == (503, "payment_provider_unavailable"), second.text
    await first
    again = await shop.send(person, "POST", CHECKOUT, key=key, pack="SMALL")
    assert again.status_code == 201, again.text
    assert await shop.rows("SELECT count(*) FROM stripe_customers") == [(1,)]


async def test_without_a_connection_nothing_is_left_open_though_the_customer_comes_first(shop: Shop) -> None:
    person = await shop.person()
    whole = shop.door
    away = door_to(shop.till.platform, f"http://127.0.0.1:{free_port()}")
    shop.till.platform.provide(away)
    refused = await shop.refused(person, "POST", SUBSCRIPTIONS, plan="INDIVIDUAL_PRO")
    shop.till.platform.provide(whole)
    await away.close()
    assert refused == (503, "payment_provider_unavailable")
    assert set(await shop.rows("SELECT status FROM flows")) == {("ABANDONED",)}
    await shop.done(person, "POST", SUBSCRIPTIONS, 201, plan="INDIVIDUAL_PRO")
    assert shop.till.platform.part(StripeDoor) is whole


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"pack=MEDIUM", "application/x-www-form-urlencoded", 400),
        (b'{"pack": "MEDIUM", "more": NaN}', "application/json", 422),
        (b'{"pack": "\\ud800"}', "application/json", 422),
        (b'{"pack": ', "application/json", 400),
        (b"[1]", "application/json", 422),
    ],
)
async def test_a_body_that_is_none_is_the_callers_mistake(shop: Shop, body: bytes, kind: str, status: int) -> None:
    person = await shop.person()
    answer = await person.client.post(
        CHECKOUT, content=body, headers={"Content-Type": kind, "Idempotency-Key": new_key()}
    )
    assert answer.status_code == status, answer.text


async def test_a_kind_that_only_newer_processes_know_stops_no_sweep(shop: Shop) -> None:
    """While a new version is rolled out."""
    person = await shop.person()
    await shop.till.stripe.fail(status=500, times=99, pathPrefix="/v1/invoices", method="GET")
    lost = await shop.send(person, "POST", SUBSCRIPTIONS, plan="INDIVIDUAL_PRO")
    assert lost.json()["code"] == "payment_provider_unavailable"
    await shop.till.stripe.heal()
    strange: dict[str, Any] = {"id": uuid4(), "kind": "billing.from_tomorrow"}
    await shop.installation.execute(
        "INSERT INTO flows (id, kind, parameters, status, tried_at, look_at, created_at) "
        "SELECT :id, :kind, '{}', 'OPEN', tried_at, look_at - interval '1 hour', created_at FROM flows LIMIT 1",
        **strange,
    )
    await flows.sweep(shop.till.platform)
    rows = await shop.rows(
        "SELECT kind, status FROM flows WHERE status = 'OPEN' OR kind LIKE '%begin%' ORDER BY kind"
    )
    assert rows == [("billing.begin_subscription", "DONE"), ("billing.from_tomorrow", "OPEN")]
