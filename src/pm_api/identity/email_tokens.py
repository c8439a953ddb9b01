"""Links sent by mail. The token of a link is derived from its row's id with the installation's keys, at the moment
the mail is written: neither the row nor the mail that waits in the outbox holds it, only its digest is stored.
"""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.crypto import KeyRing, digest_token, encode_url
from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.identity.errors.sign_in import InvalidLink
from pm_api.identity.models.people import User
from pm_api.identity.models.sign_in import EmailToken
from pm_api.identity.repository import sign_in as repository
from pm_api.integrations.mail import Letter, Recipient
from pm_api.outbox import service as outbox
from pm_api.outbox.letters import letter
from pm_api.outbox.service import Claim, Composed, NewMail, Unwanted, composes

KEY_PURPOSE: Final = "email-token"
VERIFY_PATH: Final = "/verify-email"
RESET_PATH: Final = "/reset-password"
ADDRESS_CHANGED: Final = "identity.email_changed"
A_WHILE: Final = timedelta(hours=1)
MOST_IN_A_WHILE: Final = 5


class Purpose(StrEnum):
    """What a link is good for."""

    VERIFY = "VERIFY"
    RESET = "RESET"
    CHANGE_EMAIL = "CHANGE_EMAIL"


LIVES: Final = {
    Purpose.VERIFY: timedelta(days=3),
    Purpose.RESET: timedelta(hours=1),
    Purpose.CHANGE_EMAIL: timedelta(days=1),
}
MAIL_KINDS: Final = {
    Purpose.VERIFY: "identity.verify",
    Purpose.RESET: "identity.reset",
    Purpose.CHANGE_EMAIL: "identity.change_email",
}


@dataclass(frozen=True, slots=True)
class _Words:
    title: str
    body: str
    reason: str
    path: str


_WORDS: Final = {
    Purpose.VERIFY: _Words(
        "Confirm your e-mail address",
        "Open the link once, and this address is known to be yours.",
        "You get this because an account was opened with this address.",
        VERIFY_PATH,
    ),
    Purpose.RESET: _Words(
        "Set a new password",
        "Open the link and choose a new password. You will be signed out everywhere else.",
        "You get this because somebody asked for a new password for the account with this address.",
        RESET_PATH,
    ),
    Purpose.CHANGE_EMAIL: _Words(
        "Confirm your new e-mail address",
        "Open the link, and from then on you sign in with this address.",
        "You get this because an account is to be moved to this address.",
        VERIFY_PATH,
    ),
}


async def send(
    session: AsyncSession, platform: Platform, user: User, purpose: Purpose, *, email: str | None = None
) -> bool:
    """A new link to the user's address, or to the one they change to; earlier ones for the same are void with it.

    False, and nothing is sent, after five within an hour.
    """
    now = platform.clock.wall()
    await repository.lock_user(session, user.id)
    if await repository.count_email_tokens(session, user.id, purpose, now - A_WHILE) >= MOST_IN_A_WHILE:
        return False
    await repository.void_email_tokens(session, user.id, [purpose], now)
    token_id = platform.randomness.uuid()
    session.add(
        EmailToken(
            id=token_id,
            user_id=user.id,
            purpose=purpose,
            email=email or user.email,
            previous_email=user.email if email else None,
            token_hash=digest_token(tokens_of(platform.keys, token_id)[0]),
            created_at=now,
            expires_at=now + LIVES[purpose],
        )
    )
    await outbox.put(session, platform, [NewMail(MAIL_KINDS[purpose], token_id, user.id, is_urgent=True)])
    return True


async def look_up(
    session: AsyncSession, platform: Platform, token: str, *purposes: Purpose
) -> tuple[EmailToken, User]:
    """Whose link this is, without using it up; raises InvalidLink."""
    found = await repository.live_email_token(session, digest_token(token), purposes, platform.clock.wall())
    if found is None:
        raise InvalidLink
    return found


async def redeem(session: AsyncSession, platform: Platform, token: str, *purposes: Purpose) -> EmailToken:
    """Use the link up; raises InvalidLink."""
    row = await repository.use_email_token(session, digest_token(token), purposes, platform.clock.wall())
    if row is None:
        raise InvalidLink
    return row


async def void(session: AsyncSession, platform: Platform, user_id: UUID, *purposes: Purpose) -> None:
    """Links that were sent before are good no more."""
    await repository.void_email_tokens(session, user_id, purposes, platform.clock.wall())


async def tell_old_address(session: AsyncSession, platform: Platform, row: EmailToken) -> None:
    """A notice to the address an account has just left."""
    await outbox.put(session, platform, [NewMail(ADDRESS_CHANGED, row.id, row.user_id, is_urgent=True)])


def tokens_of(keys: KeyRing, token_id: UUID) -> list[str]:
    """What the token of a row is under each configured key: it may be older than the key that is first today."""
    return [
        encode_url(hmac.digest(keys.derive(key_id, KEY_PURPOSE), token_id.bytes, "sha256"))
        for key_id in keys.key_ids()
    ]


# --- mails -----------------------------------------------------------------------------------------------------


async def compose_link(session: AsyncSession, platform: Platform, claimed: Claim) -> Composed | Unwanted:
    """The mail with the link, unless it was used, has been replaced, or came too late."""
    found = await repository.email_token(session, claimed.subject_id)
    if found is None:
        return Unwanted("forgotten")
    row, user = found
    if row.used_at is not None:
        return Unwanted("used_or_replaced")
    if row.expires_at <= platform.clock.wall():
        return Unwanted("expired")
    token = next((one for one in tokens_of(platform.keys, row.id) if digest_token(one) == row.token_hash), None)
    if token is None:
        return Unwanted("key_gone")
    words = _WORDS[Purpose(row.purpose)]
    said = letter(
        platform,
        type=claimed.kind,
        title=words.title,
        body=words.body,
        reason=words.reason,
        link=f"{words.path}?token={token}",
        data={"linkExpiresAt": written(row.expires_at)},
        name=user.name,
        time_zone=user.time_zone,
    )
    return Composed(Recipient(row.email, user.name), said)


@composes(ADDRESS_CHANGED)
async def compose_notice(session: AsyncSession, platform: Platform, claimed: Claim) -> Composed | Unwanted:
    """To the old address, which is nobody's any more: it holds no link into the account."""
    found = await repository.email_token(session, claimed.subject_id)
    if found is None or found[0].previous_email is None or found[0].used_at is None:
        return Unwanted("forgotten")
    row, user = found
    said: Letter = letter(
        platform,
        type="identity.security",
        title="The e-mail address of your account was changed",
        body="From now on you sign in with the new address, and mails go there.",
        reason="You get this because your account had this address until now.",
        data={"occurredAt": written(row.used_at or row.created_at), "newEmail": row.email},
        name=user.name,
        time_zone=user.time_zone,
    )
    return Composed(Recipient(found[0].previous_email, user.name), said)


for _kind in MAIL_KINDS.values():
    composes(_kind)(compose_link)
