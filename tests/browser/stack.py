"""`make run` on free ports with a data folder of its own, and the application that people come back to."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.support.processes import free_port
from tests.support.server import serve

START_TIMEOUT_S = 120
PASSWORD = "correct horse battery staple"
Json = dict[str, Any]
Value = TypeVar("Value")


@dataclass
class Account:
    """Somebody signed in, who may speak for a workspace."""

    id: str
    email: str
    client: httpx.AsyncClient
    workspace_id: str | None = None

    @property
    def whose(self) -> Json:
        """How a request says whose account it is about."""
        return {"workspaceId": self.workspace_id} if self.workspace_id else {}

    async def get(self, path: str, **query: Any) -> Json:
        answer = await self.client.get(f"/api{path}", params={**self.whose, **query})
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def send(self, method: str, path: str, body: Json | None = None, *, status: int | None = None) -> Json:
        """A write with a key of its own; `status` is the one to expect, else any success."""
        answer = await self.client.request(
            method, f"/api{path}", json={**self.whose, **(body or {})}, headers={"Idempotency-Key": uuid4().hex}
        )
        assert answer.status_code == status if status else answer.is_success, (answer.status_code, answer.text)
        found: Json = answer.json() if answer.content else {}
        return found

    async def credits(self) -> int:
        """What `/api/ai/credits` says can be spent."""
        current: int = (await self.get("/ai/credits"))["balance"]["current"]
        return current

    async def subscription(self) -> Json:
        found: Json = (await self.get("/billing/subscriptions"))["subscription"]
        return found


@dataclass
class Stack:
    """The running installation, seen from outside."""

    handle: asyncio.subprocess.Process
    log: Path
    api: httpx.AsyncClient
    stripe: httpx.AsyncClient
    site: str
    admin: dict[str, str]
    people: contextlib.AsyncExitStack

    @property
    def is_alive(self) -> bool:
        return self.handle.returncode is None

    def said(self) -> str:
        return self.log.read_text("utf-8", errors="replace")[-6000:]

    async def register(self) -> Account:
        body = {"email": f"{uuid4().hex[:12]}@example.com", "password": PASSWORD, "name": "Ada Lovelace"}
        answer = await self.api.post("/api/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        content = answer.json()
        client = await self.people.enter_async_context(_client(str(self.api.base_url)))
        client.headers["Authorization"] = f"Bearer {content['accessToken']}"
        return Account(content["user"]["id"], content["user"]["email"], client)

    async def found_workspace(self, account: Account) -> Account:
        """The same person, speaking for a new workspace of theirs."""
        made = await account.send(
            "POST", "/workspaces", {"name": "Analytical Engines", "slug": f"w-{uuid4().hex[:8]}"}
        )
        return Account(account.id, account.email, account.client, made["workspace"]["id"])

    async def now(self) -> datetime:
        answer = await self.api.get("/api/dev/clock", headers=self.admin)
        return datetime.fromisoformat(answer.json()["clock"]["now"])

    async def advance(self, **duration: float) -> datetime:
        """Business time goes on, and Stripe's with it; what became due there is known here when this returns."""
        moment = await self.now() + timedelta(**duration)
        await self._move_to(moment)
        await self.settled()
        return moment

    async def _move_to(self, moment: datetime) -> None:
        body = {"now": moment.isoformat()}
        answer = await self.api.post("/api/dev/clock", headers=self.admin, json=body, timeout=120)
        assert answer.status_code == 200, answer.text
        answer = await self.stripe.get("/_sandbox/clock")
        assert answer.status_code == 200, answer.text
        there = datetime.fromisoformat(answer.json()["now"])
        assert abs(there - moment) < timedelta(minutes=5), f"it is {moment} here and {there} at the sandbox"

    async def settled(self) -> None:
        """No event is on its way, and none waits here."""

        async def nothing_left() -> bool:
            answer = await self.api.get("/api/admin/webhooks", headers=self.admin, params={"status": "PENDING"})
            owed = (await self.stripe.get("/events")).text.count("tag wait")
            return not answer.json()["events"] and not owed

        await eventually(nothing_left, bool, "all events are worked off")

    async def held_events(self) -> list[Json]:
        answer = await self.api.get("/api/admin/webhooks", headers=self.admin, params={"status": "HELD"})
        found: list[Json] = answer.json()["events"]
        return found


async def eventually(
    read: Callable[[], Awaitable[Value]], fits: Callable[[Value], bool], what: str, timeout_s: float = 30
) -> Value:
    deadline = time.monotonic() + timeout_s
    while not fits(value := await read()):
        assert time.monotonic() < deadline, f"not in time: {what}; last seen {value!r}"
        await asyncio.sleep(0.1)
    return value


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>The application</title>
<body style="font: 18px/1.5 system-ui; margin: 4rem auto; max-width: 34rem">
<h1>The application</h1><p id="where">{where}</p></body></html>"""


async def _application(request: Request) -> Response:
    """Stands in for the single-page app: it shows where somebody has come back to."""
    return HTMLResponse(PAGE.format(where=request.url.path))


@asynccontextmanager
async def open_stack() -> AsyncIterator[Stack]:
    """Everything alive, as `make run` brings it up; stopped as Ctrl-C does, which has to go cleanly."""
    async with contextlib.AsyncExitStack() as stack:
        site = await stack.enter_async_context(serve(Starlette(routes=[Route("/{path:path}", _application)])))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pm-run-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)  # the embedded server is no root
        port, sandbox_port = free_port(), free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PM_PORT": str(port),
            "PM_SANDBOX_PORT": str(sandbox_port),
            "PM_MAILBOX_PORT": str(free_port()),
            "PM_MAILBOX_SMTP_PORT": str(free_port()),
            "PM_DATA_DIR": str(folder / "data"),
            "PM_SITE_URL": site,
            "PM_ADMIN_KEY": uuid4().hex,
            "PM_RATE_LIMITS": "false",
        }
        log = folder / "run.log"
        with log.open("wb") as output:
            handle = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "pm_api.cli",
                "dev",
                env=environment,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        opened = Stack(
            handle=handle,
            log=log,
            api=await stack.enter_async_context(_client(f"http://127.0.0.1:{port}")),
            stripe=await stack.enter_async_context(_client(f"http://127.0.0.1:{sandbox_port}")),
            site=site,
            admin={"x-admin-key": environment["PM_ADMIN_KEY"]},
            people=stack,
        )
        try:
            await _ready(opened)
            yield opened
        finally:
            await _interrupt(opened)


def _client(url: str) -> httpx.AsyncClient:
    """A kept connection could be closed at the very moment it is used again: a server waits five seconds for that."""
    unkept = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, verify=False, limits=unkept)


async def _ready(stack: Stack) -> None:
    """The banner is the last thing that is said: the demo data is there by then."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while "pm_api is running" not in stack.said():
        assert stack.is_alive, stack.said()
        assert time.monotonic() < deadline, stack.said()
        await asyncio.sleep(0.1)


async def _interrupt(stack: Stack) -> None:
    if stack.is_alive:
        with contextlib.suppress(ProcessLookupError):
            stack.handle.send_signal(signal.SIGINT)
    try:
        code = await asyncio.wait_for(stack.handle.wait(), 40)
    except TimeoutError:
        stack.handle.kill()
        await stack.handle.wait()
        raise
    assert code == 0, stack.said()
