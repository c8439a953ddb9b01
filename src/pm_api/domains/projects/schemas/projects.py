"""Shapes of a project on the wire."""

from datetime import date
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, StrictBool, StringConstraints, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, BareDate, Name, Text, Timestamp
from pm_api.domains.projects.enums import Action, ProjectState
from pm_api.domains.projects.rules import KEY_PATTERN
from pm_api.identity.permissions import Role
from pm_api.identity.schemas.people import not_null
from pm_api.identity.schemas.pictured import Pictured

DEFAULT_COLOUR: Final = "#3b82f6"

ProjectName = Annotated[Name, Field(max_length=200)]
ProjectKey = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]
ProjectDescription = Annotated[Text, Field(max_length=20_000)]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
Icon = Annotated[Text, Field(max_length=64)]

_KEY = "Short name of the project in its tasks' names (WEB-42): capital letters and digits, unique in the workspace."
_COLOUR = "Colour, as #rrggbb."
_ICON = "An emoji, or the name of an icon of yours."
_PRIVATE = "Only those put into the project see it; otherwise every member of the workspace does."
_ENFORCE = "Whether a task cannot be begun or ended while one that blocks it is open."
_DUE = "The day by which it is to be done; not before `startsOn`."


def _days_fit(starts_on: date | None, due_on: date | None) -> None:
    if starts_on is not None and due_on is not None and due_on < starts_on:
        raise ValueError("dueOn must not lie before startsOn")


class ProjectCreate(ApiRequest):
    """A project with the common workflow: to do, in progress, in review, done, canceled."""

    workspace_id: UUID = Field(description="The workspace it belongs to.")
    name: ProjectName = Field(description="What it is called.", examples=["Website relaunch"])
    key: ProjectKey | None = Field(None, description=f"{_KEY} Left out: made from the name.", examples=["WEB"])
    description: ProjectDescription = Field("", description="Markdown.", examples=["All that is **new**."])
    colour: Colour = Field(DEFAULT_COLOUR, alias="color", description=_COLOUR, examples=["#3b82f6"])
    icon: Icon = Field("", description=_ICON, examples=["🚀"])
    is_private: StrictBool = Field(False, description=_PRIVATE, examples=[False])
    is_template: StrictBool = Field(False, description="A pattern for copies, no work of its own.", examples=[False])
    enforce_blocked: StrictBool = Field(False, description=_ENFORCE, examples=[False])
    starts_on: BareDate | None = Field(None, description="The day it begins.", examples=["2026-03-02"])
    due_on: BareDate | None = Field(None, description=_DUE, examples=["2026-05-29"])

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _days_fit(self.starts_on, self.due_on)
        return self


class ProjectUpdate(ApiRequest):
    """Only the fields sent are changed."""

    name: Annotated[ProjectName | None, BeforeValidator(not_null)] = Field(
        None, description="What it is called.", examples=["Website relaunch"]
    )
    key: Annotated[ProjectKey | None, BeforeValidator(not_null)] = Field(
        None, description=f"{_KEY} Its tasks are called by the new one from then on.", examples=["WEB"]
    )
    description: Annotated[ProjectDescription | None, BeforeValidator(not_null)] = Field(
        None, description="Markdown.", examples=["All that is **new**."]
    )
    status: Annotated[ProjectState | None, BeforeValidator(not_null)] = Field(
        None,
        description="As the verbs do: ACTIVE is start, PAUSED stop, COMPLETED complete, ARCHIVED archive.",
        examples=["ACTIVE"],
    )
    colour: Annotated[Colour | None, BeforeValidator(not_null)] = Field(
        None, alias="color", description=_COLOUR, examples=["#3b82f6"]
    )
    icon: Annotated[Icon | None, BeforeValidator(not_null)] = Field(None, description=_ICON, examples=["🚀"])
    is_private: Annotated[StrictBool | None, BeforeValidator(not_null)] = Field(
        None, description=f"{_PRIVATE} Who makes it private is put into it.", examples=[True]
    )
    is_template: Annotated[StrictBool | None, BeforeValidator(not_null)] = Field(
        None, description="A pattern for copies, no work of its own.", examples=[False]
    )
    enforce_blocked: Annotated[StrictBool | None, BeforeValidator(not_null)] = Field(
        None, description=_ENFORCE, examples=[True]
    )
    starts_on: BareDate | None = Field(
        None, description="The day it begins; null clears it.", examples=["2026-03-02"]
    )
    due_on: BareDate | None = Field(None, description=f"{_DUE} Null clears it.", examples=["2026-05-29"])


