"""Tasks on the wire."""

from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from pm_api.core.recurrence.errors import ZoneUnknown
from pm_api.core.recurrence.zones import zone
from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp, storable, storable_json
from pm_api.domains.projects.enums import StatusCategory
from pm_api.domains.tasks.enums import Priority, TaskAction
from pm_api.identity.schemas.pictured import Pictured

MOST_ON_A_TASK: Final = 50
TITLE_LENGTH: Final = 300
DESCRIPTION_LENGTH: Final = 50_000
LONGEST_ESTIMATE: Final = 10_000_000
TASK_REF: Final = r"^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[A-Za-z][A-Za-z0-9]{0,15}-[1-9][0-9]{0,9})$"
"""An id, or a project's key with a number."""


def _known_zone(name: str) -> str:
    try:
        zone(name)
    except ZoneUnknown:
        raise ValueError("is not an IANA time zone, such as Europe/Berlin") from None
    return name


def _day(value: object) -> object:
    """Refuse what pydantic would take for seconds since 1970, or cut from a time."""
    if isinstance(value, date) or (isinstance(value, str) and len(value) == len("2026-01-31")):
        return value
    raise ValueError("must be a day such as 2026-01-31")


def _storable_day(day: date) -> date:
    if not 1 < day.year < 9998:
        raise ValueError("must lie in the years 2 to 9997")
    return day


def not_null(value: object) -> object:
    if value is None:
        raise ValueError("must not be null; leave the field out to keep it as it is")
    return value


Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TITLE_LENGTH),
    AfterValidator(storable),
]
Description = Annotated[Text, StringConstraints(max_length=DESCRIPTION_LENGTH)]
StatusKey = Annotated[Text, StringConstraints(min_length=1, max_length=50)]
TaskRef = Annotated[str, StringConstraints(pattern=TASK_REF)]
Day = Annotated[date, BeforeValidator(_day), AfterValidator(_storable_day)]
Zone = Annotated[Text, StringConstraints(max_length=64), AfterValidator(_known_zone)]
Estimate = Annotated[int, Field(strict=True, ge=0, le=LONGEST_ESTIMATE)]
Ids = Annotated[list[UUID], Field(max_length=MOST_ON_A_TASK)]
OwnFields = Annotated[dict[Annotated[str, StringConstraints(max_length=50)], Any], AfterValidator(storable_json)]

_TITLE: Final = "What is to be done."
_DESCRIPTION: Final = "More of it, as Markdown."
_STATUS: Final = "Key of one of the project's statuses."
_PRIORITY: Final = "How urgent it is."
_START_ON: Final = "Day on which it starts; not together with `startAt`."
_START_AT: Final = "Moment at which it starts; not together with `startOn`."
_DUE_ON: Final = "Day on which it is due; not together with `dueAt`."
_DUE_AT: Final = "Moment at which it is due; not together with `dueOn`."
_ZONE: Final = "IANA time zone the times were meant in."
_ESTIMATE: Final = "Minutes it is thought to take."
_PARENT: Final = "The task it is a part of, in the same project: an id, or a key such as `WEB-42`."
_FIELDS: Final = "Values of the project's own fields, by their keys; null clears one."
_ASSIGNEES: Final = "Ids of the users who are to do it; all of them must see the project."
_LABELS: Final = "Ids of labels of the project."


class TaskCreate(ApiRequest):
    """A new task."""

    project_id: UUID = Field(description="The project it belongs to.")
    title: Title = Field(description=_TITLE, examples=["Write the release notes"])
    description: Description = Field("", description=_DESCRIPTION)
    status: StatusKey | None = Field(
        None, description=f"{_STATUS} Left out: the first of the category TODO.", examples=["TODO"]
    )
    priority: Priority = Field(Priority.NONE, description=_PRIORITY)
    assignee_ids: Ids = Field([], description=_ASSIGNEES)
    label_ids: Ids = Field([], description=_LABELS)
    start_on: Day | None = Field(None, description=_START_ON, examples=["2026-03-02"])
    start_at: Timestamp | None = Field(None, description=_START_AT)
    due_on: Day | None = Field(None, description=_DUE_ON, examples=["2026-03-06"])
    due_at: Timestamp | None = Field(None, description=_DUE_AT)
    time_zone: Zone | None = Field(None, description=_ZONE, examples=["Europe/Berlin"])
    estimate_minutes: Estimate | None = Field(None, description=_ESTIMATE, examples=[90])
    parent_id: TaskRef | None = Field(None, description=_PARENT)
    fields: OwnFields = Field({}, description=_FIELDS, examples=[{"team": "Web"}])


