"""What a person says of themselves, and how they want to be spoken to."""

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.account.enums import Theme
from pm_api.domains.account.schemas.person import ProfileRead, ProfileWrite, SettingsRead, SettingsUpdate
from pm_api.domains.changes import service as changes
from pm_api.domains.notifications import preferences
from pm_api.domains.notifications.preference_schemas import PreferencesRead
from pm_api.identity import pictures, users
from pm_api.identity.models.people import User
from pm_api.identity.repository import people as identity


async def profile(session: AsyncSession, platform: Platform, scope: UserScope) -> ProfileRead:
    return _profile(platform, await _person(session, scope))


async def put_profile(
    session: AsyncSession, platform: Platform, scope: UserScope, wanted: ProfileWrite, expected_version: int | None
) -> ProfileRead:
    """Write the profile whole; raises PreconditionFailed."""
    user, changed = await users.change(session, platform, scope.user_id, wanted.model_dump(), expected_version)
    _record(session, platform, scope, user, changed)
    return _profile(platform, user)


async def settings(session: AsyncSession, scope: UserScope) -> SettingsRead:
    """The account's and those of notifications; the version counts changes of both."""
    return _settings(await _person(session, scope), await preferences.get(session, scope))


async def patch_settings(
    session: AsyncSession, platform: Platform, scope: UserScope, wanted: SettingsUpdate, expected_version: int | None
) -> SettingsRead:
    """Change what was sent; raises PreconditionFailed and ChannelRequired."""
    values = wanted.model_dump(exclude_unset=True, exclude={"notifications"})
    # The user's row is locked by the first change, so that two with the same version queue up.
    user, _ = await users.change(session, platform, scope.user_id, {}, None)
    chosen = await preferences.get(session, scope)
    check_version(user.version + chosen.version, expected_version)
    user, changed = await users.change(session, platform, scope.user_id, values, None)
    _record(session, platform, scope, user, changed)
    if wanted.notifications is not None:
        chosen = await preferences.update(session, platform, scope, wanted.notifications, None)
    if "time_zone" in changed:
        await session.flush()
        await preferences.reschedule(session, platform, scope.user_id)
    return _settings(user, chosen)


def _profile(platform: Platform, user: User) -> ProfileRead:
    address = pictures.address_of(platform, user.avatar)
    return ProfileRead.model_validate(user).model_copy(update={"avatar": address})


def _settings(user: User, chosen: PreferencesRead) -> SettingsRead:
    return SettingsRead(
        locale=user.locale,
        time_zone=user.time_zone,
        theme=Theme(user.theme),
        notifications=chosen,
        version=user.version + chosen.version,
    )


async def _person(session: AsyncSession, scope: UserScope) -> User:
    user = await identity.user_by_id(session, scope.user_id)
    assert user is not None, "the guard has found them"
    return user


def _record(session: AsyncSession, platform: Platform, scope: UserScope, user: User, changed: list[str]) -> None:
    if changed:
        changes.record(
            session,
            platform,
            user_ids=[user.id],
            entity="user",
            entity_id=user.id,
            action="updated",
            version=user.version,
            actor_user_id=scope.user_id,
        )
