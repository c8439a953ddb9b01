"""A workspace, its customer at Stripe, and the life of its subscription there: told of, and not yet."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.payments import customers as payers
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import StripeDoor, prices
from pm_api.webhooks.handlers import STRIPE
from pm_api.webhooks.healing import fetch_missed
from pm_api.webhooks.jobs import drain_stripe
from pm_api.webhooks.service import DrainSubject
from tests.conftest import client_of, open_platform, register
from tests.support.clock import MovableClock
from tests.support.lives import Life, Prices
from tests.support.past import Json, Past, open_past
from tests.support.settings import settings_for
from tests.support.shelf import keep, put_back
from tests.support.streams import Rows, Theatre, look
from tests.support.stripe import ENDPOINT, clone, encoded, signed, stripe_settings

PLANS: Final = (("TEAM_STANDARD", 9999), ("TEAM_PREMIUM", 19999))
# When a row was written, under which id and how often, is nobody's business.
_OURS: Final = "'{id,created_at,updated_at,synced_at,version,invoice_id,as_of,source_id}'::text[]"


def _rows(table: str, order: str, *, where: str = "t.account_id = :account") -> str:
    return f"SELECT to_jsonb(t) - {_OURS} FROM {table} t WHERE {where} ORDER BY {order}"


TABLES: Final = {
    "subscriptions": _rows("subscriptions", "t.stripe_subscription_id"),
    "invoices": _rows("invoices", "t.stripe_invoice_id"),
    "invoice lines": (
        f"SELECT jsonb_build_object('invoice', i.stripe_invoice_id) || to_jsonb(t) - {_OURS}"
        " FROM invoice_lines t JOIN invoices i ON i.id = t.invoice_id"
        " WHERE t.account_id = :account ORDER BY i.stripe_invoice_id, t.position"
    ),
    "refunds": _rows("refunds", "t.stripe_refund_id"),
    "disputes": _rows("disputes", "t.stripe_dispute_id"),
    # Stripe no longer says whose a detached one was: one that was gone before we heard of it leaves no row.
    "payment methods": _rows(
        "payment_methods", "t.stripe_payment_method_id", where="t.account_id = :account AND t.detached_at IS NULL"
    ),
    "entitlements": _rows("entitlements", "t.account_id"),
    # An account is opened with its first credit: one that has nothing any more is like one that never was.
    "credits": "SELECT jsonb_build_object('balance', balance, 'held', held, 'debt', debt)"
    " FROM credit_accounts WHERE id = :account AND (balance, held, debt) <> (0, 0, 0)",
    "lots": "SELECT jsonb_build_object('kind', kind, 'source', source_type, 'reference', source_ref,"
    " 'remaining', remaining, 'expires', expires_at) FROM credit_grants"
    " WHERE account_id = :account AND remaining > 0 AND (expires_at IS NULL OR expires_at > :now)"
    " ORDER BY source_type, source_ref, kind",
}


@asynccontextmanager
async def open_theatre() -> AsyncIterator[Theatre]:
    """A database, a platform and a sandbox of its own; the life has been lived when this is open."""
    async with clone() as database, open_past() as past:
        values = settings_for(database, stripe=stripe_settings(past.url))
        async with open_platform(values, MovableClock()) as platform:
            workspace_id = await found_workspace(platform)
            sold = await sell_plans(past, platform)
            customer_id = await payers.ensure(platform, AccountType.WORKSPACE, workspace_id)
            metadata = {"accountType": "WORKSPACE", "accountId": str(workspace_id)}
            await past.keep("before")
            await Life(past, platform.part(StripeDoor), sold, customer_id, metadata).live()
            keeper = await keep(database)
            try:
                async with platform.database.engine.connect() as connection:
                    yield Theatre(past, platform, workspace_id, connection, keeper, 1, platform.clock.wall(), TABLES)
            finally:
                await keeper.close()


async def found_workspace(platform: Platform) -> UUID:
    """Somebody's, with nothing in it."""
    person = await register(create_app(platform.settings, platform))
    body = {"name": "Analytical Engines", "slug": f"w-{uuid4().hex[:8]}"}
    answer = await person.client.post("/api/workspaces", json=body)
    assert answer.status_code == 201, answer.text
    await person.client.aclose()
    return UUID(answer.json()["workspace"]["id"])


async def sell_plans(past: Past, platform: Platform) -> Prices:
    """Two plans by the month, at Stripe and here."""
    door = platform.part(StripeDoor)
    made = []
    for plan, amount in PLANS:
        product = await prices.create_product(door, name=plan, metadata={"plan": plan}, key=f"product-{plan}")
        price = await prices.create_price(
            door,
            product_id=product.id,
            unit_amount=amount,
            currency="USD",
            interval="month",
            lookup_key=f"{plan.lower()}_monthly",
            metadata={},
            key=f"price-{plan}",
        )
        handler = STRIPE["price.created"]
        found: Any = await handler.fetch(door, price.id)
        async with platform.database.transaction() as session:
            await handler.apply(session, platform, found)
        made.append(price.id)
    return Prices(*made)


@dataclass
class Door:
    """Our webhook route and worker, in a world that is played again for real: all of it is committed."""

    theatre: Theatre
    client: httpx.AsyncClient
    counts: Counter[str]

    @property
    def platform(self) -> Platform:
        return self.theatre.platform

    async def stand_at(self, step: int) -> None:
        await self.theatre.past.go_to(step)
        self.theatre.stand_at(step)

    async def deliver(self, event: Json) -> None:
        """As Stripe does: signed, and content with a 200."""
        body = encoded(event)
        answer = await self.client.post(ENDPOINT, content=body, headers=signed(body))
        assert answer.status_code == 200, answer.text
        self.counts["delivered"] += 1

    async def heal(self) -> None:
        """What the healer finds missing comes in by the same path."""
        self.counts["healed"] += (await fetch_missed(self.platform)).missed

    async def drain(self) -> None:
        """A worker's turn at every customer whose events wait."""
        for row in await self.query("SELECT DISTINCT subject FROM inbox_events WHERE status = 'PENDING'"):
            await drain_stripe.run(JobContext(self.platform, drain_stripe.name), DrainSubject(subject=row["subject"]))

    async def query(self, statement: str) -> list[Json]:
        async with self.platform.database.reading() as session:
            found = await session.execute(text(statement))
            return [dict(row) for row in found.mappings()]

    async def look(self) -> Rows:
        async with self.platform.database.transaction() as session:
            return await look(session, self.platform, self.theatre.account_id, self.theatre.tables)


@asynccontextmanager
async def open_door(theatre: Theatre, counts: Counter[str]) -> AsyncIterator[Door]:
    """For one stream that goes the whole way; afterwards the account is again as it was before its life."""
    platform = theatre.platform
    async with client_of(create_app(platform.settings, platform)) as client:
        try:
            yield Door(theatre, client, counts)
        finally:
            await put_back(theatre.keeper, platform)
