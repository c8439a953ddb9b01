"""Who used how much of a pool, from the day sums alone."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.balances import OTHER
from pm_api.domains.ai_credits.errors import InvalidPeriod
from pm_api.domains.ai_credits.repository import pools as repository
from pm_api.domains.ai_credits.schemas.pools import MemberUsage, PoolUsage

DAY: Final = timedelta(days=1)
DEFAULT_DAYS: Final = 30
MAX_DAYS: Final = 400
USAGE: Final = "credits.pool.usage"
MOST_CSV_MEMBERS: Final = 10_000


async def usage(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    page: PageRequest,
    since: datetime | None,
    until: datetime | None,
) -> PoolUsage:
    """A page of who used the pool on the UTC days between, by default the last thirty with today; from the day sums.

    Raises InvalidPeriod, InvalidCursor.
    """
    first, end = _whole_days(platform, since, until)
    bound = {"workspace": scope.workspace_id, "from": first.isoformat(), "to": end.isoformat()}
    key = platform.cursors.decode(page.cursor, of=USAGE, **bound)
    members = await _members(session, scope, first, end, after=UUID(key[0]) if key else None, limit=page.limit + 1)
    shown = members[: page.limit]
    following = (shown[-1].user_id or UUID(int=0),) if len(members) > page.limit else None
    return PoolUsage(members=shown, next_cursor=platform.cursors.encode(following, of=USAGE, **bound))


async def usage_of_all(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    since: datetime | None,
    until: datetime | None,
) -> list[MemberUsage]:
    """The same for everybody, at most 10,000 people; raises InvalidPeriod."""
    first, end = _whole_days(platform, since, until)
    return await _members(session, scope, first, end, after=None, limit=MOST_CSV_MEMBERS)


async def _members(
    session: AsyncSession, scope: WorkspaceScope, first: date, end: date, *, after: UUID | None, limit: int
) -> list[MemberUsage]:
    people: dict[UUID, MemberUsage] = {}
    rows = await repository.usage_of_members(session, scope, first, end, after=after, limit=limit)
    for user_id, name, email, service, credits, refunded in rows:
        so_far = people.get(user_id)
        people[user_id] = MemberUsage(
            user_id=user_id if user_id.int else None,
            name=name,
            email=email,
            credits=credits + (so_far.credits if so_far else 0),
            refunded=refunded + (so_far.refunded if so_far else 0),
            net=credits - refunded + (so_far.net if so_far else 0),
            by_service={**(so_far.by_service if so_far else {}), service or OTHER: credits - refunded},
        )
    return list(people.values())


def _whole_days(platform: Platform, since: datetime | None, until: datetime | None) -> tuple[date, date]:
    """The UTC days that a time touches; raises InvalidPeriod."""
    last = (platform.clock.now() if until is None else until).astimezone(UTC)
    ends_with_day = until is not None and last.time() == time(0)
    end = last.date() if ends_with_day else last.date() + DAY
    first = end - DEFAULT_DAYS * DAY if since is None else since.astimezone(UTC).date()
    if first >= end or (end - first).days > MAX_DAYS:
        raise InvalidPeriod(details=[{"pointer": "/from", "detail": f"Must lie before to, at most {MAX_DAYS} days"}])
    return first, end
