"""The hosted portal: a customer's subscriptions, cards and invoices, and what they may do with them."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from pm_api.sandbox.stripe import wallet
from pm_api.sandbox.stripe.billing.records import ENDED, amend, on_timeline, period_of
from pm_api.sandbox.stripe.billing.standing import UPDATED
from pm_api.sandbox.stripe.card_form import read_form
from pm_api.sandbox.stripe.control import sandbox_of
from pm_api.sandbox.stripe.errors import ApiError, InvalidRequest
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.setups import build_setup_intent
from pm_api.sandbox.stripe.pages import page
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.resources.subscriptions import cancel, update_subscription
from pm_api.sandbox.stripe.store import Condition, field_is
from pm_api.sandbox.stripe.wire import ApiCall
from pm_api.sandbox.stripe.world import NO_REQUEST, Sandbox

router = APIRouter(prefix="/portal")
OPEN_FOR_S = 60 * 60
INVOICES_SHOWN = 24


@dataclass(frozen=True)
class Visit:
    """Somebody in the portal: whose it is, and what its configuration lets them do."""

    sandbox: Sandbox
    session: Json
    customer: Json
    features: Json
    base_url: str

    @property
    def address(self) -> str:
        return f"/portal/{self.session['id']}"

    def may(self, feature: str) -> bool:
        return bool(self.features[feature]["enabled"])


@router.get("/{session_id}")
async def show(request: Request, session_id: str) -> Response:
    visit = _visit(request, session_id)
    if isinstance(visit, Response):
        return visit
    added = request.query_params.get("setup_intent")
    if added is not None:
        return _after_adding(visit, added)
    return _page(visit)


@router.post("/{session_id}/subscriptions/{subscription_id}/cancel")
async def cancel_subscription(request: Request, session_id: str, subscription_id: str) -> Response:
    form = await read_form(request)

    def act(visit: Visit) -> None:
        feature = visit.features["subscription_cancel"]
        _refuse_unless(visit.may("subscription_cancel"))
        subscription = _own_subscription(visit, subscription_id)
        details: Json = {}
        feedback = form.text("feedback", limit=100)
        if feedback is not None:
            details = {"cancellation_details": {"feedback": feedback}}
        if feature["mode"] == "immediately":
            prorate = "false" if feature["proration_behavior"] == "none" else "true"
            at_once = "true" if feature["proration_behavior"] == "always_invoice" else "false"
            cancel(_call(visit, subscription, {"prorate": prorate, "invoice_now": at_once, **details}))
        else:
            update_subscription(_call(visit, subscription, {"cancel_at_period_end": "true", **details}))

    return _done(request, session_id, act, flow="subscription_cancel")


@router.post("/{session_id}/subscriptions/{subscription_id}/resume")
async def keep_subscription(request: Request, session_id: str, subscription_id: str) -> Response:
    """It was to be canceled, and goes on after all."""

    def act(visit: Visit) -> None:
        _refuse_unless(visit.may("subscription_cancel"))
        subscription = _own_subscription(visit, subscription_id)
        update_subscription(_call(visit, subscription, {"cancel_at_period_end": "false"}))

    return _done(request, session_id, act)


@router.post("/{session_id}/cards")
async def add_card(request: Request, session_id: str) -> Response:
    """Through a setup intent, on the page where a card is typed; it comes back here."""
    visit = _visit(request, session_id)
    if isinstance(visit, Response):
        return visit
    if not visit.may("payment_method_update"):
        return _page(visit, refusal="This portal does not allow that.", status=403)
    sandbox = visit.sandbox
    intent = build_setup_intent(created=sandbox.now(), customer_id=visit.customer["id"])
    with sandbox.store.transaction():
        sandbox.store.save(intent)
        sandbox.publish("setup_intent.created", intent)
    back = f"{visit.base_url.rstrip('/')}{visit.address}"
    address = f"/_sandbox/elements/{intent['client_secret']}?return_url={back}"
    return RedirectResponse(address, status_code=303)


@router.post("/{session_id}/cards/{method_id}/default")
async def set_default(request: Request, session_id: str, method_id: str) -> Response:
    def act(visit: Visit) -> None:
        _refuse_unless(visit.may("payment_method_update"))
        _make_default(visit, method_id)

    return _done(request, session_id, act, flow="payment_method_update")


@router.post("/{session_id}/cards/{method_id}/remove")
async def remove_card(request: Request, session_id: str, method_id: str) -> Response:
    """The card that pays for a running subscription stays."""

    def act(visit: Visit) -> None:
        _refuse_unless(visit.may("payment_method_update"))
        method = wallet.own(visit.sandbox, visit.customer["id"], method_id, param="payment_method")
        if method_id in _needed(visit):
            raise InvalidRequest("This card pays for a subscription. Make another one the default first.")
        wallet.detach(visit.sandbox, method)

    return _done(request, session_id, act)


def _visit(request: Request, session_id: str) -> "Visit | Response":
    """The visit, or the page that says why there is none."""
    sandbox = sandbox_of(request)
    session = sandbox.store.find(session_id, "billing_portal.session")
    if session is None:
        return _message("No such page", "No portal session has its page here.", status=404)
    customer = sandbox.store.find(session["customer"], "customer")
    if customer is None or customer.get("deleted"):
        return _message("No such customer", "This customer has been deleted.", status=410)
    if session["created"] + OPEN_FOR_S < sandbox.now():
        return _message(
            "Expired", "This portal session is no longer open.", status=410, address=session["return_url"]
        )
    configuration = sandbox.store.find(session["configuration"], "billing_portal.configuration")
    assert configuration is not None
    return Visit(
        sandbox=on_timeline(sandbox, customer["test_clock"]),
        session=session,
        customer=customer,
        features=configuration["features"],
        base_url=str(request.base_url),
    )


def _done(request: Request, session_id: str, act: Callable[[Visit], None], *, flow: str | None = None) -> Response:
    """Carry the act out whole or not at all, then show where things stand."""
    visit = _visit(request, session_id)
    if isinstance(visit, Response):
        return visit
    try:
        with visit.sandbox.store.transaction():
            act(visit)
    except ApiError as error:
        return _page(visit, refusal=error.message, status=409)
    return _onwards(visit, flow)


def _onwards(visit: Visit, flow: str | None) -> Response:
    wanted = visit.session["flow"]
    if wanted is None or wanted["type"] != flow:
        return RedirectResponse(visit.address, status_code=303)
    after = wanted["after_completion"]
    if after["type"] == "redirect":
        return RedirectResponse(after["redirect"]["return_url"], status_code=303)
    if after["type"] == "hosted_confirmation":
        text = after["hosted_confirmation"]["custom_message"] or "Your change has been saved."
        return _message("All done", text, address=visit.session["return_url"])
    return RedirectResponse(visit.address, status_code=303)


def _after_adding(visit: Visit, setup_intent_id: str) -> Response:
    """Back from typing a card. The first card, and one that was asked for, becomes the default."""
    intent = visit.sandbox.store.find(setup_intent_id, "setup_intent")
    if intent is None or intent["customer"] != visit.customer["id"] or intent["status"] != "succeeded":
        return RedirectResponse(visit.address, status_code=303)
    asked_for = (visit.session["flow"] or {}).get("type") == "payment_method_update"
    if asked_for or visit.customer["invoice_settings"]["default_payment_method"] is None:
        with visit.sandbox.store.transaction():
            _make_default(visit, intent["payment_method"])
    return _onwards(visit, "payment_method_update")


def _make_default(visit: Visit, method_id: str) -> None:
    """For the customer's invoices, and for the subscriptions that had chosen a card of their own."""
    method = wallet.own(visit.sandbox, visit.customer["id"], method_id, param="payment_method")
    wallet.set_default(visit.sandbox, visit.customer, method["id"])
    for subscription in _living(visit):
        if subscription["default_payment_method"] not in (None, method["id"]):
            amend(visit.sandbox, subscription, UPDATED, default_payment_method=method["id"])


