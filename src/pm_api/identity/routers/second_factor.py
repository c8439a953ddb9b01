"""The second factor over HTTP. Nobody changes it with an API key."""

from typing import Annotated, Final

from fastapi import Body, Depends, Request

from pm_api.core.actor import UserScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.identity import browser, confirmation, second_factor
from pm_api.identity.errors.credentials import (
    ConfirmationRequired,
    SecondFactorEnabled,
    SecondFactorLocked,
    SecondFactorNotEnabled,
    SecondFactorNotSetUp,
    WrongCode,
)
from pm_api.identity.guards import signed_in
from pm_api.identity.schemas.credentials import (
    RecoveryCodesAnswer,
    SecondFactorEnable,
    SecondFactorProof,
    SecondFactorSetup,
    SecondFactorSetupAnswer,
)

router = api_router(tag="identity")

PROVEN: Final = raises(SecondFactorNotEnabled, ConfirmationRequired, WrongCode, SecondFactorLocked)

Caller = Annotated[UserScope, Depends(signed_in)]
SetupBody = Annotated[SecondFactorSetup | None, Body(description="May be left out within ten minutes of signing in.")]


async def begins(scope: Caller, platform: PlatformDep, body: SetupBody = None) -> UserScope:
    """The caller, who has proven the first factor before anything is open."""
    await confirmation.confirm(platform, scope, body.password if body else None)
    return scope


async def enables(scope: Caller, platform: PlatformDep, request: Request, body: SecondFactorEnable) -> UserScope:
    """The same, with a code, which is counted; it is checked under its lock."""
    await confirmation.confirm(platform, scope, body.password)
    await second_factor.count_guess(platform, scope.user_id, body.code, browser.caller_of(request))
    return scope


async def confirmed(scope: Caller, platform: PlatformDep, request: Request, body: SecondFactorProof) -> UserScope:
    """The same for who has one. Whoever finds a session open cannot use up the guesses of its owner either."""
    await confirmation.confirm(platform, scope, body.password)
    await second_factor.count_guess(platform, scope.user_id, body.code, browser.caller_of(request))
    return scope


@router.post(
    "/auth/2fa/setup",
    operation_id="setUpSecondFactor",
    openapi_extra=raises(SecondFactorEnabled, ConfirmationRequired),
)
async def set_up_second_factor(
    scope: Annotated[UserScope, Depends(begins)],
    session: SessionDep,
    platform: PlatformDep,
    body: SetupBody = None,  # noqa: ARG001  read by `begins`
) -> SecondFactorSetupAnswer:
    """A new secret for an authenticator app, as text, address and QR code. It counts once `enable` got a code of it;
    until then each call gives another. It takes the password, or a sign-in of the last minutes.
    """
    return SecondFactorSetupAnswer(second_factor=await second_factor.set_up(session, platform, scope))


@router.post(
    "/auth/2fa/enable",
    operation_id="enableSecondFactor",
    openapi_extra=raises(
        SecondFactorNotSetUp, SecondFactorEnabled, ConfirmationRequired, WrongCode, SecondFactorLocked
    ),
)
async def enable_second_factor(
    scope: Annotated[UserScope, Depends(enables)],
    session: SessionDep,
    platform: PlatformDep,
    request: Request,
    body: SecondFactorEnable,
) -> RecoveryCodesAnswer:
    """From now on signing in asks for a code. Answers ten recovery codes for the day the device is lost. It takes the
    password too, or a sign-in of the last minutes.
    """
    codes = await second_factor.enable(session, platform, scope, body.code, browser.caller_of(request))
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
    await second_factor.disable(session, platform, scope, body.code, browser.caller_of(request))


@router.post("/auth/2fa/recovery-codes", operation_id="renewRecoveryCodes", openapi_extra=PROVEN)
async def renew_recovery_codes(
    scope: Annotated[UserScope, Depends(confirmed)],
    session: SessionDep,
    platform: PlatformDep,
    request: Request,
    body: SecondFactorProof,
) -> RecoveryCodesAnswer:
    """Ten other recovery codes; the old ones are good no more. It takes both factors, as to disable."""
    codes = await second_factor.new_recovery_codes(session, platform, scope, body.code, browser.caller_of(request))
    return RecoveryCodesAnswer(recovery_codes=codes)
