"""People, places and rows for tests that meet every route: one factory per table, made through the services."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import inbox
from pm_api.core.actor import Actor, ActorKind, SystemScope, UserScope, WorkspaceScope
from pm_api.core.inbox import Arrival
from pm_api.core.platform import Platform
from pm_api.domains.account import service as account
from pm_api.domains.account.schemas.registration import Registration
from pm_api.domains.ai_credits import corrections, gifts, holds, pool_requests, purchases, topups
from pm_api.domains.ai_credits import service as credits_service
from pm_api.domains.ai_credits.purchases import Purchase
from pm_api.domains.ai_credits.schemas.corrections import RefundRequestCreate
from pm_api.domains.ai_credits.schemas.gifts import GiftRequest, GiftSent
from pm_api.domains.ai_credits.schemas.holds import HoldRequest
from pm_api.domains.ai_credits.schemas.ledger import SpendRequest
from pm_api.domains.ai_credits.schemas.pools import PoolRequestCreate
from pm_api.domains.ai_credits.schemas.topups import AutoTopUpWrite
from pm_api.domains.billing import payment_methods, reconciliation
from pm_api.domains.billing.flows.auto_topup import buy_if_low
from pm_api.domains.billing.repository import auto_topup as topup_rows
from pm_api.domains.billing.repository import payment_methods as method_rows
from pm_api.domains.billing.wallets import fetch_by_customer
from pm_api.domains.bug_reports import service as bug_reports
from pm_api.domains.bug_reports.schemas import BugReportCreate
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.domains.payments import checkouts, customers
from pm_api.domains.team import inviting
from pm_api.domains.team.models import Invitation
from pm_api.domains.webhooks_out import deliveries as webhook_deliveries
from pm_api.domains.webhooks_out import repository as endpoint_rows
from pm_api.domains.webhooks_out import service as webhook_endpoints
from pm_api.domains.webhooks_out.schemas import WebhookEndpointCreate
from pm_api.entitlements.enums import AccountType
from pm_api.identity import members, sessions, workspaces
from pm_api.identity.devices import Device
from pm_api.identity.models.people import User
from pm_api.identity.permissions import Role
from pm_api.identity.repository import people as repository
from pm_api.identity.tokens import AccessTokens
from pm_api.integrations.stripe import StripeDoor, portal
from pm_api.integrations.stripe import customers as stripe_customers
from pm_api.integrations.stripe import payment_methods as stripe_methods
from pm_api.integrations.stripe import refunds as stripe_refunds
from tests.architecture import (
    collaborating,
    credentials,
    dating,
    filing,
    leaving,
    picturing,
    powering,
    talking,
    tasking,
    uploading,
    working,
)
from tests.conftest import PASSWORD, copy_of_template, database_url, open_platform, server_command
from tests.support import stores
from tests.support.clock import MovableClock
from tests.support.plans import have_room
from tests.support.providers import github
from tests.support.purchases import bought_pack, tell
from tests.support.settings import ADMIN_KEY, settings_for
from tests.support.stripe import sandbox_stripe, stripe_settings

ANONYMOUS: Final = "anonymous"
SIGNED_IN: Final = "signed_in"
OTHER_TENANT: Final = "other_tenant"
ADMINISTRATOR: Final = "administrator"
ADMIN_KEY_HOLDER: Final = "admin_key"
REMOVED: Final = "removed_member"
FOREIGN_KEY: Final = "foreign_key"
GUEST: Final = "GUEST"
ROLES: Final = (GUEST, "VIEWER", "MEMBER", "ADMIN", "OWNER")
PEOPLE: Final = (SIGNED_IN, OTHER_TENANT, *ROLES, ADMINISTRATOR, REMOVED)
COLUMNS: Final = (ANONYMOUS, *PEOPLE, ADMIN_KEY_HOLDER, FOREIGN_KEY)
"""Kinds of callers: nobody, a person without a workspace, the owner of another one, the five roles (of which a guest
is a MEMBER of the project that a row belongs to), a user marked as administrator of the installation, somebody who
was a member, the holder of the installation's key, and the owner with an API key of another workspace of theirs."""

