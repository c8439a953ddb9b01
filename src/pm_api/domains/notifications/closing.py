"""What people are told, when one of them goes: their own notices go by the marks; of others' their name is taken."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.personal import Leaving, hands_out
from pm_api.domains.notifications.models import Notification, NotificationMailing, NotificationPreferences
from pm_api.domains.notifications.repository import closing as repository


async def strike(session: AsyncSession, leaving: Leaving, dedup_keys: Sequence[str]) -> None:
    """In the places they were in, and in the notices of these keys, wherever they were received."""
    await repository.strike(session, (*leaving.closed, *leaving.left), dedup_keys, leaving.words)


hands_out(Notification, "notifications.json", "What you were told.", of="user_id")
hands_out(NotificationMailing, "notification-mails.json", "When you were told several things in one mail.")
hands_out(NotificationPreferences, "notification-preferences.json", "What you chose to be told.", of="user_id")
