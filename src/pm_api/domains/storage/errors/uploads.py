"""What uploads are refused with."""

from pm_api.core.errors import (
    ApiError,
    BadRequest,
    Conflict,
    PayloadTooLarge,
    PaymentRequired,
    TooManyRequests,
    Unprocessable,
    UnsupportedMediaType,
)


class StorageQuotaExceeded(PaymentRequired):
    """There is not room enough for this file.

    `used`, `reserved`, `limit` and `needed` are bytes: what is stored, what uploads under way have been promised,
    what the plan holds and what this upload asked for. `largestCategories` says where most of it is. Delete
    files, empty the trash, or go to `upgradeUrl`. Where several workspaces share one plan, they share its room.
    """

    code = "storage_quota_exceeded"


class FileTooLarge(PayloadTooLarge):
    """This file is larger than one file may be under the plan.

    `limit` is what one file may have, in bytes.
    """

    code = "file_too_large"


class ChecksumMismatch(Unprocessable):
    """What arrived is not what was announced: its checksum differs.

    Nothing was kept. Send the file again.
    """

    code = "checksum_mismatch"


class LengthMismatch(Unprocessable):
    """What arrived is shorter or longer than was announced.

    Nothing was kept. Send the file again.
    """

    code = "upload_length_mismatch"


class UploadEnded(Conflict):
    """This upload has ended: it is complete, was cancelled, failed or has expired.

    Begin a new one.
    """

    code = "upload_ended"


class UploadInterrupted(BadRequest):
    """The connection ended before the whole file had arrived. Nothing was kept; send the file again.

    Over unsteady lines upload with the tus protocol at `/api/storage/tus`, which goes on where it was cut off.
    """

    code = "upload_interrupted"


class UploadTimedOut(ApiError):
    """Nothing more of the body arrived for a minute, or not all of it in a day. Nothing was kept; send it again.

    Over unsteady lines upload with the tus protocol at `/api/storage/tus`, which goes on where it was cut off.
    """

    status = 408
    code = "upload_timed_out"


class MalformedMultipart(BadRequest):
    """The body is not `multipart/form-data` as RFC 7578 writes it, or has more than one file."""

    code = "malformed_multipart"


class MultipartExpected(UnsupportedMediaType):
    """A file is sent as `multipart/form-data`, in a part named `file`."""

    code = "multipart_expected"


class TooManyUploads(TooManyRequests):
    """There are too many uploads under way. Complete or cancel some of them first."""

    code = "too_many_uploads"


class VersionNotTaken(Conflict):
    """A new version is given to a file that is complete and not in the trash."""

    code = "file_takes_no_version"
