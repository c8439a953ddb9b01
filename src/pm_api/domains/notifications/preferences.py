"""What a person is told, where and when: by category, with digests and quiet hours. Everything is on, and at once,
until they choose; what costs credits is off until they switch it on.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.core.recurrence import zone_or_utc
from pm_api.domains.changes import service as changes
from pm_api.domains.notifications import rules
from pm_api.domains.notifications.enums import REQUIRED, Category, Delivery, Weekday
from pm_api.domains.notifications.errors import ChannelRequired
from pm_api.domains.notifications.models import NotificationPreferences
from pm_api.domains.notifications.preference_schemas import (
    CategoryChoice,
    CategoryPreference,
    InactivityReminderChoice,
    InactivityReminderRead,
    PreferencesRead,
    PreferencesUpdate,
    PreferencesWrite,
    QuietHoursChoice,
    QuietHoursRead,
)
from pm_api.domains.notifications.repository import choices as repository
from pm_api.domains.notifications.repository.rows import Wait
from pm_api.domains.notifications.rules import QuietHours, Rhythm

IN_APP: Final = "inApp"
MAIL: Final = "mail"
WEBHOOK: Final = "webhook"
DELIVERY: Final = "delivery"
FOR_EVERYBODY: Final[Mapping[str, Any]] = {
    IN_APP: True,
    MAIL: True,
    WEBHOOK: False,
    DELIVERY: Delivery.INSTANT.value,
}


# --- what was chosen -------------------------------------------------------------------------------------------


def wants_mail(chosen: NotificationPreferences | None, category: Category) -> bool:
    return category in REQUIRED or _chosen(chosen, category)[MAIL] is True


def wants_webhook(chosen: NotificationPreferences | None, category: Category) -> bool:
    return _chosen(chosen, category)[WEBHOOK] is True


def delivery_of(chosen: NotificationPreferences | None, category: Category) -> Delivery:
    return Delivery.INSTANT if category in REQUIRED else Delivery(_chosen(chosen, category)[DELIVERY])


def rhythm_of(chosen: NotificationPreferences | None, time_zone: str) -> Rhythm:
    zone = zone_or_utc(time_zone)
    if chosen is None:
        return Rhythm(zone)
    quiet = None
    if chosen.quiet_from is not None and chosen.quiet_to is not None:
        quiet = QuietHours(chosen.quiet_from, chosen.quiet_to)
    return Rhythm(zone, quiet, chosen.digest_hour, Weekday(chosen.digest_weekday))


def wait_of(chosen: NotificationPreferences | None, time_zone: str, category: Category, now: datetime) -> Wait | None:
    """How long the mail of what is told now is to wait; None when it may go at once or is not wanted."""
    if category in REQUIRED or not wants_mail(chosen, category):
        return None
    delivery = delivery_of(chosen, category)
    due_at = rules.due_at(now, delivery, rhythm_of(chosen, time_zone))
    return None if due_at is None else Wait(due_at, delivery)


def _chosen(row: NotificationPreferences | None, category: Category) -> dict[str, Any]:
    return {**FOR_EVERYBODY, **({} if row is None else row.choices.get(category, {}))}


def _read(row: NotificationPreferences | None) -> PreferencesRead:
    rhythm = rhythm_of(row, "UTC")
    quiet, days = rhythm.quiet, None if row is None else row.inactivity_days
    return PreferencesRead(
        categories=[
            CategoryPreference(
                category=one,
                in_app=one in REQUIRED or _chosen(row, one)[IN_APP],
                mail=wants_mail(row, one),
                webhook=wants_webhook(row, one),
                delivery=delivery_of(row, one),
                is_required=one in REQUIRED,
            )
            for one in Category
        ],
        quiet_hours=None if quiet is None else QuietHoursRead(begin=quiet.begin, end=quiet.end),
        digest_hour=rhythm.digest_hour,
        digest_weekday=rhythm.digest_weekday,
        inactivity_reminder=None if days is None else InactivityReminderRead(after_days=days),
        version=row.version if row else 0,
    )


# --- choosing --------------------------------------------------------------------------------------------------


async def get(session: AsyncSession, scope: UserScope) -> PreferencesRead:
    """What the caller chose; version 0 while they have chosen nothing."""
    return _read(await repository.preferences(session, scope.user_id))


async def put(
    session: AsyncSession,
    platform: Platform,
    scope: UserScope,
    wanted: PreferencesWrite,
    expected_version: int | None,
) -> PreferencesRead:
    """Choose all anew: what is left out is as it is for everybody. Raises ChannelRequired or PreconditionFailed."""
    _refuse_required(wanted.categories)
    row = await _locked(session, platform, scope.user_id, expected_version)
    values = _values(wanted, row, platform.clock.now())
    values["choices"] = _stored(wanted.categories)
    await _write(session, platform, row, values)
    return _read(row)


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: UserScope,
    wanted: PreferencesUpdate,
    expected_version: int | None,
) -> PreferencesRead:
    """Choose some anew, as `PATCH /api/user/settings` does; raises ChannelRequired or PreconditionFailed."""
    _refuse_required(wanted.categories)
    row = await _locked(session, platform, scope.user_id, expected_version)
    values = _values(wanted, row, platform.clock.now(), only=wanted.model_fields_set)
    named = {one.category.value for one in wanted.categories}
    kept = {category: choice for category, choice in row.choices.items() if category not in named}
    values["choices"] = {**kept, **_stored(wanted.categories)}
    await _write(session, platform, row, values)
    return _read(row)


async def stop_mail(
    session: AsyncSession, platform: Platform, user_id: UUID, category: Category | None, delivery: Delivery | None
) -> None:
    """What the link in a mail does: the mails of a category, or of all categories of one digest, end; all else stays.
    Raises ChannelRequired.
    """
    if category in REQUIRED:
        raise ChannelRequired
    row = await repository.lock_preferences(session, user_id, platform.clock.now())
    ended = [
        one
        for one in Category
        if one not in REQUIRED and (one is category or (category is None and delivery_of(row, one) is delivery))
    ]
    choices = {**row.choices, **{one.value: {**_chosen(row, one), MAIL: False} for one in ended}}
    await _write(session, platform, row, {"choices": choices})


def _refuse_required(wanted: Collection[CategoryChoice]) -> None:
    for one in wanted:
        is_as_must_be = one.in_app and one.mail and one.delivery is Delivery.INSTANT
        if one.category in REQUIRED and not is_as_must_be:
            raise ChannelRequired


def _stored(wanted: Sequence[CategoryChoice]) -> dict[str, Any]:
    chosen = {
        one.category.value: {
            IN_APP: one.in_app,
            MAIL: one.mail,
            WEBHOOK: one.webhook,
            DELIVERY: one.delivery.value,
        }
        for one in wanted
    }
    return {category: choice for category, choice in chosen.items() if choice != FOR_EVERYBODY}


def _values(
    wanted: PreferencesWrite | PreferencesUpdate,
    row: NotificationPreferences,
    now: datetime,
    only: Collection[str] | None = None,
) -> dict[str, Any]:
    """The columns that are chosen anew, but for the categories."""
    values: dict[str, Any] = {}
    for name, columns in (
        ("quiet_hours", _quiet(wanted.quiet_hours)),
        ("digest_hour", {"digest_hour": wanted.digest_hour}),
        ("digest_weekday", {"digest_weekday": wanted.digest_weekday.value}),
        ("inactivity_reminder", _reminder(wanted.inactivity_reminder, row, now)),
    ):
        if only is None or name in only:
            values |= columns
    return values


def _quiet(wanted: QuietHoursChoice | None) -> dict[str, Any]:
    return {
        "quiet_from": None if wanted is None else wanted.begin,
        "quiet_to": None if wanted is None else wanted.end,
    }


def _reminder(wanted: InactivityReminderChoice | None, row: NotificationPreferences, now: datetime) -> dict[str, Any]:
    if wanted is None:
        return {"inactivity_days": None, "inactivity_since": None}
    since = row.inactivity_since if row.inactivity_days is not None else now
    return {"inactivity_days": wanted.after_days, "inactivity_since": since}


async def _locked(
    session: AsyncSession, platform: Platform, user_id: UUID, expected_version: int | None
) -> NotificationPreferences:
    row = await repository.lock_preferences(session, user_id, platform.clock.now())
    check_version(row.version, expected_version)
    return row


async def _write(
    session: AsyncSession, platform: Platform, row: NotificationPreferences, values: Mapping[str, Any]
) -> None:
    """Whoever chooses is the person themselves: in the app, or by a link that only they have."""
    if row.version and all(getattr(row, name) == value for name, value in values.items()):
        return
    for name, value in values.items():
        setattr(row, name, value)
    row.version += 1
    row.updated_at = platform.clock.now()
    await session.flush()
    await reschedule(session, platform, row.user_id)
    changes.record(
        session,
        platform,
        user_ids=[row.user_id],
        entity="notification_preferences",
        entity_id=row.user_id,
        action="updated",
        version=row.version,
        actor_user_id=row.user_id,
    )


async def reschedule(session: AsyncSession, platform: Platform, user_id: UUID) -> None:
    """Let mails that wait follow what is chosen now; also to be called when a person's time zone changes."""
    now = platform.clock.now()
    waiting = await repository.lock_waiting(session, user_id, now)
    if not waiting:
        return
    zone, chosen = (await repository.zones_and_choices(session, [user_id]))[user_id]
    for category in sorted({category for _, category in waiting}):
        one = Category(category)
        wait = None
        if wants_mail(chosen, one):
            # What may go at once now is due at once, but still as one mail.
            wait = wait_of(chosen, zone, one, now) or Wait(now, Delivery.INSTANT)
        await repository.put_off(session, [row_id for row_id, category in waiting if category == one], wait)
