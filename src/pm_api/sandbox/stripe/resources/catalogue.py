"""/v1/products and /v1/prices"""

import re
from copy import deepcopy

from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.catalogue import build_price, build_product, recurring_terms
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.store import field_is
from pm_api.sandbox.stripe.telling import told
from pm_api.sandbox.stripe.wire import (
    ApiCall,
    ApiRoute,
    by_any_of,
    by_boolean,
    by_fields_of,
    by_moment,
    by_text,
    filtered_list,
    referenced,
    retrieve_one,
    stored,
)
from pm_api.sandbox.stripe.world import Sandbox

INTERVALS = ("day", "week", "month", "year")
PRODUCT_TEXTS = ("description", "statement_descriptor", "tax_code", "unit_label")
TAX_BEHAVIOURS = ("exclusive", "inclusive", "unspecified")


def create_product(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown({*PRODUCT_TEXTS, "id", "name", "active", "images", "metadata", "url"})
    product_id = params.text("id")
    if product_id is not None and call.sandbox.store.find(product_id) is not None:
        raise InvalidRequest("Product already exists.", param="id", code="resource_already_exists")
    product = build_product(
        created=call.sandbox.now(),
        name=params.required_text("name"),
        product_id=product_id,
        active=params.boolean("active") is not False,
        images=params.texts("images", limit=8),
        metadata=params.metadata(),
        url=params.url("url"),
        **{name: params.text(name) for name in PRODUCT_TEXTS},
    )
    call.sandbox.store.save(product)
    call.sandbox.publish("product.created", product, origin=call.origin)
    return product


def update_product(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown({*PRODUCT_TEXTS, "name", "active", "default_price", "images", "metadata", "url"})
    product = stored(call.sandbox, "product", call.values["id"])
    before = deepcopy(product)
    for name in PRODUCT_TEXTS:
        if name in params:
            product[name] = params.text(name)
    if "name" in params:
        product["name"] = params.required_text("name")
    if "active" in params:
        product["active"] = params.boolean("active") is not False
    if "images" in params:
        product["images"] = params.texts("images", limit=8)
    if "url" in params:
        product["url"] = params.url("url")
    default_price = params.text("default_price")
    if default_price is not None:
        product["default_price"] = referenced(call.sandbox, "price", default_price, param="default_price")["id"]
    product["metadata"] = params.metadata(product["metadata"])
    if product != before:
        product["updated"] = call.sandbox.now()
    return told(call.sandbox.asked_by(call.origin), before, product, "product.updated")


def update_price(call: ApiCall) -> Json:
    """What a price costs never changes; what it is called and whether it can be bought does."""
    params = call.params
    params.refuse_unknown({"active", "lookup_key", "metadata", "nickname", "tax_behavior", "transfer_lookup_key"})
    price = stored(call.sandbox, "price", call.values["id"], param="price")
    before = deepcopy(price)
    if "active" in params:
        price["active"] = params.boolean("active") is not False
    if "nickname" in params:
        price["nickname"] = params.text("nickname")
    if "lookup_key" in params:
        price["lookup_key"] = _claimed_lookup_key(call.sandbox, params, owner=price["id"])
    if "tax_behavior" in params:
        price["tax_behavior"] = params.choice("tax_behavior", TAX_BEHAVIOURS) or "unspecified"
    price["metadata"] = params.metadata(price["metadata"])
    return told(call.sandbox.asked_by(call.origin), before, price, "price.updated")


def create_price(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(
        {
            "active",
            "currency",
            "lookup_key",
            "metadata",
            "nickname",
            "product",
            "product_data",
            "recurring",
            "tax_behavior",
            "transfer_lookup_key",
            "unit_amount",
        }
    )
    currency, unit_amount = read_currency(params), read_unit_amount(params)
    recurring = read_recurring(params.within("recurring"))
    product_id = read_product(call, params)
    price = build_price(
        created=call.sandbox.now(),
        product_id=product_id,
        currency=currency,
        unit_amount=unit_amount,
        active=params.boolean("active") is not False,
        lookup_key=_claimed_lookup_key(call.sandbox, params),
        metadata=params.metadata(),
        nickname=params.text("nickname"),
        recurring=recurring,
        tax_behavior=params.choice("tax_behavior", TAX_BEHAVIOURS) or "unspecified",
    )
    call.sandbox.store.save(price)
    call.sandbox.publish("price.created", price, origin=call.origin)
    return price


def read_currency(params: Params) -> str:
    currency = params.required_text("currency").lower()
    if not re.fullmatch(r"[a-z]{3}", currency):
        raise InvalidParameter(f"Invalid currency: {currency}", param=params.name_of("currency"))
    return currency


def read_unit_amount(params: Params) -> int:
    unit_amount = params.required_integer("unit_amount")
    if unit_amount < 0:
        raise InvalidParameter(
            "Invalid non-negative integer",
            param=params.name_of("unit_amount"),
            code="parameter_invalid_integer",
        )
    return unit_amount


def read_product(call: ApiCall, params: Params) -> str:
    """The id of the product named by `product`, or of a new one described by `product_data`."""
    product_id, inline = params.text("product"), params.within("product_data")
    if product_id is not None and inline is not None:
        raise InvalidParameter("You may only specify one of these parameters: product, product_data.")
    if product_id is not None:
        found = referenced(call.sandbox, "product", product_id, param=params.name_of("product"))
        return str(found["id"])
    if inline is None:
        raise MissingParameter(params.name_of("product"))
    inline.refuse_unknown(("name", "description", "images", "metadata", "tax_code", "unit_label"))
    product = build_product(
        created=call.sandbox.now(),
        name=inline.required_text("name"),
        description=inline.text("description"),
        images=inline.texts("images", limit=8),
        metadata=inline.metadata(),
        tax_code=inline.text("tax_code"),
        unit_label=inline.text("unit_label"),
    )
    call.sandbox.store.save(product)
    call.sandbox.publish("product.created", product, origin=call.origin)
    return str(product["id"])


def read_recurring(params: Params | None) -> Json | None:
    if params is None:
        return None
    params.refuse_unknown(("interval", "interval_count"))
    interval = params.choice("interval", INTERVALS)
    if interval is None:
        raise MissingParameter(params.name_of("interval"))
    return recurring_terms(interval, params.integer("interval_count") or 1)


def _claimed_lookup_key(sandbox: Sandbox, params: Params, *, owner: str | None = None) -> str | None:
    """A lookup key names one price; with `transfer_lookup_key` its holder, unless the owner, loses it."""
    lookup_key = params.text("lookup_key", limit=200)
    if lookup_key is None:
        return None
    known, _ = sandbox.store.page("price", conditions=[field_is("lookup_key", lookup_key)], limit=1)
    holders = [price for price in known if price["id"] != owner]
    if holders and not params.boolean("transfer_lookup_key"):
        raise InvalidRequest(f"A price (`{holders[0]['id']}`) already uses that lookup key.", param="lookup_key")
    for holder in holders:
        told(sandbox, holder, holder | {"lookup_key": None}, "price.updated")
    return lookup_key


ROUTES = (
    ApiRoute("POST", "/v1/products", create_product),
    ApiRoute(
        "GET",
        "/v1/products",
        filtered_list(
            "product", {"active": by_boolean, "ids": by_any_of("id"), "url": by_text, "created": by_moment}
        ),
    ),
    ApiRoute("GET", "/v1/products/{id}", retrieve_one("product")),
    ApiRoute("POST", "/v1/products/{id}", update_product),
    ApiRoute("POST", "/v1/prices", create_price),
    ApiRoute(
        "GET",
        "/v1/prices",
        filtered_list(
            "price",
            {
                "active": by_boolean,
                "created": by_moment,
                "currency": by_text,
                "lookup_keys": by_any_of("lookup_key"),
                "product": by_text,
                "recurring": by_fields_of(("interval", "usage_type")),
                "type": by_text,
            },
        ),
    ),
    ApiRoute("GET", "/v1/prices/{id}", retrieve_one("price", param="price")),
    ApiRoute("POST", "/v1/prices/{id}", update_price),
)
