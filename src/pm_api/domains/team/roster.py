"""The team as a file: members, then who is invited. Read stretch by stretch, each on a short reading of its own."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from pm_api.core.actor import WorkspaceScope
from pm_api.core.paging import MAX_LIMIT, PageRequest
from pm_api.core.platform import Platform
from pm_api.core.spreadsheets import csv_document
from pm_api.domains.team import people
from pm_api.domains.team.enums import MemberStatus, TeamFormat
from pm_api.domains.team.schemas import TeamMemberRead, TeamMembersAnswer
from pm_api.identity import audit
from pm_api.identity.permissions import Role

HEADER: Final = ("name", "email", "role", "status", "joinedAt", "invitedAt", "userId", "id")
HEADER_LINE: Final = csv_document(HEADER, ())


async def export(
    platform: Platform, scope: WorkspaceScope, format: TeamFormat, role: Role | None
) -> AsyncIterator[bytes]:
    """The file; that it was taken stands in the audit log. What fails at its beginning is told before it begins."""
    first = await _stretch(platform, scope, role, MemberStatus.ACTIVE, None)
    async with platform.database.transaction() as session:
        audit.record(
            session,
            platform,
            scope.actor,
            "team.exported",
            subject=("workspace", scope.workspace_id),
            workspace_id=scope.workspace_id,
            format=format,
        )
    return _written(platform, scope, format, role, first)


async def _written(
    platform: Platform, scope: WorkspaceScope, format: TeamFormat, role: Role | None, page: TeamMembersAnswer
) -> AsyncIterator[bytes]:
    as_csv = format is TeamFormat.CSV
    yield HEADER_LINE.encode() if as_csv else b'{"members":['
    begun, status = False, MemberStatus.ACTIVE
    while True:
        if page.members:
            yield _lines(page.members) if as_csv else _objects(page.members, begun=begun)
            begun = True
        if page.next_cursor is not None:
            page = await _stretch(platform, scope, role, status, page.next_cursor)
        elif status is MemberStatus.ACTIVE:
            status = MemberStatus.INVITED
            page = await _stretch(platform, scope, role, status, None)
        else:
            break
    if not as_csv:
        yield b"]}"


async def _stretch(
    platform: Platform, scope: WorkspaceScope, role: Role | None, status: MemberStatus, cursor: str | None
) -> TeamMembersAnswer:
    async with platform.database.reading() as session:
        wanted = PageRequest(MAX_LIMIT, cursor)
        return await people.list_of(session, platform, scope, wanted, prefix=None, role=role, status=status)


def _lines(rows: Sequence[TeamMemberRead]) -> bytes:
    """Without the header, which stands above the first of them only."""
    cells = [[form[name] for name in HEADER] for form in (row.model_dump(mode="json") for row in rows)]
    return csv_document(HEADER, cells).removeprefix(HEADER_LINE).encode()


def _objects(rows: Sequence[TeamMemberRead], *, begun: bool) -> bytes:
    return (b"," if begun else b"") + b",".join(row.model_dump_json().encode() for row in rows)
