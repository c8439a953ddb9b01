"""`pm-api`: the commands of an installation."""

import asyncio
import json
import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
import uvloop
from rich.console import Console
from rich.table import Table

from pm_api import development, doctor, migrate, worker
from pm_api import seed as demo
from pm_api.app import create_app
from pm_api.bootstrap import build_platform, running
from pm_api.core import jobs as queue
from pm_api.core import signing, telemetry
from pm_api.core.actor import SystemScope
from pm_api.core.crypto import KeyRing
from pm_api.core.errors import NotFound
from pm_api.core.settings import Environment, Settings, SettingsError, load_settings
from pm_api.domains.ai_credits import statement_check
from pm_api.domains.billing import reconciling as billing_reconciling
from pm_api.domains.billing import setup
from pm_api.domains.billing.errors import TooManyPrices
from pm_api.domains.billing.setup import Setup
from pm_api.domains.calendar import retiming
from pm_api.domains.storage import lifecycle, reconciling, recounting
from pm_api.domains.storage.reconciling import Report
from pm_api.integrations.blobs import StorageUnavailable
from pm_api.integrations.stripe import PaymentProviderUnavailable, StripeRefused
from pm_api.listening import PortTaken
from pm_api.operations.schemas import HeldJob
from pm_api.operations.service import held_job, release_held_job
from pm_api.sandbox.postgres import EmbeddedPostgresError
from pm_api.webhooks.handlers import STRIPE

DOCUMENT = Path("openapi.json")
HEAD = "head"

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="The pm_api service."
)
credits_app = typer.Typer(no_args_is_help=True, help="The credit ledger.")
app.add_typer(credits_app, name="credits")
billing_app = typer.Typer(no_args_is_help=True, help="Plans, prices and the Stripe account.")
app.add_typer(billing_app, name="billing")
calendar_app = typer.Typer(no_args_is_help=True, help="Events and the time zones they are in.")
app.add_typer(calendar_app, name="calendar")
storage_app = typer.Typer(no_args_is_help=True, help="Files, and the store they lie in.")
app.add_typer(storage_app, name="storage")
console = Console()


def settings_or_exit() -> Settings:
    try:
        settings = load_settings()
    except SettingsError as error:
        typer.echo(f"pm-api cannot start with these settings:\n{error}", err=True)
        raise typer.Exit(2) from None
    telemetry.configure_logging(level=settings.log_level, as_json=settings.is_production)
    return settings


def never_in_production(refusal: str) -> None:
    """Said before the settings are read: whoever is refused need not mend them first."""
    if os.environ.get("PM_ENV") == Environment.PRODUCTION:
        typer.echo(refusal, err=True)
        raise typer.Exit(2)


@app.command()
def dev() -> None:
    """Everything on this machine: database, sandbox providers, API and worker (`make run`)."""
    never_in_production("pm-api dev never runs with PM_ENV=production; use serve and worker.")
    settings = settings_or_exit()
    if "log_level" not in settings.model_fields_set:
        telemetry.configure_logging(level="WARNING", as_json=False)
        logging.getLogger("pm_api.http").setLevel(logging.INFO)
    try:
        development.check_ports(settings)
        with development.database_for(settings, share=False) as ready:
            assert ready.database_url is not None
            migrate.upgrade(ready.database_url.get_secret_value())
            uvloop.run(development.run(ready))
    except (PortTaken, EmbeddedPostgresError) as error:
        typer.echo(f"pm-api cannot start: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def serve(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port.")] = 1,
) -> None:
    """The API."""
    settings = settings_or_exit()
    with development.database_for(settings) as ready:
        assert ready.database_url is not None
        os.environ["PM_DATABASE_URL"] = ready.database_url.get_secret_value()
        uvicorn.run(
            "pm_api.app:from_environment",
            factory=True,
            host=ready.host,
            port=ready.port,
            workers=workers,
            log_config=None,
            access_log=False,
            proxy_headers=True,
            forwarded_allow_ips=ready.trusted_proxies,
            # Longer than the idle time of usual load balancers, so that they, not we, close first.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=10,
        )


@app.command(name="worker")
def work() -> None:
    """Jobs and sweeps."""
    settings = settings_or_exit()
    try:
        with development.database_for(settings) as ready:
            uvloop.run(worker.run(ready))
    except PortTaken as error:
        typer.echo(f"pm-api cannot start: {error}", err=True)
        raise typer.Exit(1) from None


@app.command(name="migrate")
def migrate_database(
    revision: Annotated[str, typer.Argument(help="Where to go; what lies behind needs --down.")] = HEAD,
    down: Annotated[bool, typer.Option("--down", help="Go back to the revision.")] = False,
) -> None:
    """Bring the database to this code's schema."""
    if down and revision == HEAD:
        typer.echo("pm-api migrate --down needs the revision to go back to.", err=True)
        raise typer.Exit(2)
    settings = settings_or_exit()
    with development.database_for(settings) as ready:
        url = ready.database_direct_url or ready.database_url
        assert url is not None
        if down:
            migrate.downgrade(url.get_secret_value(), revision)
        else:
            migrate.upgrade(url.get_secret_value(), revision)
        typer.echo(f"The database is at {migrate.current(url.get_secret_value()) or 'no revision'}.")


