"""What is done with many members at once, over HTTP."""

from typing import Annotated, Final

from fastapi import Depends, Response
from fastapi.responses import StreamingResponse

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.core.spreadsheets import CSV_MEDIA_TYPE
from pm_api.domains.team import bulk, messages, roster
from pm_api.domains.team.enums import TeamFormat
from pm_api.domains.team.errors import BulkRefused, NoReceivers, TooManyReceivers
from pm_api.domains.team.limits import limit_exporting, limit_messaging
from pm_api.domains.team.schemas import (
    BulkAnswer,
    BulkRequest,
    TeamExportRequest,
    TeamMemberRead,
    TeamMessageAnswer,
    TeamMessageRequest,
)
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require

JSON_MEDIA_TYPE: Final = "application/json"

router = api_router(tag="team")


@router.post("/team/bulk", operation_id="changeMembers", openapi_extra=raises(WorkspaceNotFound, BulkRefused))
async def change_members(
    scope: Annotated[WorkspaceScope, Depends(require("member.manage", of="workspaces", at="workspaceId"))],
    session: SessionDep,
    platform: PlatformDep,
    wanted: BulkRequest,
) -> BulkAnswer:
    """Change the role of many members, or remove them: all of them or none. `dryRun` tells what would happen."""
    return await bulk.apply(session, platform, scope, wanted)


@router.post(
    "/team/export",
    operation_id="exportTeam",
    response_class=Response,
    responses={
        200: {
            "description": "Members in the order they joined, then who is invited.",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                JSON_MEDIA_TYPE: {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "members": {
                                "type": "array",
                                "items": {"$ref": f"#/components/schemas/{TeamMemberRead.__name__}"},
                            }
                        },
                        "required": ["members"],
                    }
                },
            },
        }
    },
    openapi_extra=raises(WorkspaceNotFound),
)
async def export_team(
    scope: Annotated[WorkspaceScope, Depends(require("member.manage", of="workspaces", at="workspaceId"))],
    _limited: Annotated[None, Depends(limit_exporting)],
    platform: PlatformDep,
    wanted: TeamExportRequest,
) -> StreamingResponse:
    """The team as a file, however large it is. Cells that a spreadsheet would take for a formula are defused."""
    content = await roster.export(platform, scope, wanted.format, wanted.role)
    media_type = CSV_MEDIA_TYPE if wanted.format is TeamFormat.CSV else JSON_MEDIA_TYPE
    named = {"Content-Disposition": f'attachment; filename="team.{wanted.format}"'}
    return StreamingResponse(content, media_type=media_type, headers=named)


@router.post(
    "/team/message",
    operation_id="messageTeam",
    openapi_extra=raises(WorkspaceNotFound, NotFound, NoReceivers, TooManyReceivers),
)
async def message_team(
    scope: Annotated[WorkspaceScope, Depends(require("member.message", of="workspaces", at="workspaceId"))],
    _limited: Annotated[None, Depends(limit_messaging)],
    session: SessionDep,
    platform: PlatformDep,
    wanted: TeamMessageRequest,
) -> TeamMessageAnswer:
    """Write to members of a workspace, or to everybody else in it: in the app, and by mail to who wants it."""
    return TeamMessageAnswer(sent=await messages.send(session, platform, scope, wanted))
