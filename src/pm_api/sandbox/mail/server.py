"""The SMTP side, on aiosmtpd, in the event loop of whoever starts it."""

import asyncio
import importlib
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from pm_api.sandbox.mail.store import Faults, Mailbox

LARGEST_MAIL_BYTES: Final = 5 * 1024 * 1024
# It logs every line it hears.
logging.getLogger("mail.log").setLevel(logging.WARNING)


class MailReceiver:
    """aiosmtpd's handler: keeps what comes, or does what the fault switch says."""

    def __init__(self, mailbox: Mailbox, faults: Faults) -> None:
        self._mailbox = mailbox
        self._faults = faults

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        fault = self._faults.take(envelope.rcpt_tos)
        if fault == "transient":
            return "451 4.7.1 The sandbox was asked to refuse this for now"
        if fault == "permanent":
            return "550 5.1.1 The sandbox was asked to refuse this for good"
        if fault != "disconnect":
            for recipient in envelope.rcpt_tos:
                self._mailbox.add(envelope.mail_from or "", recipient, envelope.original_content, time.time())
        if fault is not None:
            server.transport.abort()
        return "250 2.0.0 Kept"


@asynccontextmanager
async def receiving(mailbox: Mailbox, faults: Faults, listener: socket.socket) -> AsyncIterator[None]:
    """Take mail on a listening socket until the block ends."""
    # Not at the top: an installation for production goes without this package, but not without this module.
    smtp = importlib.import_module("aiosmtpd.smtp")
    handler = MailReceiver(mailbox, faults)

    def protocol() -> asyncio.Protocol:
        made: asyncio.Protocol = smtp.SMTP(
            handler, hostname="localhost", enable_SMTPUTF8=True, data_size_limit=LARGEST_MAIL_BYTES, ident="Sandbox"
        )
        return made

    server = await asyncio.get_running_loop().create_server(protocol, sock=listener)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
