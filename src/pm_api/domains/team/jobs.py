"""Jobs of the team: its letters, what its people leave behind, and what is forgotten."""

from datetime import timedelta
from typing import Final

from pm_api.core.events import on
from pm_api.core.jobs import JobContext, periodic
from pm_api.domains.team import departing, mails, repository, telling
from pm_api.domains.team.inviting import MAIL_KIND
from pm_api.identity.events import MemberChanged
from pm_api.outbox.service import composes

KEPT: Final = timedelta(days=30)
AT_A_TIME: Final = 1000

assert departing, "what people leave behind is counted only when this module is loaded"

composes(MAIL_KIND)(mails.compose)


@on(MemberChanged)
async def tell_member(context: JobContext, event: MemberChanged) -> None:
    """Once for each event, however often this runs."""
    async with context.platform.database.transaction() as session:
        await telling.member_changed(session, context.platform, event)


@periodic("team.forget_invitations", "51 * * * *")
async def forget_invitations(context: JobContext) -> None:
    """Addresses that were invited are forgotten 30 days after they answered, or could have."""
    platform = context.platform
    before, gone = platform.clock.now() - KEPT, AT_A_TIME
    while gone == AT_A_TIME:
        async with platform.database.transaction() as session:
            gone = await repository.forget_old(session, before, limit=AT_A_TIME)