TARGET: Final = "target"
MAKERS: Final = frozenset({GUEST, "MEMBER", "ADMIN", "OWNER"})
"""Who may make tasks in a project: a guest is a member there."""
TESTS: Final = Device("tests", "127.0.0.1")
CHECKOUT_COMPLETED: Final = "checkout.session.completed"
LIVING_PLACE: Final = """
    SELECT coalesce(archived_at, deleted_at) IS NULL
        AND (SELECT count(*) < 3 FROM projects WHERE workspace_id = :workspace AND deleted_at IS NULL)
    FROM workspaces WHERE id = :workspace
"""
MEMBERS_OF_PLACE: Final = "SELECT id, role FROM workspace_members WHERE workspace_id = :workspace"
LIVING_PROJECT: Final = """
    SELECT true FROM projects JOIN scope_members USING (scope_id)
    WHERE projects.id = :project AND status = 'ACTIVE' AND deleted_at IS NULL AND scope_members.user_id = :guest
"""


@asynccontextmanager
async def platform_on_its_own(request_config: pytest.Config, name: str) -> AsyncIterator[Platform]:
    """A platform on a database that no other test sees: for tests that call everything, the clock included."""
    worker = getattr(request_config, "workerinput", {}).get("workerid", "main")
    database = f"pm_{name}_{worker}"
    drop = f"DROP DATABASE IF EXISTS {database} WITH (FORCE)"
    await server_command(drop, copy_of_template(database))
    async with sandbox_stripe() as stripe, github() as hub:
        settings = settings_for(
            database_url(database),
            stripe=stripe_settings(stripe.url),
            github=hub.settings(),
            s3=stores.s3_settings(),  # where alone every way in is open
        )
        async with open_platform(settings, MovableClock()) as platform:
            platform.provide(hub)
            back = settings.billing.portal_return_url
            await portal.ensure_configuration(platform.part(StripeDoor), return_url=back, key="portal")
            yield platform
    await server_command(drop)


@dataclass(frozen=True)
class SignedInPerson:
    id: UUID
    email: str
    session_id: UUID
    refresh_token: str
    access_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


@dataclass
class Place:
    """A workspace with a member of every role, and one more to do things to."""

    workspace_id: UUID
    member_ids: dict[str, UUID] = field(default_factory=dict)
    project_id: UUID | None = None
    """Its one project, once somebody has asked for it; the guest is in it."""


