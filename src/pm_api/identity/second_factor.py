"""The second factor: a code that the person's device computes (TOTP, RFC 6238), or one of ten recovery codes.

The secret rests sealed. A code is good in its own 30 seconds and the 30 before and after them, and once: with it all
earlier ones are used up, also for whoever sends it at the same moment.
"""

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Final
from uuid import UUID

import pyotp
import segno
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.crypto import decode_url, digest_token
from pm_api.core.errors import TooManyRequests
from pm_api.core.platform import Platform
from pm_api.core.ratelimit import Policy
from pm_api.core.schema import written
from pm_api.identity import audit, security
from pm_api.identity.devices import Device
from pm_api.identity.enums import SecurityEventKind
from pm_api.identity.errors.credentials import (
    SecondFactorEnabled,
    SecondFactorLocked,
    SecondFactorNotEnabled,
    SecondFactorNotSetUp,
    TotpInvalid,
    TotpRequired,
    WrongCode,
)
from pm_api.identity.models.credentials import SecondFactor
from pm_api.identity.models.people import User
from pm_api.identity.repository import credentials
from pm_api.identity.repository import people as repository
from pm_api.identity.repository import sign_in as sign_ins
from pm_api.identity.schemas.credentials import SecondFactorSecret

SEALED_FOR: Final = "second-factor"
ISSUER: Final = "pm_api"
SECRET_BYTES: Final = 20  # the length RFC 4226 recommends
STEP_S: Final = 30
DRIFT_STEPS: Final = 1
RECOVERY_CODES: Final = 10
RECOVERY_BYTES: Final = 10  # 80 bits: nobody reverses the hash of a code by trying them all
RECOVERY_LENGTH: Final = 16
GROUP: Final = 4
GUESSES: Final = Policy("second-factor", "20/hour")
RECOVERY_GUESSES: Final = Policy("second-factor-recovery", "20/hour")
TOLD_ONCE_IN: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SecondFactorState:
    """Whether a person is asked for a code: since when, and how many recovery codes they have left."""

    enabled_at: datetime | None
    recovery_codes_left: int


# --- signing in ------------------------------------------------------------------------------------------------


async def count_guess(platform: Platform, user_id: UUID, code: str | None, device: Device) -> None:
    """Count a code that is about to be checked; raises SecondFactorLocked, of which the person is told. Before any
    transaction: the counters may be over the network. Right ones count too, or the last of many guesses could be told
    from the others.

    Recovery codes are too long to be guessed, and count for each address alone: who knows the password, and nothing
    else, cannot keep the person from theirs.
    """
    if code is None:
        return
    is_recovery = len(plain_code(code)) == RECOVERY_LENGTH
    identity = f"{user_id}:{device.address}" if is_recovery else str(user_id)
    try:
        await platform.limiter.hit(RECOVERY_GUESSES if is_recovery else GUESSES, identity)
    except TooManyRequests as refusal:
        await _tell_of_lock(platform, user_id, device)
        until = platform.clock.wall() + timedelta(seconds=int(refusal.headers["Retry-After"]))
        raise SecondFactorLocked(
            f"Too many codes were tried for this account. Try again after {until:%H:%M} UTC.",
            headers=refusal.headers,
            lockedUntil=written(until),
        ) from None


async def _tell_of_lock(platform: Platform, user_id: UUID, device: Device) -> None:
    """Once a lock, however many codes are tried against it."""
    kind = SecurityEventKind.SECOND_FACTOR_LOCKED
    async with platform.database.transaction() as session:
        if await sign_ins.lock_user(session, user_id) is None:
            return
        if not await sign_ins.happened_since(session, user_id, kind, platform.clock.wall() - TOLD_ONCE_IN):
            await security.record(session, platform, user_id=user_id, kind=kind, device=device)


async def check(session: AsyncSession, platform: Platform, user: User, code: str | None) -> None:
    """Let a person in whose first factor was right. The code, theirs or a recovery code, is used up with the caller's
    transaction. Raises TotpRequired without a code and TotpInvalid; nothing for who has no second factor.
    """
    factor = await credentials.second_factor(session, user.id)
    if factor is None or factor.enabled_at is None:
        return
    if code is None:
        raise TotpRequired
    if not await _uses(session, platform, factor, code):
        raise TotpInvalid


async def state(session: AsyncSession, user_id: UUID) -> SecondFactorState:
    factor = await credentials.second_factor(session, user_id)
    if factor is None or factor.enabled_at is None:
        return SecondFactorState(None, 0)
    return SecondFactorState(factor.enabled_at, await credentials.count_recovery_codes(session, user_id))


# --- setting up and taking away ----------------------------------------------------------------------------------


async def set_up(session: AsyncSession, platform: Platform, scope: UserScope) -> SecondFactorSecret:
    """A new secret, shown once; nobody is asked for a code before `enable`. Raises SecondFactorEnabled."""
    user = await repository.user_by_id(session, scope.user_id)
    assert user is not None, "the guard has found their session"
    raw = decode_url(platform.randomness.token(SECRET_BYTES))
    sealed = platform.keys.seal(SEALED_FOR, raw, context=scope.user_id.bytes)
    if not await credentials.put_pending_factor(session, scope.user_id, sealed, platform.clock.wall()):
        raise SecondFactorEnabled
    secret = base64.b32encode(raw).decode()
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=ISSUER)
    return SecondFactorSecret(secret=secret, otpauth_uri=uri, qr_svg=_picture(uri))


