"""Nothing of the SDK passes the door: every function, whatever Stripe answers, or when it does not answer."""

import asyncio
import importlib
import inspect
import pkgutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pm_api.integrations import stripe as package
from pm_api.integrations.stripe import (
    CardDeclined,
    CheckoutVisit,
    PaymentProviderUnavailable,
    PercentOff,
    PricedItem,
    StripeDoor,
    StripeObjectMissing,
    StripeRefused,
    customers,
    payment_methods,
    payments,
    refunds,
    subscriptions,
)
from tests.integrations.stripe_doors import ASKS_ALWAYS, DECLINES_LATER, door_to, new_key
from tests.sandbox.stripe_setup import served
from tests.support.settings import STRIPE_KEY
from tests.support.stripe import SandboxStripe, sandbox_stripe

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
VISIT = CheckoutVisit(
    customer_id="cus_1",
    reference="row-1",
    metadata={"pack": "MEDIUM"},
    success_url="http://localhost:3000/done",
    cancel_url="http://localhost:3000/credits",
)
# One value for every parameter that has no default, by its name.
EXAMPLES: dict[str, Any] = {
    "amount": 500,
    "charge_id": "ch_1",
    "code": "SPRING",
    "coupon_id": "co_1",
    "currency": "USD",
    "customer_id": "cus_1",
    "description": "500 credits",
    "dispute_id": "dp_1",
    "duration": 3,
    "email": "ada@example.com",
    "events": ["invoice.paid"],
    "exp_month": 5,
    "exp_year": 2040,
    "interval": "month",
    "invoice_id": "in_1",
    "item": PricedItem("price_1"),
    "item_id": "si_1",
    "items": [PricedItem("price_1")],
    "lookup_key": "team_monthly",
    "metadata": {"intent": "1"},
    "name": "Ada",
    "off": PercentOff(Decimal("12.5")),
    "payment_intent_id": "pi_1",
    "payment_method_id": "pm_1",
    "price_id": "price_1",
    "product_id": "prod_1",
    "promotion_code_id": "promo_1",
    "prorate_at": MOMENT,
    "refund_id": "re_1",
    "return_url": "http://localhost:3000/billing",
    "schedule_id": "sub_sched_1",
    "session_id": "cs_1",
    "setup_intent_id": "seti_1",
    "since": MOMENT,
    "subscription_id": "sub_1",
    "types": ["invoice.paid"],
    "unit_amount": 999,
    "url": "https://api.example.com/api/webhooks/stripe",
    "visit": VISIT,
}
Function = Callable[..., Awaitable[Any]]


def functions() -> dict[str, Function]:
    """Every function of the package that takes the door."""
    found: dict[str, Function] = {}
    for module in pkgutil.iter_modules(package.__path__):
        part = importlib.import_module(f"{package.__name__}.{module.name}")
        for name, value in vars(part).items():
            if name.startswith("_") or not inspect.iscoroutinefunction(value) or value.__module__ != part.__name__:
                continue
            if "door" in inspect.signature(value).parameters:
                found[f"{module.name}.{name}"] = value
    return found


FUNCTIONS = functions()
READS = ("retrieve", "list", "find", "preview", "pdf")


def is_write(name: str) -> bool:
    return not name.split(".")[1].startswith(READS)


async def called(name: str, door: StripeDoor) -> Any:
    arguments: dict[str, Any] = {}
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        if parameter.name == "door":
            arguments["door"] = door
        elif parameter.name == "key":
            arguments["key"] = new_key()
        elif parameter.default is inspect.Parameter.empty:
            arguments[parameter.name] = EXAMPLES[parameter.name]
    return await FUNCTIONS[name](**arguments)


async def outcomes(door: StripeDoor) -> dict[str, type[BaseException] | None]:
    """What each function raises; all at once, for each waits before it tries again."""
    answers = await asyncio.gather(*(called(name, door) for name in FUNCTIONS), return_exceptions=True)
    return {
        name: type(answer) if isinstance(answer, BaseException) else None
        for name, answer in zip(FUNCTIONS, answers, strict=True)
    }


@pytest.fixture(scope="module")
async def stripe() -> AsyncIterator[SandboxStripe]:
    async with sandbox_stripe() as running:
        yield running


KEYLESS = {"customers.delete"}
"""An HTTP DELETE: Stripe gives a key no effect there, and the second one finds nothing left to do."""


def test_every_write_takes_our_key_and_no_read_does() -> None:
    assert len(FUNCTIONS) > 40
    for name, function in FUNCTIONS.items():
        parameters = inspect.signature(function).parameters
        assert ("key" in parameters) is (is_write(name) and name not in KEYLESS), name
        if "key" in parameters:
            assert parameters["key"].kind is inspect.Parameter.KEYWORD_ONLY, name
            assert parameters["key"].default is inspect.Parameter.empty, name


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, StripeRefused),
        (401, PaymentProviderUnavailable),
        (402, CardDeclined),
        (403, PaymentProviderUnavailable),
        (404, StripeObjectMissing),
        (409, PaymentProviderUnavailable),
        (429, PaymentProviderUnavailable),
        (500, PaymentProviderUnavailable),
        (503, PaymentProviderUnavailable),
    ],
)
async def test_each_refusal_becomes_ours(stripe: SandboxStripe, status: int, expected: type[Exception]) -> None:
    await stripe.fail(status=status, times=1000)
    try:
        async with door_to(stripe.url) as door:
            assert await outcomes(door) == dict.fromkeys(FUNCTIONS, expected)
    finally:
        await stripe.heal()


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with door_to(address) as door:
        assert await outcomes(door) == dict.fromkeys(FUNCTIONS, PaymentProviderUnavailable)


