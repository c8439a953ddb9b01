"""What the holder of an invitation's link can do with it."""

from typing import Annotated

from fastapi import Depends, Path

from pm_api.core.actor import UserScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text
from pm_api.domains.team import invitations
from pm_api.domains.team.errors import (
    EmailMismatch,
    InvitationClosed,
    InvitationExpired,
    InvitationNotFound,
    InvitationProjectsGone,
)
from pm_api.domains.team.limits import limit_links
from pm_api.domains.team.schemas import AcceptAnswer, InvitationViewAnswer
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.identity.errors.people import AlreadyMember
from pm_api.identity.guards import signed_in
from pm_api.identity.permissions import Role

router = api_router(tag="team")

Token = Annotated[Text, Path(min_length=1, max_length=200, description="From the link in the mail.")]
Limited = Annotated[None, Depends(limit_links)]
HOW_IT_STANDS = (InvitationNotFound, InvitationExpired, InvitationClosed)


@router.get("/invitations/{token}", operation_id="viewInvitation", openapi_extra=raises(*HOW_IT_STANDS))
async def view_invitation(_limited: Limited, platform: PlatformDep, token: Token) -> InvitationViewAnswer:
    """What one is invited to, for the page behind the link. It does not tell who has an account."""
    return InvitationViewAnswer(invitation=await invitations.view(platform, token))


@router.post(
    "/invitations/{token}/accept",
    operation_id="acceptInvitation",
    openapi_extra=raises(*HOW_IT_STANDS, EmailMismatch, AlreadyMember, PlanLimitReached, InvitationProjectsGone),
)
async def accept_invitation(
    scope: Annotated[UserScope, Depends(signed_in)],
    _limited: Limited,
    session: SessionDep,
    platform: PlatformDep,
    token: Token,
) -> AcceptAnswer:
    """Join the workspace, with the address the invitation is for. This takes a seat, a viewer's too."""
    member = await invitations.accept(session, platform, scope.actor, token)
    return AcceptAnswer(workspace_id=member.workspace_id, member_id=member.id, role=Role(member.role))


@router.post(
    "/invitations/{token}/decline",
    operation_id="declineInvitation",
    status_code=204,
    openapi_extra=raises(*HOW_IT_STANDS),
)
async def decline_invitation(_limited: Limited, platform: PlatformDep, token: Token) -> None:
    """Say no; nobody needs an account for that."""
    await invitations.decline(platform, token)
