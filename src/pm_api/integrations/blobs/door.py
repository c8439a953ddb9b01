"""One door for all stores. What is written is seen whole or not at all: a key holds nothing before `finish`."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store, from_url

from pm_api.core.settings_storage import S3Settings, StorageSettings
from pm_api.integrations.blobs import disk
from pm_api.integrations.blobs.values import BlobDamaged, BlobHead, BlobMissing, StorageUnavailable, check_key

PIECE_BYTES: Final = 1 << 20
"""How much is read at a time."""
PART_BYTES: Final = 8 << 20
"""Parts of a larger object: S3 takes at most 10,000 of them, so one object has at most 80 GB."""
PARTS_AT_ONCE: Final = 2
LARGEST_COPY_BYTES: Final = 5_000_000_000
"""What S3 copies by itself; more goes through this process."""
DELETED_AT_ONCE: Final = 1000

CLIENT: Final = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=60),
    # From the first byte to the last of one request: as long as a slow reader takes for a large file.
    "timeout": timedelta(hours=12),
}
RETRIES: Final = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}

_log = structlog.get_logger(__name__)


@contextmanager
def _told(key: str) -> Iterator[None]:
    """The library's errors as ours. Its texts hold addresses and paths: they go into the log alone."""
    try:
        yield
    except FileNotFoundError:
        raise BlobMissing(key) from None
    except (BaseError, OSError) as error:
        _log.warning("storage_failed", key=key, kind=type(error).__name__, error=str(error)[:500])
        raise StorageUnavailable from error


class BlobWriter:
    """An object being written. Without `finish` there will be none."""

    def __init__(self, key: str, writer: Any) -> None:
        self.key = key
        self._writer = writer
        self.is_finished = False

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        with _told(self.key):
            await self._writer.write(data)

    async def finish(self) -> None:
        """Put the object under its key, whole."""
        with _told(self.key):
            await self._writer.close()
        self.is_finished = True


