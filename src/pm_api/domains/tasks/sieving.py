"""Filters at work: what was sent becomes a condition on tasks, for whoever asks."""

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import zone_or_utc
from pm_api.domains.tasks.filtering import parse
from pm_api.domains.tasks.repository import filtering as repository
from pm_api.domains.tasks.repository.filtering import Asker


async def condition(
    session: AsyncSession, platform: Platform, scope: AccountScope, sent: object
) -> ColumnElement[bool]:
    """The condition that a filter (its text, or its JSON) sets on `Task`; raises InvalidFilter. Sight is not in it:
    whoever asks adds `repository.tasks.in_sight`. Relative dates are those of now, in the zone of the caller.
    """
    wanted = parse(sent)
    name = await repository.zone_of(session, scope.user_id)
    return repository.where(wanted, Asker(scope, platform.clock.now(), zone_or_utc(name or "UTC")))
