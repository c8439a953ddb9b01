"""Trying out a recurrence, over HTTP."""

from typing import Annotated

from fastapi import Depends

from pm_api.core.actor import UserScope
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.core.recurrence.errors import ADMISSION, RuleEmpty
from pm_api.domains.calendar import previewing
from pm_api.domains.calendar.schemas.previews import RulePreview, RulePreviewRequest
from pm_api.identity.guards import signed_in_or_key

router = api_router(tag="calendar")


@router.post(
    "/calendar/recurrence/preview",
    operation_id="previewRecurrence",
    openapi_extra=raises(*(one for one in ADMISSION if one is not RuleEmpty)),
)
async def preview_recurrence(
    scope: Annotated[UserScope, Depends(signed_in_or_key("calendar"))],
    platform: PlatformDep,
    wanted: RulePreviewRequest,
) -> RulePreview:
    """What a recurrence gives: its first occurrences, the rule in words, and what may surprise. Nothing is kept.

    Up to 1,000 occurrences, all of them unless `count` asks for fewer. An empty rule is told as a warning; what else
    no event may have is refused, as it is when an event is made.
    """
    return await previewing.answer(platform, scope, wanted)
