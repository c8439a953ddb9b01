"""The members of a workspace over HTTP."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text
from pm_api.domains.team import people
from pm_api.domains.team.enums import MemberStatus
from pm_api.domains.team.schemas import BelongingsAnswer, RemovalAnswer, TeamMemberAnswer, TeamMembersAnswer
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.identity.errors.people import InvalidReassignment, LastOwner, RoleTooHigh, WorkspaceNotFound
from pm_api.identity.guards import require
from pm_api.identity.permissions import Role
from pm_api.identity.schemas.people import MemberUpdate

router = api_router(tag="team")

# The guard reads these ids; they are declared here so that the document shows them.
WorkspaceId = Annotated[UUID, Query(alias="workspaceId", description="The workspace whose members to list.")]
MemberId = Annotated[UUID, Path(description="The membership's id (not the user's).")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]


@router.get("/team/members", operation_id="listMembers", openapi_extra=raises(WorkspaceNotFound, InvalidCursor))
async def list_members(
    scope: Annotated[WorkspaceScope, Depends(require("member.read", of="workspaces", at="workspaceId"))],
    session: SessionDep,
    platform: PlatformDep,
    _workspace_id: WorkspaceId,
    page: Annotated[PageRequest, Depends(page_request)],
    q: Annotated[Text | None, Query(max_length=200, description="Beginning of a name or an address.")] = None,
    role: Annotated[Role | None, Query(description="Only members with this role.")] = None,
    status: Annotated[
        Literal[MemberStatus.ACTIVE, MemberStatus.INVITED],
        Query(description="ACTIVE members, or who is INVITED and can still come: the latter for admins only."),
    ] = MemberStatus.ACTIVE,
) -> TeamMembersAnswer:
    """Members of a workspace, in the order they joined; or who is invited, newest first."""
    return await people.list_of(session, platform, scope, page, prefix=q, role=role, status=status)


@router.get(
    "/team/members/{member_id}/belongings",
    operation_id="listMemberBelongings",
    openapi_extra=raises(NotFound, RoleTooHigh),
)
async def list_member_belongings(
    scope: Annotated[WorkspaceScope, Depends(require("member.leave", of="workspace_members"))],
    session: SessionDep,
    platform: PlatformDep,
    member_id: MemberId,
) -> BelongingsAnswer:
    """What a member would leave behind: one's own, or of whom one may remove."""
    return await people.belongings_of(session, platform, scope, member_id)


@router.put(
    "/team/members/{member_id}",
    operation_id="changeMemberRole",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, RoleTooHigh, LastOwner, PlanLimitReached, PreconditionFailed, InvalidIfMatch),
)
async def change_member_role(
    scope: Annotated[WorkspaceScope, Depends(require("member.manage", of="workspace_members"))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    member_id: MemberId,
    expected_version: ExpectedVersion,
    change: MemberUpdate,
) -> TeamMemberAnswer:
    """Give a member another role: owners anyone any role, admins those below admin up to admin."""
    member = await people.change_role(session, platform, scope, member_id, change.role, expected_version)
    response.headers["ETag"] = entity_tag(member.version)
    return TeamMemberAnswer(member=member)


@router.delete(
    "/team/members/{member_id}",
    operation_id="removeMember",
    openapi_extra=raises(NotFound, RoleTooHigh, LastOwner, InvalidReassignment, PreconditionFailed, InvalidIfMatch),
)
async def remove_member(
    scope: Annotated[WorkspaceScope, Depends(require("member.leave", of="workspace_members"))],
    session: SessionDep,
    platform: PlatformDep,
    member_id: MemberId,
    expected_version: ExpectedVersion,
    reassign_to: Annotated[
        UUID | None,
        Query(alias="reassignTo", description="The membership of who takes over what can be handed over."),
    ] = None,
) -> RemovalAnswer:
    """Remove a member, or leave: everybody may remove themselves, except the last owner.

    Access ends everywhere at once. The answer says what the person leaves behind.
    """
    removal = await people.remove(session, platform, scope, member_id, expected_version, reassign_to=reassign_to)
    return RemovalAnswer(removal=removal)
