"""Uploads in one request: what is taken, what is refused, and that a refusal leaves nothing behind."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.jobs import JobContext
from pm_api.core.late_keys import LateKey
from pm_api.core.platform import Platform
from pm_api.domains.storage import finishing, lifecycle, sessions
from pm_api.domains.storage.destinations import Destination
from pm_api.domains.storage.enums import FileType, SessionState, UploadStatus, UploadWay
from pm_api.domains.storage.leases import Leases, Patience
from pm_api.domains.storage.models import DoomedObject, FileVersion, StoredFile, StoredObject, UploadSession
from pm_api.identity.permissions import Role
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import NewPerson, Person
from tests.domains.storage.boxes import (
    FORM_TYPE,
    UPLOADS,
    form,
    limit,
    refused,
    sha256,
    upload,
    uploaded,
    usage,
    used,
    user_account,
)
from tests.domains.tasks.sites import Site, open_site
from tests.support.clock import MovableClock

CONTENT = b"What a plan says, in words.\n" * 40


@pytest.fixture
async def site(platform: Platform, new_person: NewPerson) -> Site:
    return await open_site(platform, new_person)


async def objects_of(platform: Platform, account_id: UUID) -> list[StoredObject]:
    async with platform.database.reading() as session:
        found = await session.scalars(select(StoredObject).where(StoredObject.account_id == account_id))
        return [*found]


async def sessions_of(platform: Platform, account_id: UUID) -> list[UploadSession]:
    async with platform.database.reading() as session:
        found = await session.scalars(select(UploadSession).where(UploadSession.account_id == account_id))
        return [*found]


async def stored(platform: Platform, key: str) -> bytes | None:
    door = platform.part(BlobDoor)
    if await door.head(key) is None:
        return None
    return b"".join([piece async for piece in door.read(key)])


async def nothing_is_left(platform: Platform, account_id: UUID) -> None:
    """No object, no room taken, and no bytes under any key that a session had."""
    assert await objects_of(platform, account_id) == []
    assert await used(platform, account_id) == (0, 0)
    for one in await sessions_of(platform, account_id):
        assert one.state in (SessionState.FAILED, SessionState.EXPIRED)
        assert await stored(platform, one.key) is None


# --- the happy path ----------------------------------------------------------------------------------------------


async def test_what_comes_in_is_told_and_stored_whole(platform: Platform, person: Person) -> None:
    answer = await upload(person, CONTENT, "Plan für Maya.txt")
    assert answer.status_code == 201, answer.text
    file, receipt = answer.json()["file"], answer.json()["receipt"]
    assert answer.headers["Location"] == f"/api/storage/files/{file['id']}"
    assert answer.headers["ETag"] == f'"{file["version"]}"'
    assert (file["originalName"], file["fileSize"], file["uploadStatus"]) == ("Plan für Maya.txt", 1120, "COMPLETED")
    assert (file["mimeType"], file["declaredMimeType"]) == ("text/plain", "text/plain")
    assert (file["isTemporary"], file["versionNumber"], file["scanned"]) == (True, 1, False)
    assert (receipt["sha256"], receipt["md5"]) == (sha256(CONTENT), hashlib.md5(CONTENT).hexdigest())
    [kept] = await objects_of(platform, person.id)
    assert await stored(platform, kept.key) == CONTENT
    assert kept.key.startswith(f"user/{person.id}/temporary-upload/")
    row = await usage(platform, person.id)
    assert row is not None
    assert (row.temporary_files, row.total_used, row.reserved) == (len(CONTENT), len(CONTENT), 0)

    shown = await person.client.get(f"{UPLOADS}/{receipt['uploadId']}")
    assert shown.status_code == 200, shown.text
    found = shown.json()["upload"]
    assert (found["state"], found["receivedBytes"], found["totalBytes"]) == ("COMPLETED", 1120, 1120)
    assert found["receipt"] == receipt
    assert found["file"]["id"] == file["id"]


async def test_a_file_goes_where_the_address_says(platform: Platform, site: Site) -> None:
    project = await site.project()
    task = await site.task(project)
    attached = await uploaded(site.owner, CONTENT, workspaceId=site.id, fileType="TASK_ATTACHMENT", taskId=task["id"])
    assert (attached["taskId"], attached["fileType"]) == (task["id"], "TASK_ATTACHMENT")
    asset = await uploaded(site.owner, CONTENT + b"!", fileType="PROJECT_ASSET", projectId=project["id"])
    assert (asset["projectId"], asset["isTemporary"], asset["expiresAt"]) == (project["id"], False, None)
    row = await usage(platform, UUID(site.id))
    assert row is not None
    assert (row.task_attachments, row.project_assets) == (len(CONTENT), len(CONTENT) + 1)


async def test_fields_before_the_file_name_it_and_announce_it(person: Person) -> None:
    fields = {"name": "other.txt", "sha256": sha256(CONTENT), "md5": base64.b64encode(hashlib.md5(CONTENT).digest())}
    assert (await uploaded(person, CONTENT, "blob", fields=fields))["originalName"] == "other.txt"


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\r\n--line-between-part", b"\r\n" * 70_000],
    ids=["empty", "one", "nearly-a-boundary", "line-ends"],
)
@pytest.mark.parametrize("piece_bytes", [1, 7, 65536])
async def test_any_content_arrives_as_it_is_however_it_is_cut(
    platform: Platform, new_person: NewPerson, content: bytes, piece_bytes: int
) -> None:
    if piece_bytes == 1 and len(content) > 1000:
        content = content[:1000]
    person = await new_person()
    body = form(content, fields={"name": "cut.bin"})

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), piece_bytes):
            yield body[at : at + piece_bytes]

    announced = {"Content-Length": str(len(body))}
    answer = await person.client.post(UPLOADS, content=pieces(), headers={**FORM_TYPE, **announced})
    assert answer.status_code == 201, answer.text
    assert answer.json()["receipt"]["sha256"] == sha256(content)
    assert await used(platform, person.id) == (len(content), 0)


async def test_the_same_content_is_stored_once_and_counted_once(platform: Platform, person: Person) -> None:
    first = await uploaded(person, CONTENT, "one.txt")
    second = await uploaded(person, CONTENT, "two.txt")
    assert first["id"] != second["id"]
    [kept] = await objects_of(platform, person.id)
    assert await used(platform, person.id) == (len(CONTENT), 0)
    async with platform.database.reading() as session:
        doomed = await session.scalars(select(DoomedObject).where(DoomedObject.account_id == person.id))
        [double] = [*doomed]
    assert double.key != kept.key
    assert await stored(platform, kept.key) == CONTENT


async def test_two_accounts_never_share_an_object(platform: Platform, new_person: NewPerson) -> None:
    ann, ben = await new_person(), await new_person()
    await uploaded(ann, CONTENT)
    await uploaded(ben, CONTENT)
    [of_ann], [of_ben] = await objects_of(platform, ann.id), await objects_of(platform, ben.id)
    assert of_ann.key != of_ben.key


async def test_the_same_content_at_once_is_stored_once(platform: Platform, person: Person) -> None:
    answers = await asyncio.gather(*(upload(person, CONTENT, f"{number}.txt") for number in range(8)))
    assert {one.status_code for one in answers} == {201}
    [kept] = await objects_of(platform, person.id)
    assert await used(platform, person.id) == (len(CONTENT), 0)
    assert await stored(platform, kept.key) == CONTENT
    async with platform.database.reading() as session:
        doomed = {*await session.scalars(select(DoomedObject.key).where(DoomedObject.account_id == person.id))}
    assert len(doomed) == 7
    assert kept.key not in doomed


async def test_a_new_version_keeps_the_old_one_and_its_place(platform: Platform, person: Person) -> None:
    file = await uploaded(person, CONTENT, "plan.txt")
    answer = await upload(person, b"%PDF-1.7 better", "better.pdf", fileId=file["id"])
    assert answer.status_code == 201, answer.text
    after = answer.json()["file"]
    assert (after["id"], after["versionNumber"], after["originalName"]) == (file["id"], 2, "plan.txt")
    assert after["mimeType"] == "application/pdf"
    assert after["version"] > file["version"]
    row = await usage(platform, person.id)
    assert row is not None
    assert (row.old_versions, row.temporary_files) == (len(CONTENT), 15)
    async with platform.database.reading() as session:
        numbers = await session.scalars(select(FileVersion.number).where(FileVersion.file_id == UUID(file["id"])))
        assert sorted(numbers) == [1, 2]


# --- refused, and nothing left ---------------------------------------------------------------------------


async def test_more_than_there_is_room_for_is_refused_with_figures(platform: Platform, person: Person) -> None:
    await limit(platform, user_account(person), storage=2000)
    await uploaded(person, CONTENT)
    answer = await upload(person, b"y" * 881)
    content = refused(answer, 402, "storage_quota_exceeded")
    assert (content["used"], content["reserved"], content["limit"], content["needed"]) == (1120, 0, 2000, 881)
    assert content["largestCategories"] == [{"category": "TEMPORARY_FILES", "bytes": 1120}]
    assert content["upgradeUrl"].startswith("http://site.local/")
    assert await used(platform, person.id) == (1120, 0)
    assert (await upload(person, b"y" * 880)).status_code == 201, "exactly what fits is taken"
    assert await used(platform, person.id) == (2000, 0)


@pytest.mark.parametrize("end", [b"\r\n", b"", b"\r\nan epilogue"])
async def test_room_is_taken_for_the_file_not_for_the_form(platform: Platform, person: Person, end: bytes) -> None:
    if end:
        await limit(platform, user_account(person), storage=1000 + max(0, len(end) - 2))
    else:
        await limit(platform, user_account(person), storage=1000)
    body = form(b"z" * 1000, end=end)
    answer = await person.client.post(UPLOADS, content=body, headers=FORM_TYPE)
    assert answer.status_code == 201, answer.text
    assert await used(platform, person.id) == (1000, 0)


async def test_a_body_of_unknown_length_takes_room_as_it_comes(platform: Platform, person: Person) -> None:
    await limit(platform, user_account(person), storage=6 << 20)

    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(body), 1 << 20):
            yield body[at : at + (1 << 20)]

    fits = await person.client.post(UPLOADS, content=pieces(form(b"a" * (5 << 20))), headers=FORM_TYPE)
    assert fits.status_code == 201, fits.text
    assert await used(platform, person.id) == (5 << 20, 0)
    beyond = await person.client.post(UPLOADS, content=pieces(form(b"b" * (5 << 20))), headers=FORM_TYPE)
    refused(beyond, 402, "storage_quota_exceeded")
    assert await used(platform, person.id) == (5 << 20, 0)


async def test_one_file_beyond_the_plan_is_refused_before_it_is_read(platform: Platform, person: Person) -> None:
    await limit(platform, user_account(person), one_file=1000)
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 1000

    headers = {**FORM_TYPE, "Content-Length": "100000"}
    content = refused(await person.client.post(UPLOADS, content=pieces(), headers=headers), 413, "file_too_large")
    assert content["limit"] == 1000
    assert read <= 1, "httpx takes one piece ahead; the service took none"
    refused(await upload(person, b"x" * 1001), 413, "file_too_large")
    assert (await upload(person, b"x" * 1000)).status_code == 201
    assert await used(platform, person.id) == (1000, 0)


async def test_nobody_s_body_is_read_before_the_gate(client: httpx.AsyncClient, person: Person) -> None:
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(10):
            read += 1
            yield b"x" * 1000

    for caller, query, status in (
        (client, {}, 401),
        (person.client, {"workspaceId": str(uuid4())}, 404),
        (person.client, {"fileType": "TASK_ATTACHMENT", "taskId": str(uuid4())}, 404),
        (person.client, {"fileId": str(uuid4())}, 404),
        (person.client, {"fileType": "SOMETHING"}, 422),
    ):
        read = 0
        headers = {"Content-Type": "application/json", "Content-Length": "10000"}
        answer = await caller.post(UPLOADS, params=query, content=pieces(), headers=headers)
        assert answer.status_code == status, answer.text
        assert read <= 1, "httpx takes one piece ahead; the service took none"


@pytest.mark.parametrize("name", ["sha256", "md5"])
async def test_a_wrong_checksum_keeps_nothing(platform: Platform, person: Person, name: str) -> None:
    digest = hashlib.new(name, b"something else").hexdigest()
    refused(await upload(person, CONTENT, fields={name: digest}), 422, "checksum_mismatch")
    await nothing_is_left(platform, person.id)
    [ended] = await sessions_of(platform, person.id)
    shown = (await person.client.get(f"{UPLOADS}/{ended.id}")).json()["upload"]
    assert (shown["state"], shown["failure"]) == ("FAILED", "checksum_mismatch")
    assert (shown["file"], shown["receipt"]) == (None, None)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"sha256": "abc"}, "/sha256"),
        ({"md5": "zz" * 16}, "/md5"),
        ({"workspaceId": str(uuid4())}, "/workspaceId"),
        ({"colour": "red"}, "/colour"),
    ],
)
async def test_a_field_that_is_wrong_is_named(
    platform: Platform, person: Person, fields: dict[str, str], pointer: str
) -> None:
    content = refused(await upload(person, CONTENT, fields=fields), 422, "validation_failed")
    assert content["details"][0]["pointer"] == pointer
    assert await sessions_of(platform, person.id) == []


BROKEN: list[tuple[bytes, int, str]] = [
    (b"", 400, "upload_interrupted"),
    (b"no form at all", 400, "malformed_multipart"),
    (form(CONTENT)[:-60], 400, "upload_interrupted"),
    (form(CONTENT).replace(b'name="file"', b'name="files"'), 400, "malformed_multipart"),
    (form(CONTENT).replace(b'; filename="plan.txt"', b""), 400, "malformed_multipart"),
    (form(b"", fields={"name": "x" * 70_000}), 400, "malformed_multipart"),
    (form(b"", fields={f"field-{number}": "x" for number in range(21)}), 400, "malformed_multipart"),
    (form(CONTENT)[:-4] + b"\r\n" + form(CONTENT), 400, "malformed_multipart"),
]


@pytest.mark.parametrize(
    ("body", "status", "code"), BROKEN, ids=[f"{number}-{one[2]}" for number, one in enumerate(BROKEN)]
)
async def test_a_broken_form_is_refused_and_leaves_nothing(
    platform: Platform, new_person: NewPerson, body: bytes, status: int, code: str
) -> None:
    person = await new_person()
    refused(await person.client.post(UPLOADS, content=body, headers=FORM_TYPE), status, code)
    await nothing_is_left(platform, person.id)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "multipart/mixed; boundary=x", ""])
async def test_anything_else_than_a_form_is_415(person: Person, kind: str) -> None:
    answer = await person.client.post(UPLOADS, content=b"{}", headers={"Content-Type": kind})
    refused(answer, 415, "multipart_expected")


@pytest.mark.parametrize("file_type", ["USER_AVATAR", "WORKSPACE_LOGO", "DRIVE_CACHE"])
async def test_what_has_ways_of_its_own_is_not_uploaded_here(person: Person, file_type: str) -> None:
    refused(await upload(person, CONTENT, fileType=file_type), 422, "not_a_place_for_files")


# --- who may -------------------------------------------------------------------------------------------------------


async def test_who_only_reads_uploads_nothing(site: Site) -> None:
    guest = await site.person(Role.GUEST)
    answer = await upload(guest, CONTENT, workspaceId=site.id)
    refused(answer, 403, "forbidden")


async def test_uploads_of_others_are_not_there(platform: Platform, new_person: NewPerson, site: Site) -> None:
    answer = await upload(site.owner, CONTENT, workspaceId=site.id)
    upload_id = answer.json()["receipt"]["uploadId"]
    member, stranger = await site.person(Role.ADMIN), await new_person()
    for caller in (member, stranger):
        refused(await caller.client.get(f"{UPLOADS}/{upload_id}"), 404, "not_found")
        refused(await caller.client.delete(f"{UPLOADS}/{upload_id}"), 404, "not_found")
    refused(await stranger.client.get(f"{UPLOADS}/not-an-id"), 404, "not_found")


async def test_a_version_of_somebody_else_s_file_is_not_given(site: Site) -> None:
    project = await site.project()
    file = await uploaded(site.owner, CONTENT, fileType="PROJECT_ASSET", projectId=project["id"])
    member = await site.person(Role.MEMBER)
    refused(await upload(member, b"mine", fileId=file["id"]), 403, "not_the_uploader")


# --- ending early ------------------------------------------------------------------------------------------


async def opened(platform: Platform, person: Person, **fields: Any) -> UploadSession:
    scope = UserScope(Actor(ActorKind.USER, person.id), person.id)
    wanted = sessions.NewUpload(
        way=UploadWay.MULTIPART,
        file_type=FileType.TEMPORARY_UPLOAD,
        original_name="plan.txt",
        **{"total_bytes": 500, **fields},
    )
    async with platform.database.transaction() as session:
        return await sessions.begin(session, platform, scope, wanted)


async def test_a_cancelled_upload_gives_its_room_back_and_is_gone(platform: Platform, person: Person) -> None:
    begun = await opened(platform, person)
    assert await used(platform, person.id) == (0, 500)
    address = f"{UPLOADS}/{begun.id}"
    stale = await person.client.delete(address, headers={"If-Match": '"7"'})
    refused(stale, 412, "precondition_failed")
    fresh = {"If-Match": (await person.client.get(address)).headers["ETag"]}
    assert (await person.client.delete(address, headers=fresh)).status_code == 204
    assert await used(platform, person.id) == (0, 0)
    refused(await person.client.get(address), 404, "not_found")
    async with platform.database.reading() as session:
        assert await session.get(StoredFile, begun.file_id) is None
        doomed = await session.get(DoomedObject, begun.key)
    assert doomed is not None
    assert doomed.due_at > platform.clock.now(), "whoever still writes to it must have ended before it is cleared"


async def test_an_upload_for_a_message_says_so(platform: Platform, person: Person) -> None:
    message_id = uuid4()
    with pytest.raises(IntegrityError, match="message_id"):  # there is no such message
        await opened(platform, person, place=Destination(message_id=message_id))


async def test_a_complete_upload_cannot_be_cancelled(person: Person) -> None:
    upload_id = (await upload(person, CONTENT)).json()["receipt"]["uploadId"]
    refused(await person.client.delete(f"{UPLOADS}/{upload_id}"), 409, "upload_ended")


async def test_the_file_of_an_upload_that_failed_says_so(platform: Platform, person: Person) -> None:
    begun = await opened(platform, person)
    await sessions.fail_later(platform, begun.id, "checksum_mismatch")
    await sessions.fail_later(platform, begun.id, "internal_error")
    async with platform.database.reading() as session:
        file = await session.get(StoredFile, begun.file_id)
        ended = await session.get(UploadSession, begun.id)
    assert file is not None
    assert ended is not None
    assert (file.status, ended.failure) == (UploadStatus.FAILED, "checksum_mismatch")
    assert await used(platform, person.id) == (0, 0), "given back once"


# --- slow and silent lines -----------------------------------------------------------------------------------------


async def test_an_upload_does_not_expire_while_its_bytes_come(
    platform: Platform, person: Person, clock: MovableClock
) -> None:
    body, told = form(CONTENT), []

    async def drop_by_drop() -> AsyncIterator[bytes]:
        yield body[:300]
        for at in range(300, 305):
            clock.advance_business(minutes=10)
            yield body[at : at + 1]
            [begun] = await sessions_of(platform, person.id)
            told.append((begun.expires_at - clock.now(), begun.received_bytes))
        before = begun.updated_at
        for at in range(305, 405):  # at a stroke: a row for each of them would be a hundred
            yield body[at : at + 1]
        [begun] = await sessions_of(platform, person.id)
        assert begun.updated_at == before
        clock.advance_business(minutes=14)
        await lifecycle.expire_uploads(JobContext(platform, "a test"))
        yield body[405:]

    headers = {**FORM_TYPE, "Content-Length": str(len(body))}
    answer = await person.client.post(UPLOADS, content=drop_by_drop(), headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["receipt"]["sha256"] == sha256(CONTENT)
    assert {one.total_seconds() > 14 * 60 for one, _ in told} == {True}
    received = [one for _, one in told]
    assert received == sorted(received)
    assert received[-1] > received[0] > 0
    assert await used(platform, person.id) == (len(CONTENT), 0)


async def test_a_byte_a_minute_keeps_no_room_for_ever(
    platform: Platform, person: Person, clock: MovableClock
) -> None:
    body, told = form(CONTENT), []

    async def for_ever() -> AsyncIterator[bytes]:
        yield body[:300]
        for at in range(300, 500):
            clock.advance_business(minutes=14)
            yield body[at : at + 1]
            await lifecycle.expire_uploads(JobContext(platform, "a test"))
            [begun] = await sessions_of(platform, person.id)
            told.append(begun.expires_at - begun.created_at)

    headers = {**FORM_TYPE, "Content-Length": str(len(body))}
    refused(await person.client.post(UPLOADS, content=for_ever(), headers=headers), 409, "upload_ended")
    assert max(told) == timedelta(days=1)
    assert await used(platform, person.id) == (0, 0)


async def test_an_upload_that_was_cancelled_is_not_read_on(
    platform: Platform, person: Person, clock: MovableClock
) -> None:
    body, read = form(CONTENT), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield body[:300]
        [begun] = await sessions_of(platform, person.id)
        assert (await person.client.delete(f"{UPLOADS}/{begun.id}")).status_code == 204
        clock.advance_business(minutes=2)
        for _ in range(10):
            read += 1
            yield b"x"

    headers = {**FORM_TYPE, "Content-Length": str(len(body))}
    refused(await person.client.post(UPLOADS, content=endless(), headers=headers), 409, "upload_ended")
    assert read == 1
    assert await used(platform, person.id) == (0, 0)


@pytest.mark.parametrize("sent_bytes", [10, 300], ids=["before-the-file", "within-the-file"])
@pytest.mark.parametrize("is_endless", [False, True], ids=["silent", "endless"])
async def test_a_body_that_falls_silent_or_never_ends_is_given_up(
    platform: Platform, person: Person, monkeypatch: pytest.MonkeyPatch, sent_bytes: int, is_endless: bool
) -> None:
    patience = Patience(stall_s=60 if is_endless else 0.02, body_s=0.1 if is_endless else 60)
    monkeypatch.setattr(platform.part(Leases), "patience", patience)

    async def silent() -> AsyncIterator[bytes]:
        yield form(CONTENT)[:sent_bytes]
        while is_endless:
            await asyncio.sleep(0)
            yield b""
        await asyncio.Event().wait()

    headers = {**FORM_TYPE, "Content-Length": "5000"}
    answer = await person.client.post(UPLOADS, content=silent(), headers=headers)
    refused(answer, 408, "upload_timed_out")
    assert answer.headers["connection"] == "close"
    await nothing_is_left(platform, person.id)
    assert [one.failure for one in await sessions_of(platform, person.id)] == (
        ["upload_timed_out"] if sent_bytes == 300 else []
    )


# --- under a key ---------------------------------------------------------------------------------------------------


KEYED = {"Idempotency-Key": "one-intention"}


async def keyed(person: Person, content: bytes = CONTENT, name: str = "plan.txt", **query: Any) -> httpx.Response:
    return await person.client.post(
        UPLOADS, params=query, files={"file": (name, content, "text/plain")}, headers=KEYED
    )


def is_replay(answer: httpx.Response) -> bool:
    return "Idempotent-Replayed" in answer.headers


async def files_of(platform: Platform, account_id: UUID) -> list[StoredFile]:
    async with platform.database.reading() as session:
        return [*await session.scalars(select(StoredFile).where(StoredFile.account_id == account_id))]


async def test_the_same_upload_under_its_key_again_is_answered_as_before(platform: Platform, person: Person) -> None:
    await limit(platform, user_account(person), storage=len(CONTENT))
    first = await keyed(person)
    assert (first.status_code, is_replay(first)) == (201, False), first.text
    again = await keyed(person)  # there is no room for another: none is asked for
    assert (again.status_code, is_replay(again)) == (201, True), again.text
    assert again.json() == first.json()
    for name in ("Location", "ETag"):
        assert again.headers[name] == first.headers[name]
    assert [str(one.id) for one in await files_of(platform, person.id)] == [first.json()["file"]["id"]]
    assert len(await sessions_of(platform, person.id)) == 1
    assert await used(platform, person.id) == (len(CONTENT), 0)
    told = await person.client.get("/api/idempotency/one-intention", params={"route": "createUpload"})
    assert told.status_code == 200, told.text


async def test_a_key_stands_for_one_upload_of_one_person(
    platform: Platform, new_person: NewPerson, site: Site
) -> None:
    ann, ben = site.owner, await new_person()
    first = await keyed(ann)
    for content, name, query in (
        (CONTENT + b"!", "plan.txt", {}),
        (CONTENT[:-1], "plan.txt", {}),
        (CONTENT, "other.txt", {}),
        (CONTENT, "plan.txt", {"workspaceId": site.id}),
        (CONTENT, "plan.txt", {"fileId": first.json()["file"]["id"]}),
    ):
        refused(await keyed(ann, content, name, **query), 422, "idempotency_key_reused")
    assert len(await files_of(platform, ann.id)) == 1
    assert len(await files_of(platform, UUID(site.id))) == 0
    of_ben = await keyed(ben)
    assert (of_ben.status_code, is_replay(of_ben)) == (201, False)
    too_long = await ann.client.post(UPLOADS, files={"file": ("a", b"a")}, headers={"Idempotency-Key": "x" * 256})
    refused(too_long, 422, "invalid_idempotency_key")


async def test_what_was_refused_may_be_tried_again_under_its_key(platform: Platform, person: Person) -> None:
    await limit(platform, user_account(person), storage=10)
    refused(await keyed(person), 402, "storage_quota_exceeded")
    answer = await keyed(person, b"less")
    assert (answer.status_code, is_replay(answer)) == (201, False), answer.text


@pytest.mark.parametrize("is_same", [True, False], ids=["the-same", "another"])
async def test_of_two_at_once_under_one_key_one_file_comes(platform: Platform, person: Person, is_same: bool) -> None:
    """The one that began first and ends last finds what the other has made."""
    others: list[httpx.Response] = []

    async def overtaken() -> AsyncIterator[bytes]:
        body = form(CONTENT)
        yield body[:300]
        others.append(await keyed(person, CONTENT if is_same else b"something else"))
        yield body[300:]

    late = await person.client.post(UPLOADS, content=overtaken(), headers={**FORM_TYPE, **KEYED})
    [first] = others
    assert (first.status_code, is_replay(first)) == (201, False), first.text
    if is_same:
        assert (late.status_code, is_replay(late)) == (201, True), late.text
        assert late.json() == first.json()
        assert len(await files_of(platform, person.id)) == 1
    else:
        refused(late, 422, "idempotency_key_reused")
    [kept] = await objects_of(platform, person.id)
    assert await used(platform, person.id) == (kept.size_bytes, 0)
    assert {one.state for one in await sessions_of(platform, person.id)} == (
        {SessionState.COMPLETED} if is_same else {SessionState.COMPLETED, SessionState.FAILED}
    )


async def test_many_at_once_under_one_key_are_one_file(platform: Platform, person: Person) -> None:
    answers = await asyncio.gather(*(keyed(person) for _ in range(5)))
    assert {one.status_code for one in answers} == {201}
    assert sorted(is_replay(one) for one in answers) == [False, True, True, True, True]
    assert len({one.text for one in answers}) == 1
    assert len(await files_of(platform, person.id)) == 1
    assert await used(platform, person.id) == (len(CONTENT), 0)


async def test_a_process_that_dies_at_the_end_leaves_file_and_key_or_neither(
    platform: Platform, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    async def die(*_: object, **__: object) -> None:
        raise Killed

    @asynccontextmanager
    async def ends_after(*_: object) -> AsyncIterator[None]:
        yield
        raise Killed

    with monkeypatch.context() as before_the_commit:
        before_the_commit.setattr(LateKey, "keep", die)
        before_the_commit.setattr(sessions, "fail_later", die)
        with pytest.raises(Killed):
            await keyed(person)
    assert [one.state for one in await sessions_of(platform, person.id)] == [SessionState.OPEN]
    assert await objects_of(platform, person.id) == []
    answer = await keyed(person)
    assert (answer.status_code, is_replay(answer)) == (201, False), answer.text

    other = {"Idempotency-Key": "another"}
    with monkeypatch.context() as after_the_commit:
        after_the_commit.setattr(finishing, "ending_with_it", ends_after)
        with pytest.raises(Killed):
            await person.client.post(UPLOADS, content=form(b"second"), headers={**FORM_TYPE, **other})
    again = await person.client.post(UPLOADS, content=form(b"second"), headers={**FORM_TYPE, **other})
    assert (again.status_code, is_replay(again)) == (201, True), again.text
    complete = [one for one in await files_of(platform, person.id) if one.status == UploadStatus.COMPLETED]
    assert len(complete) == 2