class TaskUpdate(ApiRequest):
    """The fields to change; a null clears what may be empty. A day for `startOn` or `dueOn` takes the place of the
    moment that stood there, and the other way round.
    """

    title: Annotated[Title | None, BeforeValidator(not_null)] = Field(None, description=_TITLE)
    description: Description | None = Field(None, description=_DESCRIPTION)
    status: Annotated[StatusKey | None, BeforeValidator(not_null)] = Field(None, description=_STATUS)
    priority: Priority | None = Field(None, description=_PRIORITY)
    assignee_ids: Ids | None = Field(None, description=_ASSIGNEES)
    label_ids: Ids | None = Field(None, description=_LABELS)
    start_on: Day | None = Field(None, description=_START_ON)
    start_at: Timestamp | None = Field(None, description=_START_AT)
    due_on: Day | None = Field(None, description=_DUE_ON)
    due_at: Timestamp | None = Field(None, description=_DUE_AT)
    time_zone: Zone | None = Field(None, description=_ZONE)
    estimate_minutes: Estimate | None = Field(None, description=_ESTIMATE)
    parent_id: TaskRef | None = Field(None, description=f"{_PARENT} Null puts it at the top.")
    fields: OwnFields | None = Field(None, description=f"{_FIELDS} Fields that are not named stay.")


class TaskReplace(ApiRequest):
    """The whole task as it shall be: what is left out becomes empty. Only the status stays when it is left out."""

    title: Title = Field(description=_TITLE, examples=["Write the release notes"])
    description: Description = Field("", description=_DESCRIPTION)
    status: Annotated[StatusKey | None, BeforeValidator(not_null)] = Field(None, description=_STATUS)
    priority: Priority = Field(Priority.NONE, description=_PRIORITY)
    assignee_ids: Ids = Field([], description=_ASSIGNEES)
    label_ids: Ids = Field([], description=_LABELS)
    start_on: Day | None = Field(None, description=_START_ON)
    start_at: Timestamp | None = Field(None, description=_START_AT)
    due_on: Day | None = Field(None, description=_DUE_ON)
    due_at: Timestamp | None = Field(None, description=_DUE_AT)
    time_zone: Zone | None = Field(None, description=_ZONE)
    estimate_minutes: Estimate | None = Field(None, description=_ESTIMATE)
    parent_id: TaskRef | None = Field(None, description=_PARENT)
    fields: OwnFields = Field({}, description="Values of the project's own fields, by their keys.")


class TaskMove(ApiRequest):
    """A place on the board: before or after another task, or at the end of a column."""

    before: TaskRef | None = Field(None, description="The task that comes next; not together with `after`.")
    after: TaskRef | None = Field(None, description="The task that comes just before; not together with `before`.")
    status: StatusKey | None = Field(
        None, description="The column. Left out: the one of the other task, or the one it is in."
    )


class PeopleDelta(ApiRequest):
    """Who comes and who goes; who is there already, or is not, changes nothing."""

    add: Ids = Field([], description="Ids of users to add.")
    remove: Ids = Field([], description="Ids of users to take away.")


class LabelDelta(ApiRequest):
    """Which labels come and which go; what is there already, or is not, changes nothing."""

    add: Ids = Field([], description="Ids of labels to add.")
    remove: Ids = Field([], description="Ids of labels to take away.")


class PersonShown(Pictured):
    """Somebody, as others see them."""

    id: UUID = Field(description="The user's id.")
    name: str = Field(description="Their name.", examples=["Ann Archer"])


class LabelShown(ApiModel):
    """A label on a task."""

    id: UUID = Field(description="The label's id.")
    name: str = Field(description="What it says.", examples=["bug"])
    colour: str = Field(alias="color", description="Its colour.", examples=["#d73a4a"])


class ProjectShown(ApiModel):
    """The project of a task."""

    id: UUID = Field(description="The project's id.")
    key: str = Field(description="Short name, with which its tasks' keys begin.", examples=["WEB"])
    name: str = Field(description="Its name.", examples=["Website"])
    colour: str = Field(alias="color", description="Its colour.", examples=["#1f6feb"])