@dataclass
class Cast:
    """Everybody who appears, registered once; each entry on the stage opens a session of its own."""

    platform: Platform
    user_ids: dict[str, UUID]
    emails: dict[str, str]
    foreign_key: str = ""
    _in_use: dict[str, Place] = field(default_factory=dict)

    @classmethod
    async def hire(cls, platform: Platform) -> "Cast":
        user_ids, emails = {}, {}
        for name in (*PEOPLE, TARGET):
            emails[name] = f"{name.lower()}-{uuid4().hex[:12]}@example.com"
            wanted = Registration(email=emails[name], password=PASSWORD, name=name.title())
            user_ids[name] = (await account.register(platform, wanted, TESTS)).user.id
        async with platform.database.transaction() as session:
            await session.execute(update(User).where(User.id == user_ids[ADMINISTRATOR]).values(is_admin=True))
        cast = cls(platform, user_ids, emails)
        await cast.open_workspace(OTHER_TENANT)
        elsewhere = await cast.open_workspace("OWNER")
        _, cast.foreign_key = await credentials.key_for(platform, user_ids["OWNER"], elsewhere)
        return cast

    async def sign_in(self, name: str) -> SignedInPerson:
        """A new session of one of them."""
        async with self.platform.database.transaction() as session:
            user = await repository.user_by_id(session, self.user_ids[name])
            assert user is not None
            grant = await sessions.open_session(session, self.platform, user, TESTS)
        token = self.platform.part(AccessTokens).issue(user.id, grant.session_id)
        return SignedInPerson(user.id, user.email, grant.session_id, grant.refresh_token, token)

    async def open_workspace(self, owner: str) -> UUID:
        async with self.platform.database.transaction() as session:
            actor = Actor(ActorKind.USER, self.user_ids[owner])
            made = await workspaces.create(session, self.platform, actor, name="Acme", slug=f"s-{uuid4().hex[:12]}")
            return made.id

    async def build_place(self) -> Place:
        """A fresh workspace with everybody in it."""
        place = Place(await self.open_workspace("OWNER"))
        async with self.platform.database.transaction() as session:
            await have_room(session, self.platform, place.workspace_id)
            for name in (*ROLES[:-1], TARGET):
                role = Role.MEMBER if name == TARGET else Role(name)
                actor = Actor(ActorKind.SYSTEM)
                member = await members.add(
                    session, self.platform, actor, place.workspace_id, self.user_ids[name], role
                )
                place.member_ids[name] = member.id
            owner = await repository.member_by_user(session, place.workspace_id, self.user_ids["OWNER"])
            assert owner is not None
            place.member_ids["OWNER"] = owner.id
            await self._come_and_go(session, place.workspace_id)
        return place

    async def place_in_use(self, name: str) -> Place:
        """One for many scenes, one after the other, as long as everybody is there and it holds one more project: what
        a place costs is most of what a request costs. Whoever finds in it what keeps a good request from succeeding
        asks again in a fresh one.
        """
        place = self._in_use.get(name)
        if place is None or not await self._is_whole(place):
            place = self._in_use[name] = await self.build_place()
        return place

    async def _is_whole(self, place: Place) -> bool:
        found = {"workspace": place.workspace_id, "project": place.project_id, "guest": self.user_ids[GUEST]}
        async with self.platform.database.reading() as session:
            living = await session.scalar(text(LIVING_PLACE), found)
            members = {row.id: row.role for row in await session.execute(text(MEMBERS_OF_PLACE), found)}
            if not await session.scalar(text(LIVING_PROJECT), found):
                place.project_id = None
        roles = {member_id: "MEMBER" if name == TARGET else name for name, member_id in place.member_ids.items()}
        return bool(living) and members == roles

    async def _come_and_go(self, session: AsyncSession, workspace_id: UUID) -> None:
        system, user_id = Actor(ActorKind.SYSTEM), self.user_ids[REMOVED]
        member = await members.add(session, self.platform, system, workspace_id, user_id, Role.ADMIN)
        owner_id = self.user_ids["OWNER"]
        scope = WorkspaceScope(Actor(ActorKind.USER, owner_id), workspace_id, owner_id, "OWNER")
        await members.remove(session, self.platform, scope, member.id, None)


@dataclass
class Scene:
    """One caller before one place, about to call one operation."""

    cast: Cast
    column: str
    place: Place
    caller: SignedInPerson | None
    own_workspace_id: UUID | None = None

    @classmethod
    async def set(cls, cast: Cast, column: str, place: Place | None = None) -> "Scene":
        """A given place is shared with other scenes: only for operations that change nothing."""
        caller = await cast.sign_in(column) if column in PEOPLE else None
        if column == FOREIGN_KEY:
            caller = replace(await cast.sign_in("OWNER"), access_token=cast.foreign_key)
        return cls(cast, column, place or await cast.build_place(), caller)

    @property
    def platform(self) -> Platform:
        return self.cast.platform

    @property
    def headers(self) -> dict[str, str]:
        if self.column == ADMIN_KEY_HOLDER:
            return {"x-admin-key": ADMIN_KEY}
        return self.caller.headers if self.caller else {}

    def own_scope(self) -> UserScope:
        """The caller over their own wallet."""
        assert self.caller is not None
        return UserScope(Actor(ActorKind.USER, self.caller.id, self.caller.session_id), self.caller.id)

    def scope(self) -> WorkspaceScope:
        """The caller over the place, as if they had the right to everything; the owner, if nobody calls."""
        if self.caller is None:
            return self.owner_scope()
        return WorkspaceScope(self.own_scope().actor, self.place.workspace_id, self.caller.id, "OWNER")

    def owner_scope(self) -> WorkspaceScope:
        owner_id = self.cast.user_ids["OWNER"]
        return WorkspaceScope(Actor(ActorKind.USER, owner_id), self.place.workspace_id, owner_id, "OWNER")

    async def scope_of_ones_own(self) -> WorkspaceScope:
        """The caller over a workspace that they opened themselves; the owner, if nobody calls."""
        name = self.column if self.column in PEOPLE else "OWNER"
        if self.own_workspace_id is None:
            self.own_workspace_id = await self.cast.open_workspace(name)
            async with self.platform.database.transaction() as session:
                await have_room(session, self.platform, self.own_workspace_id)
        user_id = self.cast.user_ids[name]
        return WorkspaceScope(Actor(ActorKind.USER, user_id), self.own_workspace_id, user_id, "OWNER")

    async def archive(self) -> None:
        async with self.platform.database.transaction() as session:
            await workspaces.archive(session, self.platform, self.owner_scope())

    async def delete(self) -> None:
        async with self.platform.database.transaction() as session:
            await workspaces.delete(session, self.platform, self.owner_scope(), None)

    async def fill_pool(self) -> None:
        """Credits for the place's workspace."""
        bought = Purchase("WORKSPACE", self.place.workspace_id, "SMALL", 1, f"cs_{uuid4().hex}", None, None)
        async with self.platform.database.transaction() as session:
            await purchases.grant_purchase(session, self.platform, bought)

    async def fill_own_wallet(self) -> None:
        """Bought credits for the caller, if somebody calls."""
        if self.caller is None:
            return
        bought = Purchase("USER", self.caller.id, "SMALL", 1, f"cs_{uuid4().hex}", None, None)
        async with self.platform.database.transaction() as session:
            await purchases.grant_purchase(session, self.platform, bought)


