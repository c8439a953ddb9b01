"""A lot's credits are left, spent, expired, voided or transferred out: nowhere else."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NAME = "ck_credit_grants_every_credit_is_somewhere"


def upgrade() -> None:
    op.create_check_constraint(
        op.f(NAME), "credit_grants", "amount = remaining + spent + expired + voided + transferred_out"
    )


def downgrade() -> None:
    op.drop_constraint(op.f(NAME), "credit_grants", type_="check")
