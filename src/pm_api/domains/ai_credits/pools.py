"""Accounts as their owners steer them: settings, and the caps of a pool.

Changes of caps lock the workspace, then the account: no spend passes between reading what was used and the cap that
counts it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.http import check_version, entity_tag
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import balances, ledger
from pm_api.domains.ai_credits.book import AccountState, Counter
from pm_api.domains.ai_credits.engine import caps as rules
from pm_api.domains.ai_credits.enums import AccountKind, CapWindow, Service
from pm_api.domains.ai_credits.errors import TooManyCaps, UnknownCapSubject
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditCap
from pm_api.domains.ai_credits.models.pools import CreditPool, CreditPoolRequest
from pm_api.domains.ai_credits.repository import ledger as accounts
from pm_api.domains.ai_credits.repository import pools as repository
from pm_api.domains.ai_credits.repository.ledger import DueAccount
from pm_api.domains.ai_credits.repository.pools import Used
from pm_api.domains.ai_credits.schemas.pools import (
    CapRead,
    CapWrite,
    PoolRead,
    PoolUpdate,
)
from pm_api.domains.changes import service as changes
from pm_api.identity import audit
from pm_api.identity.errors.people import WorkspaceNotFound, role_lacks
from pm_api.identity.permissions import Role, allows
from pm_api.identity.repository import people as identity

MANAGE: Final = "credits.manage"
MOST_CAPS: Final = 500
DAY: Final = timedelta(days=1)
TAG_SPAN: Final = 10**9


# --- settings --------------------------------------------------------------------------------------------------


def snapshot_tag(version: int, content: str) -> str:
    """The ETag of a body that shows figures beside its versioned settings: it changes with either, and If-Match still
    finds the version in it.
    """
    digest = int.from_bytes(hashlib.blake2b(content.encode(), digest_size=4).digest(), "big") % TAG_SPAN
    return entity_tag((version + 1) * TAG_SPAN + digest)


def version_in(tag: int | None) -> int | None:
    """The version the caller believes in, from a `snapshot_tag` or sent as it is."""
    return tag // TAG_SPAN - 1 if tag is not None and tag >= TAG_SPAN else tag


async def pool(session: AsyncSession, platform: Platform, scope: AccountScope) -> PoolRead:
    """An account's settings, what it has, and the caps the caller may see."""
    figures = await balances.balance(session, platform, scope)  # first: it makes all that is read one moment's
    settings = await repository.settings_of(session, scope)
    account = await accounts.account(session, scope)
    return PoolRead(
        account_id=figures.account_id,
        account_kind=figures.account_kind,
        leaderboard_enabled=settings.leaderboard_enabled if settings else True,
        use_expiring=settings.use_expiring if settings else False,
        available=figures.current,
        held=figures.held,
        caps=await _visible_caps(session, platform, scope, account) if isinstance(scope, WorkspaceScope) else [],
        version=settings.version if settings else 0,
    )


async def update_settings(
    session: AsyncSession, platform: Platform, scope: AccountScope, wanted: PoolUpdate, expected_version: int | None
) -> PoolRead:
    """Change what was sent, and nothing when nothing was; raises PreconditionFailed."""
    account = await lock(session, platform, scope)
    settings = await repository.settings_of(session, scope)
    check_version(settings.version if settings else 0, version_in(expected_version))
    sent = wanted.model_dump(include=set(wanted.model_fields_set))
    if not sent:
        return await pool(session, platform, scope)
    now = platform.clock.now()
    if settings is None:
        settings = CreditPool(account_id=account.id, version=0, created_at=now, **PoolUpdate().model_dump())
        session.add(settings)
    for name, value in sent.items():
        setattr(settings, name, value)
    settings.version += 1
    settings.updated_at = now
    _record(session, platform, scope, "credits.settings_changed", settings.version, **sent)
    await session.flush()
    return await pool(session, platform, scope)


async def lock(session: AsyncSession, platform: Platform, scope: AccountScope) -> CreditAccount:
    """The account under its lock, opened when it was not, with what has run out written down. A pool's workspace is
    locked before, and the caller's role in it read again; raises WorkspaceNotFound, Forbidden.
    """
    if isinstance(scope, WorkspaceScope):
        await lock_managed(session, scope)
    return await lock_open_account(session, platform, scope)


