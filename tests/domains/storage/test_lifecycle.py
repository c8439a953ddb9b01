"""What time takes away, what comes back at the last moment, and what a crash between two lines leaves to be done."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pm_api.core.actor import Actor, ActorKind
from pm_api.core.personal import Leaving, files
from pm_api.domains.account import workspace_closing
from pm_api.domains.storage import closing, finishing, lifecycle, objects, quotas, sessions, trash
from pm_api.domains.storage.accounts import Account
from pm_api.domains.storage.enums import SessionState, UploadStatus, UploadWay
from pm_api.domains.storage.errors.uploads import UploadEnded
from pm_api.domains.storage.keys import chunk_key, chunk_prefix
from pm_api.domains.storage.models import (
    DoomedObject,
    FileLink,
    FileVersion,
    StorageUsage,
    StoredFile,
    StoredObject,
    UploadSession,
)
from pm_api.domains.storage.repository import lifecycle as lifecycle_rows
from pm_api.domains.storage.repository import uploads as upload_rows
from pm_api.domains.storage.streaming import Received
from pm_api.entitlements.enums import AccountType
from pm_api.identity.belongings import Leaver, left_by
from pm_api.integrations.blobs import BlobDoor
from tests.domains.storage.boxes import upload, uploaded, usage, used
from tests.domains.storage.depots import Depot, open_depot, workspace_account
from tests.identity.teams import make_workspace, somebody_waits_for_a_lock
from tests.support.settings import S3_OF_THE_RUN

ON_DISK = pytest.mark.skipif(S3_OF_THE_RUN in os.environ, reason="S3 has no folders and no half-written files")
CONTENT = b"Forty-two lines of a plan.\n" * 42


@pytest.fixture
async def depot(fresh_database: str, tmp_path: Path) -> AsyncIterator[Depot]:
    async with open_depot(fresh_database, tmp_path) as found:
        yield found


async def arrived(depot: Depot, upload: UploadSession, content: bytes = CONTENT) -> Received:
    """The bytes of an upload lie under its key; its row does not know yet."""
    await depot.put(upload.key, content)
    return Received(
        upload.key, len(content), hashlib.md5(content).digest(), hashlib.sha256(content).digest(), content, content
    )


# --- uploads -------------------------------------------------------------------------------------------------------


async def test_an_upload_that_nobody_goes_on_with_expires_and_gives_its_room_back(depot: Depot) -> None:
    ann = await depot.person()
    begun = await depot.begun(ann)
    await arrived(depot, begun)
    assert await used(depot.platform, ann.id) == (0, 100)
    depot.clock.advance(minutes=14)
    await depot.run(lifecycle.expire_uploads)
    assert await used(depot.platform, ann.id) == (0, 100)
    depot.clock.advance(minutes=2)
    await depot.run(lifecycle.expire_uploads)
    ended = await depot.upload(begun.id)
    assert ended is not None
    assert (ended.state, ended.failure) == (SessionState.EXPIRED, "upload_expired")
    assert await used(depot.platform, ann.id) == (0, 0)
    file = await depot.file(begun.file_id)
    assert file is not None
    assert file.status == UploadStatus.FAILED
    depot.clock.advance(hours=2)
    await depot.run()
    assert await depot.keys() == set()
    assert await depot.doomed() == set()


async def test_bytes_that_come_put_the_end_off(depot: Depot) -> None:
    ann = await depot.person()
    begun = await depot.begun(ann)
    depot.clock.advance(minutes=14)
    async with depot.platform.database.transaction() as session:
        await sessions.extend_reservation(session, depot.platform, begun.id, 100, received_bytes=50)
    depot.clock.advance(minutes=14)
    await depot.run(lifecycle.expire_uploads)
    still = await depot.upload(begun.id)
    assert still is not None
    assert still.state == SessionState.OPEN


async def test_bytes_that_come_while_the_sweep_waits_put_the_end_off(depot: Depot) -> None:
    """The sweep has found it expired, waits for the row, and looks again."""
    ann = await depot.person()
    begun = await depot.begun(ann)
    depot.clock.advance(minutes=16)
    async with depot.platform.database.transaction() as session:
        await sessions.extend_reservation(session, depot.platform, begun.id, 150, received_bytes=50)
        sweeping = asyncio.create_task(depot.run(lifecycle.expire_uploads))
        await somebody_waits_for_a_lock(depot.platform)
    await sweeping
    still = await depot.upload(begun.id)
    assert still is not None
    assert still.state == SessionState.OPEN
    assert await used(depot.platform, ann.id) == (0, 150)


async def test_who_goes_on_with_an_upload_holds_the_counters_before_it(depot: Depot) -> None:
    """Also when it needs no more room: otherwise it and whoever ends the upload would wait for each other."""
    ann = await depot.person()
    begun = await depot.begun(ann)

    async def go_on() -> None:
        async with depot.platform.database.transaction() as session:
            await sessions.extend_reservation(session, depot.platform, begun.id, 50)

    async with depot.platform.database.transaction() as session:
        await quotas.hold(session, depot.platform, Account(AccountType.USER, ann.id))
        going_on = asyncio.create_task(go_on())
        await somebody_waits_for_a_lock(depot.platform)
        assert await sessions.end(session, depot.platform, begun, SessionState.EXPIRED)
    with pytest.raises(UploadEnded):
        await going_on


async def test_what_finishes_after_the_sweep_is_told_that_it_has_ended_and_leaves_nothing(depot: Depot) -> None:
    ann = await depot.person()
    begun = await depot.begun(ann)
    received = await arrived(depot, begun)
    depot.clock.advance(minutes=16)
    await depot.run(lifecycle.expire_uploads)
    depot.clock.advance(hours=2)
    await depot.run()
    assert await depot.keys() == set()
    received = await arrived(depot, begun)  # its bytes came after the sweep had taken away what lay there
    with pytest.raises(UploadEnded):
        await finishing.finish(depot.platform, begun.id, received)
    depot.clock.advance(hours=2)
    await depot.run()
    assert await depot.keys() == set()
    assert await used(depot.platform, ann.id) == (0, 0)
    assert await depot.count(StoredObject) == 0


async def test_what_finishes_before_the_sweep_stays(depot: Depot) -> None:
    ann = await depot.person()
    begun = await depot.begun(ann)
    received = await arrived(depot, begun)
    depot.clock.advance(minutes=16)
    await finishing.finish(depot.platform, begun.id, received)
    await depot.run(lifecycle.expire_uploads)
    await depot.run()
    file = await depot.file(begun.file_id)
    assert file is not None
    assert file.status == UploadStatus.COMPLETED
    assert await used(depot.platform, ann.id) == (len(CONTENT), 0)
    await depot.balances()


async def test_a_finish_and_the_sweep_at_one_moment_agree(depot: Depot) -> None:
    """Whoever comes first: either all of it is there, or nothing."""
    ann = await depot.person()
    begun = [await depot.begun(ann, original_name=f"{number}.txt") for number in range(12)]
    received = [await arrived(depot, one, CONTENT + bytes([number])) for number, one in enumerate(begun)]
    depot.clock.advance(minutes=16)
    finishes = [finishing.finish(depot.platform, one.id, it) for one, it in zip(begun, received, strict=True)]
    outcomes = await asyncio.gather(
        *finishes[:6], depot.run(lifecycle.expire_uploads), *finishes[6:], return_exceptions=True
    )
    failures = [one for one in outcomes if isinstance(one, BaseException)]
    assert all(isinstance(one, UploadEnded) for one in failures), failures
    depot.clock.advance(hours=2)
    await depot.run()
    done = 12 - len(failures)
    assert await depot.count(StoredObject) == done
    assert await used(depot.platform, ann.id) == (done * (len(CONTENT) + 1), 0)
    await depot.balances()


async def test_an_upload_that_has_all_its_bytes_is_given_another_day(depot: Depot) -> None:
    ann = await depot.person()
    begun = await depot.begun(ann, way=UploadWay.TUS)
    await depot.execute("UPDATE upload_sessions SET state = 'FINISHING' WHERE id = :id", id=begun.id)
    depot.clock.advance(hours=47)
    await depot.run(lifecycle.expire_uploads)
    assert await used(depot.platform, ann.id) == (0, 100)
    depot.clock.advance(hours=2)
    await depot.run(lifecycle.expire_uploads)
    assert await used(depot.platform, ann.id) == (0, 0)


async def test_one_upload_that_cannot_be_ended_keeps_no_other_waiting(depot: Depot) -> None:
    ann, ben = await depot.person(), await depot.person()
    await depot.begun(ann)
    fine = await depot.begun(ben)
    # Ann's counters are damaged: less is reserved than her upload gives back.
    await depot.execute("UPDATE storage_usage SET reserved = 0 WHERE account_id = :id", id=ann.id)
    depot.clock.advance(minutes=16)
    await depot.run(lifecycle.expire_uploads)
    ended = await depot.upload(fine.id)
    assert ended is not None
    assert ended.state == SessionState.EXPIRED


async def test_a_chunk_that_no_row_names_goes_with_its_upload(depot: Depot) -> None:
    """Whoever wrote it died before its row was; and another that came a little late."""
    ann = await depot.person()
    begun = await depot.begun(ann, way=UploadWay.TUS)
    await depot.put(chunk_key(begun.id, 3, 0))
    depot.clock.advance(hours=25)
    await depot.run(lifecycle.expire_uploads)
    await depot.run()
    await depot.put(chunk_key(begun.id, 3, 1))
    assert chunk_prefix(begun.id) in await depot.doomed()
    depot.clock.advance(hours=2)
    await depot.run()
    assert await depot.keys() == set()
    assert await depot.doomed() == set()


async def test_an_upload_that_ended_is_forgotten_after_a_week_with_the_file_that_never_came(depot: Depot) -> None:
    ann = await depot.person()
    failed, done = await depot.begun(ann), await depot.begun(ann)
    await finishing.finish(depot.platform, done.id, await arrived(depot, done))
    async with depot.platform.database.transaction() as session:
        found = await upload_rows.upload(session, failed.id)
        assert found is not None
        await sessions.fail(session, depot.platform, found, "checksum_mismatch")
    depot.clock.advance_business(days=6)
    await depot.run(lifecycle.forget_uploads)
    assert await depot.count(UploadSession) == 2
    depot.clock.advance_business(days=2)
    await depot.run(lifecycle.forget_uploads)
    assert await depot.count(UploadSession) == 0
    assert await depot.file(failed.file_id) is None
    assert await depot.file(done.file_id) is not None


async def test_forgetting_an_upload_and_removing_its_file_at_one_moment_do_not_block_each_other(depot: Depot) -> None:
    """Whoever removes the file holds it, and takes the upload's row with it."""
    ann = await depot.person()
    failed = await depot.begun(ann)
    await sessions.fail_later(depot.platform, failed.id, "checksum_mismatch")
    depot.clock.advance_business(days=8)
    async with depot.platform.database.transaction() as session:
        [file] = await lifecycle_rows.lock_files(session, ann.id, [failed.file_id])
        forgetting = asyncio.create_task(depot.run(lifecycle.forget_uploads))
        await somebody_waits_for_a_lock(depot.platform)
        await trash.purge(session, depot.platform, file, actor_user_id=ann.id)
    await forgetting
    assert (await depot.count(UploadSession), await depot.count(StoredFile)) == (0, 0)


