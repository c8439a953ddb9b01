"""Reads of the day sums, of what was earned, and of badges. Nothing here reads entries but who asks for one type of
them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    FromClause,
    Integer,
    Row,
    Select,
    cast,
    exists,
    func,
    inspect,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from pm_api.core.actor import CreditScope, UserScope, WorkspaceScope
from pm_api.domains.ai_credits.enums import EntryType, LotKind
from pm_api.domains.ai_credits.models.catalogue import CreditPlan
from pm_api.domains.ai_credits.models.insight import CreditAchievement
from pm_api.domains.ai_credits.models.ledger import (
    CreditAccount,
    CreditEntry,
    CreditGrant,
    CreditPlanGrant,
    CreditUsageDay,
)
from pm_api.domains.ai_credits.models.pools import CreditPool
from pm_api.domains.ai_credits.repository.ledger import account_id_of
from pm_api.domains.ai_credits.store.writing import NO_SERVICE, NOBODY
from pm_api.identity.models.people import Member, User

EARNED_KINDS: Final = (LotKind.REFERRAL, LotKind.GIFT, LotKind.BONUS)
TILLS: Final = ("stripe_checkout", "stripe_payment")
"""Source types of what was bought, by hand or by the automatic top-up: the values of `purchases.Till`."""
NET: Final = CreditUsageDay.credits - CreditUsageDay.refunded
KEPT: Final = CreditGrant.amount - CreditGrant.clawed_back
"""What a lot brought for good: nobody earns by a purchase that is paid back."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one type from a place of the book up to another, which is not included."""

    type: EntryType
    first_seq: int
    end_seq: int


@dataclass(frozen=True, slots=True)
class Window:
    """UTC days from `first` up to `end`, which is not included, of one service or member if named; of usage, or of
    one type of lines.
    """

    first: date
    end: date
    service: str | None = None
    member_id: UUID | None = None
    lines: Lines | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """Day sums added up. `before` is what was used, net, in the time before the window."""

    gross: int
    refunded: int
    entries: int
    before: int

    @property
    def net(self) -> int:
        return self.gross - self.refunded


def _rows(scope: CreditScope, window: Window) -> FromClause:
    """The day sums; for one type of lines the same columns made of what those moved, whichever way. Spends of a day
    are in its sums already: there are far too many of them to be read one by one.
    """
    lines = window.lines
    if lines is None:
        return inspect(CreditUsageDay).local_table
    nothing = literal(0, BigInteger).label("refunded")
    if lines.type is EntryType.USAGE:
        kept = [one for one in inspect(CreditUsageDay).local_table.c if one.name != "refunded"]
        return select(*kept, nothing).where(CreditUsageDay.account_id == account_id_of(scope)).subquery()
    line = CreditEntry
    return (
        select(
            line.account_id,
            cast(func.timezone("UTC", line.created_at), Date).label("day"),
            func.coalesce(line.service, NO_SERVICE).label("service"),
            func.coalesce(line.actor_user_id, NOBODY).label("actor_user_id"),
            func.abs(line.amount).label("credits"),
            literal(1, BigInteger).label("entries"),
            nothing,
        )
        .where(
            line.account_id == account_id_of(scope),
            line.seq >= lines.first_seq,
            line.seq < lines.end_seq,
            line.type == lines.type,
        )
        .subquery()
    )


def _within(rows: FromClause, scope: CreditScope, window: Window) -> list[ColumnElement[bool]]:
    conditions = [
        rows.c.account_id == account_id_of(scope),
        rows.c.day >= window.first,
        rows.c.day < window.end,
    ]
    if window.service is not None:
        conditions.append(rows.c.service == window.service)
    if window.member_id is not None:
        conditions.append(rows.c.actor_user_id == window.member_id)
    return conditions


def _sum(column: ColumnElement[int] | InstrumentedAttribute[int]) -> ColumnElement[int]:
    """PostgreSQL adds bigints up to a numeric."""
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


async def used_by(
    session: AsyncSession,
    scope: CreditScope,
    column: InstrumentedAttribute[Any],
    window: Window,
    since: date,
    limit: int,
) -> list[tuple[Any, Used]]:
    """The window's sums by a column, largest first; the days before `since` are the time before."""
    rows = _rows(scope, window)
    by = rows.c[column.key]
    inside, before = rows.c.day >= since, rows.c.day < since
    gross = cast(func.coalesce(func.sum(rows.c.credits).filter(inside), 0), BigInteger)
    found = await session.execute(
        select(
            by,
            gross,
            cast(func.coalesce(func.sum(rows.c.refunded).filter(inside), 0), BigInteger),
            cast(func.coalesce(func.sum(rows.c.entries).filter(inside), 0), BigInteger),
            cast(func.coalesce(func.sum(rows.c.credits - rows.c.refunded).filter(before), 0), BigInteger),
        )
        .where(*_within(rows, scope, window))
        .group_by(by)
        .order_by(gross.desc(), by)
        .limit(limit)
    )
    return [(row[0], Used(row[1], row[2], row[3], row[4])) for row in found]


