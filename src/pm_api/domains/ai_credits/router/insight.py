"""Routes that tell what usage means: forecast, analytics, suggestions, boards, badges."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Response

from pm_api.core.actor import CreditScope, UserScope, WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Timestamp
from pm_api.core.spreadsheets import CSV_MEDIA_TYPE, csv_document
from pm_api.domains.ai_credits import insight, leaderboards
from pm_api.domains.ai_credits.enums import EntryType, Service
from pm_api.domains.ai_credits.errors import InvalidPeriod
from pm_api.domains.ai_credits.router.ledger import WorkspaceParameter
from pm_api.domains.ai_credits.schemas.insight import (
    Achievements,
    AnalyticsAnswer,
    BoardPeriod,
    ExportFormat,
    ForecastAnswer,
    GroupBy,
    LeaderboardAnswer,
    Suggestions,
)
from pm_api.identity.guards import require, require_account, signed_in_or_key

router = api_router(tag="ai credits")


@router.get("/credits/forecast", operation_id="getCreditForecast")
async def get_credit_forecast(
    scope: Annotated[CreditScope, Depends(require_account("credits.read", leads=True))],
    platform: PlatformDep,
    session: SessionDep,
    _workspace_id: WorkspaceParameter = None,
) -> ForecastAnswer:
    """When credits run out and which expire unused, knowing lots, renewals and open holds."""
    return ForecastAnswer(forecast=await insight.forecast_of(session, platform, scope))


@router.get(
    "/credits/analytics",
    operation_id="getCreditAnalytics",
    response_model=AnalyticsAnswer,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    openapi_extra=raises(InvalidPeriod, Forbidden),
)
async def get_credit_analytics(
    scope: Annotated[CreditScope, Depends(require_account("credits.read", leads=True))],
    platform: PlatformDep,
    session: SessionDep,
    _workspace_id: WorkspaceParameter = None,
    since: Annotated[
        Timestamp | None,
        Query(alias="from", description="From the beginning of this UTC day; absent: 30 days before `to`."),
    ] = None,
    until: Annotated[
        Timestamp | None,
        Query(alias="to", description="Up to here, to the end of the UTC day it falls in; absent: with today."),
    ] = None,
    service_name: Annotated[Service | None, Query(alias="service", description="Only this service.")] = None,
    entry_type: Annotated[
        EntryType | None, Query(alias="type", description="What lines of this kind moved; absent: usage, net.")
    ] = None,
    member_id: Annotated[
        UUID | None,
        Query(alias="memberId", description="Only this user; in a pool others than you need credits.manage."),
    ] = None,
    group_by: Annotated[
        GroupBy | None, Query(alias="groupBy", description="Only these rows; absent: all three (CSV: by day).")
    ] = None,
    export: Annotated[
        ExportFormat, Query(alias="format", description="`csv` for a file with one table.")
    ] = ExportFormat.JSON,
) -> AnalyticsAnswer | Response:
    """Usage by service, member and day, at most 400 days, against the time of equal length before."""
    as_csv = export is ExportFormat.CSV
    wanted = group_by or (GroupBy.DAY if as_csv else None)
    read = await insight.analytics(
        session,
        platform,
        scope,
        since=since,
        until=until,
        service=service_name,
        type=entry_type,
        member_id=member_id,
        group_by=wanted,
    )
    if as_csv and wanted is not None:
        named = {"Content-Disposition": f'attachment; filename="credits-by-{wanted}.csv"'}
        return Response(csv_document(*insight.table(read, wanted)), media_type=CSV_MEDIA_TYPE, headers=named)
    return AnalyticsAnswer(analytics=read)


@router.get("/credits/suggestions", operation_id="listCreditSuggestions")
async def list_credit_suggestions(
    scope: Annotated[CreditScope, Depends(require_account("credits.read", leads=True))],
    platform: PlatformDep,
    session: SessionDep,
    _workspace_id: WorkspaceParameter = None,
) -> Suggestions:
    """Ways to get more out of the credits."""
    return Suggestions(suggestions=await insight.suggestions(session, platform, scope))


@router.get("/credits/leaderboard", operation_id="getCreditLeaderboard")
async def get_credit_leaderboard(
    scope: Annotated[WorkspaceScope, Depends(require("credits.read", of="workspaces", at="workspaceId"))],
    platform: PlatformDep,
    session: SessionDep,
    _workspace_id: Annotated[UUID, Query(alias="workspaceId", description="The workspace.")],
    period: Annotated[BoardPeriod, Query(description="The UTC calendar period at hand.")] = BoardPeriod.MONTH,
) -> LeaderboardAnswer:
    """Who earned and who spent most; empty with `enabled: false` where the workspace has switched it off."""
    return LeaderboardAnswer(leaderboard=await leaderboards.leaderboard(session, platform, scope, period))


@router.get("/credits/achievements", operation_id="listCreditAchievements")
async def list_credit_achievements(
    scope: Annotated[UserScope, Depends(signed_in_or_key("credits"))],
    platform: PlatformDep,
    session: SessionDep,
) -> Achievements:
    """Your badges."""
    return Achievements(achievements=await leaderboards.achievements(session, platform, scope))
