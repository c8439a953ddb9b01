"""Shapes of who is in a project on the wire."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp
from pm_api.domains.projects.enums import ProjectRole
from pm_api.identity.permissions import Role


class ProjectMemberWrite(ApiRequest):
    role: ProjectRole = Field(
        description="ADMIN manages the project and everybody's tasks, MEMBER works in it, VIEWER reads.",
        examples=["MEMBER"],
    )


class ProjectMemberRead(ApiModel):
    """Somebody who was put into a project."""

    project_id: UUID = Field(description="The project.")
    user_id: UUID = Field(description="The person.")
    name: str = Field(description="Their name.", examples=["Ann Archer"])
    avatar: str | None = Field(None, description="Address of their picture; null without one.")
    role: ProjectRole = Field(description="Their role in the project.", examples=["MEMBER"])
    workspace_role: Role = Field(
        description="Their role in the workspace: ADMIN and OWNER count here too, a GUEST sees such projects alone.",
        examples=["MEMBER"],
    )
    added_at: Timestamp | None = Field(description="When they were put into it.")
    version: int = Field(description="Counts changes; the ETag.", examples=[1])


class ProjectMemberAnswer(ApiModel):
    member: ProjectMemberRead = Field(description="Somebody in the project.")


class ProjectMembersAnswer(ApiModel):
    members: list[ProjectMemberRead] = Field(description="Those put into the project.")
    next_cursor: str | None = Field(description="For the next page; null on the last.")
