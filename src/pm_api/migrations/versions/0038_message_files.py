"""Files on messages, and screenshots of bug reports."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

TYPES = "'TASK_ATTACHMENT', 'USER_AVATAR', 'PROJECT_ASSET', 'WORKSPACE_LOGO', 'TEMPORARY_UPLOAD', 'DRIVE_CACHE'"
COUNTERS = (
    "task_attachments",
    "project_assets",
    "workspace_logos",
    "user_avatars",
    "temporary_files",
    "drive_cache",
    "old_versions",
    "trash",
)


def _counted(counters: tuple[str, ...]) -> dict[str, str]:
    return {
        "never_below_nothing": f"least(reserved, {', '.join(counters)}) >= 0",
        "is_the_sum_of_its_parts": f"total_used = {' + '.join(counters)}",
    }


def _check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def upgrade() -> None:
    op.add_column(
        "storage_usage",
        sa.Column("message_attachments", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    for name, condition in _counted((*COUNTERS[:2], "message_attachments", *COUNTERS[2:])).items():
        _check("storage_usage", name, condition)
    op.add_column("files", sa.Column("message_id", sa.Uuid(), nullable=True))
    # Its files are put on a message before it takes its number, which others wait for.
    op.create_foreign_key(
        op.f("fk_files_message_id"),
        "files",
        "messages",
        ["message_id"],
        ["id"],
        ondelete="SET NULL",
        initially="DEFERRED",
        deferrable=True,
    )
    op.create_index(
        "ix_files_message_id",
        "files",
        ["message_id", "id"],
        unique=False,
        postgresql_where=sa.text("message_id IS NOT NULL"),
    )
    _check("files", "file_type_known", f"file_type IN ({TYPES}, 'MESSAGE_ATTACHMENT', 'BUG_SCREENSHOT')")
    op.add_column("bug_reports", sa.Column("screenshot_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_bug_reports_screenshot_id"), "bug_reports", "files", ["screenshot_id"], ["id"], ondelete="SET NULL"
    )
    op.create_index("ix_bug_reports_screenshot_id", "bug_reports", ["screenshot_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_bug_reports_screenshot_id", table_name="bug_reports")
    op.drop_constraint(op.f("fk_bug_reports_screenshot_id"), "bug_reports", type_="foreignkey")
    op.drop_column("bug_reports", "screenshot_id")
    # What had a place that there is no more is its uploader's, and stays.
    op.execute(
        "UPDATE files SET file_type = 'TEMPORARY_UPLOAD', scope_id = NULL, project_id = NULL"
        " WHERE file_type IN ('MESSAGE_ATTACHMENT', 'BUG_SCREENSHOT')"
    )
    op.execute("UPDATE stored_objects SET charged_as = 'TEMPORARY_FILES' WHERE charged_as = 'MESSAGE_ATTACHMENTS'")
    op.execute(
        "UPDATE storage_usage SET temporary_files = temporary_files + message_attachments, message_attachments = 0"
    )
    _check("files", "file_type_known", f"file_type IN ({TYPES})")
    op.drop_index("ix_files_message_id", table_name="files", postgresql_where=sa.text("message_id IS NOT NULL"))
    op.drop_constraint(op.f("fk_files_message_id"), "files", type_="foreignkey")
    op.drop_column("files", "message_id")
    for name in _counted(COUNTERS):
        op.drop_constraint(op.f(f"ck_storage_usage_{name}"), "storage_usage", type_="check")
    op.drop_column("storage_usage", "message_attachments")
    for name, condition in _counted(COUNTERS).items():
        op.create_check_constraint(op.f(f"ck_storage_usage_{name}"), "storage_usage", condition)
