"""Payments that go back: refunds given by the merchant, disputes opened by the cardholder."""

from copy import deepcopy

from pm_api.sandbox.stripe.errors import InvalidRequest
from pm_api.sandbox.stripe.objects.balance import build_balance_transaction
from pm_api.sandbox.stripe.objects.common import Json, list_object
from pm_api.sandbox.stripe.objects.refunds import build_dispute, build_refund
from pm_api.sandbox.stripe.store import field_is
from pm_api.sandbox.stripe.telling import told
from pm_api.sandbox.stripe.world import Sandbox

DISPUTE_FEE = 1500
ANSWER_WITHIN_S = 9 * 24 * 60 * 60
REFUNDS_SHOWN = 10
OPEN_DISPUTES = frozenset(("needs_response", "under_review", "warning_needs_response", "warning_under_review"))


def shown_money(amount: int, currency: str) -> str:
    return f"{amount / 100:,.2f} {currency}"


def refund(
    sandbox: Sandbox,
    charge: Json,
    *,
    amount: int | None = None,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    """Give back so much of a charge, or all that is left of it. Raises `InvalidRequest`."""
    left = charge["amount_captured"] - charge["amount_refunded"]
    if charge["status"] != "succeeded":
        raise InvalidRequest(f"Charge {charge['id']} was not successful, so there is nothing to refund.")
    if charge["refunded"] or left <= 0:
        raise InvalidRequest(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if any(not dispute["is_charge_refundable"] for dispute in disputes_of(sandbox, charge) if is_held(dispute)):
        raise InvalidRequest(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    wanted = left if amount is None else amount
    if wanted > left:
        raise InvalidRequest(
            f"Refund amount ({shown_money(wanted, charge['currency'])}) is greater than unrefunded amount on charge "
            f"({shown_money(left, charge['currency'])})",
            param="amount",
        )
    made = build_refund(created=sandbox.now(), charge=charge, amount=wanted, reason=reason, metadata=metadata)
    made["balance_transaction"] = _book(sandbox, -wanted, charge, source=made["id"], kind="refund")
    sandbox.store.save(made)
    sandbox.publish("refund.created", made)
    _tell_charge(sandbox, charge, "charge.refunded")
    return made


def fail_refund(sandbox: Sandbox, made: Json) -> Json:
    """The bank sent the money back: what was refunded is not refunded after all."""
    before = deepcopy(made)
    charge = sandbox.store.find(made["charge"], "charge")
    assert charge is not None
    booked = _book(sandbox, made["amount"], charge, source=made["id"], kind="refund_failure")
    made.update(status="failed", failure_reason="lost_or_stolen_card", failure_balance_transaction=booked)
    for event_type in ("refund.updated", "charge.refund.updated"):
        told(sandbox, before, made, event_type)
    sandbox.publish("refund.failed", made)
    _tell_charge(sandbox, charge, "charge.updated")
    return made


def refunds_of(sandbox: Sandbox, charge: Json) -> list[Json]:
    """Newest first."""
    return sandbox.store.all("refund", [field_is("charge", charge["id"])])[::-1]


def open_dispute(
    sandbox: Sandbox,
    charge: Json,
    *,
    amount: int | None = None,
    reason: str = "fraudulent",
    is_inquiry: bool = False,
) -> Json:
    """The cardholder complains. A dispute takes the money and a fee at once; an inquiry only asks."""
    if charge["status"] != "succeeded":
        raise InvalidRequest(f"Charge {charge['id']} was not successful, so there is nothing to dispute.")
    if any(dispute["status"] in OPEN_DISPUTES for dispute in disputes_of(sandbox, charge)):
        raise InvalidRequest(f"Charge {charge['id']} is already disputed.")
    wanted = charge["amount"] if amount is None else amount
    if wanted > charge["amount"]:
        raise InvalidRequest("A dispute cannot be about more than the charge.", param="amount")
    dispute = build_dispute(
        created=sandbox.now(),
        charge=charge,
        amount=wanted,
        reason=reason,
        due_by=sandbox.now() + ANSWER_WITHIN_S,
        is_inquiry=is_inquiry,
    )
    sandbox.store.save(charge | {"disputed": True})
    if not is_inquiry:
        _withdraw(sandbox, charge, dispute)
    sandbox.store.save(dispute)
    sandbox.publish("charge.dispute.created", dispute)
    if not is_inquiry:
        sandbox.publish("charge.dispute.funds_withdrawn", dispute)
    return dispute


def close_dispute(sandbox: Sandbox, dispute: Json, *, won: bool) -> Json:
    """The bank's word: won gives the money back, lost leaves it with the cardholder."""
    if dispute["status"] not in OPEN_DISPUTES:
        raise InvalidRequest(f"This dispute is already closed: its status is {dispute['status']}.")
    charge = sandbox.store.find(dispute["charge"], "charge")
    assert charge is not None
    if dispute["status"].startswith("warning"):
        if not won:
            raise InvalidRequest("An inquiry cannot be lost: it is closed, or a dispute is opened.")
        dispute["status"] = "warning_closed"
    else:
        dispute["status"] = "won" if won else "lost"
    reinstated = dispute["status"] == "won"
    if reinstated:
        dispute["balance_transactions"].append(_reinstatement(sandbox, charge, dispute))
    sandbox.store.save(dispute)
    sandbox.publish("charge.dispute.closed", dispute)
    if reinstated:
        sandbox.publish("charge.dispute.funds_reinstated", dispute)
    return dispute


def disputes_of(sandbox: Sandbox, charge: Json) -> list[Json]:
    return sandbox.store.all("dispute", [field_is("charge", charge["id"])])


def is_held(dispute: Json) -> bool:
    """Whether the disputed money is with the cardholder."""
    return dispute["status"] not in {"won", "warning_closed"}


def _tell_charge(sandbox: Sandbox, charge: Json, event_type: str) -> None:
    """The charge's sums and list of refunds follow from its refunds."""
    before = deepcopy(charge)
    made = refunds_of(sandbox, charge)
    total = sum(one["amount"] for one in made if one["status"] != "failed")
    shown = list_object(
        made[:REFUNDS_SHOWN], f"/v1/charges/{charge['id']}/refunds", has_more=len(made) > REFUNDS_SHOWN
    )
    charge.update(amount_refunded=total, refunded=total >= charge["amount_captured"], refunds=shown)
    told(sandbox, before, charge, event_type)


def _withdraw(sandbox: Sandbox, charge: Json, dispute: Json) -> None:
    booked = build_balance_transaction(
        created=sandbox.now(),
        amount=-dispute["amount"],
        currency=charge["currency"],
        source=dispute["id"],
        kind="adjustment",
        fee=DISPUTE_FEE,
        fee_description="Dispute fee",
        description=f"Chargeback withdrawal for {charge['id']}",
        reporting_category="dispute",
    )
    dispute["balance_transactions"].append(sandbox.store.save(booked))


def _reinstatement(sandbox: Sandbox, charge: Json, dispute: Json) -> Json:
    booked = build_balance_transaction(
        created=sandbox.now(),
        amount=dispute["amount"],
        currency=charge["currency"],
        source=dispute["id"],
        kind="adjustment",
        description=f"Chargeback reversal for {charge['id']}",
        reporting_category="dispute_reversal",
    )
    return sandbox.store.save(booked)


def _book(sandbox: Sandbox, amount: int, charge: Json, *, source: str, kind: str) -> str:
    booked = build_balance_transaction(
        created=sandbox.now(),
        amount=amount,
        currency=charge["currency"],
        source=source,
        kind=kind,
        description=f"{kind.replace('_', ' ').upper()} FOR CHARGE {charge['id']}",
    )
    return str(sandbox.store.save(booked)["id"])
