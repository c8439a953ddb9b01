"""When somebody works: their own choice, by the clocks of the zone of their settings."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.calendar.models import CalendarWorkingHours
from pm_api.domains.calendar.repository import busy as repository
from pm_api.domains.calendar.rules import USUAL_DAYS, WEEKDAYS
from pm_api.domains.calendar.schemas.busy import DaysRead, WorkingHoursRead, WorkingHoursWrite
from pm_api.domains.changes import service as changes
from pm_api.identity.repository import people

ENTITY: Final = "working_hours"


async def get(session: AsyncSession, scope: UserScope) -> WorkingHoursRead:
    """The caller's; version 0 while they have said nothing."""
    row = (await repository.hours_of(session, [scope.user_id])).get(scope.user_id)
    return await _read(session, scope, row)


async def put(
    session: AsyncSession,
    platform: Platform,
    scope: UserScope,
    wanted: WorkingHoursWrite,
    expected_version: int | None,
) -> WorkingHoursRead:
    """All anew. Raises PreconditionFailed."""
    row = await repository.lock_hours(session, scope.user_id)
    check_version(row.version if row is not None else 0, expected_version)
    days: dict[str, Any] = dict(wanted.days.of_days())
    now = platform.clock.now()
    if row is None:
        row = CalendarWorkingHours(user_id=scope.user_id, days=days, version=1, created_at=now, updated_at=now)
        session.add(row)
    elif row.days != days:
        row.days, row.version, row.updated_at = days, row.version + 1, now
    else:
        return await _read(session, scope, row)
    await session.flush()
    changes.record(
        session,
        platform,
        user_ids=[scope.user_id],
        entity=ENTITY,
        entity_id=scope.user_id,
        action="updated",
        version=row.version,
        actor_user_id=scope.user_id,
    )
    return await _read(session, scope, row)


async def _read(session: AsyncSession, scope: UserScope, row: CalendarWorkingHours | None) -> WorkingHoursRead:
    caller = await people.user_by_id(session, scope.user_id)
    return WorkingHoursRead(
        days=_days(row.days if row is not None else USUAL_DAYS),
        time_zone=caller.time_zone if caller is not None else "UTC",
        version=row.version if row is not None else 0,
    )


def _days(days: Mapping[str, Sequence[Sequence[str]]]) -> DaysRead:
    return DaysRead.model_validate(
        {
            name: [{"start": start, "end": end} for start, end in days.get(day, ())]
            for day, name in zip(WEEKDAYS, DaysRead.model_fields, strict=True)
        }
    )
