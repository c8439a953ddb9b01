"""Bytes out: whole, in part, not at all when the caller has them; and never as anything but what they are."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from structlog.testing import capture_logs

from pm_api.core.platform import Platform
from pm_api.domains.storage.errors.files import RangeNotSatisfiable
from pm_api.domains.storage.models import StoredObject
from pm_api.domains.storage.ranges import Part, part_of
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import NewPerson, Person
from tests.domains.storage.boxes import sha256, uploaded
from tests.domains.storage.breaking import broken_off, place_of
from tests.domains.tasks.sites import refusal

TEXT = b"0123456789" * 300_000  # three pieces of the store's, and a bit


@pytest.fixture
async def file(person: Person) -> dict[str, Any]:
    return await uploaded(person, TEXT, "numbers.txt")


async def get(person: Person, file: dict[str, Any], **headers: str) -> httpx.Response:
    return await person.client.get(
        file["contentUrl"], headers={name.replace("_", "-"): headers[name] for name in headers}
    )


async def test_the_whole_file_and_what_is_said_of_it(person: Person, file: dict[str, Any]) -> None:
    answer = await get(person, file)
    assert answer.status_code == 200
    assert answer.content == TEXT
    assert answer.headers["etag"] == f'"{sha256(TEXT)}"'
    assert answer.headers["content-length"] == str(len(TEXT))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="numbers.txt"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_head_says_the_same_without_the_bytes(person: Person, file: dict[str, Any]) -> None:
    got, head = await get(person, file), await person.client.head(file["contentUrl"])
    assert head.status_code == 200
    assert head.content == b""
    for name in ("etag", "content-length", "content-type", "content-disposition", "accept-ranges"):
        assert head.headers[name] == got.headers[name]
    part = await person.client.head(file["contentUrl"], headers={"Range": "bytes=0-4"})
    assert (part.status_code, part.headers["content-length"]) == (200, got.headers["content-length"])
    beyond = await person.client.head(file["contentUrl"], headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 200, "a range is of GET alone"


async def test_who_has_the_bytes_gets_304(person: Person, file: dict[str, Any]) -> None:
    tag = f'"{sha256(TEXT)}"'
    for known in (tag, f'"other", {tag}', "*", f"W/{tag}"):
        answer = await get(person, file, If_None_Match=known)
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["etag"] == tag
    assert (await get(person, file, If_None_Match='"other"')).status_code == 200


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-14", 5, 15),
        ("bytes=1048570-1048590", 1_048_570, 1_048_591),
        ("bytes=2999990-", 2_999_990, 3_000_000),
        ("bytes=2999990-99999999", 2_999_990, 3_000_000),
        ("bytes=-7", 2_999_993, 3_000_000),
        ("bytes=-99999999", 0, 3_000_000),
    ],
)
async def test_one_range(person: Person, file: dict[str, Any], asked: str, start: int, end: int) -> None:
    answer = await get(person, file, Range=asked)
    assert answer.status_code == 206
    assert answer.content == TEXT[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(TEXT)}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=3000000-", "bytes=3000000-3000001", "bytes=-0"])
async def test_a_range_outside_is_416(person: Person, file: dict[str, Any], asked: str) -> None:
    answer = await get(person, file, Range=asked)
    assert refusal(answer) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(TEXT)}"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,3-4",
        "bytes=" + ",".join(f"{one}-{one}" for one in range(0, 2000, 2)),
        "bytes=5-2",
        "bytes=-",
        "bytes=a-b",
        "bytes=" + "9" * 5000 + "-",
        "lines=0-1",
        "0-1",
    ],
    ids=["two", "a thousand", "backwards", "nothing", "letters", "five thousand digits", "lines", "no unit"],
)
async def test_many_ranges_and_what_is_none_get_the_whole(person: Person, file: dict[str, Any], asked: str) -> None:
    answer = await get(person, file, Range=asked)
    assert answer.status_code == 200
    assert len(answer.content) == len(TEXT)
    assert "content-range" not in answer.headers


async def test_if_range_of_other_bytes_gets_the_whole(person: Person, file: dict[str, Any]) -> None:
    tag = f'"{sha256(TEXT)}"'
    assert (await get(person, file, Range="bytes=0-3", If_Range=tag)).status_code == 206
    for other in ('"other"', f"W/{tag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        answer = await get(person, file, Range="bytes=0-3", If_Range=other)
        assert (answer.status_code, len(answer.content)) == (200, len(TEXT)), other


async def test_an_empty_file_is_served_and_has_no_ranges(person: Person) -> None:
    file = await uploaded(person, b"", "nothing.txt")
    answer = await get(person, file)
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    assert (await get(person, file, Range="bytes=0-")).status_code == 416


async def test_in_place_only_what_is_safe(person: Person) -> None:
    picture = await uploaded(person, b"GIF89a" + bytes(40), "dot.gif", media_type="image/gif")
    shown = await person.client.get(picture["contentUrl"], params={"disposition": "inline"})
    assert shown.headers["content-disposition"] == 'inline; filename="dot.gif"'
    page = await uploaded(person, b"<html><script>alert(1)</script>", "page.html", media_type="text/html")
    saved = await person.client.get(page["contentUrl"], params={"disposition": "inline"})
    assert saved.headers["content-disposition"].startswith("attachment")
    wrong = await person.client.get(picture["contentUrl"], params={"disposition": "sideways"})
    assert wrong.status_code == 422


async def key_of(platform: Platform, person: Person) -> str:
    async with platform.database.reading() as session:
        return str(await session.scalar(select(StoredObject.key).where(StoredObject.account_id == person.id)))


async def test_bytes_that_are_gone_are_told_before_an_answer_begins(
    platform: Platform, person: Person, file: dict[str, Any]
) -> None:
    await platform.part(BlobDoor).delete(await key_of(platform, person))
    with capture_logs() as said:
        assert refusal(await get(person, file)) == (410, "file_gone")
    assert [one["event"] for one in said if one["log_level"] == "error"] == ["stored_bytes_damaged"]
    assert (await person.client.head(file["contentUrl"])).status_code == 410


async def test_bytes_that_are_cut_short_are_told_before_an_answer_begins(
    platform: Platform, person: Person, file: dict[str, Any]
) -> None:
    key = await key_of(platform, person)
    await platform.part(BlobDoor).put(key, TEXT[:-1])
    for asked in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=-1"}):
        assert refusal(await get(person, file, **asked)) == (410, "file_gone"), asked
    assert (await person.client.head(file["contentUrl"])).status_code == 410
    await platform.part(BlobDoor).put(key, TEXT)
    assert (await get(person, file)).content == TEXT


async def test_where_bytes_end_too_soon_the_connection_does_and_nothing_is_raised(
    app: FastAPI, platform: Platform, person: Person, file: dict[str, Any]
) -> None:
    place = place_of(platform, await key_of(platform, person))

    def cut() -> None:
        with place.open("r+b") as opened:
            opened.truncate(1_500_000)

    with capture_logs() as said:
        found = await broken_off(app, person, file["contentUrl"], cut)
    assert found == (200, 1_500_000)
    [line] = [one for one in said if one["log_level"] in ("error", "critical")]
    assert line["event"] == "stored_bytes_damaged"
    assert "exc_info" not in line


async def test_nobody_else_and_nobody_at_all(
    client: httpx.AsyncClient, new_person: NewPerson, file: dict[str, Any]
) -> None:
    other = await new_person()
    assert (await client.get(file["contentUrl"])).status_code == 401
    assert refusal(await other.client.get(file["contentUrl"])) == (404, "file_not_found")
    assert (await other.client.head(file["contentUrl"])).status_code == 404
    nothing = await other.client.get("/api/storage/files/not-an-id/content")
    assert refusal(nothing) == (404, "file_not_found")


def test_parts_are_worked_out_by_themselves() -> None:
    assert part_of("bytes=0-9", None, size_bytes=5, tag='"a"') == Part(0, 5)
    assert part_of(" Bytes = 1-2 ", None, size_bytes=5, tag='"a"') == Part(1, 3)
    assert part_of(None, None, size_bytes=5, tag='"a"') is None
    with pytest.raises(RangeNotSatisfiable):
        part_of("bytes=0-", None, size_bytes=0, tag='"a"')
