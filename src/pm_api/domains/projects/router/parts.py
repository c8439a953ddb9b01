"""What the routes of projects share: who may call them, and the ids in their paths."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.http import if_match, sight_tag
from pm_api.core.openapi import answers_with
from pm_api.core.paging import PageRequest, page_request
from pm_api.domains.projects.guards import RequireInProjectToWrite, require_in_project
from pm_api.domains.projects.schemas.projects import ProjectAnswer, ProjectRead

CREATED: Final = answers_with("ETag", "Location")

Reads = Annotated[WorkspaceScope, Depends(require_in_project("project.read"))]
Enters = Annotated[WorkspaceScope, Depends(RequireInProjectToWrite())]
Works = Annotated[WorkspaceScope, Depends(require_in_project("task.write"))]
Manages = Annotated[WorkspaceScope, Depends(require_in_project("project.manage"))]

# The guard reads this id; it is declared here so that the document shows it.
ProjectId = Annotated[UUID, Path(description="The project.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
Page = Annotated[PageRequest, Depends(page_request)]


def answer(found: ProjectRead, response: Response) -> ProjectAnswer:
    """With its tag."""
    response.headers["ETag"] = sight_tag(found.version, found.model_dump_json())
    return ProjectAnswer(project=found)