class TaskCounts(ApiModel):
    """How much hangs on a task, of what the caller may see."""

    subtasks: int = Field(0, description="Tasks directly below it.")
    subtasks_done: int = Field(0, description="How many of them are done.")
    comments: int = Field(0, description="Comments.")
    checklist: int = Field(0, description="Things on its checklist.")
    checklist_done: int = Field(0, description="How many of them are ticked off.")
    blocked_by: int = Field(0, description="Open tasks that block it.")
    minutes_logged: int = Field(0, description="Minutes worked on it.")
    attachments: int = Field(0, description="Files attached to it.")


class TaskRead(ApiModel):
    """A task."""

    id: UUID = Field(description="The task's id.")
    key: str = Field(description="Its name among people.", examples=["WEB-42"])
    number: int = Field(description="Its number in the project.", examples=[42])
    workspace_id: UUID = Field(description="The workspace.")
    project: ProjectShown = Field(description="The project.")
    title: str = Field(description=_TITLE)
    description: str = Field(description=_DESCRIPTION)
    status: str = Field(description=_STATUS, examples=["IN_PROGRESS"])
    status_category: StatusCategory = Field(description="What the status means.")
    priority: Priority = Field(description=_PRIORITY)
    assignees: list[PersonShown] = Field(description="Who is to do it.")
    labels: list[LabelShown] = Field(description="Its labels.")
    start_on: date | None = Field(description="Day on which it starts.")
    start_at: Timestamp | None = Field(description="Moment at which it starts.")
    due_on: date | None = Field(description="Day on which it is due.")
    due_at: Timestamp | None = Field(description="Moment at which it is due.")
    time_zone: str | None = Field(description=_ZONE)
    estimate_minutes: int | None = Field(description=_ESTIMATE)
    parent_id: UUID | None = Field(description="The task it is a part of.")
    depth: int = Field(description="How many tasks stand above it.")
    counts: TaskCounts = Field(description="How much hangs on it.")
    is_blocked: bool = Field(description="Whether an open task that you may see blocks it.")
    fields: dict[str, Any] = Field(description="Values of the project's own fields, by their keys.")
    recurrence: dict[str, Any] | None = Field(description="How it comes again; null when it does not.")
    created_by: PersonShown = Field(description="Who made it.")
    completed_at: Timestamp | None = Field(description="When it was done; null while it is not.")
    deleted_at: Timestamp | None = Field(description="When it was deleted; it can be restored for 30 days.")
    allowed_actions: list[TaskAction] = Field(description="What you may do with it now.")
    version: int = Field(description="Counts its changes; the ETag.")
    created_at: Timestamp = Field(description="When it was made.")
    updated_at: Timestamp = Field(description="When it was last changed.")


class TaskAnswer(ApiModel):
    """One task."""

    task: TaskRead = Field(description="The task.")


class TaskChangedAnswer(TaskAnswer):
    """A task, and how what was just done to it is taken back."""

    undo_token: UUID | None = Field(
        description="Takes the change back by `POST /api/tasks/undo`, for ten minutes; null when nothing changed."
    )


class TaskDeletedAnswer(ApiModel):
    """What was deleted."""

    deleted: int = Field(description="How many tasks: the one named and all below it.", examples=[3])
    undo_token: UUID | None = Field(description="Takes it back by `POST /api/tasks/undo`, for ten minutes.")


class TasksAnswer(ApiModel):
    """A page of tasks."""

    tasks: list[TaskRead] = Field(description="The tasks.")
    next_cursor: str | None = Field(description="Where the next page begins; null: this is the last.")


class WatchersAnswer(ApiModel):
    """Who is told of what happens to a task."""

    watchers: list[PersonShown] = Field(description="The people, by name.")


class BoardColumn(ApiModel):
    """One status of a project with the first of its tasks, in their order."""

    status: str = Field(description="Key of the status.", examples=["TODO"])
    name: str = Field(description="Its name.", examples=["To do"])
    category: StatusCategory = Field(description="What it means.")
    colour: str = Field(alias="color", description="Its colour.", examples=["#8b949e"])
    total: int = Field(description="How many tasks are in it.")
    tasks: list[TaskRead] = Field(description="The first of them.")
    next_cursor: str | None = Field(
        description="Goes on in `GET /api/tasks` with this `projectId`, this `status` and `sort=board`."
    )


class BoardRead(ApiModel):
    """A project's tasks by status."""

    project: ProjectShown = Field(description="The project.")
    columns: list[BoardColumn] = Field(description="Its statuses in their order.")


class BoardAnswer(ApiModel):
    """A board."""

    board: BoardRead = Field(description="The board.")
