"""A minimal valid request for every operation. A new route without one fails the access matrix."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from fastapi.routing import APIRoute

from pm_api.core.actor import Actor, ActorKind, AdminScope, UserScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import pools
from pm_api.domains.ai_credits import service as credits_service
from pm_api.domains.ai_credits.enums import CapWindow
from pm_api.domains.ai_credits.schemas.ledger import SpendRequest
from pm_api.domains.ai_credits.schemas.pools import CapWrite
from pm_api.domains.billing import contracts
from pm_api.domains.billing.schemas.contracts import ContractWrite
from pm_api.domains.notifications import mails
from pm_api.domains.notifications.enums import Category
from pm_api.domains.payments import customers
from pm_api.domains.projects.enums import ProjectState
from pm_api.domains.storage.enums import UploadWay
from pm_api.domains.team import links
from pm_api.entitlements.enums import AccountType
from pm_api.identity.email_tokens import Purpose
from pm_api.integrations.stripe import PercentOff, StripeDoor, promotions
from pm_api.integrations.stripe import payment_methods as stripe_methods
from pm_api.sandbox.stripe import sign_payload
from tests.architecture import (
    arriving,
    collaborating,
    credentials,
    dating,
    filing,
    leaving,
    picturing,
    powering,
    signing_in,
    subscribing,
    tasking,
    uploading,
    working,
)
from tests.architecture.world import (
    ADMIN_KEY_HOLDER,
    CHECKOUT_COMPLETED,
    FACTORIES,
    FOREIGN_KEY,
    GUEST,
    ROLES,
    TARGET,
    Scene,
    bug_report_with_screenshot,
    card_of_the_place,
    conversation_row,
    entry_row,
    event_with_me,
    feed_of_the_caller,
    gift_of_the_pool,
    invite_into,
    link_of_the_caller,
    maker_of,
    message_in,
    project_row,
    task_row,
)
from tests.conftest import PASSWORD
from tests.domains.storage import boxes
from tests.support.settings import WEBHOOK_SECRET


@dataclass
class Call:
    """What goes over the wire beside the method."""

    path: str = ""
    query: dict[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


Example = Callable[[Scene], Awaitable[Call]]

PATH_TABLES: Final = {
    "workspace_id": "workspaces",
    "account_id": "workspaces",
    "member_id": "workspace_members",
    "invitation_id": "invitations",
    "hold_id": "credit_holds",
    "checkout_id": "checkout_sessions",
    "invoice_id": "invoices",
    "refund_id": "refunds",
    "pool_request_id": "credit_pool_requests",
    "session_id": "sessions",
    "api_key_id": "api_keys",
    "event_id": "inbox_events",
    "notification_id": "notifications",
    "gift_id": "credit_gifts",
    "entry_id": "credit_entries",
    "grant_id": "credit_grants",
    "refund_request_id": "credit_refund_requests",
    "payment_method_id": "payment_methods",
    "top_up_id": "topup_payments",
    "job_id": "pgqueuer",
    "export_id": "account_exports",
    "run_id": "reconciliation_runs",
    "bug_report_id": "bug_reports",
    "webhook_endpoint_id": "webhook_endpoints",
    "delivery_id": "webhook_deliveries",
    "conversation_id": "conversations",
    "message_id": "messages",
    "project_id": "projects",
    "user_id": "scope_members",
    "status_id": "project_statuses",
    "label_id": "project_labels",
    "field_id": "project_fields",
    "task_id": "tasks",
    "saved_view_id": "saved_views",
    "comment_id": "task_comments",
    "item_id": "task_checklist_items",
    "dependency_id": "task_dependencies",
    "time_entry_id": "time_entries",
    "resource_id": "calendar_resources",
    "feed_id": "calendar_feeds",
    "file_id": "files",
    "link_id": "file_links",
    "upload_id": "upload_sessions",
}
"""Which table a path parameter's id is from."""

PATH_TABLES_OF_CALENDAR: Final = {"event_id": "calendar_events", "attendee_id": "calendar_attendees"}
"""The same below /api/calendar, where an event is another thing than in the inbox."""

PATH_VALUES: Final[dict[str, str | int]] = {
    "code": "not_found",
    "token": "nobodys",
    "key": "a-key",
    "subject": "role:MEMBER",
    "account_type": "WORKSPACE",
    "promotion_code": "NOSUCHCODE",
    "provider": "github",
    "emoji": "👍",
    "number": 1,
    "month": f"{datetime.now(UTC):%Y-%m}",
}


A_BATCH: Final = [{"amount": 1, "idempotencyKey": "one"}]
TOP_UP: Final = {"enabled": True, "threshold": 10, "pack": "SMALL", "monthlyCap": 1000, "currency": "USD"}


async def nothing(_scene: Scene) -> Call:
    return Call()


def fixed(**body: Any) -> Example:
    async def example(_scene: Scene) -> Call:
        return Call(json=body)

    return example


async def of_the_workspace(scene: Scene) -> Call:
    return Call(query={"workspaceId": str(scene.place.workspace_id)})


async def agenda_of_the_workspace(scene: Scene) -> Call:
    in_march = {"start": "2026-03-01", "end": "2026-04-01"}
    return Call(query={"workspaceId": str(scene.place.workspace_id), **in_march})


async def a_task_in_the_project(scene: Scene) -> Call:
    return Call(json={"projectId": str(await project_row(scene)), "title": "Write the release notes"})


async def an_event(scene: Scene) -> Call:
    return Call(json={**dating.A_MEETING, "workspaceId": str(scene.place.workspace_id)})


async def an_event_anew(scene: Scene) -> Call:
    """Where it was: elsewhere they may have no say."""
    project_id = await project_row(scene)
    event_id = await dating.event_of(scene.platform, maker_of(scene), project_id)
    body = {**dating.A_MEETING, "projectId": str(project_id)}
    return Call(path=f"/api/calendar/events/{event_id}", json=body)


async def of_the_project(scene: Scene) -> Call:
    return Call(query={"projectId": str(await project_row(scene))})


def on_a_task(
    noun: str, put: Callable[[Platform, WorkspaceScope, UUID], Awaitable[UUID]], rest: str = "", **body: Any
) -> Example:
    """What hangs on a task, by its own address."""

    async def example(scene: Scene) -> Call:
        task_id = await task_row(scene)
        made = await put(scene.platform, maker_of(scene), task_id)
        return Call(path=f"/api/tasks/{task_id}/{noun}/{made}{rest}", json=body or None)

    return example


async def a_picture_sent(_scene: Scene) -> Call:
    return Call(content=picturing.a_picture(), headers={"Content-Type": "image/png"})


async def a_picture_worn(scene: Scene) -> Call:
    owner = scene.owner_scope()
    token = await picturing.worn_by(scene.platform, UserScope(owner.actor, owner.user_id))
    return Call(path=f"/api/storage/pictures/{token}")


async def a_small_picture(scene: Scene) -> Call:
    file_id = await picturing.picture_on(scene.platform, maker_of(scene), await task_row(scene))
    return Call(path=f"/api/storage/files/{file_id}/thumbnail")


