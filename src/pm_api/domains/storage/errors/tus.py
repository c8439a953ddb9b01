"""What tus uploads are refused with (https://tus.io/protocols/resumable-upload, 1.0.0)."""

from typing import Any

from pm_api.core.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Gone,
    PayloadTooLarge,
    Unprocessable,
    UnsupportedMediaType,
)
from pm_api.domains.storage.tus_headers import VERSION


class TusVersionUnsupported(ApiError):
    """This speaks tus 1.0.0: send `Tus-Resumable: 1.0.0`.

    `Tus-Version` says what is spoken. Nothing of the request was looked at.
    """

    status = 412
    code = "tus_version_unsupported"

    def __init__(self, detail: str | None = None, **arguments: Any) -> None:
        super().__init__(detail, headers={"Tus-Version": VERSION}, **arguments)


class InvalidTusHeader(BadRequest):
    """A header of the tus protocol is missing, cannot be read, or says what cannot be."""

    code = "invalid_tus_header"


class ChecksumAlgorithmUnsupported(BadRequest):
    """`Upload-Checksum` names an algorithm that is not spoken here.

    `Tus-Checksum-Algorithm` in the answer to OPTIONS names those that are. Nothing was kept.
    """

    code = "checksum_algorithm_unsupported"


class ChunkChecksumMismatch(ApiError):
    """What arrived is not what `Upload-Checksum` says.

    Nothing of it was kept, and the offset is where it was. Send it again.
    """

    status = 460
    code = "chunk_checksum_mismatch"
    title = "Checksum mismatch"


class UploadOffsetMismatch(Conflict):
    """`Upload-Offset` is not where this upload stands.

    Ask with HEAD how far it has come, and go on from there.
    """

    code = "upload_offset_mismatch"


class UploadTakenOver(Conflict):
    """Another request goes on with this upload: it asked how far it has come, or sent more of it.

    What had arrived was kept. Ask with HEAD how far it has come, and go on from there, one request at a time.
    """

    code = "upload_taken_over"


class UploadGone(Gone):
    """This upload has expired, was ended, or has failed; `state` and `failure` say which.

    Begin a new one. One that is COMPLETED was ended after it had become a file, which is still there.
    """

    code = "upload_gone"


class UploadLengthExceeded(PayloadTooLarge):
    """There is more than `Upload-Length` announced.

    What went beyond it was not kept.
    """

    code = "upload_length_exceeded"


class TusContentTypeExpected(UnsupportedMediaType):
    """Bytes of an upload are sent as `application/offset+octet-stream`."""

    code = "tus_content_type_expected"


class UploadFragmented(Unprocessable):
    """This upload comes in too many small pieces.

    Send at least 64 KB with each request. What had arrived is still there.
    """

    code = "upload_fragmented"


class UploadStalled(ApiError):
    """Nothing more arrived for a minute.

    What had arrived was kept. Ask with HEAD how far the upload has come, and go on from there.
    """

    status = 408
    code = "upload_stalled"


class UploadCutOff(BadRequest):
    """The connection ended before the request did.

    What had arrived was kept, unless it came with `Upload-Checksum`. Ask with HEAD how far the upload has come.
    """

    code = "upload_cut_off"
