"""Jobs of signing in: links by mail, and housekeeping."""

from typing import Final

from pm_api.core.jobs import JobContext, implements, periodic
from pm_api.identity import devices, recovery, security
from pm_api.identity.email_tokens import A_WHILE, LIVES
from pm_api.identity.recovery import FORGOT_PASSWORD, Forgotten
from pm_api.identity.repository import sign_in as sign_ins

BATCH: Final = 1000
# The outbox may still want to say whom a notice goes to.
LINKS_KEPT: Final = max(LIVES.values()) + A_WHILE


@implements(FORGOT_PASSWORD)
async def forgot_password(context: JobContext, payload: Forgotten) -> None:
    """Mail the link, where there is an account. A second run replaces the first one's link."""
    await recovery.mail_reset_link(context.platform, payload.user_id)


@periodic("identity.forget_sign_ins", "27 * * * *")
async def forget_sign_ins(context: JobContext) -> None:
    """Attempts when they are over, links some days after, events and devices after a year."""
    platform = context.platform
    now = platform.clock.wall()
    for forget, before in (
        (sign_ins.delete_attempts, now),
        (sign_ins.delete_email_tokens, now - LINKS_KEPT),
        (sign_ins.delete_security_events, now - security.KEPT),
        (sign_ins.delete_devices, now - devices.FORGOTTEN_AFTER),
    ):
        gone = BATCH
        while gone == BATCH:
            async with platform.database.transaction() as session:
                gone = await forget(session, before, BATCH)
