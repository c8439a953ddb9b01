"""What a comparison with Stripe found, how far its events were read, and the inbox found by type and object."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

INBOX = {
    "ix_inbox_events_type_id": ["type", "id"],
    "ix_inbox_events_subject_id": ["subject", "id"],
    "ix_inbox_events_object_id_id": ["object_id", "id"],
}


def upgrade() -> None:
    for name, columns in INBOX.items():
        op.create_index(name, "inbox_events", columns)
    op.create_index("ix_inbox_events_held", "inbox_events", ["id"], postgresql_where=sa.text("status = 'HELD'"))
    op.create_table(
        "inbox_cursors",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("read_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_inbox_cursors")),
    )
    op.create_table(
        "reconciliation_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("after", sa.String(), nullable=True),
        sa.Column("compared", postgresql.JSONB(), nullable=False),
        sa.Column("healed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reported", sa.Integer(), server_default="0", nullable=False),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('RUNNING', 'DONE', 'FAILED')", name=op.f("ck_reconciliation_runs_status_known")
        ),
        sa.CheckConstraint(
            "(status = 'RUNNING') = (finished_at IS NULL)", name=op.f("ck_reconciliation_runs_runs_until_finished")
        ),
        sa.CheckConstraint("since < until", name=op.f("ck_reconciliation_runs_begins_before_it_ends")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation_runs")),
    )
    op.create_index(
        "ix_reconciliation_runs_one",
        "reconciliation_runs",
        ["status"],
        unique=True,
        postgresql_where=sa.text("status = 'RUNNING'"),
    )
    op.create_table(
        "reconciliation_findings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("ours", postgresql.JSONB(), nullable=False),
        sa.Column("stripes", postgresql.JSONB(), nullable=False),
        sa.Column("says", sa.String(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("action IN ('HEALED', 'REPORTED')", name=op.f("ck_reconciliation_findings_action_known")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["reconciliation_runs.id"], name=op.f("fk_reconciliation_findings_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation_findings")),
        sa.UniqueConstraint(
            "run_id", "kind", "object_id", name=op.f("uq_reconciliation_findings_run_id_kind_object_id")
        ),
    )
    op.create_index("ix_reconciliation_findings_run_id_id", "reconciliation_findings", ["run_id", "id"])


def downgrade() -> None:
    op.drop_table("reconciliation_findings")
    op.drop_table("reconciliation_runs")
    op.drop_table("inbox_cursors")
    op.drop_index("ix_inbox_events_held", "inbox_events")
    for name in INBOX:
        op.drop_index(name, "inbox_events")
