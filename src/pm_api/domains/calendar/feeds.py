"""Feeds: secret addresses at which calendar programs read what somebody sees, for as long as they see it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.crypto import digest_token
from pm_api.core.errors import NotFound
from pm_api.core.http import check_version, content_tag
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.core.ratelimit import Policy
from pm_api.core.recurrence import tzdata_version
from pm_api.domains.calendar import exporting
from pm_api.domains.calendar.errors.interchange import FeedNotFound, TooManyFeeds
from pm_api.domains.calendar.exporting import Wanted
from pm_api.domains.calendar.models import CalendarFeed
from pm_api.domains.calendar.repository import feeds as repository
from pm_api.domains.calendar.repository import interchange
from pm_api.domains.calendar.schemas.feeds import FeedCreate, FeedList, FeedRead
from pm_api.domains.projects import service as projects
from pm_api.identity.api_key_access import require_scope
from pm_api.identity.errors.credentials import ApiKeyNotAllowed
from pm_api.identity.permissions import KeyScope, allows
from pm_api.identity.repository.people import lock_workspace

READ: Final = "calendar.read"
MOST_FEEDS: Final = 20
READS: Final = Policy("calendar-feed", "60/minute")
"""Of one feed: programs ask some times an hour, on several devices."""
NOTED_EVERY: Final = timedelta(hours=1)
ASKED_AGAIN_AFTER: Final = timedelta(hours=1)
"""What programs are told; many ask once a day otherwise."""
FORM: Final = "3"
"""Counts changes of how a feed is written, so that nobody keeps an older one."""
LIST: Final = "calendar-feeds"


class Served(NamedTuple):
    """What a program gets: the tag of what the feed says now, and unless it has that already, the feed."""

    tag: str
    is_known: bool
    content: AsyncIterator[bytes] | None


async def create(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: FeedCreate
) -> tuple[FeedRead, str]:
    """A feed and its secret address; raises NotFound, TooManyFeeds, ApiKeyNotAllowed: an address outlives a key."""
    if scope.actor.api_key is not None:
        raise ApiKeyNotAllowed
    if wanted.project_id is not None and await projects.project(session, scope, wanted.project_id) is None:
        raise NotFound
    await lock_workspace(session, scope.workspace_id)
    if await repository.count(session, scope) >= MOST_FEEDS:
        raise TooManyFeeds
    token, now = platform.randomness.token(), platform.clock.now()
    made = CalendarFeed(
        id=platform.randomness.uuid(),
        workspace_id=scope.workspace_id,
        user_id=scope.user_id,
        project_id=wanted.project_id,
        name=wanted.name,
        token_hash=digest_token(token),
        read_at=None,
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(made)
    await session.flush()
    return FeedRead.model_validate(made), f"{platform.settings.public_url}/api/calendar/feeds/{token}.ics"


async def list_of(session: AsyncSession, platform: Platform, scope: WorkspaceScope, page: PageRequest) -> FeedList:
    """The caller's own. Raises InvalidCursor."""
    cursors = platform.cursors
    filters = {"workspace": scope.workspace_id, "user": scope.user_id}
    key = cursors.decode(page.cursor, of=LIST, **filters)
    after = UUID(key[0]) if key is not None else None
    rows = await repository.feeds(session, scope, after=after, limit=page.limit + 1)
    shown = rows[: page.limit]
    next_key = (shown[-1].id,) if len(rows) > page.limit else None
    return FeedList(
        feeds=[FeedRead.model_validate(one) for one in shown],
        next_cursor=cursors.encode(next_key, of=LIST, **filters),
    )


async def one(session: AsyncSession, scope: WorkspaceScope, feed_id: UUID) -> FeedRead:
    """One of the caller's own, without its secret. Raises FeedNotFound."""
    found = await repository.feed(session, scope, feed_id)
    if found is None:
        raise FeedNotFound
    return FeedRead.model_validate(found)


async def revoke(session: AsyncSession, scope: WorkspaceScope, feed_id: UUID, expected_version: int | None) -> None:
    """From now on its address leads nowhere. Raises FeedNotFound, for those of others too; PreconditionFailed;
    InsufficientScope for a key that only reads.
    """
    require_scope(scope.actor, KeyScope.CALENDAR_WRITE)
    check_version((await one(session, scope, feed_id)).version, expected_version)
    if not await repository.remove(session, scope, feed_id):
        raise FeedNotFound


async def serve(platform: Platform, token: str, known: str | None, *, whole: bool = True) -> Served:
    """What the holder of an address reads: what whoever made it sees now; `known` is the tag of what they have. Not
    `whole`: the tag alone.

    Raises FeedNotFound, TooManyRequests.
    """
    digest = digest_token(token)
    await platform.limiter.hit(READS, digest.hex())
    async with platform.database.reading() as session:
        feed = await repository.of_token(session, digest)
        if feed is None:
            raise FeedNotFound
        scope = await _scope(session, feed)
        state = await interchange.state(session, scope, feed.project_id)
    now = platform.clock.now()
    if feed.read_at is None or feed.read_at < now - NOTED_EVERY:
        async with platform.database.transaction() as session:
            await repository.was_read(session, feed.id, now, now - NOTED_EVERY)
    tag = content_tag(f"{FORM}:{feed.id}:{feed.version}:{state}:{tzdata_version()}")
    is_known = known is not None and _has(known, tag)
    if is_known or not whole:
        return Served(tag, is_known, None)
    wanted = Wanted(feed.project_id, None, feed.name, ASKED_AGAIN_AFTER)
    return Served(tag, is_known, await exporting.export(platform, scope, wanted))


async def _scope(session: AsyncSession, feed: CalendarFeed) -> WorkspaceScope:
    """Whoever made it, as they are now. Raises FeedNotFound when they do not see it any more."""
    role = await repository.role_of_owner(session, feed)
    if role is None or not allows(role, READ):
        raise FeedNotFound
    scope = WorkspaceScope(Actor(ActorKind.USER, feed.user_id), feed.workspace_id, feed.user_id, role)
    if feed.project_id is not None and await projects.project(session, scope, feed.project_id) is None:
        raise FeedNotFound
    return scope


def _has(known: str, tag: str) -> bool:
    tags = {one.strip().removeprefix("W/") for one in known.split(",")}
    return "*" in tags or tag in tags
