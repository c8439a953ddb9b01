"""Refusals of files that are there, or are not."""

from typing import Any

from pm_api.core.errors import ApiError, Conflict, Forbidden, Gone, NotFound, Unprocessable


class FileNotFound(NotFound):
    """There is no file with this id that you may see."""

    code = "file_not_found"


class FileNotReady(Conflict):
    """The file cannot be read: it is being uploaded or checked, it failed, or something harmful was found in it.

    `uploadStatus` says which. A file that is being checked becomes COMPLETED by itself.
    """

    code = "file_not_ready"


class FileInTrash(Conflict):
    """The file is in the trash. Restore it first."""

    code = "file_in_trash"


class FileNotInTrash(Conflict):
    """The file is not in the trash, so there is nothing to restore."""

    code = "file_not_in_trash"


class NotTheUploader(Forbidden):
    """Only whoever uploaded the file, or who manages files in its project, may do this."""

    code = "not_the_uploader"


class FileIsPicture(Conflict):
    """The file is somebody's picture or a workspace's logo, which has an address of its own.

    Use `POST` or `DELETE` on `/api/user/avatar` or `/api/workspaces/{id}/logo`.
    """

    code = "file_is_picture"


class InvalidFileName(Unprocessable):
    """A file's name is one line of at most 255 bytes, without slashes, control characters and turned writing."""

    code = "invalid_file_name"


class VersionNotFound(NotFound):
    """The file has no version with this number."""

    code = "version_not_found"


class VersionInUse(Conflict):
    """This is the version that counts. Restore another one first, or delete the file."""

    code = "version_in_use"


class LinkNotFound(NotFound):
    """There is no such link, or it has expired or was revoked."""

    code = "link_not_found"


class LinkTooLong(Unprocessable):
    """A link lives from one second to seven days; without `expiresIn` five minutes."""

    code = "link_too_long"


class TooManyLinks(Conflict):
    """A file has at most 100 links that work. Revoke some of them, or wait until they have expired."""

    code = "too_many_links"


class NothingToZip(Unprocessable):
    """Name 1 to 1000 files, each once."""

    code = "nothing_to_zip"


class ZipTooLarge(Conflict):
    """All files of one archive together have at most 20 GB.

    `limit` says how many bytes they may have, `needed` how many these have. Name fewer of them.
    """

    code = "zip_too_large"


class RangeNotSatisfiable(ApiError):
    """The range that was asked for lies outside of the file. `Content-Range` says how long it is."""

    status = 416
    code = "range_not_satisfiable"

    def __init__(self, size_bytes: int = 0, **arguments: Any) -> None:
        super().__init__(headers={"Content-Range": f"bytes */{size_bytes}", "Accept-Ranges": "bytes"}, **arguments)


class FileGone(Gone):
    """The bytes of this file are not in the store any more, or not all of them. Upload it again.

    Where several files were asked for, `fileIds` names those that it is so with.
    """

    code = "file_gone"