class BlobDoor:
    """The store of one installation. Nothing is asked of it, nor made on disk, before the first use."""

    def __init__(self, storage: StorageSettings, s3: S3Settings, data_dir: Path) -> None:
        self._url = storage.url
        self._s3 = s3
        self._root = data_dir / "files"
        if not s3.bucket and urlsplit(self._url).scheme == "file":
            self._root = Path(unquote(urlsplit(self._url).path))

    @property
    def is_s3(self) -> bool:
        return bool(self._s3.bucket) or urlsplit(self._url).scheme == "s3"

    @property
    def root(self) -> Path | None:
        """Where files lie on this machine, if they do."""
        return self._root if not self.is_s3 and urlsplit(self._url).scheme in ("", "file") else None

    @cached_property
    def _store(self) -> LocalStore | S3Store | GCSStore | AzureStore:
        client: Any = dict(CLIENT)
        retries: Any = RETRIES
        if self.root is not None:
            return self._local(self.root)
        if self._s3.bucket:
            options: dict[str, Any] = {"region": self._s3.region}
            if self._s3.endpoint:
                options["endpoint"] = self._s3.endpoint.rstrip("/")
                client["allow_http"] = urlsplit(self._s3.endpoint).scheme == "http"
            if self._s3.access_key_id:
                options["access_key_id"] = self._s3.access_key_id
                options["secret_access_key"] = self._s3.secret_access_key.get_secret_value()
            return S3Store(
                self._s3.bucket,
                prefix=self._s3.prefix or None,
                client_options=client,
                retry_config=retries,
                **options,
            )
        made: Any = from_url(self._url, client_options=client, retry_config=retries)
        return cast("S3Store | GCSStore | AzureStore", made)

    @staticmethod
    def _local(root: Path) -> LocalStore:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return LocalStore(root, automatic_cleanup=True)

    # --- writing ----------------------------------------------------------------------------------------------

    async def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Write an object at once. What was under the key is replaced."""
        with _told(check_key(key)):
            await self._store.put_async(key, data, use_multipart=False)

    @asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator[BlobWriter]:
        """Write an object piece by piece. Who leaves without `finish` leaves nothing behind."""
        with _told(check_key(key)):
            opened = obstore.open_writer_async(
                self._store, key, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            )
        writing = BlobWriter(key, opened)
        try:
            yield writing
        finally:
            if not writing.is_finished:
                await _abandon(key, opened)

    async def copy(self, from_: str, to: str) -> None:
        """Raises BlobMissing."""
        check_key(to)
        if self.is_s3:
            head = await self.head(from_)
            if head is None:
                raise BlobMissing(from_)
            if head.size_bytes > LARGEST_COPY_BYTES:
                await self._copy_through(from_, to)
                return
        with _told(check_key(from_)):
            await self._store.copy_async(from_, to)

    async def _copy_through(self, from_: str, to: str) -> None:
        async with self.writer(to) as writing:
            async for piece in self.read(from_):
                await writing.write(piece)
            await writing.finish()

    async def delete(self, *keys: str) -> None:
        """What is not there is as good as deleted."""
        for key in keys:
            check_key(key)
        if self.is_s3:  # one request for many; that some were not there is no error to S3
            for first in range(0, len(keys), DELETED_AT_ONCE):
                with _told(keys[first]):
                    await self._store.delete_async(list_of(keys[first : first + DELETED_AT_ONCE]))
            return
        for key in keys:
            try:
                with _told(key):
                    await self._store.delete_async(key)
            except BlobMissing:
                continue

    # --- reading ----------------------------------------------------------------------------------------------

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, whole_bytes: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to, without, `end`, about a megabyte at a time; raises BlobMissing before the
        first piece, and BlobDamaged where the store says that the object has not `whole_bytes`. On disk what has been
        opened is read to its end even when it is deleted meanwhile.
        """
        check_key(key)
        if end is not None and end <= start:
            return
        if self.root is not None:
            try:
                with _told(key):
                    async for piece in disk.read(self.root / key, start, end, PIECE_BYTES, whole_bytes):
                        yield piece
            except disk.OfAnotherSize as found_so:
                raise BlobDamaged(key, found_so.size_bytes) from None
            return
        options: Any = None
        if end is not None:
            options = {"range": (start, end)}
        elif start:
            options = {"range": {"offset": start}}
        try:
            with _told(key):
                found = await self._store.get_async(key, options=options)
        except StorageUnavailable:
            # A store refuses a range that begins behind what is left of an object.
            if start and whole_bytes is not None:
                await self._ensure_whole(key, whole_bytes)
            raise
        if whole_bytes is not None and found.meta["size"] != whole_bytes:
            raise BlobDamaged(key, found.meta["size"])
        with _told(key):
            async for chunk in found.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(chunk)

    async def _ensure_whole(self, key: str, whole_bytes: int) -> None:
        head = await self.head(key)
        if head is None:
            raise BlobMissing(key)
        if head.size_bytes != whole_bytes:
            raise BlobDamaged(key, head.size_bytes)

    async def head(self, key: str) -> BlobHead | None:
        try:
            with _told(check_key(key)):
                found = await self._store.head_async(key)
        except BlobMissing:
            return None
        return _head(cast("dict[str, Any]", found))

    async def list(self, prefix: str, after: str | None = None) -> AsyncGenerator[BlobHead, None]:
        """What lies under a folder, sorted by key; with `after` what comes after that key."""
        folder = prefix.strip("/")
        if self.root is not None:
            with _told(folder):
                async for found in disk.listed(self.root, folder, after):
                    yield found
            return
        with _told(folder):
            async for page in self._store.list(folder or None, offset=after, chunk_size=1000):
                for one in page:
                    yield _head(cast("dict[str, Any]", one))

    async def clear_unfinished(self, before: datetime) -> int:
        """Remove what writers that died have left on disk, if it is older; how many files it was. Stores over the
        network keep parts of their own, which are aborted through their own interface.
        """
        if self.root is None:
            return 0
        with _told("unfinished"):
            return await disk.clear_unfinished(self.root, before)


async def _abandon(key: str, opened: Any) -> None:
    """The library drops what it has staged when it is told of an error."""
    left = RuntimeError("left without finishing")
    try:
        await opened.__aexit__(type(left), left, None)
    except (BaseError, OSError, RuntimeError) as error:
        _log.info("storage_abort_failed", key=key, error=type(error).__name__)


def _head(found: dict[str, Any]) -> BlobHead:
    return BlobHead(found["path"], found["size"], found["e_tag"], found["last_modified"])


def list_of(keys: tuple[str, ...]) -> "list[str]":
    return [*keys]
