"""Links: signed addresses that give a file's bytes to whoever has them, for a while.

The address proves that we gave it out; the row says whether it holds. It is dead at once when it is revoked or over,
when the file is in the trash or not served, and when whoever made it does not see the file any more.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, Actor, ActorKind, UserScope, WorkspaceScope
from pm_api.core.crypto import decode_url, encode_url
from pm_api.core.errors import ApiError
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.storage import filing, rules, serving
from pm_api.domains.storage.enums import Disposition
from pm_api.domains.storage.errors.files import FileNotFound, LinkNotFound, LinkTooLong, TooManyLinks
from pm_api.domains.storage.models import FileLink, StoredFile
from pm_api.domains.storage.repository import files as file_rows
from pm_api.domains.storage.repository import links as repository
from pm_api.domains.storage.schemas.links import LinkCreate, LinkRead, LinksAnswer
from pm_api.domains.storage.serving import Served
from pm_api.identity.permissions import allows
from pm_api.identity.repository import people

PURPOSE: Final = "storage.link"
PATH: Final = "/api/storage/links/"
LISTED: Final = "file-links"
SHORT: Final = timedelta(minutes=5)
"""Without a wish, and the most that an API key may give: the address outlives the key."""
LONGEST: Final = timedelta(days=7)
MOST_OF_ONE_FILE: Final = 100
ID_BYTES: Final = 16
SIGNED_BYTES: Final = ID_BYTES + 8


async def create(
    session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID, wanted: LinkCreate
) -> LinkRead:
    """A link to what the file holds, now and later. Raises FileNotFound, FileInTrash, FileNotReady, LinkTooLong,
    TooManyLinks.
    """
    lifetime = timedelta(seconds=wanted.expires_in) if wanted.expires_in is not None else SHORT
    if lifetime > (SHORT if scope.actor.api_key is not None else LONGEST):
        raise LinkTooLong
    file = await file_rows.file(session, scope, file_id, lock=True)
    if file is None:
        raise FileNotFound
    await serving.served(session, platform, file)
    wall = platform.clock.wall()
    if await repository.count_living(session, file.id, wall) >= MOST_OF_ONE_FILE:
        raise TooManyLinks
    made = FileLink(
        id=platform.randomness.uuid(),
        file_id=file.id,
        account_id=file.account_id,
        created_by_user_id=scope.user_id,
        is_inline=wanted.disposition is Disposition.INLINE,
        expires_at=(wall + lifetime).replace(microsecond=0),
        revoked_at=None,
        created_at=platform.clock.now(),
    )
    session.add(made)
    await session.flush()
    return _shown(platform, made, with_address=True)


async def list_of(
    session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID, page: PageRequest
) -> LinksAnswer:
    """Those that work: the caller's own, and everybody's for who may change the file. Raises FileNotFound,
    InvalidCursor.
    """
    file = await filing.found(session, scope, file_id)
    filters: dict[str, object] = {"file": file.id, "user": scope.user_id}
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    rows = await repository.page(
        session,
        file.id,
        of_user=None if await _may_change(session, scope, file) else scope.user_id,
        wall=platform.clock.wall(),
        before=UUID(key[0]) if key is not None else None,
        limit=page.limit + 1,
    )
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return LinksAnswer(
        links=[_shown(platform, one, with_address=one.created_by_user_id == scope.user_id) for one in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


async def revoke(
    session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID, link_id: UUID
) -> None:
    """From now on it leads nowhere. Raises FileNotFound, LinkNotFound also for others' links."""
    file = await filing.found(session, scope, file_id)
    link = await repository.of_file(session, file.id, link_id)
    if link is None:
        raise LinkNotFound
    if link.created_by_user_id != scope.user_id and not await _may_change(session, scope, file):
        raise LinkNotFound
    await repository.revoke(session, link.id, platform.clock.wall())


async def follow(platform: Platform, token: str) -> tuple[Served, Disposition]:
    """What whoever has the address reads. Raises LinkNotFound, whatever the reason."""
    wall = platform.clock.wall()
    link_id = _read(platform, token, wall)
    if link_id is None:
        raise LinkNotFound
    async with platform.database.reading() as session:
        link = await repository.living(session, link_id, wall)
        scope = await _scope_of_maker(session, link) if link is not None else None
        if link is None or scope is None:
            raise LinkNotFound
        try:
            found = await serving.current(session, platform, scope, link.file_id)
        except ApiError:
            raise LinkNotFound from None
    return found, Disposition.INLINE if link.is_inline else Disposition.ATTACHMENT


async def _scope_of_maker(session: AsyncSession, link: FileLink) -> AccountScope | None:
    """Whoever made it, as they are now; None when they do not belong there any more."""
    user_id = link.created_by_user_id
    actor = Actor(ActorKind.USER, user_id)
    if link.account_id == user_id:
        return UserScope(actor, user_id)
    place = await people.role_in(session, link.account_id, user_id)
    if place is None or place[1] is not None or not allows(place[0], rules.READ):
        return None
    return WorkspaceScope(actor, link.account_id, user_id, place[0])


async def _may_change(session: AsyncSession, scope: AccountScope, file: StoredFile) -> bool:
    return rules.may_change(scope, await filing.role_at(session, scope, file), file)


def _token(platform: Platform, link: FileLink) -> str:
    said = link.id.bytes + int(link.expires_at.timestamp()).to_bytes(8, "big")
    return encode_url(said + platform.keys.sign(PURPOSE, said))


def _read(platform: Platform, token: str, wall: datetime) -> UUID | None:
    """Which link it is; None for what we have not signed, and for what is over."""
    try:
        raw = decode_url(token)
    except ValueError:
        return None
    said, signature = raw[:SIGNED_BYTES], raw[SIGNED_BYTES:]
    if len(said) != SIGNED_BYTES or not platform.keys.verify(PURPOSE, said, signature):
        return None
    if int.from_bytes(said[ID_BYTES:], "big") <= wall.timestamp():
        return None
    return UUID(bytes=said[:ID_BYTES])


def _shown(platform: Platform, link: FileLink, *, with_address: bool) -> LinkRead:
    address = platform.settings.public_url.rstrip("/") + PATH + _token(platform, link) if with_address else None
    return LinkRead(
        id=link.id,
        file_id=link.file_id,
        created_by_user_id=link.created_by_user_id,
        url=address,
        disposition=Disposition.INLINE if link.is_inline else Disposition.ATTACHMENT,
        expires_at=link.expires_at,
        created_at=link.created_at,
    )
