"""What somebody who leaves a workspace leaves in its conversations."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.messages.repository import leaving as repository
from pm_api.identity.belongings import Belonging, Leaver, register

MESSAGES_STAY: Final = "They stay where they were said, under the person's name."
GROUPS_STAY: Final = "The others go on in them; where nobody manages one, whoever has been in it longest does."


async def _messages(session: AsyncSession, _platform: Platform, leaver: Leaver) -> int:
    return await repository.count_written(session, leaver.workspace_id, leaver.user_id)


async def _groups(session: AsyncSession, _platform: Platform, leaver: Leaver) -> int:
    return await repository.count_groups(session, leaver.workspace_id, leaver.user_id)


register(Belonging("messages", MESSAGES_STAY, _messages))
register(Belonging("message_groups", GROUPS_STAY, _groups))
