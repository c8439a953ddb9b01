"""`make run`: everything alive on one laptop, in one process.

Embedded PostgreSQL, migrations, demo data once, the sandbox providers, the API and its worker. Never in production.
"""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from pm_api.app import create_app
from pm_api.bootstrap import build_platform, running
from pm_api.core.jobs import Worker
from pm_api.core.platform import Platform
from pm_api.core.settings import Settings
from pm_api.domains.billing import setup
from pm_api.domains.changes.hub import StreamHub
from pm_api.domains.webhooks_out.dispatcher import WebhookDispatcher
from pm_api.identity import sessions
from pm_api.identity.devices import Device
from pm_api.identity.repository.people import user_by_id
from pm_api.identity.tokens import AccessTokens
from pm_api.listening import PortTaken, listener_on, serving
from pm_api.operations.service import Probe, clock_state
from pm_api.sandbox.mail import Faults, Mailbox, receiving
from pm_api.sandbox.mail import create_app as create_mailbox
from pm_api.sandbox.postgres import EmbeddedPostgres, running_url
from pm_api.sandbox.stripe import create_app as create_stripe
from pm_api.seed import DEMO, PASSWORD, TEAM, Demo, seed
from pm_api.webhooks.handlers import STRIPE

DATABASE: Final = "pm_api"
LAST_PORT: Final = 65_535
SPEND: Final = (
    "-H 'Content-Type: application/json' -H \"Idempotency-Key: try-$(date +%s)\""
    ' -d \'{"service": "TASK_GENERATION"}\''
)


@contextlib.contextmanager
def database_for(settings: Settings, *, share: bool = True) -> Iterator[Settings]:
    """Settings with a database: the configured one, (when sharing) that of a `make run` under way, or an embedded
    server of our own; raises EmbeddedPostgresError.
    """
    if settings.database_url is not None:
        yield settings
        return
    folder = data_folder(settings)
    url = running_url(folder / "postgres", DATABASE) if share else None
    if url is not None:
        yield with_database(settings, url)
        return
    with EmbeddedPostgres(folder / "postgres") as server:
        server.create_database(DATABASE)
        yield with_database(settings, server.url(DATABASE))


def data_folder(settings: Settings) -> Path:
    folder = settings.data_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def with_database(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(url)})


def check_ports(settings: Settings) -> None:
    """Whether all ports can be had, asked before anything is created on disk; raises PortTaken."""
    wanted = {
        "PM_PORT": ("the API", settings.port),
        "PM_SANDBOX_PORT": ("the sandbox", settings.effective_sandbox_port),
        "PM_MAILBOX_PORT": ("the mailbox", settings.effective_mailbox_port),
        "PM_MAILBOX_SMTP_PORT": ("the mailbox's mail", settings.effective_mailbox_smtp_port),
    }
    names: dict[int, str] = {}
    for variable, (name, port) in wanted.items():
        if port > LAST_PORT:
            raise PortTaken(f"there is no port after {settings.port} for {name}; set {variable}, or a lower PM_PORT")
        if port != 0 and port in names:
            raise PortTaken(f"{names[port]} and {name} cannot share port {port}; set {variable} to another")
        names[port] = name
    for variable, (_, port) in wanted.items():
        listener_on(settings.host, port, variable).close()


