"""Refusals of saved views."""

from pm_api.core.errors import Conflict, NotFound


class SavedViewNotFound(NotFound):
    """There is no saved view with this id that you may see: one of your own, or one that somebody shares."""

    code = "saved_view_not_found"


class TooManySavedViews(Conflict):
    """A workspace has at most 200 saved views of one person. Delete some first."""

    code = "too_many_saved_views"
