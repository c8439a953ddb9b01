"""Tables of tasks, one module a noun."""

from pm_api.domains.tasks.models.activity import SavedView, TaskActivity, TaskUndo
from pm_api.domains.tasks.models.recurrence import TaskRecurrence
from pm_api.domains.tasks.models.talk import CommentMention, CommentReaction, TaskComment, TimeEntry
from pm_api.domains.tasks.models.tasks import (
    ChecklistItem,
    Task,
    TaskAssignee,
    TaskDependency,
    TaskLabel,
    TaskWatcher,
)

__all__ = [
    "ChecklistItem",
    "CommentMention",
    "CommentReaction",
    "SavedView",
    "Task",
    "TaskActivity",
    "TaskAssignee",
    "TaskComment",
    "TaskDependency",
    "TaskLabel",
    "TaskRecurrence",
    "TaskUndo",
    "TaskWatcher",
    "TimeEntry",
]
