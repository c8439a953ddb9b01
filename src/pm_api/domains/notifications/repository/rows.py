"""Notifications as their receivers see them. Every read is of one receiver, and only of what they may see now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    SQLColumnExpression,
    String,
    Uuid,
    and_,
    any_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.domains.notifications.enums import Delivery
from pm_api.domains.notifications.models import Notification, NotificationPreferences
from pm_api.identity.models.people import Member, User, Workspace
from pm_api.identity.repository.people import visible_scope


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is asked for; None leaves a question open. Archived ones are listed whether asleep or not."""

    unread: bool | None = None
    category: str | None = None
    type: str | None = None
    workspace_id: UUID | None = None
    archived: bool = False
    snoozed: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """Up to and with a notification's id, or before a moment; one of the two."""

    notification_id: UUID | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """A mail that is not to go out at once."""

    due_at: datetime
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told now, and whether inside the app."""

    user_id: UUID
    in_app: bool


# --- sight -----------------------------------------------------------------------------------------------------


def in_sight(
    workspace_id: SQLColumnExpression[UUID | None],
    scope_id: SQLColumnExpression[UUID | None],
    user_id: UUID | SQLColumnExpression[UUID],
) -> ColumnElement[bool]:
    """Of a workspace only for its members while it is not deleted, of a scope only for those in it."""
    membership = (
        exists()
        .where(Member.workspace_id == workspace_id, Member.user_id == user_id)
        .where(Workspace.id == Member.workspace_id, Workspace.deleted_at.is_(None))
    )
    return and_(or_(workspace_id.is_(None), membership), visible_scope(scope_id, user_id))


def seen_by_its_receiver() -> ColumnElement[bool]:
    return in_sight(Notification.workspace_id, Notification.scope_id, Notification.user_id)


def worth_telling(now: datetime) -> ColumnElement[bool]:
    """Unread, not asleep, and not put away by the person; what was put away for them is wanted by mail alone."""
    return and_(
        Notification.read_at.is_(None),
        or_(Notification.archived_at.is_(None), Notification.archived_at == Notification.created_at),
        or_(Notification.snoozed_until.is_(None), Notification.snoozed_until <= now),
        seen_by_its_receiver(),
    )


def _own(scope: UserScope) -> ColumnElement[bool]:
    return and_(
        Notification.user_id == scope.user_id,
        in_sight(Notification.workspace_id, Notification.scope_id, scope.user_id),
    )


def _asleep(now: datetime) -> ColumnElement[bool]:
    return and_(Notification.snoozed_until.is_not(None), Notification.snoozed_until > now)


def _unread(scope: UserScope, now: datetime) -> ColumnElement[bool]:
    """What the badge counts."""
    return and_(_own(scope), Notification.read_at.is_(None), Notification.archived_at.is_(None), ~_asleep(now))


def _within(bound: Bound) -> ColumnElement[bool]:
    if bound.notification_id is not None:
        return Notification.id <= bound.notification_id
    return Notification.created_at < bound.before


# --- telling ---------------------------------------------------------------------------------------------------


async def insert_new(
    session: AsyncSession,
    ids: Mapping[UUID, UUID],
    waits: Mapping[UUID, Wait],
    *,
    workspace_id: UUID | None,
    scope_id: UUID | None,
    values: Mapping[str, Any],
    may_be_hidden: bool,
) -> list[Told]:
    """Tell every user (each with the id of their notification) who may see it and was not told yet; returns those
    who are told by this. `waits` holds those whose mail is for later. `may_be_hidden`: for who switched its category
    off in the app it is put away.
    """
    # Switched off in the app: it is put away at once, where it can still be found.
    hidden = and_(
        literal(may_be_hidden), NotificationPreferences.choices[values["category"]]["inApp"].as_boolean().is_(False)
    )
    due = [waits[user_id].due_at if user_id in waits else None for user_id in ids]
    delivery = [waits[user_id].delivery.value if user_id in waits else None for user_id in ids]
    told = (
        func.unnest(
            literal(list(ids.values()), ARRAY(Uuid())),
            literal(list(ids), ARRAY(Uuid())),
            literal(due, ARRAY(DateTime(timezone=True))),
            literal(delivery, ARRAY(String())),
        )
        .table_valued("id", "user_id", "mail_due_at", "delivery")
        .render_derived(name="told")
    )
    place, circle = literal(workspace_id, Uuid()), literal(scope_id, Uuid())
    columns = Notification.__table__.c
    rows = (
        select(
            told.c.id,
            User.id,
            place,
            circle,
            *(literal(value, columns[name].type) for name, value in values.items()),
            case((hidden, literal(values["created_at"], columns["archived_at"].type))),
            told.c.mail_due_at,
            told.c.delivery,
        )
        .select_from(told)
        .join(User, User.id == told.c.user_id)
        .outerjoin(NotificationPreferences, NotificationPreferences.user_id == User.id)
        .where(in_sight(place, circle, User.id))
        # In one order: two who tell the same people the same thing would else wait for each other.
        .order_by(User.id)
    )
    found = await session.execute(
        insert(Notification)
        .from_select(
            ["id", "user_id", "workspace_id", "scope_id", *values, "archived_at", "mail_due_at", "delivery"], rows
        )
        .on_conflict_do_nothing(index_elements=[Notification.user_id, Notification.dedup_key])
        .returning(Notification.user_id, Notification.archived_at.is_(None))
    )
    return [Told(user_id, in_app) for user_id, in_app in found]


# --- reading ---------------------------------------------------------------------------------------------------


async def notification(session: AsyncSession, scope: UserScope, notification_id: UUID) -> Notification | None:
    """One of the receiver's own, as committed now."""
    return await session.scalar(
        select(Notification)
        .where(Notification.id == notification_id, _own(scope))
        .execution_options(populate_existing=True)
    )


