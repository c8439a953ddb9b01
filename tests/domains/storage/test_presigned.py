"""Uploads that go straight to S3, against moto's: what is put there is compared, copied and read before it counts.

Clients put bytes by plain HTTP, as browsers do; what goes wrong behind the service's back is done with a client of
boto3's.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from pm_api.app import create_app
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.storage import arrivals, finishing
from pm_api.domains.storage.admission import Admission
from pm_api.domains.storage.enums import SessionState
from pm_api.domains.storage.errors.uploads import UploadEnded
from pm_api.domains.storage.models import DoomedObject, StoredObject, UploadSession
from pm_api.identity.permissions import Role
from pm_api.integrations.blobs import BlobDoor, StorageUnavailable
from pm_api.integrations.blobs.presigning import ArrivedBlob, Presigner
from tests.conftest import NewPerson, Person, open_platform
from tests.domains.storage.boxes import Json, limit, refused, used, user_account
from tests.domains.tasks.sites import open_site
from tests.support import stores
from tests.support.clock import MovableClock
from tests.support.queue import work_off
from tests.support.settings import settings_for

PRESIGNED = "/api/storage/uploads/presigned"
MEBIBYTE = 1024**2
PART = 5 * MEBIBYTE  # the least S3 takes


@pytest.fixture(scope="module")
async def platform(worker_database: str) -> AsyncIterator[Platform]:
    async with AsyncExitStack() as stack:
        settings = settings_for(worker_database, s3=stores.s3_settings(prefix="ours"))
        yield await stack.enter_async_context(open_platform(settings, MovableClock()))


@pytest.fixture(scope="module")
def app(platform: Platform) -> FastAPI:
    return create_app(platform.settings, platform)


@pytest.fixture
async def store() -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has no more than the address."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        yield client


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes in parts is a few megabytes here."""
    monkeypatch.setattr(arrivals, "SINGLE_BYTES", PART)
    monkeypatch.setattr(arrivals, "PART_BYTES", PART)


