"""The audit log as admins read it: page by page, or as a file."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import orjson
from pydantic.alias_generators import to_camel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.core.spreadsheets import csv_document
from pm_api.identity.models.people import AuditEntry
from pm_api.identity.repository import audit as repository
from pm_api.identity.repository.audit import AuditFilters
from pm_api.identity.schemas.audit import AuditAnswer, AuditEntryRead

LISTED: Final = "audit"
FIELDS: Final = "fields"
STRETCH: Final = 500
HEADER: Final = (
    *("id", "createdAt", "action", "actorKind", "actorUserId", "actorKeyId", "actorName"),
    *("subjectType", "subjectId", "details", "requestId"),
)
HEADER_LINE: Final = csv_document(HEADER, ())


async def list_of(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, page: PageRequest, filters: AuditFilters
) -> AuditAnswer:
    """A page of a workspace's log, newest first."""
    bound = {
        "workspace": scope.workspace_id,
        "action": filters.action,
        "actor": filters.actor_user_id,
        "subjectType": filters.subject_type,
        "subjectId": filters.subject_id,
        "since": filters.since,
        "until": filters.until,
    }
    key = platform.cursors.decode(page.cursor, of=LISTED, **bound)
    rows = await repository.entries_of(
        session, scope.workspace_id, filters, limit=page.limit + 1, after=UUID(key[0]) if key else None
    )
    shown = rows[: page.limit]
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    return AuditAnswer(
        entries=[_read(*row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, **bound),
    )


async def export(platform: Platform, scope: WorkspaceScope, filters: AuditFilters) -> AsyncIterator[bytes]:
    """The log as CSV, newest first; read stretch by stretch, so that nothing is held while the client is slow. The
    first stretch is read before this returns, so that what fails then is told.
    """
    first = await _stretch(platform, scope, filters, None)
    return _written(platform, scope, filters, first)


async def _written(
    platform: Platform, scope: WorkspaceScope, filters: AuditFilters, rows: Sequence[AuditEntryRead]
) -> AsyncIterator[bytes]:
    yield HEADER_LINE.encode()
    while rows:
        yield csv_document(HEADER, [_cells(row) for row in rows]).removeprefix(HEADER_LINE).encode()
        rows = await _stretch(platform, scope, filters, rows[-1].id) if len(rows) == STRETCH else ()


async def _stretch(
    platform: Platform, scope: WorkspaceScope, filters: AuditFilters, after: UUID | None
) -> list[AuditEntryRead]:
    async with platform.database.reading() as session:
        rows = await repository.entries_of(session, scope.workspace_id, filters, limit=STRETCH, after=after)
        return [_read(*row) for row in rows]


def _cells(row: AuditEntryRead) -> tuple[object, ...]:
    form = row.model_dump(mode="json")
    return tuple(orjson.dumps(form[name]).decode() if name == "details" else form[name] for name in HEADER)


def on_the_wire(details: Mapping[str, Any]) -> dict[str, Any]:
    """Names as they are everywhere else outside; so are the names of fields that were changed."""
    return {to_camel(name): _outside(name, value) for name, value in details.items()}


def _outside(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return on_the_wire(value)
    if isinstance(value, list):
        return [to_camel(one) if name == FIELDS and isinstance(one, str) else _outside("", one) for one in value]
    return value


def _read(row: AuditEntry, actor_name: str | None) -> AuditEntryRead:
    return AuditEntryRead(
        id=row.id,
        created_at=row.created_at,
        action=row.action,
        actor_kind=row.actor_kind,
        actor_user_id=row.actor_user_id,
        actor_key_id=row.actor_key_id,
        actor_name=actor_name,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        details=on_the_wire(row.details),
        request_id=row.request_id,
    )
