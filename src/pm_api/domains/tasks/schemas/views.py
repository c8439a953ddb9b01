"""Saved views on the wire."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from pm_api.core.schema import ApiModel, ApiRequest, Name, Text, Timestamp, either, storable_json
from pm_api.domains.tasks.enums import TaskSort
from pm_api.domains.tasks.filtering.terms import MAX_BYTES
from pm_api.domains.tasks.schemas.tasks import not_null

MOST_COLUMNS: Final = 50
FILTER_EXAMPLE: Final = "assignee = me and due < today + 7d"

ViewName = Annotated[Name, Field(max_length=100)]
ColumnName = Annotated[Text, StringConstraints(min_length=1, max_length=60)]
FilterText = Annotated[Text, StringConstraints(max_length=MAX_BYTES)]
FilterForm = Annotated[dict[str, Any], AfterValidator(storable_json)]
SentFilter = Annotated[
    FilterText | FilterForm, either(FilterText, FilterForm, is_one=lambda value: not isinstance(value, dict))
]
"""Text, or JSON of `and`, `or`, `not` and conditions; what it says is looked at by the filter language itself."""


class ViewQuery(ApiRequest):
    """What a view shows: which tasks, in which order, with which columns."""

    filter: SentFilter | None = Field(
        None,
        description="Which tasks, in the filter language, as text or JSON. Null: all.",
        examples=[FILTER_EXAMPLE],
    )
    sort: TaskSort | None = Field(None, description="By what they are sorted.")
    order: Literal["asc", "desc"] | None = Field(None, description="In which direction.")
    group_by: ColumnName | None = Field(None, description="Field they are grouped by.", examples=["status"])
    columns: Annotated[list[ColumnName], Field(max_length=MOST_COLUMNS)] = Field(
        [], description="Columns that are shown, in their order.", examples=[["title", "status", "due"]]
    )


class SavedViewCreate(ApiRequest):
    """A new view of a workspace, or of one project."""

    workspace_id: UUID | None = Field(None, description="The workspace; not needed with a project.")
    project_id: UUID | None = Field(None, description="The project it is of. Left out: it is of the workspace.")
    name: ViewName = Field(description="What it is called.", examples=["Mine, due soon"])
    is_shared: bool = Field(False, strict=True, description="Whether others see it too.")
    query: ViewQuery = Field(description="What it shows.")


class SavedViewUpdate(ApiRequest):
    """The fields to change."""

    name: Annotated[ViewName | None, BeforeValidator(not_null)] = Field(None, description="What it is called.")
    is_shared: Annotated[bool | None, BeforeValidator(not_null)] = Field(
        None, strict=True, description="Whether others see it too."
    )
    query: Annotated[ViewQuery | None, BeforeValidator(not_null)] = Field(
        None, description="What it shows; the whole of it."
    )


class ShownQuery(ApiModel):
    """What a view shows."""

    filter: str | dict[str, Any] | None = Field(
        None, description="Which tasks; null: all.", examples=[FILTER_EXAMPLE]
    )
    sort: TaskSort | None = Field(None, description="By what they are sorted.")
    order: Literal["asc", "desc"] | None = Field(None, description="In which direction.")
    group_by: str | None = Field(None, description="Field they are grouped by.")
    columns: list[str] = Field([], description="Columns that are shown, in their order.")


class SavedViewRead(ApiModel):
    """A way to look at tasks, under a name."""

    id: UUID = Field(description="The view's id.")
    workspace_id: UUID = Field(description="The workspace.")
    project_id: UUID | None = Field(description="The project it is of; null: of the workspace.")
    name: str = Field(description="What it is called.", examples=["Mine, due soon"])
    is_shared: bool = Field(description="Whether others see it too.")
    is_own: bool = Field(description="Whether it is yours.")
    owner_user_id: UUID = Field(description="Whose it is.")
    query: ShownQuery = Field(description="What it shows.")
    version: int = Field(description="Counts its changes; the ETag.")
    created_at: Timestamp = Field(description="When it was made.")
    updated_at: Timestamp = Field(description="When it was last changed.")


class SavedViewAnswer(ApiModel):
    """One saved view."""

    saved_view: SavedViewRead = Field(description="The view.")


class SavedViewsAnswer(ApiModel):
    """A page of saved views."""

    saved_views: list[SavedViewRead] = Field(description="The views, oldest first.")
    next_cursor: str | None = Field(description="Where the next page begins; null: this is the last.")
