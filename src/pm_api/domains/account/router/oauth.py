"""Routes of signing in through another provider. A browser is led about; a program gets JSON."""

from typing import Annotated, Any, Final

from fastapi import Body, Depends, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from pm_api.core.actor import UserScope
from pm_api.core.answers import answer_with
from pm_api.core.errors import ApiError
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import answers_with, raises
from pm_api.core.platform import Platform, PlatformDep
from pm_api.core.schema import Text
from pm_api.domains.account import oauth
from pm_api.domains.account.oauth import Finished, Returned
from pm_api.identity import browser
from pm_api.identity.errors.credentials import ConfirmationRequired, SecondFactorLocked, TotpInvalid
from pm_api.identity.errors.people import EmailTaken, OriginNotAllowed
from pm_api.identity.errors.sign_in import (
    AccountEmailUnverified,
    ProviderAlreadyLinked,
    ProviderEmailUnverified,
    ProviderLinkedElsewhere,
    SignInRefused,
    SignInReturnNotAllowed,
    SignInStateInvalid,
    UnknownProvider,
    VerifyEmailFirst,
)
from pm_api.identity.external import LIVES
from pm_api.identity.guards import signed_in
from pm_api.identity.limits import limit_sign_in
from pm_api.identity.schemas.people import SignInAnswer
from pm_api.identity.schemas.sign_in import (
    OauthFinished,
    OauthLinkStart,
    OauthOutcome,
    OauthSecondFactor,
    OauthStart,
    OauthStarted,
    SignInProviderRead,
    SignInProvidersAnswer,
)
from pm_api.integrations.openid import SignInDoor, SignInProviderUnavailable

LIVES_S: Final = int(LIVES.total_seconds())

router = api_router(tag="account")

ProviderName = Annotated[
    Text, Path(max_length=30, description="Its name, as `GET /api/auth/providers` gives it.", examples=["google"])
]
LED_AWAY: Final[dict[int | str, dict[str, Any]]] = {
    303: {"description": "A browser (`Accept: text/html`) is led there.", **answers_with("Location")}
}
STARTING: Final = (UnknownProvider, SignInReturnNotAllowed, SignInProviderUnavailable)


@router.get("/auth/providers", operation_id="listSignInProviders")
async def list_sign_in_providers(platform: PlatformDep) -> SignInProvidersAnswer:
    """The providers people sign in with here."""
    base = platform.settings.public_url.rstrip("/")
    return SignInProvidersAnswer(
        providers=[
            SignInProviderRead(name=name, title=title, start_url=f"{base}/api/auth/oauth/{name}/start")
            for name, title in platform.part(SignInDoor).titles().items()
        ]
    )


@router.get(
    "/auth/oauth/{provider}/start",
    operation_id="startOauth",
    response_model=OauthStarted,
    responses=LED_AWAY,
    openapi_extra=raises(*STARTING),
)
async def start_oauth(
    request: Request,
    platform: PlatformDep,
    provider: ProviderName,
    return_to: Annotated[
        Text | None,
        Query(
            alias="returnTo",
            max_length=2000,
            description="Where to go afterwards: a path of the app, or an address of an allowed origin.",
            examples=["/dashboard"],
        ),
    ] = None,
) -> Response:
    """Begin to sign in: lead the browser here. It must come back within ten minutes, and is the only one that can."""
    await limit_sign_in(platform, request)
    token = browser.oauth_browser_of(request, platform)
    address = await oauth.start(platform, provider, token, return_to=return_to)
    return _started(platform, request, address, token)


@router.post("/auth/oauth/{provider}/start", operation_id="prepareOauth", openapi_extra=raises(*STARTING))
async def prepare_oauth(
    request: Request,
    response: Response,
    platform: PlatformDep,
    provider: ProviderName,
    wanted: Annotated[OauthStart | None, Body(description="May be left out.")] = None,
) -> OauthStarted:
    """The same from a script (`credentials: "include"`), which then leads the browser there; takes tokens along."""
    await limit_sign_in(platform, request)
    browser.check_origin(request, platform.settings)
    token = browser.oauth_browser_of(request, platform)
    address = await oauth.start(
        platform,
        provider,
        token,
        return_to=wanted.return_to if wanted else None,
        lead_token=wanted.lead_token if wanted else None,
        invitation_token=wanted.invitation_token if wanted else None,
    )
    _set_browser(platform, response, token)
    return OauthStarted(authorization_url=address)


