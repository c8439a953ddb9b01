"""The sandbox mailbox: takes mail over real SMTP, shows it safely, keeps within bounds, fails when asked to."""

import asyncio
import email
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from httpx import ASGITransport

from pm_api.sandbox.mail import Mailbox, create_app, store
from tests.support.mail import Post, post_office


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with post_office() as opened:
        yield opened


@pytest.fixture
async def pages(post: Post) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(post.mailbox, post.faults)
    async with httpx.AsyncClient(transport=ASGITransport(app), base_url="http://mailbox") as client:
        yield client


def a_message(to: str = "ann@example.com", subject: str = "Hello", html: str = "<p>Hi</p>") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "app@example.com", to, subject
    message.set_content("Hi")
    message.add_alternative(html, subtype="html")
    return message


async def send(post: Post, message: EmailMessage) -> None:
    """By the standard library's client: the mailbox speaks to others than our own door."""

    def deliver() -> None:
        with smtplib.SMTP("127.0.0.1", post.port, timeout=5) as client:
            client.send_message(message)

    await asyncio.to_thread(deliver)


async def test_a_mail_is_listed_and_shown_with_both_parts_and_its_source(
    post: Post, pages: httpx.AsyncClient
) -> None:
    assert "No mail has arrived" in (await pages.get("/")).text
    await send(post, a_message(subject="Grüße 🎉"))
    assert "Grüße 🎉" in (await pages.get("/")).text
    shown = (await pages.get("/mails/1")).text
    assert "ann@example.com" in shown
    assert '<iframe sandbox="allow-popups allow-popups-to-escape-sandbox" src="/mails/1/html"' in shown
    assert (await pages.get("/mails/1/html")).text.strip() == "<p>Hi</p>"
    source = await pages.get("/mails/1/source")
    assert source.headers["content-type"].startswith("text/plain")
    assert email.message_from_string(source.text)["to"] == "ann@example.com"
    [as_json] = (await pages.get("/_sandbox/mails", params={"to": "ann@"})).json()["mails"]
    assert (as_json["subject"], as_json["text"].strip(), as_json["headers"]["To"]) == (
        "Grüße 🎉",
        "Hi",
        "ann@example.com",
    )


async def test_what_stands_in_a_mail_cannot_run(post: Post, pages: httpx.AsyncClient) -> None:
    evil = "<script>parent.location='https://evil.example'</script><img src=https://evil.example/x>"
    await send(post, a_message(subject=evil, html=evil))
    for path in ("/", "/mails/1"):
        page = await pages.get(path)
        assert "<script" not in page.text
        assert "&lt;script&gt;" in page.text
    framed = (await pages.get("/mails/1/html")).headers["content-security-policy"]
    assert framed.startswith("sandbox ")
    assert "allow-scripts" not in framed
    assert "default-src 'none'" in framed
    assert (await pages.get("/mails/1/source")).headers["x-content-type-options"] == "nosniff"


async def test_a_link_in_a_mail_opens_beside_the_mailbox(post: Post, pages: httpx.AsyncClient) -> None:
    await send(post, a_message(html="<html><head><title>x</title></head><a href='https://example.com'>y</a></html>"))
    assert '<head><base target="_blank"><title>' in (await pages.get("/mails/1/html")).text


async def test_search_by_recipient_and_older_pages(post: Post, pages: httpx.AsyncClient) -> None:
    for number in range(60):
        post.mailbox.add("a@x.example", f"user{number}@example.com", bytes(a_message(subject=f"n{number}")), 1.0)
    first = await pages.get("/")
    assert first.text.count("<li>") == 50
    assert "/?to=&amp;before=11" in first.text
    assert (await pages.get("/", params={"before": 11})).text.count("<li>") == 10
    found = await pages.get("/", params={"to": "USER7@"})
    assert found.text.count("<li>") == 1
    assert "user7@example.com" in found.text
    assert "No mail to “%_” is here" in (await pages.get("/", params={"to": "%_"})).text
    assert (await pages.post("/clear")).status_code == 303
    assert post.mailbox.page() == []


@pytest.mark.parametrize("path", ["/mails/999", "/mails/0", "/mails/99999999999999999999", "/mails/7/html"])
async def test_a_mail_that_is_not_there(pages: httpx.AsyncClient, path: str) -> None:
    assert (await pages.get(path)).status_code == 404


async def test_the_oldest_go_beyond_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_MAILS", 5)
    box = Mailbox(":memory:")
    for number in range(8):
        box.add("a@x.example", f"{number}@example.com", b"Subject: s\r\n\r\n", 1.0)
    assert [one.recipient[0] for one in box.page()] == list("76543")
    monkeypatch.setattr(store, "MOST_BYTES", 1000)
    box.add("a@x.example", "big@example.com", b"x" * 990, 1.0)
    assert [one.recipient for one in box.page()] == ["big@example.com"]
    box.close()


async def test_a_second_start_finds_the_mails_of_the_first(tmp_path: Path) -> None:
    path = str(tmp_path / "mailbox.sqlite")
    first = Mailbox(path)
    first.add("a@x.example", "ann@example.com", bytes(a_message()), 1.0)
    first.close()
    second = Mailbox(path)
    assert [one.recipient for one in second.page()] == ["ann@example.com"]
    second.close()


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"no headers",
        b"Subject: =?utf-8?q?=0d=0aBcc:_x?=\r\n\r\nhi",
        b"Subject: =?x?b?!!?=\r\nTo: ;;<\r\nContent-Type: multipart/mixed\r\n\r\n\xff\xfe",
        b"Content-Type: text/html; charset=nonsense\r\n\r\n<b>\xff",
    ],
)
async def test_a_broken_mail_is_shown_as_far_as_it_goes(post: Post, pages: httpx.AsyncClient, source: bytes) -> None:
    post.mailbox.add("a@x.example", "ann@example.com", source, 1.0)
    for path in ("/", "/mails/1", "/mails/1/html", "/mails/1/source", "/_sandbox/mails"):
        assert (await pages.get(path)).status_code == 200, path


@pytest.mark.parametrize(
    ("kind", "code", "kept"),
    [("transient", 451, 0), ("permanent", 550, 0), ("disconnect", None, 0), ("lose_answer", None, 1)],
)
async def test_it_fails_as_often_as_it_is_asked_to(
    post: Post, pages: httpx.AsyncClient, kind: str, code: int | None, kept: int
) -> None:
    switch = {"kind": kind, "times": 2, "recipient": "ann@example.com"}
    assert (await pages.put("/_sandbox/faults", json=switch)).status_code == 200
    assert f"meet the fault “{kind}”" in (await pages.get("/")).text
    await send(post, a_message(to="ben@example.com"))
    for _ in range(2):
        with pytest.raises((smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected)) as refusal:
            await send(post, a_message())
        assert getattr(refusal.value, "smtp_code", None) == code
    await send(post, a_message())
    assert len(post.to("ann@example.com")) == 2 * kept + 1
    assert len(post.to("ben@example.com")) == 1
    await pages.put("/_sandbox/faults", json=switch)
    await pages.delete("/_sandbox/faults")
    await send(post, a_message())
    assert len(post.to("ann@example.com")) == 2 * kept + 2