async def lock_managed(session: AsyncSession, scope: WorkspaceScope) -> None:
    """A pool's workspace under its lock, and the caller's role in it read again: who manages its credits now. Raises
    WorkspaceNotFound, Forbidden.
    """
    workspace = await identity.lock_workspace(session, scope.workspace_id)
    member = await identity.member_by_user(session, scope.workspace_id, scope.user_id)
    if workspace is None or workspace.deleted_at is not None or member is None:
        raise WorkspaceNotFound
    if not allows(member.role, MANAGE):
        raise role_lacks(member.role, MANAGE)


async def lock_open_account(session: AsyncSession, platform: Platform, scope: AccountScope) -> CreditAccount:
    """The account alone; whoever needs the workspace's lock has it already."""
    account_id = accounts.account_id_of(scope)
    kind = AccountKind.WORKSPACE if isinstance(scope, WorkspaceScope) else AccountKind.USER
    await repository.open_account(session, account_id, kind, platform.clock.now())
    await ledger.expire_due(session, platform, [account_id])
    account = await repository.lock_account(session, account_id)
    assert account is not None
    return account


# --- caps ------------------------------------------------------------------------------------------------------


def moment_of(platform: Platform, account: CreditAccount) -> datetime:
    """Now, as the account's book has it: it never runs backwards."""
    return max(platform.clock.now(), account.updated_at)


def window_of(account: CreditAccount, kind: CapWindow, moment: datetime) -> tuple[datetime, datetime]:
    """[start, end) of an account's window at a moment, by the ledger's own rule."""
    state = AccountState(
        id=account.id, period_started_at=account.period_started_at, next_reset_at=account.next_reset_at
    )
    return rules.window(state, kind, moment)


def parsed_subject(text: str) -> tuple[str, UUID | None]:
    """A subject as it is stored, and the member's id if it is one; raises UnknownCapSubject."""
    kind, _, name = text.partition(":")
    if kind == "role" and name in Role.__members__:
        return f"role:{name}", None
    if kind == "service" and name in Service.__members__:
        return rules.service_subject(name), None
    if kind == "member":
        try:
            user_id = UUID(name)
        except ValueError:
            raise _unknown_subject() from None
        return rules.member(user_id), user_id
    raise _unknown_subject()


def _unknown_subject() -> UnknownCapSubject:
    detail = "member:<user id>, role:<ROLE> or service:<SERVICE>"
    return UnknownCapSubject(details=[{"pointer": "/subject", "detail": detail}])


async def put_cap(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    subject_text: str,
    wanted: CapWrite,
    expected_version: int | None,
) -> CapRead:
    """Set a cap; what was granted on top of the former one ends. On a pool without caps, what its members and
    services have used of the present windows is counted first.

    Raises UnknownCapSubject, PreconditionFailed, TooManyCaps.
    """
    subject, user_id = parsed_subject(subject_text)
    account = await lock(session, platform, scope)
    if user_id is not None and await identity.member_by_user(session, scope.workspace_id, user_id) is None:
        raise _unknown_subject()
    moment = moment_of(platform, account)
    row = await repository.cap(session, account.id, subject, wanted.window)
    check_version(row.version if row else 0, expected_version)
    if row is None:
        row = await add_cap(session, account, subject, wanted.window, wanted.amount, moment)
    else:
        row.amount = wanted.amount
        row.version += 1
        row.updated_at = moment
    await _end_raises(session, account.id, user_id, [wanted.window], moment)
    _record(
        session, platform, scope, "credits.cap_set", row.version, cap=subject, window=wanted.window, amount=row.amount
    )
    await session.flush()
    [read] = await _read_caps(session, scope, account, [row], moment)
    return read


async def add_cap(
    session: AsyncSession, account: CreditAccount, subject: str, window: CapWindow, amount: int, moment: datetime
) -> CreditCap:
    """A new cap of a locked account, whose counters begin with its first; raises TooManyCaps."""
    if await repository.count_caps(session, account.id) >= MOST_CAPS:
        raise TooManyCaps
    if not account.capped:
        used: dict[Counter, int] = {}
        for kind in CapWindow:
            used |= await _counted_so_far(session, account, kind, moment)
        await repository.write_counters(session, account.id, used)
        await repository.set_capped(session, account.id, capped=True)
    row = CreditCap(
        account_id=account.id,
        subject=subject,
        cap_window=window,
        amount=amount,
        version=1,
        created_at=moment,
        updated_at=moment,
    )
    session.add(row)
    return row


