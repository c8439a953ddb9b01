"""Checklists on the wire."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StringConstraints

from pm_api.core.schema import ApiModel, ApiRequest, storable
from pm_api.domains.tasks.schemas.tasks import not_null

MOST_ITEMS: Final = 200
CONTENT_LENGTH: Final = 500

Content = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=CONTENT_LENGTH),
    AfterValidator(storable),
]


class ChecklistItemCreate(ApiRequest):
    """One more thing for the checklist; it comes last."""

    content: Content = Field(description="What is to be done, in one line.", examples=["Check the links"])
    is_done: StrictBool = Field(False, description="Whether it is done already.")


class ChecklistItemUpdate(ApiRequest):
    """Only the fields sent are changed."""

    content: Annotated[Content | None, BeforeValidator(not_null)] = Field(None, description="Other words.")
    is_done: Annotated[StrictBool | None, BeforeValidator(not_null)] = Field(
        None, description="Ticked off, or not any more.", examples=[True]
    )


class ChecklistOrder(ApiRequest):
    """In which order things stand."""

    item_ids: list[UUID] = Field(
        min_length=1,
        max_length=MOST_ITEMS,
        description="The first ones in their order, each once; those left out come after them as they stood.",
    )


class ChecklistItemRead(ApiModel):
    """One thing on a checklist."""

    id: UUID = Field(description="Its id.")
    task_id: UUID = Field(description="The task.")
    content: str = Field(description="What is to be done.", examples=["Check the links"])
    is_done: bool = Field(description="Whether it is done.", examples=[False])
    version: int = Field(description="Counts its changes, but not of its place; the ETag.", examples=[1])


class ChecklistItemAnswer(ApiModel):
    """One thing on a checklist."""

    item: ChecklistItemRead = Field(description="It as it is now.")


class ChecklistAnswer(ApiModel):
    """A page of a checklist."""

    items: list[ChecklistItemRead] = Field(description="In their order.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
