"""The letter of an invitation, written when it is sent: its token is derived at that moment."""

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.team import links, reading, repository
from pm_api.domains.team.enums import InvitationStatus
from pm_api.integrations.mail import Recipient
from pm_api.outbox.letters import letter
from pm_api.outbox.service import Claim, Composed, Unwanted


async def compose(session: AsyncSession, platform: Platform, claimed: Claim) -> Composed | Unwanted:
    """To the address it is bound to; not sent any more once it was replaced, answered, withdrawn or has expired."""
    found = await repository.by_letter(session, claimed.subject_id)
    if found is None:
        return Unwanted("replaced")
    row, workspace = found.invitation, found.workspace
    status = reading.status_of(row, platform.clock.now())
    if status is not InvitationStatus.PENDING:
        return Unwanted(status.lower())
    if workspace.deleted_at is not None:
        return Unwanted("workspace_deleted")
    token = links.token_behind(platform.keys, row.letter_id, row.token_hash)
    if token is None:
        return Unwanted("key_rolled_out")
    return Composed(
        Recipient(row.email),
        letter(
            platform,
            type="team.invitation",
            title=f"{found.inviter_name} invites you to {workspace.name}",
            body=f"{found.inviter_name} would like you to join the workspace {workspace.name}.\n"
            f"You would come in as {row.role}, with the address {row.email}.",
            reason=f"{found.inviter_name} entered this address to invite you.",
            link=f"{links.PATH}{token}",
            data={"workspaceName": workspace.name, "linkExpiresAt": written(row.expires_at)},
        ),
    )
