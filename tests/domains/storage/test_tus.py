"""tus 1.0.0: what the protocol says must be, each sentence with its test (the table is in docs/tus.md)."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select, update

from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.storage import lifecycle, tus_intake
from pm_api.domains.storage.keys import chunk_prefix
from pm_api.domains.storage.models import StorageUsage, UploadChunk, UploadSession
from pm_api.entitlements import service as entitlements
from pm_api.identity.permissions import Role
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import NewPerson, Person
from tests.domains.storage.tus_client import (
    ADDRESS,
    PIECE,
    VERSION,
    ask,
    begun,
    checksum,
    create,
    end,
    metadata,
    offset_of,
    send,
    some_bytes,
    upload_of,
)
from tests.domains.team.inviting import a_team
from tests.identity.teams import join
from tests.support.clock import MovableClock
from tests.support.plans import bought

EXTENSIONS: Final = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "expiration",
    "checksum",
    "termination",
)
PAGE: Final = Path(__file__).parents[3] / "docs" / "tus.md"


def id_of(address: str) -> UUID:
    return UUID(address.rsplit("/", 1)[-1])


async def keys_of(platform: Platform, address: str) -> list[str]:
    """What lies in the store of an upload's chunks."""
    return [found.key async for found in platform.part(BlobDoor).list(chunk_prefix(id_of(address)))]


async def chunks_of(platform: Platform, address: str) -> int:
    async with platform.database.reading() as session:
        found = await session.scalar(
            select(func.count()).select_from(UploadChunk).where(UploadChunk.upload_id == id_of(address))
        )
        return found or 0


async def row_of(platform: Platform, address: str) -> UploadSession:
    async with platform.database.reading() as session:
        return await session.get_one(UploadSession, id_of(address))


async def usage_of(platform: Platform, account_id: UUID) -> tuple[int, int]:
    """What an account has been promised, and what it uses."""
    async with platform.database.reading() as session:
        found = await session.get(StorageUsage, account_id)
        return (0, 0) if found is None else (found.reserved, found.total_used)


async def content_of(platform: Platform, address: str) -> bytes:
    """The object an upload has become, as it lies in the store."""
    row = await row_of(platform, address)
    return b"".join([piece async for piece in platform.part(BlobDoor).read(row.key)])


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    """A body whose length nobody announces."""
    for piece in pieces:
        yield piece


def test_the_table_names_tests_that_are_here() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text("utf-8")))
    assert len(named) > 25
    assert named <= set(globals())


# --- core -----------------------------------------------------------------------------------------------------------


