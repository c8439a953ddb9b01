"""Why a lot had its turn, in words: the burn-down order (`Lot.order`) told part by part. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from pm_api.domains.ai_credits.book import PAID_KINDS, Entry, Lot
from pm_api.domains.ai_credits.enums import EntryType
from pm_api.domains.ai_credits.lines import GRANTING

BURNS_DOWN = frozenset({EntryType.USAGE, EntryType.VOID, EntryType.TRANSFER_OUT})


def in_turn(entry: Entry, lots: Sequence[Lot]) -> list[tuple[Lot, str]]:
    """The lots a line moved, in the order of their turn, each with why it stood there."""
    ordered = sorted(lots, key=Lot.order)
    if entry.type in BURNS_DOWN:
        return _burned_down(entry, ordered)
    if entry.type == EntryType.TRANSFER_IN or (entry.type == EntryType.REVERSAL and entry.reverses_seq is not None):
        return _given_back(ordered[::-1])
    return [(lot, _alone(entry, lot)) for lot in ordered]


def why_before(first: Lot, second: Lot) -> str:
    """The first part of the burn-down order in which two lots differ."""
    if (first.service is None) != (second.service is None):
        return "credits for one service only go before those for any"
    if first.priority != second.priority:
        return f"{name(first)} go before {name(second)}: what runs out by itself is used before what lasts"
    if first.expires_at != second.expires_at:
        return _why_sooner(first.expires_at, second.expires_at)
    if (first.kind in PAID_KINDS) != (second.kind in PAID_KINDS):
        return "what was given for free goes before what was paid for"
    if first.effective_at != second.effective_at:
        return f"they are older than the next ones ({day(first.effective_at)}, not {day(second.effective_at)})"
    return "they were made before the next ones"


def _why_sooner(first: datetime | None, second: datetime | None) -> str:
    if second is None:
        return "they run out one day, the next ones never do"
    return f"they run out earlier than the next ones ({day(first)}, not {day(second)})"


def name(lot: Lot) -> str:
    return f"{lot.kind} credits"


def day(moment: datetime | None) -> str:
    """A moment for people."""
    return "never" if moment is None else f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _burned_down(entry: Entry, lots: Sequence[Lot]) -> list[tuple[Lot, str]]:
    place = "of those the hold kept aside" if entry.hold_id else "in line"
    if len(lots) == 1:
        return [(lots[0], f"they were first {place}, and enough")]
    told = [(lot, why_before(lot, following)) for lot, following in pairwise(lots)]
    return [*told, (lots[-1], f"they were next {place}")]


def _given_back(lots: Sequence[Lot]) -> list[tuple[Lot, str]]:
    first = "what was taken last comes back first"
    return [(lot, first if place == 0 else "they were taken before the ones above") for place, lot in enumerate(lots)]


def _alone(entry: Entry, lot: Lot) -> str:
    if entry.type in GRANTING:
        return "this line brought them"
    if entry.type == EntryType.EXPIRY:
        if lot.is_expired(entry.created_at):
            return f"they ran out on {day(lot.expires_at)}"
        return "the credits of a new plan period replaced them"
    if entry.type == EntryType.CLAWBACK:
        return "it was these that were paid back to the buyer"
    if entry.type == EntryType.DEBT_PAYMENT:
        return "they had just come, and what comes pays a debt first"
    return "they had been clawed back from here"