async def a_file_in_the_trash(scene: Scene) -> Call:
    file_id = await FACTORIES["files"](scene)
    await filing.throw_away(scene.platform, maker_of(scene), file_id)
    return Call(path=f"/api/storage/files/{file_id}/restore")


def an_old_version(rest: str = "") -> Example:
    async def example(scene: Scene) -> Call:
        file_id = await FACTORIES["files"](scene)
        await filing.second_version(scene.platform, maker_of(scene), file_id)
        return Call(path=f"/api/storage/files/{file_id}/versions/1{rest}")

    return example


async def a_link_to_revoke(scene: Scene) -> Call:
    file_id = await FACTORIES["files"](scene)
    link_id, _ = await link_of_the_caller(scene, file_id)
    return Call(path=f"/api/storage/files/{file_id}/links/{link_id}")


async def a_link_that_works(scene: Scene) -> Call:
    _, token = await link_of_the_caller(scene, await FACTORIES["files"](scene))
    return Call(path=f"/api/storage/links/{token}")


async def files_to_zip(scene: Scene) -> Call:
    workspace_id = str(scene.place.workspace_id)
    return Call(json={"workspaceId": workspace_id, "fileIds": [str(await FACTORIES["files"](scene))]})


async def own_files_to_zip(scene: Scene) -> Call:
    owner = scene.caller.id if scene.caller is not None else scene.cast.user_ids["OWNER"]
    own = UserScope(Actor(ActorKind.USER, owner), owner)
    return Call(json={"fileIds": [str(await filing.own_file_of(scene.platform, own))]})


async def an_upload_into_the_store(scene: Scene) -> Call:
    workspace_id = str(scene.place.workspace_id)
    return Call(json={"workspaceId": workspace_id, "originalName": "film.mp4", "fileSize": 5})


async def an_upload_that_has_arrived(scene: Scene) -> Call:
    """The caller's own: for everybody else there is none."""
    scope = scene.scope() if scene.column in ROLES else scene.owner_scope()
    upload_id = await arriving.arrived_upload(scene.platform, scope)
    return Call(path=f"/api/storage/uploads/{upload_id}/complete", json={})


async def a_file_in_a_form(scene: Scene) -> Call:
    return Call(
        query={"workspaceId": str(scene.place.workspace_id)},
        content=boxes.form(b"A plan in words."),
        headers=boxes.FORM_TYPE,
    )


async def a_file_of_ones_own(_scene: Scene) -> Call:
    return Call(content=boxes.form(b"A plan in words."), headers=boxes.FORM_TYPE)


async def an_upload_under_way(scene: Scene) -> Call:
    """The caller's own: for everybody else there is none."""
    scope = scene.scope() if scene.column in ROLES else scene.owner_scope()
    return Call(path=f"/api/storage/uploads/{await uploading.begun_upload(scene.platform, scope)}")


TUS: Final = {"Tus-Resumable": "1.0.0"}
TUS_PIECE: Final = {**TUS, "Content-Type": "application/offset+octet-stream"}


async def a_tus_upload_to_begin(scene: Scene) -> Call:
    workspace_id = base64.b64encode(str(scene.place.workspace_id).encode()).decode()
    said = {"Upload-Length": "10", "Upload-Metadata": f"filename cGxhbi50eHQ=,workspaceId {workspace_id}"}
    return Call(headers={**TUS, **said})


async def a_tus_upload_of_ones_own(_scene: Scene) -> Call:
    return Call(headers={**TUS, "Upload-Length": "10", "Upload-Metadata": "filename cGxhbi50eHQ="})


async def a_tus_upload_under_way(scene: Scene) -> Call:
    """The caller's own: for everybody else there is none."""
    scope = scene.scope() if scene.column in ROLES else scene.owner_scope()
    upload_id = await uploading.begun_upload(scene.platform, scope, UploadWay.TUS)
    return Call(path=f"/api/storage/tus/{upload_id}", headers=TUS)


async def a_tus_piece(scene: Scene) -> Call:
    under_way = await a_tus_upload_under_way(scene)
    return replace(under_way, content=b"A plan", headers={**TUS_PIECE, "Upload-Offset": "0"})


async def a_file_to_attach(scene: Scene) -> Call:
    """Of the caller's own, who alone sees it yet."""
    task_id = await task_row(scene)
    scope = scene.scope() if scene.column in ROLES else scene.owner_scope()
    file_id = await picturing.picture_nowhere(scene.platform, scope)
    return Call(path=f"/api/tasks/{task_id}/attachments", json={"fileId": str(file_id)})


async def another_order(scene: Scene) -> Call:
    task_id = await task_row(scene)
    item_id = await collaborating.item_on(scene.platform, maker_of(scene), task_id)
    return Call(path=f"/api/tasks/{task_id}/checklist/reorder", json={"itemIds": [str(item_id)]})


async def a_link_to_another(scene: Scene) -> Call:
    return Call(json={"otherTaskId": str(await task_row(scene)), "kind": "BLOCKS"})


async def a_linked_task(scene: Scene) -> Call:
    one, other = await task_row(scene), await task_row(scene)
    made = await collaborating.dependency_of(scene.platform, maker_of(scene), one, other)
    return Call(path=f"/api/tasks/{one}/dependencies/{made}")


async def a_deleted_task(scene: Scene) -> Call:
    task_id = await FACTORIES["tasks"](scene)
    assert isinstance(task_id, UUID)
    await tasking.delete(scene.platform, scene.owner_scope(), task_id)
    return Call(path=f"/api/tasks/{task_id}/restore")


async def an_undo_token(scene: Scene) -> Call:
    return Call(json={"undoToken": str(await FACTORIES["task_undos"](scene))})


async def a_view_of_the_workspace(scene: Scene) -> Call:
    return Call(json={"workspaceId": str(scene.place.workspace_id), "name": "Mine", "query": {}})


async def many_tasks(scene: Scene) -> Call:
    place = {"workspaceId": str(scene.place.workspace_id), "taskIds": [str(await task_row(scene))]}
    return Call(json={**place, "action": "update", "change": {"priority": "HIGH"}})


async def many_events(scene: Scene) -> Call:
    workspace_id = str(scene.place.workspace_id)
    hour = {"startTime": "2026-03-02T09:00:00Z", "endTime": "2026-03-02T10:00:00Z", "type": "MEETING"}
    item = {"action": "create", "event": {"workspaceId": workspace_id, "title": "Standup", **hour}}
    return Call(json={"workspaceId": workspace_id, "items": [item]})


async def a_file_of_tasks(scene: Scene) -> Call:
    query = {"projectId": str(await project_row(scene))}
    return Call(query=query, content=b"title\r\nWrite them\r\n", headers={"Content-Type": "text/csv"})


async def a_due_task(scene: Scene) -> Call:
    task_id = await powering.due(scene.platform, maker_of(scene), await task_row(scene))
    return Call(path=f"/api/tasks/{task_id}/recurrence", json=powering.RULE)


def a_recurring_task(rest: str = "") -> Example:
    async def example(scene: Scene) -> Call:
        task_id = await powering.recurring_of(scene.platform, maker_of(scene), await task_row(scene))
        return Call(path=f"/api/tasks/{task_id}/recurrence{rest}")

    return example


