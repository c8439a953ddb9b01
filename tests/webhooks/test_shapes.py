"""Every type we handle, in the exact shape of Stripe's published samples: through signature, SDK and handler.

Parametrised over the table of handlers, so that a type which is added is fed here by itself. Nothing here may end in
a failure: an event is handled, or it is held with a reason.
"""

import copy
import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
import stripe
from sqlalchemy import text

from pm_api.core.inbox import HANDLED, HELD
from pm_api.domains.billing.prices import mirror_price
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood
from pm_api.integrations import stripe as doors
from pm_api.integrations.stripe import StripeDoor, StripeObjectMissing, prices
from pm_api.sandbox.stripe.objects.common import new_id
from pm_api.webhooks.handlers import STRIPE
from tests.conftest import register
from tests.integrations.test_stripe_readers import READERS, nullable, with_news, without
from tests.support.stripe import Json, Till, clone, open_till, published_event, sample, sandbox_stripe

SAMPLE_OF: Final = {
    "checkout.session.": "checkout.session",
    "customer.subscription.": "subscription",
    "customer.deleted": "deleted_customer",
    "customer.discount.": "discount",
    "customer.": "customer",
    "invoice.": "invoice",
    "invoice_payment.": "invoice_payment",
    "payment_method.": "payment_method",
    "payment_intent.": "payment_intent",
    "setup_intent.": "setup_intent",
    "subscription_schedule.": "subscription_schedule",
    "charge.dispute.": "dispute",
    "charge.refund.": "refund",
    "charge.": "charge",
    "refund.": "refund",
    "price.": "price",
    "product.": "product",
    "coupon.": "coupon",
    "promotion_code.": "promotion_code",
}
"""What each type speaks of; the first that fits."""

TOGETHER: Final = ("customer", "product", "price", "charge", "payment_intent", "payment_method", "invoice")
"""What a handler may look at besides."""


def sample_name(kind: str) -> str:
    found = next((name for prefix, name in SAMPLE_OF.items() if kind.startswith(prefix)), None)
    assert found is not None, f"{kind} is handled, and no sample of Stripe's is named for it: add one to SAMPLE_OF"
    return found


def complete(name: str) -> Json:
    """A sample with the two fields that Stripe's samples leave out."""
    body = sample(name)
    if name == "invoice":
        body["confirmation_secret"] = {"client_secret": "pi_1_secret_2", "type": "payment_intent"}
        for line in body["lines"]["data"]:
            line["pricing"] = {
                "type": "price_details",
                "price_details": {"price": sample("price")["id"], "product": sample("product")["id"]},
                "unit_amount_decimal": "1000",
            }
    return body


def names_in(body: Json, customer_id: str | None = None) -> Json:
    """An object of its own, of the samples' customer or of one nobody knows."""
    changed = copy.deepcopy(body)
    if isinstance(changed.get("id"), str):
        changed["id"] = new_id(changed["id"].partition("_")[0] or "obj")
    if "customer" in changed:
        changed["customer"] = customer_id or new_id("cus")
    return changed


@pytest.fixture(scope="module")
async def till() -> AsyncIterator[Till]:
    async with clone() as database, sandbox_stripe() as stripe_, open_till(database, stripe_) as opened:
        for name in TOGETHER:
            await opened.stripe.put(complete(name))
        await know_the_customer(opened)
        yield opened


async def know_the_customer(till: Till) -> None:
    """The samples' customer is somebody here, and the samples' subscription is for a plan that is known here."""
    person = await register(till.app)
    price = complete("subscription")["items"]["data"][0]["price"]
    await till.stripe.put(price | {"metadata": {"plan": "INDIVIDUAL_PRO", "includedCredits": "100"}})
    async with till.platform.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO stripe_customers (stripe_customer_id, account_kind, account_id, created_at)"
                " VALUES (:customer, 'USER', :account, :now)"
            ),
            {"customer": sample("customer")["id"], "account": person.id, "now": till.platform.clock.now()},
        )
        found = await prices.retrieve(till.platform.part(StripeDoor), price["id"])
        await mirror_price(session, found, till.platform.clock.wall())
    await person.client.aclose()


def test_every_type_we_handle_has_a_sample() -> None:
    for kind in STRIPE:
        assert sample(sample_name(kind))["object"], kind


@pytest.mark.parametrize("kind", sorted(STRIPE))
async def test_every_handled_type_ends_handled_or_held(till: Till, kind: str) -> None:
    """As published; with fields nobody knows yet; and when Stripe does not have the object any more."""
    plain = names_in(complete(sample_name(kind)))
    news = with_news(names_in(complete(sample_name(kind)))) | {"metadata": {}}
    for about, known in ((plain, True), (news, True), (names_in(complete(sample_name(kind))), False)):
        if known:
            await till.stripe.put(about)
        event = published_event(kind, about)
        await till.tell({**event, "brand_new": {"a": [1, None]}})
        row = await till.stored(event["id"])
        await till.drain(row["subject"])
        row = await till.stored(event["id"])
        assert row["status"] in (HANDLED, HELD), (row["status"], row["outcome"])
        assert row["outcome"], "somebody reads why"
        assert row["attempts"] == 1


def class_of(name: str) -> type[stripe.StripeObject]:
    """The SDK's class of a sample; what is deleted is of the class of what is not."""
    found = {reader.sample: reader.theirs for reader in READERS}
    return found.get(name) or found[sample(name)["object"]]


def once_each() -> Iterator[str]:
    """One type for each pair of handler and sample."""
    seen = set()
    for kind, handler in sorted(STRIPE.items()):
        pair = (handler.fetch, handler.apply, sample_name(kind))
        if pair not in seen:
            seen.add(pair)
            yield kind


@pytest.mark.parametrize("kind", list(once_each()))
async def test_no_null_breaks_a_handler(till: Till, kind: str) -> None:
    """Every field that the SDK calls optional, one by one and then all of them."""
    body = names_in(complete(sample_name(kind)), sample("customer")["id"])
    theirs = class_of(sample_name(kind))
    # What is deleted says so; the SDK calls it optional because it has one class for both.
    paths = [path for path in nullable(theirs, body) if path != ("deleted",)]
    everything: Any = body
    for path in sorted(paths, key=len, reverse=True):
        everything = without(everything, path)
    for path, changed in [*((path, without(body, path)) for path in paths), ((), everything)]:
        if not isinstance(changed.get("id"), str):
            continue
        await till.stripe.put(changed)
        try:
            await tried(till, kind, changed["id"])
        except (EventNotUnderstood, StripeObjectMissing):
            continue
        except Exception as failure:
            raise AssertionError(f"null in {path}: {failure!r}") from failure


async def tried(till: Till, kind: str, object_id: str) -> None:
    """What the job does, without leaving anything."""
    handler = STRIPE[kind]
    found = await handler.fetch(till.platform.part(StripeDoor), object_id)
    async with till.platform.database.reading() as session:  # never committed
        outcome = await handler.apply(session, till.platform, found)
        assert outcome
        await till.platform.database.run_before_commit(session)


def test_every_reader_of_the_door_is_fed_every_null() -> None:
    """`test_stripe_readers` walks over the nullable fields of each; a new reader must be in its list."""
    modules = [
        importlib.import_module(one.name) for one in pkgutil.iter_modules(doors.__path__, f"{doors.__name__}.")
    ]
    readers = {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.startswith("read_") and callable(value) and value.__module__ == module.__name__
    }
    assert {reader.read for reader in READERS} >= readers
