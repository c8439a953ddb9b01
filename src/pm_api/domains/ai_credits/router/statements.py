"""Routes of statements and of the history as a file."""

from typing import Annotated, Final

from fastapi import Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from pm_api.core.actor import CreditScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Timestamp
from pm_api.domains.ai_credits import history_export, statements
from pm_api.domains.ai_credits.enums import EntryType, Service
from pm_api.domains.ai_credits.errors import InvalidMonth, StatementNotFound, StatementUnprovable
from pm_api.domains.ai_credits.history_export import Filters
from pm_api.domains.ai_credits.router.ledger import MemberParameter, WorkspaceParameter
from pm_api.domains.ai_credits.schemas.insight import ExportFormat
from pm_api.domains.ai_credits.schemas.ledger import CreditEntryRead
from pm_api.domains.ai_credits.schemas.statements import StatementAnswer
from pm_api.identity.guards import require_account

CSV_MEDIA_TYPE: Final = "text/csv; charset=utf-8"
JSON_MEDIA_TYPE: Final = "application/json"

router = api_router(tag="ai credits")


@router.get(
    "/credits/statements/{month}",
    operation_id="getCreditStatement",
    response_model=StatementAnswer,
    openapi_extra=raises(InvalidMonth, StatementNotFound, StatementUnprovable),
)
async def get_credit_statement(
    scope: Annotated[CreditScope, Depends(require_account("credits.verify", leads=True))],
    platform: PlatformDep,
    session: SessionDep,
    month: Annotated[str, Path(description="A UTC calendar month, `yyyy-mm`.", examples=["2026-11"])],
    part: Annotated[int, Query(ge=1, le=1_000_000, description="Which part of a long month.")] = 1,
    _workspace_id: WorkspaceParameter = None,
) -> Response:
    """A signed statement of one month: every line with its hash, checkable offline by anybody with the public key.

    Of a pool it needs `credits.verify`, for it shows what every member did.
    """
    document = await statements.statement(session, platform, scope, month, part)
    return Response(document.content, media_type=JSON_MEDIA_TYPE, headers=_as_file(document.name))


@router.get(
    "/credits/history/export",
    operation_id="exportCreditHistory",
    response_class=Response,
    responses={
        200: {
            "description": "The book, newest line first.",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                JSON_MEDIA_TYPE: {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "entries": {
                                "type": "array",
                                "items": {"$ref": f"#/components/schemas/{CreditEntryRead.__name__}"},
                            }
                        },
                        "required": ["entries"],
                    }
                },
            },
        }
    },
)
async def export_credit_history(
    scope: Annotated[CreditScope, Depends(require_account("credits.read", leads=True))],
    platform: PlatformDep,
    format: Annotated[ExportFormat, Query(description="csv for a spreadsheet, json for a program.")],
    _workspace_id: WorkspaceParameter = None,
    service_name: Annotated[Service | None, Query(alias="service", description="Only this service.")] = None,
    entry_type: Annotated[EntryType | None, Query(alias="type", description="Only this kind of entry.")] = None,
    member_id: MemberParameter = None,
    since: Annotated[Timestamp | None, Query(alias="from", description="From here on, included.")] = None,
    until: Annotated[Timestamp | None, Query(alias="to", description="Up to here, not included.")] = None,
) -> StreamingResponse:
    """The whole history (or what the filters leave of it) as a file, however long it is.

    Of a pool it has what `GET /api/credits/history` shows you.
    """
    filters = Filters(service=service_name, type=entry_type, member_id=member_id, since=since, until=until)
    content = await history_export.export(platform, scope, filters, format)
    media_type = CSV_MEDIA_TYPE if format is ExportFormat.CSV else JSON_MEDIA_TYPE
    return StreamingResponse(content, media_type=media_type, headers=_as_file(f"credit-history.{format}"))


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
