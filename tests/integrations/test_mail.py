"""The door to the mail server, over real SMTP; what a mail looks like; words into letters."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pm_api.core.money import money
from pm_api.core.settings import SmtpSettings
from pm_api.integrations.mail import (
    Letter,
    Mail,
    MailDeferred,
    MailDoor,
    MailRefused,
    MailServer,
    MailUnavailable,
    Recipient,
    message_id_of,
    render,
)
from tests.support.mail import SENDER, Post, post_office, smtp_settings

MAIL_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOSTILE_NAMES = [
    "Ann\r\nBcc: evil@example.com",
    "Ann\nSubject: other\n\nbody",
    "\u202eevil\u202c <script>alert(1)</script>",
    "דנה כהן",
    "🎉 Zoë 🦄 " * 20,
    'Quote " and \\ and , and <x@y>',
    "=?utf-8?q?=0d=0aBcc:_x?=",
    "\x00\x1b[31mred\x7f",
    "",
]


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with post_office() as opened:
        yield opened


def door_to(url: str, **more: Any) -> MailDoor:
    return MailDoor(SmtpSettings(**smtp_settings(url, **more)))


def a_mail(**changes: Any) -> Mail:
    values: dict[str, Any] = {
        "to": Recipient("ann@example.com", "Ann"),
        "subject": "Credits run low",
        "text": "20 are left.\n",
        "html": "<p>20 are left.</p>",
        "message_id": message_id_of(MAIL_ID, SENDER),
        "sent_at": NOON,
        **changes,
    }
    return Mail(**values)


async def sent(post: Post, mail: Mail, **settings: Any) -> EmailMessage:
    """What the server has of it."""
    await door_to(post.url, **settings).send(mail)
    [received] = post.mailbox.page()
    return received.message()


# --- what arrives ----------------------------------------------------------------------------------------------


async def test_a_mail_arrives_with_both_parts_and_sane_headers(post: Post) -> None:
    got = await sent(
        post,
        a_mail(text="Grüße 🎉\n" + "x" * 5000 + "\n.\n.dot\n", html="<p>Grüße 🎉</p>", headers={"X-Kind": "test"}),
        reply_to="help@acme.example",
    )
    assert got["from"] == f"Acme <{SENDER}>"
    assert got["to"] == "Ann <ann@example.com>"
    assert got["reply-to"] == "help@acme.example"
    assert got["message-id"] == f"<{MAIL_ID}@acme.example>"
    assert parsedate_to_datetime(got["date"]) == NOON
    assert (got["auto-submitted"], got["x-kind"]) == ("auto-generated", "test")
    assert got["list-unsubscribe"] is None
    assert got.get_content_type() == "multipart/alternative"
    assert [one.get_content_type() for one in got.iter_parts()] == ["text/plain", "text/html"]
    [received] = post.mailbox.page()
    assert received.sender == SENDER
    assert received.part("plain").replace("\r\n", "\n") == "Grüße 🎉\n" + "x" * 5000 + "\n.\n.dot\n"
    assert "<p>Grüße 🎉</p>" in received.part("html")
    assert max(len(line) for line in received.source.split(b"\r\n")) <= 998, "RFC 5322 §2.1.1"


async def test_one_click_unsubscribing_is_offered_where_there_is_an_address(post: Post) -> None:
    got = await sent(post, a_mail(unsubscribe_url="https://api.example.com/unsubscribe?token=" + "x" * 150))
    assert got["list-unsubscribe"] == "<https://api.example.com/unsubscribe?token=" + "x" * 150 + ">"
    assert got["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_nobodys_name_breaks_out_of_a_header(post: Post, name: str) -> None:
    got = await sent(post, a_mail(to=Recipient("ann@example.com", name), subject=f"{name} invites you"))
    plain = await sent_headers(post)
    assert set(plain) == {
        *("from", "to", "subject", "date", "message-id", "mime-version", "content-type"),
        *("auto-submitted", "x-auto-response-suppress"),
    }
    assert len(plain) == len(got.keys()), "each once"
    [to] = got["to"].addresses
    assert to.addr_spec == "ann@example.com"
    [received] = post.mailbox.page()
    assert received.recipient == "ann@example.com"
    for shown in (to.display_name, str(got["subject"])):
        assert not set(shown) & set("\r\n\x00\x1b\x7f\u202e\u202c")
    assert str(got["subject"]).endswith("invites you") or len(str(got["subject"])) == 200


async def sent_headers(post: Post) -> list[str]:
    """Names as they stand in the bytes, read by no library of headers."""
    [received] = post.mailbox.page()
    head = received.source.split(b"\r\n\r\n")[0].decode("ascii")
    return [line.split(":")[0].lower() for line in head.split("\r\n") if line[0] not in " \t"]


@pytest.mark.parametrize(
    "email",
    [
        *("ann@example.com\r\nRCPT TO:<evil@example.com>", "ann@example.com\n", "ann", "@example.com", "ann@", ""),
        *("a b@example.com", "<ann@example.com>", "ann@example.com,eve@example.com", "ann@" + "x" * 400 + ".com"),
        "ann@-\u2028.com",
    ],
)
async def test_what_is_no_address_is_refused_before_the_server_hears_of_it(post: Post, email: str) -> None:
    with pytest.raises(MailRefused) as refusal:
        await door_to(post.url).send(a_mail(to=Recipient(email)))
    assert post.mailbox.page() == []
    assert not email or email not in refusal.value.reason


@pytest.mark.parametrize(
    "headers", [{"X-A": "b\r\nBcc: evil@example.com"}, {"Bcc": "evil@example.com"}, {"X-A: b\r\nBcc": "c"}]
)
async def test_no_header_of_ours_carries_another(post: Post, headers: dict[str, str]) -> None:
    with pytest.raises(MailRefused):
        await door_to(post.url).send(a_mail(headers=headers))
    assert post.mailbox.page() == []


async def test_addresses_beyond_ascii(post: Post) -> None:
    await door_to(post.url).send(a_mail(to=Recipient("ann@bücher.example", "Änn")))
    await door_to(post.url).send(a_mail(to=Recipient("jörg@bücher.example", "Jörg")))
    utf8, idn = post.mailbox.page()
    assert idn.recipient == "ann@xn--bcher-kva.example"
    assert str(idn.message()["to"].addresses[0].display_name) == "Änn"
    assert idn.source.isascii()
    assert utf8.recipient == "jörg@xn--bcher-kva.example"
    assert "jörg@xn--bcher-kva.example".encode() in utf8.source


async def test_a_mail_is_never_larger_than_the_bound(post: Post) -> None:
    with pytest.raises(MailRefused, match="262144 bytes"):
        await door_to(post.url).send(a_mail(html="x" * 300_000))


# --- what a server may say -------------------------------------------------------------------------------------


class Handler:
    """Answers as told; keeps what it takes."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.taken: list[bytes] = []

    async def handle_MAIL(self, _s: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        envelope.mail_from = address
        return self.answers.get("mail", "250 OK")

    async def handle_RCPT(self, _s: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        return self.answers.get("rcpt", "250 OK")

    async def handle_DATA(self, _s: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if "data" not in self.answers:
            self.taken.append(envelope.original_content)
        return self.answers.get("data", "250 OK")


@asynccontextmanager
async def smtp_server(handler: Any, *, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="localhost", **options), "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answers", "expected", "reason"),
    [
        ({"rcpt": "550 5.1.1 <ann@example.com>: no such person"}, MailRefused, "550 5.1.1"),
        ({"rcpt": "450 4.2.1 greylisted, ann@example.com"}, MailDeferred, "450 4.2.1"),
        ({"data": "554 spam"}, MailRefused, "554"),
        ({"data": "452 4.3.1 no room"}, MailDeferred, "452 4.3.1"),
        ({"rcpt": "421 4.3.2 closing"}, MailUnavailable, "421 4.3.2"),
        ({"mail": "550 5.7.1 we do not know you"}, MailUnavailable, "SMTPSenderRefused 550 5.7.1"),
    ],
)
async def test_what_answers_mean(answers: dict[str, str], expected: type[Exception], reason: str) -> None:
    async with smtp_server(Handler(**answers)) as port:
        with pytest.raises(expected) as found:
            await door_to(f"smtp://127.0.0.1:{port}").send(a_mail())
    assert str(found.value) == reason


async def test_a_server_that_is_not_there_or_says_nothing(post: Post) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(MailUnavailable):
            await door_to(f"smtp://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3).send(a_mail())
        port = silent.getsockname()[1]
    with pytest.raises(MailUnavailable):
        await door_to(f"smtp://127.0.0.1:{port}").send(a_mail())
    post.fail("disconnect")
    with pytest.raises(MailUnavailable):
        await door_to(post.url).send(a_mail())
    assert post.mailbox.page() == []


async def test_how_the_goodbye_goes_does_not_count() -> None:
    """A server that hangs at QUIT has taken the mail: to send it again would be a second one."""

    class Stubborn(Handler):
        async def handle_QUIT(self, *_: Any) -> str:  # noqa: N802
            await asyncio.sleep(30)
            return "221 bye"

    handler = Stubborn()
    async with smtp_server(handler) as port:
        await door_to(f"smtp://127.0.0.1:{port}", timeout_s=1).send(a_mail())
    assert len(handler.taken) == 1


async def test_without_smtputf8_an_address_beyond_ascii_is_refused() -> None:
    handler = Handler()
    async with smtp_server(handler) as port:
        with pytest.raises(MailRefused, match="SMTPUTF8"):
            await door_to(f"smtp://127.0.0.1:{port}").send(a_mail(to=Recipient("jörg@example.com")))
    assert handler.taken == []


# --- encryption and passwords ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `localhost`, signed by itself; key and certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_smtps_and_starttls_are_spoken_with_a_server_one_can_trust(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    handler, context = Handler(), server_tls(certificate)
    async with smtp_server(handler, tls=context) as port:
        await door_to(f"smtps://localhost:{port}").send(a_mail())
    async with smtp_server(handler, tls_context=context, require_starttls=True) as port:
        assert await door_to(f"smtp://localhost:{port}").probe() == f"localhost:{port} takes mail, encrypted"
        await door_to(f"smtp://localhost:{port}", starttls=True).send(a_mail())
    assert len(handler.taken) == 2


async def test_a_certificate_nobody_signed_is_not_believed(certificate: Path) -> None:
    handler, context = Handler(), server_tls(certificate)
    async with smtp_server(handler, tls=context) as port:
        with pytest.raises(MailUnavailable):
            await door_to(f"smtps://localhost:{port}").send(a_mail())
    assert handler.taken == []


async def test_no_mail_goes_unencrypted_where_it_must_be_encrypted() -> None:
    """Somebody in between who hides STARTTLS gets nothing."""
    handler = Handler()
    async with smtp_server(handler) as port:
        with pytest.raises(MailUnavailable):
            await door_to(f"smtp://127.0.0.1:{port}", starttls=True).send(a_mail())
    assert handler.taken == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", ("mail.example.com", 25, None, False, True)),
        ("smtp://u%40x:p%2Fw@mail.example.com", ("mail.example.com", 587, "u@x", False, True)),
        ("smtps://u:p@mail.example.com", ("mail.example.com", 465, "u", True, False)),
        ("smtp://localhost:2525", ("localhost", 2525, None, False, None)),
    ],
)
def test_where_a_url_points(url: str, expected: tuple[Any, ...]) -> None:
    found = MailServer.of(SmtpSettings(url=url))
    assert (found.host, found.port, found.username, found.tls, found.starttls) == expected


