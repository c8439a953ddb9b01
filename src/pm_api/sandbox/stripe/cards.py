"""The test cards that the hosted page knows. https://docs.stripe.com/testing"""

from dataclasses import dataclass
from enum import Enum


class CardBehaviour(Enum):
    PAYS = "pays"
    DECLINES = "declines"
    ASKS = "asks"


@dataclass(frozen=True)
class Card:
    """`fingerprint` is the same wherever the same number is used, as at Stripe."""

    number: str
    behaviour: CardBehaviour
    fingerprint: str
    note: str

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def grouped(self) -> str:
        return " ".join(self.number[start : start + 4] for start in range(0, len(self.number), 4))


CARDS = {
    card.number: card
    for card in (
        Card("4242424242424242", CardBehaviour.PAYS, "sandboxPays00001", "pays"),
        Card("4000000000000002", CardBehaviour.DECLINES, "sandboxDeclines1", "is declined"),
        Card("4000002500003155", CardBehaviour.ASKS, "sandboxAsks00001", "asks for confirmation, then pays"),
    )
}


def find_card(number: str) -> Card | None:
    return CARDS.get("".join(number.split()).replace("-", ""))
