"""One mail as bytes: text and HTML beside each other, and headers nobody's name can break out of."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final
from uuid import UUID

import idna

NAME_LENGTH: Final = 78
SUBJECT_LENGTH: Final = 200
LONGEST_HEADER: Final = 900
MAX_BYTES: Final = 256 * 1024
_OWN_HEADERS: Final = frozenset(
    {"from", "to", "cc", "bcc", "subject", "date", "message-id", "sender", "reply-to", "mime-version"}
)
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9]+(?: [A-Za-z0-9]+)*")
_PLAIN_TEXT: Final = re.compile(r"(?!.*=\?)[ -~]{0,60}")
_HEADER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
# Marks that turn the direction of all that follows; a right-to-left text needs none of them.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class UnsendableMail(ValueError):
    """No mail can be made of this: the text says what is wrong, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Recipient:
    email: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A calendar that goes with a mail: as a third form of it, which calendar programs take for the mail's own matter
    (RFC 6047), and as a file for the others. `method` is iTIP's.
    """

    name: str
    content: bytes
    method: str


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person. `unsubscribe_url` takes a POST that ends mails of this kind (RFC 8058)."""

    to: Recipient
    subject: str
    text: str
    html: str
    message_id: str
    sent_at: datetime
    unsubscribe_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    attachment: Attachment | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    email: str
    name: str
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class Built:
    """What goes over the wire. `needs_utf8`: only a server that speaks SMTPUTF8 (RFC 6531) can take the address."""

    recipient: str
    content: bytes
    needs_utf8: bool


def message_id_of(identifier: UUID, sender_email: str) -> str:
    """The same for every try of the same mail, so that a mailbox that gets two can see that they are one."""
    return f"<{identifier}@{sender_email.rpartition('@')[2]}>"


def build(mail: Mail, sender: Sender) -> Built:
    """The whole message; raises UnsendableMail for an address, header or size that cannot be sent.

    Its headers are written here and not by `email.message`, which decodes encoded words in what it is given: a name
    that reads `=?utf-8?q?=0d=0aBcc:...?=` came out as another header (tried).
    """
    recipient = wire_address(mail.to.email)
    headers = [
        f"From: {_mailbox(sender.name, sender.email)}",
        f"To: {_mailbox(mail.to.name, recipient)}",
        *([f"Reply-To: {sender.reply_to}"] if sender.reply_to else []),
        f"Subject: {_words(one_line(mail.subject, SUBJECT_LENGTH), plain=_PLAIN_TEXT)}",
        f"Date: {format_datetime(mail.sent_at)}",
        f"Message-ID: {_plain(mail.message_id)}",
        # RFC 3834: no machine should answer it.
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
        *(f"{_header_name(name)}: {_plain(value)}" for name, value in mail.headers.items()),
    ]
    if mail.unsubscribe_url is not None:
        headers.append(f"List-Unsubscribe: <{_plain(mail.unsubscribe_url)}>")
        headers.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
    parts = EmailMessage(policy=policy.SMTP)
    parts.set_content(mail.text, cte="quoted-printable")
    parts.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    if mail.attachment is not None:
        _attach(parts, mail.attachment)
    content = "".join(f"{line}\r\n" for line in headers).encode() + parts.as_bytes()
    if len(content) > MAX_BYTES:
        raise UnsendableMail(f"a mail takes at most {MAX_BYTES} bytes, not {len(content)}")
    return Built(recipient, content, not recipient.isascii())


def _attach(parts: EmailMessage, calendar: Attachment) -> None:
    method = {"method": calendar.method}
    parts.add_alternative(calendar.content.decode(), subtype="calendar", cte="base64", params=method)
    parts.add_attachment(
        calendar.content, maintype="application", subtype="ics", filename=calendar.name, params=method
    )


def wire_address(email: str) -> str:
    """The address as SMTP takes it: the domain in its ASCII spelling (IDNA 2008). Raises UnsendableMail."""
    local, separator, domain = email.rpartition("@")
    broken = any(unicodedata.category(one)[0] in "CZ" for one in email)
    if not separator or not local or broken or len(email) > 320 or set('<>,;:"\\()[]') & set(email):
        raise UnsendableMail("this is no address a mail can go to")
    try:
        spelled = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise UnsendableMail("this is no address a mail can go to") from error
    return f"{local}@{spelled}"


def without_turns(text: str) -> str:
    """A text that cannot turn the direction of what follows it."""
    return "".join(one for one in text if one not in _TURNING)


def one_line(text: str, length: int) -> str:
    """A text as a header holds it: no line breaks or other controls, nothing that turns the direction of the rest."""
    kept = "".join(
        " " if unicodedata.category(one) in {"Cc", "Zl", "Zp", "Cs"} else one for one in without_turns(text)
    )
    line = " ".join(kept.split())
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"


def _mailbox(name: str, address: str) -> str:
    shown = one_line(name, NAME_LENGTH)
    return f"{_words(shown, plain=_PLAIN_NAME)}\r\n <{address}>" if shown else f"<{address}>"


def _words(text: str, *, plain: re.Pattern[str]) -> str:
    """As it is where nothing in it can be taken for more than words, else as encoded words (RFC 2047), folded."""
    return text if plain.fullmatch(text) else Header(text, "utf-8", maxlinelen=70).encode(linesep="\r\n")


def _header_name(name: str) -> str:
    if name.lower() in _OWN_HEADERS or not _HEADER_NAME.fullmatch(name):
        raise UnsendableMail("a header has a name that may not be set")
    return name


def _plain(value: str) -> str:
    if len(value) > LONGEST_HEADER or not re.fullmatch(r"[ -~]+", value):
        raise UnsendableMail("a header takes one line of ASCII")
    return value
