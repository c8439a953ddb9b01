"""The link in an invitation by mail: signed, kept nowhere, and dead with the invitation it is for. Pure."""

from typing import Final
from uuid import UUID

from pm_api.core.crypto import decode_url, encode_url
from pm_api.core.platform import Platform

PURPOSE: Final = "calendar.invitation"
PATH: Final = "/api/calendar/invitations/"
ID_BYTES: Final = 16


def address_of(platform: Platform, attendee_id: UUID) -> str:
    """Where one invited person answers, without an account."""
    return f"{platform.settings.public_url.rstrip('/')}{PATH}{token_of(platform, attendee_id)}"


def token_of(platform: Platform, attendee_id: UUID) -> str:
    """It holds as long as the key it was signed with is configured."""
    return encode_url(attendee_id.bytes + platform.keys.sign(PURPOSE, attendee_id.bytes))


def read(platform: Platform, token: str) -> UUID | None:
    """Whose link it is; None for what we have not signed."""
    try:
        raw = decode_url(token)
    except ValueError:
        return None
    identifier, signature = raw[:ID_BYTES], raw[ID_BYTES:]
    if len(identifier) != ID_BYTES or not platform.keys.verify(PURPOSE, identifier, signature):
        return None
    return UUID(bytes=identifier)
