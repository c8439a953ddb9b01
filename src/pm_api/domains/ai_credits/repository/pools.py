"""Queries of pools: their account under lock, settings, caps with counters, usage of members, requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import and_, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.domains.ai_credits import sql
from pm_api.domains.ai_credits.book import Counter
from pm_api.domains.ai_credits.enums import AccountKind, CapWindow
from pm_api.domains.ai_credits.models.ledger import (
    CreditAccount,
    CreditCap,
    CreditCapUsage,
    CreditEntry,
    CreditHold,
    CreditUsageDay,
)
from pm_api.domains.ai_credits.models.pools import CreditPool, CreditPoolRequest
from pm_api.domains.ai_credits.repository.ledger import DueAccount, account_id_of
from pm_api.identity.models.people import Member, User

OPEN = "OPEN"
MANAGING_ROLES = ("OWNER", "ADMIN")
MOST_MANAGERS = 1000


@dataclass(frozen=True, slots=True)
class Used:
    """Credits that one person took for one service."""

    user_id: UUID | None
    service: str | None
    credits: int


# --- account ---------------------------------------------------------------------------------------------------


async def open_account(session: AsyncSession, account_id: UUID, kind: AccountKind, now: datetime) -> None:
    """An account is opened when it is first needed; nothing when it is there."""
    await sql.SessionStatements(session).execute(sql.OPEN, [account_id], [str(kind)], now)


async def lock_account(session: AsyncSession, account_id: UUID) -> CreditAccount | None:
    """After the workspace in the order of locks; what it protects is read in the statements after."""
    await session.execute(select(CreditAccount.id).where(CreditAccount.id == account_id).with_for_update())
    return await session.scalar(
        select(CreditAccount).where(CreditAccount.id == account_id).execution_options(populate_existing=True)
    )


async def account_figures(session: AsyncSession, account_ids: Sequence[UUID]) -> dict[UUID, CreditAccount]:
    rows = await session.scalars(select(CreditAccount).where(CreditAccount.id.in_(account_ids)))
    return {row.id: row for row in rows}


async def set_capped(session: AsyncSession, account_id: UUID, *, capped: bool) -> None:
    await session.execute(update(CreditAccount).where(CreditAccount.id == account_id).values(capped=capped))


# --- settings --------------------------------------------------------------------------------------------------


async def settings_of(session: AsyncSession, scope: AccountScope) -> CreditPool | None:
    return await session.scalar(
        select(CreditPool)
        .where(CreditPool.account_id == account_id_of(scope))
        .execution_options(populate_existing=True)
    )


async def managers(session: AsyncSession, workspace_id: UUID) -> list[UUID]:
    """Who decides over a pool, at most a thousand."""
    rows = await session.scalars(
        select(Member.user_id)
        .where(Member.workspace_id == workspace_id, Member.role.in_(MANAGING_ROLES))
        .order_by(Member.id)
        .limit(MOST_MANAGERS)
    )
    return list(rows)


async def name_of(session: AsyncSession, user_id: UUID) -> str:
    return await session.scalar(select(User.name).where(User.id == user_id)) or ""


# --- caps ------------------------------------------------------------------------------------------------------


async def caps_of(session: AsyncSession, account_id: UUID) -> Sequence[CreditCap]:
    rows = await session.scalars(
        select(CreditCap)
        .where(CreditCap.account_id == account_id)
        .order_by(CreditCap.subject, CreditCap.cap_window)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def cap(session: AsyncSession, account_id: UUID, subject: str, window: CapWindow) -> CreditCap | None:
    return await session.scalar(
        select(CreditCap)
        .where(CreditCap.account_id == account_id, CreditCap.subject == subject, CreditCap.cap_window == window)
        .execution_options(populate_existing=True)
    )


async def count_caps(session: AsyncSession, account_id: UUID) -> int:
    return (
        await session.scalar(select(func.count()).select_from(CreditCap).where(CreditCap.account_id == account_id))
    ) or 0


async def counters(session: AsyncSession, account_id: UUID, wanted: Sequence[Counter]) -> dict[Counter, int]:
    """What has been used, by counter; one that never moved is not there."""
    rows = await session.scalars(
        select(CreditCapUsage).where(
            CreditCapUsage.account_id == account_id,
            tuple_(CreditCapUsage.subject, CreditCapUsage.cap_window, CreditCapUsage.starts_at).in_(
                [(one.subject, str(one.window), one.starts_at) for one in wanted]
            ),
        )
    )
    return {Counter(row.subject, CapWindow(row.cap_window), row.starts_at): row.used for row in rows}


async def write_counters(session: AsyncSession, account_id: UUID, used: Mapping[Counter, int]) -> None:
    """The counters of an account that had none."""
    await session.execute(delete(CreditCapUsage).where(CreditCapUsage.account_id == account_id))
    if used:
        await session.execute(
            insert(CreditCapUsage),
            [
                {
                    "account_id": account_id,
                    "subject": one.subject,
                    "cap_window": str(one.window),
                    "starts_at": one.starts_at,
                    "used": amount,
                }
                for one, amount in used.items()
            ],
        )


async def charge_counter(session: AsyncSession, account_id: UUID, counter: Counter, amount: int) -> None:
    """Let a counter say more than was used."""
    added = insert(CreditCapUsage).values(
        account_id=account_id,
        subject=counter.subject,
        cap_window=str(counter.window),
        starts_at=counter.starts_at,
        used=amount,
    )
    await session.execute(
        added.on_conflict_do_update(
            index_elements=["account_id", "subject", "cap_window", "starts_at"],
            set_={"used": CreditCapUsage.used + added.excluded.used},
        )
    )


async def discharge_counter(session: AsyncSession, account_id: UUID, counter: Counter, amount: int) -> None:
    """Undo `charge_counter`; nothing when the counters were forgotten since."""
    await session.execute(
        update(CreditCapUsage)
        .where(
            CreditCapUsage.account_id == account_id,
            CreditCapUsage.subject == counter.subject,
            CreditCapUsage.cap_window == str(counter.window),
            CreditCapUsage.starts_at == counter.starts_at,
        )
        .values(used=func.greatest(0, CreditCapUsage.used - amount))
    )


async def used_on_days(session: AsyncSession, account_id: UUID, first: date, last: date) -> list[Used]:
    """By person and service between two UTC days, both included, from the day sums."""
    rows = await session.execute(
        select(
            CreditUsageDay.actor_user_id,
            CreditUsageDay.service,
            func.sum(CreditUsageDay.credits - CreditUsageDay.refunded),
        )
        .where(CreditUsageDay.account_id == account_id, CreditUsageDay.day >= first, CreditUsageDay.day <= last)
        .group_by(CreditUsageDay.actor_user_id, CreditUsageDay.service)
    )
    # The day sums' keys have no null: nobody is the zero id, no service the empty text.
    return [Used(user_id if user_id.int else None, service or None, int(total)) for user_id, service, total in rows]


async def used_between(session: AsyncSession, account_id: UUID, since: datetime, until: datetime) -> list[Used]:
    """By person and service in a part of a day, from the lines: spends less what was given back of them."""
    # A book never runs backwards, so its own key finds a time: from the newest line down.
    before = (
        select(CreditEntry.seq)
        .where(CreditEntry.account_id == account_id, CreditEntry.created_at < since)
        .order_by(CreditEntry.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    back = aliased(CreditEntry)
    given_back = (
        select(func.coalesce(func.sum(back.amount), 0))
        .where(back.account_id == account_id, back.reverses_seq == CreditEntry.seq, back.reverses_seq > 0)
        .where(back.type == "REVERSAL")
        .correlate(CreditEntry)
        .scalar_subquery()
    )
    rows = await session.execute(
        select(CreditEntry.actor_user_id, CreditEntry.service, func.sum(-CreditEntry.amount - given_back))
        .where(
            CreditEntry.account_id == account_id,
            CreditEntry.seq > func.coalesce(before, 0),
            CreditEntry.created_at < until,
            CreditEntry.type == "USAGE",
        )
        .group_by(CreditEntry.actor_user_id, CreditEntry.service)
    )
    return [Used(user_id, service, int(total)) for user_id, service, total in rows]


async def held_since(session: AsyncSession, account_id: UUID, since: datetime) -> list[Used]:
    """What open holds that were placed since keep aside, by person and service."""
    rows = await session.execute(
        select(CreditHold.actor_user_id, CreditHold.service, func.sum(CreditHold.amount - CreditHold.captured))
        .where(CreditHold.account_id == account_id, CreditHold.status == OPEN, CreditHold.created_at >= since)
        .group_by(CreditHold.actor_user_id, CreditHold.service)
    )
    return [Used(user_id, service, int(total)) for user_id, service, total in rows]


# --- usage -----------------------------------------------------------------------------------------------------


async def usage_of_members(
    session: AsyncSession, scope: WorkspaceScope, first: date, end: date, *, after: UUID | None, limit: int
) -> list[tuple[UUID, str | None, str | None, str, int, int]]:
    """(user id, name, address, service, credits, refunded) of a page of people by id, on days from `first` to before
    `end`; nobody's id is zero.
    """
    inside = and_(
        CreditUsageDay.account_id == scope.workspace_id, CreditUsageDay.day >= first, CreditUsageDay.day < end
    )
    people = select(CreditUsageDay.actor_user_id).where(inside)
    if after is not None:
        people = people.where(CreditUsageDay.actor_user_id > after)
    page = people.distinct().order_by(CreditUsageDay.actor_user_id).limit(limit).subquery()
    rows = await session.execute(
        select(
            CreditUsageDay.actor_user_id,
            User.name,
            User.email,
            CreditUsageDay.service,
            func.sum(CreditUsageDay.credits),
            func.sum(CreditUsageDay.refunded),
        )
        .join(page, page.c.actor_user_id == CreditUsageDay.actor_user_id)
        .outerjoin(User, User.id == CreditUsageDay.actor_user_id)
        .where(inside)
        .group_by(CreditUsageDay.actor_user_id, User.name, User.email, CreditUsageDay.service)
        .order_by(CreditUsageDay.actor_user_id, CreditUsageDay.service)
    )
    return [(*row[:4], int(row[4]), int(row[5])) for row in rows]


# --- requests --------------------------------------------------------------------------------------------------


async def requests_of(
    session: AsyncSession,
    scope: WorkspaceScope,
    *,
    user_id: UUID | None,
    status: str | None,
    limit: int,
    before: UUID | None,
) -> Sequence[CreditPoolRequest]:
    """A page of a pool's requests, newest first."""
    statement = select(CreditPoolRequest).where(CreditPoolRequest.workspace_id == scope.workspace_id)
    if user_id is not None:
        statement = statement.where(CreditPoolRequest.user_id == user_id)
    if status is not None:
        statement = statement.where(CreditPoolRequest.status == status)
    if before is not None:
        statement = statement.where(CreditPoolRequest.id < before)
    return (await session.scalars(statement.order_by(CreditPoolRequest.id.desc()).limit(limit))).all()


