"""Where the credits of lots made before went. Data only: their lines tell it."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        UPDATE credit_grants SET spent = moved.spent, expired = moved.expired
        FROM (
            SELECT a.account_id, a.grant_id,
                   coalesce(-sum(a.amount) FILTER (WHERE e.type = 'USAGE'), 0) AS spent,
                   coalesce(-sum(a.amount) FILTER (WHERE e.type = 'EXPIRY'), 0) AS expired
            FROM credit_allocations a JOIN credit_entries e ON e.account_id = a.account_id AND e.seq = a.entry_seq
            GROUP BY a.account_id, a.grant_id
        ) AS moved
        WHERE credit_grants.account_id = moved.account_id AND credit_grants.id = moved.grant_id
          AND credit_grants.amount <> credit_grants.remaining
        """
    )


def downgrade() -> None:
    pass