async def run(settings: Settings) -> None:
    """Serve until Ctrl-C."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stopped.set)
    sandbox_port = settings.effective_sandbox_port
    sandbox_url = f"http://{settings.host}:{sandbox_port}"
    platform = build_platform(settings)
    stripe = create_stripe(
        # Stripe lives in business time: moving that renews subscriptions, and their events come in.
        clock=platform.clock.now,
        store_path=str(data_folder(settings) / "stripe.sqlite"),
        secret_key=settings.stripe.secret_key.get_secret_value(),
        webhook_secrets=[one.get_secret_value() for one in settings.stripe.webhook_secret],
        webhook_url=f"http://{settings.host}:{settings.port}/api/webhooks/stripe",
    )
    mailbox, faults = Mailbox(str(data_folder(settings) / "mailbox.sqlite")), Faults()
    mailbox_port = settings.effective_mailbox_port
    mailbox_url = f"http://{settings.host}:{mailbox_port}"
    async with contextlib.AsyncExitStack() as stack:
        pages = create_mailbox(mailbox, faults)
        await stack.enter_async_context(
            serving(pages, settings.host, mailbox_port, variable="PM_MAILBOX_PORT", lifespan=True)
        )
        smtp = listener_on(settings.host, settings.effective_mailbox_smtp_port, "PM_MAILBOX_SMTP_PORT")
        await stack.enter_async_context(receiving(mailbox, faults, smtp))
        await stack.enter_async_context(running(platform))
        app = create_app(settings, platform, connect=False)
        await stack.enter_async_context(
            serving(stripe, settings.host, sandbox_port, variable="PM_SANDBOX_PORT", lifespan=True)
        )
        if settings.stripe.api_base.rstrip("/") == sandbox_url:
            await setup.set_up(platform, STRIPE, dry_run=False)  # never by itself at an account that is not ours
            await setup.make_example_bundle(platform)
        # The sandbox's events come in by this door while the demo data are made: it is open, and not ready.
        seeding = contextlib.ExitStack()
        seeding.enter_context(platform.part(Probe).waiting_for("demo data"))
        await stack.enter_async_context(
            serving(app, settings.host, settings.port, variable="PM_PORT", lifespan=False)
        )
        worker = Worker(platform)
        await worker.start()
        stack.push_async_callback(worker.stop)
        webhooks = platform.part(WebhookDispatcher)
        await webhooks.start()
        stack.push_async_callback(webhooks.stop)
        stack.callback(platform.part(StreamHub).end_all)
        demo = await seed(platform, sandbox_url)
        print(await banner(platform, demo, sandbox_url, mailbox_url), flush=True)  # noqa: T201  the banner is for the terminal
        seeding.close()
        await stopped.wait()


async def banner(platform: Platform, demo: Demo, sandbox_url: str, mailbox_url: str) -> str:
    """Where to look, and three lines that work as pasted."""
    api = platform.settings.public_url
    async with platform.database.transaction() as session:
        user = await user_by_id(session, demo.user_id)
        assert user is not None
        grant = await sessions.open_session(session, platform, user, Device("make run", "127.0.0.1"))
        clock = await clock_state(session, platform)
    token = platform.part(AccessTokens).issue(demo.user_id, grant.session_id)
    admin, secrets = platform.settings.admin_key, platform.settings.stripe.webhook_secret
    bearer = f'-H "Authorization: Bearer {token}"'
    lines = [
        "",
        "  pm_api is running. Ctrl-C stops everything; the data stays.",
        "",
        f"  API documentation   {api}/docs",
        f"  Sandbox Stripe      {sandbox_url}/   (cards, events, disputes, clock; see docs/sandbox.md)",
        f"  Mailbox             {mailbox_url}/   (every mail that is sent; none leaves this machine)",
        *([f"  Buy a pack          {demo.open_checkout_url}   (4242 pays)"] if demo.open_checkout_url else []),
        f"  Demo user           {DEMO[0]} / {PASSWORD}   (OWNER)",
        f"  Same password       {', '.join(f'{email} ({role})' for email, _, role in TEAM)}",
        f"  Admin key           x-admin-key: {admin.get_secret_value() if admin else '(unset)'}",
        f"  Stripe.js key       {platform.settings.stripe.publishable_key or '(unset)'}   (GET /api/config)",
        f"  Webhook secret      {secrets[0].get_secret_value() if secrets else '(unset)'}",
        f"  Demo workspace      {demo.workspace_id}   (has TEAM_STANDARD by contract)",
        *([f"  One without a plan  {demo.unbought_id}   (to buy one for)"] if demo.unbought_id else []),
        *(_shifted(clock.now, clock.offset_s) if clock.offset_s else []),
        "",
        "  Try it (the token in these lines lasts 15 minutes; sign in for a new one):",
        "",
        f"  curl -s {api}/api/auth/me {bearer}",
        "",
        f"  curl -s {api}/api/ai/credits {bearer}",
        "",
        f"  curl -s -X POST {api}/api/credits/spend {bearer} {SPEND}",
        "",
    ]
    return "\n".join(lines)


def _shifted(now: datetime, offset_s: float) -> list[str]:
    return [
        f"  Business clock      {now:%Y-%m-%d %H:%M} UTC, {timedelta(seconds=round(offset_s))} ahead of real time",
        f'                      (back: POST /api/dev/clock {{"advanceS": {-offset_s!r}}} with the admin key)',
    ]
