"""The door Stripe knocks at: what is let in, what is kept, and that nothing else is."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.inbox import HANDLED, IGNORED, PENDING
from pm_api.integrations.stripe import InvalidWebhook, verify_event
from pm_api.sandbox.stripe.objects.common import new_id
from pm_api.webhooks.handlers import STRIPE
from pm_api.webhooks.service import DRAIN_STRIPE
from tests.conftest import client_of
from tests.support.settings import WEBHOOK_SECRET
from tests.support.stripe import (
    ENDPOINT,
    Json,
    Till,
    clone,
    encoded,
    event_about,
    open_till,
    published_event,
    sample,
    sandbox_stripe,
    session_about,
    signed,
    with_secrets,
)

COMPLETED = "checkout.session.completed"
OLDER_ENDPOINT = "/api/billing/webhooks"
NEXT_SECRET = "whsec_next"
TOLERANCE_S = 300


@pytest.fixture(scope="module")
async def till() -> AsyncIterator[Till]:
    async with clone() as database, sandbox_stripe() as stripe, open_till(database, stripe) as opened:
        yield opened


def completed(**changes: Any) -> Json:
    return event_about(COMPLETED, session_about(new_id("checkout")), **changes)


async def kept(till: Till) -> tuple[int, int]:
    """(events, jobs) in the whole database."""
    [row] = await till.query(
        "SELECT (SELECT count(*) FROM inbox_events) AS events,"
        " (SELECT count(*) FROM pgqueuer WHERE entrypoint = :job) AS jobs",
        job=DRAIN_STRIPE.name,
    )
    return row["events"], row["jobs"]


async def refused(
    till: Till,
    body: bytes,
    headers: dict[str, Any],
    *,
    status: int = 400,
    code: str = InvalidWebhook.code,
    client: httpx.AsyncClient | None = None,
) -> None:
    """Turned away as a problem, and nothing is kept of it."""
    before = await kept(till)
    answer = await (client or till.client).post(ENDPOINT, content=body, headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    assert (answer.json()["code"], answer.json()["type"]) == (code, f"/problems/{code}")
    assert await kept(till) == before


# --- signatures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ENDPOINT, OLDER_ENDPOINT])
async def test_a_signed_event_is_kept_with_its_job(till: Till, path: str) -> None:
    event = completed()
    body = encoded(event)
    answer = await till.post(body, signed(body), path=path)
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    row = await till.stored(event["id"])
    assert (row["source"], row["type"], row["status"], row["attempts"]) == ("stripe", COMPLETED, PENDING, 0)
    assert (row["subject"], row["object_id"]) == (event["data"]["object"]["customer"], event["data"]["object"]["id"])
    assert row["body"].encode() == body
    assert row["event_created_at"].timestamp() == event["created"]
    assert await till.jobs([event["id"]]) == 1


async def test_one_of_several_signatures_is_enough(till: Till) -> None:
    """While Stripe's side rolls its secret, the header carries one signature for each."""
    event = completed()
    body = encoded(event)
    good, other = signed(body), signed(body, secret="whsec_unknown")
    for header in (
        f"{good['Stripe-Signature']},{other['Stripe-Signature'].partition(',')[2]},v0=legacy",
        f"{other['Stripe-Signature']},{good['Stripe-Signature'].partition(',')[2]}",
    ):
        answer = await till.post(body, {"Stripe-Signature": header})
        assert answer.status_code == 200, answer.text
    assert await till.jobs([event["id"]]) == 1


async def test_either_of_two_secrets_of_ours_is_good(till: Till) -> None:
    """While our side rolls it, `PM_STRIPE_WEBHOOK_SECRET` lists both."""
    platform = with_secrets(till.platform, NEXT_SECRET, WEBHOOK_SECRET)
    async with client_of(create_app(platform.settings, platform)) as client:
        for secret in (WEBHOOK_SECRET, NEXT_SECRET):
            event = completed()
            body = encoded(event)
            answer = await client.post(ENDPOINT, content=body, headers=signed(body, secret=secret))
            assert answer.status_code == 200, answer.text
            assert (await till.stored(event["id"]))["status"] == PENDING
        body = encoded(completed())
        await refused(till, body, signed(body, secret="whsec_third"), client=client)


