"""Coupons given to subscriptions: redeeming them, and what they take off the lines of an invoice."""

from collections.abc import Sequence

from pm_api.sandbox.stripe.billing.arithmetic import months_after, percentage, share
from pm_api.sandbox.stripe.billing.entries import Entry
from pm_api.sandbox.stripe.coupons import check_restrictions, coupon_is_valid, is_spent
from pm_api.sandbox.stripe.errors import InvalidRequest, ReferenceMissing
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.discounts import build_discount
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.store import Store, field_is
from pm_api.sandbox.stripe.world import Sandbox


def find_coupon(sandbox: Sandbox, coupon_id: str, *, param: str = "coupon") -> Json:
    """A coupon that can still be redeemed."""
    coupon = sandbox.store.find(coupon_id, "coupon")
    if coupon is None or coupon.get("deleted"):
        raise ReferenceMissing("coupon", coupon_id, param=param)
    if not coupon["valid"] or not coupon_is_valid(coupon, sandbox.now()):
        raise InvalidRequest(f"Coupon expired: {coupon_id}", param=param, code="coupon_expired")
    return coupon


def find_promotion_code(sandbox: Sandbox, code_id: str, *, param: str = "promotion_code") -> Json:
    """A promotion code, by id, that can still be redeemed."""
    code = sandbox.store.find(code_id, "promotion_code")
    if code is None:
        raise ReferenceMissing("promotion_code", code_id, param=param)
    late = code["expires_at"] is not None and code["expires_at"] < sandbox.now()
    if is_spent(code) or late or not code["active"]:
        raise InvalidRequest("This promotion code is expired or no longer active.", param=param)
    return code


def promotion_code_named(sandbox: Sandbox, typed: str) -> Json | None:
    """The active code a person typed; capitals make no difference."""
    known = sandbox.store.all("promotion_code", [field_is("active", True)])
    return next((code for code in known if code["code"].lower() == typed.strip().lower()), None)


def read_discounts(sandbox: Sandbox, params: Params, customer_id: str | None) -> list[Json]:
    """The wished discounts as `{coupon, promotion_code, discount}`, each checked."""
    wished = []
    for entry in params.entries("discounts", limit=20):
        entry.refuse_unknown(("coupon", "promotion_code", "discount"))
        wished.append(
            {
                "coupon": entry.text("coupon"),
                "promotion_code": entry.text("promotion_code"),
                "discount": entry.text("discount"),
            }
        )
        if sum(value is not None for value in wished[-1].values()) != 1:
            raise InvalidRequest("Give exactly one of coupon, promotion_code and discount.", param=entry.path)
        check_discount(sandbox, wished[-1], customer_id, param=entry.path)
    return wished


def check_discount(sandbox: Sandbox, wish: Json, customer_id: str | None, *, param: str) -> None:
    """Raises the refusal that giving it would meet."""
    if wish["promotion_code"] is not None:
        named = f"{param}[promotion_code]"
        code = find_promotion_code(sandbox, wish["promotion_code"], param=named)
        check_restrictions(sandbox, code, customer_id=customer_id, param=named)
        find_coupon(sandbox, code["promotion"]["coupon"], param=named)
    elif wish["coupon"] is not None:
        find_coupon(sandbox, wish["coupon"], param=f"{param}[coupon]")
    elif sandbox.store.find(wish["discount"], "discount") is None:
        raise ReferenceMissing("discount", wish["discount"], param=f"{param}[discount]")


def give(sandbox: Sandbox, wishes: Sequence[Json], *, customer_id: str, subscription_id: str | None) -> list[Json]:
    """Redeem the wishes: discounts to be stored with `store_given`. A kept one is handed back as it is."""
    given = []
    for wish in wishes:
        kept = sandbox.store.find(wish["discount"] or "", "discount")
        if kept is not None:
            given.append(kept)
            continue
        coupon_id, code = wish["coupon"], None
        if wish["promotion_code"] is not None:
            code = find_promotion_code(sandbox, wish["promotion_code"])
            coupon_id = code["promotion"]["coupon"]
        coupon = find_coupon(sandbox, coupon_id)
        repeating = coupon["duration"] == "repeating"
        given.append(
            build_discount(
                start=sandbox.now(),
                end=months_after(sandbox.now(), coupon["duration_in_months"]) if repeating else None,
                coupon_id=coupon["id"],
                customer_id=customer_id,
                subscription_id=subscription_id,
                promotion_code=code["id"] if code else None,
            )
        )
    return given


def store_given(sandbox: Sandbox, discounts: Sequence[Json]) -> None:
    """Store what is new, and count it at its coupon and promotion code."""
    for discount in discounts:
        if sandbox.store.find(discount["id"]) is not None:
            continue
        sandbox.store.save(discount)
        for source, name in (
            (discount["source"]["coupon"], "coupon"),
            (discount["promotion_code"], "promotion_code"),
        ):
            counted = sandbox.store.find(source or "", name)
            if counted is not None:
                sandbox.store.save(counted | {"times_redeemed": counted["times_redeemed"] + 1})
        sandbox.publish("customer.discount.created", discount)


def in_force(store: Store, subscription: Json, moment: int) -> list[Json]:
    """The subscription's discounts that still count at a moment."""
    found = [store.find(discount_id, "discount") for discount_id in subscription["discounts"]]
    return [one for one in found if one is not None and (one["end"] is None or one["end"] > moment)]


def left_after_invoice(store: Store, subscription: Json, used: Sequence[Json]) -> list[str]:
    """The discount ids that stay once an invoice has used them: a coupon for one invoice is spent."""
    spent = {
        discount["id"]
        for discount in used
        if (store.find(discount["source"]["coupon"], "coupon") or {}).get("duration") == "once"
    }
    return [discount_id for discount_id in subscription["discounts"] if discount_id not in spent]


def taken_off(store: Store, entries: Sequence[Entry], discounts: Sequence[Json]) -> list[list[Json]]:
    """For each entry the `{amount, discount}` that each discount takes off it, one discount after the other."""
    amounts: list[list[Json]] = [[] for _ in entries]
    left = [entry.amount if entry.discountable else 0 for entry in entries]
    for discount in discounts:
        coupon = store.find(discount["source"]["coupon"], "coupon")
        if coupon is None:
            continue
        if coupon["percent_off"] is not None:
            parts = [percentage(amount, coupon["percent_off"]) for amount in left]
        else:
            parts = _spread(int(coupon["amount_off"]), left)
        for position, part in enumerate(parts):
            if part:
                amounts[position].append({"amount": part, "discount": discount["id"]})
                left[position] -= part
    return amounts


def _spread(amount: int, over: Sequence[int]) -> list[int]:
    """A fixed amount over the positive entries in proportion; the last takes what rounding left."""
    payable = sum(entry for entry in over if entry > 0)
    rest, left = min(amount, payable), payable
    parts = []
    for entry in over:
        part = share(rest, entry, left) if entry > 0 and left > 0 else 0
        parts.append(part)
        rest, left = rest - part, left - max(entry, 0)
    return parts
