"""Who sees whose lines. In a pool, who does not manage its credits sees their own and the system's; the balance, the
lots and the sums are everybody's.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement

from pm_api.core.actor import CreditScope, WorkspaceScope
from pm_api.domains.ai_credits.repository.sight import seen_by
from pm_api.identity.errors.people import role_lacks
from pm_api.identity.permissions import allows

MANAGE: Final = "credits.manage"


def confined_to(scope: CreditScope, member_id: UUID | None = None) -> UUID | None:
    """The one person whose doings the caller sees of this account; None for everybody's.

    Raises Forbidden when they ask for another member's.
    """
    if not isinstance(scope, WorkspaceScope) or allows(scope.role, MANAGE):
        return None
    if member_id not in (None, scope.user_id):
        raise role_lacks(scope.role, MANAGE)
    return scope.user_id


def visible_lines(scope: CreditScope, member_id: UUID | None = None) -> list[ColumnElement[bool]]:
    """Conditions for every read of single lines of the scope's book; raises as `confined_to`."""
    own = confined_to(scope, member_id)
    return [] if own is None else [seen_by(own)]
