"""What is found: the words of one thing, and where it belongs."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pm_api.domains.search.enums import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Found are 500 characters of a title and 20,000 of a body. A project gives its `key` ("WEB"), a task its
    `number`: together they are an answer's `key` ("WEB-42"). With a `parent_id` it is found only while the parent's
    document is there; with an `owner_user_id` only that member and the workspace's admins find it.
    """

    kind: Kind
    entity_id: UUID
    workspace_id: UUID
    scope_id: UUID | None
    title: str
    body: str
    updated_at: datetime
    project_id: UUID | None = None
    parent_id: UUID | None = None
    owner_user_id: UUID | None = None
    key: str | None = None
    number: int | None = None
