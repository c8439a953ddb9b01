"""Routes of pools: settings, caps, usage of members, requests for more."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Timestamp
from pm_api.core.spreadsheets import CSV_MEDIA_TYPE, csv_document
from pm_api.domains.ai_credits import pool_requests, pool_usage, pools
from pm_api.domains.ai_credits.enums import CapWindow, Service
from pm_api.domains.ai_credits.errors import (
    InvalidPeriod,
    NoCapToRaise,
    NothingLastingToGrant,
    PoolRequestAlreadyDecided,
    TooManyCaps,
    TooManyPoolRequests,
    UnknownCapSubject,
)
from pm_api.domains.ai_credits.router.ledger import WorkspaceParameter
from pm_api.domains.ai_credits.schemas.insight import ExportFormat
from pm_api.domains.ai_credits.schemas.pools import (
    CapAnswer,
    CapWrite,
    PoolAnswer,
    PoolRequestAnswer,
    PoolRequestApproval,
    PoolRequestCreate,
    PoolRequestRefusal,
    PoolRequests,
    PoolRequestStatus,
    PoolUpdate,
    PoolUsage,
)
from pm_api.identity.guards import require, require_account

router = api_router(tag="ai credits")

PoolParameter = Annotated[UUID, Query(alias="workspaceId", description="The workspace whose pool is meant.")]
Subject = Annotated[
    str,
    Path(
        max_length=100,
        description="`member:<user id>`, `role:<ROLE>` or `service:<SERVICE>`.",
        examples=["role:MEMBER"],
    ),
]
RequestId = Annotated[UUID, Path(description="Id of the request.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
SERVICES = (*sorted(Service), "OTHER")


@router.get("/credits/pool", operation_id="getCreditPool", responses={200: ETAG_HEADER})
async def get_credit_pool(
    scope: Annotated[AccountScope, Depends(require_account("credits.read"))],
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    _workspace_id: WorkspaceParameter = None,
) -> PoolAnswer:
    """Settings of a workspace's pool or of your own wallet, what it has, and its caps with what was used of them."""
    answer = PoolAnswer(pool=await pools.pool(session, platform, scope))
    response.headers["ETag"] = pools.snapshot_tag(answer.pool.version, answer.model_dump_json())
    return answer


@router.patch(
    "/credits/pool",
    operation_id="updateCreditPool",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(PreconditionFailed, InvalidIfMatch),
)
async def update_credit_pool(
    scope: Annotated[AccountScope, Depends(require_account("credits.manage"))],
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    expected_version: ExpectedVersion,
    change: PoolUpdate,
    _workspace_id: WorkspaceParameter = None,
) -> PoolAnswer:
    """Change settings of a workspace's pool, or of your own wallet."""
    read = await pools.update_settings(session, platform, scope, change, expected_version)
    answer = PoolAnswer(pool=read)
    response.headers["ETag"] = pools.snapshot_tag(read.version, answer.model_dump_json())
    return answer


@router.put(
    "/credits/pool/caps/{subject}",
    operation_id="putCreditCap",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(UnknownCapSubject, TooManyCaps, PreconditionFailed, InvalidIfMatch),
)
async def put_credit_cap(
    scope: Annotated[WorkspaceScope, Depends(require("credits.manage", of="workspaces", at="workspaceId"))],
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    subject: Subject,
    expected_version: ExpectedVersion,
    wanted: CapWrite,
    _workspace_id: PoolParameter,
) -> CapAnswer:
    """Limit a member, each person of a role, or a service; a member's own cap stands in place of their role's."""
    cap = await pools.put_cap(session, platform, scope, subject, wanted, expected_version)
    response.headers["ETag"] = entity_tag(cap.version)
    return CapAnswer(cap=cap)


@router.delete(
    "/credits/pool/caps/{subject}",
    operation_id="deleteCreditCap",
    status_code=204,
    openapi_extra=raises(UnknownCapSubject, NotFound, PreconditionFailed, InvalidIfMatch),
)
async def delete_credit_cap(
    scope: Annotated[WorkspaceScope, Depends(require("credits.manage", of="workspaces", at="workspaceId"))],
    platform: PlatformDep,
    session: SessionDep,
    subject: Subject,
    expected_version: ExpectedVersion,
    _workspace_id: PoolParameter,
    window: Annotated[CapWindow | None, Query(description="Which window; absent: both.")] = None,
) -> None:
    """Lift a cap."""
    await pools.delete_cap(session, platform, scope, subject, window, expected_version)


