"""Where payment pages may lead back to: an allow-list of origins, so that a link of ours leads nobody astray."""

from typing import Final

from pm_api.core.origins import origin_of
from pm_api.core.platform import Platform
from pm_api.domains.billing.errors import ReturnUrlNotAllowed

SESSION_ID: Final = "{CHECKOUT_SESSION_ID}"
"""Stripe writes the session's id in its place."""


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
    origin = origin_of(wanted)
    if origin is None or origin not in {origin_of(one) for one in platform.settings.return_origins}:
        detail = "Leads to no origin that is allowed"
        raise ReturnUrlNotAllowed(details=[{"pointer": pointer, "detail": detail}])
    return wanted
