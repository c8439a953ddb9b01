"""Money as people read it, the same in a notice as in a mail."""

import pytest

from pm_api.domains.billing import telling


@pytest.mark.parametrize(
    ("amount_minor", "currency", "shown"),
    [
        (2999, "USD", "29.99 USD"),
        (123450, "EUR", "1,234.50 EUR"),
        (2999, "JPY", "2,999 JPY"),
        (1234, "KWD", "1.234 KWD"),
        (-5, "USD", "−0.05 USD"),
    ],
)
def test_money_is_written_in_the_places_of_its_currency(amount_minor: int, currency: str, shown: str) -> None:
    assert telling.money(amount_minor, currency) == shown
