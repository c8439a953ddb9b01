"""People are told what happens at the door of their account: in the app and by mail, and nobody can switch it off."""

from dataclasses import dataclass
from typing import Final

from pm_api.core.events import on
from pm_api.core.jobs import JobContext
from pm_api.core.schema import written
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.identity.enums import SecurityEventKind
from pm_api.identity.events import SecurityAlert
from pm_api.identity.repository import sign_in as sign_ins
from pm_api.identity.security import QUIET

TYPE: Final = "identity.security"
LINK: Final = "/settings/security"
REASON: Final = "You are told whatever happens to the security of your account."


@dataclass(frozen=True, slots=True)
class Words:
    title: str
    body: str


_WORDS: Final = {
    SecurityEventKind.SIGNED_IN_NEW_DEVICE: Words(
        "Somebody signed in to your account on a new device",
        "If it was not you, change your password at once: that signs everybody else out.",
    ),
    SecurityEventKind.REFRESH_TOKEN_REUSED: Words(
        "We ended one of your sessions for safety",
        "Its key was used a second time, so somebody may have copied it. Sign in again on that device; if you cannot"
        " explain it, change your password.",
    ),
    SecurityEventKind.PASSWORD_CHANGED: Words(
        "Your password was changed", "You stay signed in here; all other sessions have ended."
    ),
    SecurityEventKind.PASSWORD_RESET: Words(
        "Your password was set by a link that was mailed to you", "All sessions have ended."
    ),
    SecurityEventKind.EMAIL_CHANGE_REQUESTED: Words(
        "Your account is to move to another e-mail address",
        "Nothing changes before the link that was mailed there is opened. If it was not you, change your password"
        " at once.",
    ),
    SecurityEventKind.EMAIL_CHANGED: Words(
        "The e-mail address of your account was changed", "From now on you sign in with the new address."
    ),
    SecurityEventKind.SIGN_IN_METHOD_LINKED: Words(
        "Your account can be signed in to in another way", "If it was not you, unlink it and change your password."
    ),
    SecurityEventKind.SIGN_IN_METHOD_UNLINKED: Words("A way to sign in to your account was removed", ""),
    SecurityEventKind.SECOND_FACTOR_ENABLED: Words(
        "Your account asks for a second factor now", "Keep the recovery codes where you find them without the device."
    ),
    SecurityEventKind.SECOND_FACTOR_DISABLED: Words(
        "Your account asks for no second factor any more", "If it was not you, change your password at once."
    ),
    SecurityEventKind.RECOVERY_CODES_RENEWED: Words(
        "Your account has new recovery codes", "Those you had before work no more."
    ),
    SecurityEventKind.RECOVERY_CODE_USED: Words(
        "A recovery code of your account was used", "If it was not you, change your password and renew the codes."
    ),
    SecurityEventKind.SECOND_FACTOR_LOCKED: Words(
        "Too many codes were tried for your account",
        "For a while no code of the app is looked at; a recovery code still lets you in. Whoever tried knows your"
        " password, or whatever else you sign in with: if it was not you, change it at once.",
    ),
    SecurityEventKind.API_KEY_CREATED: Words(
        "An API key was made in your name", "If it was not you, revoke it and change your password."
    ),
}
assert set(_WORDS) == set(SecurityEventKind) - QUIET, "whoever is told is told in words"


@on(SecurityAlert)
async def tell_person(context: JobContext, alert: SecurityAlert) -> None:
    """Once for each event, however often this runs."""
    platform = context.platform
    async with platform.database.transaction() as session:
        event = await sign_ins.security_event(session, alert.security_event_id)
        if event is None:  # the account was erased meanwhile
            return
        words = _WORDS[SecurityEventKind(event.kind)]
        data = {
            "occurredAt": written(event.created_at),
            "device": event.user_agent,
            "ipAddress": event.address,
            "signInMethod": event.details.get("method"),
            "newEmail": event.details.get("newEmail"),
            "event": event.kind,
        }
        await notifications.notify(
            session,
            platform,
            user_ids=[event.user_id],
            category=Category.SECURITY,
            type=TYPE,
            dedup_key=f"security:{event.id}",
            title=words.title,
            body=words.body,
            reason=REASON,
            data={name: value for name, value in data.items() if value},
            link=LINK,
        )
