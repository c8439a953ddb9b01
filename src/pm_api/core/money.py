"""Money as people read it."""

from typing import Final

# Minor units of currencies without any, or with three. https://docs.stripe.com/currencies#zero-decimal
_WHOLE: Final = frozenset(
    {
        *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
        *("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"),
    }
)
_THREE: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


def money(amount_minor: int, currency: str) -> str:
    """`1,234.50 USD`."""
    code = currency.upper()
    digits = 0 if code in _WHOLE else 3 if code in _THREE else 2
    whole, rest = divmod(abs(amount_minor), 10**digits)
    sign = "−" if amount_minor < 0 else ""
    return f"{sign}{whole:,}{f'.{rest:0{digits}d}' if digits else ''} {code}"
