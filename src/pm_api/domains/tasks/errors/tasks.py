"""Refusals of tasks."""

from pm_api.core.errors import Conflict, NotFound


class TaskNotFound(NotFound):
    """No task with this id or key exists that you may see.

    A key such as `WEB-42` is understood together with `workspaceId`.
    """

    code = "task_not_found"


class TaskBlocked(Conflict):
    """Other tasks block this one, and its project lets blocked tasks neither begin nor be done.

    `blockedBy` names those that you may see. Finish or cancel them first, or take the dependency away.
    """

    code = "task_blocked"


class TaskParentCycle(Conflict):
    """A task cannot be put below itself or below one of its own subtasks. `path` shows the way round."""

    code = "task_parent_cycle"


class TaskTooDeep(Conflict):
    """Subtasks go ten levels deep at most, the task at the top counted."""

    code = "task_too_deep"


class TaskTreeTooLarge(Conflict):
    """At most 1000 tasks are deleted or restored by one call. Do it to some of the subtasks first."""

    code = "task_tree_too_large"


class TaskParentDeleted(Conflict):
    """The task above this one is deleted. Restore that one: what was deleted with it comes back together."""

    code = "task_parent_deleted"


class TaskNeighbourElsewhere(Conflict):
    """The task to move before or after is in another column, or in another project.

    Somebody may have moved it meanwhile: read the board again.
    """

    code = "task_neighbour_elsewhere"


class TooManyWatchers(Conflict):
    """A task has at most 200 watchers."""

    code = "too_many_watchers"
