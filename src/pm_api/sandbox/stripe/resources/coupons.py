"""/v1/coupons and /v1/promotion_codes"""

import re
from copy import deepcopy

from pm_api.sandbox.stripe.coupons import coupon_is_valid, is_spent, refresh
from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter, ResourceMissing
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.coupons import (
    build_coupon,
    build_deleted_coupon,
    build_promotion_code,
    new_code,
)
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.resources.catalogue import read_currency
from pm_api.sandbox.stripe.store import Condition, field_is
from pm_api.sandbox.stripe.telling import told
from pm_api.sandbox.stripe.wire import (
    ApiCall,
    ApiRoute,
    Handler,
    by_boolean,
    by_moment,
    by_text,
    filtered_list,
    referenced,
    stored,
)
from pm_api.sandbox.stripe.world import Sandbox

COUPON_FIELDS = {
    "amount_off",
    "currency",
    "duration",
    "duration_in_months",
    "id",
    "max_redemptions",
    "metadata",
    "name",
    "percent_off",
    "redeem_by",
}
CODE_FIELDS = {"active", "code", "customer", "expires_at", "max_redemptions", "metadata", "promotion", "restrictions"}
NAME_LIMIT = 40
LATEST_REDEMPTION_S = 5 * 366 * 24 * 60 * 60


def create_coupon(call: ApiCall) -> Json:
    params, sandbox = call.params, call.sandbox.asked_by(call.origin)
    params.refuse_unknown(COUPON_FIELDS)
    coupon_id = params.text("id", limit=200)
    known = sandbox.store.find(coupon_id or "")
    if known is not None and not known.get("deleted"):
        raise InvalidRequest("Coupon already exists.", param="id", code="resource_already_exists")
    percent_off, amount_off, currency = _reduction(params)
    duration, months = _duration(params)
    coupon = build_coupon(
        created=sandbox.now(),
        coupon_id=coupon_id,
        percent_off=percent_off,
        amount_off=amount_off,
        currency=currency,
        duration=duration,
        duration_in_months=months,
        max_redemptions=_positive(params, "max_redemptions"),
        redeem_by=_redeem_by(params, sandbox.now()),
        name=params.text("name", limit=NAME_LIMIT),
        metadata=params.metadata(),
    )
    sandbox.store.save(coupon)
    sandbox.publish("coupon.created", coupon)
    return coupon


