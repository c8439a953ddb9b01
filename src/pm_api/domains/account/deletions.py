"""Deleting an account: asked for with proof, a week of grace, and refused while something has to be settled first."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import personal
from pm_api.core.actor import UserScope
from pm_api.core.errors import Unauthorized
from pm_api.core.personal import Obstacle
from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.account import repository
from pm_api.domains.account.contributors import CONTRIBUTORS
from pm_api.domains.account.enums import DeletionStatus
from pm_api.domains.account.errors.person import AccountNotDeletable, DeletionNotPending
from pm_api.domains.account.models import AccountDeletion
from pm_api.domains.account.schemas.person import AccountRead, DeletionRead, ObstacleRead
from pm_api.domains.changes import service as changes
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.identity import audit, confirmation, leaving, users
from pm_api.identity.models.people import User

GRACE: Final = timedelta(days=7)
LINK: Final = "/settings/account"

assert CONTRIBUTORS, "every slice's obstacles are registered"


async def ask(platform: Platform, scope: UserScope, password: str | None) -> AccountRead:
    """Delete the caller's account at the end of the grace; asked for again, the first request stands.

    Raises ConfirmationRequired, TooManyRequests, and AccountNotDeletable with everything that has to be settled.
    """
    await confirmation.confirm(platform, scope, password)
    async with platform.database.transaction() as session:
        user = await leaving.lock(session, scope.user_id)
        if user is None:  # erased since the guard has looked
            raise Unauthorized("This session has ended.")
        known = await repository.deletion_of(session, user.id)
        if known is not None:
            return _read(known, ())
        found = await in_the_way(session, user.id)
        if found:
            raise AccountNotDeletable(obstacles=[_told(one).model_dump() for one in found])
        row = await _open(session, platform, user)
        await _changed(session, platform, scope, user, "deletion_requested", row)
        await _tell(session, platform, row)
        return _read(row, ())


async def call_off(session: AsyncSession, platform: Platform, scope: UserScope) -> AccountRead:
    """The account goes on as if nothing had been; raises DeletionNotPending."""
    user = await leaving.lock(session, scope.user_id)
    row = await repository.deletion_of(session, scope.user_id)
    if user is None or row is None or row.status != DeletionStatus.PENDING:
        raise DeletionNotPending
    row.status, row.ended_at = DeletionStatus.CANCELLED, platform.clock.now()
    row.version += 1
    user.deletes_at = None
    await _changed(session, platform, scope, user, "deletion_called_off", row)
    await notifications.notify(
        session,
        platform,
        user_ids=[user.id],
        category=Category.SECURITY,
        type="account.deletion_called_off",
        dedup_key=f"deletion:{row.id}:called-off",
        title="Your account stays",
        body="The deletion of your account was called off. Nothing has changed.",
        reason="It is about your own account.",
        link=LINK,
    )
    return await state(session, scope)


async def state(session: AsyncSession, scope: UserScope) -> AccountRead:
    """The deletion under way, and what would stand in the way of one."""
    return _read(await repository.deletion_of(session, scope.user_id), await in_the_way(session, scope.user_id))


async def in_the_way(session: AsyncSession, user_id: UUID) -> list[Obstacle]:
    own = await leaving.own_workspaces(session, user_id)
    return await personal.obstacles(session, user_id, [user_id, *own])


async def _open(session: AsyncSession, platform: Platform, user: User) -> AccountDeletion:
    now = platform.clock.now()
    row = await repository.open_deletion(
        session,
        {
            "id": platform.randomness.uuid(),
            "user_id": user.id,
            "status": DeletionStatus.PENDING,
            "requested_at": now,
            "erase_at": now + GRACE,
            "look_at": now + GRACE,
            "closed_workspaces": [],
            "left_workspaces": [],
        },
    )
    assert row is not None, "the person is locked, and had none"
    user.deletes_at = row.erase_at
    return row


async def _changed(
    session: AsyncSession, platform: Platform, scope: UserScope, user: User, action: str, row: AccountDeletion
) -> None:
    now = platform.clock.now()
    users.touch(user, now)
    audit.record(session, platform, scope.actor, f"user.{action}", subject=("user", user.id), deletion_id=str(row.id))
    changes.record(
        session,
        platform,
        user_ids=[user.id],
        entity="user",
        entity_id=user.id,
        action="updated",
        version=user.version,
        actor_user_id=scope.user_id,
    )


async def _tell(session: AsyncSession, platform: Platform, row: AccountDeletion) -> None:
    await notifications.notify(
        session,
        platform,
        user_ids=[row.user_id],
        category=Category.SECURITY,
        type="account.deletion",
        dedup_key=f"deletion:{row.id}",
        title="Your account will be deleted",
        body="You have asked for your account to be deleted. At the end of the grace everything that tells of you is "
        "erased, subscriptions end and credits that are left are void.\n"
        "Was it not you? Then keep the account, and change your password.",
        reason="It is about your own account.",
        data={"deletesAt": written(row.erase_at), "action": "Keep my account"},
        link=LINK,
    )


async def tell_delayed(
    session: AsyncSession, platform: Platform, row: AccountDeletion, found: Sequence[Obstacle]
) -> None:
    """The grace is over and something has come in the way: the person is told what, and when we look again."""
    await notifications.notify(
        session,
        platform,
        user_ids=[row.user_id],
        category=Category.SECURITY,
        type="account.deletion_delayed",
        dedup_key=f"deletion:{row.id}:delayed:{row.erase_at:%Y-%m-%d}",
        title="Your account could not be deleted yet",
        body="\n".join(one.detail for one in found),
        reason="You have asked for your account to be deleted.",
        data={"deletesAt": written(row.erase_at)},
        link=LINK,
    )


def _told(one: Obstacle) -> ObstacleRead:
    return ObstacleRead(code=one.code, detail=one.detail, facts=dict(one.facts))


def _read(row: AccountDeletion | None, found: Sequence[Obstacle]) -> AccountRead:
    deletion = None
    if row is not None:
        deletion = DeletionRead(
            id=row.id,
            status=DeletionStatus(row.status),
            requested_at=row.requested_at,
            deletes_at=row.erase_at,
            version=row.version,
        )
    return AccountRead(deletion=deletion, obstacles=[_told(one) for one in found])
