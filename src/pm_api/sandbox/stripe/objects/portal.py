"""The portal's configuration and a customer's session in it."""

from pm_api.sandbox.stripe.objects.common import Json, new_id


def build_features() -> Json:
    """Everything off, as when no feature is named."""
    return {
        "customer_update": {"allowed_updates": [], "enabled": False},
        "invoice_history": {"enabled": False},
        "payment_method_update": {"enabled": False, "payment_method_configuration": None},
        "subscription_cancel": {
            "cancellation_reason": {
                "enabled": False,
                "options": [
                    "customer_service",
                    "low_quality",
                    "missing_features",
                    "other",
                    "switched_service",
                    "too_complex",
                    "too_expensive",
                    "unused",
                ],
            },
            "enabled": False,
            "mode": "at_period_end",
            "proration_behavior": "none",
        },
        "subscription_update": {
            "billing_cycle_anchor": None,
            "default_allowed_updates": [],
            "enabled": False,
            "proration_behavior": "none",
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
        },
    }


def build_configuration(*, created: int, metadata: dict[str, str] | None = None) -> Json:
    """Made through the API, so that it is never the account's default."""
    return {
        "id": new_id("bpc"),
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "created": created,
        "default_return_url": None,
        "features": build_features(),
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": metadata or {},
        "name": None,
        "updated": created,
    }


def build_portal_session(
    *,
    created: int,
    configuration_id: str,
    customer_id: str,
    base_url: str,
    return_url: str | None = None,
    locale: str | None = None,
    flow: Json | None = None,
) -> Json:
    identifier = new_id("bps")
    return {
        "id": identifier,
        "object": "billing_portal.session",
        "configuration": configuration_id,
        "created": created,
        "customer": customer_id,
        "customer_account": None,
        "flow": flow,
        "livemode": False,
        "locale": locale,
        "on_behalf_of": None,
        "return_url": return_url,
        "url": f"{base_url}portal/{identifier}",
    }


def build_flow(kind: str, *, subscription_id: str | None = None, after_completion: Json | None = None) -> Json:
    return {
        "after_completion": after_completion
        or {"hosted_confirmation": None, "redirect": None, "type": "portal_homepage"},
        "subscription_cancel": {"retention": None, "subscription": subscription_id} if subscription_id else None,
        "subscription_update": None,
        "subscription_update_confirm": None,
        "type": kind,
    }
