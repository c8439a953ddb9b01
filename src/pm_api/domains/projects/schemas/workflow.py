"""Shapes of what a project's tasks may be, on the wire: statuses, labels, fields of its own."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Name
from pm_api.domains.projects.enums import FieldKind, StatusCategory
from pm_api.domains.projects.rules import MOST_OPTIONS, MOST_STATUSES, WORD_KEY_PATTERN
from pm_api.domains.projects.schemas.projects import DEFAULT_COLOUR, Colour
from pm_api.identity.schemas.people import not_null

ShortName = Annotated[Name, Field(max_length=60)]
WordKey = Annotated[str, StringConstraints(pattern=WORD_KEY_PATTERN)]


def _each_once(options: list[str]) -> list[str]:
    if len({one.casefold() for one in options}) < len(options):
        raise ValueError("names an option twice")
    return options


Options = Annotated[list[ShortName], Field(max_length=MOST_OPTIONS), AfterValidator(_each_once)]

_COLOUR = "Colour, as #rrggbb."
_OPTIONS = "What a SELECT may be, in this order; at most 100."
_CATEGORY = "What it means: work to do, in progress, done, or given up. DONE and CANCELED end a task."


class ProjectStatusCreate(ApiRequest):
    """One more step of the workflow, after all others."""

    name: ShortName = Field(description="What the column is called.", examples=["In review"])
    key: WordKey | None = Field(
        None, description="What tasks say in `status`; left out: made from the name.", examples=["IN_REVIEW"]
    )
    category: StatusCategory = Field(description=_CATEGORY, examples=["IN_PROGRESS"])
    colour: Colour = Field(DEFAULT_COLOUR, alias="color", description=_COLOUR, examples=["#a855f7"])


class ProjectStatusUpdate(ApiRequest):
    """Only the fields sent are changed; the key stays, for tasks and saved views name it."""

    name: Annotated[ShortName | None, BeforeValidator(not_null)] = Field(
        None, description="What the column is called.", examples=["Review"]
    )
    category: Annotated[StatusCategory | None, BeforeValidator(not_null)] = Field(
        None, description=f"{_CATEGORY} Only of a status without tasks.", examples=["IN_PROGRESS"]
    )
    colour: Annotated[Colour | None, BeforeValidator(not_null)] = Field(
        None, alias="color", description=_COLOUR, examples=["#a855f7"]
    )


class ProjectStatusOrder(ApiRequest):
    keys: list[WordKey] = Field(
        min_length=1,
        max_length=MOST_STATUSES,
        description="The keys of all statuses of the project, in the order wanted.",
        examples=[["TODO", "IN_PROGRESS", "DONE"]],
    )


class ProjectStatusRead(ApiModel):
    """One step of a project's workflow: a column of its board."""

    id: UUID = Field(description="The status's id.")
    project_id: UUID = Field(description="The project.")
    key: str = Field(description="What tasks say in `status`.", examples=["IN_REVIEW"])
    name: str = Field(description="What the column is called.", examples=["In review"])
    category: StatusCategory = Field(description=_CATEGORY, examples=["IN_PROGRESS"])
    colour: str = Field(alias="color", description=_COLOUR, examples=["#a855f7"])
    position: int = Field(description="Its place on the board, from 0.", examples=[2])
    version: int = Field(description="Counts changes; the ETag.", examples=[1])


class ProjectStatusAnswer(ApiModel):
    status: ProjectStatusRead = Field(description="The status.")


class ProjectStatusesAnswer(ApiModel):
    statuses: list[ProjectStatusRead] = Field(description="In the order of the board; at most 50.")


class LabelCreate(ApiRequest):
    name: ShortName = Field(description="Unique in the project, whatever its case.", examples=["Bug"])
    colour: Colour = Field(DEFAULT_COLOUR, alias="color", description=_COLOUR, examples=["#ef4444"])


class LabelUpdate(ApiRequest):
    """Only the fields sent are changed."""

    name: Annotated[ShortName | None, BeforeValidator(not_null)] = Field(
        None, description="Unique in the project, whatever its case.", examples=["Bug"]
    )
    colour: Annotated[Colour | None, BeforeValidator(not_null)] = Field(
        None, alias="color", description=_COLOUR, examples=["#ef4444"]
    )


class LabelRead(ApiModel):
    """A coloured word for tasks of one project."""

    id: UUID = Field(description="The label's id.")
    project_id: UUID = Field(description="The project.")
    name: str = Field(description="Unique in the project, whatever its case.", examples=["Bug"])
    colour: str = Field(alias="color", description=_COLOUR, examples=["#ef4444"])
    version: int = Field(description="Counts changes; the ETag.", examples=[1])


class LabelAnswer(ApiModel):
    label: LabelRead = Field(description="The label.")


class LabelsAnswer(ApiModel):
    labels: list[LabelRead] = Field(description="By name.")
    next_cursor: str | None = Field(description="For the next page; null on the last.")


class ProjectFieldCreate(ApiRequest):
    """One more field for the project's tasks."""

    name: ShortName = Field(description="What it is called.", examples=["Effort"])
    key: WordKey | None = Field(
        None, description="What tasks say in `fields`; left out: made from the name.", examples=["EFFORT"]
    )
    kind: FieldKind = Field(description="What it holds; it stays so.", examples=["SELECT"])
    options: Options = Field([], description=_OPTIONS, examples=[["Small", "Large"]])

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.kind is FieldKind.SELECT) != bool(self.options):
            raise ValueError("options go with SELECT, and only with it")
        return self


class ProjectFieldUpdate(ApiRequest):
    """Only the fields sent are changed; key and kind stay."""

    name: Annotated[ShortName | None, BeforeValidator(not_null)] = Field(
        None, description="What it is called.", examples=["Effort"]
    )
    options: Annotated[Options | None, BeforeValidator(not_null)] = Field(
        None,
        description=f"{_OPTIONS} Tasks keep what they say, also if it is no option any more.",
        examples=[["Small", "Medium", "Large"]],
    )


class ProjectFieldRead(ApiModel):
    """A field that the project's tasks have beside the common ones."""

    id: UUID = Field(description="The field's id.")
    project_id: UUID = Field(description="The project.")
    key: str = Field(description="What tasks say in `fields`.", examples=["EFFORT"])
    name: str = Field(description="What it is called.", examples=["Effort"])
    kind: FieldKind = Field(description="What it holds.", examples=["SELECT"])
    options: list[str] = Field(description=_OPTIONS, examples=[["Small", "Large"]])
    position: int = Field(description="Its place among the fields, from 0.", examples=[0])
    version: int = Field(description="Counts changes; the ETag.", examples=[1])


class ProjectFieldAnswer(ApiModel):
    field: ProjectFieldRead = Field(description="The field.")


class ProjectFieldsAnswer(ApiModel):
    fields: list[ProjectFieldRead] = Field(description="In their order; at most 50.")
