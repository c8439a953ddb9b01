"""What the document shows as examples: whole things that fit together, so that what is tried out first works."""

from typing import Any, Final

from pm_api.core.openapi import NULL

ACCOUNT_ID: Final = "5b1f3c9e-4a52-4a0e-9d0e-6f5d0c1a7b11"
ENTRY_ID: Final = "0d3a4a55-8c6f-4f0b-a1f0-2f8a3f0f6c21"
LATER_ENTRY_ID: Final = "f1c0a6d8-2b1e-4b36-8d51-1a2b3c4d5e6f"
LOT_ID: Final = "7e0f8a3b-1c7e-4b53-8a41-93d5c5d4e8f2"
KEY: Final = "try-it-out-1"
"""Sent again with the same content it is the same command: trying twice does nothing twice."""

SPEND: Final[dict[str, Any]] = {
    "id": ENTRY_ID,
    "accountId": ACCOUNT_ID,
    "seq": 12,
    "type": "USAGE",
    "amount": -3,
    "balanceAfter": 97,
    "service": "TASK_GENERATION",
    "quantity": 1,
    "priceVersion": 1,
    "description": "Task list for the launch",
    "metadata": {"project": "launch"},
    "actorUserId": ACCOUNT_ID,
    "holdId": NULL,
    "reversesSeq": NULL,
    "debtAfter": 0,
    "createdAt": "2026-11-14T09:30:00.000Z",
}
_NO_SERVICE: Final[dict[str, Any]] = {
    "service": NULL,
    "quantity": NULL,
    "priceVersion": NULL,
    "metadata": {},
    "actorUserId": NULL,
}
GRANTED: Final[dict[str, Any]] = {
    **SPEND,
    **_NO_SERVICE,
    "id": LATER_ENTRY_ID,
    "seq": 13,
    "type": "ADMIN_ADJUSTMENT",
    "amount": 100,
    "balanceAfter": 197,
    "description": "Welcome back",
}
GIVEN_BACK: Final[dict[str, Any]] = {
    **SPEND,
    **_NO_SERVICE,
    "id": LATER_ENTRY_ID,
    "seq": 13,
    "type": "REVERSAL",
    "amount": 3,
    "balanceAfter": 100,
    "service": "TASK_GENERATION",
    "description": "The task list came out empty",
    "reversesSeq": 12,
}
VOIDED: Final[dict[str, Any]] = {
    **SPEND,
    **_NO_SERVICE,
    "id": LATER_ENTRY_ID,
    "seq": 13,
    "type": "VOID",
    "amount": -97,
    "balanceAfter": 0,
    "description": "Bought with a stolen card",
}
STATED: Final[dict[str, Any]] = {
    **{name: value for name, value in SPEND.items() if name not in ("accountId", "actorUserId", "createdAt")},
    "actor": {"kind": "user", "userId": ACCOUNT_ID},
    "requestId": "0198c0de-0000-7000-8000-000000000000",
    "commandKey": f"c:user:{ACCOUNT_ID}:spendCredits:{KEY}",
    "createdAt": "2026-11-14T09:30:00.000000Z",
    "allocations": [{"lotId": LOT_ID, "amount": -3}],
    "lot": NULL,
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
LOT: Final[dict[str, Any]] = {
    "id": LOT_ID,
    "kind": "PURCHASE",
    "amount": 100,
    "remaining": 97,
    "held": 0,
    "spent": 3,
    "expired": 0,
    "voided": 0,
    "transferredOut": 0,
    "service": NULL,
    "effectiveAt": "2026-11-01T08:00:00.000Z",
    "expiresAt": NULL,
}
IDENTITY: Final[dict[str, Any]] = {
    "granted": 100,
    "available": 97,
    "scheduled": 0,
    "held": 0,
    "spent": 3,
    "expired": 0,
    "voided": 0,
    "transferredOut": 0,
}
BALANCE: Final[dict[str, Any]] = {
    "accountId": ACCOUNT_ID,
    "accountKind": "USER",
    "current": 97,
    "limit": 100,
    "resetDate": "2026-12-01T08:00:00.000Z",
    "held": 0,
    "debt": 0,
    "seq": 12,
    "expiringSoon": {"amount": 0, "at": NULL},
    "lots": [LOT],
    "identity": IDENTITY,
}

APPROVED: Final[dict[str, Any]] = {
    "id": "c1a4b7d2-5e0a-4c57-9f1b-0c8d5a6b3e94",
    "accountId": ACCOUNT_ID,
    "entryId": ENTRY_ID,
    "entrySeq": 12,
    "amount": 3,
    "reason": "The answer broke off in the middle",
    "category": "FAILED",
    "status": "APPROVED",
    "note": "Sorry about that",
    "decidedAt": "2026-11-14T10:00:00.000Z",
    "refundEntryId": LATER_ENTRY_ID,
    "refundedAmount": 3,
    "requestedBy": ACCOUNT_ID,
    "decidedBy": NULL,
    "version": 2,
    "createdAt": "2026-11-14T09:45:00.000Z",
}


def after(line: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An answer with a line and the balance right after it."""
    return {"entry": line, "balance": {"current": line["balanceAfter"], "held": 0, "debt": 0}, **more}


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """An entry of a route's `responses`, for an operation whose answer is not what its schema shows."""
    return {"content": {"application/json": {"example": answer}}}
