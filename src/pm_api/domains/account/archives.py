"""Putting an export together: stretch by stretch into a zip on disk, then part by part into the database.

No session is open while the zip is written, and never more than a stretch and a part are in memory. Whatever dies in
between leaves a row that is begun anew.
"""

import tempfile
import zipfile
from collections.abc import Sequence
from typing import IO, Any, Final
from uuid import UUID

import orjson

from pm_api.core import personal
from pm_api.core.personal import ExportFile
from pm_api.core.platform import Platform
from pm_api.domains.account import exports, repository
from pm_api.domains.account.contributors import CONTRIBUTORS

ROWS_AT_A_TIME: Final = 500
PART_BYTES: Final = 1024 * 1024
MOST_BYTES: Final = 256 * 1024 * 1024
ROOM_FOR_THE_REST: Final = 1024 * 1024
"""What the list of what is in it may take up, and what does not become smaller."""
MOST_NAMED: Final = 1000
"""Of what did not fit in: of the others only how many they are is said, or the list alone could be too large."""
README: Final = "README.txt"
CONTENT: Final = "storage/content/"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)

assert CONTRIBUTORS, "every slice's files are registered"


class TooLarge(Exception):
    """The zip is larger than is kept."""


async def build(platform: Platform, export_id: UUID) -> None:
    """Make an export, unless it was made before; raises TooLarge."""
    async with platform.database.transaction() as session:
        person_id = await exports.begin(session, platform, export_id)
    if person_id is None:
        return
    with tempfile.TemporaryFile(prefix="pm-export-") as file:
        count = await _write(platform, person_id, file)
        await _keep(platform, export_id, file, count)


async def _write(platform: Platform, person_id: UUID, file: IO[bytes]) -> int:
    """How many files it has, what there is nothing of left out."""
    told: list[ExportFile] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in personal.files():
            has_rows = await _write_one(platform, person_id, archive, one, file)
            told += [one] if has_rows else []
        count, left_out = await _enclose(platform, person_id, archive, file)
        archive.writestr(_entry(README), _readme(platform, told, count, left_out))
    return len(told) + count + 1


async def _enclose(
    platform: Platform, person_id: UUID, archive: zipfile.ZipFile, file: IO[bytes]
) -> tuple[int, Sequence[str]]:
    """How many of the person's own files are in it as they are, and the names of those that are not."""
    count, left_out = 0, []
    async for one in personal.enclosed(platform, person_id):
        if file.tell() + one.size_bytes > MOST_BYTES - ROOM_FOR_THE_REST:
            left_out.append(one.name)
            continue
        pieces = one.open()
        first = await anext(pieces, b"")
        if len(first) == 0 < one.size_bytes:
            left_out.append(one.name)
            continue
        entry = _entry(one.name)
        entry.compress_type = zipfile.ZIP_STORED  # what takes up room is packed already
        with archive.open(entry, "w") as into:
            into.write(first)
            async for piece in pieces:
                into.write(piece)
        count += 1
    return count, left_out


async def _write_one(
    platform: Platform, person_id: UUID, archive: zipfile.ZipFile, one: ExportFile, file: IO[bytes]
) -> bool:
    rows, after = await _stretch(platform, person_id, one, None)
    if not rows:
        return False
    with archive.open(_entry(one.name), "w") as into:
        into.write(b"[\n")
        is_first = True
        while rows:
            lines = b",\n".join(orjson.dumps(row, default=str) for row in rows)
            into.write(lines if is_first else b",\n" + lines)
            is_first = False
            if file.tell() > MOST_BYTES:
                raise TooLarge
            rows, after = await _stretch(platform, person_id, one, after) if after is not None else ((), None)
        into.write(b"\n]\n")
    return True


async def _stretch(platform: Platform, person_id: UUID, one: ExportFile, after: Any) -> tuple[Sequence[Any], Any]:
    async with platform.database.reading() as session:
        return await one.read(session, person_id, after, ROWS_AT_A_TIME)


async def _keep(platform: Platform, export_id: UUID, file: IO[bytes], count: int) -> None:
    """Into the database, and ready, in one transaction; nothing when another worker was faster."""
    size_bytes = file.seek(0, 2)
    if size_bytes > MOST_BYTES:
        raise TooLarge
    file.seek(0)
    async with platform.database.transaction() as session:
        if await exports.finish(session, platform, export_id, size_bytes=size_bytes, files=count) is None:
            return
        await repository.drop_parts(session, [export_id])
        number = 0
        while part := file.read(PART_BYTES):
            await repository.put_part(session, export_id, number, part)
            number += 1


def _entry(name: str) -> zipfile.ZipInfo:
    """Without a time of its own: the rows say when."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _readme(platform: Platform, told: Sequence[ExportFile], count: int, left_out: Sequence[str]) -> str:
    lines = [f"{one.name}: {one.about}" for one in told]
    if count:
        lines.append(f"{CONTENT}: Your own files as they are, {count} of them, each in a folder named by its id.")
    if left_out:
        lines += [
            "",
            "These did not fit in, or are gone. Read each at the contentUrl that storage/files.json tells:",
            *left_out[:MOST_NAMED],
        ]
    if len(left_out) > MOST_NAMED:
        lines.append(f"and {len(left_out) - MOST_NAMED} more")
    return "\n".join(
        [
            "Everything we keep of you, as JSON, one file a subject.",
            f"Addresses that begin with / are at {platform.settings.public_url.rstrip('/')}",
            "",
            *lines,
            "",
        ]
    )
