"""Pictures of people and marks of workspaces: taken in, made square and small, and put on.

What somebody sends is never kept: only what was made of its pixels. A picture has a public address with 128 random
bits; the next one has another, so an address may be cached for ever and tells nothing once its picture is gone.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import BinaryIO, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, UserScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.storage import finishing, objects, quotas, renditions, trash
from pm_api.domains.storage.accounts import Account, account_of
from pm_api.domains.storage.destinations import Destination
from pm_api.domains.storage.enums import FileType, UploadWay
from pm_api.domains.storage.errors.pictures import NotAPicture, PictureBroken, PictureNotFound, PictureTooLarge
from pm_api.domains.storage.imaging import NOT_A_PICTURE, TOO_LARGE, Fit, NotInTime, Rendering, Studio, Unreadable
from pm_api.domains.storage.models import StoredFile
from pm_api.domains.storage.repository import pictures as repository
from pm_api.domains.storage.repository.pictures import Source
from pm_api.domains.storage.schemas.pictures import PictureRead, PictureSize
from pm_api.domains.storage.sessions import NewUpload
from pm_api.entitlements.enums import AccountType
from pm_api.identity import pictures as identity
from pm_api.identity import workspaces
from pm_api.integrations.blobs import BlobDoor, BlobMissing

PATH: Final = "/api/storage/pictures/"
MOST_BYTES: Final = 10 << 20
TOKEN_BYTES: Final = 16
WEBP: Final = "image/webp"
WHOLE: Final = PictureSize.WHOLE
SIZES: Final = tuple(int(one) for one in sorted(PictureSize, reverse=True))
UNWORN_FOR: Final = timedelta(hours=1)
AT_A_TIME: Final = 100
SOON_S: Final = 5
FIT: Final = {FileType.USER_AVATAR: Fit.COVER, FileType.WORKSPACE_LOGO: Fit.CONTAIN}
NAME: Final = {FileType.USER_AVATAR: "avatar.webp", FileType.WORKSPACE_LOGO: "logo.webp"}


async def put_on_avatar(platform: Platform, scope: UserScope, sent: BinaryIO) -> PictureRead:
    """Somebody's picture from now on; the one before is gone at once. Raises NotAPicture, PictureTooLarge,
    PictureBroken, StorageQuotaExceeded and StorageUnavailable. It opens transactions of its own.
    """
    file, made = await _taken_in(platform, scope, FileType.USER_AVATAR, sent)
    async with platform.database.transaction() as session:
        path = await _put_on(session, platform, scope, file)
    return await _shown(platform, file, made, path)


async def put_on_logo(platform: Platform, scope: WorkspaceScope, sent: BinaryIO) -> PictureRead:
    """A workspace's mark from now on; raises the same, and what `workspaces.set_logo` does."""
    file, made = await _taken_in(platform, scope, FileType.WORKSPACE_LOGO, sent)
    async with platform.database.transaction() as session:
        path = await _put_on(session, platform, scope, file)
    return await _shown(platform, file, made, path)


async def take_off(session: AsyncSession, platform: Platform, scope: AccountScope) -> None:
    """No picture from now on; without one nothing changes."""
    await _set(session, platform, scope, None)
    await _retire_others(session, platform, scope, None)


async def public(platform: Platform, token: str, size: PictureSize) -> bytes:
    """What a public address shows; raises PictureNotFound and StorageUnavailable."""
    async with platform.database.reading() as session:
        source = await repository.worn(session, token)
    if source is None:
        raise PictureNotFound
    try:
        if size == WHOLE:
            return await _whole(platform, source)
        return await renditions.content(platform, source, int(size), Fit.INSIDE)
    except (BlobMissing, Unreadable):
        raise PictureNotFound from None


async def forget_unworn(platform: Platform) -> None:
    """What came in and was never put on, because the process ended in between, goes: it would count for ever."""
    after: UUID | None = None
    while True:
        async with platform.database.reading() as session:
            before = platform.clock.now() - UNWORN_FOR
            found = await repository.unworn(session, before, after=after, limit=AT_A_TIME)
        for file_id, account_id, workspace_id in found:
            kind = AccountType.USER if workspace_id is None else AccountType.WORKSPACE
            async with platform.database.transaction() as session:
                await quotas.hold(session, platform, Account(kind, account_id))
                file = await repository.lock_file(session, file_id)
                if file is not None and file.public_token is None and file.deleted_at is None:
                    await _retire(session, platform, [file])
        if len(found) < AT_A_TIME:
            return
        after = found[-1][0]


