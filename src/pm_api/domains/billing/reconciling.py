"""Doing a comparison with Stripe: stage by stage, in short steps, each of which may be the last of this process.

No session is held while Stripe is asked. A stage has a place (`after`) that is written with what was found up to it,
so that whoever takes the run over goes on there; what is found twice is written once.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from pm_api.core.actor import SystemScope
from pm_api.core.db import database_unreachable
from pm_api.core.money import money
from pm_api.core.paging import MAX_LIMIT, PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.billing import reconciliation
from pm_api.domains.billing.enums import HeldReason
from pm_api.domains.billing.models.invoices import Invoice
from pm_api.domains.billing.models.reconciliation import ReconciliationRun
from pm_api.domains.billing.models.subscriptions import Subscription
from pm_api.domains.billing.reconciliation import DONE, FAILED, FIRST_STAGE, HEALED, REPORTED, RUNNING, told
from pm_api.domains.billing.reconciliation_parts import PARTS, Part, Side, differing
from pm_api.domains.billing.repository import reconciliation as repository
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood
from pm_api.integrations.stripe import PaymentProviderUnavailable, StripeDoor, StripeObjectMissing

SCOPE: Final = SystemScope("reconciliation")
WINDOW: Final = timedelta(days=7)
SHORTEST_WINDOW: Final = timedelta(seconds=1)
ROWS_OF_A_STEP: Final = 50
PLAN_CREDITS: Final = "plan credits"
WITHOUT_EFFECT, TOO_MANY = "money without effect", "subscriptions too many"
PAID_WITHOUT_EFFECT = "paid_without_effect"
LIVE_OF_A_DELETED_ACCOUNT, SECOND_SUBSCRIPTION = "subscription_of_deleted_account", "second_subscription"
PAID_WITHOUT_CREDITS, CREDITS_WITHOUT_PAYMENT = "paid_without_credits", "credits_without_payment"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """One thing on which the two sides do not agree."""

    kind: str
    object_id: str
    account_id: UUID | None
    is_healed: bool
    ours: dict[str, Any]
    stripes: dict[str, Any]
    says: str


@dataclass(slots=True)
class Progress:
    """What a step has done: how many it looked at, what it found, and where to go on (None: the stage is over)."""

    counted: str
    compared: int
    found: list[Found]
    after: str | None


Stage = Callable[[Platform, ReconciliationRun], Awaitable[Progress]]


async def work(platform: Platform, run_id: UUID) -> None:
    """Go on until it is done; raises what another try may mend. What fails otherwise ends the run as FAILED."""
    try:
        while await step(platform, run_id):
            pass
    except Exception as failure:
        if _passes(failure):
            raise
        _log.exception("reconciliation_failed", run_id=str(run_id))
        async with platform.database.transaction() as session:
            run = await repository.run(session, SCOPE, run_id, lock=True)
            if run is not None and run.status == RUNNING:
                run.status, run.problem = FAILED, type(failure).__name__
                run.finished_at = platform.clock.now()


async def run_now(platform: Platform, window: timedelta) -> list[str]:
    """The same without a job, for the command line: what it found, then the sum; a line each.

    Goes on with the one that runs, if one does. Raises PaymentProviderUnavailable.
    """
    async with platform.database.transaction() as session:
        until = platform.clock.now()
        run, _ = await reconciliation.start(
            session,
            platform,
            SCOPE,
            since=until - window,
            until=until,
            reason="pm-api billing reconcile",
            enqueued=False,
        )
    await work(platform, run.id)
    lines, page = [], PageRequest(MAX_LIMIT, None)
    while True:
        async with platform.database.reading() as session:
            report = await reconciliation.report(session, platform, SCOPE, run.id, page)
        lines += [f"{one.action.lower()}: {one.says}" for one in report.findings]
        if report.next_cursor is None:
            return [*lines, report.run.says]
        page = PageRequest(MAX_LIMIT, report.next_cursor)


def _passes(failure: Exception) -> bool:
    """Stripe or the database is away: later."""
    return isinstance(failure, PaymentProviderUnavailable) or database_unreachable(failure)


async def step(platform: Platform, run_id: UUID) -> bool:
    """The next short step; whether there is more to do."""
    async with platform.database.reading() as session:
        run = await repository.run(session, SCOPE, run_id)
    if run is None or run.status != RUNNING:
        return False
    stages = dict(_stages())
    names = list(stages)
    name = names[0] if run.part == FIRST_STAGE else run.part
    progress = await stages[name](platform, run)
    place = names.index(name) + 1
    following = name if progress.after is not None else names[place] if place < len(names) else None
    return await _write(platform, run_id, (run.part, run.after), following, progress)


async def _write(
    platform: Platform, run_id: UUID, stood: tuple[str, str | None], following: str | None, progress: Progress
) -> bool:
    """What was found and where to go on, in one transaction; nothing when another worker has gone on meanwhile."""
    async with platform.database.transaction() as session:
        run = await repository.run(session, SCOPE, run_id, lock=True)
        if run is None or run.status != RUNNING:
            return False
        if (run.part, run.after) != stood:
            return True
        now = platform.clock.now()
        for one in progress.found:
            values = {
                "id": platform.randomness.uuid(),
                "run_id": run_id,
                "kind": one.kind,
                "object_id": one.object_id,
                "account_id": one.account_id,
                "action": HEALED if one.is_healed else REPORTED,
                "ours": one.ours,
                "stripes": one.stripes,
                "says": one.says,
                "found_at": now,
            }
            if await repository.insert_finding(session, values):
                run.healed += one.is_healed
                run.reported += not one.is_healed
        known = run.compared.get(progress.counted, 0)
        run.compared = {**run.compared, progress.counted: known + progress.compared}
        run.after = progress.after
        if following is not None:
            run.part = following
            return True
        run.status, run.finished_at = DONE, now
    for one in progress.found:
        _log.warning("reconciliation_finding", kind=one.kind, object_id=one.object_id, healed=one.is_healed)
    return False


def _stages() -> list[tuple[str, Stage]]:
    """First all that Stripe has, then all that we have, then the credits of plans, then what both sides agree on and
    what should not be.
    """
    stages: list[tuple[str, Stage]] = []
    for part in PARTS:
        stages += [(f"{part.name} of Stripe", _theirs(part)), (f"{part.name} of ours", _ours(part))]
    return [
        *stages,
        (PLAN_CREDITS, _plan_credits),
        (WITHOUT_EFFECT, _without_effect),
        (TOO_MANY, _too_many),
    ]


# --- what Stripe has -------------------------------------------------------------------------------------------


def _theirs(part: Part) -> Stage:
    """A window of Stripe's list, against our rows. One that does not fit into an answer is shortened."""

    async def stage(platform: Platform, run: ReconciliationRun) -> Progress:
        door = platform.part(StripeDoor)
        since = datetime.fromisoformat(run.after) if run.after else run.since
        window = WINDOW
        while True:
            until = min(since + window, run.until)
            found = await part.list_theirs(door, since, until)
            if found.is_complete or window <= SHORTEST_WINDOW:
                break
            window = max(window / 4, SHORTEST_WINDOW)
        findings = await _compare(platform, part, {one.object_id: one for one in found.items})
        after = until.isoformat() if until < run.until else None
        return Progress(part.name, len(found.items), findings, after)

    return stage


