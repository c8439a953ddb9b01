"""Bulk edits on the wire."""

from enum import StrEnum
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import Field, model_validator

from pm_api.core.schema import ApiModel, ApiRequest
from pm_api.domains.tasks.schemas.tasks import Ids, TaskMove, TaskRef, TaskUpdate
from pm_api.domains.tasks.schemas.views import FILTER_EXAMPLE, SentFilter

MOST: Final = 200


class TaskBulkAction(StrEnum):
    """What is done to every one of the tasks."""

    UPDATE = "update"
    MOVE = "move"
    DELETE = "delete"
    RESTORE = "restore"
    ADD_LABELS = "addLabels"
    REMOVE_LABELS = "removeLabels"
    ADD_ASSIGNEES = "addAssignees"
    REMOVE_ASSIGNEES = "removeAssignees"


class BulkMode(StrEnum):
    """ATOMIC: all or none. PARTIAL: what can be done is done, and the answer tells of the rest."""

    ATOMIC = "ATOMIC"
    PARTIAL = "PARTIAL"


class Outcome(StrEnum):
    """How it went for one task."""

    CHANGED = "CHANGED"
    UNCHANGED = "UNCHANGED"
    FAILED = "FAILED"


NEEDS: Final = {
    TaskBulkAction.UPDATE: "change",
    TaskBulkAction.MOVE: "move",
    TaskBulkAction.ADD_LABELS: "label_ids",
    TaskBulkAction.REMOVE_LABELS: "label_ids",
    TaskBulkAction.ADD_ASSIGNEES: "user_ids",
    TaskBulkAction.REMOVE_ASSIGNEES: "user_ids",
}


class TaskBulkRequest(ApiRequest):
    """Which tasks, and what is done to them."""

    workspace_id: UUID | None = Field(None, description="The workspace; not needed with a project.")
    project_id: UUID | None = Field(None, description="The project the tasks are of. Left out: any of the workspace.")
    task_ids: Annotated[list[TaskRef], Field(min_length=1, max_length=MOST)] | None = Field(
        None,
        description="The tasks, by id or by key (`WEB-42`), or a filter instead. For a move the order counts.",
    )
    filter: SentFilter | None = Field(
        None, description="Or those that a filter finds, 200 at most.", examples=[FILTER_EXAMPLE]
    )
    action: TaskBulkAction = Field(description="What is done.", examples=["update"])
    change: TaskUpdate | None = Field(None, description="For `update`: the fields to change.")
    move: TaskMove | None = Field(None, description="For `move`: where to.")
    label_ids: Ids | None = Field(None, description="For `addLabels` and `removeLabels`: the labels.")
    user_ids: Ids | None = Field(None, description="For `addAssignees` and `removeAssignees`: the people.")
    mode: BulkMode = Field(BulkMode.ATOMIC, description="Whether all is done or none, or what can be done.")
    dry_run: bool = Field(False, strict=True, description="Tell what would change, and change nothing.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.task_ids is None) == (self.filter is None):
            raise ValueError("name the tasks by taskIds, or by a filter; not by both")
        needed = NEEDS.get(self.action)
        for name in sorted(set(NEEDS.values())):
            if (getattr(self, name) is not None) != (name == needed):
                rule = "goes with" if name == needed else "does not go with"
                raise ValueError(f"{TaskBulkRequest.model_fields[name].alias} {rule} the action {self.action}")
        return self


class ChangeShown(ApiModel):
    """One field, before and after."""

    field: str = Field(description="The field, as answers write it.", examples=["status"])
    old: Any = Field(description="What it was.", examples=["TODO"])
    new: Any = Field(description="What it is, or would be.", examples=["DONE"])


class FailureShown(ApiModel):
    """Why it was not done to a task."""

    code: str = Field(description="Stable code, as problems have it.", examples=["task_blocked"])
    detail: str = Field(description="What happened, for people.")


class TaskBulkResult(ApiModel):
    """How it went for one task."""

    task_id: UUID | None = Field(description="The task; null for a key by which you see none.")
    key: str | None = Field(
        description="Its name among people; null for an id that is not in sight.", examples=["WEB-42"]
    )
    outcome: Outcome = Field(description="How it went, or would go.")
    changes: list[ChangeShown] = Field(description="What changed, or would change.")
    error: FailureShown | None = Field(description="Why it failed; null when it did not.")


class TaskBulkAnswer(ApiModel):
    """How it went."""

    results: list[TaskBulkResult] = Field(
        description="Task by task, in the order they were named or found; keys of nothing come last."
    )
    changed: int = Field(description="How many changed, or would change.")
    failed: int = Field(description="How many failed.")
    dry_run: bool = Field(description="Whether nothing was written.")
    undo_token: UUID | None = Field(
        description="Takes all of it back by `POST /api/tasks/undo`, for ten minutes; null when nothing changed."
    )
