"""Boards of a workspace and the badges people earn. Badges are written when they are looked at, a person's own or
those of everybody on a board: whoever looks first writes them, with the moment they were earned, and nobody writes
them twice.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.enums import LotKind
from pm_api.domains.ai_credits.repository import insight as repository
from pm_api.domains.ai_credits.repository.insight import Reached, Standing
from pm_api.domains.ai_credits.schemas.insight import (
    AchievementCode,
    AchievementRead,
    BoardPeriod,
    LeaderboardRead,
    Ranked,
)

PLACES: Final = 100
STREAK_DAYS: Final = 7
SPENT: Final = (
    (1, AchievementCode.FIRST_SPEND, "Spent a first credit"),
    (100, AchievementCode.SPENT_100, "Spent 100 credits in all"),
    (1_000, AchievementCode.SPENT_1000, "Spent 1,000 credits in all"),
    (10_000, AchievementCode.SPENT_10000, "Spent 10,000 credits in all"),
)
EARNED: Final = (
    (100, AchievementCode.EARNED_100, "Earned 100 credits by referrals, gifts and bonuses"),
    (1_000, AchievementCode.EARNED_1000, "Earned 1,000 credits by referrals, gifts and bonuses"),
)
FIRSTS: Final = (
    (LotKind.REFERRAL, AchievementCode.FIRST_REFERRAL, "Earned credits by a referral"),
    (LotKind.GIFT, AchievementCode.FIRST_GIFT, "Was given credits"),
)
OF_DAYS: Final = {*(code for _, code, _ in SPENT), AchievementCode.SEVEN_DAYS_RUNNING}
OF_LOTS: Final = {code for _, code, _ in (*EARNED, *FIRSTS)}
DAY: Final = timedelta(days=1)

Badge = tuple[AchievementCode, str, datetime]


async def leaderboard(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, period: BoardPeriod
) -> LeaderboardRead:
    """Who earned and who spent most in the UTC calendar period at hand; nobody where the boards are switched off."""
    today = platform.clock.now().astimezone(UTC).date()
    first = _first_day(period, today)
    since = _midnight(first) if first else None
    enabled = await repository.leaderboard_enabled(session, scope.workspace_id)
    earned: list[Standing] = []
    spent: list[Standing] = []
    if enabled:
        await _crown(session, platform, scope, today)
        earned = await repository.earned_board(session, scope, since, PLACES)
        spent = await repository.spent_board(session, scope, first, None, PLACES)
    shown = sorted({one.user_id for one in (*earned, *spent)})
    await _award(session, platform, shown)
    badges = await repository.achievement_codes(session, shown)
    return LeaderboardRead(
        enabled=enabled,
        workspace_id=scope.workspace_id,
        period=period,
        from_=since,
        earned=_ranked(earned, badges),
        spent=_ranked(spent, badges),
    )


async def achievements(session: AsyncSession, platform: Platform, scope: UserScope) -> list[AchievementRead]:
    """One's own badges, those earned since the last look included."""
    await _award(session, platform, [scope.user_id])
    return [
        AchievementRead(
            id=row.id,
            code=AchievementCode(row.code),
            reason=row.reason,
            workspace_id=row.workspace_id,
            earned_at=row.earned_at,
        )
        for row in await repository.achievements(session, scope)
    ]


async def _award(session: AsyncSession, platform: Platform, user_ids: Sequence[UUID]) -> None:
    """Write the badges that these people, at most two boards full, have earned since somebody last looked. A day is
    all that is known of a spend: no badge is dated before its wallet.
    """
    known = {
        user_id: set(codes) for user_id, codes in (await repository.achievement_codes(session, user_ids)).items()
    }
    opened = await repository.opened_at(session, user_ids)
    open_ones = [user_id for user_id in user_ids if user_id in opened]
    unfinished = [one for one in open_ones if not known.get(one, set()) >= OF_DAYS]
    reached: dict[UUID, Reached] = {}
    if unfinished:
        sums = [least for least, _, _ in SPENT]
        reached = await repository.days_reached(session, unfinished, sums, STREAK_DAYS)
    unfinished = [one for one in open_ones if not known.get(one, set()) >= OF_LOTS]
    lots = await repository.earned_lots(session, unfinished) if unfinished else {}
    rows = [
        _row(platform, user_id, None, badge, opened[user_id])
        for user_id in open_ones
        for badge in (*_of_days(reached.get(user_id)), *_of_lots(lots.get(user_id, [])))
        if badge[0] not in known.get(user_id, set())
    ]
    await repository.add_achievements(session, rows)


async def _crown(session: AsyncSession, platform: Platform, scope: WorkspaceScope, today: date) -> None:
    """A badge for who spent most of the pool in the month before this: alone in front, and not alone on the board."""
    end = today.replace(day=1)
    first = (end - DAY).replace(day=1)
    standings = await repository.spent_board(session, scope, first, end, 2)
    if len(standings) < 2 or standings[0].credits == standings[1].credits:
        return
    winner = standings[0].user_id
    opened = await repository.opened_at(session, [winner])
    if winner in opened:
        reason = f"Spent most of the pool in {first:%B %Y}"
        badge = (AchievementCode.TOP_OF_THE_MONTH, reason, _midnight(end))
        await repository.add_achievements(
            session, [_row(platform, winner, scope.workspace_id, badge, opened[winner])]
        )


def _row(
    platform: Platform, user_id: UUID, workspace_id: UUID | None, badge: Badge, opened: datetime
) -> dict[str, Any]:
    code, reason, earned_at = badge
    return {
        "id": platform.randomness.uuid(),
        "account_id": user_id,
        "workspace_id": workspace_id,
        "code": code.value,
        "reason": reason,
        "earned_at": max(earned_at, opened),
    }


def _of_days(reached: Reached | None) -> Iterator[Badge]:
    """Badges for spending; a day's figure is all that is kept, so they date from the day's beginning."""
    if reached is None:
        return
    for least, code, reason in SPENT:
        if least in reached.of_sums:
            yield code, reason, _midnight(reached.of_sums[least])
    if reached.of_streak is not None:
        reason = f"Used credits on {STREAK_DAYS} days running"
        yield AchievementCode.SEVEN_DAYS_RUNNING, reason, _midnight(reached.of_streak)


def _of_lots(lots: Sequence[tuple[str, datetime, int]]) -> Iterator[Badge]:
    for kind, code, reason in FIRSTS:
        first = next((moment for of_kind, moment, _ in lots if of_kind == kind), None)
        if first is not None:
            yield code, reason, first
    reached, total = 0, 0
    for _, moment, credits in lots:
        total += credits
        while reached < len(EARNED) and total >= EARNED[reached][0]:
            yield EARNED[reached][1], EARNED[reached][2], moment
            reached += 1


def _first_day(period: BoardPeriod, today: date) -> date | None:
    if period is BoardPeriod.WEEK:
        return today - today.weekday() * DAY
    if period is BoardPeriod.MONTH:
        return today.replace(day=1)
    return today.replace(month=1, day=1) if period is BoardPeriod.YEAR else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), UTC)


def _ranked(standings: Sequence[Standing], badges: dict[UUID, list[str]]) -> list[Ranked]:
    """Places from the top; who has as much shares the place, and the next one is left out."""
    found: list[Ranked] = []
    for place, one in enumerate(standings, start=1):
        shares = bool(found) and found[-1].credits == one.credits
        found.append(
            Ranked(
                rank=found[-1].rank if shares else place,
                user_id=one.user_id,
                name=one.name,
                credits=one.credits,
                achievements=[AchievementCode(code) for code in badges.get(one.user_id, [])],
            )
        )
    return found