@pytest.mark.parametrize("url", ["http://x", "smtp://", "mail.example.com:25", "smtp://h:99999", "smtp://h:x"])
def test_what_is_no_url_of_a_mail_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is written as smtp://"):
        SmtpSettings(url=url)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_refused_password_is_ours_to_mend_and_the_mail_waits() -> None:
    def authenticate(*arguments: Any) -> AuthResult:
        login = arguments[-1]
        return AuthResult(success=(login.login, login.password) == (b"acme", b"p@ss/word"), handled=False)

    handler = Handler()
    options: dict[str, Any] = {"authenticator": authenticate, "auth_require_tls": False, "auth_required": True}
    async with smtp_server(handler, **options) as port:
        with pytest.raises(MailUnavailable, match="535") as refusal:
            await door_to(f"smtp://acme:wrong@127.0.0.1:{port}").send(a_mail())
        assert "wrong" not in str(refusal.value)
        with pytest.raises(MailUnavailable):
            await door_to(f"smtp://acme:wrong@127.0.0.1:{port}").probe()
        assert handler.taken == []
        await door_to(f"smtp://acme:p%40ss%2Fword@127.0.0.1:{port}").send(a_mail())
    assert len(handler.taken) == 1


# --- words -----------------------------------------------------------------------------------------------------


