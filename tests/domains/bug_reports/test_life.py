"""What becomes of a report: who sees it, which step follows which, its task, and who is told."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pm_api.domains.bug_reports import rules
from pm_api.domains.bug_reports.enums import ReportStatus
from tests.conftest import Person
from tests.domains.bug_reports.desk import PATH, Desk
from tests.domains.search.shelf import found
from tests.domains.storage.boxes import upload, uploaded
from tests.domains.storage.painting import encoded, painted
from tests.domains.tasks.sites import refusal
from tests.identity.teams import member_of


async def told(person: Person, report: dict[str, Any]) -> list[str]:
    answer = await person.client.get("/api/notifications", params={"limit": 200})
    return [one["type"] for one in answer.json()["notifications"] if one["data"].get("bugReportId") == report["id"]]


async def changes_seen(person: Person, report: dict[str, Any], **parameters: Any) -> list[str]:
    answer = await person.client.get("/api/changes", params={"limit": 200, **parameters})
    assert answer.status_code == 200, answer.text
    return [one["action"] for one in answer.json()["changes"] if str(report["id"]) in str(one)]


# --- sight -----------------------------------------------------------------------------------------------------


async def test_what_each_may_see_is_the_same_everywhere(desk: Desk) -> None:
    """In the list, the row, the hints of duplicates, search, the feeds and notifications."""
    word = f"w{uuid4().hex[:10]}"
    inside = await desk.report(desk.member, f"{word} inside")
    general = await desk.report(desk.member, f"{word} general", workspaceId=None)
    desk.made = [inside["id"], general["id"]]
    sights = {
        "member": {inside["id"], general["id"]},
        "owner": {inside["id"]},
        "admin": {inside["id"]},
        "viewer": set(),
        "stranger": set(),
        "operator": {general["id"]},
    }
    for name, sight in sights.items():
        person = desk.people[name]
        assert await desk.seen(person) == sight, name
        rows = {one for one in desk.made if (await person.client.get(f"{PATH}/{one}")).status_code == 200}
        assert rows == sight, name
        hints = set()
        for place in (desk.workspace_id, None):
            answer = await person.client.post(
                f"{PATH}/duplicates", json={"title": f"{word} inside general", "workspaceId": place}
            )
            hints |= {one["id"] for one in answer.json().get("possibleDuplicates", [])}
        assert hints == sight, name
        assert {str(one) for one in await found(person, word)} == sight & {inside["id"]}, name
        for report in (inside, general):
            expected = ["created"] if report["id"] in sight else []
            assert await changes_seen(person, report) == expected, name
            heard = await told(person, report)
            assert heard == (["bug_report.created"] if expected and name != "member" else []), name
    for name in ("owner", "member", "viewer"):
        assert await changes_seen(desk.people[name], inside, workspaceId=desk.workspace_id) == []


async def test_who_left_the_workspace_sees_no_report_of_it(desk: Desk) -> None:
    report = await desk.report(desk.member)
    general = await desk.report(desk.member, workspaceId=None)
    desk.made = [report["id"], general["id"]]
    place = await member_of(desk.owner, desk.workspace_id, desk.member)
    left = await desk.member.client.delete(f"/api/team/members/{place['id']}")
    assert left.status_code in (200, 204), left.text
    assert await desk.seen(desk.member) == {general["id"]}
    assert (await desk.member.client.get(f"{PATH}/{report['id']}")).status_code == 404
    assert await found(desk.member, "breaks") == []
    seen = await changes_seen(desk.member, report)
    await desk.triage(desk.owner, report, severity="LOW")
    assert await changes_seen(desk.member, report) == seen, "what becomes of it now is told to those who see it"
    await desk.triage(desk.operator, general, severity="LOW")
    assert (await changes_seen(desk.member, general))[-1] == "triaged"


# --- duplicates ------------------------------------------------------------------------------------------------


async def test_alike_reports_are_hinted_at(desk: Desk) -> None:
    close = await desk.report(desk.owner, "Export stops at row 200")
    closer = await desk.report(desk.owner, "The export stops at row 200 always")
    await desk.report(desk.owner, "Colours are wrong")
    settled = await desk.report(desk.owner, "Export stops at row 201")
    await desk.triage(desk.owner, settled, status="CLOSED")
    answer = await desk.owner.client.post(
        PATH, json={"title": "the EXPORT stops at row 200", "workspaceId": desk.workspace_id}
    )
    assert [one["id"] for one in answer.json()["possibleDuplicates"]] == [closer["id"], close["id"]]
    for n in range(6):
        await desk.report(desk.owner, f"Export stops at row 200 {n}")
    answer = await desk.owner.client.post(
        f"{PATH}/duplicates", json={"title": "Export stops at row 200", "workspaceId": desk.workspace_id}
    )
    assert len(answer.json()["possibleDuplicates"]) == 5


async def test_of_two_that_become_each_others_duplicates_one_does(desk: Desk) -> None:
    one, other = await desk.report(desk.member, "One"), await desk.report(desk.member, "Other")

    async def duplicate(report: dict[str, Any], original: dict[str, Any]) -> int:
        body = {"status": "DUPLICATE", "duplicateOfId": original["id"]}
        answer = await desk.admin.client.post(f"{PATH}/{report['id']}/triage", json=body)
        return answer.status_code

    outcomes = await asyncio.gather(duplicate(one, other), duplicate(other, one))
    assert sorted(outcomes) == [200, 422]


async def test_a_duplicate_is_one_of_an_original_here(desk: Desk) -> None:
    report, original = await desk.report(desk.member), await desk.report(desk.member)
    elsewhere = await desk.report(desk.member, workspaceId=None)
    for wrong in (report["id"], elsewhere["id"], str(uuid4()), None):
        refused = await desk.triage(desk.admin, report, 422, status="DUPLICATE", duplicateOfId=wrong)
        assert refused["code"] == "invalid_duplicate"
    refused = await desk.triage(desk.admin, report, 422, duplicateOfId=original["id"])
    assert refused["code"] == "invalid_duplicate"
    done = await desk.triage(desk.admin, report, status="DUPLICATE", duplicateOfId=original["id"])
    assert (done["status"], done["duplicateOfId"]) == ("DUPLICATE", original["id"])
    third = await desk.report(desk.member)
    for one, other in ((third, report), (original, third)):
        body = {"status": "DUPLICATE", "duplicateOfId": other["id"]}
        assert (await desk.triage(desk.admin, one, 422, **body))["code"] == "invalid_duplicate"
    again = await desk.triage(desk.admin, report, status="OPEN")
    assert again["duplicateOfId"] is None


# --- triage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", list(ReportStatus))
async def test_steps_follow_each_other(desk: Desk, before: ReportStatus) -> None:
    original = await desk.report(desk.member)
    for after in ReportStatus:
        report = await desk.report(desk.member)
        extra = {"duplicateOfId": original["id"]}
        if before is not ReportStatus.OPEN:
            fields = {"status": before, **(extra if before is ReportStatus.DUPLICATE else {})}
            await desk.triage(desk.owner, report, **fields)
        allowed = after == before or after in rules.TRANSITIONS[before]
        fields = {"status": after, **(extra if after is ReportStatus.DUPLICATE else {})}
        answer = await desk.triage(desk.admin, report, 200 if allowed else 409, **fields)
        assert answer.get("status" if allowed else "code") == (after if allowed else "invalid_transition")


async def test_triage_is_for_those_in_charge(desk: Desk) -> None:
    inside = await desk.report(desk.member)
    general = await desk.report(desk.member, workspaceId=None)
    for report in (inside, general):
        assert (await desk.triage(desk.member, report, 403, status="TRIAGED"))["code"] == "forbidden"
    assert (await desk.triage(desk.owner, general, 404, status="TRIAGED"))["code"] == "bug_report_not_found"
    assert (await desk.triage(desk.operator, general, status="TRIAGED"))["status"] == "TRIAGED"
    for wrong in (desk.member, desk.viewer, desk.stranger, desk.operator):
        refused = await desk.triage(desk.owner, inside, 422, assigneeId=str(wrong.id))
        assert refused["code"] == "invalid_assignee"
    assert (await desk.triage(desk.operator, general, 422, assigneeId=str(desk.owner.id)))[
        "code"
    ] == "invalid_assignee"
    done = await desk.triage(
        desk.owner, inside, assigneeId=str(desk.admin.id), severity="CRITICAL", note="We look at it."
    )
    assert done["assignee"] == {"id": str(desk.admin.id), "name": "Admin", "avatar": None}
    assert (done["severity"], done["note"], done["version"]) == ("CRITICAL", "We look at it.", 2)
    for body in ({"status": None}, {"status": "GONE"}, {"note": None}, {"note": "x" * 5001}, {"title": "x"}):
        answer = await desk.owner.client.post(f"{PATH}/{inside['id']}/triage", json=body)
        assert answer.status_code == 422, body
    stale = await desk.owner.client.post(
        f"{PATH}/{inside['id']}/triage", json={"note": "x"}, headers={"If-Match": '"1"'}
    )
    assert stale.status_code == 412
    assert (await desk.triage(desk.owner, inside, assigneeId=None))["assignee"] is None


async def test_the_reporter_hears_what_others_do(desk: Desk) -> None:
    report = await desk.report(desk.member)
    await desk.triage(desk.owner, report, status="TRIAGED", assigneeId=str(desk.admin.id))
    await desk.triage(desk.owner, report, status="TRIAGED")  # nothing changes
    assert await told(desk.member, report) == ["bug_report.changed"]
    assert await told(desk.admin, report) == ["bug_report.changed", "bug_report.created"]
    own = await desk.report(desk.owner)
    await desk.triage(desk.owner, own, status="RESOLVED")
    assert await told(desk.owner, own) == []
    assert await changes_seen(desk.member, report) == ["created", "triaged"]
    for person, heard in ((desk.member, 1), (desk.admin, 2), (desk.admin, 2)):
        mended = {"title": "It breaks again", "steps": f"By {person.id}"}
        answer = await person.client.patch(f"{PATH}/{report['id']}", json=mended)
        assert answer.status_code == 200, answer.text
        assert len(await told(desk.member, report)) == heard, "told of what others mend, once"
    [last, *_] = (await desk.member.client.get("/api/notifications")).json()["notifications"]
    assert last["body"] == "What it says was mended."


# --- into a task -----------------------------------------------------------------------------------------------


async def project_of(person: Person, workspace_id: str, **fields: Any) -> str:
    body = {"workspaceId": workspace_id, "name": "Web", "key": f"K{uuid4().hex[:6].upper()}", **fields}
    answer = await person.client.post("/api/projects", json=body)
    assert answer.status_code == 201, answer.text
    project_id: str = answer.json()["project"]["id"]
    return project_id


async def convert(person: Person, report: dict[str, Any], project_id: str) -> Any:
    return await person.client.post(f"{PATH}/{report['id']}/convert", json={"projectId": project_id})


async def test_a_report_becomes_one_task_however_many_ask(desk: Desk) -> None:
    report = await desk.report(desk.member, "Export stops", steps="Press Export", severity="CRITICAL")
    projects = [await project_of(desk.owner, desk.workspace_id) for _ in range(2)]
    answers = await asyncio.gather(*(convert(desk.owner, report, projects[n % 2]) for n in range(6)))
    assert {one.status_code for one in answers} == {200}, [one.text for one in answers]
    [task_id] = {one.json()["taskId"] for one in answers}
    async with desk.platform.database.reading() as session:
        rows = await session.execute(
            text("SELECT id, title, description, priority FROM tasks WHERE workspace_id = :id"),
            {"id": desk.workspace_id},
        )
        [(made, title, description, priority)] = rows.all()
    assert (str(made), title, description, priority) == (task_id, "Export stops", "Press Export", 4)
    read = (await desk.member.client.get(f"{PATH}/{report['id']}")).json()["bugReport"]
    assert (read["taskId"], read["status"]) == (task_id, "TRIAGED")
    assert await told(desk.member, report) == ["bug_report.changed"]


async def test_a_task_is_made_where_it_may_be(desk: Desk) -> None:
    report = await desk.report(desk.member)
    here = await project_of(desk.owner, desk.workspace_id)
    [elsewhere] = [one["id"] for one in (await desk.stranger.client.get("/api/workspaces")).json()["workspaces"]]
    foreign = await project_of(desk.stranger, elsewhere)
    for wrong in (foreign, str(uuid4())):
        assert (await convert(desk.owner, report, wrong)).status_code == 404
    assert (await convert(desk.member, report, here)).status_code == 403
    assert (await convert(desk.owner, report, "none")).status_code == 422
    private = await project_of(desk.owner, desk.workspace_id, isPrivate=True)
    assert (await convert(desk.admin, report, private)).status_code == 404
    assert (await convert(desk.admin, report, here)).status_code == 200


async def test_the_task_is_named_to_who_sees_it_alone(desk: Desk) -> None:
    report = await desk.report(desk.member)
    private = await project_of(desk.owner, desk.workspace_id, isPrivate=True)
    task_id = (await convert(desk.owner, report, private)).json()["taskId"]
    for person, told in ((desk.owner, task_id), (desk.admin, None), (desk.member, None)):
        read = (await person.client.get(f"{PATH}/{report['id']}")).json()["bugReport"]
        assert read["taskId"] == told


# --- the screenshot --------------------------------------------------------------------------------------------


async def test_who_sees_a_report_sees_its_screenshot_and_nobody_else(desk: Desk) -> None:
    picture, other = (encoded(painted(), kind) for kind in ("PNG", "GIF"))
    file = await uploaded(desk.viewer, picture, "it.png")
    for place, seeing in ((desk.workspace_id, {"owner", "admin", "viewer"}), (None, {"operator", "viewer"})):
        report = await desk.report(desk.viewer, workspaceId=place, screenshotId=file["id"])
        address = f"{PATH}/{report['id']}/screenshot"
        shown = report["screenshot"]
        assert (shown["contentUrl"], shown["mimeType"], shown["fileSize"]) == (address, "image/png", len(picture))
        for name, person in desk.people.items():
            answer = await person.client.get(address)
            assert answer.status_code == (200 if name in seeing else 404), name
            assert (answer.content == picture) is (name in seeing)
            assert (await person.client.get(f"/api/storage/files/{file['id']}")).status_code == (
                200 if name == "viewer" else 404
            )
        file = await uploaded(desk.viewer, picture, "it.png")
    # Another takes its place; the first is in the trash of who sent it, and taken out it shows nothing.
    path = f"{PATH}/{report['id']}"
    changed = await desk.viewer.client.patch(path, json={"screenshotId": (await uploaded(desk.viewer, other))["id"]})
    assert changed.json()["bugReport"]["screenshot"]["mimeType"] == "image/gif"
    mine = (await uploaded(desk.operator, picture))["id"]
    assert refusal(await desk.operator.client.patch(path, json={"screenshotId": mine})) == (403, "not_the_uploader")
    trash = (await desk.viewer.client.get("/api/storage/files", params={"trashed": "true"})).json()["files"]
    assert shown["id"] in [one["id"] for one in trash]
    back = await desk.viewer.client.post(f"/api/storage/files/{shown['id']}/restore")
    file = back.json()["file"]
    assert (file["fileType"], file["isTemporary"], file["expiresAt"] is None) == ("TEMPORARY_UPLOAD", True, False)
    second = await desk.report(desk.viewer, workspaceId=place, screenshotId=shown["id"])
    assert second["screenshot"]["mimeType"] == "image/png", "it belongs to no report any more, so it may to another"
    cleared = await desk.viewer.client.patch(path, json={"screenshotId": None})
    assert cleared.json()["bugReport"]["screenshot"] is None
    assert refusal(await desk.viewer.client.get(f"{path}/screenshot")) == (404, "file_not_found")


async def test_reports_of_one_list_may_have_one_screenshot(desk: Desk) -> None:
    """None come to be so, but nothing in the rows forbids it: each shows it at its own address."""
    file_id = (await uploaded(desk.viewer, encoded(painted())))["id"]
    first, second = await desk.report(desk.viewer, screenshotId=file_id), await desk.report(desk.viewer)
    async with desk.platform.database.transaction() as session:
        same = {"file": UUID(file_id), "id": UUID(second["id"])}
        await session.execute(text("UPDATE bug_reports SET screenshot_id = :file WHERE id = :id"), same)
    answer = await desk.owner.client.get(PATH, params={"workspaceId": desk.workspace_id})
    found = {one["id"]: one["screenshot"] for one in answer.json()["bugReports"]}
    for report in (first, second):
        address = found[report["id"]]["contentUrl"]
        assert address == f"{PATH}/{report['id']}/screenshot"
        assert (await desk.owner.client.get(address)).status_code == 200


async def test_what_is_no_screenshot_of_ones_own_is_refused(desk: Desk) -> None:
    text_file = (await uploaded(desk.member, b"no picture"))["id"]
    theirs = (await uploaded(desk.owner, encoded(painted())))["id"]
    shown = (await uploaded(desk.member, encoded(painted())))["id"]
    await desk.report(desk.member, screenshotId=shown)
    for file_id, refused in (
        (text_file, (422, "invalid_screenshot")),
        (theirs, (404, "file_not_found")),
        (shown, (409, "file_has_place")),
    ):
        body = {"title": "It breaks", "screenshotId": file_id}
        assert refusal(await desk.member.client.post(PATH, json=body)) == refused
    still = await desk.member.client.get(f"/api/storage/files/{text_file}")
    assert still.json()["file"]["fileType"] == "TEMPORARY_UPLOAD"


async def test_what_is_no_picture_any_more_is_not_shown(desk: Desk) -> None:
    """Whoever sent it may put another version in its place, as of any file of theirs."""
    file_id = (await uploaded(desk.viewer, encoded(painted())))["id"]
    report = await desk.report(desk.viewer, workspaceId=desk.workspace_id, screenshotId=file_id)
    path = f"{PATH}/{report['id']}"
    for content, is_shown in ((b"no picture", False), (encoded(painted(), "GIF"), True)):
        assert (await upload(desk.viewer, content, fileId=file_id)).status_code == 201
        for person in (desk.viewer, desk.owner):
            assert ((await person.client.get(path)).json()["bugReport"]["screenshot"] is not None) is is_shown
            answer = await person.client.get(f"{path}/screenshot")
            assert (answer.status_code, answer.content == content) == ((200, True) if is_shown else (404, False))
