"""Search over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Query

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text
from pm_api.domains.search import service
from pm_api.domains.search.enums import Kind
from pm_api.domains.search.schemas import SearchAnswer
from pm_api.identity.guards import require_account

router = api_router(tag="search")

QUESTION_LENGTH: Final = 200


@router.get("/search", operation_id="search", openapi_extra=raises(InvalidCursor))
async def search(
    scope: Annotated[AccountScope, Depends(require_account("search.read"))],
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    q: Annotated[
        Text,
        Query(
            description=(
                'What to look for: words that must all occur; `"words in quotes"` stand in that order, `-word` must '
                "not occur, `or` parts alternatives. The last word stands for all that begin with it. Case and "
                "accents do not matter. A task's key (`WEB-42`) finds that task first."
            ),
            min_length=1,
            max_length=QUESTION_LENGTH,
            examples=["launch plan"],
        ),
    ],
    _workspace_id: Annotated[
        UUID | None,
        Query(alias="workspaceId", description="Only in this workspace; without it in all of yours."),
    ] = None,
    kinds: Annotated[
        list[Kind] | None, Query(description="Only these kinds, each named once; all without it.", max_length=7)
    ] = None,
    project_id: Annotated[
        UUID | None,
        Query(alias="projectId", description="Only in this project. One you may not see has nothing in it."),
    ] = None,
) -> SearchAnswer:
    """Projects, tasks, comments, messages, bug reports and events you may see, the best first, with the words marked.

    The newest 500 that fit are ranked together; the pages after them hold the 500 before, ranked among themselves,
    and so on. A question without any word (punctuation alone, or only what must not occur) finds nothing. Of very
    long texts the first 20,000 characters are searched; without `workspaceId` the 50 workspaces you joined last. An
    API key finds only the kinds it may read.
    """
    return await service.find(
        session, platform, scope, page, text=q, kinds=frozenset(kinds or ()), project_id=project_id
    )