async def test_a_body_that_was_touched_is_refused(till: Till) -> None:
    body = encoded(completed())
    await refused(till, body + b" ", signed(body))
    await refused(till, body.replace(b"paid", b"PAID"), signed(body))


async def test_a_wrong_secret_is_refused(till: Till) -> None:
    body = encoded(completed())
    await refused(till, body, signed(body, secret="whsec_wrong"))


@pytest.mark.parametrize("age_s", [TOLERANCE_S + 2, 86_400, -TOLERANCE_S - 2, -86_400])
async def test_too_old_or_from_the_future_is_refused(till: Till, age_s: int) -> None:
    """The SDK would take the future: a captured signature could be kept for later."""
    body = encoded(completed())
    await refused(till, body, signed(body, at=time.time() - age_s))


@pytest.mark.parametrize("age_s", [TOLERANCE_S - 5, -TOLERANCE_S + 5])
async def test_within_the_tolerance_is_taken(till: Till, age_s: int) -> None:
    event = completed()
    body = encoded(event)
    assert (await till.post(body, signed(body, at=time.time() - age_s))).status_code == 200
    assert (await till.stored(event["id"]))["status"] == PENDING


async def test_business_time_does_not_age_a_signature(till: Till) -> None:
    """Signatures are of the real world, however far the business clock was moved."""
    till.platform.clock.shift_to(timedelta(days=365))
    try:
        body = encoded(completed())
        assert (await till.post(body, signed(body))).status_code == 200
    finally:
        till.platform.clock.shift_to(timedelta(0))


async def test_no_header_is_refused(till: Till) -> None:
    await refused(till, encoded(completed()), {"Content-Type": "application/json"})


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "t=,v1=",
        "v1={v1}",
        "t={t}",
        "t={t},v1=",
        "t={t},v0={v1}",
        "t=yesterday,v1={v1}",
        "t=-{t},v1={v1}",
        "t={t}.0,v1={v1}",
        "t={t}{t}{t},v1={v1}",
        "t={t},t={t},v1={v1}",
        "t={t};v1={v1}",
        "t={t},v1={v1}é",
        "t={t},v1=ÿ",
        "t={t}²,v1={v1}",
        "t={t},v1=" + "0" * 64,
    ],
)
async def test_a_malformed_header_is_refused(till: Till, header: str) -> None:
    body = encoded(completed())
    stamp, _, signature = signed(body)["Stripe-Signature"].partition(",v1=")
    value = header.format(t=stamp.removeprefix("t="), v1=signature)
    await refused(till, body, {"Stripe-Signature": value.encode("latin-1")})


async def test_without_a_secret_the_door_is_closed(till: Till) -> None:
    """An empty secret must not be one that everybody can sign with."""
    platform = with_secrets(till.platform)
    async with client_of(create_app(platform.settings, platform)) as client:
        body = encoded(completed())
        for headers in (signed(body), signed(body, secret=""), {}):
            await refused(till, body, headers, status=404, code="webhooks_closed", client=client)


# --- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("livemode", [True, None, "false", 0])
async def test_the_other_mode_is_refused(till: Till, livemode: object) -> None:
    body = encoded(completed(livemode=livemode))
    await refused(till, body, signed(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe{}",
        b"null",
        b"[]",
        b"1",
        b'"evt_1"',
        b"{}",
        b'{"id": "evt_1"}',
        b'{"id": 1, "type": "a", "livemode": false}',
        b'{"id": "evt_1", "type": ["a"], "livemode": false}',
        b'{"id": "", "type": "a", "livemode": false}',
        b'{"id": "evt_1", "type": "", "livemode": false}',
        b'{"id": "evt_\\u0000", "type": "a", "livemode": false}',
        b'{"id": "evt_\\ud800", "type": "a", "livemode": false}',
        b'{"id": "' + b"e" * 256 + b'", "type": "a", "livemode": false}',
        '{"id": "evt_1", "type": "a", "livemode": false}'.encode("utf-16-le"),
        b"[" * 100_000,
        b'{"id": "evt_1", "type": "a", "livemode": false, "data": ' + b"[" * 100_000,
    ],
    ids=lambda body: f"{body[:24]!r}-{len(body)}",
)
async def test_a_signed_body_that_is_no_event_is_refused(till: Till, body: bytes) -> None:
    await refused(till, body, signed(body))


