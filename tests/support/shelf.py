"""Tills that are kept: a worker opens one once, and after each test it is as it was when it was opened.

To clone a database, start a sandbox and a platform, and sell every plan takes as long as a test. What a test has
left is taken away instead: every row, all that the sandbox knows, and what our process remembers. A till that cannot
be put in order (somebody still works on it) is closed, and the next test gets a new one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import httpx
from sqlalchemy import make_url
from starlette.types import ASGIApp, Receive, Scope, Send

from pm_api.bootstrap import read_clock
from pm_api.core import idempotency
from pm_api.core.flows import work
from pm_api.core.platform import Platform
from pm_api.core.settings import Settings
from pm_api.domains.ai_credits import charging
from pm_api.identity.key_uses import KeyUses
from pm_api.sandbox.stripe import create_app
from tests.conftest import AT_THE_END
from tests.sandbox.stripe_setup import served
from tests.support.catalogue import stock
from tests.support.clock import MovableClock
from tests.support.past import MEMORY, remember
from tests.support.settings import STRIPE_KEY, WEBHOOK_SECRET
from tests.support.stripe import SandboxStripe, Till, clone, open_till

LOCKED_MS = 2000
LINGER_S: Final = 0.2
DETACHED: Final = (work._working, charging._settling, idempotency._ending)
"""Tasks that outlive the request that began them, and would write into the next test's world."""
# Tables that had rows when the till was opened have a copy of them. Sequences go on: who remembers where he was in
# one still finds what is newer.
KEEP = """
CREATE SCHEMA shelf;
CREATE FUNCTION shelf.made_of() RETURNS bigint[] LANGUAGE sql AS $body$
  SELECT ARRAY[
    (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
    (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
    (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)
  ]
$body$;
CREATE TABLE shelf.first AS SELECT shelf.made_of() AS made_of;
DO $body$
DECLARE one record; filled boolean;
BEGIN
  FOR one IN SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', one.relname) INTO filled;
    IF filled THEN
      EXECUTE format('CREATE TABLE shelf.%I AS TABLE public.%I', one.relname, one.relname);
    END IF;
  END LOOP;
END $body$;
CREATE FUNCTION shelf.put_back() RETURNS void LANGUAGE plpgsql AS $body$
DECLARE one record; names text;
BEGIN
  IF shelf.made_of() <> (SELECT made_of FROM shelf.first) THEN
    RAISE EXCEPTION 'a table, an index, a function or a trigger was made or dropped';
  END IF;
  -- No trigger and no foreign key has a say in it.
  SET LOCAL session_replication_role = replica;
  FOR one IN
    SELECT t.oid, t.relname, s.oid IS NOT NULL AS kept
    FROM pg_class t LEFT JOIN pg_class s ON s.relname = t.relname AND s.relnamespace = 'shelf'::regnamespace
    WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r'
    AND (s.oid IS NOT NULL OR pg_relation_size(t.oid) > 0)
  LOOP
    EXECUTE format('DELETE FROM public.%I', one.relname);
    IF one.kept THEN
      SELECT string_agg(quote_ident(attname), ', ') INTO names FROM pg_attribute
      WHERE attrelid = one.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
      EXECUTE format('INSERT INTO public.%I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM shelf.%I',
                     one.relname, names, names, one.relname);
    END IF;
  END LOOP;
END $body$;
"""
AT_WORK = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
"""


class Counted:
    """How many requests are under way: one that hangs would write into the next test's world."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.under_way += scope["type"] == "http"
        try:
            await self._app(scope, receive, send)
        finally:
            self.under_way -= scope["type"] == "http"


@dataclass(frozen=True)
class Made:
    """What a platform was made of, to tell whether a test has put in something else. No row brings that back."""

    settings: Settings
    pieces: dict[str, int]
    parts: dict[type, tuple[int, dict[str, bool]]]
    """With the flags of each: what was stopped once does not start again."""

    @classmethod
    def of(cls, platform: Platform) -> "Made":
        pieces = {name: id(one) for name, one in vars(platform).items() if name != "_parts"}
        parts = {
            kind: (
                id(one),
                {name: flag for name, flag in getattr(one, "__dict__", {}).items() if isinstance(flag, bool)},
            )
            for kind, one in platform._parts.items()
        }
        return cls(platform.settings.model_copy(deep=True), pieces, parts)