async def request(session: AsyncSession, scope: WorkspaceScope, request_id: UUID) -> CreditPoolRequest | None:
    """As committed now: what is read under the workspace's lock."""
    return await session.scalar(
        select(CreditPoolRequest)
        .where(CreditPoolRequest.id == request_id, CreditPoolRequest.workspace_id == scope.workspace_id)
        .execution_options(populate_existing=True)
    )


async def count_open_requests(session: AsyncSession, scope: WorkspaceScope) -> int:
    return (
        await session.scalar(
            select(func.count())
            .select_from(CreditPoolRequest)
            .where(
                CreditPoolRequest.workspace_id == scope.workspace_id,
                CreditPoolRequest.user_id == scope.user_id,
                CreditPoolRequest.status == OPEN,
            )
        )
    ) or 0


async def pools_with_due_raises(
    session: AsyncSession, now: datetime, after: DueAccount | None, limit: int
) -> Sequence[DueAccount]:
    """In the order of their ids; the page after a place."""
    statement = select(CreditPoolRequest.workspace_id).where(
        CreditPoolRequest.raised_until.is_not(None),
        CreditPoolRequest.raised_until <= now,
        CreditPoolRequest.taken_back_at.is_(None),
    )
    if after is not None:
        statement = statement.where(CreditPoolRequest.workspace_id > after.account_id)
    rows = await session.scalars(statement.distinct().order_by(CreditPoolRequest.workspace_id).limit(limit))
    return [DueAccount(workspace_id) for workspace_id in rows]


async def raises_of(
    session: AsyncSession,
    account_id: UUID,
    *,
    user_id: UUID | None = None,
    window: CapWindow | None = None,
    due_at: datetime | None = None,
) -> Sequence[CreditPoolRequest]:
    """What was granted on top of caps and not yet taken back; `due_at` only what is over by then."""
    statement = select(CreditPoolRequest).where(
        CreditPoolRequest.workspace_id == account_id,
        CreditPoolRequest.raised_until.is_not(None),
        CreditPoolRequest.taken_back_at.is_(None),
    )
    if user_id is not None:
        statement = statement.where(CreditPoolRequest.user_id == user_id)
    if window is not None:
        statement = statement.where(CreditPoolRequest.cap_window == window)
    if due_at is not None:
        statement = statement.where(CreditPoolRequest.raised_until <= due_at)
    ordered = statement.order_by(CreditPoolRequest.id).execution_options(populate_existing=True)
    return (await session.scalars(ordered)).all()
