"""Whom billing tells: a user of their own plan, and of a workspace's those who may see its bills."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.money import money
from pm_api.core.platform import Platform
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.repository import people
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.entitlements.enums import AccountType

__all__ = ["money", "tell", "tell_operators"]

LINK: Final = "/dashboard/billing"


async def tell(
    session: AsyncSession,
    platform: Platform,
    account: Account,
    *,
    type: str,
    dedup_key: str,
    title: str,
    body: str,
    data: Mapping[str, Any] | None = None,
) -> int:
    """Tell an account's people of its bills, once for each key; returns how many were told now.

    Who manages several workspaces reads which one it is about, and the link leads to its bills.
    """
    kind, account_id = account
    is_workspace = kind is AccountType.WORKSPACE
    about: dict[str, Any] = {"accountType": str(kind), "accountId": str(account_id)}
    link, reason = LINK, "It is about your own account."
    if is_workspace:
        name = await people.workspace_name(session, account_id)
        link = f"{LINK}?workspaceId={account_id}"
        reason = f"You manage the plan and the bills of {name}."
        about["workspaceName"] = name
        body = f"{name}: {body}"
    return await notifications.notify(
        session,
        platform,
        user_ids=await people.who_pays_for(session, account_id) if is_workspace else [account_id],
        category=Category.BILLING,
        type=type,
        dedup_key=dedup_key,
        title=title,
        body=body,
        reason=reason,
        data={**about, **(data or {})},
        link=link,
        workspace_id=account_id if is_workspace else None,
    )


async def tell_operators(
    session: AsyncSession,
    platform: Platform,
    *,
    type: str,
    dedup_key: str,
    title: str,
    body: str,
    data: Mapping[str, Any] | None = None,
) -> int:
    """Tell the administrators of this installation, once for each key."""
    return await notifications.notify(
        session,
        platform,
        user_ids=await people.operators(session),
        category=Category.BILLING,
        type=type,
        dedup_key=dedup_key,
        title=title,
        body=body,
        reason="You operate this installation.",
        data=data,
    )
