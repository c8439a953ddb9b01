"""Tables of search."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Sequence, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, personal

POSITIONS: Final = Sequence("search_positions", metadata=Base.metadata)


class SearchDocument(Base):
    """The words of one thing. `position` rises with each new document and stays with it: it tells new from old.

    `words` holds them as `words.py` writes them, each behind its workspace's tag, and beside them marks of where the
    document belongs, so that one index answers "these words, of this tenant, among the newest". A document with a
    parent is found as long as the parent's own document is there.
    """

    __tablename__ = "search_documents"
    __table_args__ = (
        # Without the list of pending entries, which every search would read from end to end.
        Index("ix_search_documents_words", "words", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        Index("ix_search_documents_workspace_id_position", "workspace_id", "position"),
        Index("ix_search_documents_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index(
            "ix_search_documents_owner_user_id",
            "owner_user_id",
            postgresql_where=text("owner_user_id IS NOT NULL"),
        ),
        Index("ix_search_documents_project_id_number", "project_id", "number"),
        Index("ix_search_documents_key", "workspace_id", "key", postgresql_where=text("key IS NOT NULL")),
    )

    kind: Mapped[str] = mapped_column(primary_key=True)
    entity_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int]
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    parent_id: Mapped[UUID | None]
    # Whose it is, where only they and the workspace's admins see it.
    owner_user_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id"), info=personal("deleted", of="owner_user_id")
    )
    key: Mapped[str | None]
    number: Mapped[int | None]
    title: Mapped[str] = mapped_column(info=personal("deleted", of="workspace_id"))
    body: Mapped[str] = mapped_column(info=personal("deleted", of="workspace_id"))
    words: Mapped[Any] = mapped_column(TSVECTOR, info=personal("deleted", of="workspace_id"))
    updated_at: Mapped[datetime]


class SearchHiddenProject(Base):
    """A project of which nothing is found, because it is deleted: one row, however much is in it."""

    __tablename__ = "search_hidden_projects"

    project_id: Mapped[UUID] = mapped_column(primary_key=True)
