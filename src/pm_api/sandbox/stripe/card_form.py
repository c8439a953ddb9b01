"""Reading a card that a person typed on one of the sandbox's pages."""

import re

from starlette.requests import Request

from pm_api.sandbox.stripe.cards import find_card
from pm_api.sandbox.stripe.pages import FormError
from pm_api.sandbox.stripe.params import Params, decode_form
from pm_api.sandbox.stripe.wallet import Typed
from pm_api.sandbox.stripe.world import Sandbox

EXPIRY = re.compile(r"\s*(0?[1-9]|1[0-2])\s*/\s*(?:20)?([0-9]{2})\s*")


async def read_form(request: Request) -> Params:
    return Params(decode_form((await request.body()).decode("utf-8", "replace")))


def read_card(form: Params, sandbox: Sandbox) -> Typed:
    """Raises `FormError` with a sentence for the person."""
    card = find_card(form.text("card_number", limit=40) or "")
    if card is None:
        raise FormError("This sandbox only knows the test cards listed below.")
    expiry = EXPIRY.fullmatch(form.text("expiry", limit=10) or "")
    if expiry is None:
        raise FormError("Please enter the expiry date as MM / YY.")
    month, year = int(expiry.group(1)), 2000 + int(expiry.group(2))
    today = sandbox.clock()
    if (year, month) < (today.year, today.month):
        raise FormError("Your card has expired.")
    return Typed(card, (month, year), form.text("email", limit=320), form.text("name", limit=200))


def usual_expiry(sandbox: Sandbox) -> str:
    return f"12 / {(sandbox.clock().year + 3) % 100:02d}"
