"""What the link in an invitation by mail opens."""

from typing import Annotated, Any, Final

from fastapi import Depends, Path, Request
from fastapi.responses import HTMLResponse

from pm_api.core.errors import ApiError, UnsupportedMediaType
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import Platform, PlatformDep
from pm_api.core.ratelimit import Policy, client_address
from pm_api.core.recurrence.errors import OccurrenceUnknown, RuleTooComplex
from pm_api.core.schema import Text
from pm_api.domains.calendar import invitations, pages
from pm_api.domains.calendar.errors.attendees import AnswerOutdated, FormRefused, InvalidProposal, InvitationGone
from pm_api.domains.projects.errors import ProjectArchived

router = api_router(tag="calendar")

Token = Annotated[Text, Path(min_length=1, max_length=200, description="From the link in the mail.")]
OPENING: Final = Policy("calendar-invitation", "60/minute")
UNSEEN: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
}
CHANGED: Final = "This event has changed since you opened the page. Look at it again, and answer anew."
_FORM: Final[dict[str, Any]] = {
    **raises(
        *(InvitationGone, FormRefused, InvalidProposal, AnswerOutdated, OccurrenceUnknown),
        *(ProjectArchived, RuleTooComplex, UnsupportedMediaType),
    ),
    "requestBody": {
        "required": True,
        "description": "The form of the page. `about` is `series`, or the id of an occurrence; times are wall times "
        "of the event's zone. Times without a `response` are proposed beside the answer there was.",
        "content": {
            invitations.FORM_TYPE: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "response": {"type": "string", "enum": ["PENDING", "ACCEPTED", "DECLINED", "TENTATIVE"]},
                        "about": {"type": "string", "maxLength": 100},
                        "comment": {"type": "string", "maxLength": 2000},
                        "proposedStart": {"type": "string", "maxLength": 30},
                        "proposedEnd": {"type": "string", "maxLength": 30},
                        "seen": {"type": "string", "maxLength": 100},
                    },
                },
                "example": {"response": "ACCEPTED", "about": "series", "comment": "Gladly."},
            }
        },
    },
}


async def limit_links(request: Request, platform: PlatformDep) -> None:
    """Links opened from one network address; raises TooManyRequests."""
    await platform.limiter.hit_request(request, OPENING, f"address:{client_address(request)}")


Limited = Annotated[None, Depends(limit_links)]


@router.get(
    "/calendar/invitations/{token}",
    operation_id="viewEventInvitation",
    response_class=HTMLResponse,
    openapi_extra=raises(InvitationGone, RuleTooComplex),
)
async def view_event_invitation(
    _limited: Limited, request: Request, platform: PlatformDep, token: Token
) -> HTMLResponse:
    """The page behind the link: what one is invited to, and a form to answer. Opening it changes nothing, because
    mail programs open links by themselves. Whoever asks for HTML gets refusals as a page too.
    """
    try:
        return _shown(pages.invitation(await invitations.view(platform, token)))
    except ApiError as error:
        return _refused(request, error)


@router.post(
    "/calendar/invitations/{token}",
    operation_id="answerEventInvitation",
    response_class=HTMLResponse,
    openapi_extra=_FORM,
)
async def answer_event_invitation(
    _limited: Limited, request: Request, platform: PlatformDep, token: Token
) -> HTMLResponse:
    """Answer without an account, as the form on that page does: for the whole series, or for one occurrence. A second
    answer takes the place of the first. The link ends with the invitation.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != invitations.FORM_TYPE:
        raise UnsupportedMediaType(f"The form is sent as {invitations.FORM_TYPE}.")
    try:
        view, response = await invitations.answer(platform, token, await request.body())
    except (AnswerOutdated, FormRefused, InvalidProposal, OccurrenceUnknown) as error:
        return await _asked_again(request, platform, token, error)
    except ApiError as error:
        return _refused(request, error)
    return _shown(pages.invitation(view, thanks=response))


async def _asked_again(request: Request, platform: Platform, token: str, error: ApiError) -> HTMLResponse:
    """The page once more, as the event is now; raises the error for who asked for no page."""
    if not _wants_page(request):
        raise error
    trouble = CHANGED if isinstance(error, AnswerOutdated | OccurrenceUnknown) else error.detail
    page = pages.invitation(await invitations.view(platform, token), trouble=trouble)
    return _shown(page, error.status)


def _refused(request: Request, error: ApiError) -> HTMLResponse:
    if not _wants_page(request):
        raise error
    page = pages.gone() if isinstance(error, InvitationGone) else pages.refused(error.detail)
    return _shown(page, error.status)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _shown(page: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(page, status_code=status, headers=UNSEEN)