async def test_no_answer_in_time(stripe: SandboxStripe) -> None:
    await stripe.fail(delay_s=1, times=1000)
    try:
        async with door_to(stripe.url, timeout_s=0.3) as door:
            with pytest.raises(PaymentProviderUnavailable):
                await customers.retrieve(door, "cus_1")
    finally:
        await stripe.heal()


@pytest.mark.parametrize("body", ["<html>We will be back</html>", '{"id": "cus_', "\udcff"])
async def test_an_answer_that_is_not_of_stripe(body: str) -> None:
    async def answer(_request: Request) -> Response:
        return Response(body.encode(errors="surrogateescape"), media_type="application/json")

    with served(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "DELETE"])])) as address:
        async with door_to(address) as door:
            assert await outcomes(door) == dict.fromkeys(FUNCTIONS, PaymentProviderUnavailable)


@pytest.mark.parametrize("identifier", ["", ".", "..", "cus_nobody", "a/../b", "é ?#%", "x" * 255])
async def test_ids_that_name_nothing(stripe: SandboxStripe, identifier: str) -> None:
    """Some of them would be another path: the list, or its parent."""
    async with door_to(stripe.url) as door:
        with pytest.raises(StripeObjectMissing):
            await customers.retrieve(door, identifier)
        with pytest.raises(StripeObjectMissing):
            await payment_methods.detach(door, identifier, key=new_key())
        with pytest.raises(StripeObjectMissing):
            await subscriptions.cancel_now(door, identifier, key=new_key())


async def test_a_refusal_says_what_is_wrong(stripe: SandboxStripe) -> None:
    async with door_to(stripe.url) as door:
        with pytest.raises(StripeRefused) as refused:
            await refunds.create(door, payment_intent_id="pi_none", metadata={}, key=new_key())
    assert (refused.value.code, refused.value.parameter) == ("resource_missing", "payment_intent")
    assert str(refused.value) == "resource_missing (payment_intent)"


async def test_a_key_that_was_used_for_something_else(stripe: SandboxStripe) -> None:
    async with door_to(stripe.url) as door:
        key = new_key()
        first = await customers.create(door, name="Ada", email=None, metadata={}, key=key)
        again = await customers.create(door, name="Ada", email=None, metadata={}, key=key)
        assert again == first
        with pytest.raises(StripeRefused, match="idempotency_error"):
            await customers.create(door, name="Bea", email=None, metadata={}, key=key)


async def test_a_lost_answer_is_told_again_by_its_key(stripe: SandboxStripe) -> None:
    """Stripe did it and we did not hear of it: asking again with the same key does not do it twice."""
    async with door_to(stripe.url) as door:
        await stripe.fail(delayS=1, times=1, actThenFail=True, method="POST", pathPrefix="/v1/customers")
        key, mark = new_key(), {"intent": new_key()}
        async with door_to(stripe.url, timeout_s=0.3) as hasty:
            # The SDK asks again by itself, with the same key.
            made = await customers.create(hasty, name="Ada", email=None, metadata=mark, key=key)
        await stripe.heal()
        assert await customers.create(door, name="Ada", email=None, metadata=mark, key=key) == made
        known = (await stripe.http.get("/v1/customers?limit=100", auth=(STRIPE_KEY, ""))).json()["data"]
        assert [one["id"] for one in known if one["metadata"] == mark] == [made.id]


async def test_a_declined_card_says_why_and_names_the_payment(stripe: SandboxStripe) -> None:
    async with door_to(stripe.url) as door:
        buyer = await customers.create(door, name="Ada", email=None, metadata={}, key=new_key())
        for token, code, reason, status in (
            (DECLINES_LATER, "card_declined", "generic_decline", "requires_payment_method"),
            (ASKS_ALWAYS, "authentication_required", "authentication_required", "requires_payment_method"),
        ):
            card = await payment_methods.attach(door, token, buyer.id, key=new_key())
            with pytest.raises(CardDeclined) as declined:
                await payments.charge_off_session(
                    door,
                    customer_id=buyer.id,
                    payment_method_id=card.id,
                    amount=500,
                    currency="USD",
                    description="500 credits",
                    metadata={"intent": "1"},
                    key=new_key(),
                )
            assert (declined.value.code, declined.value.decline_code) == (code, reason)
            assert declined.value.payment_intent_id is not None
            tried = await payments.retrieve(door, declined.value.payment_intent_id)
            assert (tried.status, tried.error_code, tried.metadata) == (status, code, {"intent": "1"})
