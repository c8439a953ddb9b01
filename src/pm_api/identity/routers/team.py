"""The members of a workspace over HTTP."""

from typing import Annotated
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
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.identity import members
from pm_api.identity.errors import LastOwner, RoleTooHigh, WorkspaceNotFound
from pm_api.identity.guards import require
from pm_api.identity.permissions import Role
from pm_api.identity.schemas import MemberAnswer, MembersAnswer, MemberUpdate

router = api_router(tag="identity")

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
) -> MembersAnswer:
    """Members of a workspace, in the order they joined."""
    return await members.list_of(session, platform, scope, page, prefix=q, role=role)


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
) -> MemberAnswer:
    """Give a member another role: owners anyone any role, admins those below admin up to admin."""
    member = await members.change_role(session, platform, scope, member_id, change.role, expected_version)
    response.headers["ETag"] = entity_tag(member.version)
    return MemberAnswer(member=member)


@router.delete(
    "/team/members/{member_id}",
    operation_id="removeMember",
    status_code=204,
    openapi_extra=raises(NotFound, RoleTooHigh, LastOwner, PreconditionFailed, InvalidIfMatch),
)
async def remove_member(
    scope: Annotated[WorkspaceScope, Depends(require("member.leave", of="workspace_members"))],
    session: SessionDep,
    platform: PlatformDep,
    member_id: MemberId,
    expected_version: ExpectedVersion,
) -> None:
    """Remove a member, or leave: everybody may remove themselves, except the last owner."""
    await members.remove(session, platform, scope, member_id, expected_version)
