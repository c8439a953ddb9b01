"""What a person is told in the app, and what by mail: by category. Everything is on until it is switched off."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.notifications import repository
from pm_api.domains.notifications.enums import REQUIRED, Category
from pm_api.domains.notifications.errors import ChannelRequired
from pm_api.domains.notifications.models import NotificationPreferences
from pm_api.domains.notifications.schemas import CategoryPreference, PreferencesRead, PreferencesWrite

IN_APP: Final = "inApp"
MAIL: Final = "mail"


def wants_mail(chosen: NotificationPreferences | None, category: Category) -> bool:
    return category in REQUIRED or _chosen(chosen, category, MAIL)


def _chosen(row: NotificationPreferences | None, category: Category, channel: str) -> bool:
    return row is None or row.choices.get(category, {}).get(channel) is not False


def _read(row: NotificationPreferences | None) -> PreferencesRead:
    return PreferencesRead(
        categories=[
            CategoryPreference(
                category=one,
                in_app=one in REQUIRED or _chosen(row, one, IN_APP),
                mail=wants_mail(row, one),
                is_required=one in REQUIRED,
            )
            for one in Category
        ],
        version=row.version if row else 0,
    )


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
    """Choose anew: categories that are left out are on again. Raises ChannelRequired or PreconditionFailed."""
    if any(one.category in REQUIRED and not (one.in_app and one.mail) for one in wanted.categories):
        raise ChannelRequired
    row = await repository.lock_preferences(session, scope.user_id, platform.clock.now())
    check_version(row.version, expected_version)
    choices = {
        one.category.value: {IN_APP: one.in_app, MAIL: one.mail}
        for one in wanted.categories
        if not (one.in_app and one.mail)
    }
    _write(session, platform, row, choices, actor_id=scope.user_id)
    return _read(row)


async def stop_mail(session: AsyncSession, platform: Platform, user_id: UUID, category: Category) -> None:
    """What the link in a mail does: this category's mails end, all else stays. Raises ChannelRequired."""
    if category in REQUIRED:
        raise ChannelRequired
    row = await repository.lock_preferences(session, user_id, platform.clock.now())
    kept = {IN_APP: _chosen(row, category, IN_APP), MAIL: False}
    _write(session, platform, row, {**row.choices, category.value: kept}, actor_id=user_id)


def _write(
    session: AsyncSession,
    platform: Platform,
    row: NotificationPreferences,
    choices: dict[str, Any],
    *,
    actor_id: UUID,
) -> None:
    if row.version and row.choices == choices:
        return
    row.choices = choices
    row.version += 1
    row.updated_at = platform.clock.now()
    changes.record(
        session,
        platform,
        user_ids=[row.user_id],
        entity="notification_preferences",
        entity_id=row.user_id,
        action="updated",
        version=row.version,
        actor_user_id=actor_id,
    )