async def _counted_so_far(
    session: AsyncSession, account: CreditAccount, kind: CapWindow, moment: datetime
) -> dict[Counter, int]:
    """What the counters of a window would say had they been there from its beginning. Whole days come from the day
    sums; the rest of the day a period began in from the lines; open holds count from when they were placed.
    """
    starts_at, _ = window_of(account, kind, moment)
    begins = starts_at.astimezone(UTC)
    first_day = begins.date() if begins.time() == time(0) else begins.date() + DAY
    found = await repository.used_on_days(session, account.id, first_day, moment.astimezone(UTC).date())
    if first_day > begins.date():
        found += await repository.used_between(
            session, account.id, starts_at, datetime.combine(first_day, time(0), UTC)
        )
    found += await repository.held_since(session, account.id, starts_at)
    return _counters(found, kind, starts_at)


def _counters(found: Iterable[Used], kind: CapWindow, starts_at: datetime) -> dict[Counter, int]:
    counted: dict[Counter, int] = {}
    for one in found:
        for subject in rules.counted_subjects(one.user_id, one.service):
            counter = Counter(subject, kind, starts_at)
            counted[counter] = counted.get(counter, 0) + one.credits
    return counted


async def delete_cap(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    subject_text: str,
    window: CapWindow | None,
    expected_version: int | None,
) -> None:
    """Lift a cap of one window, or of both. Without any cap left the pool counts no more.

    Raises UnknownCapSubject, NotFound, PreconditionFailed.
    """
    subject, user_id = parsed_subject(subject_text)
    account = await lock(session, platform, scope)
    windows = list(CapWindow) if window is None else [window]
    found = [row for one in windows if (row := await repository.cap(session, account.id, subject, one)) is not None]
    if not found:
        raise NotFound("There is no such cap.")
    for row in found:
        check_version(row.version, expected_version)
        await session.delete(row)
        _record(session, platform, scope, "credits.cap_removed", row.version, cap=subject, window=row.cap_window)
    await _end_raises(session, account.id, user_id, windows, moment_of(platform, account))
    await forget_counters_of_uncapped(session, account.id)


async def forget_counters_of_uncapped(session: AsyncSession, account_id: UUID) -> None:
    """After caps of a locked account were removed."""
    await session.flush()
    if await repository.count_caps(session, account_id) == 0:
        await repository.set_capped(session, account_id, capped=False)
        await repository.write_counters(session, account_id, {})


async def _end_raises(
    session: AsyncSession, account_id: UUID, user_id: UUID | None, windows: Sequence[CapWindow], moment: datetime
) -> None:
    """Nothing is taken back from a cap that was set anew or removed."""
    if user_id is None:
        return
    for window in windows:
        for raised in await repository.raises_of(session, account_id, user_id=user_id, window=window):
            await _close(session, raised, moment)


def counter_after(raised: CreditPoolRequest) -> Counter:
    """Where the next window of a cap that was raised for one counts. Until the raise is taken back, that counter says
    as much more as the cap allows more: so the next window has no more room than it should, however late the sweep.
    """
    assert raised.raised_until is not None
    return Counter(rules.member(raised.user_id), CapWindow(raised.cap_window or CapWindow.DAY), raised.raised_until)


async def _close(session: AsyncSession, raised: CreditPoolRequest, moment: datetime) -> None:
    raised.taken_back_at = moment
    raised.version += 1
    amount = raised.approved_amount or 0
    await repository.discharge_counter(session, raised.workspace_id, counter_after(raised), amount)
    await session.flush()


async def _visible_caps(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, account: CreditAccount | None
) -> list[CapRead]:
    if account is None or not account.capped:
        return []
    rows = await repository.caps_of(session, account.id)
    if not allows(scope.role, MANAGE):
        own = (rules.member(scope.user_id), f"role:{scope.role}")
        rows = [row for row in rows if row.subject in own or row.subject.startswith("service:")]
    return await _read_caps(session, scope, account, rows, moment_of(platform, account))