async def lock(session: AsyncSession, scope: UserScope, notification_id: UUID) -> Notification | None:
    """The same under its lock, read in a statement after it."""
    await session.execute(
        select(Notification.id)
        .where(Notification.id == notification_id, Notification.user_id == scope.user_id)
        .with_for_update(key_share=True)
    )
    return await notification(session, scope, notification_id)


async def notifications(
    session: AsyncSession, scope: UserScope, wanted: Wanted, now: datetime, *, limit: int, after: UUID | None
) -> Sequence[Notification]:
    """A page by id, newest first."""
    statement = select(Notification).where(_own(scope))
    if wanted.archived:
        statement = statement.where(Notification.archived_at.is_not(None))
    else:
        asleep = _asleep(now)
        statement = statement.where(Notification.archived_at.is_(None), asleep if wanted.snoozed else ~asleep)
    if wanted.unread is not None:
        statement = statement.where(
            Notification.read_at.is_(None) if wanted.unread else Notification.read_at.is_not(None)
        )
    if wanted.category is not None:
        statement = statement.where(Notification.category == wanted.category)
    if wanted.type is not None:
        statement = statement.where(Notification.type == wanted.type)
    if wanted.workspace_id is not None:
        statement = statement.where(Notification.workspace_id == wanted.workspace_id)
    if after is not None:
        statement = statement.where(Notification.id < after)
    rows = await session.scalars(statement.order_by(Notification.id.desc()).limit(limit))
    return rows.all()


async def count_unread(session: AsyncSession, scope: UserScope, now: datetime, *, limit: int) -> int:
    """How many are unread, counted no further than `limit`."""
    some = select(Notification.id).where(_unread(scope, now)).limit(limit).subquery()
    return await session.scalar(select(func.count()).select_from(some)) or 0


# --- writing ---------------------------------------------------------------------------------------------------


async def read_up_to(
    session: AsyncSession, scope: UserScope, bound: Bound, now: datetime, *, limit: int
) -> Sequence[Notification]:
    """Mark the oldest unread ones within the bound as read; returns them as they are now, oldest first."""
    oldest = await session.scalars(
        select(Notification.id)
        .where(_unread(scope, now), _within(bound))
        .order_by(Notification.id)
        .limit(limit)
        .with_for_update(key_share=True)
    )
    rows = await session.scalars(
        update(Notification)
        .where(Notification.id == any_(literal(list(oldest), ARRAY(Uuid()))))
        # What is read before the sweep wakes it needs no telling again.
        .values(read_at=now, snoozed_until=None, version=Notification.version + 1)
        .returning(Notification)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(rows, key=lambda row: row.id)


async def has_unread(session: AsyncSession, scope: UserScope, bound: Bound, now: datetime) -> bool:
    return bool(await session.scalar(select(exists().where(_unread(scope, now), _within(bound)))))
