"""SMTP by aiosmtplib: one connection a mail, one time limit over all of it, and what a server's answers mean."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog

from pm_api.core.settings import LOCAL_HOSTS, SmtpSettings
from pm_api.integrations.mail.message import Mail, Sender, UnsendableMail, build

SMTP_PORT: Final = 25
SUBMISSION_PORT: Final = 587
SMTPS_PORT: Final = 465
GOODBYE_S: Final = 2.0
# Its answer to anything: it is closing, whatever the mail was (RFC 5321 §3.8).
CLOSING: Final = 421
_ENHANCED: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")

_log = structlog.get_logger(__name__)


class MailUnavailable(Exception):
    """No mail can be sent just now: the server is not there, or does not let us in. Whether the last one arrived is
    not known when the answer was lost. `reason` holds no address.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MailDeferred(Exception):
    """The server does not take this mail now (4xx); others it may. `reason` is its code, none of its text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MailRefused(Exception):
    """This mail will never be taken (5xx, or an address no mail can go to). `reason` as above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where `PM_SMTP_URL` points. `starttls`: True = it must be offered, None = taken when offered, False = never."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool
    starttls: bool | None

    @classmethod
    def of(cls, settings: SmtpSettings) -> "MailServer":
        if settings.url is None:
            raise MailUnavailable("PM_SMTP_URL is not set")
        parts = urlsplit(settings.url.get_secret_value())
        tls, host = parts.scheme == "smtps", parts.hostname or ""
        username = unquote(parts.username) if parts.username else None
        default_port = SMTPS_PORT if tls else SUBMISSION_PORT if username else SMTP_PORT
        is_here = host in LOCAL_HOSTS or host == "::1"
        must = settings.starttls if settings.starttls is not None else (None if is_here else True)
        return cls(
            host=host,
            port=parts.port or default_port,
            username=username,
            password=unquote(parts.password) if parts.password else None,
            tls=tls,
            starttls=False if tls else must,
        )


class MailDoor:
    """Sends one mail at a time; any number of tasks may."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self.sender = Sender(settings.sender, settings.sender_name, settings.reply_to)

    async def send(self, mail: Mail) -> None:
        """Hand it to the server, which has taken it when this returns.

        Raises MailUnavailable, MailDeferred or MailRefused. After MailUnavailable by a lost answer the server may
        have taken it all the same: SMTP has no way to ask. The Message-ID of a second try is the first one's.
        """
        try:
            built = build(mail, self.sender)
        except UnsendableMail as error:
            raise MailRefused(str(error)) from error
        options = ["SMTPUTF8", "BODY=8BITMIME"] if built.needs_utf8 else []
        async with self._connected() as connection:
            if built.needs_utf8 and not connection.supports_extension("smtputf8"):
                raise MailRefused("the mail server takes no address beyond ASCII (SMTPUTF8)")
            await connection.sendmail(self._settings.sender, [built.recipient], built.content, mail_options=options)

    async def probe(self) -> str:
        """Connect, encrypt and sign in as for a mail, and send none; raises MailUnavailable."""
        server = MailServer.of(self._settings)
        place = f"{server.host}:{server.port}"
        try:
            async with self._connected() as connection:
                encrypted = connection.get_transport_info("sslcontext") is not None
        except MailUnavailable as error:
            raise MailUnavailable(f"{place}: {error.reason}") from error
        return f"{place} takes mail, {'encrypted' if encrypted else 'not encrypted'}"

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """Signed in and greeted, for one time limit; every failure is one of ours. How the goodbye goes does not
        count: what the server has taken, it has taken.
        """
        connection = self._connection()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await connection.connect()
                if connection.is_ehlo_or_helo_needed:
                    await connection.ehlo()
                yield connection
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise _meaning(error) from error
        else:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await connection.quit(timeout=GOODBYE_S)
        finally:
            connection.close()

    def _connection(self) -> aiosmtplib.SMTP:
        server = MailServer.of(self._settings)
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.tls,
            start_tls=server.starttls,
            # Without one the library asks the resolver for our name, on the event loop.
            local_hostname=self._settings.sender.rpartition("@")[2],
            timeout=self._settings.timeout_s,
        )


def _meaning(error: Exception) -> MailUnavailable | MailDeferred | MailRefused:
    """A failure of the library as one of ours. Only of the recipient and of the content is a 5xx final: a sender, a
    password or a greeting that is refused is ours to mend, and the mail waits for that.
    """
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        return _of_answer(error.recipients[0])
    if isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError):
        return _of_answer(error)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        _log.warning("mail_unavailable", problem=type(error).__name__, code=error.code)
        return MailUnavailable(f"{type(error).__name__} {_code_of(error)}")
    _log.warning("mail_unavailable", problem=type(error).__name__)
    return MailUnavailable(type(error).__name__)


def _of_answer(error: aiosmtplib.SMTPResponseException) -> MailUnavailable | MailDeferred | MailRefused:
    if error.code == CLOSING:
        return MailUnavailable(_code_of(error))
    return MailRefused(_code_of(error)) if error.code >= 500 else MailDeferred(_code_of(error))


def _code_of(error: aiosmtplib.SMTPResponseException) -> str:
    """`550 5.1.1`; what a server says beside it may hold the address."""
    enhanced = _ENHANCED.match(error.message)
    return f"{error.code} {enhanced[1]}" if enhanced else str(error.code)
