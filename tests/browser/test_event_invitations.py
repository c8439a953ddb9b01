"""Somebody without an account opens the link in their mail, on a telephone, and answers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.async_api import Browser

from pm_api.app import create_app
from tests.browser.test_mails import LEAST_CONTRAST, MEASURE
from tests.conftest import Person, open_platform, register
from tests.domains.calendar.diaries import Diary, key, open_diary
from tests.domains.calendar.test_attendees import AT_NINE, SECOND, responses, told
from tests.domains.calendar.test_letters import GIL, OUTSIDE, link_in
from tests.support.clock import MovableClock
from tests.support.mail import post_office, send_due, smtp_settings
from tests.support.server import serve
from tests.support.settings import settings_for

PHONE: Final = {"width": 360, "height": 740}


@pytest.fixture
async def invited(fresh_database: str) -> AsyncIterator[tuple[Diary, dict[str, Any], str]]:
    """A calendar, a series in it, and where the mail about it leads."""
    people: list[Person] = []
    async with post_office() as post:
        settings = settings_for(fresh_database, smtp=smtp_settings(post.url))
        async with open_platform(settings, MovableClock()) as platform:
            app = create_app(settings, platform)

            async def new_person(**fields: Any) -> Person:
                people.append(await register(app, **fields))
                return people[-1]

            diary = await open_diary(platform, new_person)
            words = "What comes next.\nAnd averylongwordthatdoesnotend" + "andgoeson" * 20
            event = await diary.series(**AT_NINE, **OUTSIDE, location="Room 4", description=words)
            await send_due(platform)
            async with serve(app) as address:
                yield diary, event, address + link_in(post.to(GIL)[-1])
            for one in people:
                await one.client.aclose()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_somebody_outside_answers(
    chromium: Browser,
    shots: Path,
    invited: tuple[Diary, dict[str, Any], str],
    scheme: Literal["light", "dark"],
) -> None:
    diary, event, link = invited
    context = await chromium.new_context(
        viewport={"width": PHONE["width"], "height": PHONE["height"]}, color_scheme=scheme, java_script_enabled=True
    )
    try:
        page = await context.new_page()
        await page.goto(link)
        measured: dict[str, Any] = await page.evaluate(MEASURE)
        assert measured["width"] <= PHONE["width"]
        for one in measured["texts"]:
            assert one["contrast"] >= LEAST_CONTRAST, one
        await page.screenshot(path=shots / f"invitation-{scheme}-1.png", full_page=True)
        assert responses(await diary.read(event["id"])) == {GIL: "PENDING"}, "opening it changes nothing"
        await page.get_by_label("A word to the organizer").fill("Gladly.")
        await page.get_by_role("button", name="Yes", exact=True).click()
        assert "Olga Owner has been told." in await page.get_by_role("status").inner_text()
        await page.get_by_label("Your answer is for").select_option(key(event["id"], SECOND))
        await page.get_by_role("button", name="No", exact=True).click()
        assert "Olga Owner has been told." in await page.get_by_role("status").inner_text()
        await page.screenshot(path=shots / f"invitation-{scheme}-2.png", full_page=True)
    finally:
        await context.close()
    shown = await diary.shown("2030-03-01", "2030-03-20", tz="UTC")
    assert [responses(one)[GIL] for one in shown] == ["ACCEPTED", "DECLINED", "ACCEPTED"]
    assert [title for _, title in await told(diary.owner)] == [
        "Gil Guest will come: Standup",
        "Gil Guest will not come: Standup",
    ]