def content(size: int = 300_000) -> bytes:
    return (uuid4().bytes * (size // 16 + 1))[:size]


async def begun(person: Person, sent: bytes, **fields: Any) -> Json:
    body = {"originalName": "film.bin", "fileSize": len(sent), **fields}
    answer = await person.client.post(PRESIGNED, json=body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    assert answer.headers["Location"] == f"/api/storage/uploads/{made['upload']['id']}"
    return made


async def put(store: httpx.AsyncClient, request: Json, sent: bytes) -> str:
    answer = await store.request(request["method"], request["url"], headers=request["headers"], content=sent)
    assert answer.status_code == 200, answer.text
    return answer.headers["etag"]


async def complete(person: Person, made: Json, **body: Any) -> httpx.Response:
    return await person.client.post(f"/api/storage/uploads/{made['upload']['id']}/complete", json=body)


async def completed(person: Person, made: Json, **body: Any) -> Json:
    answer = await complete(person, made, **body)
    assert answer.status_code == 200, answer.text
    upload: Json = answer.json()["upload"]
    assert upload["state"] == "COMPLETED", upload
    return upload


async def row_of(platform: Platform, made: Json) -> UploadSession:
    async with platform.database.reading() as session:
        found = await session.scalar(select(UploadSession).where(UploadSession.id == made["upload"]["id"]))
        assert found is not None
        return found


async def objects_of(platform: Platform, person: Person) -> list[StoredObject]:
    async with platform.database.reading() as session:
        return [*await session.scalars(select(StoredObject).where(StoredObject.account_id == person.id))]


def behind(platform: Platform, key: str | None, sent: bytes) -> None:
    """Somebody writes to the store, past the service."""
    stores.client().put_object(Bucket=platform.settings.s3.bucket, Key=f"ours/{key}", Body=sent)


def lies_there(platform: Platform, key: str | None) -> bool:
    found = stores.client().list_objects_v2(Bucket=platform.settings.s3.bucket, Prefix=f"ours/{key}")
    return bool(found.get("KeyCount"))


async def fetched(person: Person, upload: Json) -> bytes:
    answer = await person.client.get(f"/api/storage/files/{upload['file']['id']}/content")
    assert answer.status_code == 200, answer.text
    return answer.content


# --- the way in ----------------------------------------------------------------------------------------------------


async def test_put_at_once_and_completed(platform: Platform, person: Person, store: httpx.AsyncClient) -> None:
    sent = content()
    made = await begun(person, sent, sha256=hashlib.sha256(sent).hexdigest(), mimeType="image/png")
    assert await used(platform, person.id) == (0, len(sent))
    assert person.access_token not in str(made)
    etag = await put(store, made["presigned"]["put"], sent)
    upload = await completed(person, made, etag=etag)
    receipt = upload["receipt"]
    assert receipt["sha256"] == hashlib.sha256(sent).hexdigest()
    assert receipt["md5"] == hashlib.md5(sent, usedforsecurity=False).hexdigest()
    assert receipt["fileSize"] == len(sent)
    assert receipt["mimeType"] == "application/octet-stream", "what it is said to be counts for nothing"
    assert upload["file"]["uploadStatus"] == "COMPLETED"
    assert await fetched(person, upload) == sent
    assert await used(platform, person.id) == (len(sent), 0)
    [stored] = await objects_of(platform, person)
    assert stored.key.startswith(f"user/{person.id}/temporary-upload/")


async def test_put_in_parts_in_any_order(
    platform: Platform, person: Person, store: httpx.AsyncClient, small_parts: None
) -> None:
    del small_parts
    sent = content(2 * PART + 77)
    made = await begun(person, sent)
    parts = made["presigned"]["parts"]
    assert made["presigned"]["put"] is None
    assert [(one["partNumber"], one["startsAt"], one["size"]) for one in parts] == [
        (1, 0, PART),
        (2, PART, PART),
        (3, 2 * PART, 77),
    ]
    told = [
        {
            "partNumber": one["partNumber"],
            "etag": await put(store, one["request"], sent[one["startsAt"] : one["startsAt"] + one["size"]]),
        }
        for one in reversed(parts)
    ]
    refused(await complete(person, made, parts=told[:2]), 422, "upload_parts_mismatch")
    wrong = [{**told[0], "etag": '"0"'}, *told[1:]]
    refused(await complete(person, made, parts=wrong), 422, "upload_parts_mismatch")
    upload = await completed(person, made, parts=told)
    assert upload["receipt"]["sha256"] == hashlib.sha256(sent).hexdigest()
    assert await fetched(person, upload) == sent
    assert await used(platform, person.id) == (len(sent), 0)


async def test_an_empty_file(person: Person, store: httpx.AsyncClient) -> None:
    made = await begun(person, b"")
    await put(store, made["presigned"]["put"], b"")
    upload = await completed(person, made)
    assert upload["receipt"]["fileSize"] == 0


async def test_the_same_content_twice_is_stored_once(
    platform: Platform, person: Person, store: httpx.AsyncClient
) -> None:
    sent = content()
    for _ in range(2):
        made = await begun(person, sent)
        await put(store, made["presigned"]["put"], sent)
        await completed(person, made)
    assert len(await objects_of(platform, person)) == 1
    assert await used(platform, person.id) == (len(sent), 0)


async def test_a_large_one_is_left_to_a_worker(
    platform: Platform, person: Person, store: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "COMPLETED_AT_ONCE_BYTES", 1000)
    sent = content()
    made = await begun(person, sent)
    etag = await put(store, made["presigned"]["put"], sent)
    answer = await complete(person, made, etag=etag)
    assert answer.status_code == 200
    assert answer.json()["upload"]["state"] == "FINISHING"
    assert (await complete(person, made)).json()["upload"]["state"] == "FINISHING"
    await work_off(platform, "storage.complete_presigned")
    upload = await completed(person, made)
    assert await fetched(person, upload) == sent


async def test_a_new_version(person: Person, store: httpx.AsyncClient) -> None:
    first, second = content(), content()
    made = await begun(person, first)
    await put(store, made["presigned"]["put"], first)
    upload = await completed(person, made)
    again = await begun(person, second, fileId=upload["file"]["id"])
    assert await fetched(person, upload) == first
    await put(store, again["presigned"]["put"], second)
    assert await fetched(person, upload) == first, "nothing counts before it is completed"
    now = await completed(person, again)
    assert now["file"]["id"] == upload["file"]["id"]
    assert now["file"]["versionNumber"] == 2
    assert await fetched(person, upload) == second


# --- what was tampered with ----------------------------------------------------------------------------------------


async def ended(platform: Platform, person: Person, made: Json, code: str) -> None:
    """The upload has failed for that, and left nothing behind."""
    found = await row_of(platform, made)
    assert (found.state, found.failure) == (SessionState.FAILED, code)
    assert await used(platform, person.id) == (0, 0)
    assert await objects_of(platform, person) == []
    async with platform.database.reading() as session:
        keys = {*await session.scalars(select(DoomedObject.key))}
    assert {found.key, found.incoming_key} <= keys


async def test_other_bytes_of_the_same_length_are_caught_by_the_checksum(
    platform: Platform, person: Person, store: httpx.AsyncClient
) -> None:
    sent = content()
    made = await begun(person, sent, sha256=hashlib.sha256(sent).hexdigest())
    await put(store, made["presigned"]["put"], sent)
    behind(platform, (await row_of(platform, made)).incoming_key, content())
    refused(await complete(person, made), 422, "checksum_mismatch")
    await ended(platform, person, made, "checksum_mismatch")


async def test_or_by_the_md5(platform: Platform, person: Person, store: httpx.AsyncClient) -> None:
    sent = content()
    made = await begun(person, sent, md5=hashlib.md5(sent, usedforsecurity=False).hexdigest())
    await put(store, made["presigned"]["put"], content())
    refused(await complete(person, made), 422, "checksum_mismatch")
    await ended(platform, person, made, "checksum_mismatch")


async def test_or_by_the_etag_of_what_was_put(platform: Platform, person: Person, store: httpx.AsyncClient) -> None:
    sent = content()
    made = await begun(person, sent)
    etag = await put(store, made["presigned"]["put"], sent)
    behind(platform, (await row_of(platform, made)).incoming_key, content())
    refused(await complete(person, made, etag=etag), 422, "checksum_mismatch")
    await ended(platform, person, made, "checksum_mismatch")


async def test_another_length_is_caught_before_a_byte_is_read(
    platform: Platform, person: Person, store: httpx.AsyncClient
) -> None:
    sent = content()
    made = await begun(person, sent)
    await put(store, made["presigned"]["put"], sent)
    behind(platform, (await row_of(platform, made)).incoming_key, sent + b"more")
    refused(await complete(person, made), 422, "upload_length_mismatch")
    await ended(platform, person, made, "upload_length_mismatch")


async def test_what_is_put_after_completion_changes_nothing(
    platform: Platform, person: Person, store: httpx.AsyncClient, clock: MovableClock
) -> None:
    sent = content()
    made = await begun(person, sent)
    await put(store, made["presigned"]["put"], sent)
    upload = await completed(person, made)
    await put(store, made["presigned"]["put"], content())  # the address still opens
    assert (await completed(person, made))["receipt"] == upload["receipt"]
    assert await fetched(person, upload) == sent
    incoming = (await row_of(platform, made)).incoming_key
    assert lies_there(platform, incoming)
    clock.advance_business(hours=3)
    await run_sweep(platform, PERIODICS["storage.take_away"])
    assert not lies_there(platform, incoming), "once the address is closed, what was put there goes"
    assert await fetched(person, upload) == sent


@pytest.mark.parametrize("is_announced", [True, False])
async def test_what_is_replaced_between_look_and_copy_is_not_taken(
    platform: Platform,
    person: Person,
    store: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    is_announced: bool,
) -> None:
    """Whoever has the address wins no race against the comparison, even where the store copies without looking at the
    condition, as moto does: what was looked at is looked at again.
    """
    sent, other = content(), content()
    made = await begun(person, sent, **({"sha256": hashlib.sha256(sent).hexdigest()} if is_announced else {}))
    etag = await put(store, made["presigned"]["put"], sent)
    incoming = (await row_of(platform, made)).incoming_key
    copies = Presigner.copy

    async def replace_then_copy(self: Presigner, blob: ArrivedBlob, to: str) -> None:
        await asyncio.to_thread(behind, platform, incoming, other)
        await copies(self, blob, to)

    monkeypatch.setattr(Presigner, "copy", replace_then_copy)
    refused(await complete(person, made, etag=etag), 422, "checksum_mismatch")
    await ended(platform, person, made, "checksum_mismatch")


async def test_what_never_stands_still_is_put_off(
    platform: Platform, person: Person, store: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = content()
    made = await begun(person, sent)
    await put(store, made["presigned"]["put"], sent)
    incoming = (await row_of(platform, made)).incoming_key
    looked = Presigner.arrived

    async def look_then_replace(self: Presigner, key: str) -> ArrivedBlob | None:
        found = await looked(self, key)
        await asyncio.to_thread(behind, platform, incoming, content())
        return found

    monkeypatch.setattr(Presigner, "arrived", look_then_replace)
    refused(await complete(person, made), 409, "upload_still_changing")
    monkeypatch.undo()
    behind(platform, incoming, sent)
    assert await fetched(person, await completed(person, made)) == sent


# --- lost answers, crashes, two at once ----------------------------------------------------------------------------


async def test_nothing_has_arrived_yet(person: Person, store: httpx.AsyncClient) -> None:
    sent = content()
    made = await begun(person, sent)
    refused(await complete(person, made), 409, "upload_not_arrived")
    await put(store, made["presigned"]["put"], sent)
    await completed(person, made)


async def test_a_long_line_costs_nobody_their_upload(
    platform: Platform, person: Person, store: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = content()
    made = await begun(person, sent)
    await put(store, made["presigned"]["put"], sent)
    with monkeypatch.context() as others:
        others.setattr(platform.part(Admission), "_longest_wait_s", 0.01)
        async with platform.part(Admission).turn(user_account(person)):
            refused(await complete(person, made), 503, "unavailable")
    await completed(person, made)


async def test_what_is_wrong_is_told_however_long_the_line_and_ends_with_the_next_turn(
    platform: Platform, person: Person, store: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = content()
    made = await begun(person, sent, sha256=hashlib.sha256(sent).hexdigest())
    behind(platform, (await row_of(platform, made)).incoming_key, content())
    with monkeypatch.context() as others:
        others.setattr(platform.part(Admission), "_longest_wait_s", 0.01)
        async with platform.part(Admission).turn(user_account(person)):
            refused(await complete(person, made), 422, "checksum_mismatch")
    refused(await complete(person, made), 422, "checksum_mismatch")
    await ended(platform, person, made, "checksum_mismatch")


async def test_completed_by_ten_at_once_it_is_completed_once(
    platform: Platform, person: Person, store: httpx.AsyncClient
) -> None:
    sent = content()
    made = await begun(person, sent)
    await put(store, made["presigned"]["put"], sent)
    answers = await asyncio.gather(*(complete(person, made) for _ in range(10)))
    assert {one.status_code for one in answers} <= {200, 409}
    assert all(one.json()["code"] == "upload_being_completed" for one in answers if one.status_code == 409)
    upload = await completed(person, made)
    assert upload["file"]["versionNumber"] == 1
    assert await used(platform, person.id) == (len(sent), 0)
    assert len(await objects_of(platform, person)) == 1


async def test_the_store_acted_and_its_answer_was_lost(
    platform: Platform,
    person: Person,
    store: httpx.AsyncClient,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del small_parts
    sent = content(PART + 5)
    made = await begun(person, sent)
    told = [
        {
            "partNumber": one["partNumber"],
            "etag": await put(store, one["request"], sent[one["startsAt"] : one["startsAt"] + one["size"]]),
        }
        for one in made["presigned"]["parts"]
    ]

    def losing(name: str) -> Callable[..., Any]:
        does: Callable[..., Any] = getattr(Presigner, name)

        async def do_and_lose(*arguments: Any) -> None:
            await does(*arguments)
            raise StorageUnavailable

        return do_and_lose

    for name in ("complete_multipart", "copy"):
        with monkeypatch.context() as patched:
            patched.setattr(Presigner, name, losing(name))
            refused(await complete(person, made, parts=told), 503, "storage_unavailable")
        assert (await row_of(platform, made)).state == SessionState.FINISHING
    await run_sweep(platform, PERIODICS["storage.complete_presigned_uploads"])
    await work_off(platform, "storage.complete_presigned")
    upload = await completed(person, made)
    assert await fetched(person, upload) == sent
    assert await used(platform, person.id) == (len(sent), 0)


async def test_who_dies_is_followed_by_another_under_another_key(
    platform: Platform, person: Person, store: httpx.AsyncClient, clock: MovableClock
) -> None:
    sent = content()
    made = await begun(person, sent)
    await put(store, made["presigned"]["put"], sent)
    upload_id = UUID(made["upload"]["id"])
    dead = await arrivals._claim(platform, upload_id)
    assert dead is not None
    refused(await complete(person, made), 409, "upload_being_completed")
    clock.advance_business(minutes=16)
    await run_sweep(platform, PERIODICS["storage.complete_presigned_uploads"])
    await work_off(platform, "storage.complete_presigned")
    upload = await completed(person, made)
    assert (await row_of(platform, made)).key != dead.key
    assert await fetched(person, upload) == sent


async def test_who_was_taken_for_dead_cannot_put_other_bytes_under_what_was_digested(
    platform: Platform, person: Person, store: httpx.AsyncClient, clock: MovableClock
) -> None:
    """The first run wakes up in the middle of the second and finds other bytes: neither are they taken, nor does it
    end the upload of the one that has it now.
    """
    sent, other = content(), content()
    made = await begun(person, sent)
    await put(store, made["presigned"]["put"], sent)
    upload_id = UUID(made["upload"]["id"])
    slow = await arrivals._claim(platform, upload_id)
    assert slow is not None
    clock.advance_business(minutes=16)
    quick = await arrivals._claim(platform, upload_id)
    assert quick is not None
    received = await arrivals._take_in(platform, quick)
    await put(store, made["presigned"]["put"], other)
    late = await arrivals._take_in(platform, slow)
    assert late.key != received.key
    with pytest.raises(UploadEnded):
        await finishing.finish(platform, upload_id, late)
    await arrivals._fail(platform, slow, "upload_ended")
    await arrivals._let_go(platform, slow, SessionState.OPEN, None)
    await finishing.finish(platform, upload_id, received)
    assert await fetched(person, await completed(person, made)) == sent
    async with platform.database.reading() as session:
        assert await session.scalar(select(DoomedObject.key).where(DoomedObject.key == late.key))


async def test_cancelled_in_the_middle_nothing_stays(
    platform: Platform, person: Person, store: httpx.AsyncClient
) -> None:
    sent = content()
    made = await begun(person, sent)
    await put(store, made["presigned"]["put"], sent)
    upload_id = UUID(made["upload"]["id"])
    run = await arrivals._claim(platform, upload_id)
    assert run is not None
    received = await arrivals._take_in(platform, run)
    assert (await person.client.delete(f"/api/storage/uploads/{upload_id}")).status_code == 204
    with pytest.raises(UploadEnded):
        await finishing.finish(platform, upload_id, received)
    assert await used(platform, person.id) == (0, 0)
    assert await objects_of(platform, person) == []
    async with platform.database.reading() as session:
        keys = {*await session.scalars(select(DoomedObject.key))}
    assert {run.key, run.incoming_key} <= keys


async def test_an_upload_that_nobody_completes_gives_its_room_back_and_its_parts(
    platform: Platform, person: Person, store: httpx.AsyncClient, small_parts: None, clock: MovableClock
) -> None:
    del small_parts
    sent = content(PART + 5)
    made = await begun(person, sent)
    await put(store, made["presigned"]["parts"][0]["request"], sent[:PART])
    row = await row_of(platform, made)
    assert await used(platform, person.id) == (0, len(sent))
    assert row.multipart_id in {one.multipart_id async for one in platform.part(Presigner).open_multiparts()}
    clock.advance_business(hours=25)
    await run_sweep(platform, PERIODICS["storage.expire_uploads"])
    assert await used(platform, person.id) == (0, 0)
    clock.advance_business(hours=25)
    await run_sweep(platform, PERIODICS["storage.take_away"])
    assert row.multipart_id not in {one.multipart_id async for one in platform.part(Presigner).open_multiparts()}
    refused(await complete(person, made), 409, "upload_ended")


async def test_the_store_is_away_when_it_begins(
    platform: Platform, person: Person, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del small_parts

    async def away(self: Presigner, key: str) -> str:
        del self, key
        raise StorageUnavailable

    monkeypatch.setattr(Presigner, "begin_multipart", away)
    answer = await person.client.post(PRESIGNED, json={"originalName": "a.bin", "fileSize": PART + 1})
    refused(answer, 503, "storage_unavailable")
    assert await used(platform, person.id) == (0, 0)


# --- who may, and what is refused ----------------------------------------------------------------------------------


async def test_only_whoever_began_it_completes_it(
    platform: Platform, new_person: NewPerson, client: httpx.AsyncClient, store: httpx.AsyncClient
) -> None:
    site = await open_site(platform, new_person)
    maker, viewer = await site.person(Role.MEMBER), await site.person(Role.VIEWER)
    sent = content()
    body = {"originalName": "a.bin", "fileSize": len(sent), "workspaceId": site.id}
    assert (await client.post(PRESIGNED, json=body)).status_code == 401
    assert (await viewer.client.post(PRESIGNED, json=body)).status_code == 403
    stranger = await new_person()
    assert (await stranger.client.post(PRESIGNED, json=body)).status_code == 404
    made = await begun(maker, sent, workspaceId=site.id)
    await put(store, made["presigned"]["put"], sent)
    address = f"/api/storage/uploads/{made['upload']['id']}/complete"
    assert (await client.post(address, json={})).status_code == 401
    for other in (stranger, site.owner, viewer):
        assert (await other.client.post(address, json={})).status_code == 404
    assert (await maker.client.post(f"/api/storage/uploads/{uuid4()}/complete", json={})).status_code == 404
    await completed(maker, made)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"originalName": "a.bin"},
        {"originalName": "a.bin", "fileSize": -1},
        {"originalName": "a.bin", "fileSize": "many"},
        {"originalName": "a.bin", "fileSize": 1, "sha256": "zz"},
        {"originalName": "a.bin", "fileSize": 1, "size": 1},
        {"originalName": "../a.bin\x00", "fileSize": 1},
        {"originalName": "a.bin", "fileSize": 1, "fileType": "FILM"},
    ],
)
async def test_bodies_that_are_refused(person: Person, body: Json) -> None:
    answer = await person.client.post(PRESIGNED, json=body)
    assert answer.status_code == 422, answer.text


async def test_a_body_that_the_guard_did_not_read_is_refused(person: Person) -> None:
    answer = await person.client.post(
        PRESIGNED,
        content=f'{{"originalName": "a.bin", "fileSize": 1, "workspaceId": "{uuid4()}"}}',
        headers={"Content-Type": "application/x+json"},
    )
    assert answer.status_code in (404, 415, 422), answer.text


async def test_room_is_taken_before_an_address_is_given(platform: Platform, person: Person) -> None:
    await limit(platform, user_account(person), storage=1000, one_file=600)
    refused(await person.client.post(PRESIGNED, json={"originalName": "a", "fileSize": 601}), 413, "file_too_large")
    await begun(person, content(600))
    told = refused(
        await person.client.post(PRESIGNED, json={"originalName": "a", "fileSize": 401}),
        402,
        "storage_quota_exceeded",
    )
    assert (told["used"], told["reserved"], told["limit"]) == (0, 600, 1000)


async def test_another_upload_is_not_completed_this_way(platform: Platform, person: Person) -> None:
    answer = await person.client.post("/api/storage/tus", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "3"})
    assert answer.status_code == 201, answer.text
    upload_id = answer.headers["Location"].rsplit("/", 1)[1]
    refused(
        await person.client.post(f"/api/storage/uploads/{upload_id}/complete", json={}), 409, "upload_not_presigned"
    )
    assert platform.part(BlobDoor).is_s3


def test_parts_are_few_and_long_enough() -> None:
    for total in (65 * MEBIBYTE, 5 * 1024**3, 100 * 1024**3, 5 * 1024**4):
        each = arrivals.part_bytes(total)
        assert -(-total // each) <= arrivals.MOST_PARTS
        assert each >= 64 * MEBIBYTE
        assert each <= 5 * 1024**3
    assert arrivals.lifetime_of(1) is None
    assert arrivals.lifetime_of(65 * MEBIBYTE) == timedelta(hours=24)
