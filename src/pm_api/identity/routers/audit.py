"""The audit log of a workspace, and why somebody may do something, over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from pm_api.core.actor import UserScope, WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text, Timestamp
from pm_api.core.spreadsheets import CSV_MEDIA_TYPE
from pm_api.identity import audit_log, explaining
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.explaining import UnknownPermission
from pm_api.identity.guards import require, signed_in
from pm_api.identity.repository.audit import AuditFilters
from pm_api.identity.schemas.audit import AuditAnswer, PermissionAnswer

router = api_router(tag="identity")

WORD: Final = 100

# The guard reads the id from the path; it is declared here so that the document shows it.
WorkspaceId = Annotated[UUID, Path(alias="workspace_id", description="The workspace.")]


async def audit_filters(
    action: Annotated[
        Text | None,
        Query(
            max_length=WORD,
            description="Only this action; with a dot at its end all that begin so.",
            examples=["member."],
        ),
    ] = None,
    actor_user_id: Annotated[
        UUID | None, Query(alias="actorUserId", description="Only what this person did.")
    ] = None,
    subject_type: Annotated[
        Text | None,
        Query(alias="subjectType", max_length=WORD, description="Only what was done to such things."),
    ] = None,
    subject_id: Annotated[
        Text | None, Query(alias="subjectId", max_length=WORD, description="Only what was done to this one.")
    ] = None,
    since: Annotated[Timestamp | None, Query(alias="from", description="From here on, included.")] = None,
    until: Annotated[Timestamp | None, Query(alias="to", description="Up to here, not included.")] = None,
) -> AuditFilters:
    return AuditFilters(action, actor_user_id, subject_type, subject_id, since, until)


@router.get(
    "/workspaces/{workspace_id}/audit",
    operation_id="listAuditEntries",
    openapi_extra=raises(WorkspaceNotFound, InvalidCursor),
)
async def list_audit_entries(
    scope: Annotated[WorkspaceScope, Depends(require("audit.read", of="workspaces"))],
    session: SessionDep,
    platform: PlatformDep,
    _workspace_id: WorkspaceId,
    filters: Annotated[AuditFilters, Depends(audit_filters)],
    page: Annotated[PageRequest, Depends(page_request)],
) -> AuditAnswer:
    """Who changed membership, roles, keys, plan or the surroundings of money, newest first."""
    return await audit_log.list_of(session, platform, scope, page, filters)


@router.get(
    "/workspaces/{workspace_id}/audit/export",
    operation_id="exportAuditEntries",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    openapi_extra=raises(WorkspaceNotFound),
)
async def export_audit_entries(
    scope: Annotated[WorkspaceScope, Depends(require("audit.read", of="workspaces"))],
    platform: PlatformDep,
    _workspace_id: WorkspaceId,
    filters: Annotated[AuditFilters, Depends(audit_filters)],
) -> StreamingResponse:
    """The same as a CSV file, all of it. Cells that a spreadsheet would take for a formula are defused."""
    named = {"Content-Disposition": f'attachment; filename="audit-{scope.workspace_id}.csv"'}
    content = await audit_log.export(platform, scope, filters)
    return StreamingResponse(content, media_type=CSV_MEDIA_TYPE, headers=named)


@router.get(
    "/permissions/explain", operation_id="explainPermission", openapi_extra=raises(UnknownPermission, NotFound)
)
async def explain_permission(
    scope: Annotated[UserScope, Depends(signed_in)],
    session: SessionDep,
    resource: Annotated[
        Text,
        Query(
            max_length=WORD,
            description="What it is about: `account` for what is the caller's own, or `<kind>:<id>` as"
            " `workspace:<id>`, `member:<id>`, `invitation:<id>`, `invoice:<id>`.",
            examples=["account"],
        ),
    ],
    action: Annotated[Text, Query(max_length=WORD, description="The permission.", examples=["member.manage"])],
) -> PermissionAnswer:
    """Whether the caller may do something: by which role and rule, and what would grant it."""
    return PermissionAnswer(permission=await explaining.explain(session, scope, resource, action))
