"""The door to S3 beside obstore: signing, copying under a condition, parts, and what is missing."""

import hashlib
from uuid import uuid4

import httpx
import pytest
from botocore.exceptions import ClientError

from pm_api.core.settings_storage import S3Settings, StorageSettings
from pm_api.integrations.blobs import BlobMissing, StorageUnavailable, presigning
from pm_api.integrations.blobs.presigning import (
    BlobChanged,
    MultipartGone,
    PartsRefused,
    Presigner,
    SentPart,
    part_sizes,
)
from tests.support import stores
from tests.support.processes import free_port

PART = 5 * 1024**2


@pytest.fixture
def presigner() -> Presigner:
    return presigner_with()


def presigner_with(**settings: str) -> Presigner:
    return Presigner(StorageSettings(url=""), S3Settings.model_validate(stores.s3_settings(prefix="p", **settings)))


def key() -> str:
    return f"incoming/{uuid4()}"


def put(under: str, content: bytes) -> None:
    stores.client().put_object(Bucket=stores.bucket(), Key=f"p/{under}", Body=content)


async def test_what_is_signed(presigner: Presigner) -> None:
    """Length and checksum are part of the signature, the key lies under the prefix, and there is an end to it."""
    one = key()
    request = await presigner.put(one, size_bytes=12, sha256=hashlib.sha256(b"x").digest(), expires_in_s=60)
    url = httpx.URL(request.url)
    assert url.path == f"/{stores.bucket()}/p/{one}"
    assert url.params["X-Amz-SignedHeaders"].split(";") == ["content-length", "host", "x-amz-checksum-sha256"]
    assert url.params["X-Amz-Expires"] == "60"
    assert list(request.headers) == ["x-amz-checksum-sha256"]
    part = await presigner.part(one, "id", 3, size_bytes=5, expires_in_s=60)
    assert httpx.URL(part.url).params["partNumber"] == "3"
    assert "content-length" in httpx.URL(part.url).params["X-Amz-SignedHeaders"]
    assert part.headers == {}


async def test_a_copy_is_of_what_was_looked_at(presigner: Presigner) -> None:
    one, other = key(), key()
    conditions = stores.honour_conditions(presigner._client)
    assert await presigner.arrived(one) is None
    put(one, b"first")
    seen = await presigner.arrived(one)
    assert seen is not None
    assert seen.size_bytes == 5
    put(one, b"other")
    with pytest.raises(BlobChanged):
        await presigner.copy(seen, other)
    assert await presigner.arrived(other) is None
    now = await presigner.arrived(one)
    assert now is not None
    await presigner.copy(now, other)
    copied = await presigner.arrived(other)
    assert copied is not None
    assert copied.etag == now.etag
    assert conditions.seen == [f"p/{one}"] * 2
    stores.client().delete_object(Bucket=stores.bucket(), Key=f"p/{one}")
    with pytest.raises(BlobMissing):
        await presigner_with().copy(now, other)


async def test_what_is_too_large_for_one_copy_is_copied_in_parts(
    presigner: Presigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presigning, "LARGEST_COPY_BYTES", PART)
    monkeypatch.setattr(presigning, "COPY_PART_BYTES", PART)
    one, other = key(), key()
    conditions = stores.honour_conditions(presigner._client)
    content = uuid4().bytes * (PART // 8)
    put(one, content)
    seen = await presigner.arrived(one)
    assert seen is not None
    await presigner.copy(seen, other)
    found = stores.client().get_object(Bucket=stores.bucket(), Key=f"p/{other}")["Body"].read()
    assert found == content
    assert conditions.seen == [f"p/{one}"] * 2
    put(one, content[::-1])
    with pytest.raises(BlobChanged):
        await presigner.copy(seen, other)
    assert [open_one async for open_one in presigner.open_multiparts() if open_one.key == other] == []


async def test_parts(presigner: Presigner) -> None:
    one = key()
    multipart_id = await presigner.begin_multipart(one)
    [found] = [found async for found in presigner.open_multiparts() if found.key == one]
    assert found.multipart_id == multipart_id
    request = await presigner.part(one, multipart_id, 1, size_bytes=4, expires_in_s=60)
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        answer = await client.put(request.url, content=b"part")
    with pytest.raises(PartsRefused):
        await presigner.complete_multipart(one, multipart_id, [SentPart(2, '"0"')])
    await presigner.complete_multipart(one, multipart_id, [SentPart(1, answer.headers["etag"])])
    arrived = await presigner.arrived(one)
    assert arrived is not None
    assert (arrived.size_bytes, arrived.sha256) == (4, None)
    await presigner.abort_multipart(one, multipart_id)
    await presigner.abort_multipart(one, "never")


async def test_a_store_that_is_away_is_told_as_such() -> None:
    away = presigner_with(endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageUnavailable):
        await away.arrived(key())


async def test_a_bucket_that_is_not_there_is_not_an_object_that_is_not_there() -> None:
    with pytest.raises((StorageUnavailable, BlobMissing)):
        await presigner_with(bucket=f"pm-{uuid4().hex[:8]}").probe()
    assert "answers" in await presigner_with().probe()


def test_where_files_are_not_in_s3_it_is_off() -> None:
    assert not Presigner(StorageSettings(url=""), S3Settings()).is_on
    assert not Presigner(StorageSettings(url="gs://bucket"), S3Settings()).is_on
    by_url = Presigner(StorageSettings(url="s3://bucket/deep/inside"), S3Settings())
    assert by_url.is_on
    assert by_url._at("a") == {"Bucket": "bucket", "Key": "deep/inside/a"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("NoSuchUpload", MultipartGone),
        ("NoSuchKey", BlobMissing),
        ("404", BlobMissing),
        ("412", BlobChanged),
        ("PreconditionFailed", BlobChanged),
        ("InvalidPart", PartsRefused),
        ("EntityTooSmall", PartsRefused),
        ("AccessDenied", StorageUnavailable),
        ("SlowDown", StorageUnavailable),
        ("", StorageUnavailable),
    ],
)
def test_what_the_store_says_in_our_words(code: str, kind: type[Exception]) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "a key and a secret"}}, "CompleteMultipartUpload")
    told = presigning._translated(error)
    assert type(told) is kind
    assert "secret" not in str(told)


def test_part_sizes() -> None:
    assert [*part_sizes(11, 5)] == [5, 5, 1]
    assert [*part_sizes(10, 5)] == [5, 5]
    assert [*part_sizes(0, 5)] == []
