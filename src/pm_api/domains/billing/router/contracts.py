"""Routes of contracts, for operators."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Response

from pm_api.core.actor import AdminScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.ai_credits.errors import BalanceLimitExceeded
from pm_api.domains.billing import contracts
from pm_api.domains.billing.errors import (
    ContractBegun,
    ContractNotFound,
    InvalidContract,
    PlanNotForAccount,
    SubscriptionExists,
)
from pm_api.domains.billing.schemas.contracts import ContractAnswer, ContractWrite
from pm_api.entitlements.enums import AccountType
from pm_api.identity.guards import operator

router = api_router(tag="billing")

ADDRESS = "/admin/accounts/{account_type}/{account_id}/contract"
Operator = Annotated[AdminScope, Depends(operator)]
TypeOfAccount = Annotated[AccountType, Path(description="Whose: a user's, or a workspace's.")]
AccountId = Annotated[UUID, Path(description="The user or the workspace.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]


@router.get(ADDRESS, operation_id="getContract", responses={200: ETAG_HEADER}, openapi_extra=raises(ContractNotFound))
async def get_contract(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    account_type: TypeOfAccount,
    account_id: AccountId,
) -> ContractAnswer:
    """The contract an account has, or is to have."""
    found = await contracts.get(session, platform, scope, (account_type, account_id))
    # It begins by the clock, without a new version.
    response.headers["ETag"] = sight_tag(found.version, found.model_dump_json())
    return ContractAnswer(contract=found)


@router.put(
    ADDRESS,
    operation_id="putContract",
    responses={
        200: ETAG_HEADER,
        201: {"model": ContractAnswer, "description": "The account had none.", **answers_with("Location", "ETag")},
    },
    openapi_extra=raises(
        NotFound,
        PlanNotForAccount,
        InvalidContract,
        SubscriptionExists,
        ContractBegun,
        BalanceLimitExceeded,
        PreconditionFailed,
        InvalidIfMatch,
    ),
)
async def put_contract(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    account_type: TypeOfAccount,
    account_id: AccountId,
    expected_version: ExpectedVersion,
    wanted: ContractWrite,
) -> ContractAnswer:
    """Set what was agreed upon with an account: its limits from `startsAt` to `endsAt`, its credits month by month.

    What is changed later takes effect at once, but for the number of credits, which is another from the next month
    on. The price is kept for the record and for invoices; no card is charged.
    """
    account = (account_type, account_id)
    made, is_new = await contracts.put(session, platform, scope, account, wanted, expected_version)
    response.headers["ETag"] = sight_tag(made.version, made.model_dump_json())
    if is_new:
        response.status_code = 201
        response.headers["Location"] = f"/api/admin/accounts/{account_type}/{account_id}/contract"
    return ContractAnswer(contract=made)


@router.delete(
    ADDRESS,
    operation_id="endContract",
    status_code=204,
    openapi_extra=raises(NotFound, ContractNotFound, PreconditionFailed, InvalidIfMatch),
)
async def end_contract(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    account_type: TypeOfAccount,
    account_id: AccountId,
    expected_version: ExpectedVersion,
) -> None:
    """End a contract now. The limits are the free plan's from here on; credits stay until they expire."""
    await contracts.end(session, platform, scope, (account_type, account_id), expected_version)
