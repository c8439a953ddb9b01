"""Somebody who has used everything, under words that occur nowhere else, and a search for these words everywhere."""

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from sqlalchemy import text

from pm_api.core.jobs import PERIODICS, JobContext, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.account import exports
from pm_api.entitlements.enums import AccountType
from pm_api.identity.permissions import Role
from tests.conftest import PASSWORD, Person, register
from tests.domains.billing.subscribing import Shop
from tests.identity.teams import join, make_workspace

ACCOUNT: Final = "/api/user/account"
EXPORT: Final = "/api/user/export"
PHONE: Final = "Quetzalphone/7"
ADDRESS: Final = "203.0.113.177"


@dataclass
class Leaver:
    """A person and the words that tell of them."""

    person: Person
    mark: str
    own: str = ""
    shared: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """Any of these in a table tells of them."""
        return [self.mark, PHONE, ADDRESS]


async def new_leaver(shop: Shop) -> Leaver:
    """Registered with a name that has marks of its own in JSON, from a device and an address to be found again."""
    mark = f"zq{uuid4().hex[:10]}"
    person = await register(shop.till.app, email=f"{mark}@example.com", name=f'Zo "{mark}" O\'Quetzal')
    shop.people.append(person)
    transport = httpx.ASGITransport(shop.till.app, client=(ADDRESS, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=str(person.client.base_url)) as device:
        answer = await device.post(
            "/api/auth/login", json={"email": person.email, "password": PASSWORD}, headers={"User-Agent": PHONE}
        )
        assert answer.status_code == 200, answer.text
    return Leaver(person, mark)


async def use_everything(shop: Shop, leaver: Leaver, friend: Person) -> None:
    """Profile, settings, workspaces, plans, packs, spends, holds, gifts, requests, an export; all of it told by
    Stripe.
    """
    person, mark = leaver.person, leaver.mark
    await shop.done(
        person, "PUT", "/api/user/profile", name=person.name, jobTitle=f"chief {mark}", about=f"I, {mark}"
    )
    await shop.done(
        person,
        "PATCH",
        "/api/user/settings",
        theme="DARK",
        notifications={"quietHours": {"from": "22:00", "to": "07:00"}},
    )
    leaver.own = (await make_workspace(person, name=f"{mark} alone", description=f"of {mark}"))["id"]
    leaver.shared = (await make_workspace(person, name="Shared"))["id"]
    await shop.card(AccountType.WORKSPACE, leaver.shared)
    await join(shop.till.platform, leaver.shared, friend, Role.OWNER)
    await shop.active(person)
    await shop.active(person, leaver.own)
    found = await shop.done(person, "POST", "/api/credits/purchase", 201, pack="MEDIUM")
    fields = {
        "email": person.email,
        "card_number": "4242424242424242",
        "expiry": "12 / 40",
        "cvc": "123",
        "name": f"Zo {mark}",
    }
    paid = await shop.till.stripe.http.post(f"/checkout/{found['sessionId']}", data=fields)
    assert paid.status_code < 400, paid.text
    await hear_everything(shop)
    for body in ({"amount": 5}, {"amount": 7, "workspaceId": leaver.own}):
        spent = await shop.done(person, "POST", "/api/credits/spend", description="work", **body)
    leaver.extra["entry"] = spent["entry"]["id"]
    await shop.done(person, "POST", "/api/credits/holds", 201, amount=11, description=f"held by {mark}")
    await shop.done(person, "POST", "/api/credits/holds", 201, amount=3, workspaceId=leaver.own, description="held")
    gift = {"amount": 9, "message": f"from {mark} with love"}
    await shop.done(person, "POST", "/api/credits/gifts", 201, recipientUserId=str(friend.id), **gift)
    await shop.done(person, "POST", "/api/credits/gifts", 201, code={"maxClaims": 2}, **gift)
    await shop.done(
        person,
        "POST",
        "/api/credits/pool/requests",
        201,
        kind="CREDITS",
        amount=50,
        reason=f"{mark} needs it",
        workspaceId=leaver.shared,
    )


async def use_what_opens_doors(shop: Shop, leaver: Leaver, friend: Person) -> None:
    """Keys of their own and of a workspace, a webhook endpoint, an invitation nobody has answered."""
    person, mark = leaver.person, leaver.mark
    await shop.done(person, "POST", "/api/api-keys", 201, name=f"{mark}'s own", scopes=["profile:read"])
    key = {"name": f"{mark}'s team", "scopes": ["credits:read"], "workspaceId": leaver.own}
    made = await shop.done(person, "POST", "/api/api-keys", 201, **key)
    leaver.extra["key"] = made["token"]
    endpoint = {"url": f"https://example.com/{mark}", "description": f"for {mark}", "workspaceId": leaver.own}
    await shop.done(person, "POST", "/api/webhook-endpoints", 201, **endpoint)
    elsewhere = (await make_workspace(friend))["id"]
    await shop.done(
        friend, "POST", "/api/team/invite", 200, emails=[person.email], role="MEMBER", workspaceId=elsewhere
    )


async def hear_everything(shop: Shop) -> None:
    """Stripe's events, each told to us once, and worked off."""
    heard = shop.till.__dict__.setdefault("_heard", set())
    key = shop.till.platform.settings.stripe.secret_key.get_secret_value()
    waiting: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {"limit": 100}
    while True:
        answer = await shop.till.stripe.http.get(
            "/v1/events", params=parameters, headers={"Authorization": f"Bearer {key}"}
        )
        page = answer.json()
        waiting += [one for one in page["data"] if one["id"] not in heard]
        if not page["has_more"]:
            break
        parameters["starting_after"] = page["data"][-1]["id"]
    for event in reversed(waiting):
        heard.add(event["id"])
        await shop.till.tell(event)
    subjects = await shop.rows("SELECT DISTINCT subject FROM inbox_events WHERE status = 'PENDING'")
    for (subject,) in subjects:
        await shop.till.drain(subject)


async def build_export(platform: Platform, export_id: str) -> None:
    """What the worker does about it."""
    await exports.BUILD.run(JobContext(platform, "test"), exports.Build(export_id=UUID(export_id)))


async def sweep(platform: Platform, name: str) -> None:
    await run_sweep(platform, PERIODICS[name])


async def found_anywhere(platform: Platform, words: list[str]) -> list[str]:
    """`table: word` for every table of the database, the queue's own too, that holds one of the words in any column:
    as text, within JSON, or as bytes.
    """
    found = []
    async with platform.database.reading() as session:
        tables = await session.scalars(
            text(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
            )
        )
        for table in tables.all():
            for word in words:
                spelled = [f"%{word}%", f"%{word.encode().hex()}%"]
                rows = await session.scalar(
                    text(f"SELECT count(*) FROM {table} AS one WHERE one::text ILIKE ANY(:words)"), {"words": spelled}
                )
                if rows:
                    found.append(f"{table}: {word}")
    return found
