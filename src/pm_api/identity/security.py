"""What happens at the door of an account: written down for its person, who is told at once of what matters."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.events import emit, event_id
from pm_api.core.platform import Platform
from pm_api.identity.devices import USER_AGENT_LENGTH, Device
from pm_api.identity.events import SecurityAlert
from pm_api.identity.models_sign_in import SecurityEvent

KEPT: Final = timedelta(days=365)


class SecurityEventKind(StrEnum):
    """Written exactly as on the wire."""

    SIGNED_IN = "SIGNED_IN"
    SIGNED_IN_NEW_DEVICE = "SIGNED_IN_NEW_DEVICE"
    REFRESH_TOKEN_REUSED = "REFRESH_TOKEN_REUSED"  # noqa: S105  a name, no secret
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105
    PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105
    EMAIL_VERIFIED = "EMAIL_VERIFIED"
    EMAIL_CHANGE_REQUESTED = "EMAIL_CHANGE_REQUESTED"
    EMAIL_CHANGED = "EMAIL_CHANGED"
    SIGN_IN_METHOD_LINKED = "SIGN_IN_METHOD_LINKED"
    SIGN_IN_METHOD_UNLINKED = "SIGN_IN_METHOD_UNLINKED"
    SECOND_FACTOR_ENABLED = "SECOND_FACTOR_ENABLED"
    SECOND_FACTOR_DISABLED = "SECOND_FACTOR_DISABLED"
    RECOVERY_CODES_RENEWED = "RECOVERY_CODES_RENEWED"
    RECOVERY_CODE_USED = "RECOVERY_CODE_USED"
    API_KEY_CREATED = "API_KEY_CREATED"
    API_KEY_REVOKED = "API_KEY_REVOKED"


QUIET: Final = frozenset(
    {SecurityEventKind.SIGNED_IN, SecurityEventKind.EMAIL_VERIFIED, SecurityEventKind.API_KEY_REVOKED}
)
"""What its person finds in the list and is not told of."""


async def record(
    session: AsyncSession,
    platform: Platform,
    *,
    user_id: UUID,
    kind: SecurityEventKind,
    device: Device | None = None,
    session_id: UUID | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Note it in the caller's transaction and, unless it is a quiet one, tell the person by mail and in the app.
    Details are shown to the person: no secrets.
    """
    row = SecurityEvent(
        id=platform.randomness.uuid(),
        user_id=user_id,
        kind=kind,
        session_id=session_id,
        user_agent=device.user_agent[:USER_AGENT_LENGTH] if device else "",
        address=device.address if device else "",
        details=dict(details or {}),
        created_at=platform.clock.wall(),
    )
    session.add(row)
    if kind not in QUIET:
        await emit(
            session,
            SecurityAlert(id=event_id(platform.randomness), security_event_id=row.id, user_id=user_id, kind=kind),
        )
