"""Rules of notifications: who is told what, once, and what a person does with what they were told."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.errors import NotFound
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.core.schema import storable, storable_json
from pm_api.domains.changes import service as changes
from pm_api.domains.notifications import preferences
from pm_api.domains.notifications.enums import REQUIRED, Category, Delivery
from pm_api.domains.notifications.errors import InvalidSnooze
from pm_api.domains.notifications.models import Notification, NotificationPreferences
from pm_api.domains.notifications.repository import choices
from pm_api.domains.notifications.repository import mailings as repository_of_mailings
from pm_api.domains.notifications.repository import rows as repository
from pm_api.domains.notifications.repository.rows import Bound, Wait, Wanted
from pm_api.domains.notifications.schemas import (
    TYPE_LENGTH,
    TYPE_PATTERN,
    NotificationRead,
    NotificationsAnswer,
    ReadAllAnswer,
    UnreadAnswer,
)
from pm_api.outbox import service as outbox
from pm_api.outbox.service import NewMail

MAIL_KIND: Final = "notification"
ENTITY: Final = "notification"
MOST_RECEIVERS: Final = 1000
TITLE_LENGTH: Final = 200
REASON_LENGTH: Final = 300
BODY_LENGTH: Final = 2000
DEDUP_KEY_LENGTH: Final = 200
LINK_LENGTH: Final = 500
DATA_BYTES: Final = 4096
# A path of our own: two slashes, or a slash and a backslash, begin the address of another host.
LINK: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")

COUNTED: Final = 1000
READ_A_CALL: Final = 500
LONGEST_SNOOZE: Final = timedelta(days=366)
SHOWN_PRECISION: Final = timedelta(milliseconds=1)


# --- telling ---------------------------------------------------------------------------------------------------


async def notify(
    session: AsyncSession,
    platform: Platform,
    *,
    user_ids: Collection[UUID],
    category: Category,
    type: str,
    dedup_key: str,
    title: str,
    body: str,
    reason: str,
    data: Mapping[str, Any] | None = None,
    link: str | None = None,
    workspace_id: UUID | None = None,
    scope_id: UUID | None = None,
    actor_user_id: UUID | None = None,
    is_mailed: bool = True,  # not where a letter of its own tells it already
) -> int:
    """Tell people once per dedup key, in the app and by mail, in the caller's transaction; returns how many now.

    Left out: the actor, who may not see the workspace or scope, who was told before. Mails wait for the digest their
    receiver chose, and for the end of quiet hours. Title, body and reason are cut to fit. Raises ValueError for over
    1000 receivers, and for a type, key, link or data that nobody may send.
    """
    receivers = sorted(set(user_ids) - {actor_user_id})
    if len(receivers) > MOST_RECEIVERS:
        raise ValueError(f"one call tells at most {MOST_RECEIVERS} people, not {len(receivers)}")
    values = {
        "category": Category(category),
        "type": _type(type),
        "reason": _shortened(reason, REASON_LENGTH),
        "title": _shortened(title, TITLE_LENGTH),
        "body": _shortened(body, BODY_LENGTH),
        "data": _data(data or {}),
        "link": _link(link),
        "dedup_key": _dedup_key(dedup_key),
        "created_at": platform.clock.now(),
    }
    if scope_id is not None and workspace_id is None:
        raise ValueError("a scope is a part of a workspace, which must be named too")
    if not receivers:
        return 0
    ids = {user_id: platform.randomness.uuid() for user_id in receivers}
    is_required = category in REQUIRED
    chosen = await choices.zones_and_choices(session, receivers)
    waits = _waits(platform, chosen, category) if is_mailed else {}
    told = await repository.insert_new(
        session,
        ids,
        waits,
        workspace_id=workspace_id,
        scope_id=scope_id,
        values=values,
        may_be_hidden=not is_required,
    )
    for one in told:
        if one.in_app:
            _record(
                session,
                platform,
                one.user_id,
                ids[one.user_id],
                "created",
                1,
                scope_id=scope_id,
                actor_id=actor_user_id,
            )
        if workspace_id is not None and preferences.wants_webhook(chosen[one.user_id][1], category):
            changes.record(
                session,
                platform,
                workspace_id=workspace_id,
                entity=ENTITY,
                entity_id=ids[one.user_id],
                action="created",
                version=1,
                scope_id=scope_id,
                actor_user_id=actor_user_id,
            )
    mailed = [one.user_id for one in told if is_mailed and one.user_id not in waits]
    await outbox.put(
        session, platform, [NewMail(MAIL_KIND, ids[user_id], user_id, is_required) for user_id in mailed]
    )
    return len(told)


def _waits(
    platform: Platform, chosen: Mapping[UUID, tuple[str, NotificationPreferences | None]], category: Category
) -> dict[UUID, Wait]:
    """Whose mail is for later. Without a mail server none is kept waiting."""
    if not platform.settings.sends_mail:
        return {}
    now = platform.clock.now()
    found = {user_id: preferences.wait_of(row, zone, category, now) for user_id, (zone, row) in chosen.items()}
    return {user_id: wait for user_id, wait in found.items() if wait is not None}


def _shortened(text: str, length: int) -> str:
    """Cut rather than refused: a long name in a title must not undo the work it tells of."""
    storable(text)
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def _type(type: str) -> str:
    if len(type) > TYPE_LENGTH or not re.fullmatch(TYPE_PATTERN, type):
        raise ValueError(f"not a type of notification: {type!r}")
    return type


def _dedup_key(key: str) -> str:
    """Never cut: two different ones could become the same."""
    if not 0 < len(storable(key)) <= DEDUP_KEY_LENGTH:
        raise ValueError(f"a dedup key has 1 to {DEDUP_KEY_LENGTH} characters, not {len(key)}")
    return key


def _link(link: str | None) -> str | None:
    if link is not None and (len(link) > LINK_LENGTH or not LINK.fullmatch(link)):
        raise ValueError(f"a link is a path within the app, of at most {LINK_LENGTH} characters")
    return link


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    """As it will be read back; TypeError when it is not JSON."""
    written = orjson.dumps(storable_json(dict(data)))
    if len(written) > DATA_BYTES:
        raise ValueError(f"data takes at most {DATA_BYTES} bytes as JSON, not {len(written)}")
    read: dict[str, Any] = orjson.loads(written)
    return read


# --- reading ---------------------------------------------------------------------------------------------------


async def list_of(
    session: AsyncSession, platform: Platform, scope: UserScope, page: PageRequest, wanted: Wanted
) -> NotificationsAnswer:
    """A page of what the caller was told and may see, newest first."""
    filters = {
        "user": scope.user_id,
        "unread": wanted.unread,
        "category": wanted.category,
        "type": wanted.type,
        "workspace": wanted.workspace_id,
        "archived": wanted.archived,
        "snoozed": wanted.snoozed,
    }
    key = platform.cursors.decode(page.cursor, of="notifications", **filters)
    rows = await repository.notifications(
        session,
        scope,
        wanted,
        platform.clock.now(),
        limit=page.limit + 1,
        after=UUID(key[0]) if key else None,
    )
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return NotificationsAnswer(
        notifications=[_read(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of="notifications", **filters),
    )


async def unread_count(session: AsyncSession, platform: Platform, scope: UserScope) -> UnreadAnswer:
    """How many the caller has not read, counted to 1000."""
    found = await repository.count_unread(session, scope, platform.clock.now(), limit=COUNTED + 1)
    return UnreadAnswer(unread=min(found, COUNTED), capped=found > COUNTED)


async def get(session: AsyncSession, scope: UserScope, notification_id: UUID) -> NotificationRead:
    """One of the caller's own, also an archived or sleeping one; raises NotFound."""
    row = await repository.notification(session, scope, notification_id)
    if row is None:
        raise NotFound
    return _read(row)


