"""The sandbox Stripe's API, driven by the official SDK over HTTP as the application drives it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import stripe

from tests.sandbox.stripe_setup import SECRET_KEY, Setup, fresh_sandbox, sdk_client

# The SDK's HTTPXClient hands its form body to httpx as `data`, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with fresh_sandbox() as one:
        yield one


# Customers, catalogue, lists


async def test_a_customer_lives_changes_and_is_deleted(setup: Setup) -> None:
    customers = setup.client.v1.customers
    made = await customers.create_async(
        {"email": "ada@example.com", "metadata": {"accountId": "u1", "plan": "free"}, "address": {"city": "Paris"}}
    )
    assert made.address is not None
    assert (made.id[:4], made.email, made.address.city) == ("cus_", "ada@example.com", "Paris")
    changed = await customers.update_async(made.id, {"name": "Ada", "metadata": {"plan": ""}})
    assert (changed.name, changed.email) == ("Ada", "ada@example.com")
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"accountId": "u1"}
    assert (await customers.delete_async(made.id)).deleted is True
    assert (await customers.retrieve_async(made.id)).deleted is True
    assert (await customers.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        await customers.update_async(made.id, {"name": "Eve"})
    assert await setup.types() == ["customer.deleted", "customer.updated", "customer.created"]


async def test_lists_page_both_ways_newest_first(setup: Setup) -> None:
    customers = setup.client.v1.customers
    ids = [(await customers.create_async({"email": f"{number}@example.com"})).id for number in range(7)][::-1]
    first = await customers.list_async({"limit": 3})
    assert ([one.id for one in first.data], first.has_more) == (ids[:3], True)
    last = await customers.list_async({"limit": 3, "starting_after": ids[3]})
    assert ([one.id for one in last.data], last.has_more) == (ids[4:], False)
    back = await customers.list_async({"limit": 3, "ending_before": ids[4]})
    assert ([one.id for one in back.data], back.has_more) == (ids[1:4], True)
    assert [one.id async for one in first.auto_paging_iter()] == ids
    assert [one.id for one in (await customers.list_async({"email": "3@example.com"})).data] == [ids[3]]
    now = int(setup.clock().timestamp())
    assert (await customers.list_async({"created": {"gt": now}})).data == []
    assert len((await customers.list_async({"created": {"gte": now}})).data) == 7
    for wrong in (
        {"limit": 101},
        {"starting_after": "cus_gone"},
        {"starting_after": ids[0], "ending_before": ids[1]},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            await customers.list_async(wrong)  # type: ignore[arg-type]


async def test_products_and_prices(setup: Setup) -> None:
    products, prices = setup.client.v1.products, setup.client.v1.prices
    product = await products.create_async({"name": "Team", "metadata": {"plan": "TEAM_STANDARD"}})
    monthly = await prices.create_async(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 9999,
            "recurring": {"interval": "month"},
            "lookup_key": "team_standard_monthly",
        }
    )
    once = await prices.create_async({"currency": "EUR", "unit_amount": 500, "product_data": {"name": "Pack"}})
    assert (monthly.type, once.type, once.currency) == ("recurring", "one_time", "eur")
    assert str(monthly.unit_amount_decimal) == "9999"
    fetched = await prices.retrieve_async(monthly.id, {"expand": ["product"]})
    assert isinstance(fetched.product, stripe.Product)
    assert fetched.product.name == "Team"
    for filters, expected in (
        ({"lookup_keys": ["team_standard_monthly", "other"]}, [monthly.id]),
        ({"recurring": {"interval": "year"}}, []),
        ({"type": "one_time"}, [once.id]),
        ({"active": True}, [once.id, monthly.id]),
        ({"product": product.id}, [monthly.id]),
    ):
        page = await prices.list_async(filters)  # type: ignore[arg-type]
        assert [price.id for price in page.data] == expected
    assert [one.id for one in (await products.list_async({"ids": [product.id]})).data] == [product.id]
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        await prices.create_async(
            {"product": product.id, "currency": "usd", "unit_amount": 1, "lookup_key": "team_standard_monthly"}
        )


# The wire


async def test_refusals_become_the_exceptions_of_the_sdk(setup: Setup) -> None:
    client = setup.client.v1
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await client.checkout.sessions.retrieve_async("cs_test_gone")
    assert (missing.value.http_status, missing.value.code, missing.value.param) == (
        404,
        "resource_missing",
        "session",
    )
    assert missing.value.request_id is not None
    assert missing.value.request_id.startswith("req_")
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        await client.payouts.list_async()
    assert (unknown.value.http_status, "Unrecognized request URL" in str(unknown.value)) == (404, True)
    with pytest.raises(stripe.InvalidRequestError) as absent:
        await client.products.create_async({})  # type: ignore[typeddict-item]
    assert (absent.value.code, absent.value.param) == ("parameter_missing", "name")
    with pytest.raises(stripe.InvalidRequestError) as surplus:
        await client.customers.create_async({"emial": "ada@example.com"})  # type: ignore[arg-type]
    assert (surplus.value.code, surplus.value.param) == ("parameter_unknown", "emial")
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await client.customers.create_async({"expand": ["nothing"]})
    assert (await client.customers.list_async()).data == []
    async with sdk_client(setup.url, key="sk_test_somebodyElsesKey12345") as stranger:
        with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided"):
            await stranger.v1.balance.retrieve_async()


async def test_headers_basic_authentication_and_the_request_log(setup: Setup) -> None:
    token = base64.b64encode(f"{SECRET_KEY}:".encode()).decode()
    answer = await setup.http.get("/v1/balance", headers={"Authorization": f"Basic {token}"})
    assert (answer.status_code, answer.headers["Stripe-Version"]) == (200, "2026-10-28.endive")
    assert (await setup.http.get("/v1/balance")).status_code == 401
    await setup.client.v1.customers.create_async({}, {"idempotency_key": "key-1"})
    await setup.client.v1.balance.retrieve_async({}, {"stripe_version": "2025-01-27.acacia"})
    seen = [
        (entry["method"], entry["path"], entry["idempotencyKey"], entry["apiVersion"])
        for entry in (await setup.control("GET", "/requests"))["requests"]
    ]
    assert seen[2:] == [
        ("POST", "/v1/customers", "key-1", "2026-10-28.endive"),
        ("GET", "/v1/balance", None, "2025-01-27.acacia"),
    ]


async def test_an_idempotency_key_replays_for_24_hours(setup: Setup) -> None:
    customers = setup.client.v1.customers
    first = await customers.create_async({"name": "Ada"}, {"idempotency_key": "key-1"})
    again = await customers.create_async({"name": "Ada"}, {"idempotency_key": "key-1"})
    assert first.id == again.id
    assert first.last_response is not None
    assert again.last_response is not None
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.request_id
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        await customers.create_async({"name": "Eve"}, {"idempotency_key": "key-1"})
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await setup.client.v1.products.create_async({"name": "Ada"}, {"idempotency_key": "key-1"})
    setup.clock.moment += timedelta(hours=24, seconds=1)
    later = await customers.create_async({"name": "Ada"}, {"idempotency_key": "key-1"})
    assert later.id != first.id


async def test_a_key_in_use_is_refused_and_a_refused_parameter_is_not_remembered(setup: Setup) -> None:
    products = setup.client.v1.products
    with pytest.raises(stripe.InvalidRequestError):
        await products.create_async({}, {"idempotency_key": "key-1"})  # type: ignore[typeddict-item]
    assert (await products.create_async({"name": "Pack"}, {"idempotency_key": "key-1"})).name == "Pack"
    await setup.control("PUT", "/faults", {"pathPrefix": "/v1/products", "delayS": 0.3})
    slow = asyncio.create_task(products.create_async({"name": "Slow"}, {"idempotency_key": "key-2"}))
    await asyncio.sleep(0.1)
    with pytest.raises(stripe.APIError) as conflict:
        await products.create_async({"name": "Slow"}, {"idempotency_key": "key-2"})
    assert conflict.value.http_status == 409
    assert (await slow).name == "Slow"


# Faults


async def test_faults_fail_slow_down_and_run_out(setup: Setup) -> None:
    assert (await setup.balance()).object == "balance"
    await setup.control("PUT", "/faults", {"path_prefix": "/v1/balance", "status": 429, "times": 2})
    assert (await setup.client.v1.customers.list_async()).data == []
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            await setup.balance()
    assert (await setup.balance()).object == "balance"
    await setup.control("PUT", "/faults", {"delayS": 2})
    async with sdk_client(setup.url, timeout_s=0.2) as impatient:
        with pytest.raises(stripe.APIConnectionError):
            await impatient.v1.balance.retrieve_async()
    await setup.control("PUT", "/faults", {"times": 5})
    assert (await setup.control("DELETE", "/faults")) == {"faults": []}
    assert (await setup.balance()).object == "balance"


async def test_a_failure_before_acting_is_stored_under_its_key(setup: Setup) -> None:
    await setup.control("PUT", "/faults", {"status": 500})
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            await setup.client.v1.customers.create_async({}, {"idempotency_key": "key-1"})
        assert failed.value.http_status == 500
    assert failed.value.headers is not None
    assert failed.value.headers["Idempotent-Replayed"] == "true"
    assert (await setup.client.v1.customers.list_async()).data == []


async def test_acting_and_then_failing(setup: Setup) -> None:
    customers = setup.client.v1.customers
    await setup.control("PUT", "/faults", {"status": 500, "actThenFail": True})
    with pytest.raises(stripe.APIError):
        await customers.create_async({"name": "told of a failure"}, {"idempotency_key": "key-1"})
    assert [one.name for one in (await customers.list_async()).data] == ["told of a failure"]
    await setup.control("PUT", "/faults", {"delayS": 2, "actThenFail": True})
    async with sdk_client(setup.url, timeout_s=0.2) as impatient:
        with pytest.raises(stripe.APIConnectionError):
            await impatient.v1.customers.create_async({"name": "never told"}, {"idempotency_key": "key-2"})
    retried = await customers.create_async({"name": "never told"}, {"idempotency_key": "key-2"})
    assert [one.id for one in (await customers.list_async({"limit": 1})).data] == [retried.id]
    assert len((await customers.list_async()).data) == 2
