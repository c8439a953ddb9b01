"""Refusals of bulk edits."""

from pm_api.core.errors import Forbidden, NotFound, Unprocessable


class TooManyTasks(Unprocessable):
    """One bulk edit changes at most 200 tasks. Narrow the filter, or do it in several."""

    code = "too_many_tasks"


class BulkForbidden(Forbidden):
    """You may not do this to some of the tasks, so nothing was done to any.

    `tasks` names them. With the mode PARTIAL it is done to the others.
    """

    code = "bulk_forbidden"


class BulkTasksNotFound(NotFound):
    """Some of the tasks do not exist or are not in your sight, so nothing was done to any.

    `taskIds` names them. With the mode PARTIAL it is done to the others.
    """

    code = "bulk_tasks_not_found"
