"""What the operator of this installation reads: anybody's book, as its owner sees it, and on record."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AdminScope, CreditScope, LeadScope, UserScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.errors import AccountNotFound, CreditAccountNotFound, EntryNotFound
from pm_api.domains.ai_credits.repository import corrections as repository
from pm_api.domains.ai_credits.repository.ledger import account_id_of
from pm_api.domains.ai_credits.service import account_of
from pm_api.domains.ai_credits.store import NOBODY
from pm_api.identity import audit
from pm_api.identity.permissions import Role

READ: Final = "credits.read_by_operator"


async def scope_of_account(platform: Platform, scope: AdminScope, account_id: UUID) -> CreditScope:
    """The account an operator names by the id of its user, workspace or lead; raises
    CreditAccountNotFound.

    Asked on a connection of its own: a proof must be the first thing that its session reads.
    """
    async with platform.database.reading() as session:
        known = await repository.has_account(session, account_id)
        place = await repository.place_of(session, account_id) if known else None
    if place is not None:
        return _scope(scope, place.kind, account_id)
    # Nobody has moved credits here yet: a user or a living workspace has an account all the same.
    try:
        kind, _ = await account_of(platform, account_id, account_id)
    except AccountNotFound:
        raise CreditAccountNotFound from None
    return _scope(scope, kind, account_id)


async def scope_of_entry(platform: Platform, scope: AdminScope, entry_id: UUID) -> CreditScope:
    """The account whose book a line is in; raises EntryNotFound."""
    async with platform.database.reading() as session:
        line = await repository.entry_anywhere(session, entry_id)
        if line is None:
            raise EntryNotFound
        place = await repository.place_of(session, line.account_id)
    return _scope(scope, place.kind, place.account_id)


def note(
    session: AsyncSession, platform: Platform, scope: AdminScope, account: CreditScope, what: str, **details: str
) -> None:
    """Put on record that an operator read this account; its workspace's admins can see it in their audit log."""
    workspace_id = account.workspace_id if isinstance(account, WorkspaceScope) else None
    audit.record(
        session,
        platform,
        scope.actor,
        READ,
        subject=("credit_account", account_id_of(account)),
        workspace_id=workspace_id,
        read=what,
        **details,
    )


def _scope(scope: AdminScope, kind: AccountKind, account_id: UUID) -> CreditScope:
    """Of a pool, an operator sees what its owner sees."""
    if kind is AccountKind.USER:
        return UserScope(scope.actor, account_id)
    if kind is AccountKind.LEAD:
        return LeadScope(scope.actor, account_id)
    return WorkspaceScope(scope.actor, account_id, scope.actor.user_id or NOBODY, Role.OWNER)