async def workspace_row(scene: Scene) -> UUID:
    return scene.place.workspace_id


async def member_row(scene: Scene) -> UUID:
    """Somebody below: whom an admin may manage."""
    return scene.place.member_ids[TARGET]


async def invitation_row(scene: Scene) -> UUID:
    """Of somebody whom nobody knows, into the place."""
    return (await invite_into(scene, scene.owner_scope(), f"{uuid4().hex}@example.com")).id


async def invite_into(scene: Scene, scope: WorkspaceScope, email: str) -> Invitation:
    """An address that is asked into a workspace; its token comes from `links.token_of`."""
    async with scene.platform.database.transaction() as session:
        await have_room(session, scene.platform, scope.workspace_id)
        [made] = await inviting.invite(session, scene.platform, scope, [email], Role.MEMBER)
        assert made.invitation is not None
        row = await session.get(Invitation, made.invitation.id)
        assert row is not None
        return row


async def api_key_row(scene: Scene) -> UUID:
    """A key of the place, made by the caller if they may."""
    maker = scene.column if scene.column == "ADMIN" else "OWNER"
    made, _ = await credentials.key_for(scene.platform, scene.cast.user_ids[maker], scene.place.workspace_id)
    return made


async def session_row(scene: Scene) -> UUID:
    """Another session of the caller."""
    owner = scene.column if scene.column in PEOPLE else "OWNER"
    return (await scene.cast.sign_in(owner)).session_id


async def export_row(scene: Scene) -> UUID:
    """Of the caller; of the owner, if nobody calls."""
    return await leaving.ready_export(
        scene.platform, scene.caller.id if scene.caller else scene.cast.user_ids["OWNER"]
    )


async def inbox_row(scene: Scene) -> UUID:
    event_id = f"evt_{uuid4().hex}"
    arrival = Arrival(
        source="stripe",
        event_id=event_id,
        type=CHECKOUT_COMPLETED,
        subject=f"cus_{event_id}",
        object_id=f"cs_{event_id}",
        body="{}",
        created_at=scene.platform.clock.now(),
    )
    async with scene.platform.database.transaction() as session:
        stored = await inbox.store(session, scene.platform, arrival, known_type=True)
    assert stored is not None
    return stored


async def reconciliation_row(scene: Scene) -> UUID:
    """The one that runs: there is never more than one."""
    async with scene.platform.database.transaction() as session:
        run, _ = await reconciliation.start(session, scene.platform, SystemScope("tests"), reason="tests")
    return run.id


