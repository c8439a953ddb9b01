"""API keys and second factors for scenes."""

from typing import Final
from uuid import UUID

import pyotp

from pm_api.core.actor import Actor, ActorKind, UserScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.identity import api_keys, second_factor
from pm_api.identity.permissions import KeyScope
from pm_api.identity.repository import credentials as rows
from pm_api.identity.schemas.credentials import ApiKeyCreate
from tests.support.plans import have_room

PASSING_CODE: Final = "000000"


async def key_for(platform: Platform, user_id: UUID, workspace_id: UUID) -> tuple[UUID, str]:
    """A key with every scope that opens one workspace; its id and its text."""
    scope = WorkspaceScope(Actor(ActorKind.USER, user_id), workspace_id, user_id, "OWNER")
    wanted = ApiKeyCreate.model_validate({"name": "Matrix", "workspaceId": workspace_id, "scopes": list(KeyScope)})
    async with platform.database.transaction() as session:
        await have_room(session, platform, workspace_id)
        made, token = await api_keys.create(session, platform, scope, wanted)
    return made.id, token


async def begun(platform: Platform, user_id: UUID) -> str:
    """A second factor that waits to be enabled, and the code that does so."""
    scope = UserScope(Actor(ActorKind.USER, user_id), user_id)
    async with platform.database.transaction() as session:
        await second_factor.forget(session, user_id)
        shown = await second_factor.set_up(session, platform, scope)
    return pyotp.TOTP(shown.secret).at(platform.clock.wall())


async def enabled(platform: Platform, user_id: UUID) -> str:
    """A second factor that is asked for, and a code that is good now."""
    scope = UserScope(Actor(ActorKind.USER, user_id), user_id)
    code = await begun(platform, user_id)
    async with platform.database.transaction() as session:
        return (await second_factor.enable(session, platform, scope, code))[0]


async def without(platform: Platform, user_id: UUID) -> None:
    async with platform.database.transaction() as session:
        await second_factor.forget(session, user_id)


async def without_keys(platform: Platform, user_id: UUID) -> None:
    """Those of the person's own; what is bound to a workspace stays."""
    async with platform.database.transaction() as session:
        await rows.revoke_keys(session, now=platform.clock.wall(), reason="tests", account_id=user_id)
