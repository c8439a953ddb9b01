"""What one test has left on a platform that is kept is not there for the next one."""

from datetime import timedelta

from sqlalchemy import text

from pm_api.bootstrap import read_clock
from pm_api.core import business_clock
from pm_api.domains.webhooks_out.dispatcher import WebhookDispatcher
from pm_api.integrations.mail import MailDoor
from tests.support.clock import MovableClock
from tests.support.kept import kept


async def test_what_was_written_moved_and_remembered_is_taken_back() -> None:
    async with kept() as one:
        first = one.platform
        async with first.database.transaction() as session:
            await business_clock.write_shift(session, timedelta(days=3))
        await read_clock(first)
        assert isinstance(first.clock, MovableClock)
        assert first.clock.offset == timedelta(days=3)
        first.clock.advance(days=40)
    async with kept() as one:
        assert one.platform is first, "it is kept"
        assert isinstance(first.clock, MovableClock)
        assert first.clock.now() - type(first.clock)().now() < timedelta(minutes=1)
        first.clock.shift_to(timedelta(days=5))
        await read_clock(first)
        assert first.clock.offset == timedelta(days=5), "nothing of before comes late"


async def test_one_that_was_changed_otherwise_is_not_given_to_the_next() -> None:
    async with kept(mails=True) as one:
        first = one.platform
        first.settings.smtp = first.settings.smtp.model_copy(update={"daily_limit": 3})
    async with kept(mails=True) as one:
        second = one.platform
        assert second is not first
        assert second.settings.smtp.daily_limit != 3
        second.provide(MailDoor(second.settings.smtp))
    async with kept(mails=True) as one:
        third = one.platform
        assert third is not second
        dispatcher = third.part(WebhookDispatcher)
        await dispatcher.start()
        await dispatcher.stop()
    async with kept(mails=True) as one:
        fourth = one.platform
        assert fourth is not third, "what was stopped does not start again"
        async with fourth.database.transaction() as session:
            await session.execute(text("CREATE TABLE left_behind (id int)"))
    async with kept(mails=True) as one:
        assert one.platform is not fourth
