"""Routes of export and import."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PayloadTooLarge, UnsupportedMediaType
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text
from pm_api.core.spreadsheets import CSV_MEDIA_TYPE
from pm_api.domains.projects.errors import ProjectArchived, TooManyLabels
from pm_api.domains.tasks import exporting, importing
from pm_api.domains.tasks.errors.filtering import InvalidFilter
from pm_api.domains.tasks.errors.interchange import InvalidImport
from pm_api.domains.tasks.errors.planning import DependencyCycle, DependencyExists, TooManyDependencies
from pm_api.domains.tasks.exporting import FileFormat
from pm_api.domains.tasks.filtering.terms import MAX_BYTES
from pm_api.domains.tasks.guards_of_places import RequireProjectInQuery, require_in_place
from pm_api.domains.tasks.schemas.interchange import ImportAnswer
from pm_api.domains.tasks.table import COLUMNS, MOST_BYTES
from pm_api.identity.errors.people import WorkspaceNotFound

router = api_router(tag="tasks")

JSON_MEDIA_TYPE: Final = "application/json"
FILES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"A file of at most 5,000 tasks and 5 MB, with the columns {', '.join(COLUMNS)}.",
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "key,parent,title,labels\r\nA,,Launch,\r\nB,A,Write the notes,docs\r\n",
            },
            JSON_MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["tasks"],
                    "properties": {"tasks": {"type": "array", "items": {"type": "object"}}},
                },
                "example": {"tasks": [{"key": "A", "title": "Launch"}]},
            },
        },
    }
}
AS_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {CSV_MEDIA_TYPE.partition(";")[0]: {"schema": {"type": "string"}}}, "description": "The file."}
}


@router.get(
    "/tasks/export",
    operation_id="exportTasks",
    response_class=StreamingResponse,
    responses=AS_FILE,
    openapi_extra=raises(WorkspaceNotFound, NotFound, InvalidFilter),
)
async def export_tasks(
    scope: Annotated[WorkspaceScope, Depends(require_in_place("task.read"))],
    platform: PlatformDep,
    workspace_id: Annotated[UUID | None, Query(alias="workspaceId", description="Tasks of this workspace.")] = None,
    project_id: Annotated[UUID | None, Query(alias="projectId", description="Tasks of this project alone.")] = None,
    format: Annotated[FileFormat, Query(description="A table, or JSON.")] = FileFormat.CSV,
    text: Annotated[
        Text | None,
        Query(alias="filter", max_length=MAX_BYTES, description="Only those it finds, in the filter language."),
    ] = None,
) -> StreamingResponse:
    """The tasks you see, as CSV (RFC 4180) or JSON, oldest first. A text that a spreadsheet would take for a formula
    is written with a `'` in front, which an import takes off again.
    """
    del workspace_id
    content = await exporting.export(platform, scope, project_id, text, format)
    media_type = CSV_MEDIA_TYPE if format is FileFormat.CSV else JSON_MEDIA_TYPE
    named = {"Content-Disposition": f'attachment; filename="tasks.{format}"'}
    return StreamingResponse(content, media_type=media_type, headers=named)


@router.post(
    "/tasks/import",
    operation_id="importTasks",
    openapi_extra={
        **raises(
            *(NotFound, ProjectArchived, TooManyLabels, InvalidImport, PayloadTooLarge, UnsupportedMediaType),
            *(DependencyCycle, DependencyExists, TooManyDependencies),
        ),
        **FILES,
    },
)
async def import_tasks(
    scope: Annotated[WorkspaceScope, Depends(RequireProjectInQuery("task.write"))],
    platform: PlatformDep,
    session: SessionDep,
    request: Request,
    project_id: Annotated[UUID, Query(alias="projectId", description="The project they are made in.")],
    dry_run: Annotated[
        bool, Query(alias="dryRun", description="Only tell what is wrong, and which labels would be made.")
    ] = False,
    create_labels: Annotated[
        bool, Query(alias="createLabels", description="Make labels that the project does not have yet.")
    ] = False,
) -> ImportAnswer:
    """Make tasks of a file: CSV with a header, or JSON, as an export writes them. All of it or nothing.

    People are named by their addresses, and must see the project; the task above and dependencies by the keys in the
    file. A task gets a new number. With an Idempotency-Key a file that is sent twice is imported once.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("text/csv", JSON_MEDIA_TYPE):
        raise UnsupportedMediaType("Send text/csv or application/json.")
    content = await request.body()
    if len(content) > MOST_BYTES:
        raise PayloadTooLarge
    report, token = await importing.run(
        session,
        platform,
        scope,
        project_id,
        content,
        is_csv=kind == "text/csv",
        dry_run=dry_run,
        creates_labels=create_labels,
    )
    return ImportAnswer(report=report, undo_token=token)