@router.get(
    "/credits/pool/usage",
    operation_id="getCreditPoolUsage",
    response_model=PoolUsage,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    openapi_extra=raises(InvalidPeriod, InvalidCursor),
)
async def get_credit_pool_usage(
    scope: Annotated[WorkspaceScope, Depends(require("credits.manage", of="workspaces", at="workspaceId"))],
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: PoolParameter,
    since: Annotated[
        Timestamp | None,
        Query(alias="from", description="From the beginning of this UTC day; absent: 30 days before `to`."),
    ] = None,
    until: Annotated[
        Timestamp | None,
        Query(alias="to", description="Up to here, to the end of the UTC day it falls in; absent: with today."),
    ] = None,
    export: Annotated[
        ExportFormat, Query(alias="format", description="`csv` for a file with everybody, at most 10,000 people.")
    ] = ExportFormat.JSON,
) -> PoolUsage | Response:
    """Who used how much of the pool, at most 400 days."""
    if export is ExportFormat.JSON:
        return await pool_usage.usage(session, platform, scope, page, since, until)
    everybody = await pool_usage.usage_of_all(session, platform, scope, since, until)
    rows = [
        (
            *(one.user_id, one.name, one.email, one.credits, one.refunded, one.net),
            *(one.by_service.get(service, 0) for service in SERVICES),
        )
        for one in everybody
    ]
    header = ("userId", "name", "email", "credits", "refunded", "net", *SERVICES)
    return Response(
        csv_document(header, rows),
        media_type=CSV_MEDIA_TYPE,
        headers={"Content-Disposition": 'attachment; filename="credits-by-member.csv"'},
    )


@router.get("/credits/pool/requests", operation_id="listCreditPoolRequests", openapi_extra=raises(InvalidCursor))
async def list_credit_pool_requests(
    scope: Annotated[WorkspaceScope, Depends(require("credits.read", of="workspaces", at="workspaceId"))],
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: PoolParameter,
    status: Annotated[PoolRequestStatus | None, Query(description="Only these.")] = None,
) -> PoolRequests:
    """What members asked for, newest first; without credits.manage your own requests alone."""
    return await pool_requests.list_of(session, platform, scope, page, status)


@router.post(
    "/credits/pool/requests",
    operation_id="createCreditPoolRequest",
    status_code=201,
    responses={201: answers_with("Location", "ETag")},
    openapi_extra=raises(TooManyPoolRequests, NoCapToRaise),
)
async def create_credit_pool_request(
    scope: Annotated[WorkspaceScope, Depends(require("credits.spend", of="workspaces", at="workspaceId"))],
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    wanted: PoolRequestCreate,
) -> PoolRequestAnswer:
    """Ask the admins for more; at most 20 undecided requests a member."""
    made = await pool_requests.create(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/credits/pool/requests/{made.id}"
    response.headers["ETag"] = entity_tag(made.version)
    return PoolRequestAnswer(request=made)


@router.get(
    "/credits/pool/requests/{pool_request_id}",
    operation_id="getCreditPoolRequest",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_credit_pool_request(
    scope: Annotated[WorkspaceScope, Depends(require("credits.read", of="credit_pool_requests"))],
    session: SessionDep,
    response: Response,
    pool_request_id: RequestId,
) -> PoolRequestAnswer:
    """What was asked for, and what became of it; without credits.manage only what you asked for."""
    found = await pool_requests.read(session, scope, pool_request_id)
    response.headers["ETag"] = entity_tag(found.version)
    return PoolRequestAnswer(request=found)


@router.post(
    "/credits/pool/requests/{pool_request_id}/approve",
    operation_id="approveCreditPoolRequest",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        NotFound,
        PoolRequestAlreadyDecided,
        NothingLastingToGrant,
        NoCapToRaise,
        TooManyCaps,
        PreconditionFailed,
        InvalidIfMatch,
    ),
)
async def approve_credit_pool_request(
    scope: Annotated[WorkspaceScope, Depends(require("credits.manage", of="credit_pool_requests"))],
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    pool_request_id: RequestId,
    expected_version: ExpectedVersion,
    wanted: PoolRequestApproval,
) -> PoolRequestAnswer:
    """Grant what a member asked for. Their cap is raised for the present window, or for good with `lasting`; a
    request for CREDITS moves none: an admin agrees, and the pool is filled by buying credits or a plan.
    """
    decided = await pool_requests.approve(session, platform, scope, pool_request_id, wanted, expected_version)
    response.headers["ETag"] = entity_tag(decided.version)
    return PoolRequestAnswer(request=decided)


@router.post(
    "/credits/pool/requests/{pool_request_id}/decline",
    operation_id="declineCreditPoolRequest",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, PoolRequestAlreadyDecided, PreconditionFailed, InvalidIfMatch),
)
async def decline_credit_pool_request(
    scope: Annotated[WorkspaceScope, Depends(require("credits.manage", of="credit_pool_requests"))],
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    pool_request_id: RequestId,
    expected_version: ExpectedVersion,
    wanted: PoolRequestRefusal,
) -> PoolRequestAnswer:
    """Turn a member's request down."""
    decided = await pool_requests.decline(session, platform, scope, pool_request_id, wanted, expected_version)
    response.headers["ETag"] = entity_tag(decided.version)
    return PoolRequestAnswer(request=decided)
