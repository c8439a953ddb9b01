"""What of the team's is somebody's: invitations they have sent, and those to their address."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.personal import Leaving, ends, hands_out
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.team import repository
from pm_api.domains.team.models import Invitation
from pm_api.identity import audit
from pm_api.identity.belongings import Belonging, Leaver, register
from pm_api.identity.permissions import Role


async def _count(session: AsyncSession, platform: Platform, leaver: Leaver) -> int:
    return await repository.count_sent_by(session, leaver.workspace_id, leaver.user_id, platform.clock.now())


async def _hand_over(session: AsyncSession, platform: Platform, leaver: Leaver, to_user_id: UUID) -> int:
    """From now on they are another's invitations, whose name a letter that is sent again bears."""
    moved = await repository.reassign(session, leaver.workspace_id, leaver.user_id, to_user_id, platform.clock.now())
    for row in moved:
        audit.record(
            session,
            platform,
            leaver.actor,
            "invitation.reassigned",
            subject=("invitation", row.id),
            workspace_id=leaver.workspace_id,
            to_user_id=str(to_user_id),
        )
        changes.record(
            session,
            platform,
            workspace_id=leaver.workspace_id,
            entity="invitation",
            entity_id=row.id,
            action="reassigned",
            version=row.version,
            least_role=Role.ADMIN,
            actor_user_id=leaver.actor.user_id,
        )
    return len(moved)


register(
    Belonging(
        kind="invitations",
        stays="They stay good until they expire; an admin can withdraw them.",
        count=_count,
        hand_over=_hand_over,
    )
)

hands_out(
    Invitation,
    "invitations.json",
    "Invitations you sent and those you accepted, without the addresses of others.",
    of=("invited_by", "accepted_by"),
    without={"email", "letter_id"},
)


@ends("team", order=30)
async def forget_their_address(platform: Platform, leaving: Leaving) -> None:
    """Invitations to whoever is gone lead nowhere, also those to an address they had before."""
    async with platform.database.transaction() as session:
        await repository.forget_addresses(session, leaving.addresses)