def _needed(visit: Visit) -> set[str | None]:
    """The cards that running subscriptions are paid with."""
    default = visit.customer["invoice_settings"]["default_payment_method"]
    return {
        subscription["default_payment_method"] or default
        for subscription in _living(visit)
        if subscription["cancel_at"] is None
    }


def _living(visit: Visit) -> list[Json]:
    found = visit.sandbox.store.all("subscription", [field_is("customer", visit.customer["id"])])
    return [one for one in found if one["status"] not in ENDED]


def _own_subscription(visit: Visit, subscription_id: str) -> Json:
    for subscription in _living(visit):
        if subscription["id"] == subscription_id:
            return subscription
    raise InvalidRequest("This subscription has ended, or is not yours.")


def _call(visit: Visit, subscription: Json, values: Json) -> ApiCall:
    """The portal changes subscriptions through the same door as the API."""
    return ApiCall(
        sandbox=visit.sandbox,
        path=f"/v1/subscriptions/{subscription['id']}",
        values={"id": subscription["id"]},
        params=Params(values),
        origin=NO_REQUEST,
        base_url=visit.base_url,
    )


def _refuse_unless(allowed: bool) -> None:
    if not allowed:
        raise InvalidRequest("This portal does not allow that.")


def _page(visit: Visit, *, refusal: str | None = None, status: int = 200) -> Response:
    store = visit.sandbox.store
    invoices, _ = store.page(
        "invoice",
        conditions=[
            field_is("customer", visit.customer["id"]),
            Condition("json_extract(body, '$.status') <> 'draft'"),
        ],
        limit=INVOICES_SHOWN,
    )
    return page(
        "portal.html",
        status=status,
        address=visit.address,
        cards=wallet.cards_of(visit.sandbox, visit.customer["id"]),
        customer=visit.customer,
        default=visit.customer["invoice_settings"]["default_payment_method"],
        features=visit.features,
        flow=visit.session["flow"],
        invoices=invoices,
        needed=_needed(visit),
        refusal=refusal,
        return_url=visit.session["return_url"],
        subscriptions=[_shown(visit, one) for one in _living(visit)],
    )


def _shown(visit: Visit, subscription: Json) -> Json:
    price = subscription["items"]["data"][0]["price"]
    product = visit.sandbox.store.find(price["product"], "product") or {"name": price["product"]}
    return {
        "id": subscription["id"],
        "name": product["name"],
        "status": subscription["status"],
        "amount": price["unit_amount"],
        "currency": price["currency"],
        "interval": price["recurring"]["interval"],
        "ends": subscription["cancel_at"],
        "renews": period_of(subscription)[1],
    }


def _message(title: str, text: str, *, status: int = 200, address: str | None = None) -> Response:
    return page("message.html", status=status, title=title, text=text, address=address)
