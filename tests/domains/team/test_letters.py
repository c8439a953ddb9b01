"""An invitation's mail over real SMTP: one for each sending, with a link that opens; its token rests nowhere."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.crypto import KeyRing, digest_token
from pm_api.core.ids import SystemRandomness
from pm_api.core.platform import Platform
from pm_api.core.settings import Settings
from pm_api.domains.team import links
from pm_api.sandbox.mail.store import Received
from tests.conftest import Person, open_platform, register
from tests.domains.team.inviting import a_team, invited, link, row_of, token_of
from tests.support.clock import MovableClock
from tests.support.mail import Post, post_office, send_due, smtp_settings
from tests.support.settings import SECRET_KEYS, settings_for

LINK = re.compile(r"http://site\.local/invitations/([\w-]+)")
OLD_KEY = "old:" + base64.b64encode(b"an older key, thirty-two bytes or more").decode()
WEEK = timedelta(days=7)


@dataclass
class Office:
    platform: Platform
    app: FastAPI
    post: Post
    database: str

    def letters_to(self, email: str) -> list[Received]:
        """Without what an account's own address is sent."""
        return [one for one in self.post.to(email) if " invites you to " in str(one.message()["subject"])]

    def links_to(self, email: str) -> list[str]:
        """The tokens that have arrived, oldest first; the text and the HTML say the same one."""
        found = []
        for mail in self.letters_to(email):
            parts = [part.get_content() for part in mail.message().walk() if part.get_content_maintype() == "text"]
            tokens = {token for part in parts for token in LINK.findall(part)}
            assert len(tokens) == 1, parts
            found.append(tokens.pop())
        return found

    async def outcomes(self) -> list[tuple[str, str | None]]:
        async with self.platform.database.reading() as session:
            rows = await session.execute(
                text("SELECT status, outcome FROM mails WHERE kind = 'team.invitation' ORDER BY id")
            )
            return [(row[0], row[1]) for row in rows]


@pytest.fixture
async def office(fresh_database: str) -> AsyncIterator[Office]:
    async with post_office() as post:
        settings = settings_for(fresh_database, smtp=smtp_settings(post.url))
        async with open_platform(settings, MovableClock()) as platform:
            yield Office(platform, create_app(settings, platform, connect=False), post, fresh_database)


async def everything_stored(platform: Platform) -> str:
    """Every row of every table, as text."""
    async with platform.database.reading() as session:
        names = await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        rows: list[Any] = []
        for name in names.all():
            rows += (await session.scalars(text(f'SELECT t::text FROM "{name}" AS t'))).all()
        return "\n".join(rows)


async def test_the_letter_brings_its_reader_in(office: Office) -> None:
    ann = await register(office.app, name="Ann Archer")
    bob = await register(office.app)
    workspace_id = await a_team(office.platform, ann)
    await invited(ann, workspace_id, bob.email, "VIEWER")
    assert office.letters_to(bob.email) == [], "nothing is sent with a session in hand"
    for _ in range(3):
        await send_due(office.platform)
    [mail] = office.letters_to(bob.email)
    message = mail.message()
    assert message["subject"] == "Ann Archer invites you to Acme"
    body = message.get_body(("plain",))
    assert body is not None
    content = body.get_content()
    assert "You would come in as VIEWER" in content
    assert bob.email in content
    assert "List-Unsubscribe" not in message, "it was asked for by a person, once"
    [token] = office.links_to(bob.email)
    assert (await bob.client.post(link(token, "/accept"))).status_code == 200
    await close(ann, bob)


async def close(*people: Person) -> None:
    for one in people:
        await one.client.aclose()


async def test_the_token_rests_in_no_row(office: Office) -> None:
    """Whoever reads the whole database, before and after the sending, can open nothing with it."""
    ann = await register(office.app)
    workspace_id = await a_team(office.platform, ann)
    email = f"{uuid4().hex}@example.com"
    made = await invited(ann, workspace_id, email)
    before = await everything_stored(office.platform)
    await send_due(office.platform)
    stored = before + await everything_stored(office.platform)
    [token] = office.links_to(email)
    assert token not in stored
    assert email in stored, "the search would find it"
    assert digest_token(token).hex() in stored
    letter_id = (await row_of(office.platform, made["id"])).letter_id
    assert str(letter_id) in stored
    strangers = KeyRing(Settings(secret_keys=OLD_KEY).secret_keys)
    assert links.token_of(strangers, letter_id) != token, "the id alone is worth nothing"
    await close(ann)


