"""Everything about how a person gets in, on one page."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.identity import second_factor, sessions
from pm_api.identity.repository import people as repository
from pm_api.identity.repository import sign_in as sign_ins
from pm_api.identity.schemas.sign_in import (
    LinkedProvider,
    SecondFactorRead,
    SecurityEventRead,
    SecurityRead,
    SignInMethods,
)
from pm_api.integrations.openid import SignInDoor

SHOWN: Final = 50


async def describe(session: AsyncSession, platform: Platform, user_id: UUID, current: UUID | None) -> SecurityRead:
    """Sessions, second factor, sign-in methods and recent events; `current` is the session that asks."""
    user = await repository.user_by_id(session, user_id)
    assert user is not None, "the guard has found their session"
    factor = await second_factor.state(session, user_id)
    live = await sessions.list_live(session, platform, user_id, current, PageRequest(limit=SHOWN, cursor=None))
    titles = platform.part(SignInDoor).titles()
    return SecurityRead(
        email=user.email,
        email_verified_at=user.email_verified_at,
        sessions=live.sessions,
        second_factor=SecondFactorRead(
            enabled=factor.enabled_at is not None,
            enabled_at=factor.enabled_at,
            recovery_codes_left=factor.recovery_codes_left,
        ),
        sign_in_methods=SignInMethods(
            has_password=user.password_hash is not None,
            providers=[
                LinkedProvider(
                    provider=one.provider,
                    title=titles.get(one.provider, one.provider.capitalize()),
                    email=one.email,
                    linked_at=one.created_at,
                    last_used_at=one.last_used_at,
                )
                for one in await sign_ins.external_identities(session, user_id)
            ],
        ),
        events=[
            SecurityEventRead.model_validate(one)
            for one in await sign_ins.recent_security_events(session, user_id, limit=SHOWN)
        ],
    )
