"""Every column that holds people's data says how it ends, every table with people in it what they get of it."""

import re
from typing import Final

import pytest
from sqlalchemy import Table

from pm_api import registry
from pm_api.core import personal
from pm_api.core.db import PERSONAL_ENDS, Base
from pm_api.core.db import personal as mark
from pm_api.core.personal import handing, marks_of
from pm_api.domains.account.contributors import CONTRIBUTORS
from tests.support.each import for_each

assert registry.MODULES, "every module with tables is imported"
assert CONTRIBUTORS, "every slice's files are registered"

TABLES: Final = dict(Base.metadata.tables)

LOOKS_PERSONAL: Final = re.compile(
    r"(^|_)("
    r"e?mail|name|address|user_agent|ip|phone|job_title|title|about|birth\w*|city|street|zip|country|gender|avatar"
    r"|message|body|description|reason|note|comment|content|words|answer|details|data|metadata|choices|parameters"
    r"|subject|url|last4|brand|sealed|sealed_\w+|password_hash|mark|result"
    r")$"
)

"""Names under which people's data would stand."""

NOT_PERSONAL: Final = {
    "ai_usage_logs.request_data": "parameters and lengths, never free text",
    "api_keys.revoked_reason": "one of our words",
    "checkout_sessions.item_name": "a pack or plan",
    "credit_achievements.reason": "our own words for a badge",
    "credit_alerts.details": "figures",
    "credit_auto_topups.disarmed_reason": "one of our words",
    "credit_cap_usage.subject": "member, role or service, by id",
    "credit_caps.subject": "member, role or service, by id",
    "credit_gifts.sealed_seed": "what codes are made from",
    "credit_packs.name": "a product",
    "disputes.reason": "one of Stripe's words",
    "doomed_objects.reason": "one of our words",
    "flows.subject": "an account's id",
    "inbox_events.subject": "an id at the provider",
    "inbox_leases.subject": "an id at the provider",
    "invoice_lines.description": "what was sold",
    "invoices.billing_reason": "one of Stripe's words",
    "invoices.description": "what was sold",
    "plans.name": "a product",
    "prices.item_name": "a product",
    "prices.metadata": "of the product",
    "products.name": "a product",
    "products.description": "a product",
    "products.metadata": "of the product",
    "reconciliation_runs.reason": "what began it",
    "refunds.failure_reason": "one of Stripe's words",
    "refunds.reason": "one of Stripe's words",
    "sessions.revoked_reason": "one of our words",
    "subscriptions.held_reason": "one of our words",
    "webhook_attempts.answer": "what a receiver's server said",
    "webhook_endpoints.disabled_reason": "one of our words",
    "webhook_endpoints.sealed_previous_secret": "made by us",
    "webhook_endpoints.sealed_secret": "made by us",
}
"""Columns whose names look so and whose contents are not, each with what they hold."""

STAYS: Final = {
    "ai_usage_logs": "what work was charged, by an id that is nobody's any more",
    "credit_accounts": "the book's",
    "credit_gift_claims": "the book's: who got what, by id",
    "credit_grants": "the book's",
    "scope_members": "left with the workspace",
    "stream_tickets": "gone with its session",
    "subscriptions": "the bills' own",
    "workspace_members": "left, or gone with the workspace",
}
"""Tables that point at a person and have no personal column: what becomes of their rows."""


def looks_personal(table: Table) -> list[str]:
    return [column.name for column in table.columns if LOOKS_PERSONAL.search(column.name)]


@for_each(sorted(TABLES))
def test_what_looks_personal_says_how_it_ends(name: str) -> None:
    marked = {one.column.name for one in marks_of(TABLES[name])}
    silent = [
        one for one in looks_personal(TABLES[name]) if one not in marked and f"{name}.{one}" not in NOT_PERSONAL
    ]
    assert silent == [], f"{name}: mark them with `personal(...)`, or say what they hold"


@for_each(sorted(TABLES))
def test_marks_are_of_a_known_kind_and_know_whose_row_it_is(name: str) -> None:
    for one in marks_of(TABLES[name]):
        where = f"{name}.{one.column.name}"
        assert one.end in PERSONAL_ENDS, where
        if one.end in ("deleted", "erased") and not one.by_slice:
            assert one.of in TABLES[name].columns, f"{where}: `of` names no column"
        if one.end in ("kept", "struck"):
            assert one.by_slice, f"{where}: why it is kept, or who strikes it out"


@for_each(sorted(TABLES))
def test_every_table_with_people_in_it_has_a_mark_or_a_reason(name: str) -> None:
    table = TABLES[name]
    people = [key for key in table.foreign_keys if key.column.table.name == "users" and key.parent.name == "user_id"]
    if people and not marks_of(table):
        assert name in STAYS, f"{name} carries a person: what becomes of its rows when they go?"


def test_the_lists_name_only_what_needs_them() -> None:
    marked = {f"{name}.{one.column.name}" for name, table in TABLES.items() for one in marks_of(table)}
    looking = {f"{name}.{column}" for name, table in TABLES.items() for column in looks_personal(table)}
    assert set(NOT_PERSONAL) <= looking - marked
    assert set(STAYS) <= {name for name, table in TABLES.items() if not marks_of(table)}


def test_every_table_with_somebodys_rows_is_handed_out_or_kept_back_with_a_reason() -> None:
    """What no slice speaks of comes as it is; that is the net, and not the way."""
    files = {one.name for one in personal.files()}
    assert {"account.json", "credits/entries.json", "billing/invoices.json", "notifications.json"} <= files
    unspoken = [one for one in files if one.startswith("other/")]
    spoken = set(handing._SPOKEN_OF)
    assert spoken <= set(TABLES)
    for name, table in TABLES.items():
        if set(handing.OWNERS) & set(table.columns.keys()):
            assert name in spoken or f"other/{name}.json" in files, name
    assert all(one.removeprefix("other/").removesuffix(".json") not in spoken for one in unspoken)


def test_a_mark_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="personal data is one of"):
        mark("forgotten")
