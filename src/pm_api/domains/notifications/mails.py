"""Notifications as mails: whom one goes to at the moment it is sent, what it says, and how it can be stopped."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.crypto import decode_url, encode_url
from pm_api.core.platform import Platform
from pm_api.domains.notifications import preferences
from pm_api.domains.notifications.enums import REQUIRED, Category, Delivery
from pm_api.domains.notifications.errors import UnknownUnsubscribeLink
from pm_api.domains.notifications.models import Notification
from pm_api.domains.notifications.repository import mailings as repository
from pm_api.identity.models.people import User
from pm_api.integrations.mail import Letter, Recipient
from pm_api.outbox.service import Claim, Composed, Unwanted

SETTINGS_PATH: Final = "/settings/notifications"
UNSUBSCRIBE_PATH: Final = "/api/notifications/unsubscribe"
PURPOSE: Final = "mail.unsubscribe"
ID_BYTES: Final = 16
SIGNATURE_BYTES: Final = 32
# `action` in a notification's data names the button.
ACTION_LENGTH: Final = 40


async def compose(session: AsyncSession, platform: Platform, claimed: Claim) -> Composed | Unwanted:
    """The mail of a notification: to the address its receiver has now, unless they may not see it any more or do not
    want its kind by mail.
    """
    found = await repository.to_mail(session, claimed.subject_id)
    if found is None:
        return Unwanted("out_of_sight")
    row, user, chosen = found
    if not preferences.wants_mail(chosen, Category(row.category)):
        return Unwanted("switched_off")
    return alone(platform, row, user)


def alone(platform: Platform, row: Notification, user: User) -> Composed:
    """One notification as a mail of its own."""
    category = Category(row.category)
    unsubscribe = None if category in REQUIRED else unsubscribe_url(platform, user.id, category)
    letter = _letter(platform, row, user.name, user.time_zone, unsubscribe)
    return Composed(Recipient(user.email, user.name), letter, unsubscribe)


def _letter(platform: Platform, row: Notification, name: str, time_zone: str, unsubscribe: str | None) -> Letter:
    settings = platform.settings
    site = settings.site_url.rstrip("/")
    action, hosted = row.data.get("action"), row.data.get("hostedUrl")
    link = None if row.link is None else f"{site}{row.link}"
    if row.category == Category.BILLING and isinstance(action, str) and isinstance(hosted, str):
        link = hosted  # Stripe's page for this invoice: whoever has to pay is one step from it
    return Letter(
        type=row.type,
        title=title_of(row),
        body=row.body,
        reason=reason_of(row),
        product=settings.smtp.sender_name,
        site_url=site,
        name=name,
        link=link,
        action=action if isinstance(action, str) and 0 < len(action) <= ACTION_LENGTH else None,
        data=row.data,
        time_zone=time_zone,
        settings_url=f"{site}{SETTINGS_PATH}" if unsubscribe else None,
        unsubscribe_url=unsubscribe,
    )


def title_of(row: Notification) -> str:
    """What was told once already, and was put to sleep, comes again as what it is."""
    return row.title if row.woken_at is None else f"Reminder: {row.title}"


def reason_of(row: Notification) -> str:
    return row.reason if row.woken_at is None else f"You asked to be reminded of this. {row.reason}"


def unsubscribe_url(platform: Platform, user_id: UUID, of: Category | Delivery) -> str:
    """An address that stops a category's mails for one person, or those of a digest, and can do nothing else. It
    holds for ever.
    """
    return f"{platform.settings.public_url.rstrip('/')}{UNSUBSCRIBE_PATH}?token={token_of(platform, user_id, of)}"


def token_of(platform: Platform, user_id: UUID, of: Category | Delivery) -> str:
    message = user_id.bytes + of.encode()
    return encode_url(platform.keys.sign(PURPOSE, message) + message)


def read_token(platform: Platform, token: str) -> tuple[UUID, Category | Delivery]:
    """Whose mails of what; raises UnknownUnsubscribeLink."""
    try:
        raw = decode_url(token)
        signature, message = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not platform.keys.verify(PURPOSE, message, signature):
            raise UnknownUnsubscribeLink
        user_id, word = UUID(bytes=message[:ID_BYTES]), message[ID_BYTES:].decode()
        return user_id, Delivery(word) if word in set(Delivery) else Category(word)
    except ValueError:
        raise UnknownUnsubscribeLink from None


async def unsubscribe(platform: Platform, token: str) -> Category | Delivery:
    """Stop the mails of the token's category or digest for its person; raises UnknownUnsubscribeLink and
    ChannelRequired.

    Nobody signs in for this: the token is read before a transaction is opened.
    """
    user_id, of = read_token(platform, token)
    async with platform.database.transaction() as session:
        if isinstance(of, Category):
            await preferences.stop_mail(session, platform, user_id, of, None)
        else:
            await preferences.stop_mail(session, platform, user_id, None, of)
    return of
