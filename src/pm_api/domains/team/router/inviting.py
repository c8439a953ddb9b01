"""Invitations, as admins of a workspace see them, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text
from pm_api.domains.team import inviting
from pm_api.domains.team.enums import InvitationStatus
from pm_api.domains.team.errors import (
    AlreadyInvited,
    GuestNeedsProject,
    InvitationNotFound,
    InvitationNotOpen,
    ProjectsNotYours,
    TooManyInvitations,
)
from pm_api.domains.team.limits import limit_inviting, limit_resending
from pm_api.domains.team.schemas import (
    InvitationAnswer,
    InvitationRead,
    InvitationsAnswer,
    InvitationUpdate,
    InviteAnswer,
    InviteRequest,
)
from pm_api.identity.errors.people import AlreadyMember, RoleTooHigh, WorkspaceNotFound
from pm_api.identity.guards import require

router = api_router(tag="team")

InvitationId = Annotated[UUID, Path(description="The invitation.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
OfInvitation = Annotated[WorkspaceScope, Depends(require("member.manage", of="invitations"))]


@router.post(
    "/team/invite",
    operation_id="inviteMembers",
    openapi_extra=raises(WorkspaceNotFound, RoleTooHigh, TooManyInvitations, GuestNeedsProject, ProjectsNotYours),
)
async def invite_members(
    scope: Annotated[WorkspaceScope, Depends(require("member.manage", of="workspaces", at="workspaceId"))],
    _limited: Annotated[None, Depends(limit_inviting)],
    session: SessionDep,
    platform: PlatformDep,
    wanted: InviteRequest,
) -> InviteAnswer:
    """Invite one or up to 100 addresses by mail; each has an outcome of its own.

    A seat is taken when somebody accepts, not before. With `projects` they are put into those that you manage; a
    GUEST sees nothing else.
    """
    results = await inviting.invite(
        session,
        platform,
        scope,
        wanted.emails,
        wanted.role,
        project_ids=wanted.projects,
        project_role=wanted.project_role,
    )
    return InviteAnswer(results=results)


@router.get(
    "/team/invitations", operation_id="listInvitations", openapi_extra=raises(WorkspaceNotFound, InvalidCursor)
)
async def list_invitations(
    scope: Annotated[WorkspaceScope, Depends(require("member.manage", of="workspaces", at="workspaceId"))],
    session: SessionDep,
    platform: PlatformDep,
    _workspace_id: Annotated[
        UUID, Query(alias="workspaceId", description="The workspace whose invitations to list.")
    ],
    page: Annotated[PageRequest, Depends(page_request)],
    q: Annotated[Text | None, Query(max_length=200, description="Beginning of an address.")] = None,
    status: Annotated[InvitationStatus | None, Query(description="Only those that stand so.")] = None,
) -> InvitationsAnswer:
    """Invitations of a workspace, newest first; answered ones are forgotten after 30 days."""
    return await inviting.list_of(session, platform, scope, page, status=status, prefix=q)


@router.get(
    "/team/invitations/{invitation_id}",
    operation_id="getInvitation",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(InvitationNotFound),
)
async def get_invitation(
    scope: OfInvitation, session: SessionDep, platform: PlatformDep, response: Response, invitation_id: InvitationId
) -> InvitationAnswer:
    """One invitation."""
    return _answer(await inviting.get(session, platform, scope, invitation_id), response)


@router.post(
    "/team/invitations/{invitation_id}/resend",
    operation_id="resendInvitation",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(InvitationNotFound, InvitationNotOpen, RoleTooHigh),
)
async def resend_invitation(
    scope: OfInvitation,
    _limited: Annotated[None, Depends(limit_resending)],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    invitation_id: InvitationId,
) -> InvitationAnswer:
    """Send it again, for seven days from now: with a new link, and the one before opens nothing any more."""
    return _answer(await inviting.resend(session, platform, scope, invitation_id), response)


@router.patch(
    "/team/invitations/{invitation_id}",
    operation_id="updateInvitation",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        InvitationNotFound,
        InvitationNotOpen,
        RoleTooHigh,
        AlreadyMember,
        AlreadyInvited,
        GuestNeedsProject,
        ProjectsNotYours,
        PreconditionFailed,
        InvalidIfMatch,
    ),
)
async def update_invitation(
    scope: OfInvitation,
    _limited: Annotated[None, Depends(limit_resending)],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    invitation_id: InvitationId,
    expected_version: ExpectedVersion,
    change: InvitationUpdate,
) -> InvitationAnswer:
    """Bind it to another address, which gets a link of its own, or change the role or the projects."""
    changed = await inviting.update(session, platform, scope, invitation_id, change, expected_version)
    return _answer(changed, response)


@router.delete(
    "/team/invitations/{invitation_id}",
    operation_id="revokeInvitation",
    status_code=204,
    openapi_extra=raises(InvitationNotFound, InvitationNotOpen, RoleTooHigh, PreconditionFailed, InvalidIfMatch),
)
async def revoke_invitation(
    scope: OfInvitation,
    session: SessionDep,
    platform: PlatformDep,
    invitation_id: InvitationId,
    expected_version: ExpectedVersion,
) -> None:
    """Withdraw it: its link opens nothing any more."""
    await inviting.revoke(session, platform, scope, invitation_id, expected_version)


def _answer(invitation: InvitationRead, response: Response) -> InvitationAnswer:
    # It expires by the clock, and shows who invites by their name as it is now: both without a new version.
    response.headers["ETag"] = sight_tag(invitation.version, invitation.model_dump_json())
    return InvitationAnswer(invitation=invitation)
