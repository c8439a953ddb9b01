"""Files that are part of what was said: uploaded for a message, put on it as it is posted, gone with it.

Who sees the conversation sees them, nobody else. A message has no more files than it was posted with: their uploader,
and who manages the conversation, may take one off, or bring it back from the trash.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.messages import conversations, recording
from pm_api.domains.messages.models import Conversation
from pm_api.domains.messages.repository import messages as repository
from pm_api.domains.storage import destinations
from pm_api.domains.storage import service as storage
from pm_api.domains.storage.destinations import Destination, Passage
from pm_api.domains.storage.enums import FileType
from pm_api.domains.storage.errors.places import NotAPlaceForFiles
from pm_api.domains.storage.schemas.files import AttachedFile


async def attach(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    row: Conversation,
    message_id: UUID,
    file_ids: Collection[UUID],
) -> list[AttachedFile]:
    """Put the caller's new files on a message that is about to be posted; raises what `storage.claim_new` refuses.

    Call it before anything of the conversation is held: the account's counters come first.
    """
    place = Destination(row.scope_id, None, row.project_id, message_id)
    return await storage.claim_new(session, platform, scope, file_ids, place, FileType.MESSAGE_ATTACHMENT)


async def note(session: AsyncSession, platform: Platform, passage: Passage) -> None:
    """A file has come off its message, or back to it: it is shown otherwise now, and is told of. Of one that is being
    posted there is nothing to tell yet.
    """
    if passage.message_id is None:
        return
    touched = await repository.touch(session, passage.message_id, platform.clock.now())
    if touched is not None:
        recording.message_by(session, platform, touched, "updated", passage.actor_user_id)


async def ensure_open(session: AsyncSession, place: Destination) -> None:
    """Raises ConversationArchived or ProjectArchived, as for a change of the message."""
    row = await repository.conversation_of(session, place.message_id) if place.message_id is not None else None
    if row is not None:
        await conversations.ensure_writable(session, row)


async def closed(session: AsyncSession, places: Collection[Destination]) -> set[Destination]:
    """Those on messages of archived conversations and projects."""
    ids = {one.message_id for one in places if one.message_id is not None}
    shut = await repository.closed_among(session, ids)
    return {one for one in places if one.message_id in shut}


async def _with_its_message(
    session: AsyncSession, platform: Platform, scope: AccountScope, *, task_id: UUID | None, project_id: UUID | None
) -> Destination:
    """Nothing is put on a message that was posted."""
    del session, platform, scope, task_id, project_id
    raise NotAPlaceForFiles("Upload it without a place, and name it in the `fileIds` of the message.")


destinations.register(FileType.MESSAGE_ATTACHMENT, _with_its_message, listener=note, gate=ensure_open, look=closed)