async def used_in_total(session: AsyncSession, scope: CreditScope, window: Window) -> Used:
    rows = _rows(scope, window)
    row = (
        await session.execute(
            select(_sum(rows.c.credits), _sum(rows.c.refunded), _sum(rows.c.entries)).where(
                *_within(rows, scope, window)
            )
        )
    ).one()
    return Used(row[0], row[1], row[2], 0)


async def used_by_day(session: AsyncSession, scope: CreditScope, window: Window) -> dict[date, Used]:
    rows = _rows(scope, window)
    found = await session.execute(
        select(rows.c.day, _sum(rows.c.credits), _sum(rows.c.refunded), _sum(rows.c.entries))
        .where(*_within(rows, scope, window))
        .group_by(rows.c.day)
        .order_by(rows.c.day)
    )
    return {row[0]: Used(row[1], row[2], row[3], 0) for row in found}


async def plan_of(session: AsyncSession, scope: CreditScope, now: datetime) -> CreditPlan | None:
    """The paid plan that fills the account."""
    return await session.scalar(
        select(CreditPlan).where(CreditPlan.account_id == account_id_of(scope), CreditPlan.ends_at > now)
    )


async def plan_grants(session: AsyncSession) -> dict[str, int]:
    """Credits each plan brings a period, by its newest version."""
    rows = await session.execute(
        select(CreditPlanGrant.plan, CreditPlanGrant.credits)
        .ext(distinct_on(CreditPlanGrant.plan))
        .order_by(CreditPlanGrant.plan, CreditPlanGrant.version.desc())
    )
    return {row[0]: row[1] for row in rows}


@dataclass(frozen=True, slots=True)
class Bought:
    """Packs bought in a while: how often, how many credits with their bonus, what was paid by currency."""

    purchases: int
    credits: int
    paid: Mapping[str, int]


async def bought_since(session: AsyncSession, scope: CreditScope, since: datetime) -> Bought:
    # A bundle is several lots of one purchase: `reference`, `reference:2`, … (`purchases`).
    purchase = func.split_part(CreditGrant.source_ref, ":", 1)
    rows = await session.execute(
        select(
            CreditGrant.cost_currency,
            func.count(purchase.distinct()).filter(CreditGrant.kind == LotKind.PURCHASE),
            _sum(CreditGrant.amount),
            _sum(CreditGrant.cost_minor),  # type: ignore[arg-type]  # null where nothing was paid
        )
        .where(
            CreditGrant.account_id == account_id_of(scope),
            CreditGrant.kind.in_((LotKind.PURCHASE, LotKind.BONUS)),
            CreditGrant.source_type.in_(TILLS),
            CreditGrant.created_at >= since,
        )
        .group_by(CreditGrant.cost_currency)
    )
    found = list(rows)
    return Bought(
        purchases=sum(row[1] for row in found),
        credits=sum(row[2] for row in found),
        paid={row[0]: row[3] for row in found if row[0] is not None and row[3]},
    )


# --- boards and badges -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    user_id: UUID
    name: str
    credits: int


def _board(statement: Select[UUID, str, int], credits: ColumnElement[int], limit: int) -> Select[UUID, str, int]:
    return statement.group_by(User.id, User.name).having(credits > 0).order_by(credits.desc(), User.id).limit(limit)


async def spent_board(
    session: AsyncSession, scope: WorkspaceScope, first: date | None, end: date | None, limit: int
) -> list[Standing]:
    """Who of today's members used most of the pool."""
    net = _sum(NET)
    statement = (
        select(User.id, User.name, net)
        .join(Member, Member.user_id == User.id)
        .join(
            CreditUsageDay,
            (CreditUsageDay.account_id == Member.workspace_id) & (CreditUsageDay.actor_user_id == Member.user_id),
        )
        .where(Member.workspace_id == scope.workspace_id)
    )
    if first is not None:
        statement = statement.where(CreditUsageDay.day >= first)
    if end is not None:
        statement = statement.where(CreditUsageDay.day < end)
    return _standings((await session.execute(_board(statement, net, limit))).all())


async def earned_board(
    session: AsyncSession, scope: WorkspaceScope, since: datetime | None, limit: int
) -> list[Standing]:
    """Whose wallet, of today's members, was brought most by referrals, gifts and bonuses."""
    amount = _sum(KEPT)
    statement = (
        select(User.id, User.name, amount)
        .join(Member, Member.user_id == User.id)
        .join(CreditGrant, CreditGrant.account_id == Member.user_id)
        .where(Member.workspace_id == scope.workspace_id, CreditGrant.kind.in_(EARNED_KINDS))
    )
    if since is not None:
        statement = statement.where(CreditGrant.created_at >= since)
    return _standings((await session.execute(_board(statement, amount, limit))).all())