# --- what a person does with it --------------------------------------------------------------------------------


async def mark_read(
    session: AsyncSession, platform: Platform, scope: UserScope, notification_id: UUID, expected_version: int | None
) -> NotificationRead:
    """The first reading counts, a second changes nothing; raises NotFound or PreconditionFailed."""
    row = await _locked(session, scope, notification_id, expected_version)
    _waken(row, platform.clock.now())
    if row.read_at is None:
        row.read_at = platform.clock.now()
        _changed(session, platform, scope, row, "read")
    return _read(row)


async def mark_unread(
    session: AsyncSession, platform: Platform, scope: UserScope, notification_id: UUID, expected_version: int | None
) -> NotificationRead:
    """As if it had not been read; raises NotFound or PreconditionFailed."""
    row = await _locked(session, scope, notification_id, expected_version)
    _waken(row, platform.clock.now())
    if row.read_at is not None:
        row.read_at = None
        _changed(session, platform, scope, row, "unread")
    return _read(row)


async def archive(
    session: AsyncSession, platform: Platform, scope: UserScope, notification_id: UUID, expected_version: int | None
) -> NotificationRead:
    """Put away for good: it does not wake up any more either. Raises NotFound or PreconditionFailed."""
    row = await _locked(session, scope, notification_id, expected_version)
    if row.archived_at is None:
        row.archived_at = platform.clock.now()
        row.snoozed_until = None
        _changed(session, platform, scope, row, "archived")
    return _read(row)