# --- steps ---------------------------------------------------------------------------------------------------------


async def _taken_in(
    platform: Platform, scope: AccountScope, file_type: FileType, sent: BinaryIO
) -> tuple[StoredFile, Rendering]:
    """The largest square as a file of its own; nobody has put it on yet."""
    try:
        made = await platform.part(Studio).render(sent, SIZES, FIT[file_type])
    except Unreadable as refusal:
        if refusal.reason == TOO_LARGE:
            raise PictureTooLarge from None
        raise (NotAPicture if refusal.reason == NOT_A_PICTURE else PictureBroken) from None
    except NotInTime:
        raise renditions.not_in_time(SOON_S) from None
    whole = made.sizes[0].content
    wanted = NewUpload(
        way=UploadWay.INTERNAL,
        file_type=file_type,
        original_name=NAME[file_type],
        declared_type=WEBP,
        total_bytes=len(whole),
        place=Destination(),
    )
    file = await finishing.put_internal(platform, account_of(scope), scope, wanted, _pieces(whole))
    return file, made


async def _whole(platform: Platform, source: Source) -> bytes:
    """Raises BlobMissing; then whoever sends the same picture again mends it."""
    try:
        pieces = platform.part(BlobDoor).read(source.key, whole_bytes=source.size_bytes)
        return b"".join([piece async for piece in pieces])
    except BlobMissing:
        await objects.doubt(platform, source.key)
        raise


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _put_on(session: AsyncSession, platform: Platform, scope: AccountScope, file: StoredFile) -> str:
    """Whoever comes last wins: the lock of the person, or of the workspace, puts them in order."""
    token = platform.randomness.token(TOKEN_BYTES)
    await _set(session, platform, scope, f"{PATH}{token}")
    await _retire_others(session, platform, scope, file.id)
    held = await repository.lock_file(session, file.id)
    assert held is not None, "it is not old enough for a sweep"
    held.public_token = token
    _touch(platform, held)
    return f"{PATH}{token}"


async def _set(session: AsyncSession, platform: Platform, scope: AccountScope, path: str | None) -> None:
    if isinstance(scope, WorkspaceScope):
        await workspaces.set_logo(session, platform, scope, path)
        return
    user = await identity.set_avatar(session, platform, scope, path)
    if user is not None:
        changes.record(
            session,
            platform,
            user_ids=[user.id],
            entity="user",
            entity_id=user.id,
            action="updated",
            version=user.version,
            actor_user_id=scope.user_id,
        )


async def _retire_others(session: AsyncSession, platform: Platform, scope: AccountScope, but: UUID | None) -> None:
    account = account_of(scope)
    file_type = FileType.WORKSPACE_LOGO if isinstance(scope, WorkspaceScope) else FileType.USER_AVATAR
    await quotas.hold(session, platform, account)
    await _retire(session, platform, await repository.lock_others(session, account.id, file_type, but))


async def _retire(session: AsyncSession, platform: Platform, files: Sequence[StoredFile]) -> None:
    """Gone at once and for good: a picture that is not worn is of no use, and nobody empties it out of a trash."""
    for file in files:
        await trash.purge(session, platform, file, actor_user_id=None)


def _touch(platform: Platform, file: StoredFile) -> None:
    file.version += 1
    file.updated_at = platform.clock.now()


async def _shown(platform: Platform, file: StoredFile, made: Rendering, path: str) -> PictureRead:
    """Its smaller squares are kept now, since they are at hand; what a crash leaves out is made when asked for."""
    async with platform.database.reading() as session:
        source = await repository.of_file(session, file.id)
    if source is not None:
        for size in made.sizes[1:]:
            await renditions.keep(platform, source, size)
    url = identity.address_of(platform, path)
    assert url is not None
    return PictureRead(url=url, width=made.sizes[0].width, height=made.sizes[0].height)
