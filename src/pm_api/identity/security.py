"""What happens at the door of an account: written down for its person, who is told at once of what matters."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.events import emit, event_id
from pm_api.core.platform import Platform
from pm_api.identity.devices import USER_AGENT_LENGTH, Device
from pm_api.identity.enums import SecurityEventKind
from pm_api.identity.events import SecurityAlert
from pm_api.identity.models.sign_in import SecurityEvent

KEPT: Final = timedelta(days=365)


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
