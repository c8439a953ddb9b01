"""Puts one process together: the one place that chooses the parts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from pm_api.core import business_clock
from pm_api.core.clock import SystemClock
from pm_api.core.crypto import KeyRing
from pm_api.core.db import Database
from pm_api.core.ids import SystemRandomness
from pm_api.core.paging import Cursors
from pm_api.core.platform import Platform
from pm_api.core.ratelimit import RateLimiter
from pm_api.core.settings import Settings
from pm_api.core.signals import Signals
from pm_api.domains.ai_credits.catalogue import CHANNEL as CATALOGUE_CHANNEL
from pm_api.domains.ai_credits.catalogue import Catalogue
from pm_api.domains.ai_credits.writer import LedgerWriter
from pm_api.domains.changes.hub import BALANCE_CHANNEL, StreamHub
from pm_api.domains.changes.repository import CHANGES_CHANNEL
from pm_api.domains.storage.admission import Admission
from pm_api.domains.storage.imaging import Studio
from pm_api.domains.storage.leases import CHANNEL as UPLOADS_CHANNEL
from pm_api.domains.storage.leases import Leases
from pm_api.domains.storage.renditions import Refusals
from pm_api.domains.webhooks_out.dispatcher import WebhookDispatcher
from pm_api.domains.webhooks_out.service import CHANNEL as WEBHOOKS_CHANNEL
from pm_api.entitlements.cache import Entitlements
from pm_api.entitlements.service import CHANNEL as ENTITLEMENTS_CHANNEL
from pm_api.entitlements.service import PLANS_CHANNEL
from pm_api.identity.guards import SessionCache
from pm_api.identity.key_uses import KeyUses
from pm_api.identity.passwords import Passwords
from pm_api.identity.sessions import SESSION_ENDED_CHANNEL
from pm_api.identity.tokens import AccessTokens
from pm_api.integrations.blobs import BlobDoor
from pm_api.integrations.blobs.presigning import Presigner
from pm_api.integrations.mail import MailDoor
from pm_api.integrations.openid import SignInDoor
from pm_api.integrations.outgoing import OutgoingDoor
from pm_api.integrations.scanner import ScannerDoor
from pm_api.integrations.stripe import StripeDoor
from pm_api.operations.service import Probe
from pm_api.registry import MODULES


def build_platform(
    settings: Settings, *, clock: SystemClock | None = None, passwords: Passwords | None = None
) -> Platform:
    """All parts of a process, connected to nothing yet."""
    assert MODULES, "an event finds its subscribers, and a sweep its function, only when all modules are loaded"
    if settings.database_url is None:
        raise ValueError("PM_DATABASE_URL is not set")
    direct = settings.database_direct_url
    database = Database(
        settings.database_url.get_secret_value(),
        direct_url=direct.get_secret_value() if direct else None,
        pool_size=settings.database_pool_size,
        pool_overflow=settings.database_pool_overflow,
    )
    keys = KeyRing(settings.secret_keys)
    redis = settings.redis_url
    platform = Platform(
        settings=settings,
        database=database,
        clock=clock or SystemClock(),
        randomness=SystemRandomness(),
        keys=keys,
        cursors=Cursors(keys),
        signals=Signals(database),
        limiter=RateLimiter(redis_url=redis.get_secret_value() if redis else None, enabled=settings.rate_limits),
    )
    platform.provide(AccessTokens(keys, platform.clock, settings.public_url))
    platform.provide(passwords or Passwords())
    platform.provide(SessionCache())
    platform.provide(KeyUses(platform))
    platform.provide(StreamHub(platform))
    platform.provide(Catalogue(platform))
    platform.provide(Entitlements(platform))
    platform.provide(LedgerWriter(platform))
    platform.provide(StripeDoor(settings.stripe, platform.clock))
    platform.provide(MailDoor(settings.smtp))
    platform.provide(Admission(settings.database_pool_size))
    platform.provide(BlobDoor(settings.storage, settings.s3, settings.data_dir))
    platform.provide(Presigner(settings.storage, settings.s3))
    platform.provide(ScannerDoor(settings.clamd))
    platform.provide(Leases(platform))
    platform.provide(Studio())
    platform.provide(Refusals())
    platform.provide(OutgoingDoor(settings.webhooks))
    platform.provide(WebhookDispatcher(platform))
    platform.provide(SignInDoor(settings, platform.clock))
    platform.provide(Probe())
    return platform


@asynccontextmanager
async def running(platform: Platform) -> AsyncIterator[Platform]:
    """Connect the signals and keep the business clock in step; close everything at the end."""
    sessions = platform.part(SessionCache)
    platform.signals.on(SESSION_ENDED_CHANNEL, sessions.drop_session)
    platform.signals.on_reset(sessions.clear)
    catalogue = platform.part(Catalogue)
    platform.signals.on(CATALOGUE_CHANNEL, lambda _: catalogue.forget())
    platform.signals.on_reset(catalogue.forget)
    entitlements = platform.part(Entitlements)
    platform.signals.on(ENTITLEMENTS_CHANNEL, entitlements.forget)
    platform.signals.on(PLANS_CHANNEL, lambda _: entitlements.forget_plans())
    platform.signals.on_reset(entitlements.clear)
    platform.signals.on(business_clock.CHANNEL, lambda payload: shift_clock(platform, payload))
    rereading: set[asyncio.Task[None]] = set()

    def reread_clock() -> None:
        task = asyncio.create_task(read_clock(platform))
        rereading.add(task)
        task.add_done_callback(rereading.discard)

    streams = platform.part(StreamHub)
    platform.signals.on(SESSION_ENDED_CHANNEL, streams.on_session_ended)
    platform.signals.on(CHANGES_CHANNEL, streams.on_changes)
    platform.signals.on(BALANCE_CHANNEL, streams.on_balances)
    platform.signals.on(UPLOADS_CHANNEL, platform.part(Leases).on_signal)
    platform.signals.on_reset(streams.on_reset)
    webhooks = platform.part(WebhookDispatcher)
    for channel in (CHANGES_CHANNEL, WEBHOOKS_CHANNEL):
        platform.signals.on(channel, webhooks.on_change)
    platform.signals.on_reset(webhooks.on_reset)
    platform.signals.on_reset(reread_clock)
    try:
        await platform.signals.start()
        await read_clock(platform)
        await asyncio.gather(*rereading)  # one that ends later would undo a move made in the meantime
        streams.start()
        await platform.part(LedgerWriter).start()
        yield platform
    finally:
        await platform.part(LedgerWriter).stop()
        await platform.part(StripeDoor).close()
        await platform.part(KeyUses).settled()
        await streams.stop()
        await platform.signals.stop()
        await asyncio.gather(*rereading, return_exceptions=True)
        await platform.limiter.close()
        await platform.database.close()


def shift_clock(platform: Platform, payload: str) -> None:
    if not platform.settings.is_production:
        platform.clock.shift_to(timedelta(seconds=float(payload)))


async def read_clock(platform: Platform) -> None:
    """Take over the installation's business time; production knows no other than the real one."""
    if platform.settings.is_production:
        return
    async with platform.database.reading() as session:
        platform.clock.follow(await business_clock.read_shift(session))