async def _read_caps(
    session: AsyncSession, scope: WorkspaceScope, account: CreditAccount, rows: Sequence[CreditCap], moment: datetime
) -> list[CapRead]:
    windows = {kind: window_of(account, kind, moment) for kind in CapWindow}
    counted = {id(row): counter for row in rows if (counter := _counter_of(scope, row, windows)) is not None}
    used = await repository.counters(session, account.id, list(counted.values()))
    on_top: dict[tuple[str, str], int] = {}
    over: dict[tuple[str, str], int] = {}
    for raised in await repository.raises_of(session, account.id):
        key = (rules.member(raised.user_id), str(raised.cap_window))
        sums = over if raised.raised_until is not None and raised.raised_until <= moment else on_top
        sums[key] = sums.get(key, 0) + (raised.approved_amount or 0)
    return [
        _read_cap(
            row,
            used.get(counted[id(row)], 0) if id(row) in counted else None,
            on_top=on_top.get((row.subject, row.cap_window), 0),
            over=over.get((row.subject, row.cap_window), 0),
            resets_at=windows[CapWindow(row.cap_window)][1],
        )
        for row in rows
    ]


def _counter_of(
    scope: WorkspaceScope, row: CreditCap, windows: Mapping[CapWindow, tuple[datetime, datetime]]
) -> Counter | None:
    """Where a cap's use is counted; a role's with each person of it."""
    kind = CapWindow(row.cap_window)
    if row.subject == f"role:{scope.role}":
        return Counter(rules.member(scope.user_id), kind, windows[kind][0])
    return None if row.subject.startswith("role:") else Counter(row.subject, kind, windows[kind][0])


def _read_cap(row: CreditCap, used: int | None, *, on_top: int, over: int, resets_at: datetime) -> CapRead:
    """`over` was granted for a window that has passed: it is in the cap and in the counter until the sweep."""
    limit = max(0, row.amount - over)
    truly_used = None if used is None else max(0, used - over)
    return CapRead(
        subject=row.subject,
        window=CapWindow(row.cap_window),
        amount=max(0, limit - on_top),
        granted_on_top=on_top,
        limit=limit,
        used=truly_used,
        left=None if truly_used is None else max(0, limit - truly_used),
        resets_at=resets_at,
        version=row.version,
    )


async def take_back(
    session: AsyncSession, account: CreditAccount, raised: Sequence[CreditPoolRequest], moment: datetime
) -> None:
    """What was granted for a time goes off the caps of a locked account; a cap that only stood for it goes too."""
    for one in raised:
        await _close(session, one, moment)
        window = CapWindow(one.cap_window or CapWindow.PERIOD)
        row = await repository.cap(session, account.id, rules.member(one.user_id), window)
        others = await repository.raises_of(session, account.id, user_id=one.user_id, window=window)
        if row is None:
            continue
        if one.inherited and not others:
            await session.delete(row)
            continue
        if one.inherited:
            others[0].inherited = True
        row.amount = max(0, row.amount - (one.approved_amount or 0))
        row.version += 1
        row.updated_at = moment
    await forget_counters_of_uncapped(session, account.id)


async def end_raises(session: AsyncSession, platform: Platform, due: Sequence[DueAccount]) -> None:
    """Take back what was granted to pools' members for windows that are over."""
    for one in due:
        account = await repository.lock_account(session, one.account_id)
        if account is not None:
            moment = moment_of(platform, account)
            await take_back(session, account, await repository.raises_of(session, account.id, due_at=moment), moment)


def _record(
    session: AsyncSession, platform: Platform, scope: AccountScope, action: str, version: int, **details: object
) -> None:
    """In the audit, and in the feed of who sees the account."""
    workspace_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else None
    account_id = accounts.account_id_of(scope)
    audit.record(
        session,
        platform,
        scope.actor,
        action,
        subject=("credit_account", account_id),
        workspace_id=workspace_id,
        **{name: value if isinstance(value, bool | int) else str(value) for name, value in details.items()},
    )
    changes.record(
        session,
        platform,
        entity="credit_pool",
        entity_id=account_id,
        action="updated",
        version=version,
        workspace_id=workspace_id,
        user_ids=[] if workspace_id else [scope.user_id],
        actor_user_id=scope.user_id,
    )