# --- what we have ----------------------------------------------------------------------------------------------


def _ours(part: Part) -> Stage:
    """A page of our rows, each looked up at Stripe."""

    async def stage(platform: Platform, run: ReconciliationRun) -> Progress:
        after = UUID(run.after) if run.after else None
        async with platform.database.reading() as session:
            page = await part.our_ids(session, run.since, run.until, after, ROWS_OF_A_STEP)
        theirs: dict[str, Side | None] = {}
        for _, stripe_id in page:
            try:
                theirs[stripe_id] = await part.retrieve(platform.part(StripeDoor), stripe_id)
            except StripeObjectMissing:
                theirs[stripe_id] = None
        findings = await _compare(platform, part, theirs)
        last = str(page[-1][0]) if len(page) == ROWS_OF_A_STEP else None
        return Progress(f"{part.name} of ours", len(page), findings, last)

    return stage


# --- one by one ------------------------------------------------------------------------------------------------


async def _compare(platform: Platform, part: Part, theirs: dict[str, Side] | dict[str, Side | None]) -> list[Found]:
    async with platform.database.reading() as session:
        ours = await part.ours(session, list(theirs))
    findings = []
    for object_id, their in theirs.items():
        our = ours.get(object_id)
        if not any(side.counts for side in (our, their) if side is not None):
            continue
        if differing(our, their) != ({}, {}):
            findings.append(await _mend(platform, part, object_id, our, their))
    return findings


