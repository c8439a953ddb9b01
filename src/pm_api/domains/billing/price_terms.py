"""What a price sells, read from its metadata and its product's. Pure; what cannot be read is said, never guessed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.billing.enums import BillingInterval, ItemKind
from pm_api.entitlements.enums import Plan

SOLD_BY_PRICE: Final = (Plan.INDIVIDUAL_PRO, Plan.TEAM_STANDARD, Plan.TEAM_PREMIUM)
INTERVALS: Final = {("month", 1): BillingInterval.MONTHLY, ("year", 1): BillingInterval.YEARLY}
KINDS: Final = {"plan": ItemKind.PLAN, "pack": ItemKind.PACK, "bundle": ItemKind.BUNDLE}
MOST_CREDITS: Final = 1_000_000_000
MOST_LOTS: Final = 20
LONGEST_NAME: Final = 64


class BadMetadata(Exception):
    """The text says what is wrong, with the key and its value."""


@dataclass(frozen=True, slots=True)
class PriceFacts:
    """What the metadata must fit to."""

    type: str
    unit_amount_minor: int | None
    interval: str | None
    interval_count: int | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a price sells. `credits` are a plan's for each month; None where the metadata does not say.

    Only bundles have `lots` (credits, service or None) and `valid_until`, and only when the metadata says them.
    """

    kind: ItemKind
    name: str
    interval: BillingInterval | None
    credits: int | None
    bonus: int | None
    lots: tuple[tuple[int, str | None], ...] = ()
    valid_until: datetime | None = None


def read_terms(
    facts: PriceFacts, of_price: Mapping[str, object], of_product: Mapping[str, object] | None
) -> Terms | None:
    """What is sold, or None when neither the price nor its product names anything of ours; raises BadMetadata.

    A price says for itself what it sells; only where it names nothing does its product. Single figures it does not
    say are the product's.
    """
    product = of_product or {}
    named = _named(of_price) or _named(product)
    if named is None:
        return None
    kind, name = named
    merged = {**product, **of_price}
    credits, bonus = _figure(merged, "includedCredits"), _figure(merged, "bonusCredits")
    if facts.unit_amount_minor is None or facts.unit_amount_minor <= 0:
        raise BadMetadata("the price has no amount in whole minor units")
    if kind is ItemKind.PLAN:
        return _plan(facts, name, credits, bonus)
    if facts.type != "one_time":
        raise BadMetadata(f"{kind.lower()} {name}: the price is {facts.type}, not one_time")
    if not credits:
        raise BadMetadata(f"{kind.lower()} {name}: includedCredits says nothing")
    if kind is ItemKind.PACK:
        return Terms(kind, name, None, credits, bonus)
    return Terms(kind, name, None, credits, bonus, _lots(merged, credits), _valid_until(merged))


def lookup_key_of(kind: ItemKind, name: str, interval: BillingInterval | None) -> str:
    """How the one price for something is called at Stripe."""
    if interval is not None:
        return f"{name.lower()}_{interval.lower()}"
    return f"{kind.lower()}_{name.lower()}"


def _named(metadata: Mapping[str, object]) -> tuple[ItemKind, str] | None:
    said = {key: metadata[key] for key in KINDS if metadata.get(key)}
    if len(said) > 1:
        raise BadMetadata(f"the metadata names {' and '.join(sorted(said))} at once")
    for key, value in said.items():
        name = str(value)
        if len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
            raise BadMetadata(f"{key} is no name: {name!r}")
        return KINDS[key], name
    return None


def _plan(facts: PriceFacts, name: str, credits: int | None, bonus: int | None) -> Terms:
    if name not in SOLD_BY_PRICE:
        raise BadMetadata(f"plan {name!r} is none of {', '.join(SOLD_BY_PRICE)}")
    interval = INTERVALS.get((facts.interval or "", facts.interval_count or 0))
    if facts.type != "recurring" or interval is None:
        raise BadMetadata(f"plan {name}: the price does not recur each month or each year")
    if bonus:
        raise BadMetadata(f"plan {name}: bonusCredits belong to packs and bundles; use includedCredits")
    return Terms(ItemKind.PLAN, name, interval, credits, None)


def _figure(metadata: Mapping[str, object], key: str) -> int | None:
    value = metadata.get(key)
    if value is None or value == "":
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MOST_CREDITS):
        raise BadMetadata(f"{key} is no whole number from 0 to {MOST_CREDITS}: {text!r}")
    return int(text)


def _lots(metadata: Mapping[str, object], credits: int) -> tuple[tuple[int, str | None], ...]:
    """`300:TASK_GENERATION,200`: credits, and the one service they are for, if any."""
    said = str(metadata.get("lots") or "")
    if not said:
        return ()
    lots: list[tuple[int, str | None]] = []
    for part in said.split(","):
        amount, _, service = part.strip().partition(":")
        if not (amount.isascii() and amount.isdigit() and 0 < int(amount[:10]) <= MOST_CREDITS and len(amount) <= 10):
            raise BadMetadata(f"lots: {part.strip()!r} does not begin with a number of credits")
        if service and service not in Service.__members__:
            raise BadMetadata(f"lots: there is no service {service!r}")
        lots.append((int(amount), service or None))
    if len(lots) > MOST_LOTS or sum(amount for amount, _ in lots) != credits:
        raise BadMetadata(f"lots do not add up to includedCredits, which are {credits}")
    return tuple(lots)


def _valid_until(metadata: Mapping[str, object]) -> datetime | None:
    said = str(metadata.get("validUntil") or "")
    if not said:
        return None
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        raise BadMetadata(f"validUntil is no time: {said!r}") from None
    if moment.tzinfo is None:
        raise BadMetadata(f"validUntil has no time zone: {said!r}")
    return moment