async def notification_row(scene: Scene) -> UUID:
    """One that the caller was told; the owner, if nobody calls."""
    receiver = scene.caller.id if scene.caller else scene.cast.user_ids["OWNER"]
    async with scene.platform.database.transaction() as session:
        await notifications.notify(
            session,
            scene.platform,
            user_ids=[receiver],
            category=Category.CREDITS,
            type="credits.low_balance",
            dedup_key=(key := uuid4().hex),
            title="Credits run low",
            body="",
            reason="They are yours.",
        )
        made: UUID = (
            await session.execute(text("SELECT id FROM notifications WHERE dedup_key = :key"), {"key": key})
        ).scalar_one()
    return made


async def hold_row(scene: Scene) -> UUID:
    """An open hold on the place's pool, which the caller placed; the owner, if nobody calls."""
    await scene.fill_pool()
    answer, _ = await holds.place(scene.platform, scene.scope(), HoldRequest(amount=2), uuid4().hex)
    return answer.hold.id


async def checkout_row(scene: Scene) -> UUID:
    """A checkout of the place's workspace."""
    item = checkouts.Item(checkouts.PACK, "SMALL", 499, "USD", version=1)
    async with scene.platform.database.transaction() as session:
        return checkouts.open_one(session, scene.platform, scene.owner_scope(), item).id


async def card_of_the_place(scene: Scene, token: str = "pm_card_visa") -> str:
    """A card at Stripe, the place's default one; its id there."""
    door, workspace_id = scene.platform.part(StripeDoor), UUID(str(scene.place.workspace_id))
    customer_id = await customers.ensure(scene.platform, AccountType.WORKSPACE, workspace_id)
    card = await stripe_methods.attach(door, token, customer_id, key=uuid4().hex)
    await stripe_customers.set_default_payment_method(door, customer_id, card.id, key=uuid4().hex)
    return card.id


async def payment_method_row(scene: Scene, token: str = "pm_card_visa") -> UUID:
    """A card of the place's workspace."""
    card_id = await card_of_the_place(scene, token)
    account = AccountType.WORKSPACE, UUID(str(scene.place.workspace_id))
    customer_id = await customers.ensure(scene.platform, *account)
    picture = await fetch_by_customer(scene.platform.part(StripeDoor), customer_id)
    async with scene.platform.database.transaction() as session:
        await payment_methods.mirror_customer(session, scene.platform, account, picture)
        row = await method_rows.by_stripe_id(session, payment_methods.MIRROR, card_id)
    assert row is not None
    return row.id


async def top_up_row(scene: Scene) -> UUID:
    """A purchase for the place's pool that its buyer has to confirm."""
    workspace_id = scene.place.workspace_id
    wanted = AutoTopUpWrite.model_validate(
        {"enabled": True, "threshold": 10**6, "pack": "SMALL", "monthlyCap": 10**6, "currency": "USD"}
    )
    async with scene.platform.database.transaction() as session:
        waiting = await topup_rows.open_payment(session, SystemScope("tests"), workspace_id)
        if waiting is not None:
            return waiting.id
        await topups.put(session, scene.platform, scene.owner_scope(), wanted, None)
    await payment_method_row(scene, "pm_card_authenticationRequired")
    await buy_if_low(scene.platform, (AccountType.WORKSPACE, workspace_id))
    async with scene.platform.database.reading() as session:
        made = await topup_rows.open_payment(session, SystemScope("tests"), workspace_id)
    assert made is not None
    return made.id


async def pool_request_row(scene: Scene) -> UUID:
    """What the caller asked of the place's pool; the owner, if nobody calls."""
    wanted = PoolRequestCreate.model_validate(
        {"workspaceId": scene.place.workspace_id, "kind": "CREDITS", "amount": 5, "reason": "The launch"}
    )
    async with scene.platform.database.transaction() as session:
        return (await pool_requests.create(session, scene.platform, scene.scope(), wanted)).id


