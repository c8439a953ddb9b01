"""Changes that only a workspace's higher roles are told of."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("changes", sa.Column("least_role", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("changes", "least_role")