async def test_only_the_newest_letter_is_sent_and_opens(office: Office) -> None:
    ann = await register(office.app)
    workspace_id = await a_team(office.platform, ann)
    email = f"{uuid4().hex}@example.com"
    made = await invited(ann, workspace_id, email)
    await send_due(office.platform)
    path = f"/api/team/invitations/{made['id']}/resend"
    assert (await ann.client.post(path)).status_code == 200
    assert (await ann.client.post(path)).status_code == 200
    await send_due(office.platform)
    assert await office.outcomes() == [("SENT", None), ("DROPPED", "replaced"), ("SENT", None)]
    first, second = office.links_to(email)
    assert second == await token_of(office.platform, made["id"])
    assert [(await ann.client.get(link(one))).status_code for one in (first, second)] == [404, 200]
    await close(ann)


@pytest.mark.parametrize("end", ["revoked", "declined", "expired", "workspace_deleted", "rebound"])
async def test_what_is_over_before_it_was_sent_is_not_sent(office: Office, end: str) -> None:
    ann = await register(office.app)
    workspace_id = await a_team(office.platform, ann)
    email, other = f"{uuid4().hex}@example.com", f"{uuid4().hex}@example.com"
    made = await invited(ann, workspace_id, email)
    path = f"/api/team/invitations/{made['id']}"
    if end == "revoked":
        await ann.client.delete(path)
    elif end == "declined":
        await ann.client.post(link(await token_of(office.platform, made["id"]), "/decline"))
    elif end == "expired":
        office.platform.clock.shift_to(office.platform.clock.now() - office.platform.clock.wall() + WEEK)
    elif end == "workspace_deleted":
        await ann.client.delete(f"/api/workspaces/{workspace_id}")
    else:
        await ann.client.patch(path, json={"email": other})
    await send_due(office.platform)
    assert office.letters_to(email) == []
    reason = "replaced" if end == "rebound" else end
    assert (await office.outcomes())[0] == ("DROPPED", reason)
    assert len(office.links_to(other)) == (end == "rebound")
    await close(ann)


async def test_a_worker_that_dies_sends_the_same_link_again(office: Office) -> None:
    """The mail may have gone out before the death: two letters with two links would leave one that opens nothing."""
    ann = await register(office.app)
    workspace_id = await a_team(office.platform, ann)
    email = f"{uuid4().hex}@example.com"
    await invited(ann, workspace_id, email)
    await send_due(office.platform)
    async with office.platform.database.transaction() as session:
        await session.execute(
            text(
                "UPDATE mails SET status = 'SENDING', claimed_by = id, claimed_until = due_at, finished_at = NULL"
                " WHERE kind = 'team.invitation'"
            )
        )
    await send_due(office.platform)
    first, second = office.links_to(email)
    assert first == second
    await close(ann)


async def test_a_letter_outlives_a_roll_of_keys(office: Office) -> None:
    """Invited under one key, sent by a process that has a newer one in front."""
    ann = await register(office.app)
    workspace_id = await a_team(office.platform, ann)
    email = f"{uuid4().hex}@example.com"
    made = await invited(ann, workspace_id, email)
    token = await token_of(office.platform, made["id"])
    rolled = settings_for(
        office.database, smtp=smtp_settings(office.post.url), secret_keys=f"{OLD_KEY},{SECRET_KEYS}"
    )
    async with open_platform(rolled, MovableClock()) as newer:
        await send_due(newer)
        assert office.links_to(email) == [token]
    await close(ann)


async def test_a_hundred_at_once_get_a_letter_each(office: Office) -> None:
    ann = await register(office.app)
    workspace_id = await a_team(office.platform, ann)
    emails = [f"{uuid4().hex}@example.com" for _ in range(100)]
    body = {"workspaceId": workspace_id, "emails": emails}
    assert (await ann.client.post("/api/team/invite", json=body)).status_code == 200
    await asyncio.gather(send_due(office.platform), send_due(office.platform))
    tokens = {office.links_to(one)[0] for one in emails}
    assert len(tokens) == 100
    assert all(len(office.letters_to(one)) == 1 for one in emails)
    await close(ann)


async def test_names_cannot_write_the_letter(office: Office) -> None:
    """A workspace or a person may be called anything: it stays words."""
    ann = await register(office.app, name="<b>Bank</b> http://evil.example")
    workspace_id = await a_team(office.platform, ann)
    await ann.client.patch(f"/api/workspaces/{workspace_id}", json={"name": "<a href='http://evil.example'>x</a>"})
    email = f"{uuid4().hex}@example.com"
    await invited(ann, workspace_id, email)
    await send_due(office.platform)
    [mail] = office.letters_to(email)
    html = mail.message().get_body(("html",))
    assert html is not None
    content = html.get_content()
    assert "<b>Bank" not in content
    assert "<a href='http://evil" not in content
    assert "&lt;b&gt;Bank" in content
    await close(ann)


def test_tokens_are_as_long_as_they_must_be() -> None:
    keys = KeyRing(Settings(secret_keys=SECRET_KEYS).secret_keys)
    letter_ids = [SystemRandomness().uuid() for _ in range(100)]
    tokens = {links.token_of(keys, one) for one in letter_ids}
    assert len(tokens) == 100
    assert {len(one) for one in tokens} == {43}
