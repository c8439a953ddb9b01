"""Rows and store, counters and rows: what differs is found, what is under way is no difference, and healing heals."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pm_api.core import telemetry
from pm_api.domains.storage import closing, lifecycle, objects, reconciling
from pm_api.domains.storage.enums import UploadStatus, UploadWay
from pm_api.domains.storage.keys import chunk_key
from pm_api.domains.storage.models import StoredObject
from pm_api.domains.storage.reconciling import Report
from pm_api.domains.storage.repository import reconciling as rows
from pm_api.identity.permissions import Role
from pm_api.integrations.blobs import BlobDoor
from tests.domains.storage.boxes import refused, upload, uploaded, usage, used
from tests.domains.storage.depots import Depot, open_depot
from tests.domains.storage.scanned import notices, object_of
from tests.identity.teams import join, make_workspace

CONTENT = b"Forty-two lines of a plan.\n" * 42
AT_ONCE = timedelta(0)


@pytest.fixture
async def depot(fresh_database: str, tmp_path: Path) -> AsyncIterator[Depot]:
    async with open_depot(fresh_database, tmp_path) as found:
        yield found


async def compare(depot: Depot, *, heal: bool = False, older_than: timedelta = AT_ONCE) -> Report:
    return await reconciling.reconcile(depot.platform, heal=heal, older_than=older_than)


async def orphan_of(depot: Depot, person_id: UUID) -> str:
    key = f"user/{person_id}/temporary-upload/{uuid4()}"
    await depot.put(key)
    return key


# --- the store -----------------------------------------------------------------------------------------------------


async def test_where_all_is_as_the_rows_say_nothing_is_found(depot: Depot) -> None:
    ann = await depot.person()
    await uploaded(ann, CONTENT)
    await uploaded(ann, CONTENT, "the same.txt")
    found = await compare(depot, heal=True)
    assert found.is_clean, found.told()
    assert (found.stored, found.rows) == (2, 1), "the double is doomed, and still there"
    await depot.run()
    assert (await compare(depot)).stored == 1


async def test_bytes_that_no_row_accounts_for_are_told_and_only_then_removed(depot: Depot) -> None:
    ann = await depot.person()
    await uploaded(ann, CONTENT)
    key = await orphan_of(depot, ann.id)
    told = await compare(depot)
    assert (told.orphans, told.orphan_bytes, told.healed) == (1, len(b"left behind"), 0)
    assert any(key in line for line in told.lines)
    assert telemetry.STORAGE_ORPHANS._value.get() == 1
    await depot.run()
    assert key in await depot.keys()
    assert (await compare(depot, heal=True)).healed == 1
    await depot.run()
    await depot.balances()
    assert (await compare(depot)).is_clean
    assert telemetry.STORAGE_ORPHANS._value.get() == 0


async def test_young_bytes_are_left_alone(depot: Depot) -> None:
    ann = await depot.person()
    key = await orphan_of(depot, ann.id)
    assert (await compare(depot, heal=True, older_than=timedelta(hours=24))).is_clean
    depot.clock.advance(hours=25)
    assert (await compare(depot, heal=True, older_than=timedelta(hours=24))).orphans == 1
    await depot.run()
    assert key not in await depot.keys()


async def test_what_is_nothing_of_ours_is_told_and_never_touched(depot: Depot) -> None:
    await depot.put("backups/monday")
    found = await compare(depot, heal=True)
    assert (found.strange, found.orphans) == (1, 0)
    await depot.run()
    assert await depot.keys() == {"backups/monday"}


async def test_what_an_upload_under_way_writes_is_no_orphan(depot: Depot) -> None:
    ann = await depot.person()
    whole = await depot.begun(ann)
    apart = await depot.begun(ann, way=UploadWay.PRESIGNED, comes_in_apart=True)
    tus = await depot.begun(ann, way=UploadWay.TUS)
    assert apart.incoming_key is not None
    kept = {whole.key, apart.incoming_key, chunk_key(tus.id, 1, 0), tus.key}
    for key in kept:
        await depot.put(key)
    lost = chunk_key(uuid4(), 1, 0)
    await depot.put(lost)
    found = await compare(depot, heal=True)
    assert (found.orphans, found.strange) == (1, 0)
    await depot.run()
    assert await depot.keys() == kept


async def test_uploads_that_finish_while_it_looks_lose_nothing(depot: Depot) -> None:
    """Comparing with healing, and the sweep that takes away, run all the time while files come in and go."""
    ann = await depot.person()
    contents = [CONTENT + str(number % 15).encode() for number in range(30)]

    async def come_in() -> list[dict[str, object]]:
        made = []
        for first in range(0, 30, 6):
            answers = await asyncio.gather(*(upload(ann, one, f"{first}.txt") for one in contents[first : first + 6]))
            assert {answer.status_code for answer in answers} == {201}, [one.text for one in answers]
            made += [answer.json()["file"] for answer in answers]
        return made

    coming = asyncio.create_task(come_in())
    rounds = 0
    while not coming.done() or rounds < 2:
        found = await compare(depot, heal=True)
        assert (found.orphans, found.missing, found.damaged) == (0, 0, 0), found.told()
        await depot.run()
        rounds += 1
    for file, content in zip(await coming, contents, strict=True):
        answer = await ann.client.get(f"/api/storage/files/{file['id']}/content")
        assert answer.content == content
    await depot.run()
    await depot.balances()
    assert await depot.count(StoredObject) == 15


# --- the rows ------------------------------------------------------------------------------------------------------


async def test_a_file_whose_bytes_are_gone_is_told_and_then_says_so_itself(depot: Depot) -> None:
    ann = await depot.person()
    whole, broken = await uploaded(ann, CONTENT), await uploaded(ann, CONTENT + b"2")
    [lost] = [one for one in await depot.object_keys() if (await _size(depot, one)) == len(CONTENT) + 1]
    await depot.platform.part(BlobDoor).delete(lost)
    told = await compare(depot)
    assert (told.missing, told.healed) == (1, 0)
    file = await depot.file(broken["id"])
    assert file is not None
    assert file.status == UploadStatus.COMPLETED
    assert (await compare(depot, heal=True)).healed == 1
    file = await depot.file(broken["id"])
    assert file is not None
    assert (file.status, file.object_id) == (UploadStatus.FAILED, None)
    assert await used(depot.platform, ann.id) == (len(CONTENT), 0)
    answer = await ann.client.get(f"/api/storage/files/{whole['id']}/content")
    assert answer.content == CONTENT
    await depot.run()
    await depot.balances()


async def test_a_file_whose_bytes_are_cut_short_is_told_and_then_says_so_itself(depot: Depot) -> None:
    ann = await depot.person()
    broken = await uploaded(ann, CONTENT)
    [key] = await depot.object_keys()
    await depot.put(key, CONTENT[:10])
    found = await compare(depot)
    assert (found.damaged, found.missing, found.healed, found.left) == (1, 0, 0, 1)
    assert any(key in line for line in found.lines)
    healed = await compare(depot, heal=True)
    assert (healed.healed, healed.left) == (1, 0)
    answer = await ann.client.get(f"/api/storage/files/{broken['id']}/content")
    assert refused(answer, 409, "file_not_ready")["uploadStatus"] == "FAILED"
    assert await used(depot.platform, ann.id) == (0, 0)
    await depot.run()
    assert (await compare(depot)).is_clean
    assert await depot.keys() == {key}, "what is left of it is kept for whoever can mend it"
    depot.clock.advance_business(days=31)
    await depot.run()
    await depot.balances()


async def test_what_is_left_of_damaged_bytes_goes_with_their_workspace(depot: Depot) -> None:
    ann = await depot.person()
    workspace = await make_workspace(ann)
    await uploaded(ann, CONTENT, workspaceId=workspace["id"])
    [key] = await depot.object_keys()
    await depot.put(key, CONTENT[:10])
    await compare(depot, heal=True)
    await closing.close(depot.platform, UUID(workspace["id"]))
    await depot.run()
    assert await depot.keys() == set()


@pytest.mark.parametrize("left", [b"", CONTENT[:10]])
async def test_whoever_was_refused_lost_bytes_and_brings_them_again_mends_all_files_with_them(
    depot: Depot, left: bytes
) -> None:
    ann = await depot.person()
    file = await uploaded(ann, CONTENT)
    [key] = await depot.object_keys()
    await depot.platform.part(BlobDoor).delete(key)
    if left:
        await depot.put(key, left)
    refused(await ann.client.get(f"/api/storage/files/{file['id']}/content"), 410, "file_gone")
    again = await uploaded(ann, CONTENT, "again.txt")
    await depot.run()
    for one in (file, again):
        assert (await ann.client.get(f"/api/storage/files/{one['id']}/content")).content == CONTENT
    assert (await compare(depot)).is_clean
    assert await used(depot.platform, ann.id) == (len(CONTENT), 0)
    depot.clock.advance_business(days=31)
    await depot.run()
    await depot.balances()


async def test_a_doubt_goes_when_the_very_bytes_are_back(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await depot.person()
    file = await uploaded(ann, CONTENT)
    [key] = await depot.object_keys()
    await depot.platform.part(BlobDoor).delete(key)
    refused(await ann.client.get(f"/api/storage/files/{file['id']}/content"), 410, "file_gone")
    for content, is_doubted in ((b"", True), (CONTENT[::-1], True), (CONTENT, False)):
        await depot.put(key, content)
        await reconciling.trust_again(depot.platform)
        assert ((await object_of(depot.platform, file)).doubted_at is not None) is is_doubted
        assert (await compare(depot)).damaged == is_doubted, "as many bytes, but others, are damage too"
    for text in ("one", "two"):
        file = await uploaded(ann, text.encode())
        await objects.doubt(depot.platform, (await object_of(depot.platform, file)).key)
    monkeypatch.setattr(reconciling, "READ_AT_A_TIME_BYTES", 3)
    for left in (1, 0, 0):
        await reconciling.trust_again(depot.platform)
        async with depot.platform.database.reading() as session:
            assert len(await rows.some_doubted(session, limit=9)) == left, "a run reads so much and no more"


async def test_who_has_lost_bytes_is_told_once(depot: Depot) -> None:
    owner, maker, other = await depot.person(), await depot.person(name="Ben"), await depot.person()
    workspace = await make_workspace(owner)
    for one in (maker, other):
        await join(depot.platform, workspace["id"], one, Role.MEMBER)
    file = await uploaded(maker, CONTENT, "secret plan.txt", workspaceId=workspace["id"])
    await uploaded(maker, CONTENT + b"2", workspaceId=workspace["id"])
    lost = (await object_of(depot.platform, file)).key
    await depot.platform.part(BlobDoor).delete(lost)
    await compare(depot)
    assert await notices(maker, "file.lost") == [], "the store may come back: who heals says that it will not"
    for _ in range(2):
        await compare(depot, heal=True)
    [told] = await notices(maker, "file.lost")
    assert "secret plan.txt" in told["title"]
    [seen] = await notices(owner, "file.lost_in_workspace")
    assert "Ben" in seen["body"]
    assert "secret plan" not in str(seen), "an admin does not see files that have no place yet"
    assert await notices(other, "file.lost_in_workspace") == await notices(other, "file.lost") == []
    assert await notices(maker, "file.lost_in_workspace") == await notices(owner, "file.lost") == []


async def test_of_a_lost_file_nobody_is_told_who_does_not_see_it_any_more(depot: Depot) -> None:
    owner, maker = await depot.person(), await depot.person()
    workspace = await make_workspace(owner)
    await join(depot.platform, workspace["id"], maker, Role.MEMBER)
    body = {"workspaceId": workspace["id"], "name": "Anything"}
    project = (await owner.client.post("/api/projects", json=body)).json()["project"]
    in_project = {"fileType": "PROJECT_ASSET", "projectId": project["id"]}
    file = await uploaded(maker, CONTENT, **in_project)
    await owner.client.patch(f"/api/projects/{project['id']}", json={"isPrivate": True})
    address = f"/api/storage/files/{file['id']}"
    assert (await maker.client.get(address)).status_code == 404
    renamed = await owner.client.patch(address, json={"originalName": "secret.txt"})
    assert renamed.status_code == 200, renamed.text
    await depot.platform.part(BlobDoor).delete((await object_of(depot.platform, file)).key)
    await compare(depot, heal=True)
    assert await notices(maker, "file.lost") == []
    [told] = await notices(owner, "file.lost_in_workspace")
    assert "secret" not in str(told)


async def test_many_lost_versions_of_a_file_are_told_as_one_and_no_number_comes_again(depot: Depot) -> None:
    ann = await depot.person()
    file = await uploaded(ann, CONTENT)
    for number in (2, 3, 4):
        await uploaded(ann, CONTENT + bytes([number]), fileId=file["id"])
    lost = [one for one in await depot.object_keys() if await _size(depot, one) != len(CONTENT)]
    await depot.platform.part(BlobDoor).delete(*lost)
    assert (await compare(depot, heal=True)).healed == 3
    assert sorted(one["title"] for one in await notices(ann, "file.lost")) == [
        "File lost: plan.txt",
        "Versions lost: plan.txt",
    ]
    back = await ann.client.post(f"/api/storage/files/{file['id']}/versions/1/restore")
    assert back.json()["file"]["versionNumber"] == 5, "there were two, three and four"
    assert (await uploaded(ann, CONTENT + b"x", fileId=file["id"]))["versionNumber"] == 6


async def test_in_the_wrong_store_nothing_is_given_up(depot: Depot) -> None:
    """An operator who has mistyped the bucket loses no file by it."""
    ann = await depot.person()
    made = [await uploaded(ann, CONTENT + bytes([number])) for number in range(3)]
    with depot.store_mistaken():
        found = await compare(depot, heal=True)
    assert found.is_of_another_store
    assert (found.healed, found.left) == (0, 3)
    for number, file in enumerate(made):
        answer = await ann.client.get(f"/api/storage/files/{file['id']}/content")
        assert answer.content == CONTENT + bytes([number])


async def _size(depot: Depot, key: str) -> int:
    head = await depot.platform.part(BlobDoor).head(key)
    assert head is not None
    return head.size_bytes


# --- the counters --------------------------------------------------------------------------------------------------


async def test_counters_that_drifted_are_told_and_only_then_set_right(depot: Depot) -> None:
    ann, ben = await depot.person(), await depot.person()
    await uploaded(ann, CONTENT)
    await uploaded(ben, CONTENT)
    begun = await depot.begun(ann)
    await depot.execute(
        "UPDATE storage_usage SET trash = trash + 7, total_used = total_used + 7, reserved = 5"
        " WHERE account_id = :id",
        id=ann.id,
    )
    [drift] = await depot.drifts()
    assert drift.account.id == ann.id
    assert drift.off_by == {"trash": 7, "total_used": 7, "reserved": 5 - begun.reserved_bytes}
    assert telemetry.STORAGE_DRIFT._value.get() == 1
    [healed] = await depot.drifts(heal=True)
    assert healed.is_healed
    assert await depot.drifts() == []
    assert telemetry.STORAGE_DRIFT._value.get() == 0
    assert await used(depot.platform, ann.id) == (len(CONTENT), begun.reserved_bytes)


async def test_objects_counted_as_something_else_and_without_use_are_found(depot: Depot) -> None:
    ann = await depot.person()
    made = await uploaded(ann, CONTENT)
    await depot.execute("UPDATE stored_objects SET charged_as = 'TRASH'")
    [drift] = await depot.drifts(heal=True)
    assert (drift.off_by, drift.misfiled) == ({}, 1)
    assert await depot.drifts() == []
    await depot.execute("UPDATE files SET object_id = NULL, status = 'FAILED' WHERE id = :id", id=UUID(made["id"]))
    await depot.execute("DELETE FROM file_versions")
    assert len(await depot.drifts(heal=True)) == 1
    assert await depot.count(StoredObject) == 0
    await depot.run()
    await depot.balances()


async def test_an_account_without_counters_gets_them_back(depot: Depot) -> None:
    ann = await depot.person()
    await uploaded(ann, CONTENT)
    await depot.execute("DELETE FROM storage_usage")
    assert len(await depot.drifts(heal=True)) == 1
    assert await used(depot.platform, ann.id) == (len(CONTENT), 0)


async def test_whatever_people_do_the_counters_are_what_they_count(depot: Depot) -> None:
    """Doubles, versions, the trash and back, gone for good: after each step and at the end."""
    ann = await depot.person()
    chance = random.Random(6)
    files: dict[str, bool] = {}
    for _ in range(40):
        content = CONTENT + str(chance.randrange(4)).encode()
        kept = [one for one, is_trashed in files.items() if not is_trashed]
        trashed = [one for one, is_trashed in files.items() if is_trashed]
        step = chance.choice(["new", "new", "version", "version", "trash", "restore", "purge"])
        if step == "new" or not files:
            made = await uploaded(ann, content)
            files[made["id"]] = False
        elif step == "version" and kept:
            await uploaded(ann, content, fileId=chance.choice(kept))
        elif step == "trash" and kept:
            gone = chance.choice(kept)
            assert (await ann.client.delete(f"/api/storage/files/{gone}")).status_code == 204
            files[gone] = True
        elif step == "restore" and trashed:
            back = chance.choice(trashed)
            assert (await ann.client.post(f"/api/storage/files/{back}/restore")).status_code == 200
            files[back] = False
        elif step == "purge" and files:
            gone = chance.choice(list(files))
            answer = await ann.client.delete(f"/api/storage/files/{gone}", params={"permanent": "true"})
            assert answer.status_code == 204
            del files[gone]
        assert await depot.drifts() == []
    row = await usage(depot.platform, ann.id)
    assert row is not None
    assert row.total_used == await depot.count(StoredObject) * (len(CONTENT) + 1)
    await depot.run()
    await depot.balances()
    depot.clock.advance_business(days=31)
    await depot.run(lifecycle.purge_expired)
    await depot.run(lifecycle.purge_trash)
    await depot.run()
    assert await depot.keys() == set()
    await depot.balances()