# --- files ---------------------------------------------------------------------------------------------------------


async def test_a_temporary_file_that_nobody_claims_goes_after_a_day(depot: Depot) -> None:
    ann = await depot.person()
    made = await uploaded(ann, CONTENT)
    assert made["expiresAt"] is not None
    depot.clock.advance_business(hours=23)
    await depot.run(lifecycle.purge_expired)
    assert await depot.file(made["id"]) is not None
    depot.clock.advance_business(hours=2)
    await depot.run(lifecycle.purge_expired)
    assert await depot.file(made["id"]) is None
    assert await used(depot.platform, ann.id) == (0, 0)
    await depot.run()
    await depot.balances()


async def test_a_claim_at_the_last_moment_keeps_the_file(depot: Depot) -> None:
    """The sweep has found it, waits for its row, and finds that it is not temporary any more."""
    ann = await depot.person()
    made = await uploaded(ann, CONTENT)
    depot.clock.advance_business(hours=25)
    async with depot.platform.database.transaction() as session:
        file = await session.get(StoredFile, UUID(made["id"]), with_for_update=True)
        assert file is not None
        file.is_temporary, file.expires_at = False, None
        await session.flush()
        sweeping = asyncio.create_task(depot.run(lifecycle.purge_expired))
        await somebody_waits_for_a_lock(depot.platform)
    await sweeping
    assert await depot.file(made["id"]) is not None
    await depot.balances()