async def gift_of_the_pool(scene: Scene, giver: str) -> GiftSent:
    """A code that somebody of the place made from its pool, whatever their role is."""
    await scene.fill_pool()
    user_id = scene.cast.user_ids[giver]
    scope = WorkspaceScope(Actor(ActorKind.USER, user_id), scene.place.workspace_id, user_id, "OWNER")
    wanted = GiftRequest.model_validate({"amount": 1, "code": {}})
    sent, _ = await gifts.send(scene.platform, scope, wanted, uuid4().hex, "127.0.0.1")
    return sent


async def gift_row(scene: Scene) -> UUID:
    return (await gift_of_the_pool(scene, "OWNER")).gift.id


async def entry_row(scene: Scene) -> UUID:
    """A spend of the caller on the place's pool; the owner's, if nobody calls."""
    await scene.fill_pool()
    answer, _ = await credits_service.spend(scene.platform, scene.scope(), SpendRequest(amount=1), uuid4().hex)
    return answer.entry.id


async def lot_row(scene: Scene) -> UUID:
    """A lot of the place's pool that has credits."""
    await scene.fill_pool()
    async with scene.platform.database.reading() as session:
        found: UUID = (
            await session.execute(
                text("SELECT id FROM credit_grants WHERE account_id = :account ORDER BY id DESC LIMIT 1"),
                {"account": scene.place.workspace_id},
            )
        ).scalar_one()
    return found


async def refund_request_row(scene: Scene) -> UUID:
    """Asked for by the caller."""
    wanted = RefundRequestCreate.model_validate(
        {"entryId": await entry_row(scene), "reason": "It failed", "category": "FAILED"}
    )
    async with scene.platform.database.transaction() as session:
        made = await corrections.request_refund(session, scene.platform, scene.scope(), wanted)
    return made.id


async def project_row(scene: Scene) -> UUID:
    """The place's one project, seen by every member; the guest works in it."""
    if scene.place.project_id is None:
        guest_id = scene.cast.user_ids[GUEST]
        scene.place.project_id = await working.project_of(scene.platform, scene.owner_scope(), guest_id)
    return scene.place.project_id


async def project_member_row(scene: Scene) -> UUID:
    """The user's id of the caller, put into the project as what they are; of somebody else, if they may not be."""
    name = scene.column if scene.column in ROLES else TARGET
    role = "MEMBER" if name == TARGET else name
    user_id, project_id = scene.cast.user_ids[name], await project_row(scene)
    await working.put_into(scene.platform, scene.owner_scope(), project_id, user_id, role)
    return user_id


async def project_status_row(scene: Scene) -> UUID:
    return await working.status_of(scene.platform, await project_row(scene))


async def project_label_row(scene: Scene) -> UUID:
    return await working.label_of(scene.platform, scene.owner_scope(), await project_row(scene))


async def project_field_row(scene: Scene) -> UUID:
    return await working.field_of(scene.platform, scene.owner_scope(), await project_row(scene))


async def task_row(scene: Scene) -> UUID:
    """The caller's own, where they may have one: members change and delete what they made."""
    scope = scene.scope() if scene.column in MAKERS else scene.owner_scope()
    return await tasking.task_of(scene.platform, scope, await project_row(scene))


async def _on_a_task(scene: Scene, put: Callable[[Platform, WorkspaceScope, UUID], Awaitable[UUID]]) -> UUID:
    """Made by whoever made the task."""
    return await put(scene.platform, maker_of(scene), await task_row(scene))


def maker_of(scene: Scene) -> WorkspaceScope:
    return scene.scope() if scene.column in MAKERS else scene.owner_scope()


async def comment_row(scene: Scene) -> UUID:
    return await _on_a_task(scene, collaborating.comment_on)


async def checklist_item_row(scene: Scene) -> UUID:
    return await _on_a_task(scene, collaborating.item_on)


async def dependency_row(scene: Scene) -> UUID:
    one, other = await task_row(scene), await task_row(scene)
    return await collaborating.dependency_of(scene.platform, maker_of(scene), one, other)


async def time_entry_row(scene: Scene) -> UUID:
    return await _on_a_task(scene, collaborating.time_on)


async def saved_view_row(scene: Scene) -> UUID:
    """The caller's own, where they see the project."""
    scope = scene.scope() if scene.column in ROLES else scene.owner_scope()
    return await powering.view_of(scene.platform, scope, await project_row(scene))


