"""Many events, written by SQL in one go: so many in one month, the others in other years, each with a guest."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.calendar.repository.events import home_scope

MONTH: Final = (datetime(2030, 3, 1, tzinfo=UTC), datetime(2030, 3, 31, tzinfo=UTC))
"""In which those asked for lie; the others are years away from it."""

# As the service makes them (UUIDv7): events are put into a calendar as time goes by, up to a month before they begin,
# among those of other calendars.
_ID: Final = """
CAST(lpad(to_hex(CAST(extract(epoch FROM made) * 1000 AS bigint)), 12, '0') || '7'
     || substr(md5(:workspace || n), 1, 3) || '8' || substr(md5(:workspace || n), 4, 15) AS uuid)
"""

# Singles lie in the month up to `matching`, then in the 20 years before and after it.
_EVENTS: Final = f"""
INSERT INTO calendar_events (
    id, workspace_id, scope_id, type, title, description, location, visibility, show_as, all_day, time_zone,
    starts_wall, ends_wall, span_days, span_seconds, starts_at, ends_at, rrule, rdates, exdates, series_starts_at,
    series_ends_at, reached_until, tzdata_version, uid, sequence, organizer_user_id, created_by_user_id,
    guests_can_invite, version, created_at, updated_at)
SELECT {_ID}, CAST(:workspace AS uuid), :scope, 'MEETING', 'Event ' || n,
       repeat('What is to be said. ', 5), 'Room 4',
       'DEFAULT', 'BUSY', false, 'UTC', begins AT TIME ZONE 'UTC', begins AT TIME ZONE 'UTC' + interval '1 hour', 0,
       3600, begins, begins + interval '1 hour', NULL, '{{}}', '{{}}', begins, begins + interval '1 hour', NULL,
       '2026a',
       :workspace || '-' || n, 0, :creator, :creator, false, 1, :now, :now
FROM generate_series(1, CAST(:count AS bigint)) AS n, LATERAL (SELECT CASE
    WHEN (n * 7919) % :count < :matching
    THEN CAST(:first AS timestamptz) + ((n * 7919) % :count) * 29.9 / :matching * interval '1 day'
    WHEN n % 2 = 0 THEN CAST(:first AS timestamptz) + interval '1 year' + n * (interval '20 years' / :count)
    ELSE CAST(:first AS timestamptz) - interval '1 year' - n * (interval '20 years' / :count) END AS begins) AS lies,
    LATERAL (SELECT begins - n % 30 * interval '1 day' AS made) AS written
ORDER BY made
"""
_WEEKS: Final = """
INSERT INTO calendar_reach (workspace_id, week, event_id)
SELECT DISTINCT workspace_id, floor(extract(epoch FROM moment) / 604800)::int, id
FROM calendar_events CROSS JOIN LATERAL unnest(ARRAY[starts_at, ends_at]) AS moment
WHERE workspace_id = CAST(:workspace AS uuid) AND rrule IS NULL
"""
_ATTENDEES: Final = """
INSERT INTO calendar_attendees (id, workspace_id, event_id, user_id, response)
SELECT gen_random_uuid(), workspace_id, id, :creator, 'ACCEPTED' FROM calendar_events
WHERE workspace_id = CAST(:workspace AS uuid) ORDER BY id
"""
# Yearly ones, in each month but those around the one that is asked for, for ever.
_SERIES: Final = f"""
INSERT INTO calendar_events (
    id, workspace_id, scope_id, type, title, description, location, visibility, show_as, all_day, time_zone,
    starts_wall, ends_wall, span_days, span_seconds, starts_at, ends_at, rrule, rdates, exdates, series_starts_at,
    series_ends_at, reached_until, tzdata_version, uid, sequence, organizer_user_id, created_by_user_id,
    guests_can_invite, version, created_at, updated_at)
SELECT {_ID}, CAST(:workspace AS uuid), :scope, 'MEETING', 'Series ' || n, '', '', 'DEFAULT', 'BUSY',
       false, 'UTC', begins AT TIME ZONE 'UTC', begins AT TIME ZONE 'UTC' + interval '1 hour', 0, 3600, begins,
       begins + interval '1 hour', 'FREQ=YEARLY', '{{}}', '{{}}', begins, NULL, :known, '2026a',
       :workspace || '-series-' || n, 0, :creator, :creator, false, 1, :now, :now
FROM generate_series(1, :series) AS n,
     LATERAL (SELECT timestamptz '2027-06-01T09:00:00Z' + n % 240 * interval '1 day' AS begins) AS lies,
     LATERAL (SELECT begins - n % 30 * interval '1 day' AS made) AS written
ORDER BY made
"""
_SERIES_WEEKS: Final = """
INSERT INTO calendar_reach (workspace_id, week, event_id)
SELECT DISTINCT workspace_id, floor(extract(epoch FROM starts_at + year * interval '1 year') / 604800)::int, id
FROM calendar_events CROSS JOIN generate_series(0, 5) AS year
WHERE workspace_id = CAST(:workspace AS uuid) AND rrule IS NOT NULL
"""


async def add_events(
    platform: Platform, workspace_id: UUID, creator_id: UUID, count: int, *, matching: int, series: int = 0
) -> None:
    """So many events in the calendar of a workspace, of which so many lie in the month; and so many live series, of
    which none does.
    """
    async with platform.database.transaction() as session:
        facts = {
            "workspace": str(workspace_id),
            "scope": await home_scope(session, platform, workspace_id),
            "creator": creator_id,
            "count": count,
            "matching": matching,
            "series": series,
            "first": MONTH[0],
            "known": datetime(2033, 1, 1, tzinfo=UTC),
            "now": platform.clock.now(),
        }
        for statement in (_EVENTS, _WEEKS, _SERIES, _SERIES_WEEKS, _ATTENDEES):
            await _run(session, statement, facts)


async def _run(session: AsyncSession, statement: str, facts: dict[str, object]) -> None:
    await session.execute(text(statement), {name: one for name, one in facts.items() if f":{name}" in statement})
