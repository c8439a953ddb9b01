"""Demo data: people, a workspace, projects, events, credits, and at the sandbox Stripe a paid and an open purchase.

Safe to run again: everything has a fixed name, credits have fixed keys, and what stands already is left as people
have made it since.
"""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Final
from uuid import UUID

import httpx
from dateutil.relativedelta import relativedelta
from PIL import Image, ImageDraw
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind, SystemScope, UserScope, WorkspaceScope
from pm_api.core.errors import ApiError
from pm_api.core.paging import MAX_LIMIT, PageRequest
from pm_api.core.platform import Platform
from pm_api.core.recurrence import zone
from pm_api.domains.account import service as account
from pm_api.domains.ai_credits import catalogue
from pm_api.domains.billing import contracts
from pm_api.domains.billing.schemas.contracts import ContractWrite
from pm_api.domains.calendar import places, writing
from pm_api.domains.calendar.enums import Scope as Reach
from pm_api.domains.calendar.guards import EventScope
from pm_api.domains.calendar.repository import events as calendar
from pm_api.domains.calendar.schemas.events import EventCreate, EventUpdate
from pm_api.domains.calendar.schemas.resources import ResourceCreate
from pm_api.domains.payments import checkouts
from pm_api.domains.projects import changing, making, reading
from pm_api.domains.projects import members as project_members
from pm_api.domains.projects import service as projects
from pm_api.domains.projects.enums import ProjectRole, ProjectState
from pm_api.domains.projects.schemas.projects import ProjectCreate
from pm_api.domains.storage import pictures
from pm_api.domains.storage import places as filed
from pm_api.domains.storage import service as storage
from pm_api.domains.storage.accounts import account_of
from pm_api.domains.storage.destinations import destination
from pm_api.domains.storage.enums import FileType, UploadWay
from pm_api.domains.storage.sessions import NewUpload
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType, Plan
from pm_api.identity import members, workspaces
from pm_api.identity.permissions import Role
from pm_api.identity.repository import people as repository

PASSWORD: Final = "demo-password-2026"  # noqa: S105  printed by the banner
DEMO: Final = ("demo@example.com", "Dana Demo")
TEAM: Final = (
    ("olga@example.com", "Olga Admin", Role.ADMIN),
    ("milo@example.com", "Milo Member", Role.MEMBER),
    ("vera@example.com", "Vera Viewer", Role.VIEWER),
)
WORKSPACE: Final = ("Acme Launch", "acme-launch")
# Without a contract, so that a plan can be bought for it.
UNBOUGHT: Final = ("Dana's Studio", "dana-studio")
PROJECTS: Final = (
    {"key": "WEB", "name": "Website relaunch", "color": "#3b82f6", "icon": "🚀", "description": "A new home page."},
    {"key": "APP", "name": "Mobile app", "color": "#22c55e", "icon": "📱", "description": "The first version."},
    {"key": "TPL", "name": "Launch checklist", "color": "#a855f7", "icon": "✅", "isTemplate": True},
)
STARTED: Final = "WEB"
OFFICE_ZONE: Final = "Europe/Berlin"
ROOM: Final = {"name": "Room 4", "capacity": 8, "location": "Second floor", "timeZone": OFFICE_ZONE}
XL_PRICE_MINOR: Final = 2999
NOTES: Final = "Launch\n\n1. Freeze the copy.\n2. Switch the address.\n3. Tell everybody.\n"


@dataclass(frozen=True, slots=True)
class Demo:
    """What the banner shows."""

    user_id: UUID
    workspace_id: UUID
    open_checkout_url: str | None
    unbought_id: UUID | None = None


async def seed(platform: Platform, sandbox_url: str | None) -> Demo:
    """Fill in what is missing; the purchases need the sandbox Stripe."""
    demo_id = await _person(platform, *DEMO)
    actor = Actor(ActorKind.USER, demo_id)
    team = [(await _person(platform, email, name), role) for email, name, role in TEAM]
    # The workspace and its people in one transaction: once it stands, a missing one was removed by somebody.
    async with platform.database.transaction() as session:
        workspace_id, is_new = await _workspace(session, platform, actor, WORKSPACE)
        await _team_plan(session, platform, workspace_id)
        for member_id, role in team if is_new else ():
            await members.add(session, platform, actor, workspace_id, member_id, role)
    async with platform.database.transaction() as session:
        unbought_id, _ = await _workspace(session, platform, actor, UNBOUGHT)
    await _projects(platform, WorkspaceScope(actor, workspace_id, demo_id, Role.OWNER))
    await _calendar(platform, WorkspaceScope(actor, workspace_id, demo_id, Role.OWNER))
    await _files(platform, WorkspaceScope(actor, workspace_id, demo_id, Role.OWNER))
    async with platform.database.transaction() as session:
        if (await catalogue.standing_offers(session))["XL"].price_minor is None:  # else Stripe's price stands
            await catalogue.set_pack_price(session, platform, "XL", XL_PRICE_MINOR)
    url = await _purchases(platform, UserScope(actor, demo_id), sandbox_url) if sandbox_url else None
    return Demo(demo_id, workspace_id, url, unbought_id)


