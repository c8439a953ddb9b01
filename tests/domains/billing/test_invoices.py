"""Invoices: as Stripe has them, for who may see them, on screen and as a file."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from pm_api.domains.billing import invoices, pictures
from pm_api.domains.billing.enums import InvoiceStatus
from pm_api.domains.billing.invoice_rules import status_of
from pm_api.domains.billing.repository import invoices as invoice_rows
from pm_api.domains.billing.stripe_events.invoices import apply_invoice
from pm_api.entitlements.enums import AccountType
from pm_api.identity.permissions import Role
from pm_api.integrations.stripe import invoices as stripe_invoices
from pm_api.integrations.stripe import payment_methods
from tests.conftest import Person
from tests.domains.billing.bills import INVOICES, authorized, bills, buy_pack, give_back, read, tell
from tests.domains.billing.subscribing import ASKS, FAILS_LATER, STANDARD, SUBSCRIPTIONS, Shop, new_key
from tests.support.stripe import PACK_PRICE_MINOR

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("provider_status", "attempts", "paid", "refunded", "wanted"),
    [
        ("draft", 0, 0, 0, InvoiceStatus.PENDING),
        ("open", 0, 0, 0, InvoiceStatus.PENDING),
        ("open", 1, 0, 0, InvoiceStatus.FAILED),
        ("paid", 1, 100, 0, InvoiceStatus.PAID),
        ("paid", 1, 100, 99, InvoiceStatus.PAID),
        ("paid", 1, 100, 100, InvoiceStatus.REFUNDED),
        ("paid", 0, 0, 0, InvoiceStatus.PAID),
        ("void", 1, 0, 0, InvoiceStatus.VOID),
        ("uncollectible", 4, 0, 0, InvoiceStatus.UNCOLLECTIBLE),
    ],
)
def test_what_an_invoice_is_called(
    provider_status: str, attempts: int, paid: int, refunded: int, wanted: InvoiceStatus
) -> None:
    assert status_of(provider_status, attempts=attempts, paid_minor=paid, refunded_minor=refunded) is wanted


async def _told_of_the_credits(shop: Shop, buyer: Person, stripe_id: str) -> None:
    """Of a pack that is sold at a price of Stripe's, as all are that setup-stripe makes."""
    price = shop.prices["pack_medium"]
    await shop.installation.execute("UPDATE invoice_lines SET price_id = :price", price=price)
    await shop.installation.execute("DELETE FROM notifications WHERE type = 'billing.receipt'")
    async with shop.till.platform.database.transaction() as session:
        row = await invoice_rows.lock_by_stripe_id(session, invoices.SCOPE, stripe_id)
        assert row is not None
        await invoices._tell_paid(session, shop.till.platform, (AccountType.USER, buyer.id), row)
    [told] = await shop.notices(buyer, "billing.receipt")
    assert (told["data"]["credits"], told["body"].endswith(" 550 credits were bought.")) == (550, True)
    [(reason,)] = await shop.rows("SELECT reason FROM notifications WHERE type = 'billing.receipt'")
    assert reason == "It is about your own account."