class ProjectCopy(ApiRequest):
    """What the copy is called, and what it takes along beside statuses, labels and fields."""

    name: ProjectName = Field(description="What the copy is called.", examples=["Website relaunch 2027"])
    key: ProjectKey | None = Field(None, description=f"{_KEY} Left out: made from the name.", examples=["WEB27"])
    include_tasks: StrictBool = Field(
        False, description="Take its tasks along: as they stand, nobody's, with numbers from 1.", examples=[True]
    )
    is_template: StrictBool = Field(False, description="Whether the copy is a template itself.", examples=[False])
    is_private: StrictBool | None = Field(
        None, description=f"{_PRIVATE} Left out: as the project that is copied.", examples=[False]
    )


class ProjectCreator(Pictured):
    id: UUID = Field(description="The person's id.")
    name: str = Field(description="Their name.", examples=["Ann Archer"])


class ProgressRead(ApiModel):
    """How far it is, by its tasks; canceled ones do not count."""

    total: int = Field(description="Tasks there are.", examples=[30])
    done: int = Field(description="Tasks that are done.", examples=[12])
    percent: int = Field(description="Whole percent, rounded down; 0 without tasks.", examples=[40])


class ProjectRead(ApiModel):
    """A project as the caller sees it."""

    id: UUID = Field(description="The project's id.")
    workspace_id: UUID = Field(description="The workspace it belongs to.")
    key: str = Field(description=_KEY, examples=["WEB"])
    name: str = Field(description="What it is called.", examples=["Website relaunch"])
    description: str = Field(description="Markdown.", examples=["All that is **new**."])
    status: ProjectState = Field(description="Where it stands.", examples=["ACTIVE"])
    colour: str = Field(alias="color", description=_COLOUR, examples=["#3b82f6"])
    icon: str = Field(description=_ICON, examples=["🚀"])
    is_private: bool = Field(description=_PRIVATE, examples=[False])
    is_template: bool = Field(description="A pattern for copies, no work of its own.", examples=[False])
    enforce_blocked: bool = Field(description=_ENFORCE, examples=[False])
    starts_on: date | None = Field(description="The day it begins.", examples=["2026-03-02"])
    due_on: date | None = Field(description="The day by which it is to be done.", examples=["2026-05-29"])
    progress: ProgressRead = Field(description="How far it is.")
    role: Role = Field(
        description="What the caller is here: OWNER or ADMIN of the workspace, or their role in the project.",
        examples=["ADMIN"],
    )
    member_count: int = Field(
        description="People put into the project; of an open one every member of the workspace sees it too.",
        examples=[4],
    )
    created_by: ProjectCreator = Field(description="Who made it.")
    completed_at: Timestamp | None = Field(description="When it was completed; null while it is not.")
    archived_at: Timestamp | None = Field(description="When it was archived; null while it is not.")
    deleted_at: Timestamp | None = Field(description="When it was deleted: for 30 days it can be restored.")
    allowed_actions: list[Action] = Field(
        description="What the caller may do with it now.", examples=[["update", "start", "archive"]]
    )
    version: int = Field(description="Counts changes; the ETag.", examples=[1])
    created_at: Timestamp = Field(description="When it was made.")
    updated_at: Timestamp = Field(description="When it was last changed.")


class ProjectAnswer(ApiModel):
    project: ProjectRead = Field(description="The project.")


class ProjectsAnswer(ApiModel):
    projects: list[ProjectRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="For the next page; null on the last.")


class ProjectCopyAnswer(ApiModel):
    project: ProjectRead = Field(description="The copy.")
    copied: int = Field(description="How many tasks and the like came along.", examples=[30])
