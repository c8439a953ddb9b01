"""Every row belongs to somebody: it carries the id by which it would be distributed, or is listed with the reason."""

from typing import Final

from sqlalchemy import Table, UniqueConstraint

from pm_api import registry
from pm_api.core.db import Base
from tests.support.each import for_each

assert registry.MODULES, "every module with tables is imported"

OWNER_COLUMNS: Final = frozenset({"workspace_id", "user_id", "account_id"})

OWNERS: Final = {
    "users": "a person: the owner itself",
    "workspaces": "the owner itself",
    "feeds": "its id is the id of the workspace or user it belongs to",
}

LISTED: Final = {
    "business_clock": "one row of the installation",
    "idempotency_keys": "by caller, which is the owner with the kind of credential; gone after 48 hours",
    "flows": "by caller, which is the owner with the kind of credential; gone 48 hours after its end",
    "inbox_events": "a provider's event; whose it is becomes known when it is applied",
    "inbox_cursors": "one row a provider",
    "inbox_leases": "one short lease per provider's customer",
    "account_export_parts": "bytes of an export, which carries the user",
    "refresh_tokens": "a link of its session's chain, which carries the user; looked up by hash alone",
    "changes": "by feed, whose id is the owner's id",
    "credit_price_rules": "catalogue",
    "credit_plan_grants": "catalogue",
    "credit_pack_lots": "catalogue",
    "credit_packs": "catalogue",
    "plans": "catalogue",
    "products": "catalogue, as Stripe has it",
    "reconciliation_runs": "the operator's: over all accounts",
    "prices": "catalogue, as Stripe has it",
    "object_renditions": "a smaller picture of an object, which carries its account",
    "upload_chunks": "a piece of an upload, which carries its account; read by the upload alone",
    "calendar_zone_tables": "what clocks do by a release of the zone tables: of the installation",
    "search_hidden_projects": "a project, which carries its workspace; asked beside documents that carry it",
}
"""Tables without an owner's column, each with the reason."""

TABLES: Final = dict(Base.metadata.tables)


def owner_columns(table: Table) -> set[str]:
    return set(table.columns.keys()) & OWNER_COLUMNS


@for_each(sorted(TABLES))
def test_every_table_carries_its_owner(name: str) -> None:
    known = OWNERS.get(name) or LISTED.get(name)
    assert owner_columns(TABLES[name]) or known, f"{name} says neither whose its rows are nor why not"


def test_the_list_names_only_what_needs_it() -> None:
    assert set(TABLES) >= set(LISTED) | set(OWNERS)
    assert not set(LISTED) & set(OWNERS)
    needless = {name for name in LISTED | OWNERS if owner_columns(TABLES[name])}
    assert needless == set()


@for_each(sorted(name for name in TABLES if name.startswith("credit_") and name not in LISTED))
def test_every_unique_key_of_the_ledger_holds_its_account(name: str) -> None:
    """What two nodes would have to agree on cannot be distributed."""
    table = TABLES[name]
    assert set(table.primary_key.columns.keys()) & {"account_id", "id"}
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            columns = set(constraint.columns.keys())
            assert "account_id" in columns or columns == {"id"}, f"{name}: {sorted(columns)}"


def test_every_foreign_key_is_found_by_an_index() -> None:
    """Deleting the other side must not read this whole table. Ids of users and workspaces are never deleted."""
    never_deleted = {"users", "workspaces", "credit_accounts", "feeds"}
    bare = []
    for table in TABLES.values():
        leading = [list(index.columns.keys()) for index in table.indexes]
        leading += [
            list(one.columns.keys())
            for one in table.constraints
            if isinstance(one, UniqueConstraint) or one is table.primary_key
        ]
        for key in table.foreign_key_constraints:
            columns = list(key.columns.keys())
            if key.referred_table.name in never_deleted:
                continue
            if not any(found[: len(columns)] == columns for found in leading):
                bare.append(f"{table.name}({', '.join(columns)}) -> {key.referred_table.name}")
    assert bare == ["credit_hold_lots(account_id, grant_id) -> credit_grants"], "a lot of the ledger is never deleted"
