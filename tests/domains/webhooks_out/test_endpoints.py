"""Webhook endpoints over HTTP."""

import ast
import asyncio
import re
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import api_routes, create_app
from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.webhooks_out import rules, service
from pm_api.domains.webhooks_out.schemas import WebhookEndpointCreate
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, open_platform, register
from tests.identity.teams import audit_of, join, make_workspace
from tests.support.clock import MovableClock
from tests.support.settings import settings_for

URL = "https://hooks.example.com/pm?token=abc"
ROOT = "/api/webhook-endpoints"


@pytest.fixture
async def workspace_id(person: Person) -> str:
    made: str = (await make_workspace(person))["id"]
    return made


async def create(person: Person, workspace_id: str, **fields: Any) -> dict[str, Any]:
    body = {"workspaceId": workspace_id, "url": URL, **fields}
    answer = await person.client.post(ROOT, json=body)
    assert answer.status_code == 201, answer.text
    content: dict[str, Any] = answer.json()
    return content


def path_of(made: dict[str, Any], step: str = "") -> str:
    return f"{ROOT}/{made['webhookEndpoint']['id']}{step}"


async def test_an_endpoint_is_made_and_its_secret_shown_once(
    person: Person, workspace_id: str, platform: Platform
) -> None:
    answer = await person.client.post(ROOT, json={"workspaceId": workspace_id, "url": URL})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["location"] == path_of(made)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"])
    endpoint = made["webhookEndpoint"]
    assert (endpoint["url"], endpoint["events"], endpoint["enabled"]) == (URL, ["*"], True)
    assert endpoint["createdByUserId"] == str(person.id)

    shown = await person.client.get(path_of(made))
    assert (shown.status_code, shown.json()) == (200, {"webhookEndpoint": endpoint})
    assert shown.headers["etag"] == answer.headers["etag"]
    known = {"If-None-Match": shown.headers["etag"]}
    assert (await person.client.get(path_of(made), headers=known)).status_code == 304
    listed = await person.client.get(ROOT, params={"workspaceId": workspace_id})
    assert listed.json() == {"webhookEndpoints": [endpoint], "nextCursor": None}
    for said in (shown.text, listed.text):
        assert made["secret"].removeprefix("whsec_") not in said
    assert [one.action for one in await audit_of(platform, workspace_id)][-1] == "webhook_endpoint.created"
    async with platform.database.transaction() as session:
        arrived = "UPDATE webhook_endpoints SET last_delivered_at = now() WHERE id = :id"
        await session.execute(text(arrived), {"id": UUID(endpoint["id"])})
    assert (await person.client.get(path_of(made), headers=known)).status_code == 200, "it says something else"


async def test_who_is_not_an_admin_neither_sees_nor_does_anything(
    person: Person, workspace_id: str, new_person: NewPerson, platform: Platform, client: Any
) -> None:
    made = await create(person, workspace_id)
    delivery = (await person.client.post(path_of(made, "/test"))).json()["webhookDelivery"]["id"]
    calls = [
        ("POST", ROOT, {"workspaceId": workspace_id, "url": URL}),
        ("GET", f"{ROOT}?workspaceId={workspace_id}", None),
        ("GET", path_of(made), None),
        ("PATCH", path_of(made), {"description": "x"}),
        ("POST", path_of(made, "/rotate-secret"), {}),
        ("POST", path_of(made, "/test"), None),
        ("GET", path_of(made, "/deliveries"), None),
        ("GET", f"/api/webhook-deliveries/{delivery}", None),
        ("POST", f"/api/webhook-deliveries/{delivery}/replay", None),
        ("DELETE", path_of(made), None),
    ]
    member, stranger, admin = [await new_person() for _ in range(3)]
    await join(platform, workspace_id, member, Role.MEMBER)
    await join(platform, workspace_id, admin, Role.ADMIN)
    for who, expected in ((client, 401), (member.client, 403), (stranger.client, 404)):
        for method, path, body in calls:
            answer = await who.request(method, path, json=body)
            assert answer.status_code == expected, (method, path, answer.text)
    for method, path, body in calls:
        answer = await admin.client.request(method, path, json=body)
        assert answer.status_code < 300, (method, path, answer.text)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": 7},
        {"url": "x" * 2001},
        {"events": []},
        {"events": ["task"]},
        {"events": ["Task.created"]},
        {"events": ["*.created"]},
        {"events": ["task.created "]},
        {"events": "task.created"},
        {"events": ["task.a"] * 51},
        {"description": "x" * 501},
        {"description": "\x00"},
        {"name": "unknown"},
        {"secret": "whsec_mine"},
    ],
)
async def test_a_bad_body_is_refused(person: Person, workspace_id: str, body: dict[str, Any]) -> None:
    sent = {"workspaceId": workspace_id, "url": URL, **body} if body else {"workspaceId": workspace_id}
    answer = await person.client.post(ROOT, json=sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    if body:
        made = await create(person, workspace_id)
        answer = await person.client.patch(path_of(made), json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://[::ffff:169.254.169.254]/",
        "https://localhost/",
        "https://user:word@hooks.example.com/",
        "javascript:alert(1)",
    ],
)
async def test_an_address_that_leads_inside_is_refused(person: Person, workspace_id: str, url: str) -> None:
    answer = await person.client.post(ROOT, json={"workspaceId": workspace_id, "url": url})
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_url_refused")
    assert answer.json()["details"][0]["pointer"] == "/url"
    made = await create(person, workspace_id)
    answer = await person.client.patch(path_of(made), json={"url": url})
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_url_refused")


