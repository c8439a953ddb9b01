"""Every sort of letter goes over SMTP as it was written, in both forms."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from pm_api.core.platform import Platform
from pm_api.core.settings import SmtpSettings
from pm_api.integrations.mail import Letter, Mail, MailDoor, Recipient, Section, SectionItem, render
from pm_api.outbox.letters import letter
from tests.support.letters import GALLERY, LONG, NOW, SITE
from tests.support.mail import SENDER, Post, post_office

TRANSACTIONAL = (
    *("invitation", "event", "verify", "reset", "change_email", "security", "receipt", "export", "deletion"),
)
WITH_A_LINK = ("invitation", "verify", "reset", "change_email", "export")


@pytest.fixture(scope="module")
async def post() -> AsyncIterator[Post]:
    async with post_office() as opened:
        yield opened


async def sent(post: Post, name: str) -> tuple[str, str, str]:
    """(subject, text, HTML) as the mailbox got them."""
    door = MailDoor(SmtpSettings(url=SecretStr(post.url), sender=SENDER, sender_name="Acme"))
    written, to = render(GALLERY[name]), f"{name}@example.com"
    await door.send(
        Mail(
            to=Recipient(to, "Zoë Öztürk"),
            subject=written.subject,
            text=written.text,
            html=written.html,
            message_id=f"<{name}@acme.example>",
            sent_at=NOW,
            unsubscribe_url=GALLERY[name].unsubscribe_url,
        )
    )
    mail = post.to(to)[-1]
    return mail.subject, mail.part("plain"), mail.part("html")


@pytest.mark.parametrize("name", sorted(GALLERY))
async def test_it_arrives_as_it_was_written(post: Post, name: str) -> None:
    said = GALLERY[name]
    subject, plain, html = await sent(post, name)
    assert subject == said.title
    assert html.replace("\r\n", "\n").strip() == render(said).html.strip()
    for words in (said.title, said.reason, said.product, *said.body.splitlines(), said.link or ""):
        assert words in plain.replace("\r\n", "\n")
    for address in filter(None, (said.unsubscribe_url, said.settings_url)):
        assert address in plain
        assert address in html
    assert ("Stop these mails" in html) is (name not in TRANSACTIONAL and name != "long_words_invitation")
    assert "None" not in plain + html
    assert "{{" not in plain + html


@pytest.mark.parametrize("name", WITH_A_LINK)
async def test_a_link_is_spelled_out_with_its_end_and_a_way_out(post: Post, name: str) -> None:
    said = GALLERY[name]
    _, plain, html = await sent(post, name)
    assert said.link is not None
    assert html.count(said.link) == 3, "the button, and the address below it as text and link"
    for form in (plain, html):
        assert "The link works until" in form
        assert "(Europe/Berlin)." in form
    assert "?" in plain.partition("The link works until")[2], "what to do who did not ask for it"


async def test_a_weekly_digest_is_in_groups(post: Post) -> None:
    _, plain, html = await sent(post, "weekly_digest")
    order = ["CREDITS", "At most 20 %", "Ben gave you", "40 credits", "WORKSPACES", "Rocket Works", "And 32 more."]
    places = [plain.index(one) for one in order]
    assert places == sorted(places)
    assert "Sat 21 November, 12:05" in html, "in the time zone of who reads it"
    assert f'href="{SITE}/workspaces/1"' in html


def test_times_are_those_of_the_reader() -> None:
    written = render(GALLERY["security"]).text
    assert "When: 21 November 2026, 15:05 (Europe/Berlin)" in written
    assert "The link works until" not in written


@pytest.mark.parametrize("odd", [None, 5, "soon", True, "", "9999-99-99", ["2026-01-01"]])
@pytest.mark.parametrize("key", ["linkExpiresAt", "occurredAt", "deletesAt", "device"])
def test_data_of_another_shape_is_left_out(odd: object, key: str) -> None:
    said = Letter("identity.security", "T", "B", "R", "Acme", SITE, link=f"{SITE}/x", data={key: odd})
    written = render(said).text
    assert "works until" not in written
    assert "None" not in written


def test_what_people_wrote_in_a_digest_stays_words() -> None:
    hostile = "<img src=x onerror=alert(1)>\u202e{{ 7 * 7 }}\n--\nBcc: x"
    said = Letter(
        "notification.digest",
        "T",
        "",
        "R",
        "Acme",
        SITE,
        sections=(Section(hostile, (SectionItem(hostile, hostile * 20, f'{SITE}/"><script>', NOW),)),),
    )
    written = render(said)
    assert "<img" not in written.html
    assert "<script>" not in written.html
    assert "{{ 7 * 7 }}" in written.html
    assert "\u202e" not in written.html + written.text
    assert "\n--\nBcc" not in written.text
    assert LONG not in written.text


def test_a_letter_of_a_slice_knows_the_house(platform: Platform) -> None:
    """`letters.letter`: what slices call."""
    said = letter(platform, type="identity.reset", title="T", body="B", reason="R", link="/reset?token=a")
    assert (said.link, said.product) == ("http://site.local/reset?token=a", platform.settings.smtp.sender_name)
    assert letter(platform, type="x", title="T", body="B", reason="R", link="https://pay.example/1").link == (
        "https://pay.example/1"
    )
    assert letter(platform, type="x", title="T", body="B", reason="R").link is None
