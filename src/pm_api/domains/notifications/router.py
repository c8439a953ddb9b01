"""Notifications over HTTP: a person's own, what they choose to be told, and what an operator sees of mails."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from fastapi.responses import HTMLResponse

from pm_api.core.actor import AdminScope, UserScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.notifications import mails, pages, preferences, service
from pm_api.domains.notifications.enums import Category
from pm_api.domains.notifications.errors import ChannelRequired, InvalidSnooze, UnknownUnsubscribeLink
from pm_api.domains.notifications.preference_schemas import PreferencesAnswer, PreferencesRead, PreferencesWrite
from pm_api.domains.notifications.repository.rows import Wanted
from pm_api.domains.notifications.schemas import (
    TYPE_LENGTH,
    TYPE_PATTERN,
    NotificationAnswer,
    NotificationRead,
    NotificationsAnswer,
    ReadAllAnswer,
    ReadAllRequest,
    SnoozeRequest,
    UnreadAnswer,
)
from pm_api.identity.guards import operator, signed_in_or_key
from pm_api.outbox import service as outbox
from pm_api.outbox.enums import MailStatus
from pm_api.outbox.schemas import MailRead, MailsAnswer

router = api_router(tag="notifications")

Caller = Annotated[UserScope, Depends(signed_in_or_key("notification"))]
NotificationId = Annotated[UUID, Path(description="One of your notifications.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
UnsubscribeToken = Annotated[
    str, Query(description="The token of the link in a mail.", min_length=1, max_length=400, examples=["aGVsbG8"])
]
OF_ONE: Final = raises(NotFound, PreconditionFailed, InvalidIfMatch)


@router.get("/notifications", operation_id="listNotifications", openapi_extra=raises(InvalidCursor))
async def list_notifications(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    unread: Annotated[bool | None, Query(description="Only unread ones, or only those read.")] = None,
    category: Annotated[Category | None, Query(description="Only this category.")] = None,
    type: Annotated[
        str | None,
        Query(
            description="Only this type, such as `credits.low_balance`.", pattern=TYPE_PATTERN, max_length=TYPE_LENGTH
        ),
    ] = None,
    workspace_id: Annotated[
        UUID | None, Query(alias="workspaceId", description="Only what is about this workspace.")
    ] = None,
    archived: Annotated[bool, Query(description="Those you put away, instead of the others.")] = False,
    snoozed: Annotated[
        bool, Query(description="Those asleep, instead of those in sight. Has no effect on archived ones.")
    ] = False,
) -> NotificationsAnswer:
    """What you were told, newest first.

    Sleeping ones are left out until their time, and what is about a workspace you are no member of (any more).
    """
    wanted = Wanted(unread, category, type, workspace_id, archived, snoozed)
    return await service.list_of(session, platform, scope, page, wanted)


@router.get("/notifications/unread-count", operation_id="getUnreadCount")
async def get_unread_count(scope: Caller, session: SessionDep, platform: PlatformDep) -> UnreadAnswer:
    """How many you have not read, for the badge: counted to 1000."""
    return await service.unread_count(session, platform, scope)


@router.post("/notifications/read-all", operation_id="readAllNotifications")
async def read_all_notifications(
    scope: Caller, session: SessionDep, platform: PlatformDep, body: ReadAllRequest
) -> ReadAllAnswer:
    """Mark what is in sight as read, up to the newest one you have seen; sleeping ones stay as they are.

    At most 500 a call, oldest first: repeat it while `hasMore`.
    """
    return await service.read_all(session, platform, scope, body.up_to)


@router.get("/notifications/preferences", operation_id="getNotificationPreferences", responses={200: ETAG_HEADER})
async def get_notification_preferences(scope: Caller, session: SessionDep, response: Response) -> PreferencesAnswer:
    """What you are told, where and when: every category, your quiet hours and when your digests come."""
    return _chosen(await preferences.get(session, scope), response)


@router.put(
    "/notifications/preferences",
    operation_id="putNotificationPreferences",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(PreconditionFailed, InvalidIfMatch, ChannelRequired),
)
async def put_notification_preferences(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    body: PreferencesWrite,
) -> PreferencesAnswer:
    """Choose anew what you are told, where and when. What you leave out is as it is for everybody: categories are on,
    at once, there are no quiet hours and no reminders.

    It holds for what you are told from now on, and mails that wait follow it too.
    """
    return _chosen(await preferences.put(session, platform, scope, body, expected_version), response)


@router.get(
    "/notifications/unsubscribe",
    operation_id="getUnsubscribePage",
    response_class=HTMLResponse,
    openapi_extra=raises(UnknownUnsubscribeLink),
)
async def get_unsubscribe_page(platform: PlatformDep, token: UnsubscribeToken) -> HTMLResponse:
    """Where the link at the foot of a mail leads: a page with one button. Opening it changes nothing, because mail
    programs open links by themselves.
    """
    _, of = mails.read_token(platform, token)
    return HTMLResponse(pages.question(of), headers={"Cache-Control": "no-store"})


@router.post(
    "/notifications/unsubscribe",
    operation_id="unsubscribe",
    response_class=HTMLResponse,
    openapi_extra=raises(UnknownUnsubscribeLink, ChannelRequired),
)
async def unsubscribe(platform: PlatformDep, token: UnsubscribeToken) -> HTMLResponse:
    """Stop the mails of one category or digest, for the person in the token: what that button does, and what mail
    programs call by themselves (RFC 8058). The body is not looked at; a second call changes nothing.
    """
    of = await mails.unsubscribe(platform, token)
    return HTMLResponse(pages.done(of), headers={"Cache-Control": "no-store"})


@router.get("/admin/mails", operation_id="listMails", openapi_extra=raises(InvalidCursor))
async def list_mails(
    _scope: Annotated[AdminScope, Depends(operator)],
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    status: Annotated[MailStatus | None, Query(description="Only those that stand there.")] = None,
    user_id: Annotated[UUID | None, Query(alias="userId", description="Only those to this person.")] = None,
) -> MailsAnswer:
    """Mails of the last 30 days and where they stand, newest first. REFUSED and FAILED ones did not arrive."""
    rows, following = await outbox.list_of(session, platform, page, status=status, user_id=user_id)
    return MailsAnswer(mails=[MailRead.model_validate(row) for row in rows], next_cursor=following)


@router.get(
    "/notifications/{notification_id}",
    operation_id="getNotification",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_notification(
    scope: Caller, session: SessionDep, response: Response, notification_id: NotificationId
) -> NotificationAnswer:
    """One notification, also when it is archived or asleep. Getting it does not mark it as read."""
    return _answer(await service.get(session, scope, notification_id), response)


@router.post(
    "/notifications/{notification_id}/read",
    operation_id="readNotification",
    responses={200: ETAG_HEADER},
    openapi_extra=OF_ONE,
)
async def read_notification(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    notification_id: NotificationId,
    expected_version: ExpectedVersion,
) -> NotificationAnswer:
    """Mark it as read; once it is, nothing changes any more."""
    return _answer(await service.mark_read(session, platform, scope, notification_id, expected_version), response)


@router.post(
    "/notifications/{notification_id}/unread",
    operation_id="unreadNotification",
    responses={200: ETAG_HEADER},
    openapi_extra=OF_ONE,
)
async def unread_notification(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    notification_id: NotificationId,
    expected_version: ExpectedVersion,
) -> NotificationAnswer:
    """Mark it as unread."""
    return _answer(await service.mark_unread(session, platform, scope, notification_id, expected_version), response)


@router.post(
    "/notifications/{notification_id}/archive",
    operation_id="archiveNotification",
    responses={200: ETAG_HEADER},
    openapi_extra=OF_ONE,
)
async def archive_notification(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    notification_id: NotificationId,
    expected_version: ExpectedVersion,
) -> NotificationAnswer:
    """Put it away; it does not count as unread any more, and no longer wakes up."""
    return _answer(await service.archive(session, platform, scope, notification_id, expected_version), response)


@router.post(
    "/notifications/{notification_id}/snooze",
    operation_id="snoozeNotification",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, InvalidSnooze),
)
async def snooze_notification(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    notification_id: NotificationId,
    expected_version: ExpectedVersion,
    body: SnoozeRequest,
) -> NotificationAnswer:
    """Hide it until a time to come; then it is in its old place again, unread, and you are told of it again. An
    archived one leaves the archive.
    """
    snoozed = await service.snooze(session, platform, scope, notification_id, body.until, expected_version)
    return _answer(snoozed, response)


def _answer(notification: NotificationRead, response: Response) -> NotificationAnswer:
    response.headers["ETag"] = entity_tag(notification.version)
    return NotificationAnswer(notification=notification)


def _chosen(found: PreferencesRead, response: Response) -> PreferencesAnswer:
    response.headers["ETag"] = entity_tag(found.version)
    return PreferencesAnswer(preferences=found)