async def _person(platform: Platform, email: str, name: str) -> UUID:
    async with platform.database.reading() as session:
        known = await repository.user_by_email(session, email)
    if known is not None:
        return known.id
    return await account.create_person(platform, email=email, password=PASSWORD, name=name)


async def _workspace(
    session: AsyncSession, platform: Platform, actor: Actor, wanted: tuple[str, str]
) -> tuple[UUID, bool]:
    """The workspace of that slug, whoever owns it by now and also a deleted one, and whether it was made by this."""
    name, slug = wanted
    known = await repository.workspace_by_slug(session, slug)
    if known is not None:
        return known.id, False
    made = await workspaces.create(session, platform, actor, name=name, slug=slug)
    return made.id, True


async def _team_plan(session: AsyncSession, platform: Platform, workspace_id: UUID) -> None:
    """A year of the team plan by contract, so that the workspace holds four people; again when that year is over."""
    standing = await entitlements.standing_of(session, platform, AccountType.WORKSPACE, workspace_id)
    if standing.is_bought:
        return
    first = platform.clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    wanted = ContractWrite(
        plan=Plan.TEAM_STANDARD,
        price=0,
        currency="USD",
        startsAt=first,
        endsAt=first + relativedelta(years=1),
    )
    account_of_the_team = (AccountType.WORKSPACE, workspace_id)
    await contracts.put(session, platform, SystemScope("demo data"), account_of_the_team, wanted, None)


async def _projects(platform: Platform, scope: WorkspaceScope) -> None:
    """Some with work in them and a template; those of the team are in the one that has begun. All at once, where
    there never was a project; not where the demo person may not make them any more.
    """
    with contextlib.suppress(ApiError):
        async with platform.database.transaction() as session:
            if await projects.has_had_any(session, scope.workspace_id):
                return
            for wanted in PROJECTS:
                body = ProjectCreate.model_validate({"workspaceId": scope.workspace_id, **wanted})
                made = await making.create(session, platform, scope, body)
                if body.key == STARTED:
                    await changing.step(session, platform, scope, made.id, ProjectState.ACTIVE, None)
                    await _into(session, platform, scope, made.id)


async def _calendar(platform: Platform, scope: WorkspaceScope) -> None:
    """From next Monday on a stand-up in a room, one of them on another day, a planning and a day off. All at once,
    where there never was an event.
    """
    with contextlib.suppress(ApiError):
        async with platform.database.transaction() as session:
            if await calendar.has_home(session, scope.workspace_id):
                return
            now = (
                platform.clock.now().astimezone(zone(OFFICE_ZONE)).replace(hour=0, minute=0, second=0, microsecond=0)
            )
            monday = now + timedelta(days=7 - now.weekday())
            asked = {"workspaceId": scope.workspace_id, "timeZone": OFFICE_ZONE}
            room = await places.create(
                session, platform, scope, ResourceCreate.model_validate({**ROOM, "workspaceId": scope.workspace_id})
            )
            standup = {
                **asked,
                **_at(monday, "09:30", 15),
                "title": "Stand-up",
                "type": "MEETING",
                "rrule": "FREQ=WEEKLY;BYDAY=MO",
                "attendeeIds": await _team_there(session, scope),
                "resourceIds": [room.id],
                "reminders": [{"minutesBefore": 10}],
            }
            series, _ = await writing.create(session, platform, scope, EventCreate.model_validate(standup))
            second = monday + timedelta(days=7)
            original = second.replace(hour=9, minute=30)
            at = EventScope(scope, series.id, original)
            moved = EventUpdate.model_validate(
                {**_at(second + timedelta(days=1), "10:00", 15), "title": "Stand-up, a day late"}
            )
            await writing.change(session, platform, scope, at, moved, Reach.THIS, None)
            planning = {**asked, **_at(monday + timedelta(days=2), "14:00", 60), "title": "Planning", "type": "CALL"}
            await writing.create(session, platform, scope, EventCreate.model_validate(planning))
            friday = monday + timedelta(days=4)
            day_off = {
                **asked,
                "title": "Dana is off",
                "type": "REMINDER",
                "allDay": True,
                "startTime": f"{friday:%Y-%m-%d}",
                "endTime": f"{friday + timedelta(days=1):%Y-%m-%d}",
                "showAs": "OOO",
            }
            await writing.create(session, platform, scope, EventCreate.model_validate(day_off))


def _at(day: datetime, clock: str, minutes: int) -> dict[str, str]:
    """By the clock on the wall, whatever that does to the offset in between."""
    hour, minute = map(int, clock.split(":"))
    start = day.replace(hour=hour, minute=minute)
    return {"startTime": start.isoformat(), "endTime": (start + timedelta(minutes=minutes)).isoformat()}