def retrieve_coupon(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    return _coupon(call)


def update_coupon(call: ApiCall) -> Json:
    """Only its name and metadata: what a coupon takes off never changes."""
    params = call.params
    params.refuse_unknown(("name", "metadata"))
    coupon = _coupon(call)
    before = deepcopy(coupon)
    if "name" in params:
        coupon["name"] = params.text("name", limit=NAME_LIMIT)
    coupon["metadata"] = params.metadata(coupon["metadata"])
    return told(call.sandbox.asked_by(call.origin), before, coupon, "coupon.updated")


def delete_coupon(call: ApiCall) -> Json:
    """Discounts already given stay; nobody can redeem it any more."""
    call.params.refuse_unknown(())
    coupon = _coupon(call)
    # The body stays whole: discounts that were given keep reading what it takes off.
    call.sandbox.store.save(coupon | {"deleted": True})
    call.sandbox.publish("coupon.deleted", coupon, origin=call.origin)
    refresh(call.sandbox)
    return build_deleted_coupon(coupon["id"])


def create_promotion_code(call: ApiCall) -> Json:
    params, sandbox = call.params, call.sandbox.asked_by(call.origin)
    params.refuse_unknown(CODE_FIELDS)
    refresh(sandbox)
    coupon = _promoted_coupon(call)
    if not coupon["valid"]:
        raise InvalidRequest(
            f"The coupon {coupon['id']} is no longer valid.", param="promotion[coupon]", code="coupon_expired"
        )
    customer_id = params.text("customer")
    if customer_id is not None:
        referenced(sandbox, "customer", customer_id, param="customer")
    active = params.boolean("active") is not False
    code = _code(params)
    if active:
        _refuse_taken(sandbox, code, customer_id)
    restrictions = params.within("restrictions") or Params({}, "restrictions")
    restrictions.refuse_unknown(("first_time_transaction",))
    promotion_code = build_promotion_code(
        created=sandbox.now(),
        coupon_id=coupon["id"],
        code=code,
        active=active,
        customer_id=customer_id,
        expires_at=_expires_at(params, coupon, sandbox.now()),
        max_redemptions=_code_redemptions(params, coupon),
        metadata=params.metadata(),
        first_time_transaction=restrictions.boolean("first_time_transaction") is True,
    )
    sandbox.store.save(promotion_code)
    sandbox.publish("promotion_code.created", promotion_code)
    return promotion_code


def retrieve_promotion_code(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    refresh(call.sandbox)
    return stored(call.sandbox, "promotion_code", call.values["id"])


def update_promotion_code(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(("active", "metadata"))
    refresh(call.sandbox)
    code = stored(call.sandbox, "promotion_code", call.values["id"])
    before = deepcopy(code)
    active = params.boolean("active")
    if active is True and not code["active"]:
        _refuse_dead(call.sandbox, code)
        _refuse_taken(call.sandbox, code["code"], code["customer"])
    if active is not None:
        code["active"] = active
    code["metadata"] = params.metadata(code["metadata"])
    return told(call.sandbox.asked_by(call.origin), before, code, "promotion_code.updated")


def _after_refresh(handler: Handler) -> Handler:
    def handle(call: ApiCall) -> Json:
        refresh(call.sandbox)
        return handler(call)

    return handle


def _coupon(call: ApiCall) -> Json:
    refresh(call.sandbox)
    coupon = stored(call.sandbox, "coupon", call.values["id"], param="coupon")
    if coupon.get("deleted"):
        raise ResourceMissing("coupon", coupon["id"], param="coupon")
    return coupon


def _promoted_coupon(call: ApiCall) -> Json:
    promotion = call.params.within("promotion")
    if promotion is None:
        raise MissingParameter("promotion")
    promotion.refuse_unknown(("type", "coupon"))
    if promotion.choice("type", ("coupon",)) is None:
        raise MissingParameter("promotion[type]")
    return referenced(call.sandbox, "coupon", promotion.required_text("coupon"), param="promotion[coupon]")


def _reduction(params: Params) -> tuple[float | None, int | None, str | None]:
    percent, amount = params.text("percent_off"), params.integer("amount_off")
    if (percent is None) == (amount is None):
        raise InvalidParameter("You must pass exactly one of percent_off and amount_off.", param="percent_off")
    if amount is not None:
        if amount < 1:
            raise InvalidParameter("Invalid positive integer", param="amount_off", code="parameter_invalid_integer")
        return None, amount, read_currency(params)
    if "currency" in params:
        raise InvalidParameter("A currency goes with amount_off only.", param="currency")
    if percent is None or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?", percent) or not 0 < float(percent) <= 100:
        raise InvalidParameter("Invalid percent_off: must be greater than 0 and at most 100.", param="percent_off")
    return float(percent), None, None


def _duration(params: Params) -> tuple[str, int | None]:
    duration = params.choice("duration", ("once", "repeating", "forever")) or "once"
    months = _positive(params, "duration_in_months")
    if (duration == "repeating") != (months is not None):
        if months is None:
            raise MissingParameter("duration_in_months")
        raise InvalidParameter("duration_in_months goes with a repeating coupon only.", param="duration_in_months")
    return duration, months


def _positive(params: Params, name: str) -> int | None:
    value = params.integer(name)
    if value is not None and value < 1:
        raise InvalidParameter("This value must be greater than or equal to 1.", param=params.name_of(name))
    return value


def _redeem_by(params: Params, now: int) -> int | None:
    moment = params.integer("redeem_by")
    if moment is not None and not now < moment <= now + LATEST_REDEMPTION_S:
        raise InvalidParameter("redeem_by must be in the future, and at most five years ahead.", param="redeem_by")
    return moment


def _code(params: Params) -> str:
    code = params.text("code", limit=500)
    if code is None:
        return new_code()
    if not re.fullmatch(r"[A-Za-z0-9-]+", code):
        raise InvalidParameter("Promotion codes can only contain letters, digits and dashes.", param="code")
    return code


def _refuse_taken(sandbox: Sandbox, code: str, customer_id: str | None) -> None:
    """An active code is unique, whatever its capitals, among all that a customer could use."""
    for holder in sandbox.store.all("promotion_code", [_spelled(code), field_is("active", True)]):
        if customer_id is None or holder["customer"] in (None, customer_id):
            raise InvalidRequest(
                f"An active promotion code with `code: {code}` already exists.",
                param="code",
                code="resource_already_exists",
            )


def _refuse_dead(sandbox: Sandbox, code: Json) -> None:
    coupon = sandbox.store.find(code["promotion"]["coupon"], "coupon")
    now = sandbox.now()
    late = code["expires_at"] is not None and code["expires_at"] < now
    dead = coupon is None or coupon.get("deleted") or not coupon_is_valid(coupon, now)
    if dead or late or is_spent(code):
        raise InvalidRequest("This promotion code is expired or used up and cannot be made active.", param="active")


def _expires_at(params: Params, coupon: Json, now: int) -> int | None:
    moment = params.integer("expires_at")
    if moment is not None and moment <= now:
        raise InvalidParameter("expires_at must be in the future.", param="expires_at")
    if moment is not None and coupon["redeem_by"] is not None and moment > coupon["redeem_by"]:
        raise InvalidParameter("expires_at cannot be after the coupon's redeem_by.", param="expires_at")
    return moment if moment is not None else coupon["redeem_by"]


def _code_redemptions(params: Params, coupon: Json) -> int | None:
    limit = _positive(params, "max_redemptions")
    if limit is not None and coupon["max_redemptions"] is not None and limit > coupon["max_redemptions"]:
        raise InvalidParameter(
            "max_redemptions cannot be greater than the coupon's max_redemptions.", param="max_redemptions"
        )
    return limit


def _spelled(code: str) -> Condition:
    return Condition("lower(json_extract(body, '$.code')) = ?", (code.lower(),))


def _by_code(params: Params, name: str) -> list[Condition]:
    code = params.text(name)
    return [] if code is None else [_spelled(code)]


def _by_coupon(params: Params, name: str) -> list[Condition]:
    coupon_id = params.text(name)
    return [] if coupon_id is None else [field_is("promotion.coupon", coupon_id)]


ROUTES = (
    ApiRoute("POST", "/v1/coupons", create_coupon),
    ApiRoute("GET", "/v1/coupons", _after_refresh(filtered_list("coupon", {"created": by_moment}))),
    ApiRoute("GET", "/v1/coupons/{id}", retrieve_coupon),
    ApiRoute("POST", "/v1/coupons/{id}", update_coupon),
    ApiRoute("DELETE", "/v1/coupons/{id}", delete_coupon),
    ApiRoute("POST", "/v1/promotion_codes", create_promotion_code),
    ApiRoute(
        "GET",
        "/v1/promotion_codes",
        _after_refresh(
            filtered_list(
                "promotion_code",
                {
                    "active": by_boolean,
                    "code": _by_code,
                    "coupon": _by_coupon,
                    "created": by_moment,
                    "customer": by_text,
                },
            ),
        ),
    ),
    ApiRoute("GET", "/v1/promotion_codes/{id}", retrieve_promotion_code),
    ApiRoute("POST", "/v1/promotion_codes/{id}", update_promotion_code),
)