async def test_a_body_over_the_limit_is_refused_announced_or_not(till: Till) -> None:
    limit = till.platform.settings.max_body_bytes
    body = encoded(completed(padding="x" * limit))
    await refused(till, body, signed(body), status=413, code="payload_too_large")
    before = await kept(till)

    async def unannounced() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    answer = await till.client.post(ENDPOINT, content=unannounced(), headers=signed(body))
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert await kept(till) == before


def thin(kind: str, related: Json | None, **changes: Any) -> Json:
    """As the second version of Stripe's API tells of something: no object at all, only where to look."""
    return {
        "id": new_id("evt_test"),
        "object": "v2.core.event",
        "type": kind,
        "livemode": False,
        "created": "2026-11-01T12:00:00.000Z",
        "context": None,
        "related_object": related,
        "reason": None,
        **changes,
    }


def somewhere(object_id: str, kind: str) -> Json:
    return {"id": object_id, "type": kind, "url": f"/v1/{kind}s/{object_id}"}


async def test_a_thin_event_of_another_kind_is_kept_and_ignored(till: Till) -> None:
    event = thin("v1.billing.meter.error_report_triggered", somewhere("mtr_1", "billing.meter"))
    before = await kept(till)
    await till.tell(event)
    row = await till.stored(event["id"])
    assert (row["status"], row["object_id"], row["subject"]) == (IGNORED, "mtr_1", "mtr_1")
    assert row["type"] == "billing.meter.error_report_triggered"
    assert row["event_created_at"] == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert await kept(till) == (before[0] + 1, before[1])


async def test_a_thin_event_of_a_kind_we_know_is_worked_off_like_a_snapshot(till: Till) -> None:
    """Where to look is all that is ever read of a snapshot either."""
    made = await till.stripe.put(sample("price") | {"id": new_id("price"), "metadata": {}})
    event = thin("v1.price.updated", somewhere(made["id"], "price"))
    await till.tell(event)
    row = await till.stored(event["id"])
    assert (row["status"], row["type"], row["object_id"]) == (PENDING, "price.updated", made["id"])
    assert await till.jobs([event["id"]]) == 1
    await till.drain(made["id"])
    assert (await till.stored(event["id"]))["status"] == HANDLED
    assert await till.query("SELECT currency FROM prices WHERE id = :id", id=made["id"]) == [{"currency": "USD"}]


@pytest.mark.parametrize(
    "changes",
    [
        {"related_object": None},
        {"related_object": []},
        {"related_object": {}},
        {"related_object": {"id": None, "type": "price", "url": None}},
        {"related_object": {"type": "balance", "url": "/v1/balance"}},
        {"created": None},
        {"created": "yesterday"},
        {"created": "2026-11-01T12:00:00"},
        {"created": "0001-01-01T00:00:00+14:00"},
        {"created": 1e300},
        {"data": {"object": {"id": "price_1"}}},
        {"changes": {"before": None, "after": None}, "snapshot_event": "evt_1"},
    ],
    ids=repr,
)
async def test_a_thin_event_may_be_as_thin_as_it_likes(till: Till, changes: Json) -> None:
    event = thin("v1.coupon.updated", somewhere("co_1", "coupon"), **changes)
    await till.tell(event)
    row = await till.stored(event["id"])
    assert row["status"] == IGNORED
    assert row["object_id"] == ("" if "related_object" in changes else "co_1")