async def test_the_trash_is_emptied_after_thirty_days(depot: Depot) -> None:
    ann = await depot.person()
    made = await uploaded(ann, CONTENT)
    version = await depot.begun(ann, file_id=UUID(made["id"]), total_bytes=len(CONTENT))
    received = await arrived(depot, version)
    assert (await ann.client.delete(f"/api/storage/files/{made['id']}")).status_code == 204
    await finishing.finish(depot.platform, version.id, received)
    row = await usage(depot.platform, ann.id)
    assert row is not None
    assert (row.trash, row.total_used) == (len(CONTENT), len(CONTENT))
    depot.clock.advance_business(days=29, hours=23)
    await depot.run(lifecycle.purge_expired)  # in the trash it has the time that there is there
    await depot.run(lifecycle.purge_trash)
    assert await depot.file(made["id"]) is not None
    depot.clock.advance_business(hours=2)
    await depot.run(lifecycle.purge_trash)
    assert await depot.file(made["id"]) is None
    assert await used(depot.platform, ann.id) == (0, 0)
    await depot.run()
    assert await depot.keys() == set()


async def test_what_is_restored_in_time_stays(depot: Depot) -> None:
    ann = await depot.person()
    made = await uploaded(ann, CONTENT)
    await depot.execute("UPDATE files SET is_temporary = false, expires_at = NULL")
    await ann.client.delete(f"/api/storage/files/{made['id']}")
    depot.clock.advance_business(days=29)
    answer = await ann.client.post(f"/api/storage/files/{made['id']}/restore")
    assert answer.status_code == 200, answer.text
    depot.clock.advance_business(days=60)
    await depot.run(lifecycle.purge_trash)
    assert await depot.file(made["id"]) is not None
    await depot.balances()


