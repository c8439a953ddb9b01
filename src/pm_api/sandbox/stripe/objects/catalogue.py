"""Products and prices."""

from pm_api.sandbox.stripe.objects.common import Json, new_id


def build_product(
    *,
    created: int,
    name: str,
    product_id: str | None = None,
    active: bool = True,
    description: str | None = None,
    images: list[str] | None = None,
    metadata: dict[str, str] | None = None,
    statement_descriptor: str | None = None,
    tax_code: str | None = None,
    unit_label: str | None = None,
    url: str | None = None,
) -> Json:
    return {
        "id": product_id or new_id("prod"),
        "object": "product",
        "active": active,
        "created": created,
        "default_price": None,
        "description": description,
        "images": images or [],
        "livemode": False,
        "marketing_features": [],
        "metadata": metadata or {},
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": statement_descriptor,
        "tax_code": tax_code,
        "type": "service",
        "unit_label": unit_label,
        "updated": created,
        "url": url,
    }


def recurring_terms(interval: str, interval_count: int = 1) -> Json:
    return {
        "interval": interval,
        "interval_count": interval_count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def build_price(
    *,
    created: int,
    product_id: str,
    currency: str,
    unit_amount: int,
    active: bool = True,
    lookup_key: str | None = None,
    metadata: dict[str, str] | None = None,
    nickname: str | None = None,
    recurring: Json | None = None,
    tax_behavior: str = "unspecified",
) -> Json:
    """A per-unit price: recurring when terms are given, otherwise one-time. `unit_amount` in minor units."""
    return {
        "id": new_id("price"),
        "object": "price",
        "active": active,
        "billing_scheme": "per_unit",
        "created": created,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": lookup_key,
        "metadata": metadata or {},
        "nickname": nickname,
        "product": product_id,
        "recurring": recurring,
        "tax_behavior": tax_behavior,
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
    }
