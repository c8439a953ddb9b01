"""The second factor over HTTP. Nobody changes it with an API key."""

from typing import Annotated, Final

from fastapi import Depends, Request

from pm_api.core.actor import UserScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.identity import browser, confirmation, second_factor
from pm_api.identity.errors.credentials import (
    ConfirmationRequired,
    SecondFactorEnabled,
    SecondFactorNotEnabled,
    SecondFactorNotSetUp,
    WrongCode,
)
from pm_api.identity.guards import signed_in
from pm_api.identity.schemas.credentials import (
    RecoveryCodesAnswer,
    SecondFactorEnable,
    SecondFactorProof,
    SecondFactorSetupAnswer,
)

router = api_router(tag="identity")

PROVEN: Final = raises(SecondFactorNotEnabled, ConfirmationRequired, WrongCode)

Caller = Annotated[UserScope, Depends(signed_in)]


async def counted(scope: Caller, platform: PlatformDep, body: SecondFactorEnable) -> UserScope:
    """The caller, whose guess has been counted before anything is open."""
    await second_factor.count_guess(platform, scope.user_id, body.code)
    return scope


async def confirmed(scope: Caller, platform: PlatformDep, body: SecondFactorProof) -> UserScope:
    """The caller, who has proven the first factor before anything is open; the code is checked under its lock."""
    await second_factor.count_guess(platform, scope.user_id, body.code)
    await confirmation.confirm(platform, scope, body.password)
    return scope


@router.post("/auth/2fa/setup", operation_id="setUpSecondFactor", openapi_extra=raises(SecondFactorEnabled))
async def set_up_second_factor(scope: Caller, session: SessionDep, platform: PlatformDep) -> SecondFactorSetupAnswer:
    """A new secret for an authenticator app, as text, address and QR code. It counts once `enable` got a code of it;
    until then each call gives another.
    """
    return SecondFactorSetupAnswer(second_factor=await second_factor.set_up(session, platform, scope))


@router.post(
    "/auth/2fa/enable",
    operation_id="enableSecondFactor",
    openapi_extra=raises(SecondFactorNotSetUp, SecondFactorEnabled, WrongCode),
)
async def enable_second_factor(
    scope: Annotated[UserScope, Depends(counted)],
    session: SessionDep,
    platform: PlatformDep,
    request: Request,
    body: SecondFactorEnable,
) -> RecoveryCodesAnswer:
    """From now on signing in asks for a code. Answers ten recovery codes for the day the device is lost."""
    codes = await second_factor.enable(session, platform, scope, body.code, browser.device_of(request))
    return RecoveryCodesAnswer(recovery_codes=codes)


@router.post("/auth/2fa/disable", operation_id="disableSecondFactor", status_code=204, openapi_extra=PROVEN)
async def disable_second_factor(
    scope: Annotated[UserScope, Depends(confirmed)],
    session: SessionDep,
    platform: PlatformDep,
    request: Request,
    body: SecondFactorProof,
) -> None:
    """Ask for no code any more. It takes both factors: a code, and the password or a sign-in of the last minutes."""
    await second_factor.disable(session, platform, scope, body.code, browser.device_of(request))


@router.post("/auth/2fa/recovery-codes", operation_id="renewRecoveryCodes", openapi_extra=PROVEN)
async def renew_recovery_codes(
    scope: Annotated[UserScope, Depends(confirmed)],
    session: SessionDep,
    platform: PlatformDep,
    request: Request,
    body: SecondFactorProof,
) -> RecoveryCodesAnswer:
    """Ten other recovery codes; the old ones are good no more. It takes both factors, as to disable."""
    codes = await second_factor.new_recovery_codes(session, platform, scope, body.code, browser.device_of(request))
    return RecoveryCodesAnswer(recovery_codes=codes)