async def task_undo_row(scene: Scene) -> UUID:
    """Of a change that the caller made, where they may."""
    return await powering.undo_of(scene.platform, maker_of(scene), await task_row(scene))


async def calendar_event_row(scene: Scene) -> UUID:
    """The caller's own in the project, where they may have one: members change and delete what they made."""
    return await dating.event_of(scene.platform, maker_of(scene), await project_row(scene))


async def event_with_me(scene: Scene) -> tuple[UUID, UUID, str]:
    """An event in the project that the caller is invited to, beside somebody outside; their invitation, and the link
    of the other. Who is not in the workspace finds the owner's.
    """
    invited = scene.scope() if scene.column in ROLES else scene.owner_scope()
    return await dating.event_with_guests(scene.platform, maker_of(scene), await project_row(scene), invited.user_id)


async def calendar_attendee_row(scene: Scene) -> UUID:
    return (await event_with_me(scene))[1]


async def feed_of_the_caller(scene: Scene) -> tuple[UUID, str]:
    """A feed and the secret of its address; who is not in the workspace finds the owner's."""
    scope = scene.scope() if scene.column in ROLES else scene.owner_scope()
    return await dating.feed_of(scene.platform, scope)


async def calendar_feed_row(scene: Scene) -> UUID:
    return (await feed_of_the_caller(scene))[0]


async def file_row(scene: Scene) -> UUID:
    """On a task of the project; the caller's own, where they may have one."""
    return await picturing.picture_on(scene.platform, maker_of(scene), await task_row(scene))


async def upload_row(scene: Scene) -> UUID:
    """The caller's own, or the owner's where the caller may have none."""
    return await uploading.begun_upload(
        scene.platform, scene.scope() if scene.column in ROLES else scene.owner_scope()
    )


async def link_of_the_caller(scene: Scene, file_id: UUID) -> tuple[UUID, str]:
    """A link to a file and the secret of its address; who is not in the workspace finds the owner's."""
    scope = scene.scope() if scene.column in ROLES else scene.owner_scope()
    return await filing.link_to(scene.platform, scope, file_id)


async def link_row(scene: Scene) -> UUID:
    link_id, _ = await link_of_the_caller(scene, await file_row(scene))
    return link_id


async def calendar_resource_row(scene: Scene) -> UUID:
    return await dating.room_of(scene.platform, scene.owner_scope())


async def held_job_row(scene: Scene) -> int:
    async with scene.platform.database.transaction() as session:
        made: int = (
            await session.execute(
                text(
                    "INSERT INTO pgqueuer (priority, status, entrypoint, payload)"
                    " VALUES (0, 'failed', 'test.held', '{}') RETURNING id"
                )
            )
        ).scalar_one()
    return made


async def invoice_row(scene: Scene) -> UUID:
    """Of a pack that the place's workspace bought."""
    paid = await bought_pack(scene.platform, scene.owner_scope())
    async with scene.platform.database.reading() as session:
        found: UUID = (
            await session.execute(
                text("SELECT id FROM invoices WHERE stripe_invoice_id = :id"), {"id": paid.invoice_id}
            )
        ).scalar_one()
    return found


async def money_refund_row(scene: Scene) -> UUID:
    """A part of what the place's workspace paid for a pack."""
    paid = await bought_pack(scene.platform, scene.owner_scope())
    made = await stripe_refunds.create(
        scene.platform.part(StripeDoor),
        payment_intent_id=paid.payment_intent_id or "",
        amount=1,
        metadata={},
        key=uuid4().hex,
    )
    await tell(scene.platform, "refund.created", made.id)
    async with scene.platform.database.reading() as session:
        found: UUID = (
            await session.execute(text("SELECT id FROM refunds WHERE stripe_refund_id = :id"), {"id": made.id})
        ).scalar_one()
    return found


async def webhook_endpoint_row(scene: Scene) -> UUID:
    """The place's one endpoint: a workspace has not many."""
    scope = scene.owner_scope()
    async with scene.platform.database.transaction() as session:
        found = await endpoint_rows.endpoints(session, scope, limit=1, after=None)
        if found:
            return found[0].id
        body = {"workspaceId": scope.workspace_id, "url": "https://example.com/hooks"}
        wanted = WebhookEndpointCreate.model_validate(body)
        made, _ = await webhook_endpoints.create(session, scene.platform, scope, wanted)
    return made.id