def a_letter(**changes: Any) -> Letter:
    values: dict[str, Any] = {
        "type": "workspace.renamed",
        "title": "Acme has a new name",
        "body": "It is called Apex now.",
        "reason": "You are a member.",
        "product": "Acme",
        "site_url": "https://app.example.com",
        "link": "https://app.example.com/workspaces/1",
        **changes,
    }
    return Letter(**values)


def test_a_type_without_a_template_is_written_by_the_general_one() -> None:
    made = render(a_letter())
    assert made.subject == "Acme has a new name"
    for form in (made.text, made.html):
        for wanted in ("Acme has a new name", "It is called Apex now.", "You are a member.", "Open Acme"):
            assert wanted in form
        assert "https://app.example.com/workspaces/1" in form
        assert "Stop these mails" not in form
    assert made == render(a_letter()), "same in, same out"


def test_figures_of_a_receipt_are_shown_as_people_write_them() -> None:
    data = {
        "amount": 123456,
        "currency": "USD",
        "credits": 1150,
        "pack": "LARGE",
        "cardLast4": "4242",
        "nextPaymentAt": "2026-12-31T23:30:00Z",
        "plan": "TEAM_PREMIUM",
        "graceEndsAt": None,
        "amountRefunded": "much",
        "unknown": "not shown",
    }
    made = render(a_letter(type="billing.purchased", data=data, time_zone="Asia/Tokyo"))
    for wanted in (
        "1,234.56 USD",
        "1,150",
        "Large",
        "Team Premium",
        "•••• 4242",
        "1 January 2027",
        "See your billing",
    ):
        assert wanted in made.text
        assert wanted in made.html
    assert "Refunded" not in made.text
    assert "Access until" not in made.text
    assert "not shown" not in made.text


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [(899, "USD", "8.99 USD"), (500, "JPY", "500 JPY"), (-1005, "eur", "−10.05 EUR"), (1234, "KWD", "1.234 KWD")],
)
def test_money(minor: int, currency: str, shown: str) -> None:
    assert money(minor, currency) == shown


