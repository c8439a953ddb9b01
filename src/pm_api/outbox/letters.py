"""Letters that are no notifications: what somebody asked for or must know, with no way to switch them off.

How a slice sends one, so that no token rests in a mail's row:

    await outbox.put(session, platform, [NewMail("identity.reset", token_row.id, user.id, is_urgent=True)])

    @composes("identity.reset")                        # in a module that the slice's jobs.py imports
    async def compose(session: AsyncSession, platform: Platform, claimed: Claim) -> Composed | Unwanted:
        row = ...                                      # by claimed.subject_id; it only reads
        if row is None or row.used_at is not None:
            return Unwanted("used")
        token = platform.keys.open("identity.reset", row.sealed_token, row.id.bytes).decode()
        return Composed(Recipient(user.email, user.name), letter(platform, type="identity.reset", ...))

A mail is one for each (user, kind, subject) for ever: a second sending needs a subject of its own. `user_id` is None
for who has no account. A composer runs again for each try, and once more after a worker has died: it must say the
same each time, which is why a token is sealed in its row beside its digest and not made anew.
"""

from collections.abc import Mapping
from typing import Any

from pm_api.core.platform import Platform
from pm_api.integrations.mail import Letter


def letter(
    platform: Platform,
    *,
    type: str,
    title: str,
    body: str,
    reason: str,
    link: str | None = None,
    action: str | None = None,
    data: Mapping[str, Any] | None = None,
    name: str = "",
    time_zone: str = "UTC",
) -> Letter:
    """A letter by the template of its type. A link that begins with `/` is a path within the app. Every line of the
    body is a paragraph.

    Data that is shown: `linkExpiresAt` beside the button (times as RFC 3339); in the table of figures `occurredAt`,
    `device`, `ipAddress`, `signInMethod`, `newEmail`, `deletesAt` and what rendering.py lists.
    """
    settings = platform.settings
    site = settings.site_url.rstrip("/")
    return Letter(
        type=type,
        title=title,
        body=body,
        reason=reason,
        product=settings.smtp.sender_name,
        site_url=site,
        name=name,
        link=f"{site}{link}" if link is not None and link.startswith("/") else link,
        action=action,
        data=data or {},
        time_zone=time_zone,
    )
