"""A life of one wallet, told by commands of every kind: what proofs, statements and explanations are tested on."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger, verification
from pm_api.domains.ai_credits.book import Applied, By, LotDraft, Refused, canonical_json, fingerprint
from pm_api.domains.ai_credits.commands import (
    Capture,
    ClawBack,
    Command,
    Demand,
    Extend,
    Grant,
    PlaceHold,
    Release,
    Reverse,
    Rollover,
    Spend,
    Transfer,
    Void,
)
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.schemas.ledger import Verification
from pm_api.domains.ai_credits.store import Order
from tests.support.clock import MovableClock

DAY: Final = timedelta(days=1)
CHAT: Final = "CHAT_ASSISTANT"


@dataclass
class Story:
    """Gives commands to one account, each in a transaction of its own."""

    platform: Platform
    account_id: UUID
    kind: AccountKind = AccountKind.USER
    told: int = 0
    seqs: dict[str, int] = field(default_factory=dict)

    @property
    def clock(self) -> MovableClock:
        assert isinstance(self.platform.clock, MovableClock)
        return self.platform.clock

    @property
    def by(self) -> By:
        return By("user", self.account_id if self.kind is AccountKind.USER else None, "request-of-the-story")

    def advance(self, **duration: float) -> None:
        """Business time alone: whoever signed in stays so."""
        self.clock.shift_to(self.clock.offset + timedelta(**duration))

    def move_to(self, moment: datetime) -> None:
        self.clock.shift_to(moment - self.clock.wall())

    async def give(self, command: type[Any], **values: Any) -> Applied | Refused:
        self.told += 1
        content = {"by": self.by, **values}
        if command is Spend or command is PlaceHold:
            content = {"description": f"step {self.told}", "details": canonical_json({"step": self.told}), **content}
        order: Command = command(
            account_id=self.account_id,
            key=f"s:story:{self.told}",
            fingerprint=fingerprint(self.told),
            **content,
        )
        async with self.platform.database.transaction() as session:
            [answer] = await ledger.apply(session, self.platform, [Order(self.kind, order)])
        assert isinstance(answer.result, Applied | Refused)
        return answer.result

    async def do(self, command: type[Any], **values: Any) -> Applied:
        result = await self.give(command, **values)
        assert isinstance(result, Applied), result
        return result

    async def spend(self, amount: int, **values: Any) -> int:
        """The number of the line."""
        return (await self.do(Spend, amount=amount, **values)).entries[0].seq

    async def hold(self, amount: int, ttl_s: int = 3600, **values: Any) -> UUID:
        placed = await self.do(PlaceHold, amount=amount, ttl_s=ttl_s, **values)
        assert placed.hold is not None
        return placed.hold.id

    async def grant(self, *lots: LotDraft, **values: Any) -> Applied:
        return await self.do(Grant, lots=lots, description="A grant of the story", **values)

    def lot(self, kind: LotKind, amount: int, *, days: float | None = None, **values: Any) -> LotDraft:
        self.told += 1
        ends = self.clock.now() + timedelta(days=days) if days is not None else None
        content = {"source_type": "story", "source_ref": f"lot-{self.told}", "expires_at": ends, **values}
        return LotDraft(kind, amount, **content)

    async def verify(self) -> Verification:
        scope = UserScope(Actor(ActorKind.USER, self.account_id), self.account_id)
        async with self.platform.database.reading() as session:
            return await verification.verify(session, self.platform, scope)

    async def sql(self, statement: str, **values: Any) -> int:
        """Behind the ledger's back; how many rows it met."""
        async with self.platform.database.transaction() as session:
            done = await session.execute(text(statement), {"account": self.account_id, **values})
            return int(done.rowcount)  # type: ignore[attr-defined]

    async def column(self, statement: str, **values: Any) -> list[Any]:
        async with self.platform.database.reading() as session:
            return list(await session.scalars(text(statement), {"account": self.account_id, **values}))


async def tell(story: Story) -> Story:
    """Every command, every type of line, every end of a hold. A new user's wallet has 10 free credits already."""
    plan = story.lot(LotKind.SUBSCRIPTION_GRANT, 40, days=30)
    now = story.clock.now()
    await story.grant(plan, period=(now, now + 30 * DAY), replaces_plan=True)
    await story.grant(
        story.lot(
            LotKind.PURCHASE,
            100,
            source_type="stripe_checkout",
            source_ref="cs_story",
            cost_minor=199,
            cost_currency="USD",
        ),
        story.lot(LotKind.BONUS, 20, source_type="stripe_checkout", source_ref="cs_story:bonus"),
        story.lot(LotKind.GIFT, 30, days=20),
        story.lot(LotKind.PURCHASE, 5, service=CHAT),
    )
    story.seqs["chat"] = await story.spend(12, service=CHAT, quantity=6, price_version=1)
    story.seqs["plain"] = await story.spend(3)
    refused = await story.give(Spend, amount=10_000)
    assert isinstance(refused, Refused)
    captured = await story.hold(10, service=CHAT, quantity=5, price_version=1)
    part = await story.do(Capture, hold_id=captured, amount=4)
    story.seqs["captured"] = part.entries[0].seq
    await story.do(Capture, hold_id=captured, amount=2, final=True)
    await story.do(Release, hold_id=await story.hold(5))
    await story.hold(4, ttl_s=60)
    story.advance(minutes=5)
    opened = await story.hold(30, ttl_s=3600)
    await story.do(Extend, hold_id=opened, ttl_s=86_400)
    await story.grant(story.lot(LotKind.LEAD, 12, days=2))
    await story.do(Reverse, entry_seq=story.seqs["chat"], amount=7, description="Half of it was wrong")
    await story.do(Reverse, entry_seq=story.seqs["captured"], description="It failed")
    await story.do(Void, amount=6, description="Set right")
    bonus = await story.column(
        "SELECT id FROM credit_grants WHERE account_id = :account AND source_ref = 'cs_story:bonus'"
    )
    given = await story.do(Transfer, amount=15, description="A gift")
    story.seqs["gift"] = given.entries[0].seq
    await story.do(Reverse, entry_seq=story.seqs["gift"], amount=4, description="Came back")
    await story.do(Void, lot_id=bonus[0], description="The bonus was a mistake")
    await story.spend(60)
    demand = Demand("cs_story", 100)
    await story.do(ClawBack, source_type="stripe_checkout", demands=(demand,), description="Refunded by Stripe")
    await story.do(
        ClawBack, source_type="stripe_checkout", demands=(Demand("cs_story", 30),), description="Dispute won"
    )
    await story.do(
        ClawBack, source_type="stripe_checkout", demands=(Demand("cs_story", 100),), description="Refunded again"
    )
    await story.grant(story.lot(LotKind.ADMIN_ADJUSTMENT, 50))
    story.advance(days=31)
    story.seqs["late"] = await story.spend(2, service=CHAT, quantity=1, price_version=1)
    await story.do(Reverse, entry_seq=story.seqs["plain"], description="Its lot is gone by now")
    now = story.clock.now()
    await story.grant(
        story.lot(LotKind.SUBSCRIPTION_GRANT, 40, days=30),
        period=(now, now + 30 * DAY),
        replaces_plan=True,
        rollover=Rollover(50, now + 60 * DAY),
    )
    await story.hold(9, ttl_s=7200, service=CHAT, quantity=1, price_version=1)
    return story
