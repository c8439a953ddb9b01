"""Invitations to addresses outside, over real SMTP: the mail, the calendar that goes with it, and the page behind its
link, on which somebody without an account answers.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import icalendar
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.crypto import decode_url, encode_url
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.calendar import letters, links
from pm_api.identity.permissions import Role
from pm_api.sandbox.mail.store import Received
from tests.conftest import Person, client_of, open_platform, register
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of, refusal
from tests.domains.calendar.test_attendees import AT_NINE, AT_TEN, SECOND, responses, told
from tests.support.clock import MovableClock
from tests.support.mail import Post, post_office, send_due, smtp_settings
from tests.support.settings import settings_for

LINK = re.compile(r"/api/calendar/invitations/[\w-]+")
PAGE = {"Accept": "text/html"}
GIL = "gil@example.org"
AT_NINE_LATER: Json = {"startTime": "2030-03-25T09:00:00Z", "endTime": "2030-03-25T10:00:00Z", "timeZone": "UTC"}
OUTSIDE: Json = {"attendees": [{"email": GIL, "name": "Gil Guest"}]}


@dataclass
class Office:
    """One process with a mail server, a calendar in it, and somebody without an account."""

    platform: Platform
    app: FastAPI
    post: Post
    diary: Diary
    outsider: httpx.AsyncClient

    async def mails(self, address: str = GIL) -> list[Received]:
        await send_due(self.platform)
        return self.post.to(address)

    async def link(self, address: str = GIL) -> str:
        """Of the last mail."""
        return link_in((await self.mails(address))[-1])

    async def open(self, link: str) -> httpx.Response:
        return await self.outsider.get(link, headers=PAGE)

    async def say(self, link: str, **fields: str) -> httpx.Response:
        return await self.outsider.post(link, data=fields, headers=PAGE)

    def advance(self, **duration: float) -> None:
        """Business time alone: whoever signed in stays so, however long this takes."""
        assert isinstance(self.platform.clock, MovableClock)
        self.platform.clock.advance_business(**duration)


@pytest.fixture
async def office(fresh_database: str) -> AsyncIterator[Office]:
    people: list[Person] = []
    async with post_office() as post:
        settings = settings_for(fresh_database, smtp=smtp_settings(post.url))
        async with open_platform(settings, MovableClock()) as platform:
            app = create_app(settings, platform)

            async def new_person(**fields: Any) -> Person:
                people.append(await register(app, **fields))
                return people[-1]

            diary = await open_diary(platform, new_person)
            async with client_of(app) as outsider:
                yield Office(platform, app, post, diary, outsider)
            for one in people:
                await one.client.aclose()


def link_in(mail: Received) -> str:
    """Text and HTML name the same one."""
    found = {link for form in ("plain", "html") for link in LINK.findall(mail.part(form))}
    assert len(found) == 1, found
    [link] = found
    return str(link)


def calendar_in(mail: Received) -> Any:
    """The one calendar of a mail, which stands in it twice: for the program, and as a file."""
    parts = [
        part for part in mail.message().walk() if part.get_content_type() in ("text/calendar", "application/ics")
    ]
    assert [part.get_content_type() for part in parts] == ["text/calendar", "application/ics"]
    assert parts[1].get_filename() == "invite.ics"
    raw: list[Any] = [part.get_payload(decode=True) for part in parts]
    read = [icalendar.Calendar.from_ical(one) for one in raw]
    assert read[0].to_ical() == read[1].to_ical()
    methods = {str(part.get_param("method")) for part in parts}
    assert methods == {str(read[0]["METHOD"])}
    return read[0]


def event_in(mail: Received) -> Any:
    [event] = calendar_in(mail).walk("VEVENT")
    return event


def methods(mails: list[Received]) -> list[str]:
    return [str(calendar_in(one)["METHOD"]) for one in mails]


# --- the mail --------------------------------------------------------------------------------------------------


async def test_an_address_outside_is_mailed_an_invitation(office: Office) -> None:
    event = await office.diary.event(
        **AT_NINE, **OUTSIDE, title="Kickoff ☕", description="What comes next.", location="Room 4"
    )
    assert office.post.to(GIL) == [], "nothing is sent with a session in hand"
    [mail] = await office.mails()
    message = mail.message()
    assert message["subject"] == "Invitation: Kickoff ☕"
    assert message["from"].addresses[0].addr_spec == "no-reply@acme.example"
    for form in ("plain", "html"):
        content = mail.part(form)
        assert "Olga Owner invites you to a meeting." in content
        assert "What comes next." in content
        assert "Monday, 4 March 2030, 09:00–10:00 (UTC)" in content
        assert "Room 4" in content
        assert "Olga Owner entered this address to invite you, in the workspace Acme." in content
    calendar = calendar_in(mail)
    assert str(calendar["METHOD"]) == "REQUEST"
    [written] = calendar.walk("VEVENT")
    assert str(written["UID"]) == event["uid"]
    assert (str(written["SUMMARY"]), int(written["SEQUENCE"])) == ("Kickoff ☕", 0)
    assert str(written["ORGANIZER"]) == f"mailto:{office.diary.owner.email}"
    assert str(written["ATTENDEE"]) == f"mailto:{GIL}"
    assert written["ATTENDEE"].params["PARTSTAT"] == "NEEDS-ACTION"
    assert written["ATTENDEE"].params["RSVP"] == "TRUE"


async def test_a_mail_tells_nothing_of_the_others(office: Office) -> None:
    ann = await office.diary.person(Role.MEMBER, name="Ann")
    await office.diary.event(
        **AT_NINE, attendeeIds=[str(ann.id)], attendees=[{"email": GIL}, {"email": "other@example.org"}]
    )
    [mail] = await office.mails()
    assert "other@example.org" not in str(mail.message())
    assert ann.email not in str(calendar_in(mail).to_ical())


async def test_who_was_told_is_mailed_again_only_when_it_is_not_true_any_more(office: Office) -> None:
    diary = office.diary
    ann = await diary.person(Role.MEMBER, name="Ann")
    event = await diary.series(**AT_NINE, **OUTSIDE)
    assert len(await office.mails()) == 1
    await diary.patch(event["id"], guestsCanInvite=True, showAs="FREE", reminders=[{"minutesBefore": 5}])
    await diary.patch(event["id"], attendeeIds=[str(ann.id)])
    await ann.client.post(path_of(event["id"], "/respond"), json={"response": "ACCEPTED"})
    assert len(await office.mails()) == 1
    await diary.patch(event["id"], **AT_TEN)
    _, changed = await office.mails()
    assert changed.message()["subject"] == "Changed: Standup"
    assert int(event_in(changed)["SEQUENCE"]) == 1
    assert str(event_in(changed)["UID"]) == event["uid"]
    await diary.delete(key(event["id"], "20300311T100000Z"), scope="this")
    mails = await office.mails()
    assert methods(mails) == ["REQUEST", "REQUEST", "CANCEL"]
    await diary.delete(event["id"])
    mails = await office.mails()
    assert methods(mails)[3:] == ["CANCEL"]
    cancelled = event_in(mails[-1])
    assert (str(cancelled["STATUS"]), str(cancelled["UID"])) == ("CANCELLED", event["uid"])
    assert mails[-1].message()["subject"] == "Cancelled: Standup"
    assert LINK.search(mails[-1].part("html")) is None


async def test_one_that_is_cancelled_is_named(office: Office) -> None:
    """Two, before the worker looks, are two mails; nothing is told twice, and what is back is not cancelled."""
    diary = office.diary
    event = await diary.series(**AT_NINE, **OUTSIDE)
    await office.mails()
    for original in (SECOND, "20300318T090000Z"):
        await diary.delete(key(event["id"], original), scope="this")
    mails = await office.mails()
    assert methods(mails) == ["REQUEST", "CANCEL", "CANCEL"]
    for mail, day in zip(mails[1:], ("11", "18"), strict=True):
        when = f"Monday, {day} March 2030, 09:00–10:00 (UTC)"
        assert mail.message()["subject"] == f"Cancelled: Standup, {when}"
        for form in ("plain", "html"):
            assert f"{when}: this one does not take place." in mail.part(form)
            assert "4 March" not in mail.part(form)
        one = event_in(mail)
        assert (str(one["UID"]), str(one["STATUS"]), int(one["SEQUENCE"])) == (event["uid"], "CANCELLED", 1)
        assert one["RECURRENCE-ID"].dt.isoformat() == one["DTSTART"].dt.isoformat() == f"2030-03-{day}T09:00:00+00:00"
        assert "RRULE" not in one
    await diary.patch(event["id"], guestsCanInvite=True)
    assert len(await office.mails()) == 3
    await diary.patch(event["id"], title="Renamed")
    written = event_in((await office.mails())[-1])
    assert sorted(one.dts[0].dt.day for one in written["EXDATE"]) == [11, 18]
    third = key(event["id"], "20300325T090000Z")
    await diary.delete(third, scope="this")
    back = await diary.owner.client.put(path_of(third), json=diary.body(**AT_NINE_LATER, title="Renamed"))
    assert back.status_code == 200, back.text
    assert methods(await office.mails())[4:] == ["REQUEST"]
    await diary.delete(key(event["id"], "20300401T090000Z"), scope="this")
    await diary.delete(event["id"])
    assert methods(await office.mails())[5:] == ["CANCEL"], "all of it is more than one of it"
    assert "RECURRENCE-ID" not in calendar_in((await office.mails())[-1]).walk("VEVENT")[0]


async def test_only_the_last_word_is_mailed(office: Office) -> None:
    """Three changes before the worker looks are one mail; an invitation that ended before it went out is none."""
    event = await office.diary.event(**AT_NINE, **OUTSIDE)
    for title in ("First", "Second", "Third"):
        await office.diary.patch(event["id"], title=title)
    assert [str(event_in(one)["SUMMARY"]) for one in await office.mails()] == ["Third"]
    other = await office.diary.event(**AT_NINE, attendees=[{"email": "short@example.org"}])
    await office.diary.delete(other["id"])
    assert methods(await office.mails("short@example.org")) == ["CANCEL"]


async def test_who_is_taken_off_the_list_is_mailed_and_their_link_is_dead(office: Office) -> None:
    event = await office.diary.event(**AT_NINE, **OUTSIDE)
    link = await office.link()
    assert (await office.open(link)).status_code == 200
    await office.diary.patch(event["id"], attendees=[])
    mails = await office.mails()
    assert methods(mails) == ["REQUEST", "CANCEL"]
    assert (await office.open(link)).status_code == 404
    await office.diary.patch(event["id"], attendees=[{"email": GIL}])
    again = await office.link()
    assert again != link, "the old one stays dead"
    assert (await office.open(link)).status_code == 404
    assert (await office.open(again)).status_code == 200


async def test_one_occurrence_has_an_invitation_of_its_own(office: Office) -> None:
    event = await office.diary.series(**AT_NINE)
    second = key(event["id"], SECOND)
    added = await office.diary.owner.client.post(path_of(second, "/attendees"), json={"email": GIL})
    assert added.status_code == 201, added.text
    [mail] = await office.mails()
    written = event_in(mail)
    assert written["RECURRENCE-ID"].dt.isoformat() == "2030-03-11T09:00:00+00:00"
    assert "RRULE" not in written
    link = link_in(mail)
    page = await office.open(link)
    assert "Monday, 11 March 2030" in page.text
    assert "<select" not in page.text
    assert (await office.say(link, response="ACCEPTED")).status_code == 200
    assert responses(await office.diary.read(second)) == {GIL: "ACCEPTED"}
    await office.diary.delete(second, scope="this")
    mails = await office.mails()
    assert methods(mails) == ["REQUEST", "CANCEL"]
    assert "It is over, or goes on without you." in (await office.open(link)).text


async def test_an_import_or_a_past_event_mails_nobody(office: Office) -> None:
    await office.diary.event(startTime="2020-03-02T09:00:00Z", endTime="2020-03-02T10:00:00Z", **OUTSIDE)
    assert await office.mails() == []


async def test_a_workspace_floods_no_mailboxes(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "MOST_A_DAY", 2)
    await office.diary.event(**AT_NINE, attendees=[{"email": GIL}, {"email": "b@example.org"}])
    await office.diary.event(**AT_NINE, title="Third", attendees=[{"email": "c@example.org"}])
    assert len(await office.mails()) == 1
    assert await office.mails("c@example.org") == []
    assert ("letters_stopped", "Nobody outside was told of Third") in await told(office.diary.owner)


# --- the page --------------------------------------------------------------------------------------------------


async def test_somebody_outside_answers_on_the_page(office: Office) -> None:
    event = await office.diary.event(**AT_NINE, **OUTSIDE, title="<b>Kickoff</b>", description="a <script> b")
    link = await office.link()
    page = await office.open(link)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert "&lt;b&gt;Kickoff&lt;/b&gt;" in page.text
    assert "<script" not in page.text
    assert "Monday, 4 March 2030, 09:00–10:00 (UTC)" in page.text
    assert "You have not answered yet." in page.text
    assert responses(await office.diary.read(event["id"])) == {GIL: "PENDING"}, "opening it changes nothing"
    said = await office.say(
        link,
        response="TENTATIVE",
        comment="Maybe <later>.",
        proposedStart="2030-03-04T15:00",
        proposedEnd="2030-03-04T16:30",
        seen=seen_on(page),
    )
    assert said.status_code == 200, said.text
    assert "Thank you. Olga Owner has been told." in said.text
    assert "You said that you may come." in said.text
    [row] = (await office.diary.read(event["id"]))["attendees"]
    assert (row["response"], row["comment"]) == ("TENTATIVE", "Maybe <later>.")
    assert (row["proposedStartTime"], row["proposedEndTime"]) == (
        "2030-03-04T15:00:00.000Z",
        "2030-03-04T16:30:00.000Z",
    )
    assert await told(office.diary.owner) == [("answered", "Gil Guest may come: <b>Kickoff</b>")]
    assert len(await office.mails()) == 1, "an answer is no news to who gave it"


async def test_a_time_proposed_stands_beside_the_answer_there_was(office: Office) -> None:
    event = await office.diary.event(**AT_NINE, **OUTSIDE)
    link = await office.link()

    async def standing() -> tuple[str, str | None]:
        [row] = (await office.diary.read(event["id"]))["attendees"]
        return row["response"], row["proposedStartTime"]

    first = {"proposedStart": "2030-03-04T15:00", "proposedEnd": "2030-03-04T16:00", "comment": ""}
    said = await office.say(link, **first)
    assert (said.status_code, await standing()) == (200, ("PENDING", "2030-03-04T15:00:00.000Z"))
    assert "You proposed: Monday, 4 March 2030, 15:00 (UTC)" in said.text
    assert (await office.say(link, response="TENTATIVE")).status_code == 200
    assert await standing() == ("TENTATIVE", None), "another answer takes its place"
    assert (await office.say(link, proposedStart="2030-03-04T17:00")).status_code == 200
    assert await standing() == ("TENTATIVE", "2030-03-04T17:00:00.000Z")
    heard = await told(office.diary.owner)
    assert heard == [
        ("answered", "Gil Guest proposes another time: Standup"),
        ("answered", "Gil Guest may come: Standup"),
        ("answered", "Gil Guest may come: Standup"),
    ]
    for again in ({"response": "TENTATIVE"}, {"response": "TENTATIVE", "proposedStart": "", "proposedEnd": ""}):
        assert "Thank you." in (await office.say(link, **again)).text
    assert (await office.say(link, proposedStart="2030-03-04T17:00")).status_code == 200
    assert await standing() == ("TENTATIVE", "2030-03-04T17:00:00.000Z")
    assert await told(office.diary.owner) == heard, "the same once more is no news"


async def test_the_same_answer_for_one_occurrence_is_told_once(office: Office) -> None:
    event = await office.diary.series(**AT_NINE, **OUTSIDE)
    link = await office.link()
    for _ in range(3):
        assert (await office.say(link, response="DECLINED", about=key(event["id"], SECOND))).status_code == 200
    assert await told(office.diary.owner) == [("answered", "Gil Guest will not come: Standup")]


async def test_the_page_runs_nothing_and_is_framed_by_nobody(office: Office) -> None:
    await office.diary.event(**AT_NINE, **OUTSIDE)
    link = await office.link()
    for page in (await office.open(link), await office.say(link, response="ACCEPTED"), await office.open(f"{link}x")):
        policy = page.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"} <= set(policy)


def seen_on(page: httpx.Response) -> str:
    found = re.search(r'name="seen" value="([\w-]+)"', page.text)
    assert found is not None
    return found[1]


async def test_an_occurrence_is_answered_for_by_itself(office: Office) -> None:
    event = await office.diary.series(**AT_NINE, **OUTSIDE)
    link = await office.link()
    assert (await office.say(link, response="ACCEPTED", about="series")).status_code == 200
    second = key(event["id"], SECOND)
    assert f'value="{second}"' in (await office.open(link)).text
    assert (await office.say(link, response="DECLINED", about=second)).status_code == 200
    shown = await office.diary.shown("2030-03-01", "2030-03-20", tz="UTC")
    assert [responses(one)[GIL] for one in shown] == ["ACCEPTED", "DECLINED", "ACCEPTED"]
    assert "Monday, 11 March 2030, 09:00–10:00 (UTC) (no)" in (await office.open(link)).text
    for about in (key(event["id"], "20300312T090000Z"), key(event["id"], "20200312T090000Z")):
        assert (await office.say(link, response="DECLINED", about=about)).status_code == 404
    for about in (key("019f7d3e-6f4c-7b52-9a3b-1f0d6a2f7c11", SECOND), "nothing"):
        assert (await office.say(link, response="DECLINED", about=about)).status_code == 422


async def test_an_answer_is_for_what_was_seen(office: Office) -> None:
    """The time changes while somebody reads the page: they are asked again, and nothing is written."""
    event = await office.diary.event(**AT_NINE, **OUTSIDE)
    link = await office.link()
    before = seen_on(await office.open(link))
    await office.diary.patch(event["id"], **AT_TEN)
    said = await office.say(link, response="ACCEPTED", seen=before)
    assert said.status_code == 409
    assert "This event has changed since you opened the page." in said.text
    assert "10:00–11:00 (UTC)" in said.text
    assert responses(await office.diary.read(event["id"])) == {GIL: "PENDING"}
    assert (await office.say(link, response="ACCEPTED", seen=seen_on(said))).status_code == 200
    assert responses(await office.diary.read(event["id"])) == {GIL: "ACCEPTED"}


@pytest.mark.parametrize(
    "fields",
    [
        {"comment": "Gladly."},
        {"response": "YES"},
        {"response": "ACCEPTED", "comment": "x" * 2001},
        {"response": "ACCEPTED", "comment": "a\x00b"},
        {"response": "ACCEPTED", "proposedStart": "tomorrow"},
        {"response": "ACCEPTED", "proposedStart": "2030-03-04T15:00", "proposedEnd": "2030-03-04T14:00"},
        {"response": "ACCEPTED", "proposedStart": "1066-03-04T15:00"},
        {"proposedEnd": "2030-03-04T14:00"},
        {"response": "ACCEPTED", "proposedStartTime": "2030-03-04T15:00"},
        {"response": "ACCEPTED", **{f"field{number}": "x" for number in range(20)}},
    ],
)
async def test_forms_that_are_none(office: Office, fields: Json) -> None:
    event = await office.diary.event(**AT_NINE, **OUTSIDE)
    link = await office.link()
    said = await office.say(link, **fields)
    assert said.status_code == 422
    assert 'role="alert"' in said.text
    plain = await office.outsider.post(link, data=fields)
    assert plain.headers["content-type"] == "application/problem+json"
    assert responses(await office.diary.read(event["id"])) == {GIL: "PENDING"}


async def test_links_that_open_nothing(office: Office) -> None:
    event = await office.diary.event(**AT_NINE, **OUTSIDE)
    link = await office.link()
    token = link.rpartition("/")[2]
    raw = decode_url(token)
    forged = [encode_url(bytes([raw[0] ^ 1]) + raw[1:]), encode_url(raw[:-1] + bytes([raw[-1] ^ 1])), "x", "a" * 200]
    for one in (*forged, encode_url(raw[:16]), f"{token}AA"):
        for found in (await office.open(links.PATH + one), await office.say(links.PATH + one, response="ACCEPTED")):
            assert found.status_code == 404
            assert "This invitation has ended" in found.text
    problem = await office.outsider.get(links.PATH + forged[0])
    assert refusal(problem) == (404, "event_invitation_gone")
    assert (await office.outsider.post(link, json={"response": "ACCEPTED"})).status_code == 415
    await office.diary.delete(event["id"])
    assert (await office.open(link)).status_code == 404
    assert (await office.say(link, response="ACCEPTED")).status_code == 404


async def test_the_link_rests_nowhere(office: Office) -> None:
    """Whoever reads the whole database, before and after the sending, can open nothing with it."""
    await office.diary.event(**AT_NINE, **OUTSIDE)
    token = (await office.link()).rpartition("/")[2]
    async with office.platform.database.reading() as session:
        names = await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        for name in names.all():
            rows = await session.scalars(text(f'SELECT t::text FROM "{name}" AS t'))
            assert all(token not in row for row in rows), name


async def test_links_end_with_the_project_and_are_closed_when_it_is_over(office: Office) -> None:
    diary = office.diary
    project = await diary.project()
    await diary.event(**AT_NINE, **OUTSIDE, projectId=project["id"])
    link = await office.link()
    archived = await diary.owner.client.post(f"/api/projects/{project['id']}/archive")
    assert archived.status_code == 200
    said = await office.say(link, response="ACCEPTED")
    assert said.status_code == 409
    assert "That did not work" in said.text
    assert (await diary.owner.client.delete(f"/api/projects/{project['id']}")).status_code in (200, 204)
    assert (await office.open(link)).status_code == 404
    await diary.event(**AT_NINE, attendees=[{"email": "late@example.org"}])
    late = await office.link("late@example.org")
    office.advance(days=365 * 5)
    assert "It is over" in (await office.open(late)).text
    assert (await office.say(late, response="ACCEPTED")).status_code == 409


async def test_opening_links_is_limited(fresh_database: str) -> None:
    """Not in other tests: there limits are off."""
    settings = settings_for(fresh_database, rate_limits=True)
    async with open_platform(settings, MovableClock()) as platform, client_of(create_app(settings, platform)) as one:
        answers = [(await one.get(f"{links.PATH}nothing")).status_code for _ in range(62)]
    assert answers == [404] * 60 + [429] * 2


# --- at once, and over time ------------------------------------------------------------------------------------


async def test_an_answer_and_a_change_of_time_come_one_after_the_other(office: Office) -> None:
    """Whichever is first: an answer to the old time never stands for the new one."""
    event = await office.diary.event(**AT_NINE, **OUTSIDE)
    link = await office.link()
    outcomes = set()
    for number in range(6):
        seen = seen_on(await office.open(link))
        time = AT_TEN if number % 2 == 0 else {name: AT_NINE[name] for name in ("startTime", "endTime")}
        said, _ = await asyncio.gather(
            office.say(link, response="ACCEPTED", seen=seen), office.diary.patch(event["id"], **time)
        )
        outcomes.add(said.status_code)
        [row] = (await office.diary.read(event["id"]))["attendees"]
        assert row["response"] == "PENDING", (number, said.status_code)
    assert outcomes <= {200, 409}


async def test_an_answer_and_its_withdrawal_at_once(office: Office) -> None:
    event = await office.diary.event(**AT_NINE)
    for number in range(4):
        address = f"g{number}@example.org"
        made = await office.diary.owner.client.post(path_of(event["id"], "/attendees"), json={"email": address})
        [row] = made.json()["event"]["attendees"]
        link = await office.link(address)
        gone = office.diary.owner.client.delete(path_of(event["id"], f"/attendees/{row['id']}"))
        said, removed = await asyncio.gather(office.say(link, response="ACCEPTED"), gone)
        assert removed.status_code == 204
        assert said.status_code in (200, 404)
        assert (await office.diary.read(event["id"]))["attendees"] == []


async def test_letters_are_forgotten_but_for_what_still_stands(office: Office) -> None:
    diary = office.diary
    event = await diary.event(**AT_NINE, **OUTSIDE)
    await diary.patch(event["id"], title="Another")
    gone = await diary.event(**AT_NINE, attendees=[{"email": "b@example.org"}])
    await diary.delete(gone["id"])
    await office.mails()
    office.advance(days=31)
    await run_sweep(office.platform, PERIODICS["calendar.forget_letters"])
    async with office.platform.database.reading() as session:
        rows = (await session.execute(text("SELECT email, words->>'event' FROM calendar_letters"))).all()
    assert [tuple(row) for row in rows] == [(GIL, "Another")]
    await diary.patch(event["id"], attendees=[{"email": GIL, "optional": True}])
    assert len(await office.mails()) == 1, "what they know they are not told again"
    assert timedelta(days=31) > letters.A_DAY


async def test_who_came_to_what_is_over_is_not_mailed_when_the_rest_changes(office: Office) -> None:
    event = await office.diary.series(**AT_NINE)
    ann = await office.diary.person(Role.MEMBER)
    second = key(event["id"], SECOND)
    for whom in ({"email": GIL}, {"userId": str(ann.id)}):
        added = await office.diary.owner.client.post(path_of(second, "/attendees"), json=whom)
        assert added.status_code == 201, added.text
    assert methods(await office.mails()) == ["REQUEST"]
    await office.diary.patch(event["id"], description="Before it began.")
    assert methods(await office.mails()) == ["REQUEST", "REQUEST"]
    before = await told(ann)
    clock = office.platform.clock
    assert isinstance(clock, MovableClock)
    clock.shift_to(datetime(2030, 3, 12, tzinfo=UTC) - clock.wall())
    await office.diary.patch(event["id"], description="Of the weeks to come.", startTime="2030-03-04T09:30:00Z")
    await office.diary.delete(event["id"])
    assert methods(await office.mails()) == ["REQUEST", "REQUEST"]
    assert await told(ann) == before


async def test_what_is_private_says_so_in_the_calendars_of_others(office: Office) -> None:
    await office.diary.event(**AT_NINE, **OUTSIDE, visibility="CONFIDENTIAL")
    [mail] = await office.mails()
    assert event_in(mail)["CLASS"] == "CONFIDENTIAL"


async def test_what_takes_place_after_all_is_not_cancelled_late(office: Office) -> None:
    event = await office.diary.series(**AT_NINE)
    second = key(event["id"], SECOND)
    added = await office.diary.owner.client.post(path_of(second, "/attendees"), json={"email": GIL})
    assert added.status_code == 201, added.text
    assert methods(await office.mails()) == ["REQUEST"]
    await office.diary.delete(second, scope="this")
    times = {"startTime": "2030-03-11T09:00:00Z", "endTime": "2030-03-11T10:00:00Z"}
    back = await office.diary.owner.client.put(
        path_of(second), json={"title": "Standup", "type": "MEETING", "timeZone": "UTC", **times}
    )
    assert back.status_code == 200, back.text
    assert methods(await office.mails()) == ["REQUEST", "REQUEST"]
