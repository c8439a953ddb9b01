"""Where files count: of a workspace, or of a person (their avatar, their own files)."""

from dataclasses import dataclass
from uuid import UUID

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.entitlements.enums import AccountType


@dataclass(frozen=True, slots=True)
class Account:
    """A workspace or a person, as what holds files."""

    kind: AccountType
    id: UUID

    @property
    def workspace_id(self) -> UUID | None:
        return self.id if self.kind is AccountType.WORKSPACE else None


def account_of(scope: AccountScope) -> Account:
    """Whose storage somebody uses."""
    if isinstance(scope, WorkspaceScope):
        return Account(AccountType.WORKSPACE, scope.workspace_id)
    return Account(AccountType.USER, scope.user_id)


def account_at(kind: str, account_id: UUID) -> Account:
    """The account that a row names in two columns."""
    return Account(AccountType(kind), account_id)
