"""`pm-api doctor`: is everything this installation depends on there?"""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from sqlalchemy import text

from pm_api.bootstrap import build_platform
from pm_api.core.platform import Platform
from pm_api.core.settings import Environment, Settings
from pm_api.domains.billing import price_sync, setup
from pm_api.integrations.blobs import BlobDoor, BlobMissing, StorageUnavailable
from pm_api.integrations.blobs.presigning import Presigner
from pm_api.integrations.mail import MailDoor, MailUnavailable
from pm_api.integrations.openid import ProviderRefused, SignInDoor, SignInProviderUnavailable
from pm_api.integrations.scanner import ScannerDoor, ScannerUnavailable
from pm_api.integrations.stripe import StripeDoor
from pm_api.migrate import head
from pm_api.webhooks.handlers import STRIPE

TIMEOUT_S: Final = 10.0
LONGEST_REASON: Final = 300
LEAST_FREE_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    ok: bool
    text: str


async def examine(settings: Settings) -> list[Finding]:
    """One finding a provider; nothing is written anywhere."""
    platform = build_platform(settings)
    checks: list[tuple[str, Callable[[Platform], Awaitable[str]], str]] = [
        ("database", _database, "check PM_DATABASE_URL and that the server is up"),
        ("migrations", _migrations, "run pm-api migrate"),
        ("queue", _queue, "run pm-api migrate"),
        ("stripe", _stripe, "check PM_STRIPE_SECRET_KEY, PM_STRIPE_API_BASE and the way out to the network"),
    ]
    checks.append(("billing", _billing, "run pm-api billing setup-stripe"))
    checks.append(("mail", _mail, "check PM_SMTP_URL"))
    checks.append(("storage", _storage, "check PM_STORAGE_URL, PM_S3_* and the way out to the network"))
    checks.append(("scanner", _scanner, "check PM_CLAMD_URL"))
    if platform.part(SignInDoor).titles():
        checks.append(("sign-in", _sign_in, "check PM_GOOGLE_*, PM_GITHUB_* and PM_OIDC_PROVIDERS"))
    if settings.redis_url is not None:
        checks.append(("redis", _redis, "check PM_REDIS_URL"))
    try:
        return [await _try(platform, *check) for check in checks]
    finally:
        await platform.part(StripeDoor).close()
        await platform.database.close()


class Missing(Exception):
    """What is missing and what to do about it, in one sentence."""


async def _try(platform: Platform, name: str, check: Callable[[Platform], Awaitable[str]], remedy: str) -> Finding:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return Finding(name, True, await check(platform))
    except Missing as error:
        return Finding(name, False, str(error))
    except Exception as error:
        said = shorten(str(error), LONGEST_REASON, placeholder=" …")
        return Finding(name, False, f"{': '.join(filter(None, (type(error).__name__, said)))}; {remedy}")


async def _database(platform: Platform) -> str:
    async with platform.database.reading() as session:
        version = await session.scalar(text("SHOW server_version"))
    return f"PostgreSQL {version}"


async def _migrations(platform: Platform) -> str:
    async with platform.database.reading() as session:
        found = await session.scalar(text("SELECT version_num FROM alembic_version"))
    if found != head():
        raise RuntimeError(f"the database is at {found}, this code expects {head()}")
    return f"at {found}"


async def _queue(platform: Platform) -> str:
    async with platform.database.reading() as session:
        waiting = await session.scalar(text("SELECT count(*) FROM pgqueuer WHERE status = 'queued'"))
        held = await session.scalar(text("SELECT count(*) FROM pgqueuer WHERE status = 'failed'"))
    return f"{waiting} waiting, {held} held"


async def _stripe(platform: Platform) -> str:
    settings = platform.settings
    if settings.env is Environment.DEVELOPMENT and settings.stripe.api_base:
        await _sandbox(settings.stripe.api_base)
    return f"answers in {await platform.part(StripeDoor).probe()} mode"


