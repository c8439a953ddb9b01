"""Which lines of a pool's book one member sees, as a condition."""

from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import aliased

from pm_api.domains.ai_credits.lines import GRANTING
from pm_api.domains.ai_credits.models.ledger import CreditEntry


def seen_by(user_id: UUID) -> ColumnElement[bool]:
    """What they did, what nobody did, what brought credits (the lots are everybody's to see), and what undoes a line
    of theirs. What undoes somebody else's line tells of that line, whoever wrote it.
    """
    undone = aliased(CreditEntry)
    # One value, not EXISTS: that the planner may answer by reading everybody's books once.
    who_did_it = (
        select(undone.actor_user_id)
        .where(undone.account_id == CreditEntry.account_id, undone.seq == CreditEntry.reverses_seq)
        .correlate(CreditEntry)
        .scalar_subquery()
    )
    return or_(
        CreditEntry.actor_user_id == user_id,
        and_(
            CreditEntry.reverses_seq.is_(None),
            or_(CreditEntry.actor_user_id.is_(None), CreditEntry.type.in_(sorted(GRANTING))),
        ),
        and_(CreditEntry.reverses_seq.is_not(None), who_did_it == user_id),
    )