async def _team_there(session: AsyncSession, scope: WorkspaceScope) -> list[UUID]:
    """Those of the team who are in the workspace still."""
    found = []
    for email, _, _ in TEAM:
        person = await repository.user_by_email(session, email)
        if person is not None and await repository.role_in(session, scope.workspace_id, person.id) is not None:
            found.append(person.id)
    return found


async def _into(session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID) -> None:
    """Those of the team who are in the workspace still."""
    for email, _, role in TEAM:
        person = await repository.user_by_email(session, email)
        if person is not None and await repository.role_in(session, scope.workspace_id, person.id) is not None:
            as_what = ProjectRole(role)
            await project_members.put(session, platform, scope, project_id, person.id, as_what, None)


async def _files(platform: Platform, scope: WorkspaceScope) -> None:
    """A picture of the demo person, a mark of the workspace and two files of the project that has begun: where there
    never was a file.
    """
    with contextlib.suppress(ApiError):
        async with platform.database.reading() as session:
            if await filed.has_had_any(session, scope.workspace_id):
                return
            page = await reading.list_of(session, platform, scope, PageRequest(MAX_LIMIT, None))
        with _painted("#0f766e", "#fbbf24") as drawn:
            await pictures.put_on_avatar(platform, UserScope(scope.actor, scope.user_id), drawn)
        with _painted("#1d4ed8", "#e0e7ff") as drawn:
            await pictures.put_on_logo(platform, scope, drawn)
        for project in page.projects:
            if project.key == STARTED:
                with _painted("#be123c", "#ffe4e6") as drawn:
                    await _file(platform, scope, project.id, "home-page-sketch.png", "image/png", drawn.read())
                await _file(platform, scope, project.id, "launch-notes.txt", "text/plain", NOTES.encode())


async def _file(
    platform: Platform, scope: WorkspaceScope, project_id: UUID, name: str, media_type: str, content: bytes
) -> None:
    """A file of a project, as an upload of the demo person's would be."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    async with platform.database.reading() as session:
        check = destination(FileType.PROJECT_ASSET)
        place = await check(session, platform, scope, task_id=None, project_id=project_id)
    wanted = NewUpload(
        way=UploadWay.INTERNAL,
        file_type=FileType.PROJECT_ASSET,
        original_name=name,
        declared_type=media_type,
        total_bytes=len(content),
        place=place,
    )
    await storage.put_internal(platform, account_of(scope), scope, wanted, pieces())


@contextlib.contextmanager
def _painted(ground: str, disc: str) -> Iterator[BinaryIO]:
    """A disc on a ground: a picture that needs no file of ours."""
    with tempfile.TemporaryFile() as file:
        picture = Image.new("RGB", (640, 640), ground)
        ImageDraw.Draw(picture).ellipse((120, 120, 520, 520), fill=disc)
        picture.save(file, "PNG")
        file.seek(0)
        yield file


async def _purchases(platform: Platform, scope: UserScope, sandbox_url: str) -> str:
    """One MEDIUM pack bought and reported by a signed event, one SMALL pack waiting for a card."""
    key = platform.settings.stripe.secret_key.get_secret_value()
    async with httpx.AsyncClient(
        base_url=sandbox_url, timeout=10, trust_env=False, headers={"Authorization": f"Bearer {key}"}
    ) as sandbox:
        known = await _sessions(sandbox)
        if not known:
            paid = await _buy(platform, scope, sandbox, pack=("MEDIUM", 1), amount_minor=899, status="complete")
            delivered = await sandbox.post(f"/_sandbox/events/{paid['event']['id']}/deliver")
            delivered.raise_for_status()
        waiting = [one["id"] for one in known if one["status"] == "open"]
        if not waiting:
            made = await _buy(platform, scope, sandbox, pack=("SMALL", 1), amount_minor=199, status="open")
            waiting = [made["session"]["id"]]
        return f"{sandbox_url}/checkout/{waiting[0]}"


async def _sessions(sandbox: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await sandbox.get("/v1/checkout/sessions")
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def _buy(
    platform: Platform,
    scope: UserScope,
    sandbox: httpx.AsyncClient,
    *,
    pack: tuple[str, int],
    amount_minor: int,
    status: str,
) -> Any:
    async with platform.database.transaction() as session:
        item = checkouts.Item(checkouts.PACK, pack[0], amount_minor, "USD", version=pack[1])
        checkout = checkouts.open_one(session, platform, scope, item)
    answer = await sandbox.post(
        "/_sandbox/checkout-sessions",
        json={
            "clientReferenceId": str(checkout.id),
            "customerEmail": DEMO[0],
            "metadata": {"accountType": "USER", "accountId": str(scope.user_id), "pack": pack[0]},
            "lineItems": [{"name": f"{pack[0]} credit pack", "amountMinor": amount_minor, "currency": "usd"}],
            "status": status,
            "paymentStatus": "paid" if status == "complete" else "unpaid",
            "successUrl": f"{platform.settings.public_url}/docs",
        },
    )
    answer.raise_for_status()
    return answer.json()