async def test_bytes_that_another_file_holds_stay_with_it(depot: Depot) -> None:
    ann = await depot.person()
    first, second = await uploaded(ann, CONTENT, "a.txt"), await uploaded(ann, CONTENT, "b.txt")
    await depot.execute(
        "UPDATE files SET is_temporary = false, expires_at = NULL WHERE id = :id", id=UUID(second["id"])
    )
    assert await used(depot.platform, ann.id) == (len(CONTENT), 0)
    depot.clock.advance_business(hours=25)
    await depot.run(lifecycle.purge_expired)
    await depot.run()
    assert await depot.file(first["id"]) is None
    answer = await ann.client.get(f"/api/storage/files/{second['id']}/content")
    assert answer.content == CONTENT
    await depot.balances()


async def test_an_upload_of_a_new_version_ends_with_its_file(depot: Depot) -> None:
    """Its room is given back, though its row goes with the file's."""
    ann = await depot.person()
    made = await uploaded(ann, CONTENT)
    begun = await depot.begun(ann, file_id=UUID(made["id"]), total_bytes=500)
    await depot.execute("UPDATE files SET deleted_at = now(), purge_at = now() - interval '1 hour'")
    assert await used(depot.platform, ann.id) == (len(CONTENT), 500)
    await depot.put(begun.key)
    await depot.run(lifecycle.purge_trash)
    assert await used(depot.platform, ann.id) == (0, 0)
    depot.clock.advance(hours=2)
    await depot.run()
    assert await depot.keys() == set()
    assert (await depot.count(StoredFile), await depot.count(FileVersion), await depot.count(UploadSession)) == (
        0,
        0,
        0,
    )


