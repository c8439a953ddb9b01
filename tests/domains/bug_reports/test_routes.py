"""/api/bug-reports: who may, what is refused, and what a report says."""

import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from pm_api.app import create_app
from tests.conftest import open_platform, register
from tests.domains.bug_reports.desk import PATH, Desk
from tests.support.clock import MovableClock
from tests.support.settings import settings_for

NOWHERE = UUID(int=1)
CALLS = [
    ("POST", ""),
    ("POST", "/duplicates"),
    ("GET", ""),
    ("GET", f"/{NOWHERE}"),
    ("PATCH", f"/{NOWHERE}"),
    ("POST", f"/{NOWHERE}/triage"),
    ("POST", f"/{NOWHERE}/convert"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_without_a_token_nobody_comes_in(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, PATH + path)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "")])
async def test_an_api_key_does_not_report(desk: Desk, method: str, path: str) -> None:
    made = await desk.owner.client.post("/api/api-keys", json={"name": "Robot", "scopes": ["task:write"]})
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    answer = await desk.owner.client.request(method, PATH + path, json={"title": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "api_key_not_allowed")


@pytest.mark.parametrize(("method", "path"), [one for one in CALLS if str(NOWHERE) in one[1]])
@pytest.mark.parametrize("who", ["member", "viewer", "stranger", "operator"])
async def test_anothers_report_is_not_there(desk: Desk, method: str, path: str, who: str) -> None:
    report = await desk.report(desk.owner)
    body: dict[str, Any] = {"projectId": str(uuid4())} if path.endswith("convert") else {}
    for report_id in (report["id"], str(uuid4())):
        answer = await desk.people[who].client.request(
            method, PATH + path.replace(str(NOWHERE), report_id), json=None if method == "GET" else body
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "bug_report_not_found")


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("POST", "/duplicates")])
async def test_a_workspace_that_is_not_ones_own_is_not_there(desk: Desk, method: str, path: str) -> None:
    body = {"title": "It breaks", "workspaceId": desk.workspace_id}
    answer = await desk.stranger.client.request(method, PATH + path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "workspace_not_found")
    listed = await desk.stranger.client.get(PATH, params={"workspaceId": desk.workspace_id})
    assert (listed.status_code, listed.json()["code"]) == (404, "workspace_not_found")