async def _billing(platform: Platform) -> str:
    """Whether everything can be bought: what setup-stripe would make, and what a synchronisation would change."""
    lacking = await setup.missing(platform, STRIPE)
    found = await price_sync.synchronise(platform, setup.SETUP, dry_run=True)
    lacking += [one.says for one in found.differences]
    if lacking:
        said = shorten("; ".join(lacking), LONGEST_REASON, placeholder=" …")
        raise Missing(f"not set up at Stripe: {said}; run pm-api billing setup-stripe")
    ours = [one.says for one in found.problems if not one.is_foreign]
    if ours:
        said = shorten("; ".join(ours), LONGEST_REASON, placeholder=" …")
        raise Missing(f"prices at Stripe that cannot be read: {said}; mend their metadata at Stripe")
    all_as_here = f"{found.prices} prices at Stripe, all as here"
    if not found.problems:
        return all_as_here
    said = shorten("; ".join(one.says for one in found.problems), LONGEST_REASON, placeholder=" …")
    return f"{all_as_here}; warning: passed over, because it cannot be read and sells nothing of ours: {said}"


async def _sandbox(address: str) -> None:
    parts = urlsplit(address)
    try:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    except OSError as error:
        raise Missing(
            f"the sandbox is not running at {address}; start `make run`, or set PM_PORT to that of the running one"
        ) from error
    writer.close()


async def _mail(platform: Platform) -> str:
    settings = platform.settings
    if not settings.sends_mail:
        if settings.is_production:
            raise Missing("PM_SMTP_URL is not set: people are told inside the app alone, and get no mail")
        return "no PM_SMTP_URL: nobody gets mail"
    try:
        return await platform.part(MailDoor).probe()
    except MailUnavailable as error:
        remedy = "check PM_SMTP_URL, its user and password, and PM_SMTP_STARTTLS"
        if settings.env is Environment.DEVELOPMENT:
            remedy = f"start `make run`, or {remedy}"
        raise Missing(f"{error.reason}; {remedy}") from error


async def _storage(platform: Platform) -> str:
    """Whether the store opens to us; on disk whether it can be written to, and how much room there is."""
    door = platform.part(BlobDoor)
    if door.root is None:
        async for _ in door.list("doctor"):
            break
        return await _bucket(platform) if platform.part(Presigner).is_on else "the object store answers"
    return await asyncio.to_thread(_disk, door.root)


async def _bucket(platform: Platform) -> str:
    """The same by the other client, which signs addresses: its credentials are looked for elsewhere."""
    try:
        return await platform.part(Presigner).probe()
    except (BlobMissing, StorageUnavailable) as error:
        raise Missing("the bucket opens to reading, not to signing; check PM_S3_* and the key's rights") from error


async def _scanner(platform: Platform) -> str:
    """Whether clamd answers, and finds the harmless EICAR file: one without signatures calls everything clean."""
    door = platform.part(ScannerDoor)
    if not door.is_on:
        return "no PM_CLAMD_URL: files are not scanned, and say so"
    try:
        return await door.probe()
    except ScannerUnavailable as error:
        remedy = "check PM_CLAMD_URL, and that freshclam has fetched signatures"
        raise Missing(f"clamd: {error.reason}; {remedy}") from error


def _disk(root: Path) -> str:
    there = next(one for one in (root, *root.parents) if one.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise Missing(f"files cannot be written to {root}; check PM_DATA_DIR (or PM_STORAGE_URL) and its permissions")
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE_BYTES:
        raise Missing(f"only {free >> 20} MB are left on the disk of {root}; make room there")
    return f"files lie in {root}; {free >> 30} GB are free"


async def _sign_in(platform: Platform) -> str:
    """What each sign-in provider says of itself; whether it knows our client only a person can try."""
    door = platform.part(SignInDoor)
    titles = door.titles()
    for name, title in titles.items():
        try:
            await door.probe(name)
        except (ProviderRefused, SignInProviderUnavailable) as error:
            callback = f"{platform.settings.public_url.rstrip('/')}/api/auth/oauth/{name}/callback"
            raise Missing(
                f"{title} does not answer as it must: {error}; check its settings (it leads back to {callback})"
            ) from error
    return ", ".join(titles.values())


async def _redis(platform: Platform) -> str:
    url = platform.settings.redis_url
    assert url is not None
    async with Redis.from_url(url.get_secret_value()) as client:
        await client.ping()
    return "answers"