async def is_itself_and_idle(platform: Platform, made: Made, keeper: asyncpg.Connection) -> bool:
    """Whether it is made of what it was made of, and nobody works on it any more."""
    await platform.part(KeyUses).settled()
    here = asyncio.get_running_loop()
    lingering = [task for some in DETACHED for task in some if task.get_loop() is here]
    if lingering:
        await asyncio.wait(lingering, timeout=LINGER_S)
    if any(not task.done() for task in lingering) or await keeper.fetchval(AT_WORK):
        return False
    # What was counted against a limit is not to be forgotten.
    return Made.of(platform) == made and not platform.settings.rate_limits


async def keep(database: str) -> asyncpg.Connection:
    """A connection through which `put_back` makes the database what it is now."""
    address = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(address, server_settings={"lock_timeout": str(LOCKED_MS)})
    await connection.execute(KEEP)
    return connection


async def put_back(keeper: asyncpg.Connection, platform: Platform) -> None:
    """The rows are those that were kept, and the process remembers nothing of others."""
    await keeper.execute("SELECT shelf.put_back()")
    for forget in platform.signals._resets:
        forget()
    # One of them reads the clock in a task of its own: it must find nothing new, in the middle of the next test.
    await read_clock(platform)
    assert isinstance(platform.clock, MovableClock)
    platform.clock.reset()


@dataclass
class Kept:
    """One till, and how it was when it was opened."""

    till: Till
    prices: dict[str, str]
    sandbox: Counted
    memory: bytes
    keeper: asyncpg.Connection
    made: Made
    stack: AsyncExitStack

    async def put_back(self) -> bool:
        """Whether it is as it was."""
        platform = self.till.platform
        if not await self._sandbox_is_idle() or not await is_itself_and_idle(platform, self.made, self.keeper):
            return False
        try:
            await put_back(self.keeper, platform)
        except asyncpg.PostgresError:
            return False
        answer = await self.till.stripe.http.put(MEMORY, content=self.memory)
        assert answer.status_code == 204, answer.text
        for client in (self.till.client, self.till.stripe.http):
            client.cookies.clear()
        return True

    async def _sandbox_is_idle(self) -> bool:
        """An answer that was just read may still be on its way out of the sandbox's thread."""
        for _ in range(20):
            if not self.sandbox.under_way:
                return True
            await asyncio.sleep(0.005)
        return False


@asynccontextmanager
async def _sandbox(stack: AsyncExitStack) -> AsyncIterator[tuple[SandboxStripe, Counted]]:
    app = create_app(
        store_path=":memory:", secret_key=STRIPE_KEY, webhook_secrets=(WEBHOOK_SECRET,), webhook_url=None
    )
    remember(app)
    counted = Counted(app)
    url = stack.enter_context(served(counted))
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=30) as http:
        yield SandboxStripe(url, http), counted


async def _open(*, stocked: bool) -> Kept:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(clone())
        stripe, sandbox = await stack.enter_async_context(_sandbox(stack))
        till = await stack.enter_async_context(open_till(database, stripe))
        prices = await stock(till.platform) if stocked else {}
        keeper = await keep(database)
        stack.push_async_callback(keeper.close)
        memory = (await stripe.http.get(MEMORY)).content
        return Kept(till, prices, sandbox, memory, keeper, Made.of(till.platform), stack.pop_all())


class Shelf:
    """The tills of this worker that nobody uses just now."""

    def __init__(self) -> None:
        self._free: dict[tuple[asyncio.AbstractEventLoop, bool], list[Kept]] = {}

    @asynccontextmanager
    async def till(self, *, stocked: bool) -> AsyncIterator[Kept]:
        """One for you alone; `stocked` ones sell every plan and pack."""
        if self.close not in AT_THE_END:
            AT_THE_END.append(self.close)
        free = self._free.setdefault((asyncio.get_running_loop(), stocked), [])
        kept = free.pop() if free else await _open(stocked=stocked)
        in_order = False
        try:
            yield kept
            in_order = await kept.put_back()
        finally:
            if in_order:
                free.append(kept)
            else:
                await kept.stack.aclose()

    async def close(self) -> None:
        """Of this event loop's."""
        loop = asyncio.get_running_loop()
        for place in [one for one in self._free if one[0] is loop]:
            for kept in self._free.pop(place):
                await kept.stack.aclose()


SHELF = Shelf()
