"""A mailbox for tests: the sandbox's, over real SMTP, in this process."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.sandbox.mail import Faults, Mailbox, receiving
from pm_api.sandbox.mail.store import Fault, FaultKind, Received

SENDER = "no-reply@acme.example"


@dataclass
class Post:
    """A running SMTP server and what it has got."""

    port: int
    mailbox: Mailbox
    faults: Faults

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def to(self, email: str) -> list[Received]:
        """Mails to an address, oldest first."""
        return self.mailbox.page(to=email, limit=1000)[::-1]

    def fail(self, kind: FaultKind, times: int = 1, recipient: str | None = None) -> None:
        self.faults.set(Fault(kind, times, recipient))

    def heal(self) -> None:
        self.faults.set(None)


@asynccontextmanager
async def post_office(port: int = 0, mailbox: Mailbox | None = None) -> AsyncIterator[Post]:
    """On a free port, or on one that was free before."""
    box, faults = mailbox or Mailbox(":memory:"), Faults()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(100)
    async with receiving(box, faults, listener):
        yield Post(listener.getsockname()[1], box, faults)
    if mailbox is None:
        box.close()


def smtp_settings(url: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "sender": SENDER, "sender_name": "Acme", "timeout_s": 5, **more}


async def send_due(platform: Platform) -> None:
    """What the worker's sweep does every minute."""
    await run_sweep(platform, PERIODICS["outbox.send_due"])