async def _mend(platform: Platform, part: Part, object_id: str, our: Side | None, their: Side | None) -> Found:
    """Bring ours in line by the handler of its events, then look at both sides again."""
    here, there = differing(our, their)
    is_healed, done = False, "Stripe does not have it; a person must look."
    now_ours = our
    if their is not None:
        outcome = await _apply(platform, part, object_id)
        async with platform.database.reading() as session:
            now_ours = (await part.ours(session, [object_id])).get(object_id)
        now_theirs = await part.retrieve(platform.part(StripeDoor), object_id)
        is_healed = differing(now_ours, now_theirs) == ({}, {})
        done = "It was brought in line with Stripe." if is_healed else f"It could not be mended: {outcome}."
    account = now_ours or our
    says = f"{part.noun} {object_id}: {told(here)} here, {told(there)} at Stripe. {done}"
    account_id = account.account_id if account is not None else None
    return Found(_kind(part, here, there), object_id, account_id, is_healed, here, there, says)


async def _apply(platform: Platform, part: Part, object_id: str) -> str:
    try:
        found = await part.handler.fetch(platform.part(StripeDoor), object_id)
        async with platform.database.transaction() as session:
            return await part.handler.apply(session, platform, found)
    except (EventNotUnderstood, StripeObjectMissing) as problem:
        return str(problem)
    except Exception as failure:
        if _passes(failure):
            raise
        _log.exception("reconciliation_could_not_mend", part=part.name, object_id=object_id)
        return f"{type(failure).__name__}, see the log"


def _kind(part: Part, here: dict[str, Any], there: dict[str, Any]) -> str:
    if there.get("credits") == "granted":
        return PAID_WITHOUT_CREDITS
    if here.get("credits") == "granted":
        return CREDITS_WITHOUT_PAYMENT
    return part.name


# --- on what both sides agree, and should not ----------------------------------------------------------------------


async def _without_effect(platform: Platform, run: ReconciliationRun) -> Progress:
    """Invoices that were paid for a subscription that gives nothing, or for a workspace that was deleted by then:
    only a person can give that money back now.
    """
    after = UUID(run.after) if run.after else None
    async with platform.database.reading() as session:
        page = await repository.issued_ids(session, run.since, run.until, after, ROWS_OF_A_STEP)
        rows = await repository.without_effect(session, SCOPE, page)
    last = str(page[-1]) if len(page) == ROWS_OF_A_STEP else None
    return Progress(WITHOUT_EFFECT, len(page), [_paid_for_nothing(*one) for one in rows], last)


def _paid_for_nothing(invoice: Invoice, subscription: Subscription | None, was_deleted: bool) -> Found:
    name = invoice.stripe_subscription_id
    if was_deleted:
        why = "its workspace had been deleted by then"
    elif subscription is None:
        why = f"its subscription {name} is not known here"
    elif subscription.held_reason is not None:
        beside = "a contract" if subscription.held_reason == HeldReason.CONTRACT else "the account's other one"
        why = f"its subscription {name} gives nothing beside {beside}"
    else:
        why = f"its subscription {name} had ended by then"
    kept = invoice.paid_minor - invoice.refunded_minor
    says = (
        f"Invoice {invoice.number or invoice.reference}: {money(kept, invoice.currency)} were paid, and"
        f" {why}."
        " Nothing came of the money: refund it with POST /api/admin/billing/refunds, or see what it was meant for."
    )
    ours = {"subscription": subscription.status if subscription is not None else None}
    theirs = {"status": invoice.provider_status, "paid": kept, "currency": invoice.currency}
    return Found(PAID_WITHOUT_EFFECT, invoice.reference, invoice.account_id, False, ours, theirs, says)