async def test_however_many_new_versions_are_on_their_way_all_give_their_room_back(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "ROWS_AT_A_TIME", 2)
    ann = await depot.person()
    made = await uploaded(ann, CONTENT)
    for _ in range(5):
        await depot.begun(ann, file_id=UUID(made["id"]), total_bytes=500)
    await depot.execute("UPDATE files SET deleted_at = now(), purge_at = now() - interval '1 hour'")
    await depot.run(lifecycle.purge_trash)
    assert await used(depot.platform, ann.id) == (0, 0)
    assert await depot.count(UploadSession) == 0


# --- bytes that are to go ------------------------------------------------------------------------------------------


async def test_a_crash_between_the_stores_delete_and_the_rows_is_only_another_try(depot: Depot) -> None:
    ann = await depot.person()
    begun = await depot.begun(ann)
    await arrived(depot, begun)
    depot.clock.advance(minutes=16)
    await depot.run(lifecycle.expire_uploads)
    await depot.platform.part(BlobDoor).delete(begun.key)  # and then the process died
    assert begun.key in await depot.doomed()
    depot.clock.advance(hours=2)
    await depot.run()
    assert await depot.doomed() == set()


async def test_while_the_store_is_away_what_is_to_go_waits_longer_and_longer(depot: Depot) -> None:
    ann = await depot.person()
    begun = await depot.begun(ann)
    await arrived(depot, begun)
    depot.clock.advance(minutes=16)
    await depot.run(lifecycle.expire_uploads)
    with depot.store_away():
        for _ in range(3):
            depot.clock.advance(hours=2)
            await depot.run()
    async with depot.platform.database.reading() as session:
        row = await session.get(DoomedObject, begun.key)
    assert row is not None
    assert row.attempts == 3
    depot.clock.advance(hours=2)
    await depot.run()
    assert await depot.keys() == set()
    assert await depot.doomed() == set()


@ON_DISK
async def test_one_key_that_cannot_be_removed_keeps_no_other_waiting(depot: Depot) -> None:
    """A folder stands where the file should be: the store refuses that one, each time."""
    keys = [f"user/{uuid4()}/temporary-upload/{uuid4()}" for _ in range(4)]
    stuck = min(keys)
    for key in keys:
        await depot.put(key if key != stuck else f"{key}/held")
    async with depot.platform.database.transaction() as session:
        await objects.doom(session, depot.platform, keys, "a test")
    await depot.run()
    assert await depot.keys() == {f"{stuck}/held"}
    assert await depot.doomed() == {stuck}


async def test_what_is_in_use_is_not_taken_away_whatever_a_row_says(depot: Depot) -> None:
    """A fault of ours elsewhere costs no file."""
    ann = await depot.person()
    made = await uploaded(ann, CONTENT)
    [key] = await depot.object_keys()
    await depot.execute(
        "INSERT INTO doomed_objects (key, reason, due_at, created_at)"
        " VALUES (:key, 'a fault', now() - interval '1 hour', now())",
        key=key,
    )
    await depot.run()
    answer = await ann.client.get(f"/api/storage/files/{made['id']}/content")
    assert answer.content == CONTENT
    assert key in await depot.doomed()


@ON_DISK
async def test_what_a_dead_writer_left_on_disk_goes_after_a_day(depot: Depot) -> None:
    root = depot.platform.part(BlobDoor).root
    assert root is not None
    left = root / "user" / f"{uuid4()}#1"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half of it")
    await depot.run(lifecycle.clear_unfinished)
    assert left.exists()
    moment = depot.clock.wall().timestamp() - 25 * 3600
    os.utime(left, (moment, moment))
    await depot.run(lifecycle.clear_unfinished)
    assert not left.exists()


# --- workspaces and people that go ---------------------------------------------------------------------------------


