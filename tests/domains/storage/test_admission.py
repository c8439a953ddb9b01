"""Who waits for an account's counters waits without a connection, so that nobody else waits with them."""

import asyncio
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from pm_api.core.errors import Unavailable
from pm_api.core.jobs import JobContext, TryAgain
from pm_api.core.platform import Platform
from pm_api.domains.storage import join_jobs, joining
from pm_api.domains.storage.accounts import Account
from pm_api.domains.storage.admission import Admission
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType
from tests.conftest import NewPerson, Person
from tests.domains.storage import tus_client as tus
from tests.domains.storage.boxes import UPLOADS, refused, upload, uploaded, user_account
from tests.identity.teams import somebody_waits_for_a_lock

SMALL = 4


def account() -> Account:
    return Account(AccountType.USER, uuid4())


async def test_uploads_that_wait_for_their_counters_keep_no_connection_from_anybody(
    platform: Platform, new_person: NewPerson
) -> None:
    """More of them than the pool has connections, while their counters are held: others are answered at once."""
    busy, other = await new_person(), await new_person()
    await uploaded(busy, b"so that there are counters")
    settings = platform.settings
    crowd = settings.database_pool_size + settings.database_pool_overflow + 5
    async with platform.database.transaction() as session:
        await entitlements.lock_user(session, busy.id)
        uploads = [asyncio.create_task(upload(busy, b"%d" % number)) for number in range(crowd)]
        await somebody_waits_for_a_lock(platform)
        done, _ = await asyncio.wait(uploads, timeout=0.2)
        assert not done
        async with asyncio.timeout(5):
            await uploaded(other, b"of somebody else")
            assert (await other.client.get("/api/storage/usage")).status_code == 200
    answers = await asyncio.gather(*uploads)
    assert {one.status_code for one in answers} == {201}


async def test_an_upload_whose_length_is_told_later_waits_for_its_turn_each_time(
    platform: Platform, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await tus.begun(person, None)
    with monkeypatch.context() as others:
        others.setattr(platform.part(Admission), "_longest_wait_s", 0.01)
        async with platform.part(Admission).turn(user_account(person)):
            for told in ({}, {"Upload_Length": "3"}):
                refused(await tus.send(person, address, 0, b"abc", **told), 503, "unavailable")
            refused(await tus.end(person, address), 503, "unavailable")
            refused(await person.client.delete(f"{UPLOADS}/{address.rsplit('/', 1)[-1]}"), 503, "unavailable")
    assert (await tus.send(person, address, 0, b"abc", Upload_Length="3")).status_code == 204
    assert (await tus.upload_of(person, address))["state"] == "COMPLETED"


async def test_a_whole_upload_that_finds_the_line_full_becomes_a_file_by_its_job(
    platform: Platform, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All has come and is counted: its client is told so, whoever waits for the counters."""
    address = await tus.begun(person, 3)
    payload = joining.JoinUpload(upload_id=UUID(address.rsplit("/", 1)[-1]))
    with monkeypatch.context() as others:
        others.setattr(platform.part(Admission), "_longest_wait_s", 0.01)
        async with platform.part(Admission).turn(user_account(person)):
            sent = await tus.send(person, address, 0, b"abc")
            assert (sent.status_code, sent.headers["Upload-Offset"]) == (204, "3")
            assert (await tus.upload_of(person, address))["state"] == "FINISHING"
            with pytest.raises(TryAgain):
                await join_jobs.join.run(JobContext(platform, "a test"), payload)
    await join_jobs.join.run(JobContext(platform, "a test"), payload)
    assert (await tus.upload_of(person, address))["state"] == "COMPLETED"


async def test_of_one_account_one_at_a_time_in_the_order_they_came() -> None:
    door, mine, others = Admission(SMALL), account(), account()
    seen: list[str] = []
    is_let_go = asyncio.Event()

    async def come(name: str, whose: Account) -> None:
        async with door.turn(whose):
            seen.append(name)
            await is_let_go.wait()
            seen.append(f"{name} done")

    tasks = [asyncio.create_task(come(name, mine)) for name in "abc"]
    tasks.append(asyncio.create_task(come("other", others)))
    await _idle()
    assert seen == ["a", "other"]
    tasks[1].cancel()  # who hangs up is not waited for
    await _idle()
    is_let_go.set()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    await asyncio.gather(*(one for one in tasks if not one.cancelled()))
    assert [one for one in seen if one in "abc"] == ["a", "c"]
    assert seen.index("a done") < seen.index("c")


async def test_half_of_the_connections_are_for_uploads() -> None:
    door, inside = Admission(SMALL), 0
    most, is_let_go = 0, asyncio.Event()

    async def come() -> None:
        nonlocal inside, most
        async with door.turn(account()):
            inside += 1
            most = max(most, inside)
            await is_let_go.wait()
            inside -= 1

    tasks = [asyncio.create_task(come()) for _ in range(SMALL * 2)]
    await _idle()
    assert inside == SMALL // 2
    is_let_go.set()
    await asyncio.gather(*tasks)
    assert most == SMALL // 2


async def test_no_line_is_endless() -> None:
    mine = account()
    full = Admission(SMALL, most_inside=2)
    async with full.turn(mine), full.place():
        with pytest.raises(Unavailable) as refused:
            async with full.place():
                raise AssertionError("nobody is let in")
    assert refused.value.headers == {"Retry-After": "5"}
    async with full.turn(mine):  # who was let in has gone
        pass
    slow = Admission(SMALL, longest_wait_s=0.01)
    async with slow.turn(mine):
        with pytest.raises(Unavailable):
            async with slow.turn(mine):
                raise AssertionError("it is another's turn")
        async with slow.turn(account()):  # their wait was for their own account
            pass
    async with slow.turn(mine):
        pass


async def _idle() -> None:
    """Let everybody go as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)
