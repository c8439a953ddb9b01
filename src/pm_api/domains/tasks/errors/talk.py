"""Refusals of what people say of a task, of its checklist, and of the time they worked on it."""

from pm_api.core.errors import Conflict, NotFound, Unprocessable


class CommentNotFound(NotFound):
    """The task has no such comment, or it was deleted."""

    code = "comment_not_found"


class ReplyToReply(Unprocessable):
    """A reply cannot be replied to. Send the `parentId` of the comment that it answers."""

    code = "reply_to_reply"


class TooManyReactions(Conflict):
    """A comment takes at most 20 different emojis; those that stand there already can still be used."""

    code = "too_many_reactions"


class ChecklistItemNotFound(NotFound):
    """The task's checklist has no such thing on it."""

    code = "checklist_item_not_found"


class TooManyChecklistItems(Conflict):
    """A checklist has at most 200 things on it. Make subtasks of some."""

    code = "too_many_checklist_items"


class InvalidChecklistOrder(Unprocessable):
    """The order names something that is not on the checklist. Read it again: somebody may have taken it away."""

    code = "invalid_checklist_order"


class TimeEntryNotFound(NotFound):
    """The task has no such time entry."""

    code = "time_entry_not_found"


class InvalidWorkDate(Unprocessable):
    """Work is entered for a day that has begun somewhere on earth, since the year 2000."""

    code = "invalid_work_date"


class InvalidPeriod(Unprocessable):
    """The period ends before it begins, or is longer than 92 days. Ask for a part at a time."""

    code = "invalid_period"