@pytest.mark.parametrize(
    "fields",
    [
        {"title": ""},
        {"title": "   "},
        {"title": "x" * 201},
        {"title": "a\x00b"},
        {"title": "\ud800"},
        {"steps": "x" * 20_001},
        {"severity": "AWFUL"},
        {"pageUrl": "javascript:alert(1)"},
        {"pageUrl": "ftp://example.com"},
        {"pageUrl": "//example.com"},
        {"pageUrl": "https://"},
        {"pageUrl": "https://exa mple.com"},
        {"pageUrl": "https://[half"},
        {"pageUrl": "https://example.com/" + "x" * 2000},
        {"browserInfo": {"userAgent": "x" * 5000}},
        {"browserInfo": {"a\x00": 1}},
        {"browserInfo": ["Firefox"]},
        {"screenshot": "data:"},
    ],
)
async def test_a_bad_report_is_refused(desk: Desk, fields: dict[str, Any]) -> None:
    body = json.dumps({"title": "It breaks", **fields})
    answer = await desk.member.client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 or (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    report = await desk.report(desk.member)
    if "severity" not in fields:
        answer = await desk.member.client.patch(
            f"{PATH}/{report['id']}", content=json.dumps(fields), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 422), answer.text


async def test_a_report_says_what_was_sent(desk: Desk) -> None:
    sent: dict[str, Any] = {
        "title": "<script>alert(1)</script> =1+1 \u202e",
        "steps": "1. Open\n2. Press",
        "severity": "HIGH",
        "pageUrl": "https://app.example.com/tasks?x=1#y",
        "browserInfo": {"userAgent": "Firefox/130", "screen": [1920, 1080]},
    }
    made = await desk.report(desk.member, **sent)
    assert {name: made[name] for name in sent} == sent
    assert made["status"] == "OPEN"
    assert made["reporter"] == {"id": str(desk.member.id), "name": "Member", "avatar": None}
    assert (made["assignee"], made["taskId"], made["duplicateOfId"], made["note"]) == (None, None, None, "")
    assert made["allowedActions"] == ["edit"]
    read = await desk.member.client.get(f"{PATH}/{made['id']}")
    assert read.json()["bugReport"] == made
    assert read.headers["etag"] == '"1"'
    as_admin = (await desk.admin.client.get(f"{PATH}/{made['id']}")).json()["bugReport"]
    assert as_admin["allowedActions"] == ["edit", "triage", "convert"]


async def test_a_report_is_mended_until_it_is_settled(desk: Desk) -> None:
    report = await desk.report(desk.member, pageUrl="https://example.com")
    address = f"{PATH}/{report['id']}"
    answer = await desk.member.client.patch(
        address, json={"title": "It breaks twice", "pageUrl": None}, headers={"If-Match": '"1"'}
    )
    mended = answer.json()["bugReport"]
    assert (mended["title"], mended["pageUrl"], mended["version"]) == ("It breaks twice", None, 2)
    assert answer.headers["etag"] == '"2"'
    stale = await desk.member.client.patch(address, json={"title": "x"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    same = await desk.member.client.patch(address, json={"title": "It breaks twice"})
    assert same.json()["bugReport"]["version"] == 2
    await desk.triage(desk.admin, report, status="RESOLVED")
    settled = await desk.member.client.patch(address, json={"title": "x"})
    assert (settled.status_code, settled.json()["code"]) == (409, "bug_report_settled")


async def test_the_list_is_paged_and_filtered(desk: Desk) -> None:
    reports = [await desk.report(desk.member, f"Number {n}", severity="LOW") for n in range(4)]
    others = await desk.report(desk.owner, severity="CRITICAL")
    desk.made = [one["id"] for one in (*reports, others)]
    await desk.triage(desk.admin, reports[0], status="TRIAGED", assigneeId=str(desk.admin.id))
    assert await desk.seen(desk.admin) == set(desk.made)
    assert await desk.seen(desk.admin, severity="CRITICAL") == {others["id"]}
    assert await desk.seen(desk.admin, status=["TRIAGED", "RESOLVED"]) == {reports[0]["id"]}
    assert await desk.seen(desk.admin, assignedToMe="true") == {reports[0]["id"]}
    assert await desk.seen(desk.owner, own="true") == {others["id"]}
    assert await desk.seen(desk.owner, own="false") == {one["id"] for one in reports}
    assert await desk.seen(desk.owner, onTheProduct="true") == set()
    assert await desk.seen(desk.owner, workspaceId=desk.workspace_id, onTheProduct="false") == set(desk.made)
    walked: list[str] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        answer = await desk.owner.client.get(PATH, params={"limit": 2, **more})
        walked += [one["id"] for one in answer.json()["bugReports"]]
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            break
        other = await desk.owner.client.get(PATH, params={"limit": 2, "own": "true", "cursor": cursor})
        assert other.json()["code"] == "invalid_cursor"
    assert walked == list(reversed(desk.made))


async def test_reports_are_rationed(worker_database: str) -> None:
    settings = settings_for(worker_database, rate_limits=True)
    async with open_platform(settings, MovableClock()) as limited:
        app = create_app(settings, limited, connect=False)
        ann, bob = await register(app), await register(app)
        answers = [await ann.client.post(PATH, json={"title": f"Number {n}"}) for n in range(21)]
        assert [one.status_code for one in answers] == [201] * 20 + [429]
        assert answers[20].json()["code"] == "rate_limited"
        assert int(answers[20].headers["retry-after"]) > 0
        other = await bob.client.post(PATH, json={"title": "One"})
        assert other.status_code == 201, "it is each caller's own ration"
        for one in (ann, bob):
            await one.client.aclose()
