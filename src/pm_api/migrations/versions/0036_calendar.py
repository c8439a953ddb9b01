"""The calendar: events, who comes, rooms and feeds."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

# By which the agenda finds what starts or is due in a range; for due tasks there is an index already.
OF_THE_AGENDA = (("tasks", "start_on"), ("tasks", "start_at"), ("projects", "starts_on"), ("projects", "due_on"))

# A room's lock keeps bookings apart everywhere; where the server has the extension, it says so itself too.
NEVER_TWICE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'btree_gist') THEN
        CREATE EXTENSION IF NOT EXISTS btree_gist;
        ALTER TABLE calendar_bookings ADD CONSTRAINT ex_calendar_bookings_never_twice
            EXCLUDE USING gist (resource_id WITH =, tstzrange(starts_at, ends_at) WITH &&);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'btree_gist may not be created by this user; bookings are kept apart by the lock of their room';
END
$$
"""


def _around_the_events() -> None:
    for table, column in OF_THE_AGENDA:
        op.create_index(
            f"ix_{table}_workspace_id_{column}",
            table,
            ["workspace_id", column, "id"],
            unique=False,
            postgresql_where=sa.text(f"deleted_at IS NULL AND {column} IS NOT NULL"),
        )
    op.create_table(
        "calendar_zone_tables",
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("tzdata_version", sa.String(), nullable=False),
        sa.Column("offsets", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("zone", "tzdata_version", name=op.f("pk_calendar_zone_tables")),
    )


def upgrade() -> None:
    _around_the_events()
    op.create_table(
        "calendar_resources",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("capacity > 0", name=op.f("ck_calendar_resources_holds_somebody")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_resources_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_resources")),
        sa.UniqueConstraint("workspace_id", "name", name=op.f("uq_calendar_resources_workspace_id_name")),
    )
    op.create_index(
        "ix_calendar_resources_workspace_id_id", "calendar_resources", ["workspace_id", "id"], unique=False
    )
    op.create_table(
        "calendar_working_hours",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("days", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_calendar_working_hours_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_calendar_working_hours")),
    )
    op.create_table(
        "calendar_homes",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_calendar_homes_scope_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_homes_workspace_id")),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_calendar_homes")),
        sa.UniqueConstraint("scope_id", name=op.f("uq_calendar_homes_scope_id")),
    )
    op.create_table(
        "calendar_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("visibility", sa.String(), nullable=False),
        sa.Column("show_as", sa.String(), nullable=False),
        sa.Column("all_day", sa.Boolean(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("starts_wall", sa.DateTime(), nullable=False),
        sa.Column("ends_wall", sa.DateTime(), nullable=False),
        sa.Column("span_days", sa.Integer(), nullable=False),
        sa.Column("span_seconds", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rrule", sa.String(), nullable=True),
        sa.Column("rdates", sa.ARRAY(sa.DateTime()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("exdates", sa.ARRAY(sa.DateTime()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("counted_end", sa.DateTime(), nullable=True),
        sa.Column("series_starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("series_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reached_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tzdata_version", sa.String(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("previous_series_id", sa.Uuid(), nullable=True),
        sa.Column("organizer_user_id", sa.Uuid(), nullable=False),
        sa.Column("created_by_user_id", sa.Uuid(), nullable=False),
        sa.Column("guests_can_invite", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "show_as IN ('BUSY', 'TENTATIVE', 'OOO', 'FREE')", name=op.f("ck_calendar_events_show_as_known")
        ),
        sa.CheckConstraint(
            "type IN ('MEETING', 'CALL', 'DEADLINE', 'REMINDER')", name=op.f("ck_calendar_events_type_known")
        ),
        sa.CheckConstraint(
            "visibility IN ('DEFAULT', 'PRIVATE', 'CONFIDENTIAL')", name=op.f("ck_calendar_events_visibility_known")
        ),
        sa.CheckConstraint(
            "series_starts_at <= series_ends_at", name=op.f("ck_calendar_events_series_ends_after_it_starts")
        ),
        sa.CheckConstraint("starts_at <= ends_at", name=op.f("ck_calendar_events_ends_after_it_starts")),
        sa.ForeignKeyConstraint(
            ["created_by_user_id"], ["users.id"], name=op.f("fk_calendar_events_created_by_user_id")
        ),
        sa.ForeignKeyConstraint(
            ["organizer_user_id"], ["users.id"], name=op.f("fk_calendar_events_organizer_user_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_calendar_events_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_calendar_events_scope_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_events_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_events")),
        sa.UniqueConstraint("workspace_id", "uid", name=op.f("uq_calendar_events_workspace_id_uid")),
    )
    op.create_index("ix_calendar_events_created_by_user_id", "calendar_events", ["created_by_user_id"], unique=False)
    op.create_index("ix_calendar_events_organizer_user_id", "calendar_events", ["organizer_user_id"], unique=False)
    op.create_index(
        "ix_calendar_events_previous_series_id",
        "calendar_events",
        ["previous_series_id"],
        unique=False,
        postgresql_where=sa.text("previous_series_id IS NOT NULL"),
    )
    op.create_index(
        "ix_calendar_events_project_id",
        "calendar_events",
        ["project_id"],
        unique=False,
        postgresql_where=sa.text("project_id IS NOT NULL"),
    )
    op.create_index("ix_calendar_events_reached_until_id", "calendar_events", ["reached_until", "id"], unique=False)
    op.create_index("ix_calendar_events_scope_id", "calendar_events", ["scope_id"], unique=False)
    op.create_index(
        "ix_calendar_events_workspace_id_dense",
        "calendar_events",
        ["workspace_id"],
        unique=False,
        postgresql_where=sa.text("rrule ~ 'BY(HOUR|MINUTE|SECOND)=[0-9]+,' OR cardinality(rdates) > 500"),
    )
    op.create_index(
        "ix_calendar_events_workspace_id_reached_until",
        "calendar_events",
        ["workspace_id", "reached_until"],
        unique=False,
        postgresql_where=sa.text("reached_until IS NOT NULL"),
    )
    op.create_index(
        "ix_calendar_events_workspace_id_starts_at_id",
        "calendar_events",
        ["workspace_id", "starts_at", "id"],
        unique=False,
    )
    op.create_table(
        "calendar_feeds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_calendar_feeds_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_calendar_feeds_user_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_feeds_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_feeds")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_calendar_feeds_token_hash")),
    )
    op.create_index(
        "ix_calendar_feeds_project_id",
        "calendar_feeds",
        ["project_id"],
        unique=False,
        postgresql_where=sa.text("project_id IS NOT NULL"),
    )
    op.create_index("ix_calendar_feeds_user_id_id", "calendar_feeds", ["user_id", "id"], unique=False)
    op.create_index("ix_calendar_feeds_workspace_id", "calendar_feeds", ["workspace_id"], unique=False)
    op.create_table(
        "calendar_attendees",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("name", sa.String(), server_default="", nullable=False),
        sa.Column("only_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_optional", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("response", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), server_default="", nullable=False),
        sa.Column("proposed_starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("proposed_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("responded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_told", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint(
            "response IN ('PENDING', 'ACCEPTED', 'DECLINED', 'TENTATIVE')",
            name=op.f("ck_calendar_attendees_response_known"),
        ),
        sa.CheckConstraint(
            "(proposed_starts_at IS NULL) = (proposed_ends_at IS NULL)",
            name=op.f("ck_calendar_attendees_proposed_wholly"),
        ),
        sa.CheckConstraint(
            "(user_id IS NULL) <> (email IS NULL)", name=op.f("ck_calendar_attendees_member_or_address")
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["calendar_events.id"], name=op.f("fk_calendar_attendees_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_calendar_attendees_user_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_attendees_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_attendees")),
        sa.UniqueConstraint(
            "event_id",
            "user_id",
            "email",
            "only_at",
            name=op.f("uq_calendar_attendees_event_id_user_id_email_only_at"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "ix_calendar_attendees_user_id_workspace_id",
        "calendar_attendees",
        ["user_id", "workspace_id", "event_id"],
        unique=False,
        postgresql_where=sa.text("user_id IS NOT NULL"),
    )
    op.create_index("ix_calendar_attendees_workspace_id", "calendar_attendees", ["workspace_id"], unique=False)
    op.create_table(
        "calendar_bookings",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("original_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("starts_at <= ends_at", name=op.f("ck_calendar_bookings_ends_after_it_starts")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["calendar_events.id"], name=op.f("fk_calendar_bookings_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["calendar_resources.id"],
            name=op.f("fk_calendar_bookings_resource_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_bookings_workspace_id")),
        sa.PrimaryKeyConstraint("resource_id", "event_id", "original_at", name=op.f("pk_calendar_bookings")),
    )
    op.create_index("ix_calendar_bookings_event_id", "calendar_bookings", ["event_id"], unique=False)
    op.create_index(
        "ix_calendar_bookings_resource_id_ends_at",
        "calendar_bookings",
        ["resource_id", "ends_at", "starts_at"],
        unique=False,
    )
    op.create_index(op.f("ix_calendar_bookings_workspace_id"), "calendar_bookings", ["workspace_id"], unique=False)
    op.create_table(
        "calendar_event_resources",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("booked_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["calendar_events.id"],
            name=op.f("fk_calendar_event_resources_event_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["calendar_resources.id"],
            name=op.f("fk_calendar_event_resources_resource_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_event_resources_workspace_id")
        ),
        sa.PrimaryKeyConstraint("event_id", "resource_id", name=op.f("pk_calendar_event_resources")),
    )
    op.create_index(
        "ix_calendar_event_resources_booked_until",
        "calendar_event_resources",
        ["booked_until"],
        unique=False,
        postgresql_where=sa.text("booked_until IS NOT NULL"),
    )
    op.create_index(
        "ix_calendar_event_resources_resource_id", "calendar_event_resources", ["resource_id"], unique=False
    )
    op.create_index(
        "ix_calendar_event_resources_workspace_id", "calendar_event_resources", ["workspace_id"], unique=False
    )
    op.create_table(
        "calendar_overrides",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("original_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("original_wall", sa.DateTime(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("cancelled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("all_day", sa.Boolean(), nullable=True),
        sa.Column("time_zone", sa.String(), nullable=True),
        sa.Column("starts_wall", sa.DateTime(), nullable=True),
        sa.Column("ends_wall", sa.DateTime(), nullable=True),
        sa.Column("span_days", sa.Integer(), nullable=True),
        sa.Column("span_seconds", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("sequence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(starts_wall IS NULL) = (starts_at IS NULL)", name=op.f("ck_calendar_overrides_moved_wholly")
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["calendar_events.id"], name=op.f("fk_calendar_overrides_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_overrides_workspace_id")),
        sa.PrimaryKeyConstraint("event_id", "original_at", name=op.f("pk_calendar_overrides")),
    )
    op.create_index(op.f("ix_calendar_overrides_workspace_id"), "calendar_overrides", ["workspace_id"], unique=False)
    op.create_table(
        "calendar_reach",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("week", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["calendar_events.id"], name=op.f("fk_calendar_reach_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "week", "event_id", name=op.f("pk_calendar_reach")),
    )
    op.create_index("ix_calendar_reach_event_id", "calendar_reach", ["event_id"], unique=False)
    op.create_table(
        "calendar_reminders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("only_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("minutes_before", sa.Integer(), nullable=True),
        sa.Column("channel", sa.String(), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_original_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("channel IN ('IN_APP', 'MAIL')", name=op.f("ck_calendar_reminders_channel_known")),
        sa.CheckConstraint("minutes_before BETWEEN 0 AND 40320", name=op.f("ck_calendar_reminders_minutes_in_range")),
        sa.CheckConstraint(
            "(minutes_before IS NULL) = (channel IS NULL)", name=op.f("ck_calendar_reminders_said_wholly")
        ),
        sa.CheckConstraint(
            "minutes_before IS NOT NULL OR (only_at IS NOT NULL AND next_at IS NULL)",
            name=op.f("ck_calendar_reminders_never_of_one_alone"),
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["calendar_events.id"], name=op.f("fk_calendar_reminders_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_calendar_reminders_user_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_reminders_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_reminders")),
        sa.UniqueConstraint(
            "event_id",
            "user_id",
            "only_at",
            "minutes_before",
            "channel",
            name="uq_calendar_reminders_once",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "ix_calendar_reminders_next_at_id",
        "calendar_reminders",
        ["next_at", "id"],
        unique=False,
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_index("ix_calendar_reminders_user_id", "calendar_reminders", ["user_id"], unique=False)
    op.create_index("ix_calendar_reminders_workspace_id", "calendar_reminders", ["workspace_id"], unique=False)
    op.create_table(
        "calendar_snoozes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("original_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["calendar_events.id"], name=op.f("fk_calendar_snoozes_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_calendar_snoozes_user_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_snoozes_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_snoozes")),
        sa.UniqueConstraint(
            "event_id",
            "user_id",
            "original_at",
            name=op.f("uq_calendar_snoozes_event_id_user_id_original_at"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("ix_calendar_snoozes_due_at_id", "calendar_snoozes", ["due_at", "id"], unique=False)
    op.create_index("ix_calendar_snoozes_user_id", "calendar_snoozes", ["user_id"], unique=False)
    op.create_index("ix_calendar_snoozes_workspace_id", "calendar_snoozes", ["workspace_id"], unique=False)
    op.create_table(
        "calendar_answers",
        sa.Column("attendee_id", sa.Uuid(), nullable=False),
        sa.Column("original_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("response", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), server_default="", nullable=False),
        sa.Column("proposed_starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("proposed_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("uninvited", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("responded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "response IN ('PENDING', 'ACCEPTED', 'DECLINED', 'TENTATIVE')",
            name=op.f("ck_calendar_answers_response_known"),
        ),
        sa.ForeignKeyConstraint(
            ["attendee_id"],
            ["calendar_attendees.id"],
            name=op.f("fk_calendar_answers_attendee_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["calendar_events.id"], name=op.f("fk_calendar_answers_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_answers_workspace_id")),
        sa.PrimaryKeyConstraint("attendee_id", "original_at", name=op.f("pk_calendar_answers")),
    )
    op.create_index(
        "ix_calendar_answers_event_id_original_at", "calendar_answers", ["event_id", "original_at"], unique=False
    )
    op.create_index(op.f("ix_calendar_answers_workspace_id"), "calendar_answers", ["workspace_id"], unique=False)

    op.create_table(
        "calendar_letters",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("attendee_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("about_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("occasion", sa.LargeBinary(), nullable=False),
        sa.Column("words", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("calendar", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("method IN ('REQUEST', 'CANCEL')", name=op.f("ck_calendar_letters_method_known")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_calendar_letters_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_letters")),
    )
    op.create_index("ix_calendar_letters_attendee_id_id", "calendar_letters", ["attendee_id", "id"], unique=False)
    op.create_index("ix_calendar_letters_created_at", "calendar_letters", ["created_at"], unique=False)
    op.create_index("ix_calendar_letters_workspace_id", "calendar_letters", ["workspace_id"], unique=False)

    op.execute(NEVER_TWICE)


def downgrade() -> None:
    op.drop_index("ix_calendar_letters_workspace_id", table_name="calendar_letters")
    op.drop_index("ix_calendar_letters_created_at", table_name="calendar_letters")
    op.drop_index("ix_calendar_letters_attendee_id_id", table_name="calendar_letters")
    op.drop_table("calendar_letters")
    op.drop_index(op.f("ix_calendar_answers_workspace_id"), table_name="calendar_answers")
    op.drop_index("ix_calendar_answers_event_id_original_at", table_name="calendar_answers")
    op.drop_table("calendar_answers")
    op.drop_index("ix_calendar_snoozes_workspace_id", table_name="calendar_snoozes")
    op.drop_index("ix_calendar_snoozes_user_id", table_name="calendar_snoozes")
    op.drop_index("ix_calendar_snoozes_due_at_id", table_name="calendar_snoozes")
    op.drop_table("calendar_snoozes")
    op.drop_index("ix_calendar_reminders_workspace_id", table_name="calendar_reminders")
    op.drop_index("ix_calendar_reminders_user_id", table_name="calendar_reminders")
    op.drop_index(
        "ix_calendar_reminders_next_at_id",
        table_name="calendar_reminders",
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.drop_table("calendar_reminders")
    op.drop_index("ix_calendar_reach_event_id", table_name="calendar_reach")
    op.drop_table("calendar_reach")
    op.drop_index(op.f("ix_calendar_overrides_workspace_id"), table_name="calendar_overrides")
    op.drop_table("calendar_overrides")
    op.drop_index("ix_calendar_event_resources_workspace_id", table_name="calendar_event_resources")
    op.drop_index("ix_calendar_event_resources_resource_id", table_name="calendar_event_resources")
    op.drop_index(
        "ix_calendar_event_resources_booked_until",
        table_name="calendar_event_resources",
        postgresql_where=sa.text("booked_until IS NOT NULL"),
    )
    op.drop_table("calendar_event_resources")
    op.drop_index(op.f("ix_calendar_bookings_workspace_id"), table_name="calendar_bookings")
    op.drop_index("ix_calendar_bookings_resource_id_ends_at", table_name="calendar_bookings")
    op.drop_index("ix_calendar_bookings_event_id", table_name="calendar_bookings")
    op.drop_table("calendar_bookings")
    op.drop_index("ix_calendar_attendees_workspace_id", table_name="calendar_attendees")
    op.drop_index(
        "ix_calendar_attendees_user_id_workspace_id",
        table_name="calendar_attendees",
        postgresql_where=sa.text("user_id IS NOT NULL"),
    )
    op.drop_table("calendar_attendees")
    op.drop_index("ix_calendar_feeds_workspace_id", table_name="calendar_feeds")
    op.drop_index("ix_calendar_feeds_user_id_id", table_name="calendar_feeds")
    op.drop_index(
        "ix_calendar_feeds_project_id",
        table_name="calendar_feeds",
        postgresql_where=sa.text("project_id IS NOT NULL"),
    )
    op.drop_table("calendar_feeds")
    op.drop_index("ix_calendar_events_workspace_id_starts_at_id", table_name="calendar_events")
    op.drop_index(
        "ix_calendar_events_workspace_id_reached_until",
        table_name="calendar_events",
        postgresql_where=sa.text("reached_until IS NOT NULL"),
    )
    op.drop_index(
        "ix_calendar_events_workspace_id_dense",
        table_name="calendar_events",
        postgresql_where=sa.text("rrule ~ 'BY(HOUR|MINUTE|SECOND)=[0-9]+,' OR cardinality(rdates) > 500"),
    )
    op.drop_index("ix_calendar_events_scope_id", table_name="calendar_events")
    op.drop_index("ix_calendar_events_reached_until_id", table_name="calendar_events")
    op.drop_index(
        "ix_calendar_events_project_id",
        table_name="calendar_events",
        postgresql_where=sa.text("project_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_calendar_events_previous_series_id",
        table_name="calendar_events",
        postgresql_where=sa.text("previous_series_id IS NOT NULL"),
    )
    op.drop_index("ix_calendar_events_organizer_user_id", table_name="calendar_events")
    op.drop_index("ix_calendar_events_created_by_user_id", table_name="calendar_events")
    op.drop_table("calendar_events")
    op.drop_table("calendar_homes")
    op.drop_table("calendar_working_hours")
    op.drop_table("calendar_zone_tables")
    op.drop_index("ix_calendar_resources_workspace_id_id", table_name="calendar_resources")
    op.drop_table("calendar_resources")
    for table, column in reversed(OF_THE_AGENDA):
        op.drop_index(
            f"ix_{table}_workspace_id_{column}",
            table_name=table,
            postgresql_where=sa.text(f"deleted_at IS NULL AND {column} IS NOT NULL"),
        )
