"""An invitation's token: derived when it is needed, stored only as its digest. Pure.

From the letter's id and the installation's keys. A letter that was written under an older key keeps its token for as
long as that key is configured.
"""

import hmac
from typing import Final
from uuid import UUID

from pm_api.core.crypto import KeyRing, digest_token, encode_url

PURPOSE: Final = "team.invitation"
PATH: Final = "/invitations/"


def token_of(keys: KeyRing, letter_id: UUID) -> str:
    """The token of a new letter."""
    return _derived(keys, keys.primary_id, letter_id)


def token_behind(keys: KeyRing, letter_id: UUID, token_hash: bytes) -> str | None:
    """The token of a letter whose digest was stored; None when its key is configured no more."""
    tokens = (_derived(keys, key_id, letter_id) for key_id in keys.key_ids())
    return next((one for one in tokens if hmac.compare_digest(digest_token(one), token_hash)), None)


def _derived(keys: KeyRing, key_id: str, letter_id: UUID) -> str:
    return encode_url(hmac.digest(keys.derive(key_id, PURPOSE), letter_id.bytes, "sha256"))