@app.command()
def openapi(
    check: Annotated[bool, typer.Option("--check", help="Compare with the committed file instead.")] = False,
    output: Annotated[Path, typer.Option(help="Where the document goes.")] = DOCUMENT,
) -> None:
    """Write the OpenAPI document, or check that the committed one is current."""
    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if not check:
        output.write_text(text, encoding="utf-8")
        return
    if not output.exists() or output.read_text(encoding="utf-8") != text:
        typer.echo(f"{output} is not what the code says; run `make openapi` and commit it.", err=True)
        raise typer.Exit(1)


def document() -> dict[str, object]:
    """The document of the default installation; it reads no environment, so it is the same everywhere."""
    settings = Settings(database_url="postgresql://nowhere/none")
    found: dict[str, object] = create_app(settings).openapi()
    return found


@app.command()
def seed() -> None:
    """Fill in the demo data that is missing."""
    never_in_production("Demo data does not belong into production.")
    settings = settings_or_exit()

    async def fill(ready: Settings) -> None:
        async with running(build_platform(ready)) as platform:
            await demo.seed(platform, None)

    with development.database_for(settings) as ready:
        asyncio.run(fill(ready))
    typer.echo(f"Demo data is there; sign in as {demo.DEMO[0]} with {demo.PASSWORD}.")


@app.command()
def jobs(
    release: Annotated[int | None, typer.Option(help="Put this held job back into the queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most jobs to show.")] = 50,
) -> None:
    """Jobs that failed for good and wait for a person."""
    settings = settings_or_exit()

    async def look(ready: Settings) -> list[HeldJob]:
        platform = build_platform(ready)
        try:
            async with platform.database.transaction() as session:
                if release is not None:
                    await release_held_job(session, platform, SystemScope("the command line").actor, release)
                return [held_job(one) for one in await queue.list_held(session, limit)]
        finally:
            await platform.database.close()

    with development.database_for(settings) as ready:
        try:
            held = asyncio.run(look(ready))
        except NotFound:
            typer.echo(f"No held job has the id {release}; pm-api jobs lists them.", err=True)
            raise typer.Exit(1) from None
    if release is not None:
        typer.echo(f"Job {release} is back in the queue.")
    if not held:
        typer.echo("No job is held.")
        return
    table = Table("id", "job", "since", "attempts", "payload")
    for one in held:
        since = one.created_at.isoformat(timespec="seconds")
        table.add_row(str(one.id), one.name, since, str(one.attempts), json.dumps(one.payload)[:80])
    console.print(table)


@app.command(name="doctor")
def examine() -> None:
    """Call every configured provider harmlessly; name what fails and how to mend it."""
    settings = settings_or_exit()
    with development.database_for(settings) as ready:
        findings = asyncio.run(doctor.examine(ready))
    for one in findings:
        mark = "[green]ok[/green]  " if one.ok else "[red]FAIL[/red]"
        console.print(f"{mark} {one.name}: {one.text}")
    if not all(one.ok for one in findings):
        raise typer.Exit(1)


@credits_app.command(name="check-statement")
def check_statement(
    files: Annotated[
        list[Path], typer.Argument(help="Statements as downloaded; several are checked to follow each other.")
    ],
    keys: Annotated[
        Path | None,
        typer.Option(help="A saved /.well-known/jwks.json; without it the keys of PM_SECRET_KEYS count."),
    ] = None,
) -> None:
    """Prove signed credit statements from the files alone: no database, no network."""
    try:
        if keys is not None:
            known = statement_check.public_keys(json.loads(keys.read_text("utf-8")))
        else:
            known = statement_check.public_keys(signing.public_keys(KeyRing(settings_or_exit().secret_keys)))
        contents = [(file.name, file.read_bytes()) for file in files]
    except (OSError, ValueError, statement_check.NoKeys) as error:
        typer.echo(f"The statements cannot be checked: {error}", err=True)
        raise typer.Exit(1) from None
    verdicts = statement_check.check(contents, known)
    for verdict in verdicts:
        typer.echo(verdict.told())
    if not all(verdict.ok for verdict in verdicts):
        raise typer.Exit(1)


@billing_app.command(name="setup-stripe")
def set_up_stripe(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is missing; change nothing.")] = False,
) -> None:
    """Make what is missing at Stripe: products, prices, webhook endpoint, portal. Then take its prices over."""
    settings = settings_or_exit()

    async def work_through(ready: Settings) -> Setup:
        async with running(build_platform(ready)) as platform:
            return await setup.set_up(platform, STRIPE, dry_run=dry_run)

    with development.database_for(settings) as ready:
        try:
            done = asyncio.run(work_through(ready))
        except PaymentProviderUnavailable as away:
            reason = away.__cause__ or "pm-api doctor tells more"
            typer.echo(f"Stripe does not answer: {reason}", err=True)
            raise typer.Exit(1) from None
        except (StripeRefused, TooManyPrices) as refused:
            typer.echo(f"Stripe's account cannot be set up: {refused}", err=True)
            raise typer.Exit(1) from None
    for line in told_of_setup(done):
        typer.echo(line)
    if done.sync is not None and done.sync.problems:
        raise typer.Exit(1)