async def test_an_upload_in_pieces_becomes_a_file(person: Person, platform: Platform) -> None:
    """The new offset is the sum of the offset before and the bytes received."""
    data = some_bytes(200_000)
    address = await begun(person, len(data), filetype="application/octet-stream")
    at = 0
    for size in (1, 65_536, 100_000, 34_463):
        answer = await send(person, address, at, data[at : at + size])
        at += size
        assert (answer.status_code, int(answer.headers["Upload-Offset"])) == (204, at), answer.text
    assert at == len(data)
    upload = await upload_of(person, address)
    assert (upload["state"], upload["file"]["originalName"]) == ("COMPLETED", "plan.bin")
    assert upload["receipt"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert upload["receipt"]["md5"] == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert await content_of(platform, address) == data
    assert await chunks_of(platform, address) == 0
    assert await usage_of(platform, person.id) == (0, len(data))


@pytest.mark.parametrize("raw", ["-1", "1.5", "one", "", "0x10", "9" * 20, "+1"])
async def test_offsets_are_non_negative_integers(person: Person, raw: str) -> None:
    address = await begun(person, 10)
    answer = await person.client.patch(
        address, headers={**VERSION, **PIECE, "Upload-Offset": raw}, content=b"0123456789"
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_tus_header")
    assert await offset_of(person, address) == 0


@pytest.mark.parametrize("raw", ["-1", "1.5", "many", "", "9" * 20])
async def test_lengths_are_non_negative_integers(person: Person, raw: str) -> None:
    answer = await person.client.post(ADDRESS, headers={**VERSION, "Upload-Length": raw})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_tus_header")


async def test_every_answer_says_the_version(person: Person, client: httpx.AsyncClient) -> None:
    address = await begun(person, 5)
    answers = [
        await create(person, 5),
        await ask(person, address),
        await send(person, address, 3, b"x"),
        await send(person, address, 0, b"12345"),
        await person.client.get(address, headers=VERSION),
        await person.client.put(ADDRESS, headers=VERSION),
        await client.post(ADDRESS, headers={**VERSION, "Upload-Length": "5"}),
        await ask(person, f"{ADDRESS}/{uuid4()}"),
        await person.client.patch(address, headers={"Tus-Resumable": "0.2.2"}),
        await end(person, address),
    ]
    assert [one.status_code for one in answers] == [201, 200, 409, 204, 405, 405, 401, 404, 412, 204]
    assert [one.headers.get_list("Tus-Resumable") for one in answers] == [["1.0.0"]] * len(answers)


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.1", "1.0.0, 0.2.2"])
async def test_another_version_is_refused_and_nothing_done(person: Person, version: str | None) -> None:
    address = await begun(person, 5)
    said = {} if version is None else {"Tus-Resumable": version}
    before = await upload_of(person, address)
    answers = [
        await person.client.post(ADDRESS, headers={**said, "Upload-Length": "5"}),
        await person.client.head(address, headers=said),
        await person.client.patch(address, headers={**said, **PIECE, "Upload-Offset": "0"}, content=b"12345"),
        await person.client.delete(address, headers=said),
    ]
    assert [one.status_code for one in answers] == [412] * 4
    assert {one.headers["Tus-Version"] for one in answers} == {"1.0.0"}
    assert answers[0].json()["code"] == "tus_version_unsupported"
    assert await upload_of(person, address) == before


@pytest.mark.parametrize("address", [ADDRESS, f"{ADDRESS}/{UUID(int=1)}"])
async def test_options_tell_what_is_spoken(client: httpx.AsyncClient, address: str) -> None:
    """Versions, extensions and algorithms as lists; a version that is sent along is ignored."""
    for said in ({}, {"Tus-Resumable": "0.0.1"}):
        answer = await client.options(address, headers=said)
        assert answer.status_code == 204
        assert answer.headers["Tus-Version"] == "1.0.0"
        assert answer.headers["Tus-Extension"].split(",") == list(EXTENSIONS)
        algorithms = answer.headers["Tus-Checksum-Algorithm"].split(",")
        assert algorithms == ["sha1", "sha256", "md5"]
        assert all(re.fullmatch(r"[a-z0-9-]+", one) for one in algorithms)
        assert "Tus-Max-Size" not in answer.headers, "each plan has its own"


async def test_the_method_may_be_said_in_a_header(person: Person) -> None:
    """Whatever the request's own method is, it is ignored."""
    address = await begun(person, 5)
    sent = {**VERSION, **PIECE, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await person.client.post(address, headers=sent, content=b"12")).status_code == 204
    asked = await person.client.post(address, headers={**VERSION, "X-HTTP-Method-Override": "HEAD"})
    assert (asked.status_code, asked.headers["Upload-Offset"]) == (200, "2")
    ended = await person.client.put(address, headers={**VERSION, "X-HTTP-Method-Override": "DELETE"})
    assert ended.status_code == 204
    assert (await ask(person, address)).status_code == 404
    nonsense = await person.client.post(address, headers={**VERSION, "X-HTTP-Method-Override": "BREW"})
    assert nonsense.status_code == 405


async def test_the_header_of_a_method_counts_at_these_addresses_alone(person: Person) -> None:
    answer = await person.client.get("/api/storage/uploads/x", headers={"X-HTTP-Method-Override": "DELETE"})
    assert answer.request.method == "GET"
    profile = await person.client.get("/api/user/profile", headers={"X-HTTP-Method-Override": "PATCH"})
    assert profile.status_code == 200


async def test_head_always_tells_the_offset(person: Person) -> None:
    """Also of nothing, and of an upload that is complete."""
    address = await begun(person, 5)
    empty = await ask(person, address)
    assert (empty.status_code, empty.headers["Upload-Offset"], empty.content) == (200, "0", b"")
    await send(person, address, 0, b"12345")
    assert (await upload_of(person, address))["state"] == "COMPLETED"
    full = await ask(person, address)
    assert (full.status_code, full.headers["Upload-Offset"], full.headers["Upload-Length"]) == (200, "5", "5")


async def test_head_tells_the_length_when_it_is_known(person: Person) -> None:
    assert (await ask(person, await begun(person, 7))).headers["Upload-Length"] == "7"
    assert "Upload-Length" not in (await ask(person, await begun(person, None))).headers


async def test_what_head_says_is_not_kept_by_anybody(person: Person) -> None:
    answer = await ask(person, await begun(person, 7))
    assert answer.headers.get_list("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("address", [f"{ADDRESS}/{UUID(int=7)}", f"{ADDRESS}/not-an-id"])
async def test_what_is_not_there_has_no_offset(person: Person, address: str) -> None:
    for answer in (await ask(person, address), await send(person, address, 0, b"x"), await end(person, address)):
        assert answer.status_code == 404
        assert "Upload-Offset" not in answer.headers


@pytest.mark.parametrize("said", ["application/json", "application/octet-stream", ""])
async def test_bytes_have_their_content_type(person: Person, said: str) -> None:
    address = await begun(person, 5)
    answer = await send(person, address, 0, b"12345", Content_Type=said)
    assert (answer.status_code, answer.json()["code"]) == (415, "tus_content_type_expected")
    assert await offset_of(person, address) == 0


@pytest.mark.parametrize("offset", [0, 2, 4, 5, 6])
async def test_another_offset_is_a_conflict_that_changes_nothing(
    person: Person, platform: Platform, offset: int
) -> None:
    address = await begun(person, 5, b"123")
    answer = await send(person, address, offset, b"xy")
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_offset_mismatch")
    assert (answer.json()["offset"], answer.headers["Upload-Offset"]) == (3, "3")
    assert await offset_of(person, address) == 3
    assert await chunks_of(platform, address) == 1
    await send(person, address, 3, b"45")
    assert await content_of(platform, address) == b"12345"


async def test_more_than_was_announced_is_refused(person: Person, platform: Platform) -> None:
    address = await begun(person, 5, b"123")
    too_much = await send(person, address, 3, b"456")
    assert (too_much.status_code, too_much.json()["code"]) == (413, "upload_length_exceeded")
    unannounced = await send(person, address, 3, in_pieces(b"4", b"5", b"6"))
    assert unannounced.status_code == 413
    assert await offset_of(person, address) == 3, "the last byte is not counted while more may come"
    assert (await send(person, address, 3, in_pieces(b"4", b"5"))).status_code == 204
    again = await send(person, address, 5, b"6")
    assert again.status_code == 413, "a complete upload takes no more"
    assert (await send(person, address, 5, b"")).status_code == 204
    assert await content_of(platform, address) == b"12345"


async def test_a_large_piece_is_cut_into_chunks(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tus_intake, "CHUNK_BYTES", 100_000)
    data = some_bytes(1_000_001)
    address = await begun(person, len(data) + 1)
    pieces = [data[at : at + 30_000] for at in range(0, len(data), 30_000)]
    answer = await send(person, address, 0, in_pieces(*pieces))
    assert answer.headers["Upload-Offset"] == str(len(data))
    assert await chunks_of(platform, address) == 12
    assert len(await keys_of(platform, address)) == 12
    await send(person, address, len(data), b"!")
    assert await content_of(platform, address) == data + b"!"


# --- creation -------------------------------------------------------------------------------------------------------


async def test_a_creation_answers_with_the_address(person: Person) -> None:
    answer = await create(person, 5)
    assert (answer.status_code, answer.content) == (201, b"")
    assert await offset_of(person, answer.headers["Location"]) == 0


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Upload-Defer-Length": "0"},
        {"Upload-Defer-Length": "2"},
        {"Upload-Defer-Length": "true"},
        {"Upload-Length": "5", "Upload-Defer-Length": "1"},
    ],
)
async def test_a_creation_says_its_length_or_that_it_will(person: Person, said: dict[str, str]) -> None:
    answer = await person.client.post(ADDRESS, headers={**VERSION, **said})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_tus_header")


async def test_metadata_comes_back_as_it_was_sent(person: Person) -> None:
    said = metadata(filename="Plan für Ωmega.pdf", filetype="application/pdf") + ",is_confidential,empty ,raw gIGC"
    answer = await person.client.post(ADDRESS, headers={**VERSION, "Upload-Length": "5", "Upload-Metadata": said})
    assert answer.status_code == 201, answer.text
    asked = await ask(person, answer.headers["Location"])
    assert asked.headers["Upload-Metadata"] == said
    assert (await upload_of(person, answer.headers["Location"]))["originalName"] == "Plan für Ωmega.pdf"
    without = await person.client.post(ADDRESS, headers={**VERSION, "Upload-Length": "5"})
    assert "Upload-Metadata" not in (await ask(person, without.headers["Location"])).headers


@pytest.mark.parametrize(
    "said",
    [
        "filename not_base64!",
        "filename cGxhbg",
        "filename cGxhbg== cGxhbg==",
        "filename cGxhbg==,filename cGxhbg==",
        "filename cGxhbg==,,a YQ==",
        " , ",
        pytest.param("a" * 9000, id="too long"),
    ],
)
async def test_metadata_is_keys_once_with_values_in_base64(person: Person, said: str) -> None:
    answer = await person.client.post(ADDRESS, headers={**VERSION, "Upload-Length": "5", "Upload-Metadata": said})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_tus_header"), answer.text


async def test_an_empty_upload_is_complete_at_once(person: Person, platform: Platform) -> None:
    address = await begun(person, 0)
    upload = await upload_of(person, address)
    assert (upload["state"], upload["file"]["fileSize"]) == ("COMPLETED", 0)
    assert upload["receipt"]["sha256"] == hashlib.sha256(b"").hexdigest()
    assert await content_of(platform, address) == b""


async def test_an_upload_above_the_plans_limit_is_too_large(person: Person, platform: Platform) -> None:
    workspace_id = await a_team(platform, person)
    async with platform.database.transaction() as session:
        limits = await bought(session, platform, UUID(workspace_id), limits={"max_file_bytes": 1000})
        await entitlements.write(session, platform, limits)
    refused = await create(person, 1001, workspaceId=workspace_id)
    assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (413, "file_too_large", 1000)
    address = await begun(person, None, workspaceId=workspace_id)
    declared = await send(person, address, 0, b"", Upload_Length="1001")
    assert (declared.status_code, declared.json()["code"]) == (413, "file_too_large")
    sent = await send(person, address, 0, b"x" * 1001)
    assert (sent.status_code, sent.json()["code"]) == (413, "file_too_large")
    unannounced = await send(person, address, 0, in_pieces(b"x" * 1000, b"x"))
    assert (unannounced.status_code, unannounced.json()["code"]) == (413, "file_too_large")
    assert (await send(person, address, 0, b"x" * 1000, Upload_Length="1000")).status_code == 204
    assert await usage_of(platform, UUID(workspace_id)) == (0, 1000)


async def test_a_length_may_be_told_later_and_then_stays(person: Person, platform: Platform) -> None:
    address = await begun(person, None)
    assert (await ask(person, address)).headers["Upload-Defer-Length"] == "1"
    assert (await send(person, address, 0, b"123")).status_code == 204
    asked = await ask(person, address)
    assert (asked.headers["Upload-Defer-Length"], asked.headers["Upload-Offset"]) == ("1", "3")
    assert (await send(person, address, 3, b"", Upload_Length="2")).status_code == 400, "less than has come"
    assert (await send(person, address, 3, b"4", Upload_Length="6")).status_code == 204
    told = await ask(person, address)
    assert (told.headers["Upload-Length"], "Upload-Defer-Length" in told.headers) == ("6", False)
    assert await usage_of(platform, person.id) == (6, 0), "what was reserved beyond it is given back"
    for changed in ("5", "7"):
        refused = await send(person, address, 4, b"5", Upload_Length=changed)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_tus_header")
    assert (await send(person, address, 4, b"56", Upload_Length="6")).status_code == 204, "the same is no change"
    assert await content_of(platform, address) == b"123456"
    assert await usage_of(platform, person.id) == (0, 6)


async def test_a_length_told_with_a_piece_counts_once_the_piece_is_proven(person: Person, platform: Platform) -> None:
    """What is not as its checksum says changes nothing of the upload (Checksum)."""
    address = await begun(person, None, b"12")
    wrong = await send(person, address, 2, b"345", Upload_Length="5", **checksum(b"other"))
    assert wrong.status_code == 460
    asked = await ask(person, address)
    assert (asked.headers["Upload-Offset"], asked.headers["Upload-Defer-Length"]) == ("2", "1")
    beyond = await send(person, address, 2, b"3456", Upload_Length="5", **checksum(b"3456"))
    assert (beyond.status_code, beyond.headers["Upload-Offset"]) == (413, "2")
    short = await send(person, address, 2, b"3", Upload_Length="1", **checksum(b"3"))
    assert (short.status_code, short.headers["Upload-Offset"]) == (400, "2")
    assert "Upload-Length" not in (await ask(person, address)).headers
    assert (await send(person, address, 2, b"345", Upload_Length="5", **checksum(b"345"))).status_code == 204
    assert (await upload_of(person, address))["state"] == "COMPLETED"
    assert await usage_of(platform, person.id) == (0, 5)


async def test_a_length_told_with_nothing_left_completes_the_upload(person: Person, platform: Platform) -> None:
    address = await begun(person, None, b"12345")
    assert (await send(person, address, 5, b"", Upload_Length="5")).status_code == 204
    assert (await upload_of(person, address))["state"] == "COMPLETED"
    assert await content_of(platform, address) == b"12345"


# --- creation with upload -------------------------------------------------------------------------------------------


async def test_a_creation_takes_the_first_bytes(person: Person, platform: Platform) -> None:
    part = await create(person, 5, b"123")
    assert (part.status_code, part.headers["Upload-Offset"]) == (201, "3")
    whole = await create(person, 5, b"12345")
    assert (whole.status_code, whole.headers["Upload-Offset"]) == (201, "5")
    assert (await upload_of(person, whole.headers["Location"]))["state"] == "COMPLETED"
    assert await content_of(platform, whole.headers["Location"]) == b"12345"
    streamed = await create(person, 5, None, PIECE)
    assert (streamed.status_code, streamed.headers["Upload-Offset"]) == (201, "0")


async def test_a_creation_done_twice_is_two_uploads_and_the_idle_one_expires(
    person: Person, platform: Platform, clock: MovableClock
) -> None:
    """An upload is its own record: Idempotency-Key adds nothing to it."""
    headers = {**VERSION, "Upload-Length": "7", "Idempotency-Key": "once"}
    first, second = [await person.client.post(ADDRESS, headers=headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.headers["Location"] != second.headers["Location"]
    assert await usage_of(platform, person.id) == (14, 0)
    assert (await send(person, second.headers["Location"], 0, b"7 bytes")).status_code == 204
    clock.advance_business(hours=25)
    await lifecycle.expire_uploads(JobContext(platform, "a test"))
    assert await usage_of(platform, person.id) == (0, 7)


async def test_the_first_bytes_have_their_content_type_and_checksum(person: Person) -> None:
    other = await create(person, 5, b"123", {"Content-Type": "application/octet-stream"})
    assert (other.status_code, other.json()["code"]) == (415, "tus_content_type_expected")
    wrong = await create(person, 5, b"123", checksum(b"124"))
    assert (wrong.status_code, wrong.json()["code"]) == (460, "chunk_checksum_mismatch")
    address = wrong.headers["Location"]
    assert await offset_of(person, address) == 0, "the upload is there, its first bytes are not"
    assert (await send(person, address, 0, b"12345", **checksum(b"12345"))).status_code == 204


async def test_json_is_no_piece_and_is_not_read(person: Person) -> None:
    answer = await create(person, 5, b'{"workspaceId": 1', {"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (415, "tus_content_type_expected")


# --- expiration -----------------------------------------------------------------------------------------------------


def moment(answer: httpx.Response) -> float:
    raw = answer.headers["Upload-Expires"]
    assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", raw)
    return parsedate_to_datetime(raw).timestamp()


async def test_an_upload_says_when_it_expires(person: Person, clock: MovableClock) -> None:
    """In the answer to its creation and to each piece; every piece puts it off."""
    made = await create(person, 5)
    assert 24 * 3600 - 60 < moment(made) - clock.now().timestamp() <= 24 * 3600
    address = made.headers["Location"]
    clock.advance_business(hours=20)
    sent = await send(person, address, 0, b"12")
    assert 24 * 3600 - 60 < moment(sent) - clock.now().timestamp() <= 24 * 3600
    assert moment(await ask(person, address)) == moment(sent)
    assert moment(await send(person, address, 0, b"12")) == moment(sent), "refusals too"
    assert "Upload-Expires" not in (await send(person, address, 2, b"345")).headers, "it is complete"


async def test_pieces_put_the_end_off_for_a_week_and_no_longer(person: Person, clock: MovableClock) -> None:
    made = await create(person, 50)
    address, began = made.headers["Location"], moment(made) - 24 * 3600
    for at in range(8):
        clock.advance_business(hours=20)
        sent = await send(person, address, at, b"x")
        assert sent.status_code == 204
    assert moment(sent) - began == 7 * 24 * 3600
    clock.advance_business(hours=8, seconds=1)
    assert (await send(person, address, 8, b"x")).json()["code"] == "upload_gone"


async def test_an_expired_upload_is_gone(person: Person, clock: MovableClock) -> None:
    address = await begun(person, 5, b"12")
    clock.advance_business(hours=24, seconds=1)
    for answer in (await ask(person, address), await send(person, address, 2, b"345")):
        assert answer.status_code == 410
        assert "Upload-Offset" not in answer.headers
    assert (await send(person, address, 2, b"345")).json()["state"] == "EXPIRED"


# --- checksum -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
async def test_a_piece_is_compared_with_its_checksum(person: Person, platform: Platform, algorithm: str) -> None:
    """What does not agree is thrown away, and the offset stays."""
    address = await begun(person, 8, b"12")
    before = await keys_of(platform, address)
    wrong = await send(person, address, 2, b"3456", **checksum(b"3457", algorithm))
    assert (wrong.status_code, wrong.json()["code"]) == (460, "chunk_checksum_mismatch")
    assert wrong.headers["Upload-Offset"] == "2"
    assert await offset_of(person, address) == 2
    assert await keys_of(platform, address) == before
    assert (await send(person, address, 2, b"3456", **checksum(b"3456", algorithm))).status_code == 204
    assert (await send(person, address, 6, b"78")).status_code == 204
    assert await content_of(platform, address) == b"12345678"


async def test_a_checksum_is_of_the_whole_piece(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tus_intake, "CHUNK_BYTES", 100_000)
    data = some_bytes(450_000)
    address = await begun(person, len(data))
    pieces = [data[at : at + 30_000] for at in range(0, len(data), 30_000)]
    wrong = await send(person, address, 0, in_pieces(*pieces[:-1], b"x" * 30_000), **checksum(data))
    assert (wrong.status_code, await offset_of(person, address)) == (460, 0)
    assert await keys_of(platform, address) == []
    assert (await send(person, address, 0, in_pieces(*pieces), **checksum(data))).status_code == 204
    assert await content_of(platform, address) == data


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("crc32 AAAA", "checksum_algorithm_unsupported"),
        ("SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "checksum_algorithm_unsupported"),
        ("", "checksum_algorithm_unsupported"),
        ("sha1", "invalid_tus_header"),
        ("sha1 !", "invalid_tus_header"),
        ("sha1 AAAA", "invalid_tus_header"),
    ],
)
async def test_a_checksum_that_cannot_be_told_refuses_the_piece(person: Person, raw: str, code: str) -> None:
    address = await begun(person, 5)
    answer = await send(person, address, 0, b"12345", Upload_Checksum=raw)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert await offset_of(person, address) == 0


async def test_checksums_behind_the_body_are_not_announced(client: httpx.AsyncClient) -> None:
    answer = await client.options(ADDRESS)
    assert {"checksum-trailer", "concatenation"}.isdisjoint(answer.headers["Tus-Extension"].split(","))


# --- termination ----------------------------------------------------------------------------------------------------


async def test_an_ended_upload_is_gone_with_all_that_came(person: Person, platform: Platform) -> None:
    address = await begun(person, 500, b"12")
    assert await usage_of(platform, person.id) == (500, 0)
    answer = await end(person, address)
    assert (answer.status_code, answer.content) == (204, b"")
    for later in (await ask(person, address), await send(person, address, 2, b"3"), await end(person, address)):
        assert later.status_code in (404, 410)
    assert await usage_of(platform, person.id) == (0, 0)
    assert await chunks_of(platform, address) == 0


async def test_a_complete_upload_may_be_ended_and_its_file_stays(person: Person, platform: Platform) -> None:
    """Its address is given up. What it was stays true: it is complete, and its file counts as before."""
    address = await begun(person, 5, b"12345")
    before = await upload_of(person, address)
    row = await row_of(platform, address)
    used = await usage_of(platform, person.id)
    assert (await end(person, address)).status_code == 204
    for later in (await ask(person, address), await send(person, address, 5, b""), await end(person, address)):
        assert later.status_code == 410
    told = await send(person, address, 5, b"")
    assert (told.json()["state"], told.json()["failure"]) == ("COMPLETED", None)
    after = await upload_of(person, address)
    assert after == {**before, "version": after["version"]}
    assert (after["state"], after["receipt"]["fileSize"]) == ("COMPLETED", 5)
    assert (await row_of(platform, address)).ended_at == row.ended_at
    assert await usage_of(platform, person.id) == used == (0, 5)
    assert (await person.client.get(f"/api/storage/files/{before['fileId']}/content")).content == b"12345"


async def test_of_two_who_end_a_complete_upload_one_is_told_that_it_is_gone(person: Person) -> None:
    address = await begun(person, 5, b"12345")
    answers = await asyncio.gather(end(person, address), end(person, address))
    assert sorted(one.status_code for one in answers) == [204, 410]
    assert (await upload_of(person, address))["state"] == "COMPLETED"


# --- for scripts of other origins -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
async def test_scripts_of_other_origins_may_upload(platform: Platform, person: Person, method: str) -> None:
    origin = str(platform.settings.cors_origins[0])
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,tus-resumable,upload-length,upload-metadata,upload-offset",
    }
    preflight = await person.client.options(ADDRESS, headers=asked)
    assert preflight.status_code == 200, preflight.text
    assert method in preflight.headers["Access-Control-Allow-Methods"].split(", ")
    assert "upload-offset" in preflight.headers["Access-Control-Allow-Headers"].lower()
    assert preflight.headers["Tus-Version"] == "1.0.0"
    made = await create(person, 5, headers={"Origin": origin})
    exposed = {one.strip().lower() for one in made.headers["Access-Control-Expose-Headers"].split(",")}
    assert {"location", "upload-offset", "upload-length", "tus-resumable", "upload-expires"} <= exposed
    refused = await person.client.patch(made.headers["Location"], headers={"Origin": origin})
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (412, origin)


# --- who may, and how much ------------------------------------------------------------------------------------------


async def test_an_upload_is_its_uploaders_alone(
    new_person: NewPerson, platform: Platform, client: httpx.AsyncClient
) -> None:
    ann, bob, guest = await new_person(), await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    await join(platform, workspace_id, bob, Role.ADMIN)
    await join(platform, workspace_id, guest, Role.GUEST)
    address = await begun(ann, 5, workspaceId=workspace_id)
    for answer in (await ask(bob, address), await send(bob, address, 0, b"12345"), await end(bob, address)):
        assert answer.status_code == 404
    for asked in (client.head, client.delete):
        assert (await asked(address, headers=VERSION)).status_code == 401
    assert (await client.post(ADDRESS, headers={**VERSION, "Upload-Length": "5"})).status_code == 401
    assert (await create(guest, 5, workspaceId=workspace_id)).status_code == 403
    stranger = await new_person()
    assert (await create(stranger, 5, workspaceId=workspace_id)).status_code == 404
    assert (await create(ann, 5, workspaceId="no id")).status_code == 422
    assert (await create(ann, 5, workspaceId=workspace_id, fileType="NOTHING")).status_code == 422
    assert await offset_of(ann, address) == 0


async def test_a_full_account_takes_no_upload(person: Person, platform: Platform) -> None:
    workspace_id = await a_team(platform, person)
    async with platform.database.transaction() as session:
        limits = await bought(session, platform, UUID(workspace_id), limits={"max_storage_bytes": 1000})
        await entitlements.write(session, platform, limits)
    await begun(person, 900, workspaceId=workspace_id)
    refused = await create(person, 101, workspaceId=workspace_id)
    assert (refused.status_code, refused.json()["code"]) == (402, "storage_quota_exceeded")
    address = await begun(person, None, workspaceId=workspace_id)
    stopped = await send(person, address, 0, b"x" * 101)
    assert (stopped.status_code, stopped.json()["code"]) == (402, "storage_quota_exceeded")
    assert stopped.headers["Upload-Offset"] == "0"
    assert await keys_of(platform, address) == []
    assert (await send(person, address, 0, b"x" * 100, Upload_Length="100")).status_code == 204
    assert await usage_of(platform, UUID(workspace_id)) == (900, 100)


async def test_many_small_pieces_have_an_end(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte at a time is one object and one row at a time: it is bounded, and large pieces go on."""
    monkeypatch.setattr(tus_intake, "SMALL_CHUNKS", 5)
    address = await begun(person, 200_000)
    for at in range(5):
        assert (await send(person, address, at, b"x")).status_code == 204
    refused = await send(person, address, 5, b"x")
    assert (refused.status_code, refused.json()["code"]) == (422, "upload_fragmented")
    dropped = await send(person, address, 5, in_pieces(b"x"))
    assert (dropped.status_code, dropped.headers["Upload-Offset"]) == (204, "5"), "unannounced: not kept"
    assert await chunks_of(platform, address) == 5
    assert (await send(person, address, 5, b"y" * 65_536)).status_code == 204
    assert (await send(person, address, 65_541, b"z" * 134_459)).status_code == 204
    assert (await upload_of(person, address))["state"] == "COMPLETED"


async def test_the_last_small_piece_is_always_taken(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tus_intake, "SMALL_CHUNKS", 1)
    address = await begun(person, 2, b"1")
    assert (await send(person, address, 1, b"2")).status_code == 204
    assert await content_of(platform, address) == b"12"


async def test_a_whole_that_is_not_what_was_announced_fails(person: Person, platform: Platform) -> None:
    good = await begun(person, 5, b"12345", sha256=hashlib.sha256(b"12345").hexdigest())
    assert (await upload_of(person, good))["state"] == "COMPLETED"
    bad = await begun(person, 5, b"12346", sha256=hashlib.sha256(b"12345").hexdigest())
    upload = await upload_of(person, bad)
    assert (upload["state"], upload["failure"]) == ("FAILED", "checksum_mismatch")
    assert (await ask(person, bad)).status_code == 410
    assert await usage_of(platform, person.id) == (0, 5)
    unreadable = await create(person, 5, sha256="12")
    assert (unreadable.status_code, unreadable.json()["code"]) == (400, "invalid_tus_header")


async def test_a_lost_chunk_fails_the_upload(person: Person, platform: Platform) -> None:
    address = await begun(person, 5, b"123")
    await platform.part(BlobDoor).delete(*await keys_of(platform, address))
    assert (await send(person, address, 3, b"45")).status_code == 204, "the bytes of this request have come"
    upload = await upload_of(person, address)
    assert (upload["state"], upload["failure"]) == ("FAILED", "upload_length_mismatch")
    assert await usage_of(platform, person.id) == (0, 0)


async def test_a_key_out_of_order_is_not_joined(person: Person, platform: Platform) -> None:
    """Chunks that do not follow one another would make another file of the same length."""
    address = await begun(person, 6, b"12")
    await send(person, address, 2, b"34")
    async with platform.database.transaction() as session:
        await session.execute(
            update(UploadChunk)
            .where(UploadChunk.upload_id == id_of(address), UploadChunk.number == 1)
            .values(starts_at=3)
        )
    await send(person, address, 4, b"56")
    assert (await upload_of(person, address))["state"] == "FAILED"