@router.post(
    "/auth/oauth/{provider}/link",
    operation_id="linkProvider",
    openapi_extra=raises(*STARTING, ConfirmationRequired),
)
async def link_provider(
    scope: Annotated[UserScope, Depends(signed_in)],
    request: Request,
    response: Response,
    platform: PlatformDep,
    provider: ProviderName,
    wanted: Annotated[OauthLinkStart | None, Body(description="May be left out.")] = None,
) -> OauthStarted:
    """Begin to link a provider to your account (`credentials: "include"`), then lead the browser there. It takes the
    password, or a sign-in of the last minutes; once it is linked you are told by mail.
    """
    token = browser.oauth_browser_of(request, platform)
    address = await oauth.start_to_link(platform, scope, provider, token, wanted or OauthLinkStart())
    _set_browser(platform, response, token)
    return OauthStarted(authorization_url=address)


@router.get(
    "/auth/oauth/{provider}/callback",
    operation_id="finishOauth",
    response_model=OauthFinished,
    responses=LED_AWAY,
    openapi_extra=raises(
        UnknownProvider,
        SignInStateInvalid,
        SignInRefused,
        SignInProviderUnavailable,
        ProviderEmailUnverified,
        AccountEmailUnverified,
        ProviderAlreadyLinked,
        ProviderLinkedElsewhere,
        VerifyEmailFirst,
        EmailTaken,
    ),
)
async def finish_oauth(
    request: Request,
    platform: PlatformDep,
    provider: ProviderName,
    state: Annotated[Text, Query(max_length=500, description="As it was sent to the provider.")],
    code: Annotated[Text | None, Query(max_length=4000, description="What the provider gave.")] = None,
    error: Annotated[Text | None, Query(max_length=500, description="Why the provider gave no code.")] = None,
    iss: Annotated[Text | None, Query(max_length=500, description="Who the provider is (RFC 9207).")] = None,
) -> Response:
    """Where the provider leads back to. The browser goes on to the app: with the refresh cookie, or with `error`."""
    device = browser.device_of(request)
    back = oauth.app_page(platform, oauth.SIGN_IN_PAGE)
    try:
        await limit_sign_in(platform, request)
        finished = await oauth.finish(
            platform,
            provider,
            Returned(state=state, code=code, error=error, issuer=iss),
            browser.presented_oauth_browser(request),
            device,
        )
        if finished.refusal is not None:
            back = finished.return_to if finished.was_linking else back
            raise finished.refusal
    except ApiError as refusal:
        if not browser.wants_page(request):
            raise
        return RedirectResponse(oauth.with_query(back, error=refusal.code), status_code=303)
    return _finished(platform, request, finished)


@router.post(
    "/auth/oauth/second-factor",
    operation_id="finishOauthWithCode",
    openapi_extra=raises(SignInStateInvalid, TotpInvalid, SecondFactorLocked, OriginNotAllowed),
)
async def finish_oauth_with_code(
    request: Request, response: Response, platform: PlatformDep, given: OauthSecondFactor
) -> SignInAnswer:
    """The second factor of a sign-in through a provider: within ten minutes, in the same browser, five tries."""
    await limit_sign_in(platform, request)
    secret = request.cookies.get(browser.SECOND_FACTOR_COOKIE)
    if secret is None:
        raise SignInStateInvalid
    browser.check_origin(request, platform.settings)
    grant = await oauth.finish_with_code(platform, secret, given.totp_code, browser.device_of(request))
    browser.clear_cookie(response, platform.settings, browser.SECOND_FACTOR_COOKIE, browser.OAUTH_PATH)
    return browser.sign_in_answer(platform, request, response, grant)


def _set_browser(platform: Platform, response: Response, token: str) -> None:
    browser.set_cookie(response, platform.settings, browser.OAUTH_COOKIE, token, LIVES_S, path=browser.OAUTH_PATH)


def _started(platform: Platform, request: Request, address: str, token: str) -> Response:
    response = (
        RedirectResponse(address, status_code=303)
        if browser.wants_page(request)
        else answer_with(OauthStarted(authorization_url=address))
    )
    _set_browser(platform, response, token)
    return response


def _finished(platform: Platform, request: Request, finished: Finished) -> Response:
    assert finished.outcome is not None
    address = finished.return_to
    if finished.outcome is OauthOutcome.SECOND_FACTOR_REQUIRED:
        address = oauth.app_page(platform, oauth.SECOND_FACTOR_PAGE, returnTo=finished.return_to)
    response = (
        RedirectResponse(address, status_code=303)
        if browser.wants_page(request)
        else answer_with(OauthFinished(outcome=finished.outcome, return_to=finished.return_to))
    )
    if finished.second_factor is not None:
        browser.set_cookie(
            response,
            platform.settings,
            browser.SECOND_FACTOR_COOKIE,
            finished.second_factor,
            LIVES_S,
            path=browser.OAUTH_PATH,
        )
    if finished.grant is not None:
        browser.set_session_cookies(platform, request, response, finished.grant)
    return response