@billing_app.command(name="reconcile")
def reconcile(
    days: Annotated[int, typer.Option(min=1, max=366, help="So many days back from now.")] = 30,
) -> None:
    """Compare with Stripe both ways, here and now: mend what is missing, print what was found."""
    settings = settings_or_exit()

    async def work_through(ready: Settings) -> list[str]:
        async with running(build_platform(ready)) as platform:
            return await billing_reconciling.run_now(platform, timedelta(days=days))

    with development.database_for(settings) as ready:
        try:
            lines = asyncio.run(work_through(ready))
        except PaymentProviderUnavailable as away:
            typer.echo(f"Stripe does not answer: {away.__cause__ or away}; run it again to go on.", err=True)
            raise typer.Exit(1) from None
    for line in lines:
        typer.echo(line)


@calendar_app.command(name="retime")
def retime(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would move; change nothing.")] = False,
) -> None:
    """After an update of the time zones: work out once more when events take place. Wall times stay.

    Lists each event of which something takes place at another moment, and tells those who come. Safe to stop, to run
    again, and to run while people work.
    """
    settings = settings_or_exit()

    async def work_through(ready: Settings) -> tuple[int, int]:
        moved = refused = 0
        async with running(build_platform(ready)) as platform:
            async for one in retiming.retime(platform, dry_run=dry_run):
                typer.echo(one.told())
                moved, refused = moved + (one.refusal is None), refused + (one.refusal is not None)
        return moved, refused

    with development.database_for(settings) as ready:
        moved, refused = asyncio.run(work_through(ready))
    verb = "would move" if dry_run else "moved"
    typer.echo(f"{moved} {'event' if moved == 1 else 'events'} {verb}; {refused} could not be worked out.")
    if refused:
        raise typer.Exit(1)


@storage_app.command(name="reconcile")
def reconcile_storage(
    heal: Annotated[
        bool,
        typer.Option("--heal", help="Remove what no row accounts for; mark files whose bytes are lost; tell people."),
    ] = False,
    older_than_hours: Annotated[
        int, typer.Option(min=0, max=8760, help="Leave younger objects without a row alone.")
    ] = 24,
) -> None:
    """Compare the database with the store, both ways. Without --heal nothing is changed.

    Safe to stop, to run again, and to run while people work. What lies in the bucket (under PM_S3_PREFIX) is taken
    for this installation's: never heal in a bucket that two of them share without prefixes of their own.
    """
    settings = settings_or_exit()

    async def work_through(ready: Settings) -> Report:
        async with running(build_platform(ready)) as platform:
            found = await reconciling.reconcile(platform, heal=heal, older_than=timedelta(hours=older_than_hours))
            if heal:
                await lifecycle.delete_doomed(queue.JobContext(platform, "pm-api storage reconcile"))
            return found

    with development.database_for(settings) as ready:
        try:
            report = asyncio.run(work_through(ready))
        except StorageUnavailable:
            typer.echo("The store does not answer; pm-api doctor tells more. Run it again to go on.", err=True)
            raise typer.Exit(1) from None
    for line in report.told():
        typer.echo(line)
    if report.left:
        raise typer.Exit(1)


@storage_app.command(name="recount")
def recount_storage(
    heal: Annotated[bool, typer.Option("--heal", help="Set the counters that are wrong.")] = False,
) -> None:
    """Count what files take up anew, and compare it with the counters that the quota goes by."""
    settings = settings_or_exit()

    async def work_through(ready: Settings) -> list[str]:
        async with running(build_platform(ready)) as platform:
            return [one.told() async for one in recounting.recount(platform, heal=heal)]

    with development.database_for(settings) as ready:
        lines = asyncio.run(work_through(ready))
    for line in lines:
        typer.echo(line)
    typer.echo(f"{len(lines)} accounts drifted." if lines else "All counters are right.")
    if lines and not heal:
        raise typer.Exit(1)


def told_of_setup(done: Setup) -> list[str]:
    """What a person reads of a run."""
    verb = "missing" if done.sync is None else "made"
    lines = [f"{verb}: {step.says}" for step in done.steps]
    if done.webhook_secret is not None:
        lines.append(f"PM_STRIPE_WEBHOOK_SECRET={done.webhook_secret}   (Stripe tells it this once)")
    if done.sync is not None:
        lines += [f"taken over: {one.says}" for one in done.sync.differences]
        lines += [f"to be mended at Stripe: {one.says} ({', '.join(one.price_ids)})" for one in done.sync.problems]
    return lines or ["Stripe's account has all that is needed, and its prices are ours. Nothing was changed."]


def main() -> None:
    app()


if __name__ == "__main__":
    main()
