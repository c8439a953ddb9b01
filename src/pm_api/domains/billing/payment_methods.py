"""What an account pays with: our rows follow what Stripe has, and auto top-up hears whether there is something to
charge.

Rows are written by `mirror_customer` and `mirror_detached` alone, under the account's lock, forward only: a look at
Stripe that is older than the row changes nothing.
"""

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, SystemScope
from pm_api.core.errors import NotFound
from pm_api.core.http import check_version
from pm_api.core.jobs import enqueue
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import topups
from pm_api.domains.ai_credits.topups import LOOK_AT_TOPUP, AccountLow
from pm_api.domains.billing import accounts
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.errors import LastPaymentMethod
from pm_api.domains.billing.models.payment_methods import PaymentMethod
from pm_api.domains.billing.repository import payment_methods as repository
from pm_api.domains.billing.schemas.payment_methods import PaymentMethodRead, PaymentMethodsAnswer
from pm_api.domains.billing.wallets import CustomerPicture, DetachedPicture
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import StripePaymentMethod

LISTED: Final = "payment_methods"
FINGERPRINT: Final = "card-fingerprint"
MIRROR: Final = SystemScope("payment methods follow Stripe")


# --- reading ---------------------------------------------------------------------------------------------------


async def list_of(
    session: AsyncSession, platform: Platform, scope: AccountScope, page: PageRequest
) -> PaymentMethodsAnswer:
    """A page of what an account may pay with, newest first."""
    account_id = accounts.of_scope(scope)[1]
    key = platform.cursors.decode(page.cursor, of=LISTED, account=account_id)
    rows = await repository.live_of(session, scope, limit=page.limit + 1, before=UUID(key[0]) if key else None)
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return PaymentMethodsAnswer(
        payment_methods=[read(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, account=account_id),
    )


async def get(session: AsyncSession, scope: AccountScope, payment_method_id: UUID) -> PaymentMethodRead:
    """One that an account may pay with; raises NotFound."""
    row = await repository.live(session, scope, payment_method_id)
    if row is None:
        raise NotFound
    return read(row)


def read(row: PaymentMethod) -> PaymentMethodRead:
    return PaymentMethodRead(
        id=row.id,
        stripe_payment_method_id=row.stripe_payment_method_id,
        account_type=AccountType(row.account_kind),
        account_id=row.account_id,
        type=row.type,
        is_default=row.is_default,
        card_brand=row.brand,
        card_last4=row.last4,
        card_exp_month=row.exp_month,
        card_exp_year=row.exp_year,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


async def to_change(
    session: AsyncSession, scope: AccountScope, payment_method_id: UUID, expected_version: int | None
) -> PaymentMethod:
    """One of an account, with the account locked; raises NotFound, PreconditionFailed."""
    await accounts.lock(session, accounts.of_scope(scope))
    row = await repository.live(session, scope, payment_method_id)
    if row is None:
        raise NotFound
    check_version(row.version, expected_version)
    return row


async def to_remove(
    session: AsyncSession, scope: AccountScope, payment_method_id: UUID, expected_version: int | None
) -> PaymentMethod:
    """The same, if it may go; raises NotFound, PreconditionFailed, LastPaymentMethod."""
    row = await to_change(session, scope, payment_method_id, expected_version)
    others = await repository.live_of(session, scope, limit=2, before=None)
    if len(others) == 1 and await repository.has_live_subscription(session, MIRROR, row.account_id):
        raise LastPaymentMethod
    return row


async def to_charge(session: AsyncSession, account_id: UUID) -> PaymentMethod | None:
    """What an account's automatic payments are taken from: the default one, else the newest."""
    return await repository.to_charge(session, MIRROR, account_id)


# --- cards told again ------------------------------------------------------------------------------------------


def fingerprints(platform: Platform, told: str) -> list[bytes]:
    """Every digest under which a card may stand in a row, the one that is written now first: keys roll."""
    return [
        hmac.digest(platform.keys.derive(key_id, FINGERPRINT), told.encode(), "sha256")
        for key_id in platform.keys.key_ids()
    ]


async def accounts_with_card(session: AsyncSession, platform: Platform, told: str) -> set[UUID]:
    """Every account that has, or once had, the card with this fingerprint of Stripe's."""
    return await repository.accounts_with_card(session, MIRROR, fingerprints(platform, told))


# --- following Stripe ------------------------------------------------------------------------------------------


async def mirror_customer(
    session: AsyncSession, platform: Platform, account: Account, picture: CustomerPicture
) -> str:
    """Bring an account's rows to what its customer had when the picture was taken; returns what changed.

    A card that the account never had arms its top-up again; losing the last payment method disarms it.
    """
    await accounts.lock(session, account, gone_too=True)
    rows = await repository.all_of(session, MIRROR, account[1])
    known = {row.stripe_payment_method_id: row for row in rows}
    seen_before = {row.fingerprint for row in rows if row.fingerprint is not None}
    now, changed, unseen = platform.clock.now(), 0, False
    if picture.is_complete:
        listed = {method.id for method in picture.methods}
        gone = [row for row in rows if row.stripe_customer_id == picture.customer.id]
        gone = [row for row in gone if row.stripe_payment_method_id not in listed]
        changed += sum(_detach(row, picture.fetched_at, now) for row in gone)
        await session.flush()
    changed += await _move_default(session, picture, rows, now)
    for method in reversed(picture.methods):  # oldest first: ids are in the order of the list
        row = known.get(method.id)
        is_default = method.id == picture.default_id
        if row is None:
            digests = fingerprints(platform, method.fingerprint) if method.fingerprint else []
            unseen = unseen or bool(digests and seen_before.isdisjoint(digests))
            session.add(_new(platform, account, picture, method, digests, is_default=is_default))
            changed += 1
        elif row.detached_at is None and row.synced_at <= picture.fetched_at:
            changed += _update(row, method, picture.fetched_at, now, is_default=is_default)
    await session.flush()
    await _tell_topup(session, platform, account, unseen=unseen)
    return f"{changed} payment methods changed" if changed else "nothing has changed"


async def mirror_detached(session: AsyncSession, platform: Platform, picture: DetachedPicture) -> str:
    """Take note that a payment method belongs to nobody any more; what was detached once never comes back."""
    row = await repository.by_stripe_id(session, MIRROR, picture.method.id)
    if row is None:
        return "ignored: a payment method that was never ours"
    account = AccountType(row.account_kind), row.account_id
    await accounts.lock(session, account, gone_too=True)
    row = await repository.by_stripe_id(session, MIRROR, picture.method.id)
    assert row is not None
    if not _detach(row, picture.fetched_at, platform.clock.now()):
        return "nothing has changed"
    await session.flush()
    await _tell_topup(session, platform, account, unseen=False)
    return "the payment method was taken away"


async def follow_subscription(
    session: AsyncSession, platform: Platform, account: Account, stripe_payment_method_id: str | None
) -> None:
    """What a subscription is paid with is the default of an account that has none: a first payment keeps its card on
    the subscription alone. Asked under the account's lock.
    """
    row = await repository.to_charge(session, MIRROR, account[1])
    if stripe_payment_method_id is None or row is None or row.is_default:
        return
    paying = await repository.by_stripe_id(session, MIRROR, stripe_payment_method_id)
    if paying is None or paying.account_id != account[1] or paying.detached_at is not None:
        return
    paying.is_default = True
    paying.version += 1
    paying.updated_at = platform.clock.now()
    await session.flush()


async def make_ready(session: AsyncSession, platform: Platform, account: Account) -> None:
    """Tell an account's top-up whether there is something to charge: its settings may be younger than its cards."""
    await accounts.lock(session, account, gone_too=True)
    await _write_ready(session, platform, account, unseen=False)


async def _tell_topup(session: AsyncSession, platform: Platform, account: Account, *, unseen: bool) -> None:
    await _write_ready(session, platform, account, unseen=unseen)
    if unseen:
        low = AccountLow(account_kind=accounts.credit_kind(account), account_id=account[1])
        await enqueue(session, LOOK_AT_TOPUP, low)


async def _write_ready(session: AsyncSession, platform: Platform, account: Account, *, unseen: bool) -> None:
    if await to_charge(session, account[1]) is None:
        change = topups.without_payment_method
    else:
        change = topups.rearm_by_new_card if unseen else topups.with_payment_method
    await topups.change_state(session, platform, account[1], change)


async def _move_default(
    session: AsyncSession, picture: CustomerPicture, rows: Sequence[PaymentMethod], now: datetime
) -> int:
    """The one that is the default no more says so before another does: there is one at any moment."""
    wanted = picture.default_id
    former = [
        row
        for row in rows
        if row.is_default and row.stripe_payment_method_id != wanted and row.synced_at <= picture.fetched_at
    ]
    for row in former:
        row.is_default = False
        row.version += 1
        row.updated_at = now
    await session.flush()
    return len(former)


def _new(
    platform: Platform,
    account: Account,
    picture: CustomerPicture,
    method: StripePaymentMethod,
    digests: Sequence[bytes],
    *,
    is_default: bool,
) -> PaymentMethod:
    now = platform.clock.now()
    return PaymentMethod(
        id=platform.randomness.uuid(),
        account_kind=account[0],
        account_id=account[1],
        stripe_customer_id=picture.customer.id,
        stripe_payment_method_id=method.id,
        type=method.type,
        brand=method.brand,
        last4=method.last4,
        exp_month=method.exp_month,
        exp_year=method.exp_year,
        fingerprint=digests[0] if digests else None,
        is_default=is_default,
        attached_at=method.created_at,
        synced_at=picture.fetched_at,
        created_at=now,
        updated_at=now,
    )


def _update(
    row: PaymentMethod, method: StripePaymentMethod, fetched_at: datetime, now: datetime, *, is_default: bool
) -> bool:
    """Whether anything that is shown differs."""
    row.synced_at = fetched_at
    told = (method.type, method.brand, method.last4, method.exp_month, method.exp_year, is_default)
    if told == (row.type, row.brand, row.last4, row.exp_month, row.exp_year, row.is_default):
        return False
    row.type, row.brand, row.last4, row.exp_month, row.exp_year, row.is_default = told
    row.version += 1
    row.updated_at = now
    return True


def _detach(row: PaymentMethod, fetched_at: datetime, now: datetime) -> bool:
    """Nothing that was shown stays; the fingerprint does."""
    if row.detached_at is not None or row.synced_at > fetched_at:
        return False
    row.brand = row.last4 = row.exp_month = row.exp_year = None
    row.is_default = False
    row.detached_at = row.updated_at = now
    row.synced_at = fetched_at
    row.version += 1
    return True