async def webhook_delivery_row(scene: Scene) -> UUID:
    """A test of it, which waits to be sent."""
    endpoint_id = await webhook_endpoint_row(scene)
    async with scene.platform.database.transaction() as session:
        return (await webhook_deliveries.send_test(session, scene.platform, scene.owner_scope(), endpoint_id)).id


async def conversation_row(scene: Scene) -> UUID:
    """A group that everybody of the place is in."""
    user_ids = {scene.cast.user_ids[name] for name in (*ROLES, TARGET) if name not in (GUEST, "OWNER")}
    return await talking.group_of(scene.platform, scene.owner_scope(), user_ids, scene.cast.user_ids[GUEST])


async def message_row(scene: Scene) -> UUID:
    return await message_in(scene, await conversation_row(scene))


async def message_in(scene: Scene, conversation_id: UUID) -> UUID:
    """Said by the caller; by the owner, if they may say nothing there."""
    author = scene.scope() if scene.column in ROLES else scene.owner_scope()
    return await talking.said_in(scene.platform, author, conversation_id)


async def bug_report_row(scene: Scene) -> UUID:
    """Of the caller, in a workspace of their own; of the owner, if nobody calls."""
    return await _report(scene, {"title": "It breaks"})


async def bug_report_with_screenshot(scene: Scene) -> UUID:
    """The same, with a picture of the caller's."""
    own = await scene.scope_of_ones_own()
    file_id = await picturing.picture_nowhere(scene.platform, UserScope(own.actor, own.user_id))
    return await _report(scene, {"title": "It breaks", "screenshotId": file_id})


async def _report(scene: Scene, wanted: dict[str, Any]) -> UUID:
    own = await scene.scope_of_ones_own()
    create = BugReportCreate.model_validate({**wanted, "workspaceId": own.workspace_id})
    async with scene.platform.database.transaction() as session:
        made, _ = await bug_reports.create(session, scene.platform, UserScope(own.actor, own.user_id), create)
    return made.id


FACTORIES: Final[dict[str, Callable[[Scene], Awaitable[Any]]]] = {
    "workspaces": workspace_row,
    "calendar_events": calendar_event_row,
    "calendar_attendees": calendar_attendee_row,
    "calendar_resources": calendar_resource_row,
    "calendar_feeds": calendar_feed_row,
    "workspace_members": member_row,
    "invitations": invitation_row,
    "sessions": session_row,
    "api_keys": api_key_row,
    "account_exports": export_row,
    "inbox_events": inbox_row,
    "reconciliation_runs": reconciliation_row,
    "notifications": notification_row,
    "credit_gifts": gift_row,
    "checkout_sessions": checkout_row,
    "invoices": invoice_row,
    "refunds": money_refund_row,
    "payment_methods": payment_method_row,
    "topup_payments": top_up_row,
    "credit_holds": hold_row,
    "credit_pool_requests": pool_request_row,
    "credit_entries": entry_row,
    "credit_grants": lot_row,
    "credit_refund_requests": refund_request_row,
    "pgqueuer": held_job_row,
    "bug_reports": bug_report_row,
    "webhook_endpoints": webhook_endpoint_row,
    "webhook_deliveries": webhook_delivery_row,
    "conversations": conversation_row,
    "messages": message_row,
    "projects": project_row,
    "scope_members": project_member_row,
    "project_statuses": project_status_row,
    "project_labels": project_label_row,
    "project_fields": project_field_row,
    "tasks": task_row,
    "task_undos": task_undo_row,
    "saved_views": saved_view_row,
    "task_comments": comment_row,
    "task_checklist_items": checklist_item_row,
    "task_dependencies": dependency_row,
    "time_entries": time_entry_row,
    "files": file_row,
    "file_links": link_row,
    "upload_sessions": upload_row,
}
"""One per table that a path or a guard may name; each gives the id of a row the scene is about."""
