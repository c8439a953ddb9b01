"""What the commands say to whoever cannot start them, and to a frontend developer."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner

from pm_api import cli, development, doctor, migrate
from pm_api.core.platform import Platform
from pm_api.core.settings import Settings
from pm_api.development import check_ports
from pm_api.listening import PortTaken
from pm_api.seed import Demo
from tests.conftest import Person
from tests.support.mail import post_office
from tests.support.providers import lying_issuer
from tests.support.settings import environment_for, settings_for


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def invoke(*arguments: str, **environment: str | None) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, arguments, env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_dev_refuses_production_before_it_asks_for_secrets() -> None:
    code, said = invoke("dev", PM_ENV="production")
    assert code == 2
    assert said == "pm-api dev never runs with PM_ENV=production; use serve and worker.\n"


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ({"PM_PORT": "{taken}"}, "port {taken} is taken; choose another with PM_PORT"),
        (
            {"PM_SANDBOX_PORT": "{taken}", "PM_PORT": "0"},
            "port {taken} is taken; choose another with PM_SANDBOX_PORT",
        ),
        ({"PM_PORT": "65535"}, "there is no port after 65535"),
        ({"PM_PORT": "{taken}", "PM_SANDBOX_PORT": "{taken}"}, "cannot share port {taken}"),
        (
            {"PM_MAILBOX_PORT": "{taken}", "PM_PORT": "0"},
            "port {taken} is taken; choose another with PM_MAILBOX_PORT",
        ),
        (
            {"PM_MAILBOX_SMTP_PORT": "{taken}", "PM_PORT": "0"},
            "port {taken} is taken; choose another with PM_MAILBOX_SMTP_PORT",
        ),
        (
            {"PM_MAILBOX_PORT": "{taken}", "PM_MAILBOX_SMTP_PORT": "{taken}"},
            "the mailbox and the mailbox's mail cannot share port {taken}",
        ),
    ],
)
def test_dev_names_the_port_to_change_before_it_creates_a_database(
    taken: int, tmp_path: Path, ports: dict[str, str], expected: str
) -> None:
    environment = {name: value.format(taken=taken) for name, value in ports.items()}
    code, said = invoke("dev", PM_ENV="development", PM_DATA_DIR=str(tmp_path / "data"), **environment)
    assert code == 1
    assert expected.format(taken=taken) in said
    assert not (tmp_path / "data").exists()


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(PortTaken, match="PM_HOST"):
        check_ports(Settings(host="192.0.2.1"))


def test_dev_shows_requests_and_of_the_rest_only_warnings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_settings: Settings) -> None:
        structlog.get_logger("pm_api.http").info("request", method="GET", path="/api/auth/me", status=200, ms=1.5)
        logging.getLogger("pm_api.seed").info("not shown")
        raise PortTaken("enough")

    root, shown = logging.getLogger(), logging.getLogger("pm_api.http")
    before = root.level, shown.level, root.handlers[:]
    monkeypatch.setattr(development, "check_ports", stop)
    monkeypatch.delenv("PM_LOG_LEVEL", raising=False)
    monkeypatch.setenv("PM_ENV", "development")
    try:
        with pytest.raises(SystemExit):
            cli.app(["dev"])
        said = capsys.readouterr().err
    finally:
        root.setLevel(before[0])
        shown.setLevel(before[1])
        root.handlers[:] = before[2]
    assert "/api/auth/me" in said
    assert "not shown" not in said


async def test_doctor_says_that_the_sandbox_is_not_running(fresh_database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    findings = await doctor.examine(Settings(database_url=fresh_database, sandbox_port=port))
    found = {one.name: one for one in findings}
    assert found["database"].ok
    assert not found["stripe"].ok
    assert found["stripe"].text == (
        f"the sandbox is not running at http://127.0.0.1:{port}; start `make run`, "
        "or set PM_PORT to that of the running one"
    )


async def test_doctor_tries_the_mail_server(fresh_database: str) -> None:
    async def said(**smtp: str) -> doctor.Finding:
        settings = settings_for(fresh_database, smtp=smtp)
        [found] = [one for one in await doctor.examine(settings) if one.name == "mail"]
        return found

    async with post_office() as post:
        there = await said(url=post.url)
        assert (there.ok, there.text) == (True, f"127.0.0.1:{post.port} takes mail, not encrypted")
        assert post.mailbox.page() == [], "no mail is sent"
        must = await doctor.examine(settings_for(fresh_database, smtp={"url": post.url, "starttls": True}))
        assert [one.ok for one in must if one.name == "mail"] == [False]
    gone = await said(url=post.url)
    assert not gone.ok
    assert gone.text.startswith(f"127.0.0.1:{post.port}: ")
    assert gone.text.endswith("check PM_SMTP_URL, its user and password, and PM_SMTP_STARTTLS")
    assert (await said()).ok


async def test_doctor_says_that_production_sends_no_mail(fresh_database: str) -> None:
    settings = settings_for(
        fresh_database, env="production", public_url="https://api.example.com", site_url="https://example.com"
    )
    [found] = [one for one in await doctor.examine(settings) if one.name == "mail"]
    assert (found.ok, found.text[:24]) == (False, "PM_SMTP_URL is not set: ")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_an_address_is_taken_as_it_is_usually_written(worker_database: str, scheme: str) -> None:
    """With what managed databases say of TLS in it; a socket has none."""
    url = f"{scheme}://{worker_database.partition('://')[2]}&sslmode=require"
    for command in ("migrate", "jobs"):
        code, said = invoke(command, **environment_for(url))
        assert code == 0, said


def test_migrate_says_where_the_database_is(worker_database: str) -> None:
    """Not where it was told to go: an earlier revision is gone back to by --down alone."""
    code, said = invoke("migrate", "0001", **environment_for(worker_database))
    assert (code, said.splitlines()[-1]) == (0, f"The database is at {migrate.head()}.")
    code, said = invoke("migrate", "--down", **environment_for(worker_database))
    assert (code, said) == (2, "pm-api migrate --down needs the revision to go back to.\n")


def test_an_unknown_job_cannot_be_released(worker_database: str) -> None:
    for unknown in ("999999", str(2**80)):
        code, said = invoke("jobs", "--release", unknown, **environment_for(worker_database))
        assert code == 1
        assert said == f"No held job has the id {unknown}; pm-api jobs lists them.\n"


def test_a_job_that_is_released_is_written_down(fresh_database: str) -> None:
    async def ask(statement: str) -> Any:
        engine = create_async_engine(fresh_database)
        try:
            async with engine.begin() as connection:
                return (await connection.execute(text(statement))).scalar_one()
        finally:
            await engine.dispose()

    held = asyncio.run(
        ask(
            "INSERT INTO pgqueuer (priority, status, entrypoint, payload)"
            " VALUES (0, 'failed', 'tests.held', '{}') RETURNING id"
        )
    )
    code, said = invoke("jobs", "--release", str(held), **environment_for(fresh_database))
    assert (code, said) == (0, f"Job {held} is back in the queue.\nNo job is held.\n")
    found = "SELECT actor_kind || ' ' || subject_id FROM audit_entries WHERE action = 'job.released'"
    assert asyncio.run(ask(found)) == f"system {held}"


async def test_the_banner_shows_the_people_the_secret_and_a_shifted_clock(platform: Platform, person: Person) -> None:
    demo = Demo(person.id, person.id, None, unbought_id=person.id)
    said = await development.banner(platform, demo, "http://sandbox", "http://mailbox")
    assert "whsec_test" in said
    assert "Mailbox             http://mailbox/" in said
    assert f"One without a plan  {person.id}" in said
    for somebody in ("olga@example.com (ADMIN)", "milo@example.com (MEMBER)", "vera@example.com (VIEWER)"):
        assert somebody in said
    assert "Business clock" not in said
    async with platform.database.transaction() as session:
        await session.execute(text("INSERT INTO business_clock (id, shift) VALUES (1, interval '31 days')"))
    try:
        said = await development.banner(platform, demo, "http://sandbox", "http://mailbox")
    finally:
        async with platform.database.transaction() as session:
            await session.execute(text("DELETE FROM business_clock"))
    assert "31 days, 0:00:00 ahead of real time" in said
    assert '{"advanceS": -2678400.0}' in said


async def test_doctor_asks_sign_in_providers_what_they_say_of_themselves(fresh_database: str) -> None:
    async def said(**settings: Any) -> list[tuple[bool, str]]:
        found = await doctor.examine(settings_for(fresh_database, **settings))
        return [(one.ok, one.text) for one in found if one.name == "sign-in"]

    assert await said() == [], "none is configured"
    async with lying_issuer() as issuer:
        oidc = {"providers": [issuer.settings("acme")]}
        assert await said(oidc=oidc) == [(True, "Acme")]
        issuer.metadata = {"issuer": "https://evil.example"}
        [(ok, text)] = await said(oidc=oidc)
    assert not ok
    assert text.startswith("Acme does not answer as it must: the issuer calls itself by another name;")
    assert "http://test.local/api/auth/oauth/acme/callback" in text
    [(ok, text)] = await said(oidc=oidc)
    assert (ok, "sign-in provider does not answer" in text) == (False, True)
