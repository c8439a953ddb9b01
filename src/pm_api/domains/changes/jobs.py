"""What identity announces, as changes; and housekeeping."""

from pm_api.core.events import on
from pm_api.core.jobs import JobContext, periodic
from pm_api.domains.changes import repository, service
from pm_api.identity.events import MemberChanged, UserChanged, WorkspaceChanged

FEEDS_A_SWEEP = 1000
ROWS_A_FEED = 5000


@on(UserChanged)
async def record_user(context: JobContext, event: UserChanged) -> None:
    async with context.platform.database.transaction() as session:
        service.record(
            session,
            context.platform,
            user_ids=[event.user_id],
            entity="user",
            entity_id=event.user_id,
            action="updated",
            version=event.version,
            actor_user_id=event.user_id,
            event_id=event.id,
        )


@on(WorkspaceChanged)
async def record_workspace(context: JobContext, event: WorkspaceChanged) -> None:
    async with context.platform.database.transaction() as session:
        service.record(
            session,
            context.platform,
            workspace_id=event.workspace_id,
            entity="workspace",
            entity_id=event.workspace_id,
            action=event.action,
            version=event.version,
            actor_user_id=event.actor_user_id,
            actor_key_id=event.actor_key_id,
            event_id=event.id,
        )


@on(MemberChanged)
async def record_member(context: JobContext, event: MemberChanged) -> None:
    """The workspace learns of a member; the member of a workspace, which a removed one may not read any more."""
    async with context.platform.database.transaction() as session:
        service.record(
            session,
            context.platform,
            workspace_id=event.workspace_id,
            entity="member",
            entity_id=event.member_id,
            action=event.action,
            version=event.version,
            actor_user_id=event.actor_user_id,
            actor_key_id=event.actor_key_id,
            event_id=event.id,
        )
        service.record(
            session,
            context.platform,
            user_ids=[event.user_id],
            entity="membership",
            entity_id=event.workspace_id,
            action=event.action,
            version=event.version,
            actor_user_id=event.actor_user_id,
            actor_key_id=event.actor_key_id,
            event_id=event.id,
        )


@periodic("changes.prune", "23 * * * *")
async def prune(context: JobContext) -> None:
    """Forget changes after 30 days. A transaction a feed, because a pruned feed is locked like a written one."""
    database, clock = context.platform.database, context.platform.clock
    before = clock.now() - service.KEPT
    async with database.reading() as session:
        feed_ids = await repository.feeds_with_changes_before(session, before, FEEDS_A_SWEEP)
    for feed_id in feed_ids:
        async with database.transaction() as session:
            await repository.prune_feed(session, feed_id, before, ROWS_A_FEED)


@periodic("changes.forget_tickets", "*/10 * * * *")
async def forget_tickets(context: JobContext) -> None:
    async with context.platform.database.transaction() as session:
        await repository.delete_expired_tickets(session, context.platform.clock.wall(), 5000)
