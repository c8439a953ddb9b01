"""What a person sees of billing: customers, subscriptions, invoices with their PDF, and clocks to move."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from pm_api.sandbox.stripe.billing.arithmetic import DAY_S, HOUR_S, months_after
from pm_api.sandbox.stripe.billing.clockwork import advance_clock, move_world, offset_s
from pm_api.sandbox.stripe.billing.invoicing import intent_of
from pm_api.sandbox.stripe.control import sandbox_of
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.pages import message, newest, page, shown_moment, shown_money
from pm_api.sandbox.stripe.pdf import text_pdf
from pm_api.sandbox.stripe.resources.clocks import CLOCK, furthest
from pm_api.sandbox.stripe.world import Sandbox

router = APIRouter()
WORLD = "world"
STEPS = ("hour", "day", "month")


@router.get("/customers")
async def customer_list(request: Request, after: str | None = None) -> Response:
    customers, older = newest(sandbox_of(request), "customer", after)
    living = [customer for customer in customers if not customer.get("deleted")]
    return page("customers.html", customers=living, older=older)


@router.get("/subscriptions")
async def subscription_list(request: Request, after: str | None = None) -> Response:
    """Objects that a test put in by hand and that lack the page's fields are left out, here and below."""
    sandbox = sandbox_of(request)
    subscriptions, older = newest(sandbox, "subscription", after)
    whole = [subscription for subscription in subscriptions if "pause_collection" in subscription]
    rows = [(subscription, _product_names(sandbox, subscription)) for subscription in whole]
    return page("subscriptions.html", rows=rows, older=older)


@router.get("/invoices")
async def invoice_list(request: Request, after: str | None = None) -> Response:
    invoices, older = newest(sandbox_of(request), "invoice", after)
    return page("invoices.html", invoices=[one for one in invoices if "status_transitions" in one], older=older)


@router.get("/invoices/{invoice_id}")
async def invoice_page(request: Request, invoice_id: str) -> Response:
    """The hosted invoice: what it says, and the way to pay it while it is open."""
    sandbox = sandbox_of(request)
    invoice = sandbox.store.find(invoice_id, "invoice")
    if invoice is None:
        return _nothing()
    intent = intent_of(sandbox, invoice)
    payable = intent if invoice["status"] in {"open", "uncollectible"} else None
    return page(
        "invoice.html", invoice=invoice, lines=sandbox.store.children(invoice_id, "line_item"), intent=payable
    )


@router.get("/invoices/{invoice_id}/pdf")
async def invoice_pdf(request: Request, invoice_id: str) -> Response:
    sandbox = sandbox_of(request)
    invoice = sandbox.store.find(invoice_id, "invoice")
    if invoice is None or invoice["number"] is None:
        return _nothing()
    name = f'attachment; filename="Invoice-{invoice["number"]}.pdf"'
    return Response(
        text_pdf(f"Invoice {invoice['number']}", _printed(sandbox, invoice)),
        media_type="application/pdf",
        headers={"Content-Disposition": name},
    )


@router.get("/clocks")
async def clock_list(request: Request) -> Response:
    sandbox = sandbox_of(request)
    return page(
        "clocks.html",
        now=sandbox.now(),
        offset_s=offset_s(sandbox),
        clocks=sandbox.store.all(CLOCK)[::-1],
        steps=STEPS,
        world=WORLD,
    )


@router.post("/clocks/{clock_id}/advance/{step}")
async def advance(request: Request, clock_id: str, step: str) -> Response:
    """The world, or a test clock, an hour, a day or a month on."""
    sandbox = sandbox_of(request)
    if step not in STEPS:
        return _nothing()
    if clock_id == WORLD:
        here = sandbox.now()
        move_world(sandbox, offset_s(sandbox) + _later(here, step) - here)
        return RedirectResponse("/clocks", status_code=303)
    clock = sandbox.store.find(clock_id, CLOCK)
    if clock is None:
        return _nothing()
    until = _later(clock["frozen_time"], step)
    if until > furthest(sandbox, clock):
        return message("Too far", "One step may not pass two periods of the shortest subscription.", status=409)
    with sandbox.store.transaction():
        advance_clock(sandbox, clock, until)
    return RedirectResponse("/clocks", status_code=303)


def _later(moment: int, step: str) -> int:
    if step == "month":
        return months_after(moment, 1)
    return moment + (DAY_S if step == "day" else HOUR_S)


def _product_names(sandbox: Sandbox, subscription: Json) -> str:
    names = []
    for item in subscription["items"]["data"]:
        product = sandbox.store.find(item["price"]["product"], "product")
        times = f"{item['quantity']} × " if item["quantity"] > 1 else ""
        names.append(f"{times}{product['name'] if product else item['price']['id']}")
    return ", ".join(names)


def _printed(sandbox: Sandbox, invoice: Json) -> list[str]:
    currency = invoice["currency"]
    issued = invoice["status_transitions"]["finalized_at"]
    lines = [
        f"Date {datetime.fromtimestamp(issued, UTC):%d %B %Y}",
        f"Bill to {invoice['customer_name'] or invoice['customer_email'] or invoice['customer']}",
        f"Status {invoice['status']}",
        "",
    ]
    for line in sandbox.store.children(invoice["id"], "line_item"):
        lines.append(f"{line['description'] or 'Item'}    {shown_money(line['amount'], currency)}")
        lines.append(f"    {shown_moment(line['period']['start'])} to {shown_moment(line['period']['end'])} UTC")
    lines += ["", f"Subtotal    {shown_money(invoice['subtotal'], currency)}"]
    discount = invoice["subtotal"] - invoice["total"]
    if discount:
        lines.append(f"Discount    {shown_money(-discount, currency)}")
    lines.append(f"Total    {shown_money(invoice['total'], currency)}")
    applied = invoice["total"] - invoice["amount_due"]
    if applied:
        lines.append(f"Balance    {shown_money(-applied, currency)}")
    lines += [
        f"Amount due    {shown_money(invoice['amount_due'], currency)}",
        f"Amount paid    {shown_money(invoice['amount_paid'], currency)}",
        "",
        "Made by a sandbox on this machine. No real money.",
    ]
    return lines


def _nothing() -> Response:
    return message("No such page", "There is nothing of that name here.", status=404)
