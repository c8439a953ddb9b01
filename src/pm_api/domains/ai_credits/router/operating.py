"""Routes by which an operator reads any account."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query

from pm_api.core.actor import AdminScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Timestamp
from pm_api.domains.ai_credits import balances, explaining, operating, verification
from pm_api.domains.ai_credits.enums import EntryType, Service
from pm_api.domains.ai_credits.errors import CreditAccountNotFound, EntryNotFound
from pm_api.domains.ai_credits.schemas.explaining import ExplanationAnswer
from pm_api.domains.ai_credits.schemas.ledger import BalanceAnswer, History, VerificationAnswer
from pm_api.identity.guards import operator

router = api_router(tag="ai credits")

Operator = Annotated[AdminScope, Depends(operator)]
AccountId = Annotated[UUID, Path(description="The id of a wallet's user, a pool's workspace, or a lead.")]


@router.get(
    "/admin/credits/accounts/{account_id}",
    operation_id="readCreditAccount",
    openapi_extra=raises(CreditAccountNotFound),
)
async def read_credit_account(
    scope: Operator, platform: PlatformDep, session: SessionDep, account_id: AccountId
) -> BalanceAnswer:
    """What any account has now, lot by lot. That you read it is put on record."""
    account = await operating.scope_of_account(platform, scope, account_id)
    # Noted after it was read: what begins with the note is no longer a reading of one moment.
    found = await balances.balance(session, platform, account)
    operating.note(session, platform, scope, account, "balance")
    return BalanceAnswer(balance=found)


@router.get(
    "/admin/credits/accounts/{account_id}/history",
    operation_id="readCreditHistory",
    openapi_extra=raises(CreditAccountNotFound, InvalidCursor),
)
async def read_credit_history(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    account_id: AccountId,
    page: Annotated[PageRequest, Depends(page_request)],
    service_name: Annotated[Service | None, Query(alias="service", description="Only this service.")] = None,
    entry_type: Annotated[EntryType | None, Query(alias="type", description="Only this kind of entry.")] = None,
    member_id: Annotated[UUID | None, Query(alias="memberId", description="Only what this user did.")] = None,
    since: Annotated[Timestamp | None, Query(alias="from", description="From here on, included.")] = None,
    until: Annotated[Timestamp | None, Query(alias="to", description="Up to here, not included.")] = None,
) -> History:
    """Any account's book, newest line first, everybody's lines. That you read it is put on record."""
    account = await operating.scope_of_account(platform, scope, account_id)
    operating.note(session, platform, scope, account, "history")
    return await balances.history(
        session,
        platform,
        account,
        page,
        service=service_name,
        type=entry_type,
        member_id=member_id,
        since=since,
        until=until,
    )


@router.get(
    "/admin/credits/accounts/{account_id}/verify",
    operation_id="verifyCreditAccount",
    openapi_extra=raises(CreditAccountNotFound),
)
async def verify_credit_account(
    scope: Operator, platform: PlatformDep, session: SessionDep, account_id: AccountId
) -> VerificationAnswer:
    """Prove any account's book from its raw lines. That you read it is put on record."""
    account = await operating.scope_of_account(platform, scope, account_id)
    proof = await verification.verify(session, platform, account)
    operating.note(session, platform, scope, account, "proof")
    return VerificationAnswer(verification=proof)


@router.get(
    "/admin/credits/entries/{entry_id}/explain",
    operation_id="explainAnyCreditEntry",
    openapi_extra=raises(EntryNotFound),
)
async def explain_any_credit_entry(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    entry_id: Annotated[UUID, Path(description="A line of any book.")],
) -> ExplanationAnswer:
    """Why any line is as it is. That you read it is put on record."""
    account = await operating.scope_of_entry(platform, scope, entry_id)
    found = await explaining.explain(session, account, entry_id)
    operating.note(session, platform, scope, account, "explanation", entry=str(entry_id))
    return ExplanationAnswer(explanation=found)
