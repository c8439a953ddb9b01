"""One's own way in: the address proved and changed, the password forgotten and changed, and what happened."""

from typing import Annotated

from fastapi import Depends, Path, Request, Response

from pm_api.core.actor import UserScope
from pm_api.core.db import SessionDep
from pm_api.core.http import content_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.platform import PlatformDep
from pm_api.identity import browser, external, recovery, security_page
from pm_api.identity.errors.credentials import ConfirmationRequired
from pm_api.identity.errors.people import EmailTaken, WeakPassword
from pm_api.identity.errors.sign_in import (
    EmailAlreadyVerified,
    InvalidLink,
    LastSignInMethod,
    NoPassword,
    UnknownProvider,
    WrongPassword,
)
from pm_api.identity.guards import signed_in
from pm_api.identity.limits import limit_sign_in
from pm_api.identity.schemas.sign_in import (
    EmailChange,
    EmailLink,
    EmailVerified,
    PasswordChange,
    PasswordForgotten,
    PasswordReset,
    SecurityAnswer,
)

router = api_router(tag="identity")

Caller = Annotated[UserScope, Depends(signed_in)]


@router.post("/auth/verify-email", operation_id="verifyEmail", openapi_extra=raises(InvalidLink, EmailTaken))
async def verify_email(request: Request, platform: PlatformDep, link: EmailLink) -> EmailVerified:
    """Prove an address by the link that was mailed there: that of a registration, or the one an account moves to."""
    await limit_sign_in(platform, request)
    user = await recovery.verify_email(platform, link.token, browser.caller_of(request))
    return EmailVerified.model_validate(user)


@router.post(
    "/auth/verify-email/resend",
    operation_id="resendVerification",
    status_code=204,
    openapi_extra=raises(EmailAlreadyVerified),
)
async def resend_verification(scope: Caller, session: SessionDep, platform: PlatformDep) -> None:
    """Mail another link to your address; the one before is void with it. At most five within an hour."""
    await recovery.resend_verification(session, platform, scope.user_id)


@router.post("/auth/forgot-password", operation_id="forgotPassword", status_code=204)
async def forgot_password(request: Request, platform: PlatformDep, wanted: PasswordForgotten) -> None:
    """Ask for a link that sets a new password. The answer is the same whether there is an account or not."""
    await limit_sign_in(platform, request, wanted.email)
    await recovery.forgot_password(platform, wanted.email)


@router.post(
    "/auth/reset-password",
    operation_id="resetPassword",
    status_code=204,
    openapi_extra=raises(InvalidLink, WeakPassword),
)
async def reset_password(request: Request, platform: PlatformDep, wanted: PasswordReset) -> None:
    """Set a new password by the link that was mailed. It works once, within an hour, and ends every session."""
    await limit_sign_in(platform, request)
    await recovery.reset_password(platform, wanted.token, wanted.password, browser.caller_of(request))


@router.post(
    "/auth/change-password",
    operation_id="changePassword",
    status_code=204,
    openapi_extra=raises(WrongPassword, NoPassword, WeakPassword),
)
async def change_password(scope: Caller, request: Request, platform: PlatformDep, wanted: PasswordChange) -> None:
    """Choose another password. All your other sessions end."""
    await limit_sign_in(platform, request, f"user:{scope.user_id}")
    device = browser.caller_of(request)
    await recovery.change_password(platform, scope, wanted.old_password, wanted.password, device)


@router.post(
    "/auth/change-email",
    operation_id="changeEmail",
    status_code=204,
    openapi_extra=raises(ConfirmationRequired, EmailTaken),
)
async def change_email(scope: Caller, request: Request, platform: PlatformDep, wanted: EmailChange) -> None:
    """Move the account to another address: it does once the link that is mailed there is sent to `verify-email`."""
    await limit_sign_in(platform, request, f"user:{scope.user_id}")
    device = browser.caller_of(request)
    await recovery.request_email_change(platform, scope, wanted.email, wanted.password, device)


@router.delete(
    "/auth/oauth/{provider}",
    operation_id="unlinkProvider",
    status_code=204,
    openapi_extra=raises(UnknownProvider, LastSignInMethod),
)
async def unlink_provider(
    scope: Caller,
    request: Request,
    session: SessionDep,
    platform: PlatformDep,
    provider: Annotated[str, Path(max_length=30, description="Its name, as `google`.", examples=["google"])],
) -> None:
    """Sign in with this provider no more. Your last way in stays."""
    await external.unlink(session, platform, scope.user_id, provider, browser.caller_of(request))


@router.get("/user/security", operation_id="getSecurity", responses={200: ETAG_HEADER})
async def get_security(
    scope: Caller, session: SessionDep, platform: PlatformDep, response: Response
) -> SecurityAnswer:
    """Where you are signed in, how you get in, and what happened at the door of your account."""
    found = await security_page.describe(session, platform, scope.user_id, scope.actor.session_id)
    answer = SecurityAnswer(security=found)
    response.headers["ETag"] = content_tag(answer.model_dump_json())
    return answer
