"""What files keep of their versions: the last number that was given, and each version's own type. What objects keep of
their bytes being lost. And an index by which somebody's uploads under way are counted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

UNDER_WAY = sa.text("state IN ('OPEN', 'FINISHING')")


def upgrade() -> None:
    # Files from before count on from the numbers that their versions have; their types are what their objects say.
    op.add_column(
        "files", sa.Column("last_version_number", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("file_versions", sa.Column("media_type", sa.String(), nullable=True))
    op.add_column("stored_objects", sa.Column("doubted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_upload_sessions_under_way",
        "upload_sessions",
        ["account_id", "user_id"],
        unique=False,
        postgresql_where=UNDER_WAY,
    )


def downgrade() -> None:
    op.drop_index("ix_upload_sessions_under_way", table_name="upload_sessions", postgresql_where=UNDER_WAY)
    op.drop_column("stored_objects", "doubted_at")
    op.drop_column("file_versions", "media_type")
    op.drop_column("files", "last_version_number")
