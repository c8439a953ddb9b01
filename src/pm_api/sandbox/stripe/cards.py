"""The test cards that the sandbox knows, and what is remembered of them. https://docs.stripe.com/testing"""

from dataclasses import dataclass
from enum import Enum

from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.store import Store


class CardBehaviour(Enum):
    """`ASKS` wants its holder once and is then set up for later, `ASKS_ALWAYS` each time; `FAILS_LATER` can be
    kept on a customer and declines every payment."""

    PAYS = "pays"
    DECLINES = "declines"
    ASKS = "asks"
    ASKS_ALWAYS = "asks_always"
    FAILS_LATER = "fails_later"


@dataclass(frozen=True)
class Card:
    """`fingerprint` is the same wherever the same number is used, as at Stripe: it tells a stored card's number.

    `token` is the payment method id that stands for the number in test mode, such as `pm_card_visa`.
    """

    number: str
    behaviour: CardBehaviour
    fingerprint: str
    note: str
    token: str
    brand: str = "visa"
    decline_code: str = "generic_decline"

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def grouped(self) -> str:
        return " ".join(self.number[start : start + 4] for start in range(0, len(self.number), 4))


PAYING_CARD = Card("4242424242424242", CardBehaviour.PAYS, "sandboxPays00001", "pays", "pm_card_visa")
CARDS = {
    card.number: card
    for card in (
        PAYING_CARD,
        Card(
            "5555555555554444",
            CardBehaviour.PAYS,
            "sandboxPays00002",
            "pays, another card",
            "pm_card_mastercard",
            brand="mastercard",
        ),
        Card(
            "6011111111111117",
            CardBehaviour.PAYS,
            "sandboxPays00003",
            "pays, a third card",
            "pm_card_discover",
            brand="discover",
        ),
        Card(
            "3056930009020004",
            CardBehaviour.PAYS,
            "sandboxPays00004",
            "pays, a fourth card",
            "pm_card_diners",
            brand="diners",
        ),
        Card(
            "3566002020360505",
            CardBehaviour.PAYS,
            "sandboxPays00005",
            "pays, a fifth card",
            "pm_card_jcb",
            brand="jcb",
        ),
        Card(
            "4000000000000002",
            CardBehaviour.DECLINES,
            "sandboxDeclines1",
            "is declined",
            "pm_card_visa_chargeDeclined",
        ),
        Card(
            "4000000000009995",
            CardBehaviour.DECLINES,
            "sandboxDeclines2",
            "is declined for lack of funds",
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            decline_code="insufficient_funds",
        ),
        Card(
            "4000002500003155",
            CardBehaviour.ASKS,
            "sandboxAsks00001",
            "asks for confirmation, then pays",
            "pm_card_authenticationRequiredOnSetup",
        ),
        Card(
            "4000002760003184",
            CardBehaviour.ASKS_ALWAYS,
            "sandboxAsks00002",
            "asks for confirmation every time",
            "pm_card_authenticationRequired",
        ),
        Card(
            "4000000000000341",
            CardBehaviour.FAILS_LATER,
            "sandboxFailing01",
            "can be saved, and every payment fails",
            "pm_card_chargeCustomerFail",
        ),
    )
}


def find_card(number: str) -> Card | None:
    return CARDS.get("".join(number.split()).replace("-", ""))


def card_behind(payment_method: Json) -> Card:
    """The test card of a stored payment method; one that nobody knows pays."""
    fingerprint = payment_method["card"]["fingerprint"]
    return next((card for card in CARDS.values() if card.fingerprint == fingerprint), PAYING_CARD)


def mark_set_up(store: Store, payment_method: Json) -> None:
    """The holder has agreed to later payments: a card that asks once does not ask again."""
    store.save({"id": f"{payment_method['id']}.set_up", "object": "sandbox.card_set_up"})


def asks_holder(store: Store, payment_method: Json) -> bool:
    """Whether the next payment needs its holder."""
    behaviour = card_behind(payment_method).behaviour
    if behaviour is CardBehaviour.ASKS_ALWAYS:
        return True
    return behaviour is CardBehaviour.ASKS and store.find(f"{payment_method['id']}.set_up") is None