async def test_a_pack_has_its_invoice_its_receipt_and_its_file(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    [shown] = await bills(buyer)
    assert (shown["status"], shown["amount"], shown["amountPaid"], shown["currency"]) == (
        "PAID",
        PACK_PRICE_MINOR,
        PACK_PRICE_MINOR,
        "USD",
    )
    assert (shown["userId"], shown["workspaceId"], shown["subscriptionId"]) == (str(buyer.id), None, None)
    assert (shown["stripeInvoiceId"], shown["billingReason"]) == (paid.invoice_id, "manual")
    assert shown["description"] == "MEDIUM: 550 credits"

    answer = await buyer.client.get(f"{INVOICES}/{shown['id']}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["ETag"] == f'"{shown["version"]}"'
    [line] = answer.json()["invoice"]["lines"]
    assert (line["amount"], line["quantity"], line["isProration"], line["plan"]) == (PACK_PRICE_MINOR, 1, False, None)
    again = await buyer.client.get(f"{INVOICES}/{shown['id']}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304

    [told] = await shop.notices(buyer, "billing.receipt")
    assert told["data"]["invoiceId"] == shown["id"]
    assert shown["number"] in told["body"]
    await _told_of_the_credits(shop, buyer, paid.invoice_id or "")

    file = await buyer.client.get(shown["downloadUrl"])
    assert (file.status_code, file.headers["Content-Type"]) == (200, "application/pdf")
    assert file.content.startswith(b"%PDF-")
    assert shown["number"].encode() in file.content
    assert file.headers["Content-Disposition"] == f'attachment; filename="invoice-{shown["number"]}.pdf"'
    assert int(file.headers["Content-Length"]) == len(file.content)


async def test_heard_of_any_number_of_times_it_is_one(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    assert paid.invoice_id is not None
    [before] = await bills(buyer)
    for kind in ("invoice.created", "invoice.finalized", "invoice.payment_succeeded", "invoice.paid"):
        await tell(shop, kind, paid.invoice_id)
    assert await bills(buyer) == [before]
    assert len(await shop.notices(buyer, "billing.receipt")) == 1
    assert len(await shop.rows("SELECT 1 FROM invoice_lines WHERE account_id = :id", id=buyer.id)) == 1


async def test_an_older_look_changes_nothing(shop: Shop) -> None:
    owner, team = await shop.team()
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    [unpaid] = await bills(owner, workspaceId=team)
    assert (unpaid["status"], unpaid["downloadUrl"] is not None) == ("PENDING", True)
    old = await pictures.fetch_by_invoice(shop.door, unpaid["stripeInvoiceId"])
    await shop.pay(begun["clientSecret"])
    await tell(shop, "invoice.paid", unpaid["stripeInvoiceId"])
    async with shop.till.platform.database.transaction() as session:
        await apply_invoice(session, shop.till.platform, old)
    [shown] = await bills(owner, workspaceId=team)
    assert (shown["status"], shown["amountPaid"]) == ("PAID", STANDARD)


async def test_every_state_an_invoice_can_be_in(shop: Shop) -> None:
    owner, team = await shop.team()
    made = await shop.active(owner, team)
    [first] = await bills(owner, workspaceId=team)
    assert (first["status"], first["amount"], first["subscriptionId"]) == ("PAID", STANDARD, made["id"])
    lines = (await read(owner, f"{INVOICES}/{first['id']}"))["invoice"]["lines"]
    assert [(line["plan"], line["amount"]) for line in lines] == [("TEAM_STANDARD", STANDARD)]

    customer = (await shop.at_stripe(made["stripeSubscriptionId"])).customer_id
    bad = await payment_methods.attach(shop.door, FAILS_LATER, customer, key=new_key())
    await shop.control("PUT", "/collection", {"retryDays": [3, 5, 7], "lastStep": "past_due"})
    await use_card(shop, made["stripeSubscriptionId"], bad.id)
    await shop.move(days=30, minutes=10)
    await shop.hear(made["stripeSubscriptionId"])
    [draft, _] = await bills(owner, workspaceId=team)
    assert (draft["status"], draft["number"], draft["downloadUrl"]) == ("PENDING", None, None)
    answer = await owner.client.get(f"{INVOICES}/{draft['id']}/pdf")
    assert (answer.status_code, answer.json()["code"]) == (409, "invoice_not_final")

    await shop.move(hours=2)
    await shop.hear(made["stripeSubscriptionId"])
    [failed, _] = await bills(owner, workspaceId=team)
    assert (failed["id"], failed["status"], failed["attempts"]) == (draft["id"], "FAILED", 1)
    assert failed["hostedUrl"] is not None
    assert failed["nextAttemptAt"] is not None
    await shop.till.stripe.http.post(
        f"/v1/invoices/{failed['stripeInvoiceId']}/mark_uncollectible", headers=authorized(shop)
    )
    await tell(shop, "invoice.marked_uncollectible", failed["stripeInvoiceId"])
    [lost, _] = await bills(owner, workspaceId=team)
    assert (lost["status"], lost["hostedUrl"]) == ("UNCOLLECTIBLE", None)
    await shop.till.stripe.http.post(f"/v1/invoices/{failed['stripeInvoiceId']}/void", headers=authorized(shop))
    await tell(shop, "invoice.voided", failed["stripeInvoiceId"])
    [void, _] = await bills(owner, workspaceId=team)
    assert void["status"] == "VOID"
    assert [one["id"] for one in await bills(owner, workspaceId=team, status="VOID")] == [void["id"]]
    assert [one["id"] for one in await bills(owner, workspaceId=team, status="PAID")] == [first["id"]]
    window = {"from": void["issuedAt"], "to": (shop.now + timedelta(days=1)).isoformat()}
    assert [one["id"] for one in await bills(owner, workspaceId=team, **window)] == [void["id"]]


async def test_who_may_see_an_invoice(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.active(owner, team)
    [shown] = await bills(owner, workspaceId=team)
    stranger, member, admin = [await shop.person() for _ in range(3)]
    await shop.installation.add(UUID(team), member)
    await shop.installation.add(UUID(team), admin, Role.ADMIN)
    for path in (f"{INVOICES}/{shown['id']}", f"{INVOICES}/{shown['id']}/pdf"):
        assert (await stranger.client.get(path)).status_code == 404
        assert (await member.client.get(path)).status_code == 403
        assert (await admin.client.get(path)).status_code == 200
    assert (await stranger.client.get(INVOICES, params={"workspaceId": team})).status_code == 404
    assert (await member.client.get(INVOICES, params={"workspaceId": team})).status_code == 403
    # A workspace's bills are not its owner's own.
    assert await bills(owner) == []
    assert (await owner.client.get(f"{INVOICES}/{owner.id}")).status_code == 404


async def test_a_list_is_walked_page_by_page(shop: Shop) -> None:
    buyer = await shop.person()
    for _ in range(3):
        await buy_pack(shop, buyer)
    seen: list[str] = []
    query: dict[str, str] = {"limit": "1"}
    while True:
        page = await read(buyer, INVOICES, **query)
        seen += [one["id"] for one in page["invoices"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert seen == [one["id"] for one in await bills(buyer)]
    assert len(seen) == 3
    answer = await buyer.client.get(INVOICES, params={**query, "status": "PAID"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_the_file_is_not_to_be_had_while_stripe_is_away(shop: Shop) -> None:
    buyer = await shop.person()
    await buy_pack(shop, buyer)
    [shown] = await bills(buyer)
    await shop.till.stripe.fail(status=500, times=10)
    answer = await buyer.client.get(shown["downloadUrl"])
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_provider_unavailable")
    await shop.till.stripe.heal()
    assert (await buyer.client.get(shown["downloadUrl"])).status_code == 200


async def test_what_is_no_file_is_not_handed_on(shop: Shop) -> None:
    """Whatever stands between us and Stripe may answer with anything: a page of its own is no invoice."""
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    [shown] = await bills(buyer)
    about = (await shop.till.stripe.http.get(f"/v1/invoices/{paid.invoice_id}", headers=authorized(shop))).json()
    await shop.till.stripe.put(about | {"invoice_pdf": f"{shop.till.stripe.url}/invoices/{paid.invoice_id}"})
    answer = await buyer.client.get(shown["downloadUrl"])
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_provider_unavailable")


async def test_a_file_elsewhere_is_not_asked_for(shop: Shop) -> None:
    """An invoice that names another machine does not make us ask it."""
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    [shown] = await bills(buyer)
    asked: list[bytes] = []

    async def answer_anybody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\n%PDF-1.4")
        await writer.drain()
        writer.close()

    about = (await shop.till.stripe.http.get(f"/v1/invoices/{paid.invoice_id}", headers=authorized(shop))).json()
    async with await asyncio.start_server(answer_anybody, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        for elsewhere in (f"http://127.0.0.1:{port}/secret", f"http://pay.stripe.com@127.0.0.1:{port}/secret"):
            await shop.till.stripe.put(about | {"invoice_pdf": elsewhere})
            answer = await buyer.client.get(shown["downloadUrl"])
            assert (answer.status_code, answer.json()["code"]) == (503, "payment_provider_unavailable")
    assert asked == []


async def test_the_payer_is_asked_to_confirm_a_payment(shop: Shop) -> None:
    owner, team = await shop.team()
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    [open_one] = await bills(owner, workspaceId=team)
    await shop.pay(begun["clientSecret"], ASKS)
    for _ in range(2):
        await tell(shop, "invoice.payment_action_required", open_one["stripeInvoiceId"])
    [told] = await shop.notices(owner, "billing.payment_action_required")
    assert told["data"]["hostedUrl"].startswith(shop.till.stripe.url)
    assert told["data"]["amount"] == STANDARD


async def test_it_counts_what_was_refunded_before_it_was_known(shop: Shop) -> None:
    """The refund's event overtook the invoice's."""
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer, hear=False)
    made = await give_back(shop, paid.payment_intent_id, 300)
    await tell(shop, "refund.created", made.id)
    assert paid.invoice_id is not None
    await tell(shop, "invoice.paid", paid.invoice_id)
    [shown] = await bills(buyer)
    assert (shown["status"], shown["amountRefunded"]) == ("PAID", 300)


async def use_card(shop: Shop, subscription_id: str, payment_method_id: str) -> None:
    """Its next invoices are paid with this card."""
    answer = await shop.till.stripe.http.post(
        f"/v1/subscriptions/{subscription_id}",
        data={"default_payment_method": payment_method_id},
        headers=authorized(shop),
    )
    assert answer.status_code == 200, answer.text
    assert (await stripe_invoices.list_all(shop.door, subscription_id=subscription_id)).items
