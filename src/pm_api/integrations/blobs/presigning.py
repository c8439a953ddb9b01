"""Addresses that clients write to directly, and what is done with what they wrote: S3 through boto3's client.

boto3 is synchronous, so it runs in threads. Keys are those of the blob door: the bucket's prefix is put before them
here.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar
from urllib.parse import urlsplit

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pm_api.core.settings_storage import S3Settings, StorageSettings
from pm_api.integrations.blobs.values import BlobMissing, StorageUnavailable, check_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
LARGEST_COPY_BYTES: Final = 5 * 1024**3
COPY_PART_BYTES: Final = 512 * 1024**2
COPIES_AT_ONCE: Final = 4
CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 60.0
CONNECTIONS: Final = 20
LISTED_AT_A_TIME: Final = 1000
MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
CHANGED: Final = frozenset({"412", "PreconditionFailed"})
NO_UPLOAD: Final = frozenset({"NoSuchUpload"})
REFUSED_PARTS: Final = frozenset(
    {"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML", "InvalidRequest", "InvalidArgument"}
)

Result = TypeVar("Result")

_log = structlog.get_logger(__name__)


class BlobChanged(Exception):
    """The object is not the one that was looked at any more."""


class MultipartGone(Exception):
    """There is no such multipart upload: it was completed, aborted, or never begun."""


class PartsRefused(Exception):
    """The store does not take these parts together; `reason` is its code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request that whoever has it may send until it expires. The headers are signed: they are sent as they are."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class ArrivedBlob:
    """What lies under a key. The checksum is there when the store was told one while the object was written."""

    key: str
    size_bytes: int
    etag: str
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part of a multipart upload, as the client was told it by the store."""

    number: int
    etag: str


@dataclass(frozen=True, slots=True)
class OpenMultipart:
    """A multipart upload that nobody has completed or aborted."""

    key: str
    multipart_id: str
    began_at: datetime


class _Place(TypedDict):
    Bucket: str
    Key: str


class Presigner:
    """Signs, and completes, copies and aborts what was signed. Raises StorageUnavailable when the store is away. Only
    where files are kept in S3 it is on; elsewhere it is not asked.
    """

    def __init__(self, storage: StorageSettings, s3: S3Settings) -> None:
        address = urlsplit(storage.url)
        if not s3.bucket and address.scheme == "s3":
            s3 = s3.model_copy(update={"bucket": address.netloc, "prefix": address.path.strip("/")})
        self._settings = s3
        self._prefix = f"{s3.prefix}/" if s3.prefix else ""
        self._client_made: S3Client | None = None

    @property
    def is_on(self) -> bool:
        return bool(self._settings.bucket)

    @property
    def _client(self) -> "S3Client":
        """Made when it is first needed: looking for the machine's credentials takes its time."""
        if self._client_made is None:
            settings = self._settings
            secret = settings.secret_access_key.get_secret_value()
            self._client_made = boto3.session.Session().client(
                "s3",
                region_name=settings.region,
                endpoint_url=settings.endpoint or None,
                aws_access_key_id=settings.access_key_id or None,
                aws_secret_access_key=secret or None,
                config=Config(
                    signature_version="s3v4",
                    s3={"addressing_style": "path" if settings.endpoint else "virtual"},
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    max_pool_connections=CONNECTIONS,
                    retries={"mode": "standard", "total_max_attempts": 3},
                    # Stores that only resemble S3 know no other checksums than those they are asked for.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        return self._client_made

    async def put(self, key: str, *, size_bytes: int, sha256: bytes | None, expires_in_s: int) -> SignedRequest:
        """A single PUT of exactly so many bytes, and of no others when their SHA-256 is known."""
        parameters: dict[str, Any] = {"ContentLength": size_bytes}
        headers = {}
        if sha256 is not None:
            parameters["ChecksumSHA256"] = headers["x-amz-checksum-sha256"] = base64.b64encode(sha256).decode()
        url = await self._sign("put_object", {**self._at(key), **parameters}, expires_in_s)
        return SignedRequest("PUT", url, headers)

    async def part(
        self, key: str, multipart_id: str, number: int, *, size_bytes: int, expires_in_s: int
    ) -> SignedRequest:
        """One part of a multipart upload."""
        parameters = {"UploadId": multipart_id, "PartNumber": number, "ContentLength": size_bytes}
        url = await self._sign("upload_part", {**self._at(key), **parameters}, expires_in_s)
        return SignedRequest("PUT", url, {})

    async def begin_multipart(self, key: str) -> str:
        """The id of a new multipart upload."""
        answer = await self._call(lambda: self._client.create_multipart_upload(**self._at(key)))
        return answer["UploadId"]

    async def complete_multipart(self, key: str, multipart_id: str, parts: Sequence[SentPart]) -> None:
        """Put the parts together; raises MultipartGone and PartsRefused."""
        sent = [{"PartNumber": one.number, "ETag": one.etag} for one in sorted(parts, key=lambda one: one.number)]
        await self._call(
            lambda: self._client.complete_multipart_upload(
                **self._at(key),
                UploadId=multipart_id,
                MultipartUpload={"Parts": sent},  # type: ignore[typeddict-item]
            )
        )

    async def abort_multipart(self, key: str, multipart_id: str) -> None:
        """Let the store forget the parts; one that is not there is aborted."""
        try:
            await self._call(lambda: self._client.abort_multipart_upload(**self._at(key), UploadId=multipart_id))
        except (MultipartGone, BlobMissing):
            return

    async def arrived(self, key: str) -> ArrivedBlob | None:
        """What lies there now, or None."""
        try:
            found = await self._call(lambda: self._client.head_object(**self._at(key), ChecksumMode="ENABLED"))
        except BlobMissing:
            return None
        checksum = found.get("ChecksumSHA256")
        return ArrivedBlob(
            key=key,
            size_bytes=found["ContentLength"],
            etag=found["ETag"],
            # Of a multipart object it is a checksum of checksums, told by the number of parts behind it.
            sha256=base64.b64decode(checksum) if checksum and "-" not in checksum else None,
        )

    async def copy(self, blob: ArrivedBlob, to: str) -> None:
        """Copy exactly what was looked at; raises BlobChanged when something else lies there now, and BlobMissing."""
        if blob.size_bytes > LARGEST_COPY_BYTES:
            await self._copy_in_parts(blob, to)
            return
        source = self._at(blob.key)
        await self._call(
            lambda: self._client.copy_object(
                **self._at(to),
                CopySource={"Bucket": source["Bucket"], "Key": source["Key"]},
                CopySourceIfMatch=blob.etag,
                MetadataDirective="REPLACE",
            )
        )

    async def _copy_in_parts(self, blob: ArrivedBlob, to: str) -> None:
        """What is too large for one copy; each part is copied under the same condition."""
        multipart_id = await self.begin_multipart(to)
        turns = asyncio.Semaphore(COPIES_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._copy_part(turns, blob, to, multipart_id, number, start))
                    for number, start in enumerate(range(0, blob.size_bytes, COPY_PART_BYTES), 1)
                ]
        except BaseExceptionGroup as failures:
            await self.abort_multipart(to, multipart_id)
            raise failures.exceptions[0] from None
        await self.complete_multipart(to, multipart_id, [task.result() for task in tasks])

    async def _copy_part(
        self, turns: asyncio.Semaphore, blob: ArrivedBlob, to: str, multipart_id: str, number: int, start: int
    ) -> SentPart:
        source = self._at(blob.key)
        last = min(start + COPY_PART_BYTES, blob.size_bytes) - 1
        async with turns:
            answer = await self._call(
                lambda: self._client.upload_part_copy(
                    **self._at(to),
                    UploadId=multipart_id,
                    PartNumber=number,
                    CopySource={"Bucket": source["Bucket"], "Key": source["Key"]},
                    CopySourceIfMatch=blob.etag,
                    CopySourceRange=f"bytes={start}-{last}",
                )
            )
        return SentPart(number, answer["CopyPartResult"]["ETag"])

    async def open_multiparts(self) -> AsyncIterator[OpenMultipart]:
        """Every multipart upload of this installation that is still open, whoever began it."""
        markers: dict[str, Any] = {}
        while True:
            answer = await self._call(partial(self._list_multiparts, markers))
            for one in answer.get("Uploads", []):
                yield OpenMultipart(one["Key"].removeprefix(self._prefix), one["UploadId"], one["Initiated"])
            if not answer.get("IsTruncated"):
                return
            markers = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def _list_multiparts(self, markers: dict[str, Any]) -> Any:
        return self._client.list_multipart_uploads(
            Bucket=self._settings.bucket, Prefix=self._prefix, MaxUploads=LISTED_AT_A_TIME, **markers
        )

    async def probe(self) -> str:
        """Whether the bucket is there and opens to us."""
        await self._call(lambda: self._client.head_bucket(Bucket=self._settings.bucket))
        return f"bucket {self._settings.bucket} answers"

    async def _sign(self, method: str, parameters: dict[str, Any], expires_in_s: int) -> str:
        # In a thread too: credentials of the machine are asked for over the wire when they have grown old.
        return await self._call(
            lambda: self._client.generate_presigned_url(method, Params=parameters, ExpiresIn=expires_in_s)
        )

    def _at(self, key: str) -> _Place:
        return {"Bucket": self._settings.bucket, "Key": f"{self._prefix}{check_key(key)}"}

    async def _call(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except ClientError as error:
            raise _translated(error) from error
        except (BotoCoreError, OSError) as error:
            _log.warning("storage_failed", kind=type(error).__name__)
            raise StorageUnavailable from error


def _translated(error: ClientError) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in NO_UPLOAD:
        return MultipartGone(code)
    if code in MISSING:
        return BlobMissing(code)
    if code in CHANGED:
        return BlobChanged(code)
    if code in REFUSED_PARTS:
        return PartsRefused(code)
    _log.warning("storage_failed", kind=error.operation_name, error=code)
    return StorageUnavailable()


def part_sizes(size_bytes: int, part_bytes: int) -> Iterator[int]:
    """Of parts that together are so many bytes: all alike but the last."""
    for start in range(0, size_bytes, part_bytes):
        yield min(part_bytes, size_bytes - start)
