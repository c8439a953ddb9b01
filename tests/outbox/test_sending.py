"""Each mail goes out once: by one worker or two, over a server that fails, through a worker's death."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from pm_api.core.jobs import PERIODICS, Worker, run_sweep
from pm_api.core.platform import Platform
from pm_api.integrations.mail import Letter, MailDoor, MailServer, MailUnavailable, Recipient
from pm_api.outbox import flows, service
from pm_api.outbox.enums import MailStatus
from pm_api.outbox.service import Claim, Composed, NewMail, Unwanted
from tests.conftest import open_platform
from tests.core.test_jobs import until
from tests.support.clock import MovableClock
from tests.support.mail import Post, post_office, send_due, smtp_settings
from tests.support.settings import settings_for

KIND = "test"
UNWANTED, BROKEN = UUID(int=1), UUID(int=2)


async def _compose(_session: object, _platform: Platform, claimed: Claim) -> Composed | Unwanted:
    """A letter of the test's own; its address is the subject's id."""
    if claimed.subject_id == UNWANTED:
        return Unwanted("changed_their_mind")
    if claimed.subject_id == BROKEN:
        raise RuntimeError("a letter nobody can write")
    letter = Letter("test.mail", "Hello", "Something happened.", "You asked.", "Acme", "https://app.example.com")
    return Composed(Recipient(f"{claimed.subject_id}@example.com"), letter)


@pytest.fixture(autouse=True, scope="module")
def own_kind() -> Any:
    service.composes(KIND)(_compose)
    yield
    del service._KINDS[KIND]


@dataclass
class Office:
    platform: Platform
    post: Post
    database: str

    @property
    def clock(self) -> MovableClock:
        assert isinstance(self.platform.clock, MovableClock)
        return self.platform.clock

    async def put(self, *subjects: UUID, user_id: UUID | None = None, is_urgent: bool = False) -> int:
        async with self.platform.database.transaction() as session:
            mails = [NewMail(KIND, one, user_id, is_urgent) for one in subjects]
            return await service.put(session, self.platform, mails)

    async def rows(self, *subjects: UUID) -> list[dict[str, Any]]:
        async with self.platform.database.reading() as session:
            found = await session.execute(
                text("SELECT * FROM mails WHERE subject_id = ANY(:ids) ORDER BY id"), {"ids": list(subjects)}
            )
            return [dict(row) for row in found.mappings()]

    async def row(self, subject: UUID) -> dict[str, Any]:
        [only] = await self.rows(subject)
        return only

    async def status(self, subject: UUID) -> str:
        status: str = (await self.row(subject))["status"]
        return status

    def arrived(self, subject: UUID) -> int:
        return len(self.post.to(str(subject)))

    async def waiting_jobs(self) -> int:
        async with self.platform.database.reading() as session:
            found = await session.scalar(
                text("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'outbox.send_waiting'")
            )
            return found or 0


@asynccontextmanager
async def another_process(office: Office) -> AsyncIterator[Platform]:
    async with open_platform(office.platform.settings, office.clock) as platform:
        yield platform


@pytest.fixture
async def office(fresh_database: str) -> AsyncIterator[Office]:
    async with post_office() as post:
        settings = settings_for(fresh_database, smtp=smtp_settings(post.url))
        async with open_platform(settings, MovableClock()) as platform:
            yield Office(platform, post, fresh_database)


async def test_a_mail_goes_out_once_however_often_it_is_put_and_sent(office: Office) -> None:
    subject = uuid4()
    assert await office.put(subject) == 1
    assert await office.put(subject, subject) == 0
    assert office.arrived(subject) == 0, "nothing is sent with a session in hand"
    for _ in range(3):
        await send_due(office.platform)
    row = await office.row(subject)
    assert (row["status"], row["attempts"], row["outcome"], row["claimed_by"]) == ("SENT", 1, None, None)
    [mail] = office.post.to(str(subject))
    assert mail.message()["message-id"] == f"<{row['id']}@acme.example>"
    assert await office.put(subject) == 0
    await send_due(office.platform)
    assert office.arrived(subject) == 1


async def test_what_is_rolled_back_is_not_sent(office: Office) -> None:
    subject = uuid4()
    with contextlib.suppress(RuntimeError):
        async with office.platform.database.transaction() as session:
            await service.put(session, office.platform, [NewMail(KIND, subject, None, is_urgent=False)])
            raise RuntimeError
    await send_due(office.platform)
    assert await office.rows(subject) == []
    assert await office.waiting_jobs() == 0
    assert office.post.mailbox.page() == []


async def test_the_workers_job_sends_it_at_once(office: Office) -> None:
    worker = Worker(office.platform)
    await worker.start()
    try:
        subject = uuid4()
        await office.put(subject)
        await until(lambda: office.arrived(subject) == 1, "the mail")
    finally:
        await worker.stop()
    assert await office.status(subject) == "SENT"


async def test_two_workers_send_each_mail_once(office: Office) -> None:
    subjects = [uuid4() for _ in range(60)]
    await office.put(*subjects)
    async with another_process(office) as other:
        counts = await asyncio.gather(
            *(flows.send_waiting(one) for one in (office.platform, other, office.platform, other))
        )
    assert sum(counts) == 60
    assert sum(count > 0 for count in counts) > 1, "several took part"
    assert [office.arrived(one) for one in subjects] == [1] * 60
    assert {row["status"] for row in await office.rows(*subjects)} == {"SENT"}


# --- death in between ------------------------------------------------------------------------------------------


async def _as_far_as(office: Office, *, sent: bool) -> Claim:
    """What a worker has done that dies before it could mark the mail."""
    async with office.platform.database.transaction() as session:
        claimed = await service.claim(session, office.platform)
    assert claimed is not None
    if sent:
        assert (await flows._attempt(office.platform, claimed)).status is MailStatus.SENT
    return claimed


async def test_a_worker_that_died_before_sending_loses_no_mail(office: Office) -> None:
    subject = uuid4()
    await office.put(subject)
    await _as_far_as(office, sent=False)
    await send_due(office.platform)
    assert office.arrived(subject) == 0, "it may still be at work"
    office.clock.advance(seconds=office.platform.settings.smtp.timeout_s + 61)
    await send_due(office.platform)
    assert office.arrived(subject) == 1
    assert (await office.row(subject))["attempts"] == 2


async def test_a_worker_that_died_after_sending_leaves_two_under_one_message_id(office: Office) -> None:
    """SMTP cannot be asked: better twice, recognisably, than never."""
    subject = uuid4()
    await office.put(subject)
    await _as_far_as(office, sent=True)
    office.clock.advance(minutes=5)
    await send_due(office.platform)
    await send_due(office.platform)
    first, second = office.post.to(str(subject))
    assert first.message()["message-id"] == second.message()["message-id"]
    assert await office.status(subject) == "SENT"


async def test_an_answer_that_is_lost_is_as_a_death_after_sending(office: Office) -> None:
    subject = uuid4()
    await office.put(subject)
    office.post.fail("lose_answer")
    await send_due(office.platform)
    assert (await office.status(subject), office.arrived(subject)) == ("PENDING", 1)
    office.clock.advance(minutes=1)
    await send_due(office.platform)
    first, second = office.post.to(str(subject))
    assert first.message()["message-id"] == second.message()["message-id"]
    assert await office.status(subject) == "SENT"


async def test_who_comes_back_late_changes_nothing(office: Office) -> None:
    subject = uuid4()
    await office.put(subject)
    late = await _as_far_as(office, sent=False)
    office.clock.advance(minutes=5)
    await send_due(office.platform)
    async with office.platform.database.transaction() as session:
        outcome = service.Outcome(MailStatus.REFUSED, "550")
        assert not await service.settle(session, office.platform, late, outcome)
    assert await office.status(subject) == "SENT"


# --- servers that fail -----------------------------------------------------------------------------------------


async def test_a_server_that_was_away_gets_everything_when_it_is_back(office: Office) -> None:
    subjects = [uuid4() for _ in range(5)]
    async with post_office() as closed:
        port = closed.port
    settings = office.platform.settings
    settings.smtp = settings.smtp.model_copy(update={"url": SecretStr(f"smtp://127.0.0.1:{port}")})
    office.platform.provide(MailDoor(settings.smtp))
    await office.put(*subjects)
    await send_due(office.platform)
    rows = await office.rows(*subjects)
    assert {row["status"] for row in rows} == {"PENDING"}
    assert sum(row["attempts"] for row in rows) == 1, "one try tells that the server is gone"
    async with post_office(port) as back:
        office.clock.advance(minutes=1)
        await send_due(office.platform)
        assert [len(back.to(str(one))) for one in subjects] == [1] * 5


async def test_a_mail_that_is_deferred_waits_longer_each_time_and_lets_others_pass(office: Office) -> None:
    slow, quick = uuid4(), uuid4()
    office.post.fail("transient", times=3, recipient=f"{slow}@example.com")
    await office.put(slow)
    await office.put(quick)
    await send_due(office.platform)
    assert (office.arrived(slow), office.arrived(quick)) == (0, 1)
    waits = []
    for attempt in (1, 2, 3):
        row = await office.row(slow)
        assert (row["status"], row["attempts"], row["outcome"]) == ("PENDING", attempt, "451 4.7.1")
        waits.append(row["due_at"] - office.clock.wall())
        await send_due(office.platform)
        assert (await office.row(slow))["attempts"] == attempt, "not before it is due"
        office.clock.move_to(row["due_at"] + timedelta(milliseconds=1))
        await send_due(office.platform)
    assert office.arrived(slow) == 1
    for wait, step in zip(waits, (30, 60, 120), strict=True):
        assert timedelta(seconds=step * 0.5 - 2) < wait <= timedelta(seconds=step)


async def test_a_mail_that_is_refused_for_good_is_not_tried_again_and_shown(office: Office) -> None:
    subject, other = uuid4(), uuid4()
    office.post.fail("permanent")
    await office.put(subject)
    await office.put(other)
    await send_due(office.platform)
    office.clock.advance(days=1)
    await send_due(office.platform)
    row = await office.row(subject)
    assert (row["status"], row["attempts"], row["outcome"]) == ("REFUSED", 1, "550 5.1.1")
    assert row["finished_at"] is not None
    assert (office.arrived(subject), office.arrived(other)) == (0, 1)


async def test_after_two_days_a_mail_has_failed(office: Office) -> None:
    subject = uuid4()
    office.post.fail("transient", times=100_000)
    await office.put(subject)
    for _ in range(80):
        await send_due(office.platform)
        office.clock.advance(hours=1)
        if await office.status(subject) == "FAILED":
            break
    row = await office.row(subject)
    assert (row["status"], row["outcome"]) == ("FAILED", "451 4.7.1")
    assert timedelta(days=2) <= row["finished_at"] - row["created_at"] <= timedelta(days=2, hours=1.5)
    office.post.heal()
    office.clock.advance(days=1)
    await send_due(office.platform)
    assert office.arrived(subject) == 0


async def test_a_mail_that_nobody_can_write_stops_no_other(office: Office) -> None:
    good = uuid4()
    await office.put(BROKEN, UNWANTED, good)
    await send_due(office.platform)
    assert office.arrived(good) == 1
    broken, unwanted = await office.row(BROKEN), await office.row(UNWANTED)
    assert (broken["status"], broken["outcome"]) == ("PENDING", "RuntimeError")
    assert (unwanted["status"], unwanted["outcome"]) == ("DROPPED", "changed_their_mind")


# --- bounds ----------------------------------------------------------------------------------------------------


async def test_nobody_is_buried_in_mail_but_what_is_urgent_arrives(office: Office) -> None:
    office.platform.settings.smtp = office.platform.settings.smtp.model_copy(update={"daily_limit": 3})
    person, other = [await _person(office) for _ in range(2)]
    flood, urgent, theirs = [uuid4() for _ in range(5)], uuid4(), uuid4()
    for one in flood:
        await office.put(one, user_id=person)
        await send_due(office.platform)
    await office.put(urgent, user_id=person, is_urgent=True)
    await office.put(theirs, user_id=other)
    await send_due(office.platform)
    assert [office.arrived(one) for one in (*flood, urgent, theirs)] == [1, 1, 1, 0, 0, 1, 1]
    assert {row["outcome"] for row in await office.rows(*flood[3:])} == {"daily_limit"}
    office.clock.advance(hours=25)
    tomorrow = uuid4()
    await office.put(tomorrow, user_id=person)
    await send_due(office.platform)
    assert office.arrived(tomorrow) == 1


async def _person(office: Office) -> UUID:
    async with office.platform.database.transaction() as session:
        made = uuid4()
        await session.execute(
            text(
                "INSERT INTO users (id, email, name, locale, time_zone, created_at, updated_at)"
                " VALUES (:id, :email, 'Somebody', 'en', 'UTC', :now, :now)"
            ),
            {"id": made, "email": f"{made}@example.com", "now": office.clock.now()},
        )
    return made


async def test_a_thousand_at_once_and_no_more(office: Office) -> None:
    subjects = [uuid4() for _ in range(1000)]
    assert await office.put(*subjects) == 1000
    assert await office.waiting_jobs() == 1, "one job for all of them"
    with pytest.raises(ValueError, match="at most 1000"):
        await office.put(*subjects, uuid4())


async def test_old_mails_are_forgotten_and_waiting_ones_are_not(office: Office) -> None:
    sent, waiting = uuid4(), uuid4()
    await office.put(sent)
    await send_due(office.platform)
    office.clock.advance(days=29)
    await office.put(waiting)
    await run_sweep(office.platform, PERIODICS["outbox.forget"])
    assert len(await office.rows(sent, waiting)) == 2
    office.clock.advance(days=2)
    await run_sweep(office.platform, PERIODICS["outbox.forget"])
    assert [row["subject_id"] for row in await office.rows(sent, waiting)] == [waiting]


async def test_without_a_mail_server_nothing_piles_up(platform: Platform) -> None:
    assert not platform.settings.sends_mail
    async with platform.database.transaction() as session:
        assert await service.put(session, platform, [NewMail(KIND, uuid4(), None, is_urgent=False)]) == 0
    assert await flows.send_waiting(platform) == 0
    with pytest.raises(MailUnavailable, match="PM_SMTP_URL is not set"):
        MailServer.of(platform.settings.smtp)


async def test_taking_a_mail_costs_the_same_however_many_wait(office: Office) -> None:
    """Counted in pages: the statement goes along its index to the first row."""
    fill = text(
        "INSERT INTO mails (id, kind, subject_id, is_urgent, status, created_at, due_at, try_until)"
        " SELECT gen_random_uuid(), 'many', gen_random_uuid(), false, 'PENDING', :now, :now, :now"
        " FROM generate_series(1, :count)"
    )
    look = text(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM mails WHERE status = 'PENDING' AND due_at <= :now"
        " ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    pages = []
    for count in (1_000, 30_000):
        async with office.platform.database.transaction() as session:
            await session.execute(fill, {"now": office.clock.wall(), "count": count})
        async with office.platform.database.transaction() as session:
            [plan] = await session.scalar(look, {"now": office.clock.wall()})
            pages.append(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
            assert "ix_mails_due" in str(plan)
    assert pages[1] <= pages[0] + 10, pages
