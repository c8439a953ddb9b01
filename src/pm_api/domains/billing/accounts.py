"""Whose billing it is: a user's own, or a workspace's. The account's lock comes before any other lock of billing."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType
from pm_api.identity.repository import people as identity

Account = tuple[AccountType, UUID]

TYPE_KEY: Final = "accountType"
ID_KEY: Final = "accountId"


def of_scope(scope: AccountScope) -> Account:
    """The account that a guard's scope is over."""
    if isinstance(scope, WorkspaceScope):
        return AccountType.WORKSPACE, scope.workspace_id
    return AccountType.USER, scope.user_id


def credit_kind(account: Account) -> AccountKind:
    """How the ledger names this kind of account."""
    return AccountKind(account[0])


def in_metadata(account: Account) -> dict[str, str]:
    """What objects at Stripe carry of their owner."""
    return {TYPE_KEY: str(account[0]), ID_KEY: str(account[1])}


def from_metadata(metadata: dict[str, str]) -> Account | None:
    """The owner that an object at Stripe names; None when it names none, or none that could be."""
    try:
        return AccountType(metadata.get(TYPE_KEY, "")), UUID(metadata.get(ID_KEY, ""))
    except ValueError:
        return None


def one_change_at_a_time(account: Account) -> str:
    """The word that a flow holds while it changes what an account has bought: another one has to wait."""
    return f"subscription:{account[1]}"


async def is_deleted(session: AsyncSession, account: Account) -> bool:
    """Whether it is a workspace that was deleted, which is locked by this."""
    if account[0] is not AccountType.WORKSPACE:
        return False
    workspace = await identity.lock_workspace(session, account[1])
    return workspace is None or workspace.deleted_at is not None


async def was_deleted_by(session: AsyncSession, account: Account, moment: datetime) -> bool:
    """Whether it is a workspace that is deleted, and was at this moment of Stripe's, whose times are whole seconds.
    Locks it.
    """
    if account[0] is not AccountType.WORKSPACE:
        return False
    workspace = await identity.lock_workspace(session, account[1])
    deleted_at = workspace.deleted_at if workspace is not None else None
    return deleted_at is not None and moment >= deleted_at.replace(microsecond=0)


async def lock(session: AsyncSession, account: Account, *, gone_too: bool = False) -> None:
    """The account's first lock, which seats are taken under too; raises NotFound, also for a deleted workspace unless
    those count too.
    """
    kind, account_id = account
    if kind is AccountType.USER:
        if not await entitlements.lock_user(session, account_id):
            raise NotFound
        return
    workspace = await identity.lock_workspace(session, account_id)
    if workspace is None or (workspace.deleted_at is not None and not gone_too):
        raise NotFound
