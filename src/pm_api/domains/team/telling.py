"""What people are told of their own place in a workspace: that it changed, has ended, or waits for them."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.domains.team import repository
from pm_api.identity.events import MemberChanged
from pm_api.identity.permissions import Role
from pm_api.identity.repository import people as identity

TEAM_PATH: Final = "/dashboard/team"
_AS: Final = {
    Role.OWNER: "an owner",
    Role.ADMIN: "an admin",
    Role.MEMBER: "a member",
    Role.VIEWER: "a viewer",
    Role.GUEST: "a guest",
}
_REMOVED: Final = (
    "You see nothing of it any more, and the keys that you had for it have ended. If you think it is a mistake, ask"
    " one of its admins."
)


async def member_changed(session: AsyncSession, platform: Platform, event: MemberChanged) -> None:
    """Tell a person of another role, or that they were removed; not of what they did themselves."""
    user = await identity.user_by_id(session, event.user_id)
    workspace = await identity.workspace_by_id(session, event.workspace_id)
    if user is None or user.erased_at is not None or workspace is None:
        return
    if event.action == "role_changed" and event.role is not None:
        title, body = f"You are now {_AS[Role(event.role)]} of {workspace.name}", "What you may do there has changed."
    elif event.action == "removed":
        title, body = f"You were removed from {workspace.name}", _REMOVED
    else:
        return
    is_in = event.action != "removed"
    await notifications.notify(
        session,
        platform,
        user_ids=[event.user_id],
        category=Category.WORKSPACE,
        type=f"team.{event.action}",
        dedup_key=f"team.member:{event.id}",
        title=title,
        body=body,
        reason="It is about your own place in the workspace.",
        data={"workspaceName": workspace.name} | ({"role": event.role} if is_in else {}),
        link=TEAM_PATH if is_in else None,
        # Who was removed sees nothing of the workspace: what tells them so is of none.
        workspace_id=event.workspace_id if is_in else None,
        actor_user_id=event.actor_user_id,
    )


async def invited(session: AsyncSession, platform: Platform, invitation_ids: Collection[UUID]) -> None:
    """Tell in the app who has an account with a proved address, once for each letter. The link is in the letter
    alone, so that only who reads mail there can accept.
    """
    for one in await repository.invited_people(session, invitation_ids):
        await notifications.notify(
            session,
            platform,
            user_ids=[one.user_id],
            category=Category.WORKSPACE,
            type="team.invited",
            dedup_key=f"team.invited:{one.letter_id}",
            title=f"{one.inviter_name} invites you to {one.workspace_name}",
            body="The link to accept it is in the mail that was sent to your address.",
            reason="The invitation is for the address of your account.",
            data={"invitationId": str(one.invitation_id), "workspaceName": one.workspace_name},
            is_mailed=False,
        )
