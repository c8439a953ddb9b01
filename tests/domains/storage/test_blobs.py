"""The store's door on local disk: whole objects or none, and keys that lead nowhere else."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest
from obstore.store import AzureStore

from pm_api.core.settings_storage import S3Settings, StorageSettings
from pm_api.integrations.blobs import BlobDoor, BlobMissing, StorageUnavailable

MEGABYTE = 1 << 20


@pytest.fixture
def door(tmp_path: Path) -> BlobDoor:
    return BlobDoor(StorageSettings(), S3Settings(), tmp_path)


def files_in(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


async def content_of(door: BlobDoor, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in door.read(key, start, end)])


async def test_a_door_makes_nothing_before_it_is_used(door: BlobDoor, tmp_path: Path) -> None:
    assert [*tmp_path.iterdir()] == []
    await door.put("a/b", b"x")
    assert files_in(tmp_path) == ["files/a/b"]


async def test_what_is_written_is_read_back_in_parts(door: BlobDoor) -> None:
    content = os.urandom(3 * MEGABYTE + 17)
    async with door.writer("a/large") as writing:
        for at in range(0, len(content), 100_000):
            await writing.write(content[at : at + 100_000])
        assert await door.head("a/large") is None, "nothing is there before it is whole"
        await writing.finish()
    head = await door.head("a/large")
    assert head is not None
    assert (head.key, head.size_bytes) == ("a/large", len(content))
    assert await content_of(door, "a/large") == content
    for start, end in ((0, 1), (5, 5), (MEGABYTE - 1, MEGABYTE + 1), (len(content) - 3, None), (0, len(content) * 2)):
        assert await content_of(door, "a/large", start, end) == content[start:end]
    assert max([len(piece) async for piece in door.read("a/large")]) == MEGABYTE


async def test_nothing_in_nothing_out(door: BlobDoor) -> None:
    async with door.writer("a/empty") as writing:
        await writing.finish()
    assert await content_of(door, "a/empty") == b""


@pytest.mark.parametrize("written_bytes", [0, 10, 20 * MEGABYTE])
async def test_who_leaves_before_the_end_leaves_nothing(door: BlobDoor, tmp_path: Path, written_bytes: int) -> None:
    async def write() -> None:
        async with door.writer("a/half") as writing:
            await writing.write(b"x" * written_bytes)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write()
    assert files_in(tmp_path) == []

    async with door.writer("a/half") as writing:
        await writing.write(b"x" * written_bytes)
    assert files_in(tmp_path) == [], "leaving without an error is no finish either"


async def test_a_writer_that_is_cancelled_leaves_nothing(door: BlobDoor, tmp_path: Path) -> None:
    began = asyncio.Event()

    async def write() -> None:
        async with door.writer("a/half") as writing:
            await writing.write(b"x" * (20 * MEGABYTE))
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_in(tmp_path) == []


async def test_a_reader_reads_what_is_deleted_under_it_to_its_end(door: BlobDoor) -> None:
    await door.put("a/b", b"x" * (3 * MEGABYTE))
    reading = door.read("a/b")
    assert len(await anext(reading)) == MEGABYTE
    await door.delete("a/b")
    assert [len(piece) async for piece in reading] == [MEGABYTE, MEGABYTE]


async def test_what_is_missing_is_told_apart_from_a_store_that_fails(door: BlobDoor, tmp_path: Path) -> None:
    await door.put("a/b", b"x")
    with pytest.raises(BlobMissing):
        await content_of(door, "a/c")
    with pytest.raises(BlobMissing):
        await door.copy("a/c", "a/d")
    assert await door.head("a/c") is None
    await door.delete("a/c", "a/b", "a/c")
    assert files_in(tmp_path) == []
    blocked = BlobDoor(StorageSettings(), S3Settings(), tmp_path / "blocked")
    (tmp_path / "blocked").write_text("a file where a folder should be")
    with pytest.raises(StorageUnavailable):
        await blocked.put("a/b", b"x")


async def test_a_copy_is_an_object_of_its_own(door: BlobDoor) -> None:
    await door.put("a/b", b"one")
    await door.copy("a/b", "c/d")
    await door.put("a/b", b"two")
    assert (await content_of(door, "a/b"), await content_of(door, "c/d")) == (b"two", b"one")


@pytest.mark.parametrize("key", ["", "/a", "a/../b", "a//b", "a/", "a\x00", "A", "ä", "a b", "a#1", "."])
async def test_a_key_is_ours_or_it_is_none(door: BlobDoor, key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        await door.put(key, b"x")
    with pytest.raises(ValueError, match="is no key"):
        await content_of(door, key)


async def test_a_list_is_sorted_and_goes_on_where_it_stopped(door: BlobDoor) -> None:
    keys = ["a-b/c", "a/b", "a/b-c/d", "a/b/c", "a0", "b/c"]
    keys = [key for key in keys if key != "a/b"]  # a folder on disk cannot be a file too
    for key in keys:
        await door.put(key, b"x")
    assert [one.key async for one in door.list("")] == sorted(keys)
    assert [one.key async for one in door.list("a")] == ["a/b-c/d", "a/b/c"]
    assert [one.key async for one in door.list("a/")] == ["a/b-c/d", "a/b/c"]
    for number, key in enumerate(sorted(keys)):
        assert [one.key async for one in door.list("", after=key)] == sorted(keys)[number + 1 :]
    assert [one.key async for one in door.list("nothing/here")] == []


async def test_what_a_dead_writer_left_is_cleared_once_it_is_old(door: BlobDoor, tmp_path: Path) -> None:
    await door.put("a/b", b"x")
    left = tmp_path / "files" / "a" / "half#1"
    left.write_bytes(b"x" * 100)
    assert [one.key async for one in door.list("")] == ["a/b"]
    now = datetime.now(UTC)
    assert await door.clear_unfinished(now - timedelta(hours=1)) == 0
    assert await door.clear_unfinished(now + timedelta(seconds=1)) == 1
    assert files_in(tmp_path) == ["files/a/b"]


async def test_empty_folders_do_not_pile_up(door: BlobDoor, tmp_path: Path) -> None:
    await door.put("tus/one/1-0", b"x")
    await door.delete("tus/one/1-0")
    assert [*(tmp_path / "files").iterdir()] == []


def test_the_first_name_of_an_azure_address_is_its_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account is not part of it: it comes with its key from the environment."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "ours")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    store = BlobDoor(StorageSettings(url="az://files/deep/inside"), S3Settings(), tmp_path)._store
    assert isinstance(store, AzureStore)
    assert (store.config["container_name"], store.prefix) == ("files", "deep/inside")
    assert "ours.blob.core.windows.net/files/deep/inside/a" in obstore.sign(store, "GET", "a", timedelta(minutes=1))


def test_settings_say_where_files_lie(tmp_path: Path) -> None:
    s3 = S3Settings(bucket="files")
    assert BlobDoor(StorageSettings(), S3Settings(), tmp_path).root == tmp_path / "files"
    assert BlobDoor(StorageSettings(url="file:///var/lib/our%20files"), S3Settings(), tmp_path).root == Path(
        "/var/lib/our files"
    )
    assert (BlobDoor(StorageSettings(), s3, tmp_path).root, BlobDoor(StorageSettings(), s3, tmp_path).is_s3) == (
        None,
        True,
    )
    assert not BlobDoor(StorageSettings(url="gs://files"), S3Settings(), tmp_path).is_s3
    with pytest.raises(ValueError, match="begins with"):
        StorageSettings(url="ftp://files")
    with pytest.raises(ValueError, match="go together"):
        S3Settings(bucket="files", access_key_id="key")
