"""What people are mailed about their account, over real SMTP."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from pm_api.app import create_app
from tests.conftest import PASSWORD, Person, open_platform
from tests.domains.account.leavers import ACCOUNT, EXPORT, build_export, sweep
from tests.domains.notifications.house import House
from tests.domains.notifications.telling import tell
from tests.support.clock import MovableClock
from tests.support.mail import post_office, smtp_settings
from tests.support.settings import settings_for
from tests.support.stripe import clone


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[House]:
    """On a database of its own, for the clock is moved."""
    async with clone() as database, post_office() as post:
        settings = settings_for(database, smtp=smtp_settings(post.url))
        async with open_platform(settings, MovableClock()) as platform:
            opened = House(platform, create_app(settings, platform), post, [])
            yield opened
            for person in opened.people:
                await person.client.aclose()


async def newest(house: House, person: Person) -> Any:
    return (await house.mails(person))[-1]


async def test_a_ready_export_is_mailed_with_a_link_to_it_and_not_with_the_data(house: House) -> None:
    ann = await house.person(name="Ann Archer")
    made = (await ann.client.post(EXPORT)).json()["export"]
    await build_export(house.platform, made["id"])
    mail = await newest(house, ann)
    assert mail.message()["subject"] == "Your data is ready"
    for form in ("plain", "html"):
        assert f"http://site.local/settings/privacy?export={made['id']}" in mail.part(form)
        assert "Get your data" in mail.part(form)
    assert [part.get_content_type() for part in mail.message().walk() if not part.is_multipart()] == [
        "text/plain",
        "text/html",
    ]


async def test_a_deletion_is_mailed_with_its_day_and_the_way_back(house: House) -> None:
    ann = await house.person(name="Ann Archer")
    await ann.client.request("DELETE", ACCOUNT, json={"password": PASSWORD})
    mail = await newest(house, ann)
    assert mail.message()["subject"] == "Your account will be deleted"
    day = house.platform.clock.now() + timedelta(days=7)
    for form in ("plain", "html"):
        assert f"{day.day} {day:%B %Y}" in mail.part(form)
        assert "Keep my account" in mail.part(form)
        assert "http://site.local/settings/account" in mail.part(form)
    await ann.client.post(f"{ACCOUNT}/restore")
    assert (await newest(house, ann)).message()["subject"] == "Your account stays"


async def test_nothing_is_mailed_to_who_is_gone(house: House) -> None:
    """What waits when they go, and what comes late."""
    ann = await house.person()
    await ann.client.request("DELETE", ACCOUNT, json={"password": PASSWORD})
    house.clock.shift_to(house.clock.offset + timedelta(days=7, minutes=1))
    await sweep(house.platform, "account.erase_due")
    assert await house.mails(ann) == [], "what waited is not sent"
    assert await tell(house.platform, [ann.id]) == 1
    before = len(house.post.mailbox.page(limit=1000))
    await house.mails(ann)
    assert await house.outcomes(ann) == [("DROPPED", "gone")]
    assert len(house.post.mailbox.page(limit=1000)) == before
