"""What a person sees: the hosted checkout page, the event log and the list of sessions."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pm_api.sandbox.stripe.cards import CARDS, PAYING_CARD, Card, find_card
from pm_api.sandbox.stripe.checkout import Outcome, Payer, expire_due
from pm_api.sandbox.stripe.checkout_modes import confirm_card, enter_promotion_code, submit_card
from pm_api.sandbox.stripe.checkout_totals import plan_of
from pm_api.sandbox.stripe.control import sandbox_of
from pm_api.sandbox.stripe.errors import ApiError
from pm_api.sandbox.stripe.objects.common import API_VERSION, Json
from pm_api.sandbox.stripe.params import Params, decode_form
from pm_api.sandbox.stripe.store import Cursor
from pm_api.sandbox.stripe.world import Sandbox

PAGE_LENGTH = 50
# Currencies whose minor unit is the unit itself. https://docs.stripe.com/currencies#zero-decimal
ZERO_DECIMAL = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf")
)

router = APIRouter()


def shown_money(amount: int | None, currency: str | None) -> str:
    if amount is None or currency is None:
        return "—"
    figure = f"{amount:,}" if currency in ZERO_DECIMAL else f"{amount / 100:,.2f}"
    return f"{figure} {currency.upper()}"


def shown_moment(seconds: int | None) -> str:
    if seconds is None:
        return "—"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)
templates.filters.update(money=shown_money, moment=shown_moment)


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(templates.get_template(template).render(**values), status_code=status)


@router.get("/")
async def home(request: Request) -> Response:
    sandbox = sandbox_of(request)
    return page(
        "home.html",
        api_version=API_VERSION,
        api_address=str(request.base_url).rstrip("/"),
        webhook_url=sandbox.deliverer.endpoint.url,
        cards=CARDS.values(),
    )


@router.get("/events")
async def event_log(request: Request, after: str | None = None) -> Response:
    sandbox = sandbox_of(request)
    events, older = newest(sandbox, "event", after)
    rows = [(event, sandbox.store.deliveries(event["id"])) for event in events]
    owed = sandbox.store.queued()
    return page("events.html", rows=rows, owed=owed, older=older, webhook_url=sandbox.deliverer.endpoint.url)


@router.post("/events/{event_id}/send")
async def send_again(request: Request, event_id: str) -> Response:
    sandbox = sandbox_of(request)
    event = sandbox.store.find(event_id, "event")
    if event is None or sandbox.deliverer.endpoint.url is None:
        return message("Nothing to send", "No such event, or no webhook URL.", status=404)
    await sandbox.deliverer.send(event)
    return RedirectResponse(f"/events#{event_id}", status_code=303)


@router.get("/checkout-sessions")
async def session_list(request: Request, after: str | None = None) -> Response:
    sandbox = sandbox_of(request)
    expire_due(sandbox)
    sessions, older = newest(sandbox, "checkout.session", after)
    return page("sessions.html", sessions=sessions, older=older)


@router.get("/checkout/{session_id}")
async def checkout_page(request: Request, session_id: str) -> Response:
    sandbox = sandbox_of(request)
    session = _session(sandbox, session_id)
    if session is None or session["status"] != "open":
        return _closed(session)
    return _form(sandbox, session)


@router.post("/checkout/{session_id}")
async def pay(request: Request, session_id: str) -> Response:
    sandbox = sandbox_of(request)
    session = _session(sandbox, session_id)
    if session is None or session["status"] != "open":
        return _closed(session)
    try:
        form = Params(decode_form((await request.body()).decode("utf-8", "replace")))
        payer, card = _read(form, session, sandbox)
    except (ApiError, FormError) as error:
        return _form(sandbox, session, refusal=str(error), status=422)
    with sandbox.store.transaction():
        outcome = submit_card(sandbox, session, payer, card)
    return _after(sandbox, outcome, payer)


@router.post("/checkout/{session_id}/confirm")
async def confirm(request: Request, session_id: str) -> Response:
    sandbox = sandbox_of(request)
    session = _session(sandbox, session_id)
    if session is None or session["status"] != "open":
        return _closed(session)
    form = decode_form((await request.body()).decode("utf-8", "replace"))
    with sandbox.store.transaction():
        outcome = confirm_card(sandbox, session, confirmed=form.get("answer") == "confirm")
    return _form(sandbox, session) if outcome is None else _after(sandbox, outcome, None)


@router.post("/checkout/{session_id}/promotion-code")
async def promotion_code(request: Request, session_id: str) -> Response:
    sandbox = sandbox_of(request)
    session = _session(sandbox, session_id)
    if session is None or session["status"] != "open" or not session["allow_promotion_codes"]:
        return _closed(session)
    form = decode_form((await request.body()).decode("utf-8", "replace"))
    try:
        with sandbox.store.transaction():
            session = enter_promotion_code(sandbox, session, str(form.get("code", "")))
    except ApiError as error:
        return _form(sandbox, session, refusal=error.message, status=422)
    return _form(sandbox, session)


class FormError(Exception):
    """Something on the form that the person can put right; the text is for them."""


def _read(form: Params, session: Json, sandbox: Sandbox) -> tuple[Payer, Card]:
    email = (form.text("email", limit=320) or "").strip()
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise FormError("Please enter an e-mail address.")
    card = find_card(form.text("card_number", limit=40) or "")
    if card is None:
        raise FormError("This sandbox only knows the test cards listed below.")
    expiry = re.fullmatch(r"\s*(0?[1-9]|1[0-2])\s*/\s*(?:20)?([0-9]{2})\s*", form.text("expiry", limit=10) or "")
    if expiry is None:
        raise FormError("Please enter the expiry date as MM / YY.")
    month, year = int(expiry.group(1)), 2000 + int(expiry.group(2))
    today = sandbox.clock()
    if (year, month) < (today.year, today.month):
        raise FormError("Your card has expired.")
    name = form.text("name", limit=200)
    return Payer(email=session["customer_email"] or email, name=name, card_expires=(month, year)), card


def _after(sandbox: Sandbox, outcome: Outcome, payer: Payer | None) -> Response:
    session = outcome.session
    if outcome.refusal is not None:
        return _form(sandbox, session, refusal=outcome.refusal, status=402, payer=payer)
    if outcome.needs_confirmation:
        return page("confirm.html", session=session)
    address = session["success_url"]
    if address is None:
        return _closed(session)
    return RedirectResponse(_return_address(session), status_code=303)


def _form(
    sandbox: Sandbox, session: Json, *, refusal: str | None = None, status: int = 200, payer: Payer | None = None
) -> HTMLResponse:
    customer = sandbox.store.find(session["customer"] or "", "customer") or {}
    trial_days = plan_of(sandbox, session)["trial_days"]
    return page(
        "checkout.html",
        status=status,
        session=session,
        items=sandbox.store.children(session["id"]),
        refusal=refusal,
        email=session["customer_email"] or (payer.email if payer else customer.get("email")) or "",
        email_is_fixed=session["customer_email"] is not None,
        name=(payer.name if payer else customer.get("name")) or "",
        expiry=f"12 / {(sandbox.clock().year + 3) % 100:02d}",
        cards=CARDS.values(),
        first_card=PAYING_CARD,
        button=_button(session, trial_days),
        trial_days=trial_days,
    )


def _button(session: Json, trial_days: int | None) -> str:
    if session["mode"] == "setup":
        return "Save card"
    if trial_days:
        return f"Try it for {trial_days} days"
    amount = shown_money(session["amount_total"], session["currency"])
    return f"Subscribe: {amount} today" if session["mode"] == "subscription" else f"Pay {amount}"


def _closed(session: Json | None) -> HTMLResponse:
    if session is None:
        return message("No such page", "No checkout session has its payment page here.", status=404)
    if session["status"] == "expired":
        text = "This checkout session is no longer open."
        return message("Expired", text, status=410, address=session["cancel_url"])
    address = _return_address(session) if session["success_url"] else None
    return message("All done", "This checkout session is complete.", address=address)


def message(title: str, text: str, *, status: int = 200, address: str | None = None) -> HTMLResponse:
    return page("message.html", status=status, title=title, text=text, address=address)


def _return_address(session: Json) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _session(sandbox: Sandbox, session_id: str) -> Json | None:
    expire_due(sandbox)
    return None if sandbox.store.is_frozen(session_id) else sandbox.store.find(session_id, "checkout.session")


def newest(sandbox: Sandbox, object_name: str, after: str | None) -> tuple[list[Json], str | None]:
    """One page, and the id after which the next one begins."""
    known = after is not None and sandbox.store.find(after, object_name) is not None
    cursor = Cursor(after, forward=True) if after is not None and known else None
    bodies, has_more = sandbox.store.page(object_name, cursor=cursor, limit=PAGE_LENGTH)
    return bodies, bodies[-1]["id"] if has_more else None
