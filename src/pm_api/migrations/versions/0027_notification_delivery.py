"""When notifications are mailed: digests, quiet hours, reminders."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

DELIVERY_KNOWN = "delivery IN ('INSTANT', 'HOURLY', 'DAILY', 'WEEKLY')"


def upgrade() -> None:
    op.create_table(
        "notification_mailings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("delivery", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(DELIVERY_KNOWN, name=op.f("ck_notification_mailings_delivery_known")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_notification_mailings_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_mailings")),
        sa.UniqueConstraint(
            "user_id", "delivery", "due_at", name=op.f("uq_notification_mailings_user_id_delivery_due_at")
        ),
    )
    op.create_index("ix_notification_mailings_created_at", "notification_mailings", ["created_at"])
    for column in (
        sa.Column("woken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mail_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivery", sa.String(), nullable=True),
        sa.Column("mailing_id", sa.Uuid(), nullable=True),
    ):
        op.add_column("notifications", column)
    op.create_foreign_key(
        op.f("fk_notifications_mailing_id"),
        "notifications",
        "notification_mailings",
        ["mailing_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_check_constraint(
        op.f("ck_notifications_delivery_while_mail_waits"),
        "notifications",
        "(mail_due_at IS NULL) = (delivery IS NULL)",
    )
    op.create_check_constraint(op.f("ck_notifications_delivery_known"), "notifications", DELIVERY_KNOWN)
    op.create_index(
        "ix_notifications_mail_due",
        "notifications",
        ["mail_due_at", "user_id"],
        postgresql_where=sa.text("mail_due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_mail_waits",
        "notifications",
        ["user_id", "delivery"],
        postgresql_where=sa.text("mail_due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_mailing_id",
        "notifications",
        ["mailing_id", "id"],
        postgresql_where=sa.text("mailing_id IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_asleep",
        "notifications",
        ["snoozed_until", "id"],
        postgresql_where=sa.text("snoozed_until IS NOT NULL"),
    )
    op.create_index("ix_notifications_created_at", "notifications", ["created_at"])
    for preference in (
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_to", sa.Time(), nullable=True),
        sa.Column("digest_hour", sa.BigInteger(), server_default=sa.text("8"), nullable=False),
        sa.Column("digest_weekday", sa.String(), server_default="MONDAY", nullable=False),
        sa.Column("inactivity_days", sa.BigInteger(), nullable=True),
        sa.Column("inactivity_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("notification_preferences", preference)
    for name, rule in (
        (
            "quiet_hours_whole",
            "(quiet_from IS NULL) = (quiet_to IS NULL) AND (quiet_from IS NULL OR quiet_from <> quiet_to)",
        ),
        ("digest_hour_of_a_day", "digest_hour BETWEEN 0 AND 23"),
        ("inactivity_days_sensible", "inactivity_days BETWEEN 7 AND 90"),
        ("inactivity_since_when_on", "(inactivity_days IS NULL) = (inactivity_since IS NULL)"),
    ):
        op.create_check_constraint(op.f(f"ck_notification_preferences_{name}"), "notification_preferences", rule)
    op.create_index(
        "ix_notification_preferences_reminded",
        "notification_preferences",
        ["user_id"],
        postgresql_where=sa.text("inactivity_days IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_notification_preferences_reminded", table_name="notification_preferences")
    for name in (
        "inactivity_since_when_on",
        "inactivity_days_sensible",
        "digest_hour_of_a_day",
        "quiet_hours_whole",
    ):
        op.drop_constraint(op.f(f"ck_notification_preferences_{name}"), "notification_preferences")
    for column in (
        "reminded_at",
        "inactivity_since",
        "inactivity_days",
        "digest_weekday",
        "digest_hour",
        "quiet_to",
        "quiet_from",
    ):
        op.drop_column("notification_preferences", column)
    for index in (
        "ix_notifications_created_at",
        "ix_notifications_asleep",
        "ix_notifications_mailing_id",
        "ix_notifications_mail_waits",
        "ix_notifications_mail_due",
    ):
        op.drop_index(index, table_name="notifications")
    op.drop_constraint(op.f("ck_notifications_delivery_known"), "notifications")
    op.drop_constraint(op.f("ck_notifications_delivery_while_mail_waits"), "notifications")
    op.drop_constraint(op.f("fk_notifications_mailing_id"), "notifications")
    for column in ("mailing_id", "delivery", "mail_due_at", "woken_at"):
        op.drop_column("notifications", column)
    op.drop_index("ix_notification_mailings_created_at", table_name="notification_mailings")
    op.drop_table("notification_mailings")
