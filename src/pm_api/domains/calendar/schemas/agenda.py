"""Shapes of the agenda: events, tasks and projects by their dates, in one order."""

from datetime import date
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.calendar.enums import AgendaKind
from pm_api.domains.calendar.schemas.events import EventRead
from pm_api.domains.projects.enums import ProjectState
from pm_api.domains.tasks.schemas.tasks import TaskRead


class AgendaProject(ApiModel):
    id: UUID = Field(description="The project's id.")
    key: str = Field(description="What its tasks' names begin with.", examples=["WEB"])
    name: str = Field(description="Its name.", examples=["Website relaunch"])
    colour: str = Field(alias="color", description="Its colour, as #rrggbb.", examples=["#3b82f6"])
    status: ProjectState = Field(description="How far it is.", examples=["ACTIVE"])
    starts_on: date | None = Field(description="The day it starts.", examples=["2026-03-02"])
    due_on: date | None = Field(description="The day it is due.", examples=["2026-06-30"])


class AgendaItem(ApiModel):
    """An event or occurrence, or one date of a task or a project."""

    kind: AgendaKind = Field(description="What it is, and which of its dates.", examples=["TASK_DUE"])
    id: str = Field(description="Of an event as in the list of events; else the task's or the project's id.")
    title: str = Field(description="What it is called; Busy when it is masked.", examples=["Sprint planning"])
    start_time: Timestamp = Field(description="When it begins; a day at its midnight in the zone asked for.")
    end_time: Timestamp = Field(description="When it ends, exclusive; of a moment the same as its start.")
    all_day: bool = Field(description="Whether it takes whole days, wherever somebody is.")
    start_date: date | None = Field(description="The first day, when it takes whole days.", examples=["2026-03-02"])
    end_date: date | None = Field(description="The day after the last of those.", examples=["2026-03-03"])
    project_id: UUID | None = Field(description="The project it is part of, or is.")
    version: int = Field(description="Counts changes of the event, the task or the project.", examples=[3])
    allowed_actions: list[str] = Field(description="What you may do with it.", examples=[["update", "delete"]])
    event: EventRead | None = Field(description="The event, of an EVENT.")
    task: TaskRead | None = Field(description="The task, of its dates.")
    project: AgendaProject | None = Field(description="The project, of its dates.")


class AgendaAnswer(ApiModel):
    items: list[AgendaItem] = Field(description="By (startTime, kind, id).")
    time_zone: str = Field(description="IANA zone in which days were laid.", examples=["Europe/Berlin"])
    next_cursor: str | None = Field(description="For the next page; null on the last.")
