"""Platforms that are kept: a worker opens one of a kind once, and after each test it is as it was when it was opened.

For tests that need a database of their own and leave nothing behind but rows. One that cannot be put in order
(somebody still works on it, or a part or a setting of it was replaced) is closed, and the next test gets a new one.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from pm_api.core.platform import Platform
from tests.conftest import AT_THE_END, open_platform
from tests.support.clock import MovableClock
from tests.support.mail import Post, post_office, smtp_settings
from tests.support.settings import settings_for
from tests.support.shelf import Made, is_itself_and_idle, keep, put_back
from tests.support.stripe import clone


@dataclass
class Kept:
    database: str
    platform: Platform
    post: Post | None
    made: Made
    keeper: asyncpg.Connection
    stack: AsyncExitStack

    async def put_back(self) -> bool:
        """Whether it is as it was."""
        if not await is_itself_and_idle(self.platform, self.made, self.keeper):
            return False
        if self.post is not None:
            self.post.heal()
            self.post.mailbox.clear()
        try:
            await put_back(self.keeper, self.platform)
        except asyncpg.PostgresError:
            return False
        return True


_free: dict[tuple[asyncio.AbstractEventLoop, Hashable], list[Kept]] = {}


async def _open(*, mails: bool, settings: dict[str, Any]) -> Kept:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(clone())
        post = await stack.enter_async_context(post_office()) if mails else None
        if post is not None:
            settings = {"smtp": smtp_settings(post.url), **settings}
        platform = await stack.enter_async_context(open_platform(settings_for(database, **settings), MovableClock()))
        keeper = await keep(database)
        stack.push_async_callback(keeper.close)
        return Kept(database, platform, post, Made.of(platform), keeper, stack.pop_all())


@asynccontextmanager
async def kept(*, mails: bool = False, **settings: Any) -> AsyncIterator[Kept]:
    """One for you alone; with `mails`, it sends to a post office of its own."""
    if _close not in AT_THE_END:
        AT_THE_END.append(_close)
    free = _free.setdefault((asyncio.get_running_loop(), (mails, repr(settings))), [])
    one = free.pop() if free else await _open(mails=mails, settings=settings)
    in_order = False
    try:
        yield one
        in_order = await one.put_back()
    finally:
        if in_order:
            free.append(one)
        else:
            await one.stack.aclose()


async def _close() -> None:
    """Those of this event loop."""
    loop = asyncio.get_running_loop()
    for place in [one for one in _free if one[0] is loop]:
        for one in _free.pop(place):
            await one.stack.aclose()