async def test_a_workspace_that_is_closed_leaves_no_file_and_no_byte(depot: Depot) -> None:
    ann = await depot.person()
    workspace = await make_workspace(ann)
    await uploaded(ann, CONTENT, workspaceId=workspace["id"])
    begun = await upload(ann, CONTENT + b"2", workspaceId=workspace["id"])
    assert begun.status_code == 201
    mine = await uploaded(ann, CONTENT)
    assert (await ann.client.delete(f"/api/workspaces/{workspace['id']}")).status_code in (200, 204)
    depot.clock.advance_business(days=40)
    await workspace_closing.close_deleted(depot.platform)
    account = workspace_account(workspace)
    assert await usage(depot.platform, account.id) is None
    await depot.run()
    assert await depot.file(mine["id"]) is not None
    await depot.balances()
    await workspace_closing.close_deleted(depot.platform)


async def test_what_a_person_has_goes_with_them_and_what_they_shared_stays(depot: Depot) -> None:
    ann, ben = await depot.person(), await depot.person()
    workspace = await make_workspace(ben)
    own = await uploaded(ann, CONTENT)
    kept = await uploaded(ben, CONTENT, workspaceId=workspace["id"])
    unplaced = await uploaded(ben, CONTENT + b"2", workspaceId=workspace["id"])
    scope = uuid4()
    await depot.execute("INSERT INTO scopes (id, workspace_id) VALUES (:id, :of)", id=scope, of=UUID(workspace["id"]))
    await depot.execute(
        "UPDATE files SET user_id = :ann WHERE id = ANY(:ids)",
        ann=ann.id,
        ids=[UUID(kept["id"]), UUID(unplaced["id"])],
    )
    await depot.execute(
        "UPDATE files SET file_type = 'TASK_ATTACHMENT', is_temporary = false, expires_at = NULL, scope_id = :scope"
        " WHERE id = :id",
        scope=scope,
        id=UUID(kept["id"]),
    )
    await depot.drifts(heal=True)  # the type was changed behind the counters' back
    begun = await depot.begun(ann)
    link = await ann.client.post(f"/api/storage/files/{own['id']}/link", json={})
    assert link.status_code == 201, link.text
    leaving = Leaving(ann.id, ann.email, ann.name, left=(UUID(workspace["id"]),))
    for _ in range(2):  # it may be done again
        await closing.take_leave(depot.platform, leaving)
    assert await depot.file(own["id"]) is None
    assert await depot.file(unplaced["id"]) is None
    assert await depot.file(kept["id"]) is not None
    assert await depot.upload(begun.id) is None
    assert await depot.count(FileLink) == 0
    assert await usage(depot.platform, ann.id) is None
    assert await depot.count(StorageUsage) == 1
    await depot.run()
    await depot.balances()


async def test_whoever_leaves_a_workspace_leaves_their_files_where_they_put_them(depot: Depot) -> None:
    """They are counted among what stays behind, without what is nowhere yet."""
    ann = await depot.person()
    workspace = await make_workspace(ann)
    await uploaded(ann, CONTENT, workspaceId=workspace["id"])
    placed = await uploaded(ann, CONTENT, workspaceId=workspace["id"])
    scope, of = uuid4(), UUID(workspace["id"])
    await depot.execute("INSERT INTO scopes (id, workspace_id) VALUES (:id, :of)", id=scope, of=of)
    await depot.execute("UPDATE files SET scope_id = :scope WHERE id = :id", scope=scope, id=UUID(placed["id"]))
    leaver = Leaver(Actor(ActorKind.USER, ann.id), of, ann.id)
    async with depot.platform.database.reading() as session:
        found = await left_by(session, depot.platform, leaver, None)
    assert [(one.kind, one.count) for one in found if one.kind == "files"] == [("files", 1)]


def test_a_person_gets_what_storage_knows_of_them() -> None:
    names = {one.name for one in files()}
    assert {"storage/files.json", "storage/versions.json", "storage/links.json", "storage/uploads.json"} <= names
