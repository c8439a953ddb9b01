"""`/_sandbox/elements/{client_secret}`: what Stripe's library does in a browser, as a page and as a JSON call.

A card is typed for a setup intent or a payment intent, and its holder agrees or refuses when the bank asks.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field

from pm_api.sandbox.stripe import intents, setups, wallet
from pm_api.sandbox.stripe.card_form import read_card, read_form, usual_expiry
from pm_api.sandbox.stripe.cards import CARDS, find_card
from pm_api.sandbox.stripe.control import Body, ControlError, sandbox_of
from pm_api.sandbox.stripe.errors import ApiError
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.pages import FormError, page
from pm_api.sandbox.stripe.wallet import Typed
from pm_api.sandbox.stripe.world import Sandbox

router = APIRouter(prefix="/_sandbox/elements")
SETUP = "setup_intent"
PAYMENT = "payment_intent"
ReturnUrl = Annotated[str | None, Query(pattern="^https?://", max_length=2000)]


class CardEntry(Body):
    """A card as the browser would send it: typed, or one that the customer has. `confirm` answers the bank."""

    card_number: str | None = None
    exp_month: int = Field(default=12, ge=1, le=12)
    exp_year: int | None = Field(default=None, ge=2000, le=2100)
    payment_method: str | None = None
    email: str | None = None
    name: str | None = None
    confirm: bool | None = None


@router.get("/{client_secret}")
async def show(request: Request, client_secret: str, return_url: ReturnUrl = None) -> Response:
    sandbox = sandbox_of(request)
    intent = find_intent(sandbox, client_secret)
    if intent is None:
        return _nothing_here()
    if intent["status"] in {"succeeded", "canceled", "processing"}:
        return _over(intent, return_url)
    return _page(sandbox, intent, _return_url(intent, return_url))


@router.post("/{client_secret}")
async def submit(request: Request, client_secret: str, return_url: ReturnUrl = None) -> Response:
    """A typed card, or with `payment_method` one that the customer has already."""
    sandbox = sandbox_of(request)
    intent = find_intent(sandbox, client_secret)
    if intent is None:
        return _nothing_here()
    return_url = _return_url(intent, return_url)
    try:
        form = await read_form(request)
        saved = form.text("payment_method", limit=100)
        typed = None if saved is not None else read_card(form, sandbox)
        intent = confirm(sandbox, intent, typed, saved)
    except (ApiError, FormError) as error:
        status = error.status if isinstance(error, ApiError) else 422
        fresh = find_intent(sandbox, client_secret)
        return _page(sandbox, fresh or intent, return_url, refusal=str(error), status=status)
    return _after(sandbox, intent, return_url)


@router.post("/{client_secret}/answer")
async def answer_bank(request: Request, client_secret: str, return_url: ReturnUrl = None) -> Response:
    sandbox = sandbox_of(request)
    intent = find_intent(sandbox, client_secret)
    if intent is None:
        return _nothing_here()
    return_url = _return_url(intent, return_url)
    agreed = (await read_form(request)).text("answer") == "confirm"
    try:
        intent = answer(sandbox, intent, agreed=agreed)
    except ApiError as error:
        fresh = find_intent(sandbox, client_secret)
        return _page(sandbox, fresh or intent, return_url, refusal=str(error), status=error.status)
    return _after(sandbox, intent, return_url)


@router.put("/{client_secret}")
async def confirm_by_call(request: Request, client_secret: str, body: CardEntry) -> Json:
    """The same without a page, for tests: `{intent, error}`, as Stripe's library hands them to its caller.

    With a `cardNumber` or `paymentMethod` the intent is confirmed; `confirm` true or false then answers the bank
    if it asks, and without it the intent is left waiting.
    """
    sandbox = sandbox_of(request)
    intent = find_intent(sandbox, client_secret)
    if intent is None:
        raise ControlError(404, "No intent has this client secret.")
    try:
        if body.card_number is not None or body.payment_method is not None:
            intent = confirm(sandbox, intent, _typed(sandbox, body), body.payment_method)
        if body.confirm is not None and intent["status"] == "requires_action":
            intent = answer(sandbox, intent, agreed=body.confirm)
    except ApiError as error:
        return {"intent": find_intent(sandbox, client_secret), "error": error.body()["error"]}
    return {"intent": intent, "error": None}


def find_intent(sandbox: Sandbox, client_secret: str) -> Json | None:
    identifier = client_secret.partition("_secret_")[0]
    intent = sandbox.store.find(identifier)
    if intent is None or intent.get("client_secret") != client_secret:
        return None
    return intent


def confirm(sandbox: Sandbox, intent: Json, typed: Typed | None, saved: str | None) -> Json:
    """Raises `ApiError`; a refused attempt stays."""
    here = intents.timeline_of(sandbox, intent["customer"])

    def act() -> Json:
        _refuse_unless_open(intent)
        if saved is not None:
            method = wallet.find_usable(here, saved, intent["customer"])
        else:
            assert typed is not None
            method = wallet.make(here, typed)
        if intent["object"] == SETUP:
            return setups.confirm(here, intent, method)
        return intents.confirm(here, intent, method, intents.Plan())

    return _kept(sandbox, act)


def answer(sandbox: Sandbox, intent: Json, *, agreed: bool) -> Json:
    """Raises `ApiError`; a refusal stays."""
    here = intents.timeline_of(sandbox, intent["customer"])
    room: Any = setups if intent["object"] == SETUP else intents
    return _kept(sandbox, lambda: room.answer(here, intent, agreed=agreed))


def _kept(sandbox: Sandbox, act: Any) -> Json:
    """What the act did, in one transaction, also when it ends in a refusal that keeps its effects."""
    refusal: ApiError | None = None
    outcome: Json = {}
    with sandbox.store.transaction():
        try:
            outcome = act()
        except ApiError as error:
            if not error.keeps_effects:
                raise
            refusal = error
    if refusal is not None:
        raise refusal
    return outcome


def _refuse_unless_open(intent: Json) -> None:
    if intent["object"] == SETUP:
        setups.refuse_unless_open(intent)
    else:
        intents.refuse_unless_open(intent)


def _typed(sandbox: Sandbox, body: CardEntry) -> Typed | None:
    if body.card_number is None:
        return None
    card = find_card(body.card_number)
    if card is None:
        raise ControlError(422, "The sandbox does not know this card number.")
    year = body.exp_year or sandbox.clock().year + wallet.YEARS_VALID
    return Typed(card, (body.exp_month, year), body.email, body.name)


def _after(sandbox: Sandbox, intent: Json, return_url: str | None) -> Response:
    if intent["status"] == "requires_action":
        return _page(sandbox, intent, return_url)
    return _over(intent, return_url)


def _page(
    sandbox: Sandbox, intent: Json, return_url: str | None, *, refusal: str | None = None, status: int = 200
) -> Response:
    return page(
        "elements.html",
        status=status,
        intent=intent,
        is_payment=intent["object"] == PAYMENT,
        asks=intent["status"] == "requires_action",
        saved=wallet.cards_of(sandbox, intent["customer"]) if intent["customer"] else [],
        address=f"/_sandbox/elements/{intent['client_secret']}",
        return_url=return_url,
        refusal=refusal,
        expiry=usual_expiry(sandbox),
        cards=CARDS.values(),
    )


def _over(intent: Json, return_url: str | None) -> Response:
    if return_url is not None:
        return RedirectResponse(_with_outcome(return_url, intent), status_code=303)
    words = {
        "succeeded": "The card has been saved." if intent["object"] == SETUP else "The payment has been made.",
        "canceled": "This has been canceled.",
    }
    return page(
        "message.html",
        title="All done" if intent["status"] == "succeeded" else "Nothing to do",
        text=words.get(intent["status"], "Nothing is waiting here."),
        address=None,
    )


def _return_url(intent: Json, given: str | None) -> str | None:
    """Where the person came from: told by the page's address, or when the intent was confirmed."""
    redirect = (intent["next_action"] or {}).get("redirect_to_url") or {}
    return given or redirect.get("return_url")


def _with_outcome(address: str, intent: Json) -> str:
    """What Stripe adds to the address that it sends the buyer back to."""
    joiner = "&" if "?" in address else "?"
    status = "succeeded" if intent["status"] == "succeeded" else "failed"
    return (
        f"{address}{joiner}{intent['object']}={intent['id']}"
        f"&{intent['object']}_client_secret={intent['client_secret']}&redirect_status={status}"
    )


def _nothing_here() -> Response:
    return page(
        "message.html", status=404, title="No such page", text="No intent has this client secret.", address=None
    )