@pytest.mark.parametrize("kind", ["workspace.renamed", "credits.low_balance", "team.invitation", "billing.renewed"])
def test_what_people_wrote_stays_words(kind: str) -> None:
    hostile = "<script>alert(1)</script>\u202e{{ 7 * 7 }} \"'><img src=x onerror=alert(1)> {% raw %}"
    made = render(
        a_letter(
            type=kind,
            title=hostile,
            body=f"{hostile}\n{hostile}",
            reason=hostile,
            action=hostile,
            data={"pack": hostile, "available": 3, "base": 10, "amount": hostile, "currency": hostile},
            unsubscribe_url='https://x/?a="><script>',
        )
    )
    assert "<script>" not in made.html
    assert "<img" not in made.html
    assert "onerror=alert(1)&gt;" in made.html
    assert "{{ 7 * 7 }}" in made.html
    assert "49" not in made.text
    assert "\u202e" not in made.html + made.text


def test_a_mail_with_odd_data_is_still_written() -> None:
    odd: dict[str, Any] = {
        "available": 0,
        "base": 0,
        "credits": True,
        "expiresAt": "soon",
        "amount": 5,
        "cardLast4": 1,
    }
    for kind in ("credits.low_balance", "billing.renewed"):
        assert render(a_letter(type=kind, data=odd, time_zone="Mars/Olympus")).text
    assert render(a_letter(type="credits.low_balance", data={})).html


def test_every_template_has_its_other_half() -> None:
    folder = Path(__file__).parents[2] / "src" / "pm_api" / "integrations" / "mail" / "templates"
    names = {form: {one.stem for one in folder.glob(f"*.{form}")} for form in ("html", "txt")}
    assert names["html"] == names["txt"] >= {"layout", "general", "billing", "credits", "team.invitation"}
