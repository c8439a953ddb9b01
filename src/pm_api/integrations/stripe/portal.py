"""Stripe's own portal, where customers see invoices, change cards and cancel."""

from dataclasses import dataclass
from typing import Final

import stripe
from stripe.params.billing_portal import (
    ConfigurationCreateParams,
    ConfigurationCreateParamsFeatures,
    ConfigurationUpdateParams,
    SessionCreateParams,
)

from pm_api.integrations.stripe.door import StripeDoor, calling, keyed
from pm_api.integrations.stripe.values import LIST_LIMIT, everything, page_size, texts

# How our configuration is found again among those made by hand.
MARK: Final = {"pm_api": "portal"}


@dataclass(frozen=True, slots=True)
class StripePortalConfiguration:
    """What the portal lets people do. `is_as_wanted`: its features are those that we want."""

    id: str
    is_active: bool
    return_url: str | None
    is_as_wanted: bool


async def open_session(
    door: StripeDoor,
    customer_id: str,
    *,
    return_url: str,
    configuration_id: str | None = None,
    locale: str | None = None,
    key: str,
) -> str:
    """The address that lets this customer in, for a few minutes and without a password."""
    params: SessionCreateParams = {"customer": customer_id, "return_url": return_url}
    if configuration_id is not None:
        params["configuration"] = configuration_id
    if locale is not None:
        params["locale"] = locale
    async with calling("portal session"):
        return (await door.client.v1.billing_portal.sessions.create_async(params, keyed(key))).url


async def find_configuration(door: StripeDoor) -> StripePortalConfiguration | None:
    """The configuration that `ensure_configuration` made."""
    async with calling("portal configurations"):
        first = await door.client.v1.billing_portal.configurations.list_async({"limit": page_size(LIST_LIMIT)})
        found = await everything(first, _if_ours)
    ours = [one for one in found.items if one is not None]
    return next((one for one in ours if one.is_active), next(iter(ours), None))


async def ensure_configuration(door: StripeDoor, *, return_url: str, key: str) -> StripePortalConfiguration:
    """The configuration, made or mended when it is not as wanted.

    Plans are not changed in the portal: a change there would not be the quote that our own route gave.
    """
    found = await find_configuration(door)
    if found and found.is_active and found.is_as_wanted and found.return_url == return_url:
        return found
    configurations = door.client.v1.billing_portal.configurations
    if found is None:
        params: ConfigurationCreateParams = {
            "default_return_url": return_url,
            "features": _features(),
            "metadata": dict(MARK),
        }
        async with calling("portal configuration"):
            return read_configuration(await configurations.create_async(params, keyed(key)))
    changes: ConfigurationUpdateParams = {
        "active": True,
        "default_return_url": return_url,
        "features": {
            "customer_update": {"enabled": True, "allowed_updates": ["address", "email", "name", "tax_id"]},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
            "subscription_update": {"enabled": False},
        },
    }
    async with calling(found.id):
        return read_configuration(await configurations.update_async(found.id, changes, keyed(key)))


def read_configuration(found: stripe.billing_portal.Configuration) -> StripePortalConfiguration:
    features, cancel = found.features, found.features.subscription_cancel
    return StripePortalConfiguration(
        id=found.id,
        is_active=found.active,
        return_url=found.default_return_url,
        is_as_wanted=features.invoice_history.enabled
        and features.payment_method_update.enabled
        and features.customer_update.enabled
        and set(features.customer_update.allowed_updates) == {"address", "email", "name", "tax_id"}
        and cancel.enabled
        and cancel.mode == "at_period_end"
        and not features.subscription_update.enabled,
    )


def _if_ours(found: stripe.billing_portal.Configuration) -> StripePortalConfiguration | None:
    return read_configuration(found) if MARK.items() <= texts(found.metadata).items() else None


def _features() -> ConfigurationCreateParamsFeatures:
    return {
        "customer_update": {"enabled": True, "allowed_updates": ["address", "email", "name", "tax_id"]},
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
        "subscription_update": {"enabled": False},
    }