async def test_only_what_is_sent_is_changed(person: Person, workspace_id: str) -> None:
    made = await create(person, workspace_id, description="Warehouse", events=["task.*", "task.*", "member.added"])
    assert made["webhookEndpoint"]["events"] == ["task.*", "member.added"]
    fresh = {"If-Match": (await person.client.get(path_of(made))).headers["etag"]}
    changed = await person.client.patch(path_of(made), json={"events": ["*"]}, headers=fresh)
    assert changed.status_code == 200
    assert changed.headers["etag"].startswith('"2-')
    endpoint = changed.json()["webhookEndpoint"]
    assert (endpoint["events"], endpoint["description"], endpoint["url"]) == (["*"], "Warehouse", URL)
    stale = await person.client.patch(path_of(made), json={"description": None}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    cleared = await person.client.patch(path_of(made), json={"description": None})
    assert cleared.json()["webhookEndpoint"]["description"] == ""
    same = await person.client.patch(path_of(made), json={"description": ""})
    assert same.headers["etag"] == cleared.headers["etag"]
    assert same.headers["etag"].startswith('"3-')
    for field in ("url", "events", "enabled"):
        assert (await person.client.patch(path_of(made), json={field: None})).status_code == 422
    assert (await person.client.patch(path_of(made), json={"enabled": 1})).status_code == 422


async def test_a_disabled_endpoint_says_why_and_is_enabled_again(person: Person, workspace_id: str) -> None:
    made = await create(person, workspace_id)
    off = (await person.client.patch(path_of(made), json={"enabled": False})).json()["webhookEndpoint"]
    assert (off["enabled"], off["disabledReason"]) == (False, "BY_MEMBER")
    assert off["disabledAt"] is not None
    for path in (path_of(made, "/test"),):
        refused = await person.client.post(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_disabled")
    on = (await person.client.patch(path_of(made), json={"enabled": True})).json()["webhookEndpoint"]
    assert (on["enabled"], on["disabledReason"], on["disabledAt"]) == (True, None, None)


async def test_a_secret_is_rotated(person: Person, workspace_id: str) -> None:
    made = await create(person, workspace_id)
    turned = await person.client.post(path_of(made, "/rotate-secret"), headers={"If-Match": '"1"'})
    assert turned.status_code == 200
    assert turned.json()["secret"] not in ("", made["secret"])
    assert turned.json()["webhookEndpoint"]["previousSecretUntil"] is not None
    stale = await person.client.post(path_of(made, "/rotate-secret"), json={}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    at_once = await person.client.post(path_of(made, "/rotate-secret"), json={"overlapH": 0})
    assert at_once.json()["webhookEndpoint"]["previousSecretUntil"] is None
    for hours in (-1, 169, "soon"):
        bad = await person.client.post(path_of(made, "/rotate-secret"), json={"overlapH": hours})
        assert bad.status_code == 422


async def test_a_test_can_be_repeated_under_one_key_and_is_in_the_log(person: Person, workspace_id: str) -> None:
    made = await create(person, workspace_id)
    once, twice = [
        await person.client.post(path_of(made, "/test"), headers={"Idempotency-Key": "one"}) for _ in range(2)
    ]
    assert once.status_code == twice.status_code == 201
    assert once.json() == twice.json()
    delivery = once.json()["webhookDelivery"]
    assert once.headers["location"] == f"/api/webhook-deliveries/{delivery['id']}"
    assert (delivery["type"], delivery["status"], delivery["tries"]) == ("webhook_endpoint.tested", "PENDING", [])
    shown = await person.client.get(once.headers["location"])
    assert shown.json()["webhookDelivery"] == delivery
    listed = await person.client.get(path_of(made, "/deliveries"), params={"status": "PENDING"})
    [one] = listed.json()["webhookDeliveries"]
    assert (one["id"], one["lastTry"]) == (delivery["id"], None)
    assert (await person.client.get(path_of(made, "/deliveries"), params={"status": "GIVEN_UP"})).json()[
        "webhookDeliveries"
    ] == []
    assert (await person.client.get(path_of(made, "/deliveries"), params={"status": "LOST"})).status_code == 422
    again = await person.client.post(f"{once.headers['location']}/replay")
    assert (again.status_code, again.json()["webhookDelivery"]["id"]) == (200, delivery["id"])


async def test_the_log_is_paged(person: Person, workspace_id: str) -> None:
    made = await create(person, workspace_id)
    put = [(await person.client.post(path_of(made, "/test"))).json()["webhookDelivery"]["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await person.client.get(path_of(made, "/deliveries"), params={"limit": "2", **cursor})).json()
        seen += [one["id"] for one in page["webhookDeliveries"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert seen == put[::-1]
    other = await create(person, workspace_id)
    foreign = await person.client.get(path_of(other, "/deliveries"), params=cursor)
    assert (foreign.status_code, foreign.json()["code"]) == (422, "invalid_cursor")


async def test_a_deleted_endpoint_is_gone_with_its_log_and_its_secret(
    person: Person, workspace_id: str, platform: Platform
) -> None:
    made = await create(person, workspace_id)
    delivery = (await person.client.post(path_of(made, "/test"))).json()["webhookDelivery"]["id"]
    stale = await person.client.delete(path_of(made), headers={"If-Match": '"9"'})
    assert stale.status_code == 412
    assert (await person.client.delete(path_of(made))).status_code == 204
    for method, path in (
        ("GET", path_of(made)),
        ("DELETE", path_of(made)),
        ("POST", path_of(made, "/test")),
        ("GET", path_of(made, "/deliveries")),
        ("GET", f"/api/webhook-deliveries/{delivery}"),
        ("POST", f"/api/webhook-deliveries/{delivery}/replay"),
    ):
        assert (await person.client.request(method, path)).status_code == 404, (method, path)
    assert (await person.client.get(ROOT, params={"workspaceId": workspace_id})).json()["webhookEndpoints"] == []
    async with platform.database.reading() as session:
        left = await session.execute(
            text("SELECT sealed_secret FROM webhook_endpoints WHERE id = :id"),
            {"id": UUID(made["webhookEndpoint"]["id"])},
        )
        assert left.scalar_one() == b""


async def test_a_workspace_has_at_most_twenty_also_when_many_are_made_at_once(
    person: Person, workspace_id: str, new_person: NewPerson
) -> None:
    body = {"workspaceId": workspace_id, "url": URL}
    answers = await asyncio.gather(*(person.client.post(ROOT, json=body) for _ in range(service.MOST_ENDPOINTS + 5)))
    assert sorted(one.status_code for one in answers) == [201] * service.MOST_ENDPOINTS + [409] * 5
    refused = next(one for one in answers if one.status_code == 409)
    assert refused.json()["code"] == "too_many_webhook_endpoints"
    gone = next(one for one in answers if one.status_code == 201)
    assert (await person.client.delete(gone.headers["location"])).status_code == 204
    assert (await person.client.post(ROOT, json=body)).status_code == 201


async def test_none_is_made_in_a_workspace_that_was_deleted_since_the_guard_looked(
    person: Person, workspace_id: str, platform: Platform
) -> None:
    scope = WorkspaceScope(Actor(ActorKind.USER, person.id), UUID(workspace_id), person.id, Role.OWNER)
    wanted = WebhookEndpointCreate.model_validate({"workspaceId": workspace_id, "url": URL})
    assert (await person.client.delete(f"/api/workspaces/{workspace_id}")).status_code == 204
    async with platform.database.transaction() as session:
        with pytest.raises(WorkspaceNotFound):
            await service.create(session, platform, scope, wanted)


async def test_tests_are_limited_and_written_down(worker_database: str) -> None:
    """Each is a request to an address of the caller's choice."""
    settings = settings_for(worker_database, rate_limits=True)
    async with open_platform(settings, MovableClock()) as platform:
        app = create_app(settings, platform)
        person = await register(app)
        async with aclosing(person.client):
            workspace = (await make_workspace(person))["id"]
            made, other = await create(person, workspace), await create(person, workspace)
            paths = [path_of(one, "/test") for one in (made, other)] * 20
            answers = [await person.client.post(one) for one in paths]
            statuses = [one.status_code for one in answers]
            assert (set(statuses[:30]), statuses[-1]) == ({201}, 429)
            assert int(answers[-1].headers["retry-after"]) <= 60
            assert (await person.client.get(path_of(made))).status_code == 200, "all else goes on"
        written = [one for one in await audit_of(platform, workspace) if one.action == "webhook_endpoint.tested"]
        assert len(written) == statuses.count(201)
        assert {one.subject_id for one in written} == {one["webhookEndpoint"]["id"] for one in (made, other)}
        assert {one.actor_user_id for one in written} == {person.id}


async def test_ids_of_nothing_are_not_found(person: Person) -> None:
    for path in (f"{ROOT}/{uuid4()}", f"/api/webhook-deliveries/{uuid4()}", f"{ROOT}/nonsense"):
        assert (await person.client.get(path)).status_code == 404


def test_where_a_thing_is_read_is_an_address_of_ours(app: FastAPI) -> None:
    known = {re.sub(r"\{\w+\}", "{}", one.path_format) for one in api_routes(app) if "GET" in (one.methods or ())}
    for entity, path in rules.READ_AT.items():
        if path is None:
            continue
        assert re.sub(r"\{\w+\}", "{}", path.split("?")[0]) in known, entity
    assert "invitation" in rules.READ_AT, "GET /api/team/invitations/{id} tells of what the feed announces"


async def test_a_filter_names_what_there_is(person: Person, workspace_id: str) -> None:
    for wrong in ("nope.*", "invitation.created", "webhook_endpoint.*"):
        body = {"workspaceId": workspace_id, "url": URL, "events": ["task.*", wrong]}
        answer = await person.client.post(ROOT, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), wrong
        [detail] = answer.json()["details"]
        assert detail["pointer"] == "/events"
        assert "member, " in detail["detail"]
        assert "task, " in detail["detail"]
    await create(person, workspace_id, events=[f"{one}.*" for one in rules.told_kinds()])


def test_every_kind_that_is_told_of_can_be_asked_for() -> None:
    """Read from the sources: what a change is recorded of in a workspace's feed stands in the one list."""
    of_one_person = {"membership", "user", "notification_preferences", "read_state", "conversation_state"}
    of_one_person |= {"working_hours"}
    found: set[str] = set()
    for file in sorted(Path(rules.__file__).parents[1].glob("*/**/*.py")):
        tree = ast.parse(file.read_text())
        said = {
            one.target.id: one.value.value
            for one in tree.body
            if isinstance(one, ast.AnnAssign)
            and isinstance(one.target, ast.Name)
            and isinstance(one.value, ast.Constant)
            and isinstance(one.value.value, str)
        }
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and ast.unparse(call.func).endswith(".record")):
                continue
            for one in call.keywords:
                if one.arg == "entity" and isinstance(one.value, ast.Constant):
                    found.add(str(one.value.value))
                elif one.arg == "entity" and isinstance(one.value, ast.Name) and one.value.id in said:
                    found.add(said[one.value.id])
    assert {"workspace", "task", "invitation"} <= found, "the sources are read"
    assert found - of_one_person <= set(rules.READ_AT), "enter it in webhooks_out/rules.py"


def test_delays_grow_within_their_jitter() -> None:
    for failures in range(1, 12):
        step = rules.DELAYS[min(failures, len(rules.DELAYS)) - 1]
        assert rules.delay(failures, 0.0) == step * 0.8
        assert rules.delay(failures, 0.999) < step * 1.2
        assert rules.pause(failures, 0.5, None) <= rules.LONGEST_PAUSE
    assert rules.pause(1, 0.5, 600).total_seconds() == 600
    assert rules.pause(1, 0.5, 86_400) == rules.LONGEST_PAUSE


async def test_who_is_removed_leaves_endpoints_behind_of_which_the_others_are_told(
    person: Person, workspace_id: str, new_person: NewPerson, platform: Platform
) -> None:
    """Whoever reads at their address would be told of changes for ever, and nobody would think of it."""
    bob = await new_person()
    member_id = await join(platform, workspace_id, bob, Role.ADMIN)
    made, gone = await create(bob, workspace_id), await create(bob, workspace_id)
    assert (await bob.client.delete(path_of(gone))).status_code == 204
    await create(person, workspace_id)
    seen = await person.client.get(f"/api/team/members/{member_id}/belongings")
    removed = await person.client.delete(f"/api/team/members/{member_id}")
    for found in (seen.json()["belongings"], removed.json()["removal"]["leftBehind"]):
        [left] = [one for one in found if one["kind"] == "webhook_endpoints"]
        assert (left["count"], left["canBeReassigned"]) == (1, False)
    assert (await person.client.get(path_of(made))).json()["webhookEndpoint"]["enabled"]