def _standings(rows: Sequence[Row[UUID, str, int]]) -> list[Standing]:
    return [Standing(row[0], row[1], row[2]) for row in rows]


@dataclass(frozen=True, slots=True)
class Reached:
    """The days on which a person's use first came to each sum, and first had lasted so many days running."""

    of_sums: Mapping[int, date]
    of_streak: date | None


async def days_reached(
    session: AsyncSession, user_ids: Sequence[UUID], sums: Sequence[int], streak: int
) -> dict[UUID, Reached]:
    """Of what people have used a day, net: from their wallets, and from pools of workspaces they belong to. Added up
    in the database: a few dates come back, however many days there are.
    """
    actor, day = CreditUsageDay.actor_user_id, CreditUsageDay.day
    belongs = exists().where(Member.workspace_id == CreditUsageDay.account_id, Member.user_id == actor)
    net = _sum(NET)
    days = (
        select(actor.label("actor"), day.label("day"), net.label("net"))
        .where(actor.in_(user_ids), or_(CreditUsageDay.account_id == actor, belongs))
        .group_by(actor, day)
        .having(net > 0)
        .subquery()
    )
    # Days without a gap have the same difference to their number.
    number = func.row_number().over(partition_by=days.c.actor, order_by=days.c.day)
    run = days.c.day - cast(number, Integer)
    total = func.sum(days.c.net).over(partition_by=days.c.actor, order_by=days.c.day)
    added = select(days.c.actor, days.c.day, total.label("total"), run.label("run")).subquery()
    lasted = func.row_number().over(partition_by=(added.c.actor, added.c.run), order_by=added.c.day)
    told = select(added.c.actor, added.c.day, added.c.total, lasted.label("lasted")).subquery()
    rows = await session.execute(
        select(
            told.c.actor,
            func.min(told.c.day).filter(told.c.lasted >= streak),
            *(func.min(told.c.day).filter(told.c.total >= one) for one in sums),
        ).group_by(told.c.actor)
    )
    return {
        row[0]: Reached({one: day for one, day in zip(sums, row[2:], strict=True) if day is not None}, row[1])
        for row in rows
    }


async def earned_lots(session: AsyncSession, user_ids: Sequence[UUID]) -> dict[UUID, list[tuple[str, datetime, int]]]:
    """(kind, moment, credits) of everything people have earned, in the order of time."""
    rows = await session.execute(
        select(CreditGrant.account_id, CreditGrant.kind, CreditGrant.created_at, KEPT)
        .where(CreditGrant.account_id.in_(user_ids), CreditGrant.kind.in_(EARNED_KINDS), KEPT > 0)
        .order_by(CreditGrant.account_id, CreditGrant.created_at, CreditGrant.id)
    )
    found: dict[UUID, list[tuple[str, datetime, int]]] = {}
    for account_id, kind, moment, amount in rows:
        found.setdefault(account_id, []).append((kind, moment, amount))
    return found


async def achievement_codes(session: AsyncSession, user_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    rows = await session.execute(
        select(CreditAchievement.account_id, CreditAchievement.code)
        .where(CreditAchievement.account_id.in_(user_ids))
        .order_by(CreditAchievement.earned_at, CreditAchievement.code)
    )
    found: dict[UUID, list[str]] = {}
    for user_id, code in rows:
        found.setdefault(user_id, []).append(code)
    return found


async def achievements(session: AsyncSession, scope: UserScope) -> Sequence[CreditAchievement]:
    """All of one person's, newest first; a handful, for each code is earned once."""
    rows = await session.scalars(
        select(CreditAchievement)
        .where(CreditAchievement.account_id == scope.user_id)
        .order_by(CreditAchievement.earned_at.desc(), CreditAchievement.id.desc())
    )
    return rows.all()


async def opened_at(session: AsyncSession, account_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Since when there is each account, of those there are."""
    rows = await session.execute(
        select(CreditAccount.id, CreditAccount.created_at).where(CreditAccount.id.in_(account_ids))
    )
    return {row[0]: row[1] for row in rows}


async def add_achievements(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Badges not there yet; those that are stay as they were, whoever wrote them first."""
    if rows:
        ordered = sorted(rows, key=lambda row: (row["account_id"], row["code"]))
        await session.execute(insert(CreditAchievement).values(ordered).on_conflict_do_nothing())


async def leaderboard_enabled(session: AsyncSession, workspace_id: UUID) -> bool:
    """Whether the workspace shows its boards; it does until it says otherwise."""
    shown = await session.scalar(select(CreditPool.leaderboard_enabled).where(CreditPool.account_id == workspace_id))
    return shown is not False