async def snooze(
    session: AsyncSession,
    platform: Platform,
    scope: UserScope,
    notification_id: UUID,
    until: datetime | None,
    expected_version: int | None,
) -> NotificationRead:
    """Hide it until a time to come, out of the archive too; None wakes it. By the clock it is in sight again; the
    sweep then tells of it anew.

    Raises NotFound, PreconditionFailed, or InvalidSnooze for a time that has passed or is over a year away.
    """
    now = platform.clock.now()
    row = await _locked(session, scope, notification_id, expected_version)
    if until is not None and not now < until <= now + LONGEST_SNOOZE:
        raise InvalidSnooze
    if (row.snoozed_until, row.archived_at) != (until, None):
        row.snoozed_until, row.archived_at = until, None
        _changed(session, platform, scope, row, "snoozed" if until else "woken")
    return _read(row)


async def read_all(
    session: AsyncSession, platform: Platform, scope: UserScope, up_to: UUID | datetime
) -> ReadAllAnswer:
    """Mark what is in sight up to a bound as read, oldest first, at most 500 a call; sleeping ones stay unread."""
    bound, now = _bound(up_to), platform.clock.now()
    read = await repository.read_up_to(session, scope, bound, now, limit=READ_A_CALL)
    for row in read:
        _record(
            session,
            platform,
            scope.user_id,
            row.id,
            "read",
            row.version,
            scope_id=row.scope_id,
            actor_id=scope.user_id,
        )
    has_more = len(read) == READ_A_CALL and await repository.has_unread(session, scope, bound, now)
    return ReadAllAnswer(read=len(read), has_more=has_more)


def _bound(up_to: UUID | datetime) -> Bound:
    """Times are shown in milliseconds: whoever sends one back means everything that was shown with it."""
    if isinstance(up_to, UUID):
        return Bound(notification_id=up_to)
    shown = up_to.replace(microsecond=up_to.microsecond // 1000 * 1000)
    return Bound(before=shown + SHOWN_PRECISION)


def _waken(row: Notification, now: datetime) -> None:
    """What a person touches after its time needs no telling again, though the sweep has not come yet."""
    if row.snoozed_until is not None and row.snoozed_until <= now:
        row.snoozed_until = None


async def _locked(
    session: AsyncSession, scope: UserScope, notification_id: UUID, expected_version: int | None
) -> Notification:
    row = await repository.lock(session, scope, notification_id)
    if row is None:
        raise NotFound
    check_version(row.version, expected_version)
    return row


def _changed(session: AsyncSession, platform: Platform, scope: UserScope, row: Notification, action: str) -> None:
    row.version += 1
    _record(
        session, platform, scope.user_id, row.id, action, row.version, scope_id=row.scope_id, actor_id=scope.user_id
    )


def _record(
    session: AsyncSession,
    platform: Platform,
    receiver_id: UUID,
    notification_id: UUID,
    action: str,
    version: int,
    *,
    scope_id: UUID | None,
    actor_id: UUID | None,
) -> None:
    changes.record(
        session,
        platform,
        user_ids=[receiver_id],
        entity=ENTITY,
        entity_id=notification_id,
        action=action,
        version=version,
        scope_id=scope_id,
        actor_user_id=actor_id,
    )


# --- waking ----------------------------------------------------------------------------------------------------


async def wake(session: AsyncSession, platform: Platform, limit: int) -> int:
    """Tell again of what a person put to sleep until now: unread, in their feed, and by mail as if it were new.
    Returns how many slept; what they may not see any more wakes without a word. Two workers wake each once.
    """
    now = platform.clock.now()
    rows = await repository_of_mailings.lock_sleepers_due(session, now, limit=limit)
    if not rows:
        return 0
    seen = await repository_of_mailings.seen(session, [row.id for row in rows])
    chosen = await choices.zones_and_choices(session, {row.user_id for row in rows})
    for row in rows:
        row.snoozed_until = None
        if row.id not in seen:
            continue
        row.woken_at, row.read_at = now, None
        row.version += 1
        zone, chosen_by = chosen[row.user_id]
        category = Category(row.category)
        if platform.settings.sends_mail and preferences.wants_mail(chosen_by, category):
            wait = preferences.wait_of(chosen_by, zone, category, now) or Wait(now, Delivery.INSTANT)
            row.mail_due_at, row.delivery, row.mailing_id = wait.due_at, wait.delivery.value, None
        _record(session, platform, row.user_id, row.id, "woken", row.version, scope_id=row.scope_id, actor_id=None)
    return len(rows)


def _read(row: Notification) -> NotificationRead:
    return NotificationRead.model_validate(row)