async def _too_many(platform: Platform, run: ReconciliationRun) -> Progress:
    """Subscriptions that live at Stripe and should not: somebody may be charged for nothing."""
    after = UUID(run.after) if run.after else None
    async with platform.database.reading() as session:
        page = await repository.subscription_ids(session, run.since, run.until, after, ROWS_OF_A_STEP)
        rows = await repository.too_many(session, SCOPE, [stripe_id for _, stripe_id in page])
    last = str(page[-1][0]) if len(page) == ROWS_OF_A_STEP else None
    return Progress(TOO_MANY, len(page), [_should_end(*one) for one in rows], last)


def _should_end(row: Subscription, is_deleted: bool) -> Found:
    stripe_id, price = row.stripe_subscription_id, money(row.amount_minor, row.currency)
    if is_deleted:
        kind, what = LIVE_OF_A_DELETED_ACCOUNT, "its workspace is deleted. End it at Stripe"
    elif row.held_reason == HeldReason.CONTRACT:
        kind, what = SECOND_SUBSCRIPTION, "its account has a contract. A job ends it; end it at Stripe if it stays"
    else:
        kind = SECOND_SUBSCRIPTION
        what = "its account has another one, which counts. A job ends this one; end it at Stripe if it stays"
    says = (
        f"Subscription {stripe_id} ({row.plan}, {price}) is {row.status} at Stripe, and {what}, and refund what was"
        " paid."
    )
    return Found(kind, stripe_id, row.account_id, False, {"held": row.held_reason}, {"status": row.status}, says)


# --- credits of plans ------------------------------------------------------------------------------------------


async def _plan_credits(platform: Platform, run: ReconciliationRun) -> Progress:
    """Whatever the paid invoices of a subscription bring is derived anew: what then comes had been missing."""
    after = UUID(run.after) if run.after else None
    async with platform.database.reading() as session:
        page = await repository.subscription_ids(session, run.since, run.until, after, ROWS_OF_A_STEP)
        rows = await repository.subscriptions(session, [stripe_id for _, stripe_id in page])
    findings = []
    for row in rows:
        found = await _derive(platform, row.stripe_subscription_id, row.account_id)
        if found is not None:
            findings.append(found)
    last = str(page[-1][0]) if len(page) == ROWS_OF_A_STEP else None
    return Progress(PLAN_CREDITS, len(page), findings, last)


async def _derive(platform: Platform, stripe_id: str, account_id: UUID) -> Found | None:
    handler = next(part.handler for part in PARTS if part.name == "subscriptions")
    try:
        picture = await handler.fetch(platform.part(StripeDoor), stripe_id)
        async with platform.database.transaction() as session:
            before = await plan_credits.brought(session, account_id)
            await handler.apply(session, platform, picture)
            await session.flush()
            after = await plan_credits.brought(session, account_id)
    except StripeObjectMissing:
        return None  # said when the subscription itself was compared
    except Exception as failure:
        if _passes(failure):
            raise
        problem = (
            str(failure) if isinstance(failure, EventNotUnderstood) else f"{type(failure).__name__}, see the log"
        )
        _log.warning("reconciliation_could_not_derive", subscription=stripe_id, exc_info=failure)
        says = f"Subscription {stripe_id}: its credits cannot be checked: {problem}."
        return Found("plan_credits", stripe_id, account_id, False, {}, {}, says)
    if after == before:
        return None
    ours, stripes = {"planCredits": before[1]}, {"planCredits": after[1]}
    says = (
        f"Subscription {stripe_id}: its plan had brought {before[1]} credits here, and {after[1]} by what was paid at"
        " Stripe. They were granted."
    )
    return Found("plan_credits", stripe_id, account_id, True, ours, stripes, says)
