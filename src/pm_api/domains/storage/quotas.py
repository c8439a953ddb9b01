"""The gate: bytes are reserved before they arrive, and no sum of uploads passes what the plan holds.

Locks stand in this order in every transaction that touches what is counted: the budget that several accounts share
(`reserve` takes it), the account's counters (`hold`), then uploads, files and objects sorted by id. Who gives back or
moves without reserving begins with `hold`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.storage.accounts import Account
from pm_api.domains.storage.enums import Charge
from pm_api.domains.storage.errors.uploads import StorageQuotaExceeded
from pm_api.domains.storage.models import StorageUsage
from pm_api.domains.storage.repository import books
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType
from pm_api.entitlements.rules import Budget

CATEGORIES_NAMED: Final = 3
BUDGET_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Room:
    """What an account's budget holds and what is in it. None is unlimited."""

    limit: int | None
    max_file_bytes: int | None
    used: int
    reserved: int
    account_ids: tuple[UUID, ...]
    is_shared: bool
    plan: str


async def reserve(
    session: AsyncSession, platform: Platform, account: Account, size_bytes: int, *, seen: Budget | None = None
) -> None:
    """Take room for bytes that are to come, or raise StorageQuotaExceeded with the figures. A workspace without a
    plan of its own fills its owner's room: then the owner's row is held until the transaction ends. `seen` is the
    account's budget as the caller has read it a moment ago.
    """
    if size_bytes < 0:
        raise ValueError("what is given back goes through release")
    seen = seen or await budget_for(session, platform, account)
    if size_bytes:  # so that a crowd is not kept waiting for a no
        await _refuse_what_cannot_fit(session, platform, seen, size_bytes)
    budget = await _locked_budget(session, platform, account, seen)
    now = platform.clock.now()
    await books.open_account(session, account.id, account.kind, now)
    if size_bytes == 0:  # an empty file takes up nothing, even where there is no room
        await books.lock(session, account.id)
        return
    others = [one for one in accounts_in(budget) if one != account.id]
    beside = await books.taken_up(session, others)  # read after the budget's lock, in a statement of its own
    limit = budget.limits.max_storage_bytes
    if not await books.reserve(session, account.id, size_bytes, beside=beside, limit=limit, now=now):
        rows = await books.of_accounts(session, accounts_in(budget))
        raise _refusal(platform, budget, rows, size_bytes)


async def hold(session: AsyncSession, platform: Platform, account: Account) -> None:
    """Hold an account's counters to the end of the transaction, before any upload, file or object of it."""
    if not await books.lock(session, account.id):
        await books.open_account(session, account.id, account.kind, platform.clock.now())
        await books.lock(session, account.id)


async def release(session: AsyncSession, platform: Platform, account: Account, size_bytes: int) -> None:
    """Give back what was reserved. The caller has taken it off the upload's own row in this transaction."""
    if size_bytes:
        await hold(session, platform, account)
        await books.change(session, account.id, {}, reserved=-size_bytes, now=platform.clock.now())


async def move(session: AsyncSession, platform: Platform, account: Account, deltas: Mapping[Charge, int]) -> None:
    """Count bytes under these charges, or no longer. It asks for no room: who adds has reserved as much before, and
    gives that back in the same transaction.
    """
    changes = {charge: delta for charge, delta in deltas.items() if delta}
    if changes:
        await hold(session, platform, account)
        await books.change(session, account.id, changes, now=platform.clock.now())


async def most_of_one_file(session: AsyncSession, platform: Platform, account: Account) -> int | None:
    """The most bytes one file may have under the plan in force; None is unlimited."""
    return (await entitlements.limits_of(session, platform, account.kind, account.id)).max_file_bytes


async def room_of(session: AsyncSession, platform: Platform, account: Account) -> Room:
    """The figures at this moment, without locks: for showing, and for what a refusal tells."""
    budget = await budget_for(session, platform, account)
    rows = await books.of_accounts(session, accounts_in(budget))
    return Room(
        limit=budget.limits.max_storage_bytes,
        max_file_bytes=budget.limits.max_file_bytes,
        used=sum(row.total_used for row in rows),
        reserved=sum(row.reserved for row in rows),
        account_ids=accounts_in(budget),
        is_shared=budget.standing.account_kind is AccountType.USER,
        plan=budget.standing.plan,
    )


async def budget_for(session: AsyncSession, platform: Platform, account: Account) -> Budget:
    """The limits an account lives under, and who shares them."""
    if account.kind is AccountType.USER:
        return await entitlements.budget_of_user(session, platform, account.id)
    return await entitlements.budget_of(session, platform, account.id)


def accounts_in(budget: Budget) -> tuple[UUID, ...]:
    """Whose bytes count together: of a shared budget the owner's own too."""
    if budget.standing.account_kind is AccountType.USER:
        return (budget.standing.account_id, *budget.workspace_ids)
    return budget.workspace_ids


async def _refuse_what_cannot_fit(session: AsyncSession, platform: Platform, budget: Budget, size_bytes: int) -> None:
    """What does not fit beside what is taken already: only the look under the lock says that something does."""
    limit = budget.limits.max_storage_bytes
    if limit is None:
        return
    rows = await books.of_accounts(session, accounts_in(budget))
    if sum(row.total_used + row.reserved for row in rows) + size_bytes > limit:
        raise _refusal(platform, budget, rows, size_bytes)


async def _locked_budget(session: AsyncSession, platform: Platform, account: Account, seen: Budget) -> Budget:
    """The budget, held if it is shared. Until its lock is given the workspace may have come under another owner, so
    it is asked for again; more than once in a row nobody changes hands.
    """
    budget = seen
    for _ in range(BUDGET_TRIES):
        if budget.standing.account_kind is not AccountType.USER:
            return budget
        await entitlements.lock_user(session, budget.standing.account_id)
        held, budget = budget.standing.account_id, await budget_for(session, platform, account)
        if budget.standing.account_id == held:
            return budget
    return budget


def _refusal(
    platform: Platform, budget: Budget, rows: Sequence[StorageUsage], size_bytes: int
) -> StorageQuotaExceeded:
    categories: Counter[str] = Counter()
    for row in rows:
        categories.update({charge.value: getattr(row, column) for charge, column in books.COLUMN_OF.items()})
    used, reserved = sum(row.total_used for row in rows), sum(row.reserved for row in rows)
    limit = budget.limits.max_storage_bytes
    assert limit is not None, "what has no limit refuses nothing"
    return StorageQuotaExceeded(
        f"{size_bytes} bytes do not fit: of {limit} bytes {used} are used and {reserved} promised to other uploads.",
        used=used,
        reserved=reserved,
        limit=limit,
        needed=size_bytes,
        largestCategories=[
            {"category": category, "bytes": size}
            for category, size in categories.most_common(CATEGORIES_NAMED)
            if size > 0
        ],
        upgradeUrl=platform.settings.site_url.rstrip("/") + entitlements.UPGRADE_PATH,
    )