def test_the_sdk_reads_a_thin_event_as_we_do() -> None:
    """`parse_event_notification` is Stripe's own reading; ours says the same of the same bytes."""
    body = encoded(thin("v1.billing.meter.error_report_triggered", somewhere("mtr_1", "billing.meter")))
    header = signed(body)["Stripe-Signature"]
    theirs = stripe.StripeClient("sk_test_1").parse_event_notification(body, header, WEBHOOK_SECRET)
    ours = verify_event(body, header, [WEBHOOK_SECRET], now=datetime.now(UTC), livemode=False)
    related: Any = theirs.related_object  # type: ignore[union-attr]  # of this kind, not of every kind
    assert (ours.id, f"v1.{ours.type}", ours.object_id) == (theirs.id, theirs.type, related.id)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.StripeClient("sk_test_1").parse_event_notification(body, header, "whsec_other")


async def test_an_unknown_type_is_kept_and_ignored(till: Till) -> None:
    event = event_about("radar.something_new.happened", {"id": "new_1", "object": "radar.something_new"})
    before = await kept(till)
    await till.tell(event)
    assert (await till.stored(event["id"]))["status"] == IGNORED
    assert await kept(till) == (before[0] + 1, before[1])


@pytest.mark.parametrize(
    "data",
    [None, {}, [], "text", {"object": None}, {"object": {}}, {"object": []}, {"object": {"id": None}}],
    ids=repr,
)
async def test_an_event_without_an_object_is_kept_and_ignored(till: Till, data: Any) -> None:
    """Also of a type we know: there is nothing to ask Stripe for."""
    event = completed(data=data)
    before = await kept(till)
    await till.tell(event)
    assert (await till.stored(event["id"]))["status"] == IGNORED
    assert await kept(till) == (before[0] + 1, before[1])


async def test_an_object_whose_id_a_person_chose_is_kept(till: Till) -> None:
    """Coupons, products and customers take ids of one's own; refusing one would have Stripe close the endpoint."""
    for chosen in ("SOMMER 2026", "größe-XL", "x" * 300, "tab\tand\u0000nul"):
        event = event_about("coupon.created", {"id": chosen, "object": "coupon"})
        await till.tell(event)
        assert (await till.stored(event["id"]))["status"] == IGNORED


@pytest.mark.parametrize("customer", ["cus_1", {"id": "cus_1", "object": "customer"}], ids=["id", "expanded"])
async def test_events_of_one_customer_share_a_subject(till: Till, customer: object) -> None:
    event = event_about(COMPLETED, session_about(None, customer=customer))
    await till.tell(event)
    assert (await till.stored(event["id"]))["subject"] == "cus_1"


async def test_a_customers_own_events_have_them_as_subject(till: Till) -> None:
    event = event_about("customer.updated", {"id": "cus_2", "object": "customer"})
    await till.tell(event)
    assert (await till.stored(event["id"]))["subject"] == "cus_2"


async def test_without_a_customer_the_object_is_the_subject(till: Till) -> None:
    event = event_about(COMPLETED, session_about(None, customer=None))
    await till.tell(event)
    assert (await till.stored(event["id"]))["subject"] == event["data"]["object"]["id"]


# --- duplicates -------------------------------------------------------------------------------------------------


async def test_a_duplicate_answers_200_and_does_nothing(till: Till) -> None:
    event = completed()
    await till.tell(event)
    async with till.platform.database.transaction() as session:  # its job is done and gone
        await session.execute(text("DELETE FROM pgqueuer WHERE dedupe_key = :key"), {"key": f"stripe:{event['id']}"})
    first, before = await till.stored(event["id"]), await kept(till)
    body = encoded(event)
    for path in (ENDPOINT, OLDER_ENDPOINT, ENDPOINT):
        answer = await till.post(body, signed(body), path=path)
        assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert await till.stored(event["id"]) == first
    assert await kept(till) == before


