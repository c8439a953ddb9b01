"""A message to members: in the app, and by mail to whoever wants such mails."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.domains.team import repository
from pm_api.domains.team.errors import NoReceivers, TooManyReceivers
from pm_api.domains.team.schemas import TeamMessageRequest
from pm_api.domains.team.telling import TEAM_PATH
from pm_api.identity.errors.people import WorkspaceNotFound

MOST_RECEIVERS = notifications.MOST_RECEIVERS


async def send(session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: TeamMessageRequest) -> int:
    """Tell members something; returns how many. Raises NotFound for a member who is none, NoReceivers,
    TooManyReceivers or WorkspaceNotFound.
    """
    receivers = await _receivers(session, scope, wanted.member_ids)
    if not receivers:
        raise NoReceivers
    names = await repository.names(session, scope)
    if names is None:  # removed since the guard has looked
        raise WorkspaceNotFound
    sender, workspace = names
    message_id = platform.randomness.uuid()
    return await notifications.notify(
        session,
        platform,
        user_ids=receivers,
        category=Category.WORKSPACE,
        type="team.message",
        dedup_key=f"team.message:{message_id}",
        title=wanted.subject,
        body=wanted.message,
        reason=f"{sender} wrote this to members of {workspace}.",
        data={"workspaceName": workspace, "senderName": sender, "messageId": str(message_id)},
        link=TEAM_PATH,
        workspace_id=scope.workspace_id,
        actor_user_id=scope.user_id,
    )


async def _receivers(session: AsyncSession, scope: WorkspaceScope, member_ids: list[UUID] | None) -> list[UUID]:
    found = await repository.receivers(session, scope, member_ids, limit=MOST_RECEIVERS + 2)
    if member_ids is not None and len(found) < len(member_ids):
        raise NotFound("Not all of memberIds are members of this workspace.")
    receivers = [user_id for _, user_id in found if user_id != scope.user_id]
    if len(receivers) > MOST_RECEIVERS:
        raise TooManyReceivers
    return receivers
