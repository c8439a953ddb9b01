"""Refusals of the places files are put in."""

from pm_api.core.errors import Conflict, NotFound, Unprocessable


class NotAPlaceForFiles(Unprocessable):
    """Files of this type are not uploaded like others, or not to the place that was named.

    A `TASK_ATTACHMENT` needs a `taskId`, a `PROJECT_ASSET` a `projectId`, a `TEMPORARY_UPLOAD` neither. Pictures of
    people and workspaces have addresses of their own: `POST /api/user/avatar`, `POST /api/workspaces/{id}/logo`.
    """

    code = "not_a_place_for_files"


class FileHasPlace(Conflict):
    """The file is somewhere already.

    What goes with a message or a bug report is uploaded for it, without a place, and goes with one of them.
    """

    code = "file_has_place"


class PlaceNotFound(NotFound):
    """There is no task or project with this id that you may see."""

    code = "place_not_found"


class TooManyFilesHere(Conflict):
    """A task has at most 200 attachments. Delete some of them, or put several into one archive."""

    code = "too_many_files_here"
