"""The gate: what is reserved, what is refused and with which figures, and who shares whose room."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.storage import quotas
from pm_api.domains.storage.accounts import Account
from pm_api.domains.storage.enums import Charge
from pm_api.domains.storage.errors.uploads import StorageQuotaExceeded
from pm_api.entitlements.enums import AccountType
from tests.conftest import NewPerson, Person
from tests.domains.storage.boxes import limit, refused, upload, usage, used, user_account
from tests.identity.teams import make_workspace, somebody_waits_for_a_lock

MEGABYTE = 1 << 20


def workspace_account(workspace: dict[str, object]) -> Account:
    return Account(AccountType.WORKSPACE, UUID(str(workspace["id"])))


async def reserved(platform: Platform, account: Account, size_bytes: int) -> None:
    async with platform.database.transaction() as session:
        await quotas.reserve(session, platform, account, size_bytes)


async def counted(platform: Platform, account: Account, **bytes_as: int) -> None:
    """As if files of an account had come, without any."""
    async with platform.database.transaction() as session:
        deltas = {Charge(name.upper()): size for name, size in bytes_as.items()}
        await quotas.move(session, platform, account, deltas)


async def refusal(platform: Platform, account: Account, size_bytes: int) -> StorageQuotaExceeded:
    with pytest.raises(StorageQuotaExceeded) as caught:
        await reserved(platform, account, size_bytes)
    return caught.value


# --- one account ---------------------------------------------------------------------------------------------------


async def test_the_last_byte_fits_and_the_next_one_does_not(platform: Platform, person: Person) -> None:
    account = user_account(person)
    await limit(platform, account, storage=1000)
    await reserved(platform, account, 600)
    await reserved(platform, account, 400)
    assert await used(platform, person.id) == (0, 1000)
    await refusal(platform, account, 1)
    assert await used(platform, person.id) == (0, 1000)


async def test_a_refusal_tells_what_there_is_and_where_most_of_it_is(platform: Platform, person: Person) -> None:
    account = user_account(person)
    await limit(platform, account, storage=1000)
    await counted(platform, account, task_attachments=10, trash=300, old_versions=200, user_avatars=40)
    await reserved(platform, account, 50)
    told = (await refusal(platform, account, 500)).extra
    assert {name: told[name] for name in ("used", "reserved", "limit", "needed")} == {
        "used": 550,
        "reserved": 50,
        "limit": 1000,
        "needed": 500,
    }
    assert told["largestCategories"] == [
        {"category": "TRASH", "bytes": 300},
        {"category": "OLD_VERSIONS", "bytes": 200},
        {"category": "USER_AVATARS", "bytes": 40},
    ]
    assert told["upgradeUrl"] == "http://site.local/dashboard/billing"


async def test_an_upload_that_does_not_fit_is_refused_on_the_wire(platform: Platform, person: Person) -> None:
    await limit(platform, user_account(person), storage=100)
    told = refused(await upload(person, b"x" * 5000), 402, "storage_quota_exceeded")
    assert (told["used"], told["reserved"], told["limit"]) == (0, 0, 100)
    assert told["needed"] >= 5000
    assert await used(platform, person.id) == (0, 0)


async def test_what_is_given_back_can_be_had_again(platform: Platform, person: Person) -> None:
    account = user_account(person)
    await limit(platform, account, storage=1000)
    await reserved(platform, account, 1000)
    async with platform.database.transaction() as session:
        await quotas.release(session, platform, account, 1000)
    assert await used(platform, person.id) == (0, 0)
    await reserved(platform, account, 1000)


async def test_nobody_gives_back_more_than_there_is(platform: Platform, person: Person) -> None:
    """A fault that would make room out of nothing ends its transaction instead."""
    account = user_account(person)
    await reserved(platform, account, 10)
    with pytest.raises(IntegrityError):
        async with platform.database.transaction() as session:
            await quotas.release(session, platform, account, 11)
    with pytest.raises(IntegrityError):
        async with platform.database.transaction() as session:
            await quotas.move(session, platform, account, {Charge.TRASH: -1})
    assert await used(platform, person.id) == (0, 10)


async def test_moving_keeps_the_sum_and_counts_each_change(platform: Platform, person: Person) -> None:
    account = user_account(person)
    await counted(platform, account, task_attachments=70)
    async with platform.database.transaction() as session:
        await quotas.move(session, platform, account, {Charge.TASK_ATTACHMENTS: -70, Charge.TRASH: 70})
    row = await usage(platform, person.id)
    assert row is not None
    assert (row.task_attachments, row.trash, row.total_used) == (0, 70, 70)
    version = row.version
    async with platform.database.transaction() as session:
        await quotas.move(session, platform, account, {Charge.TRASH: 0})
    row = await usage(platform, person.id)
    assert row is not None
    assert row.version == version


async def test_what_is_over_takes_no_more_but_an_empty_file(platform: Platform, person: Person) -> None:
    """After a change to a smaller plan."""
    account = user_account(person)
    await counted(platform, account, task_attachments=2000)
    await limit(platform, account, storage=1000)
    await refusal(platform, account, 1)
    await reserved(platform, account, 0)
    with pytest.raises(ValueError, match="release"):
        await reserved(platform, account, -5)


async def test_no_limit_is_no_limit(platform: Platform, person: Person) -> None:
    account = user_account(person)
    await limit(platform, account, storage=None)
    await reserved(platform, account, 1 << 50)
    async with platform.database.reading() as session:
        assert await quotas.most_of_one_file(session, platform, account) is None


async def test_a_plan_says_how_large_one_file_may_be(
    platform: Platform, person: Person, session: AsyncSession
) -> None:
    account = user_account(person)
    free = await quotas.most_of_one_file(session, platform, account)
    assert free is not None
    assert free > 0
    await limit(platform, account, one_file=77)
    assert await quotas.most_of_one_file(session, platform, account) == 77


# --- shared room ---------------------------------------------------------------------------------------------------


async def test_workspaces_without_a_plan_and_their_owner_share_one_room(
    platform: Platform, new_person: NewPerson
) -> None:
    owner = await new_person()
    first, second = [workspace_account(await make_workspace(owner)) for _ in range(2)]
    await _without_a_plan(platform, first, second)
    await limit(platform, user_account(owner), storage=1000)
    await reserved(platform, first, 300)
    await reserved(platform, user_account(owner), 300)
    told = (await refusal(platform, second, 500)).extra
    assert (told["used"], told["reserved"], told["limit"]) == (0, 600, 1000)
    await reserved(platform, second, 400)
    await refusal(platform, user_account(owner), 1)


async def test_a_workspace_with_a_plan_of_its_own_shares_with_nobody(
    platform: Platform, new_person: NewPerson
) -> None:
    owner = await new_person()
    own, shared = [workspace_account(await make_workspace(owner)) for _ in range(2)]
    await _without_a_plan(platform, own, shared)
    await limit(platform, user_account(owner), storage=1000)
    await limit(platform, own, storage=5000)
    await reserved(platform, own, 5000)
    await reserved(platform, shared, 1000)
    await refusal(platform, own, 1)
    await refusal(platform, shared, 1)


async def _without_a_plan(platform: Platform, *accounts: Account) -> None:
    async with platform.database.reading() as session:
        for one in accounts:
            assert (await quotas.room_of(session, platform, one)).is_shared, "the test is about the owner's room"


# --- at one moment -------------------------------------------------------------------------------------------------


async def test_two_workspaces_of_one_owner_cannot_fill_the_same_room(
    platform: Platform, new_person: NewPerson
) -> None:
    """The one that waits sees what the other has taken, though its first look at the figures was before."""
    owner = await new_person()
    first, second = [workspace_account(await make_workspace(owner)) for _ in range(2)]
    await limit(platform, user_account(owner), storage=1000)
    async with platform.database.transaction() as session:
        await quotas.reserve(session, platform, first, 700)
        waiting = asyncio.create_task(reserved(platform, second, 700))
        await somebody_waits_for_a_lock(platform)
    with pytest.raises(StorageQuotaExceeded) as caught:
        await waiting
    assert caught.value.extra["reserved"] == 700


async def test_a_reservation_that_is_rolled_back_leaves_the_room_to_who_waits(
    platform: Platform, person: Person
) -> None:
    account = user_account(person)
    await limit(platform, account, storage=1000)
    session = platform.database.session()
    await quotas.reserve(session, platform, account, 700)
    waiting = asyncio.create_task(reserved(platform, account, 700))
    await somebody_waits_for_a_lock(platform)
    await session.rollback()
    await session.close()
    await waiting
    assert await used(platform, person.id) == (0, 700)


async def test_a_workspace_that_changes_hands_while_it_waits_fills_the_new_owners_room(
    platform: Platform, new_person: NewPerson
) -> None:
    """The budget is read again once its lock is given; the room of the new owner is full."""
    old, new = await new_person(), await new_person()
    account = workspace_account(await make_workspace(old))
    await limit(platform, user_account(old), storage=MEGABYTE)
    await limit(platform, user_account(new), storage=10)
    async with platform.database.transaction() as session:
        await quotas.reserve(session, platform, user_account(old), 1)  # holds the old owner's budget
        waiting = asyncio.create_task(reserved(platform, account, 500))
        await somebody_waits_for_a_lock(platform)
        await _hand_over(session, account.id, new.id)
    with pytest.raises(StorageQuotaExceeded) as caught:
        await waiting
    assert caught.value.extra["limit"] == 10


async def _hand_over(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> None:
    await session.execute(
        text("UPDATE workspace_members SET user_id = :user WHERE workspace_id = :workspace AND role = 'OWNER'"),
        {"user": user_id, "workspace": workspace_id},
    )
