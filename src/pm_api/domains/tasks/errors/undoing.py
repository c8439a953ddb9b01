"""Refusals of taking back."""

from pm_api.core.errors import Conflict, NotFound


class UndoGone(NotFound):
    """There is nothing to take back under this token.

    A change can be taken back for ten minutes, once, and by the person who made it.
    """

    code = "undo_not_found"


class UndoConflict(Conflict):
    """A task was changed since, so the change cannot be taken back any more.

    `details` say which task, which of its fields, what that is now, who changed it and when. Nothing was taken back.
    """

    code = "undo_conflict"
