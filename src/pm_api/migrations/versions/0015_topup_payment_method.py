"""Whether an account's auto top-up has a payment method that may be charged."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLE = "credit_auto_topups"


def upgrade() -> None:
    op.add_column(
        TABLE, sa.Column("payment_method_ready", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column(TABLE, "payment_method_ready")