async def enable(
    session: AsyncSession, platform: Platform, scope: UserScope, code: str, device: Device | None = None
) -> list[str]:
    """Ask for a code from now on; returns the recovery codes, which are shown this once.

    Raises SecondFactorNotSetUp, SecondFactorEnabled, WrongCode.
    """
    factor = await credentials.lock_second_factor(session, scope.user_id)
    if factor is None:
        raise SecondFactorNotSetUp
    if factor.enabled_at is not None:
        raise SecondFactorEnabled
    if not await _uses_step(session, platform, factor, code):
        raise WrongCode
    factor.enabled_at = platform.clock.wall()
    await _record(session, platform, scope, SecurityEventKind.SECOND_FACTOR_ENABLED, device)
    return await _new_codes(session, platform, scope.user_id)


async def disable(
    session: AsyncSession, platform: Platform, scope: UserScope, code: str, device: Device | None = None
) -> None:
    """Ask no more; the secret and the recovery codes are forgotten. Raises SecondFactorNotEnabled or WrongCode."""
    await _proven(session, platform, scope, code)
    await credentials.delete_second_factor(session, scope.user_id)
    await _record(session, platform, scope, SecurityEventKind.SECOND_FACTOR_DISABLED, device)


async def new_recovery_codes(
    session: AsyncSession, platform: Platform, scope: UserScope, code: str, device: Device | None = None
) -> list[str]:
    """Ten others instead of all there were; raises SecondFactorNotEnabled or WrongCode."""
    await _proven(session, platform, scope, code)
    await _record(session, platform, scope, SecurityEventKind.RECOVERY_CODES_RENEWED, device)
    return await _new_codes(session, platform, scope.user_id)


async def forget(session: AsyncSession, user_id: UUID) -> None:
    """When a person's data is erased."""
    await credentials.delete_second_factor(session, user_id)


async def _proven(session: AsyncSession, platform: Platform, scope: UserScope, code: str) -> None:
    factor = await credentials.lock_second_factor(session, scope.user_id)
    if factor is None or factor.enabled_at is None:
        raise SecondFactorNotEnabled
    if not await _uses(session, platform, factor, code):
        raise WrongCode


async def _record(
    session: AsyncSession, platform: Platform, scope: UserScope, kind: SecurityEventKind, device: Device | None
) -> None:
    action = f"second_factor.{kind.removeprefix('SECOND_FACTOR_').lower()}"
    audit.record(session, platform, scope.actor, action, subject=("user", scope.user_id))
    session_id = scope.actor.session_id
    await security.record(session, platform, user_id=scope.user_id, kind=kind, device=device, session_id=session_id)


# --- codes -----------------------------------------------------------------------------------------------------


async def _uses(session: AsyncSession, platform: Platform, factor: SecondFactor, code: str) -> bool:
    """Whether the code was good, and is used up now: a number of the device, or a recovery code."""
    plain = plain_code(code)
    if len(plain) != RECOVERY_LENGTH:
        return await _uses_step(session, platform, factor, plain)
    code_hash = _hash_of(factor.user_id, plain)
    if not await credentials.use_recovery_code(session, factor.user_id, code_hash, platform.clock.wall()):
        return False
    left = await credentials.count_recovery_codes(session, factor.user_id)
    await security.record(
        session,
        platform,
        user_id=factor.user_id,
        kind=SecurityEventKind.RECOVERY_CODE_USED,
        details={"recoveryCodesLeft": left},
    )
    return True


async def _uses_step(session: AsyncSession, platform: Platform, factor: SecondFactor, code: str) -> bool:
    raw = platform.keys.open(SEALED_FOR, factor.sealed_secret, context=factor.user_id.bytes)
    step = matching_step(raw, plain_code(code), platform.clock.wall())
    return step is not None and await credentials.use_step(session, factor.user_id, step)


def matching_step(secret: bytes, code: str, now: datetime) -> int | None:
    """The step whose code this is, of the present one and its two neighbours; all are compared, whichever fits."""
    totp = pyotp.TOTP(base64.b32encode(secret).decode(), interval=STEP_S)
    present = int(now.timestamp()) // STEP_S
    found = None
    for step in range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
            found = step
    return found


def plain_code(code: str) -> str:
    """As people type them: with blanks, hyphens, in any case."""
    return code.replace(" ", "").replace("-", "").upper()


async def _new_codes(session: AsyncSession, platform: Platform, user_id: UUID) -> list[str]:
    raw: Sequence[bytes] = [decode_url(platform.randomness.token(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]
    codes = [base64.b32encode(one).decode() for one in raw]
    hashes = [_hash_of(user_id, one) for one in codes]
    await credentials.replace_recovery_codes(session, user_id, hashes, platform.clock.wall())
    return ["-".join(code[at : at + GROUP] for at in range(0, RECOVERY_LENGTH, GROUP)) for code in codes]


def _hash_of(user_id: UUID, plain: str) -> bytes:
    return digest_token(f"{user_id}:{plain}")


def _picture(uri: str) -> str:
    """The URI as a QR code for the device's camera."""
    drawn = BytesIO()
    segno.make(uri, error="m", micro=False).save(drawn, kind="svg", scale=4, border=4, xmldecl=False, light="#fff")
    return drawn.getvalue().decode()
