"""Signatures by Standard Webhooks (https://www.standardwebhooks.com): symmetric, one for each secret that holds."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from standardwebhooks import Webhook

from pm_api.core.crypto import decode_url
from pm_api.core.ids import Randomness

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32


def new_secret(randomness: Randomness) -> bytes:
    return decode_url(randomness.token(SECRET_BYTES))


def written_secret(secret: bytes) -> str:
    """As it is shown, and as the libraries of Standard Webhooks take it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(message_id: UUID, at: datetime, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """`at` is the real time of this try, in UTC: receivers refuse what is older than some minutes."""
    identifier, text = str(message_id), body.decode()
    return {
        "content-type": "application/json",
        "webhook-id": identifier,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(identifier, at, text) for secret in secrets),
    }
