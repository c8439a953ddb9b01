"""Where payment pages may lead back to: an allow-list of origins, so that a link of ours leads nobody astray."""

from typing import Final
from urllib.parse import urlsplit

from pm_api.core.platform import Platform
from pm_api.domains.billing.errors import ReturnUrlNotAllowed

SESSION_ID: Final = "{CHECKOUT_SESSION_ID}"
"""Stripe writes the session's id in its place."""

_PORTS: Final = {"http": 80, "https": 443}


def after_success(platform: Platform, wanted: str | None) -> str:
    """Where a buyer comes to who has paid, with the session's id; raises ReturnUrlNotAllowed."""
    address = allowed(platform, wanted, "/successUrl") or f"{platform.settings.site_url.rstrip('/')}/dashboard"
    if SESSION_ID in address:
        return address
    address, hash_sign, fragment = address.partition("#")
    joint = "&" if "?" in address else "?"
    return f"{address}{joint}checkoutSession={SESSION_ID}{hash_sign}{fragment}"


def after_cancel(platform: Platform, wanted: str | None) -> str:
    """Where a buyer comes to who goes back; raises ReturnUrlNotAllowed."""
    return allowed(platform, wanted, "/cancelUrl") or f"{platform.settings.site_url.rstrip('/')}/credits"


def allowed(platform: Platform, wanted: str | None, pointer: str) -> str | None:
    """The address, if it leads where it may; raises ReturnUrlNotAllowed."""
    if wanted is None:
        return None
    origin = _origin(wanted)
    if origin is None or origin not in {_origin(one) for one in platform.settings.return_origins}:
        detail = "Leads to no origin that is allowed"
        raise ReturnUrlNotAllowed(details=[{"pointer": pointer, "detail": detail}])
    return wanted


def _origin(address: str) -> tuple[str, str, int] | None:
    """None for what no browser, or not every browser, takes for an address of the web at this origin."""
    if not address.isascii() or not address.isprintable() or set(address) & set(' \\\t"<>^`|'):
        return None
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc:
        return None
    return parts.scheme, host, port or _PORTS[parts.scheme]