def a_project_that_is(state: ProjectState) -> Example:
    async def example(scene: Scene) -> Call:
        await working.step(scene.platform, scene.owner_scope(), await project_row(scene), state)
        return Call()

    return example


async def register(_scene: Scene) -> Call:
    return Call(json={"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "name": "Ann Archer"})


async def login(scene: Scene) -> Call:
    return Call(json={"email": scene.cast.emails[TARGET], "password": PASSWORD})


async def refresh(scene: Scene) -> Call:
    return Call(json={"refreshToken": (await scene.cast.sign_in(TARGET)).refresh_token})


def a_link(purpose: Purpose, **body: Any) -> Example:
    """Of somebody new: each works once."""

    async def example(scene: Scene) -> Call:
        return Call(json={"token": await signing_in.link(scene.platform, purpose), **body})

    return example


async def change_email(_scene: Scene) -> Call:
    return Call(json={"email": f"{uuid4().hex}@example.com"})


async def forget_password(scene: Scene) -> Call:
    return Call(json={"email": scene.cast.emails[TARGET]})


async def resend(scene: Scene) -> Call:
    if scene.caller is not None:
        await signing_in.without_links(scene.platform, scene.caller.id)
    return Call()


async def come_back(scene: Scene) -> Call:
    query, cookie = await signing_in.return_from_github(scene.platform)
    return Call(query=query, headers={"Cookie": cookie})


async def give_the_code(scene: Scene) -> Call:
    code, cookie = await signing_in.waiting_for_code(scene.platform)
    return Call(json={"totpCode": code}, headers={"Cookie": cookie})


async def unlink(scene: Scene) -> Call:
    if scene.caller is not None:
        await signing_in.linked(scene.platform, scene.caller.id)
    return Call()


async def a_key_of_ones_own(scene: Scene) -> Call:
    """Whoever has as many as their plan holds revokes them first."""
    if scene.caller is not None:
        await credentials.without_keys(scene.platform, scene.caller.id)
    return Call(json={"name": "Nightly", "scopes": ["workspace:read"]})


async def begin_second_factor(scene: Scene) -> Call:
    if scene.caller is not None:
        await credentials.without(scene.platform, scene.caller.id)
    return Call(json={"password": PASSWORD})


async def enable_second_factor(scene: Scene) -> Call:
    if scene.caller is None:
        return Call(json={"code": credentials.PASSING_CODE, "password": PASSWORD})
    return Call(json={"code": await credentials.begun(scene.platform, scene.caller.id), "password": PASSWORD})


async def prove_second_factor(scene: Scene) -> Call:
    """The sign-in of the scene is a fresh one, so that no password is needed."""
    if scene.caller is None:
        return Call(json={"code": credentials.PASSING_CODE})
    return Call(json={"code": await credentials.enabled(scene.platform, scene.caller.id)})


async def going(scene: Scene) -> Call:
    """Asked for before: the owner of a shared workspace could not, and only what was asked for can be called off."""
    if scene.caller is not None:
        await leaving.is_going(scene.platform, scene.caller.id)
    return Call(json={})


async def unarchive(scene: Scene) -> Call:
    await scene.archive()
    return Call()


async def restore(scene: Scene) -> Call:
    await scene.delete()
    return Call()


async def transfer(scene: Scene) -> Call:
    return Call(json={"userId": str(scene.cast.user_ids[TARGET])})


async def remove_member(scene: Scene) -> Call:
    """Who manages nobody leaves: that is what their permission is for."""
    leaves = scene.column in (GUEST, "VIEWER", "MEMBER")
    return Call(path=f"/api/team/members/{scene.place.member_ids[scene.column if leaves else TARGET]}")


async def belongings(scene: Scene) -> Call:
    return Call(path=f"{(await remove_member(scene)).path}/belongings")


async def change_members(scene: Scene) -> Call:
    return await for_the_place(memberIds=[str(scene.place.member_ids[TARGET])], action="CHANGE_ROLE", role="VIEWER")(
        scene
    )


def with_the_link(step: str = "") -> Example:
    """An invitation of the caller into somebody else's workspace."""

    async def example(scene: Scene) -> Call:
        host = "ADMIN" if scene.column in ("OWNER", FOREIGN_KEY) else "OWNER"
        workspace_id, host_id = await scene.cast.open_workspace(host), scene.cast.user_ids[host]
        scope = WorkspaceScope(Actor(ActorKind.USER, host_id), workspace_id, host_id, "OWNER")
        email = scene.caller.email if scene.caller else f"{uuid4().hex}@example.com"
        row = await invite_into(scene, scope, email)
        return Call(path=f"/api/invitations/{links.token_of(scene.platform.keys, row.letter_id)}{step}")

    return example


async def may_i(_scene: Scene) -> Call:
    return Call(query={"resource": "account", "action": "credits.read"})


async def spend(scene: Scene) -> Call:
    await scene.fill_pool()
    return Call(
        json={"amount": 1, "workspaceId": str(scene.place.workspace_id)}, headers={"Idempotency-Key": uuid4().hex}
    )


async def spend_from_own_wallet(_scene: Scene) -> Call:
    return Call(json={"amount": 1}, headers={"Idempotency-Key": uuid4().hex})


def on_the_pool(**body: Any) -> Example:
    """Something that costs credits, on a pool that has some."""

    async def example(scene: Scene) -> Call:
        await scene.fill_pool()
        return Call(
            json={**body, "workspaceId": str(scene.place.workspace_id)}, headers={"Idempotency-Key": uuid4().hex}
        )

    return example


async def a_batch_on_the_pool(scene: Scene) -> Call:
    """Its items have the keys."""
    call = await on_the_pool(items=A_BATCH)(scene)
    return Call(json=call.json)


async def a_batch(_scene: Scene) -> Call:
    return Call(json={"items": A_BATCH})


def keyed(**body: Any) -> Example:
    """A body under a key of its own."""

    async def example(_scene: Scene) -> Call:
        return Call(json=body, headers={"Idempotency-Key": uuid4().hex})

    return example


def on_the_account(**body: Any) -> Example:
    """A body for the place's pool, which the address names."""

    async def example(scene: Scene) -> Call:
        return Call(json=body, query={"workspaceId": str(scene.place.workspace_id)})

    return example


async def remove_cap(scene: Scene) -> Call:
    """One that somebody with the right has set."""
    wanted = CapWrite(amount=5, window=CapWindow.DAY)
    async with scene.platform.database.transaction() as session:
        await pools.put_cap(session, scene.platform, scene.owner_scope(), "role:MEMBER", wanted, None)
    return Call(query={"workspaceId": str(scene.place.workspace_id)})


async def ask_for_credits(scene: Scene) -> Call:
    return Call(
        json={"workspaceId": str(scene.place.workspace_id), "kind": "CREDITS", "amount": 5, "reason": "The launch"}
    )


async def outcome(scene: Scene) -> Call:
    """Of a spend by the caller, which the service is told to make whatever the caller's role is."""
    key = uuid4().hex
    await scene.fill_pool()
    await credits_service.spend(scene.platform, scene.scope(), SpendRequest(amount=1), key)
    query = {"route": "spendCredits", "workspaceId": str(scene.place.workspace_id)}
    return Call(path=f"/api/idempotency/{key}", query=query)


async def outcome_in_own_wallet(scene: Scene) -> Call:
    if scene.caller is None:
        return Call(path="/api/idempotency/any", query={"route": "spendCredits"})
    key = uuid4().hex
    await credits_service.spend(scene.platform, scene.own_scope(), SpendRequest(amount=1), key)
    return Call(path=f"/api/idempotency/{key}", query={"route": "spendCredits"})


async def grant(scene: Scene) -> Call:
    return Call(
        json={"userId": str(scene.cast.user_ids[TARGET]), "amount": 1, "reason": "matrix"},
        headers={"Idempotency-Key": uuid4().hex},
    )


def from_own_wallet(**body: Any) -> Example:
    """Something that takes bought credits, from the caller's own wallet."""

    async def example(scene: Scene) -> Call:
        await scene.fill_own_wallet()
        return Call(json=body, headers={"Idempotency-Key": uuid4().hex})

    return example


async def redeem(scene: Scene) -> Call:
    """A code that somebody else made."""
    sent = await gift_of_the_pool(scene, "ADMIN" if scene.column == "OWNER" else "OWNER")
    return Call(json={"code": sent.codes[0].code})


async def refund(scene: Scene) -> Call:
    return Call(
        json={"entryId": str(await entry_row(scene)), "reason": "matrix"}, headers={"Idempotency-Key": uuid4().hex}
    )


async def adjust(scene: Scene) -> Call:
    body = {"userId": str(scene.cast.user_ids[TARGET]), "amount": 1, "reason": "matrix"}
    return Call(json=body, headers={"Idempotency-Key": uuid4().hex})


def asking_for_a_refund(entry_id: UUID, **body: Any) -> Call:
    return Call(json={"entryId": str(entry_id), "reason": "It failed", "category": "FAILED", **body})


async def ask_for_a_refund(scene: Scene) -> Call:
    return asking_for_a_refund(await entry_row(scene), workspaceId=str(scene.place.workspace_id))


async def ask_for_a_refund_of_own_wallet(scene: Scene) -> Call:
    if scene.caller is None:
        return asking_for_a_refund(uuid4())
    wanted = SpendRequest(amount=1)
    answer, _ = await credits_service.spend(scene.platform, scene.own_scope(), wanted, uuid4().hex)
    return asking_for_a_refund(answer.entry.id)


async def own_statement(scene: Scene) -> Call:
    return Call(path=f"/api/credits/statements/{scene.platform.clock.now():%Y-%m}")


async def statement(scene: Scene) -> Call:
    await scene.fill_pool()
    call = await own_statement(scene)
    call.query = {"workspaceId": str(scene.place.workspace_id)}
    return call


async def own_export(_scene: Scene) -> Call:
    return Call(query={"format": "csv"})


async def export(scene: Scene) -> Call:
    return Call(query={"format": "csv", "workspaceId": str(scene.place.workspace_id)})


async def stripe_event(scene: Scene) -> Call:
    sent_at = int(scene.platform.clock.wall().timestamp())
    event = {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "type": CHECKOUT_COMPLETED,
        "livemode": False,
        "created": sent_at,
        "data": {"object": {"id": f"cs_{uuid4().hex}", "object": "checkout.session"}},
    }
    body = orjson.dumps(event)
    signature = sign_payload(body, WEBHOOK_SECRET, sent_at)
    return Call(content=body, headers={"Stripe-Signature": signature, "Content-Type": "application/json"})


async def snooze(scene: Scene) -> Call:
    return Call(json={"until": (scene.platform.clock.now() + timedelta(hours=1)).isoformat()})


async def out_of_a_mail(scene: Scene) -> Call:
    return Call(query={"token": mails.token_of(scene.platform, scene.cast.user_ids[TARGET], Category.CREDITS)})


def for_the_place(**body: Any) -> Example:
    """A body that names the place's workspace."""

    async def example(scene: Scene) -> Call:
        return Call(json={**body, "workspaceId": str(scene.place.workspace_id)})

    return example


async def attach_a_card(scene: Scene) -> Call:
    """One that Stripe has taken for the place's workspace."""
    return await for_the_place(paymentMethodId=await card_of_the_place(scene))(scene)


async def attach_a_card_of_ones_own(scene: Scene) -> Call:
    if scene.caller is None:
        return Call(json={"paymentMethodId": "pm_nobodys"})
    door = scene.platform.part(StripeDoor)
    customer_id = await customers.ensure(scene.platform, AccountType.USER, scene.caller.id)
    card = await stripe_methods.attach(door, "pm_card_visa", customer_id, key=uuid4().hex)
    return Call(json={"paymentMethodId": card.id})


async def a_promotion_code(scene: Scene) -> Call:
    return Call(
        path=(await a_promotion_code_for_oneself(scene)).path, query={"workspaceId": str(scene.place.workspace_id)}
    )


async def a_promotion_code_for_oneself(scene: Scene) -> Call:
    """One that everybody may use."""
    door, text = scene.platform.part(StripeDoor), uuid4().hex.upper()
    off = PercentOff(Decimal(25))
    coupon = await promotions.create_coupon(
        door, off=off, duration="once", name="Spring", metadata={}, key=f"coupon-{text}"
    )
    await promotions.create_code(door, coupon_id=coupon.id, code=text, metadata={}, key=f"code-{text}")
    return Call(path=f"/api/billing/promotion-codes/{text}")


async def give_money_back(scene: Scene) -> Call:
    body = {"invoiceId": str(await FACTORIES["invoices"](scene)), "amount": 1, "reason": "REQUESTED_BY_CUSTOMER"}
    return Call(json=body, headers={"Idempotency-Key": uuid4().hex})


def contract_of_a_year(scene: Scene) -> dict[str, Any]:
    """From the first of this month on."""
    first = scene.platform.clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    dates = {"startsAt": first.isoformat(), "endsAt": first.replace(year=first.year + 1).isoformat()}
    return {"plan": "TEAM_STANDARD", "price": 9999, "currency": "USD", **dates}


async def without_a_plan(scene: Scene) -> Call:
    """A contract for a workspace that has no subscription."""
    workspace_id = await scene.cast.open_workspace("OWNER")
    return Call(path=f"/api/admin/accounts/WORKSPACE/{workspace_id}/contract", json=contract_of_a_year(scene))


async def with_a_contract(scene: Scene) -> Call:
    """A workspace that has one."""
    call = await without_a_plan(scene)
    account = (AccountType.WORKSPACE, UUID(call.path.split("/")[-2]))
    async with scene.platform.database.transaction() as session:
        scope = AdminScope(Actor(ActorKind.SYSTEM))
        wanted = ContractWrite.model_validate(call.json)
        await contracts.put(session, scene.platform, scope, account, wanted, None)
    return Call(path=call.path)


async def own_ticket(_scene: Scene) -> Call:
    return Call(json={})


def beginning_a_subscription(*, own: bool = False) -> Example:
    async def example(scene: Scene) -> Call:
        account = subscribing.account_of(scene, own=own)
        await subscribing.without_subscription(scene, account)
        body = subscribing.wanted(scene, own=own, plan="INDIVIDUAL_PRO" if own else "TEAM_STANDARD")
        return Call(json=body, headers={"Idempotency-Key": uuid4().hex})

    return example


def changing_a_subscription(*, own: bool = False) -> Example:
    async def example(scene: Scene) -> Call:
        await subscribing.subscribed(scene, subscribing.account_of(scene, own=own))
        plan = "INDIVIDUAL_PRO" if own else "TEAM_PREMIUM"
        body = subscribing.wanted(scene, own=own, plan=plan, billingInterval="YEARLY")
        return Call(json=body, headers={"Idempotency-Key": uuid4().hex})

    return example


def ending_a_subscription(*, own: bool = False, undone: bool = False) -> Example:
    async def example(scene: Scene) -> Call:
        await subscribing.subscribed(scene, subscribing.account_of(scene, own=own), ending=undone)
        return Call(json=subscribing.wanted(scene, own=own), headers={"Idempotency-Key": uuid4().hex})

    return example


async def ticket(scene: Scene) -> Call:
    return Call(json={"workspaceId": str(scene.place.workspace_id)})


async def to_somebody(scene: Scene) -> Call:
    """The guest shares the project with them."""
    await project_row(scene)
    target = str(scene.cast.user_ids[TARGET])
    return Call(json={"workspaceId": str(scene.place.workspace_id), "userId": target})


async def answering_an_event(scene: Scene) -> Call:
    event_id, _, _ = await event_with_me(scene)
    return Call(path=f"/api/calendar/events/{event_id}/respond", json={"response": "ACCEPTED"})


async def an_invitation_to_an_event(scene: Scene) -> Call:
    """One's own: everybody may stay away."""
    event_id, attendee_id, _ = await event_with_me(scene)
    return Call(path=f"/api/calendar/events/{event_id}/attendees/{attendee_id}")


async def a_link_from_a_mail(scene: Scene) -> Call:
    _, _, token = await event_with_me(scene)
    return Call(path=f"/api/calendar/invitations/{token}")


async def answering_by_a_link(scene: Scene) -> Call:
    _, _, token = await event_with_me(scene)
    return Call(
        path=f"/api/calendar/invitations/{token}",
        content=b"response=ACCEPTED",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )


async def a_calendar_file(scene: Scene) -> Call:
    event = "UID:4711@example.org\r\nDTSTART:20300304T090000Z\r\nSUMMARY:Sprint planning"
    return Call(
        query={"workspaceId": str(scene.place.workspace_id)},
        content=f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{event}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode(),
        headers={"Content-Type": "text/calendar"},
    )


async def a_secret_address(scene: Scene) -> Call:
    _, token = await feed_of_the_caller(scene)
    return Call(path=f"/api/calendar/feeds/{token}.ics")


async def a_time_for_oneself(scene: Scene) -> Call:
    """Everybody may be told of their own time."""
    return await for_the_place(
        attendees=[{"userId": str(scene.scope().user_id)}],
        durationMinutes=30,
        start="2030-03-04T00:00:00Z",
        end="2030-03-05T00:00:00Z",
    )(scene)


async def ones_own_time(scene: Scene) -> Call:
    return await for_the_place(
        userIds=[str(scene.scope().user_id)], start="2030-03-04T00:00:00Z", end="2030-03-05T00:00:00Z"
    )(scene)


async def somebody_in(scene: Scene) -> Call:
    return Call(json={"userIds": [str(scene.cast.user_ids[TARGET])]})


async def somebody_out(scene: Scene) -> Call:
    target = scene.cast.user_ids[TARGET]
    return Call(path=f"/api/conversations/{await conversation_row(scene)}/members/{target}")


async def up_to_here(scene: Scene) -> Call:
    conversation_id = await conversation_row(scene)
    message_id = await message_in(scene, conversation_id)
    return Call(path=f"/api/conversations/{conversation_id}/read", json={"upToMessageId": str(message_id)})


async def a_message(scene: Scene) -> Call:
    """With a file of the caller's own, who alone sees it yet; of the owner's, if the caller may have none."""
    scope = scene.scope() if scene.column in ROLES else scene.owner_scope()
    file_id = await picturing.picture_nowhere(scene.platform, scope)
    conversation_id = await conversation_row(scene)
    return Call(json={"conversationId": str(conversation_id), "body": "Ready?", "fileIds": [str(file_id)]})


async def of_a_conversation(scene: Scene) -> Call:
    return Call(query={"conversationId": str(await conversation_row(scene))})


async def looking_for_messages(scene: Scene) -> Call:
    return Call(query={"workspaceId": str(scene.place.workspace_id), "q": "ready"})


async def looked_for(scene: Scene) -> Call:
    return Call(query={"q": "launch plan", "workspaceId": str(scene.place.workspace_id)})


async def a_word(_scene: Scene) -> Call:
    return Call(query={"q": "launch"})


async def into_a_project_of_ones_own(scene: Scene) -> Call:
    return Call(json={"projectId": str(await working.new_project(scene.platform, await scene.scope_of_ones_own()))})


async def a_report_on_ones_own(scene: Scene) -> Call:
    own = await scene.scope_of_ones_own()
    return Call(json={"title": "Export stops at row 200", "workspaceId": str(own.workspace_id)})


async def a_report_that_shows_it(scene: Scene) -> Call:
    return Call(path=f"/api/bug-reports/{await bug_report_with_screenshot(scene)}/screenshot")


async def of_ones_own_workspace(scene: Scene) -> Call:
    return Call(query={"workspaceId": str((await scene.scope_of_ones_own()).workspace_id)})


EXAMPLES: Final[dict[str, Example]] = {
    "getHealth": nothing,
    "getReadiness": nothing,
    "getMetrics": nothing,
    "getDocs": nothing,
    "getProblem": nothing,
    "getConfig": nothing,
    "listHeldJobs": nothing,
    "releaseHeldJob": nothing,
    "getClock": nothing,
    "moveClock": fixed(advanceS=0),
    "register": register,
    "login": login,
    "refresh": refresh,
    "verifyEmail": a_link(Purpose.VERIFY),
    "resendVerification": resend,
    "forgotPassword": forget_password,
    "resetPassword": a_link(Purpose.RESET, password=PASSWORD),
    "changePassword": fixed(oldPassword=PASSWORD, password=PASSWORD),
    "changeEmail": change_email,
    "getSecurity": nothing,
    "listSignInProviders": nothing,
    "startOauth": nothing,
    "prepareOauth": nothing,
    "linkProvider": fixed(password=PASSWORD),
    "unlinkProvider": unlink,
    "finishOauth": come_back,
    "finishOauthWithCode": give_the_code,
    "logout": nothing,
    "logoutAll": nothing,
    "getIdempotencyOutcome": outcome,
    "getProfile": nothing,
    "putProfile": fixed(name="Ann Archer"),
    "getSettings": nothing,
    "updateSettings": fixed(theme="DARK"),
    "createExport": nothing,
    "listExports": nothing,
    "getExport": nothing,
    "downloadExport": nothing,
    "getAccountState": nothing,
    "deleteAccount": going,
    "restoreAccount": going,
    "getMe": nothing,
    "listSessions": nothing,
    "endSession": nothing,
    "getJwks": nothing,
    "setUpSecondFactor": begin_second_factor,
    "enableSecondFactor": enable_second_factor,
    "disableSecondFactor": prove_second_factor,
    "renewRecoveryCodes": prove_second_factor,
    "createApiKey": for_the_place(name="Nightly", scopes=["workspace:read"]),
    "listApiKeys": of_the_workspace,
    "getApiKey": nothing,
    "updateApiKey": fixed(name="Weekly"),
    "revokeApiKey": nothing,
    "createWorkspace": fixed(name="Acme"),
    "listWorkspaces": nothing,
    "getWorkspace": nothing,
    "updateWorkspace": fixed(name="Renamed"),
    "deleteWorkspace": nothing,
    "archiveWorkspace": nothing,
    "unarchiveWorkspace": unarchive,
    "restoreWorkspace": restore,
    "transferWorkspace": transfer,
    "listMembers": of_the_workspace,
    "changeMemberRole": fixed(role="VIEWER"),
    "removeMember": remove_member,
    "listMemberBelongings": belongings,
    "changeMembers": change_members,
    "exportTeam": for_the_place(format="csv"),
    "messageTeam": for_the_place(subject="Launch", message="On Friday"),
    "inviteMembers": for_the_place(emails=["new@example.com"]),
    "listInvitations": of_the_workspace,
    "getInvitation": nothing,
    "updateInvitation": fixed(role="VIEWER"),
    "resendInvitation": nothing,
    "revokeInvitation": nothing,
    "viewInvitation": with_the_link(),
    "acceptInvitation": with_the_link("/accept"),
    "declineInvitation": with_the_link("/decline"),
    "listAuditEntries": nothing,
    "exportAuditEntries": nothing,
    "explainPermission": may_i,
    "spendCredits": spend,
    "spendCreditsBatch": a_batch_on_the_pool,
    "estimateCredits": on_the_pool(service="CHAT_ASSISTANT"),
    "placeHold": on_the_pool(amount=1),
    "captureHold": keyed(amount=1),
    "releaseHold": keyed(),
    "extendHold": keyed(ttlSeconds=60),
    "listHolds": of_the_workspace,
    "getHold": nothing,
    "useCredits": on_the_pool(service="CHAT_ASSISTANT"),
    "streamCredits": on_the_pool(service="CHAT_ASSISTANT"),
    "grantCredits": grant,
    "getCreditBalance": of_the_workspace,
    "getCreditOverview": of_the_workspace,
    "listCreditHistory": of_the_workspace,
    "verifyCredits": of_the_workspace,
    "listCreditPacks": nothing,
    "refundCredits": refund,
    "adjustCredits": adjust,
    "voidGrant": keyed(reason="matrix"),
    "requestRefund": ask_for_a_refund,
    "listRefundRequests": of_the_workspace,
    "getRefundRequest": nothing,
    "listRefundQueue": nothing,
    "approveRefund": fixed(),
    "declineRefund": fixed(note="matrix"),
    "explainCreditEntry": nothing,
    "readCreditAccount": nothing,
    "readCreditHistory": nothing,
    "verifyCreditAccount": nothing,
    "explainAnyCreditEntry": nothing,
    "getCreditStatement": statement,
    "exportCreditHistory": export,
    "sendGift": on_the_pool(amount=1, code={}),
    "createGiftCodes": on_the_pool(count=2, amount=1),
    "redeemGift": redeem,
    "listGifts": of_the_workspace,
    "getGift": nothing,
    "cancelGift": nothing,
    "createLead": fixed(),
    "createCheckoutSession": on_the_pool(pack="SMALL"),
    "getCheckoutSession": nothing,
    "purchaseCredits": on_the_pool(pack="SMALL"),
    "getPortalLink": of_the_workspace,
    "createPortalLink": on_the_pool(),
    "getCreditForecast": of_the_workspace,
    "getCreditAnalytics": of_the_workspace,
    "listCreditSuggestions": of_the_workspace,
    "getCreditLeaderboard": of_the_workspace,
    "listCreditAchievements": nothing,
    "getCreditPool": of_the_workspace,
    "updateCreditPool": on_the_account(useExpiring=True),
    "putCreditCap": on_the_account(amount=5, window="DAY"),
    "deleteCreditCap": remove_cap,
    "getCreditPoolUsage": of_the_workspace,
    "listCreditPoolRequests": of_the_workspace,
    "createCreditPoolRequest": ask_for_credits,
    "getCreditPoolRequest": nothing,
    "approveCreditPoolRequest": fixed(),
    "declineCreditPoolRequest": fixed(),
    "getAutoTopUp": of_the_workspace,
    "putAutoTopUp": on_the_account(**TOP_UP),
    "listPaymentMethods": of_the_workspace,
    "createSetupIntent": for_the_place(),
    "attachPaymentMethod": attach_a_card,
    "getPaymentMethod": nothing,
    "updatePaymentMethod": fixed(isDefault=True),
    "removePaymentMethod": nothing,
    "getPromotionCode": a_promotion_code,
    "listTopUps": of_the_workspace,
    "getTopUp": nothing,
    "getTopUpConfirmation": nothing,
    "listPlans": nothing,
    "getSubscription": of_the_workspace,
    "getBillingUsage": of_the_workspace,
    "getStorageUsage": of_the_workspace,
    "listInvoices": of_the_workspace,
    "getInvoice": nothing,
    "getInvoicePdf": nothing,
    "listBillingHistory": of_the_workspace,
    "createPaymentRefund": give_money_back,
    "listPaymentRefunds": nothing,
    "getPaymentRefund": nothing,
    "listDisputes": nothing,
    "putContract": without_a_plan,
    "createSubscription": beginning_a_subscription(),
    "changeSubscription": changing_a_subscription(),
    "previewSubscriptionChange": changing_a_subscription(),
    "cancelSubscription": ending_a_subscription(),
    "resumeSubscription": ending_a_subscription(undone=True),
    "syncPrices": fixed(dryRun=True),
    "listReconciliations": nothing,
    "startReconciliation": fixed(),
    "getReconciliation": nothing,
    "getContract": with_a_contract,
    "endContract": with_a_contract,
    "receiveStripeEvent": stripe_event,
    "receiveBillingEvent": stripe_event,
    "listWebhookEvents": nothing,
    "getWebhookEvent": nothing,
    "replayWebhookEvent": nothing,
    "listChanges": of_the_workspace,
    "createStreamTicket": ticket,
    "openStream": of_the_workspace,
    "listNotifications": nothing,
    "getUnreadCount": nothing,
    "readAllNotifications": fixed(upTo="2026-01-01T00:00:00Z"),
    "getNotification": nothing,
    "readNotification": nothing,
    "unreadNotification": nothing,
    "archiveNotification": nothing,
    "snoozeNotification": snooze,
    "getNotificationPreferences": nothing,
    "putNotificationPreferences": fixed(categories=[{"category": "CREDITS", "mail": False}]),
    "getUnsubscribePage": out_of_a_mail,
    "unsubscribe": out_of_a_mail,
    "listMails": nothing,
    "createProject": for_the_place(name="Website relaunch"),
    "listProjects": of_the_workspace,
    "getProject": nothing,
    "putProject": fixed(name="Website relaunch"),
    "updateProject": fixed(icon="🚀"),
    "deleteProject": nothing,
    "copyProject": fixed(name="The next one"),
    "startProject": nothing,
    "stopProject": a_project_that_is(ProjectState.ACTIVE),
    "completeProject": nothing,
    "archiveProject": nothing,
    "restoreProject": a_project_that_is(ProjectState.ARCHIVED),
    "listProjectMembers": nothing,
    "getProjectMember": nothing,
    "putProjectMember": fixed(role="MEMBER"),
    "removeProjectMember": nothing,
    "listProjectStatuses": nothing,
    "createProjectStatus": fixed(name="Blocked", category="IN_PROGRESS"),
    "orderProjectStatuses": fixed(keys=["DONE", "TODO", "IN_PROGRESS", "IN_REVIEW", "CANCELED"]),
    "getProjectStatus": nothing,
    "updateProjectStatus": fixed(name="Review"),
    "deleteProjectStatus": nothing,
    "listLabels": nothing,
    "createLabel": fixed(name="New"),
    "getLabel": nothing,
    "updateLabel": fixed(name="Fault"),
    "deleteLabel": nothing,
    "listProjectFields": nothing,
    "createProjectField": fixed(name="Customer", kind="TEXT"),
    "getProjectField": nothing,
    "updateProjectField": fixed(name="Hours"),
    "deleteProjectField": nothing,
    "getEvents": of_the_workspace,
    "createEvent": an_event,
    "getEvent": nothing,
    "updateEvent": fixed(title="Sprint review"),
    "replaceEvent": an_event_anew,
    "deleteEvent": nothing,
    "respondToEvent": answering_an_event,
    "addEventAttendee": fixed(email="guest@example.org"),
    "removeEventAttendee": an_invitation_to_an_event,
    "putEventReminders": fixed(reminders=[{"minutesBefore": 10, "channel": "IN_APP"}]),
    "snoozeEvent": fixed(minutes=10),
    "viewEventInvitation": a_link_from_a_mail,
    "answerEventInvitation": answering_by_a_link,
    "createTask": a_task_in_the_project,
    "undoTaskChange": an_undo_token,
    "createSavedView": a_view_of_the_workspace,
    "listSavedViews": of_the_workspace,
    "getSavedView": nothing,
    "updateSavedView": fixed(name="Mine, due soon"),
    "deleteSavedView": nothing,
    "bulkEditTasks": many_tasks,
    "exportTasks": of_the_workspace,
    "importTasks": a_file_of_tasks,
    "findDuplicateTasks": a_task_in_the_project,
    "putTaskRecurrence": a_due_task,
    "deleteTaskRecurrence": a_recurring_task(),
    "previewTaskRecurrence": a_recurring_task("/preview"),
    "listTasks": of_the_workspace,
    "getTaskBoard": of_the_project,
    "getTask": nothing,
    "updateTask": fixed(priority="HIGH"),
    "replaceTask": fixed(title="Write the release notes"),
    "deleteTask": nothing,
    "restoreTask": a_deleted_task,
    "moveTask": fixed(),
    "changeTaskLabels": fixed(add=[]),
    "changeTaskAssignees": fixed(add=[]),
    "listTaskWatchers": nothing,
    "changeTaskWatchers": fixed(add=[]),
    "createTaskComment": fixed(body="Looks good to me"),
    "listTaskComments": nothing,
    "getTaskComment": on_a_task("comments", collaborating.comment_on),
    "updateTaskComment": on_a_task("comments", collaborating.comment_on, body="Looks better"),
    "deleteTaskComment": on_a_task("comments", collaborating.comment_on),
    "putCommentReaction": on_a_task("comments", collaborating.comment_on, "/reactions/👍"),
    "deleteCommentReaction": on_a_task("comments", collaborating.comment_on, "/reactions/👍"),
    "listTaskAttachments": nothing,
    "attachFile": a_file_to_attach,
    "listFiles": of_the_workspace,
    "getFile": nothing,
    "updateFile": fixed(originalName="launch-plan.png"),
    "deleteFile": nothing,
    "restoreFile": a_file_in_the_trash,
    "getFileContent": nothing,
    "headFileContent": nothing,
    "listFileVersions": nothing,
    "getFileVersionContent": nothing,
    "headFileVersionContent": nothing,
    "restoreFileVersion": an_old_version("/restore"),
    "deleteFileVersion": an_old_version(),
    "createFileLink": fixed(),
    "listFileLinks": nothing,
    "deleteFileLink": a_link_to_revoke,
    "getLinkedFile": a_link_that_works,
    "headLinkedFile": a_link_that_works,
    "zipFiles": files_to_zip,
    "createUpload": a_file_in_a_form,
    "getUpload": an_upload_under_way,
    "cancelUpload": an_upload_under_way,
    "getTusOptions": nothing,
    "getTusUploadOptions": a_tus_upload_under_way,
    "createTusUpload": a_tus_upload_to_begin,
    "getTusUpload": a_tus_upload_under_way,
    "updateTusUpload": a_tus_piece,
    "deleteTusUpload": a_tus_upload_under_way,
    "createPresignedUpload": an_upload_into_the_store,
    "completeUpload": an_upload_that_has_arrived,
    "detachFile": on_a_task("attachments", picturing.picture_on),
    "uploadAvatar": a_picture_sent,
    "deleteAvatar": nothing,
    "uploadWorkspaceLogo": a_picture_sent,
    "deleteWorkspaceLogo": nothing,
    "getPicture": a_picture_worn,
    "headPicture": a_picture_worn,
    "getThumbnail": a_small_picture,
    "headThumbnail": a_small_picture,
    "addChecklistItem": fixed(content="Check the links"),
    "listChecklist": nothing,
    "reorderChecklist": another_order,
    "getChecklistItem": on_a_task("checklist", collaborating.item_on),
    "updateChecklistItem": on_a_task("checklist", collaborating.item_on, isDone=True),
    "deleteChecklistItem": on_a_task("checklist", collaborating.item_on),
    "createTaskDependency": a_link_to_another,
    "listTaskDependencies": nothing,
    "getTaskDependency": a_linked_task,
    "deleteTaskDependency": a_linked_task,
    "shiftTask": fixed(days=1),
    "createTimeEntry": fixed(workedOn="2026-03-02", minutes=30),
    "listTaskTimeEntries": nothing,
    "getTimeEntry": on_a_task("time-entries", collaborating.time_on),
    "updateTimeEntry": on_a_task("time-entries", collaborating.time_on, minutes=45),
    "deleteTimeEntry": on_a_task("time-entries", collaborating.time_on),
    "listTimeEntries": of_the_workspace,
    "listTaskActivity": nothing,
    "search": looked_for,
    "createBugReport": a_report_on_ones_own,
    "findBugReportDuplicates": a_report_on_ones_own,
    "listBugReports": of_ones_own_workspace,
    "getBugReport": nothing,
    "getBugReportScreenshot": a_report_that_shows_it,
    "updateBugReport": fixed(title="Export stops"),
    "triageBugReport": fixed(severity="HIGH"),
    "convertBugReport": into_a_project_of_ones_own,
    "createWebhookEndpoint": for_the_place(url="https://example.com/hooks"),
    "listWebhookEndpoints": of_the_workspace,
    "getWebhookEndpoint": nothing,
    "updateWebhookEndpoint": fixed(description="Our warehouse"),
    "deleteWebhookEndpoint": nothing,
    "rotateWebhookSecret": fixed(),
    "testWebhookEndpoint": nothing,
    "listWebhookDeliveries": nothing,
    "getWebhookDelivery": nothing,
    "replayWebhookDelivery": nothing,
    "getFreeBusy": ones_own_time,
    "findTime": a_time_for_oneself,
    "getWorkingHours": nothing,
    "putWorkingHours": fixed(days={"monday": [{"start": "09:00", "end": "17:00"}]}),
    "previewRecurrence": fixed(dtstart="2026-03-02T09:00:00", tzid="America/New_York", rrule="FREQ=DAILY;COUNT=3"),
    "getAgenda": agenda_of_the_workspace,
    "getEventChanges": of_the_workspace,
    "importEvents": a_calendar_file,
    "exportEvents": of_the_workspace,
    "getEventFile": nothing,
    "createCalendarFeed": for_the_place(name="Work"),
    "listCalendarFeeds": of_the_workspace,
    "getCalendarFeed": nothing,
    "getCalendarFeedFile": a_secret_address,
    "deleteCalendarFeed": nothing,
    "bulkEditEvents": many_events,
    "createCalendarResource": for_the_place(name="Room 4"),
    "listCalendarResources": of_the_workspace,
    "getCalendarResource": nothing,
    "updateCalendarResource": fixed(name="Room 5"),
    "deleteCalendarResource": nothing,
    "createConversation": for_the_place(kind="GROUP", name="Launch"),
    "openDirectConversation": to_somebody,
    "listConversations": of_the_workspace,
    "getUnreadMessages": of_the_workspace,
    "getConversation": nothing,
    "updateConversation": fixed(name="Launch, second try"),
    "archiveConversation": nothing,
    "restoreConversation": nothing,
    "listConversationMembers": nothing,
    "addConversationMembers": somebody_in,
    "removeConversationMember": somebody_out,
    "leaveConversation": nothing,
    "readConversation": up_to_here,
    "muteConversation": fixed(),
    "unmuteConversation": nothing,
    "postMessage": a_message,
    "listMessages": of_a_conversation,
    "searchMessages": looking_for_messages,
    "getMessage": nothing,
    "editMessage": fixed(body="Ready!"),
    "deleteMessage": nothing,
    "getMessageHistory": nothing,
    "addReaction": nothing,
    "removeReaction": nothing,
}


OWN_ACCOUNT: Final[dict[str, Example]] = {
    "listTasks": nothing,
    "listFiles": nothing,
    "zipFiles": own_files_to_zip,
    "createUpload": a_file_of_ones_own,
    "createTusUpload": a_tus_upload_of_ones_own,
    "createPresignedUpload": fixed(originalName="film.mp4", fileSize=5),
    "listProjects": nothing,
    "search": a_word,
    "createApiKey": a_key_of_ones_own,
    "listApiKeys": nothing,
    "createCheckoutSession": keyed(pack="SMALL"),
    "purchaseCredits": keyed(pack="SMALL"),
    "getPortalLink": nothing,
    "createPortalLink": fixed(),
    "spendCredits": spend_from_own_wallet,
    "spendCreditsBatch": a_batch,
    "estimateCredits": keyed(service="CHAT_ASSISTANT"),
    "placeHold": spend_from_own_wallet,
    "listHolds": nothing,
    "useCredits": keyed(service="CHAT_ASSISTANT"),
    "streamCredits": keyed(service="CHAT_ASSISTANT"),
    "getIdempotencyOutcome": outcome_in_own_wallet,
    "createStreamTicket": own_ticket,
    "getCreditBalance": nothing,
    "getCreditOverview": nothing,
    "listCreditHistory": nothing,
    "verifyCredits": nothing,
    "getCreditForecast": nothing,
    "getCreditAnalytics": nothing,
    "listCreditSuggestions": nothing,
    "getCreditPool": nothing,
    "sendGift": from_own_wallet(amount=1, code={}),
    "createGiftCodes": from_own_wallet(count=2, amount=1),
    "listGifts": nothing,
    "updateCreditPool": fixed(useExpiring=True),
    "getAutoTopUp": nothing,
    "putAutoTopUp": fixed(**TOP_UP),
    "listPaymentMethods": nothing,
    "createSetupIntent": fixed(),
    "attachPaymentMethod": attach_a_card_of_ones_own,
    "getPromotionCode": a_promotion_code_for_oneself,
    "listTopUps": nothing,
    "requestRefund": ask_for_a_refund_of_own_wallet,
    "listRefundRequests": nothing,
    "getCreditStatement": own_statement,
    "exportCreditHistory": own_export,
    "listChanges": nothing,
    "openStream": nothing,
    "getSubscription": nothing,
    "getBillingUsage": nothing,
    "getStorageUsage": nothing,
    "listInvoices": nothing,
    "listBillingHistory": nothing,
    "createSubscription": beginning_a_subscription(own=True),
    "changeSubscription": changing_a_subscription(own=True),
    "previewSubscriptionChange": changing_a_subscription(own=True),
    "cancelSubscription": ending_a_subscription(own=True),
    "resumeSubscription": ending_a_subscription(own=True, undone=True),
}
"""The same for what works on a workspace's account or on the caller's own: without a workspace."""


async def example_of(route: APIRoute, scene: Scene, examples: dict[str, Example] = EXAMPLES) -> Call:
    """The route's valid request in this scene, its path filled with ids of rows that are really there."""
    assert route.operation_id is not None
    call = await examples[route.operation_id](scene)
    if not call.path:
        ids = await path_ids(route, scene)
        call.path = route.path_format.format(**ids)
    call.headers = {**scene.headers, **call.headers}
    return call


async def path_ids(route: APIRoute, scene: Scene) -> dict[str, UUID | int | str]:
    """Real values for the route's path parameters."""
    names = list(route.param_convertors)
    tables = PATH_TABLES
    if route.path_format.startswith("/api/calendar/"):
        tables = {**PATH_TABLES, **PATH_TABLES_OF_CALENDAR}
    return {
        name: PATH_VALUES[name] if name in PATH_VALUES else await FACTORIES[tables[name]](scene) for name in names
    }


def succeeding_column(guard_name: str) -> str:
    """A kind of caller whom every guard of this kind lets in."""
    return ADMIN_KEY_HOLDER if guard_name == "Operator" else "OWNER"
