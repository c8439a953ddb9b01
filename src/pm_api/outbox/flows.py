"""Sending what waits: claim (committed) → say it → send, with nothing held → mark (committed).

SMTP knows no way to ask whether a mail has arrived. A worker that dies, or an answer that is lost, between sending
and marking leaves a mail that may have gone out; it is sent again under the same Message-ID, by which mailboxes and
people can tell that the two are one. In all other cases each mail goes out once.
"""

from typing import Final

import structlog

from pm_api.core import telemetry
from pm_api.core.platform import Platform
from pm_api.integrations.mail import (
    Mail,
    MailDeferred,
    MailDoor,
    MailRefused,
    MailUnavailable,
    message_id_of,
    render,
)
from pm_api.outbox import service
from pm_api.outbox.enums import MailStatus
from pm_api.outbox.service import Claim, Outcome, Unwanted

MAILS_A_RUN: Final = 1000

_log = structlog.get_logger(__name__)


async def send_waiting(platform: Platform) -> int:
    """Send what is due until nothing is left, or the server is gone; returns how many were sent by this."""
    sent = 0
    if not platform.settings.sends_mail:
        return sent
    for _ in range(MAILS_A_RUN):
        async with platform.database.transaction() as session:
            claimed = await service.claim(session, platform)
        if claimed is None:
            break
        outcome = await _attempt(platform, claimed)
        async with platform.database.transaction() as session:
            await service.settle(session, platform, claimed, outcome)
        telemetry.MAILS.labels(outcome.status.lower()).inc()
        sent += outcome.status is MailStatus.SENT
        if outcome.server_is_gone:
            break
    return sent


async def _attempt(platform: Platform, claimed: Claim) -> Outcome:
    """One try. Whatever goes wrong with one mail is that mail's own, and never stops the others."""
    try:
        async with platform.database.reading() as session:
            composed = await service.compose(session, platform, claimed)
        if isinstance(composed, Unwanted):
            return Outcome(MailStatus.DROPPED, composed.reason)
        door = platform.part(MailDoor)
        words = render(composed.letter)
        await door.send(
            Mail(
                to=composed.to,
                subject=words.subject,
                text=words.text,
                html=words.html,
                message_id=message_id_of(claimed.mail_id, door.sender.email),
                sent_at=platform.clock.wall(),
                unsubscribe_url=composed.unsubscribe_url,
                attachment=composed.attachment,
            )
        )
    except MailRefused as error:
        _log.warning("mail_refused", mail_id=str(claimed.mail_id), reason=error.reason)
        return Outcome(MailStatus.REFUSED, error.reason)
    except MailDeferred as error:
        return Outcome(MailStatus.PENDING, error.reason)
    except MailUnavailable as error:
        return Outcome(MailStatus.PENDING, error.reason, server_is_gone=True)
    except Exception as error:
        _log.exception("mail_not_composed", mail_id=str(claimed.mail_id), kind=claimed.kind)
        return Outcome(MailStatus.PENDING, type(error).__name__)
    return Outcome(MailStatus.SENT)
