"""What uploads that go straight to the store are refused with."""

from pm_api.core.errors import Conflict, Unprocessable


class PresigningUnavailable(Conflict):
    """This installation keeps its files where clients cannot write to directly.

    Upload with the tus protocol at `/api/storage/tus`, or in one request to `POST /api/storage/uploads`.
    """

    code = "presigned_uploads_unavailable"


class UploadNotPresigned(Conflict):
    """This upload does not go straight to the store: there is nothing to complete, it is so with its last byte."""

    code = "upload_not_presigned"


class UploadNotArrived(Conflict):
    """There is nothing yet where this upload was to be put.

    Send the bytes to the addresses you were given, then complete it once more.
    """

    code = "upload_not_arrived"


class UploadStillChanging(Conflict):
    """Something else was put in the upload's place while it was taken in.

    Wait until nothing is sent any more, then complete it once more.
    """

    code = "upload_still_changing"


class UploadBeingCompleted(Conflict):
    """This upload is being completed already.

    Read it with `GET /api/storage/uploads/{upload_id}` until it is COMPLETED or FAILED; `Retry-After` says when.
    """

    code = "upload_being_completed"


class UploadPartsMismatch(Unprocessable):
    """These are not the parts that were put.

    An upload in parts is completed with the number and the ETag of each part, as the store gave them, every number
    once and none left out.
    """

    code = "upload_parts_mismatch"