async def test_twenty_duplicates_at_once_are_one_row_and_one_job(till: Till) -> None:
    event = completed()
    body, before = encoded(event), await kept(till)
    answers = await asyncio.gather(
        *(till.post(body, signed(body), path=(ENDPOINT, OLDER_ENDPOINT)[turn % 2]) for turn in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert await kept(till) == (before[0] + 1, before[1] + 1)


async def test_the_same_id_with_other_content_does_not_replace_what_was_kept(till: Till) -> None:
    event = completed()
    await till.tell(event)
    await till.tell(event | {"type": "customer.updated"})
    assert (await till.stored(event["id"]))["type"] == COMPLETED


# --- what Stripe publishes --------------------------------------------------------------------------------------

NAMED = {
    "checkout.session": (
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    ),
    "subscription": (
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.trial_will_end",
        "customer.subscription.paused",
        "customer.subscription.resumed",
    ),
    "invoice": (
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice.payment_failed",
        "invoice.payment_action_required",
        "invoice.voided",
        "invoice.marked_uncollectible",
    ),
    "payment_method": ("payment_method.attached", "payment_method.detached", "payment_method.updated"),
    "customer": ("customer.updated",),
    "deleted_customer": ("customer.deleted",),
    "charge": ("charge.refunded",),
    "refund": ("refund.created", "refund.updated", "refund.failed"),
    "dispute": ("charge.dispute.created", "charge.dispute.closed"),
    "price": ("price.created", "price.updated", "price.deleted"),
    "product": ("product.created", "product.updated", "product.deleted"),
    "setup_intent": ("setup_intent.succeeded",),
    "payment_intent": (
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.requires_action",
    ),
}
"""The types the product handles or will, by the sample they carry."""

OTHERS = {
    "account": "account.updated",
    "application_fee": "application_fee.created",
    "balance": "balance.available",
    "billing.alert_triggered": "billing.alert.triggered",
    "billing_portal.session": "billing_portal.session.created",
    "capability": "capability.updated",
    "cash_balance": "cash_balance.funds_available",
    "coupon": "coupon.created",
    "credit_note": "credit_note.created",
    "file": "file.created",
    "invoiceitem": "invoiceitem.created",
    "issuing.card": "issuing_card.created",
    "mandate": "mandate.updated",
    "payout": "payout.paid",
    "person": "person.created",
    "plan": "plan.created",
    "promotion_code": "promotion_code.created",
    "quote": "quote.accepted",
    "radar.early_fraud_warning": "radar.early_fraud_warning.created",
    "reporting.report_run": "reporting.report_run.succeeded",
    "tax_rate": "tax_rate.created",
    "test_helpers.test_clock": "test_helpers.test_clock.ready",
    "topup": "topup.succeeded",
}
"""Types that an endpoint subscribed to everything gets as well."""

CASES = [*((name, kind) for name, kinds in NAMED.items() for kind in kinds), *OTHERS.items()]


def variants(name: str) -> list[Json]:
    """The sample as it is; with fields nobody knows yet; with everything null that is not its name."""
    plain = sample(name)
    return [
        plain,
        {**plain, "brand_new": {"nested": [1, None, {"deep": "é\u2028"}]}, "": None, "0": 1.5},
        {key: value if key in {"id", "object"} else None for key, value in plain.items()},
    ]


@pytest.mark.parametrize(("name", "kind"), CASES, ids=[kind for _, kind in CASES])
async def test_every_published_object_is_taken_in(till: Till, name: str, kind: str) -> None:
    for about in variants(name):
        event = published_event(kind, about)
        await till.tell({**event, "something_new": {"a": 1}, "request": None, "pending_webhooks": None})
        row = await till.stored(event["id"])
        assert row["status"] == (PENDING if kind in STRIPE else IGNORED)
        assert row["object_id"] == (about.get("id") or "")
        assert await till.jobs([event["id"]]) == (1 if kind in STRIPE else 0)
