"""Time worked: who, on what, on which day, and the sums as far as somebody sees."""

from datetime import timedelta
from typing import Any, Final

import httpx

from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.tasks.sites import Site
from tests.domains.tasks.talking import Json, a_task, activity_of, check_gates, of_member, pages, path, refused, send
from tests.support.clock import MovableClock


async def log(who: Person, task: Json, minutes: int, worked_on: str = "2026-03-02", note: str = "") -> Json:
    body = {"workedOn": worked_on, "minutes": minutes, "note": note}
    made: Json = (await send(who, "POST", path(task, "/time-entries"), 201, body))["timeEntry"]
    return made


async def report(who: Person, site: Site, **query: Any) -> Json:
    wanted = {"workspaceId": site.id, "from": "2026-03-01", "to": "2026-03-31", **query}
    return await send(who, "GET", "/api/time-entries", 200, params=wanted)


async def test_time_is_entered_corrected_and_taken_away(site: Site) -> None:
    member, _, task = await of_member(site)
    body = {"workedOn": "2026-03-02", "minutes": 90, "note": "Looked for the leak"}
    answer = await member.client.post(path(task, "/time-entries"), json=body)
    made = answer.json()["timeEntry"]
    address = path(task, f"/time-entries/{made['id']}")
    assert (answer.status_code, answer.headers["Location"]) == (201, address)
    known = {"If-None-Match": answer.headers["ETag"]}
    assert (await member.client.get(address, headers=known)).status_code == 304
    await send(member, "PUT", "/api/user/profile", 200, {"name": "Mo Other"})
    assert (await send(member, "GET", address, 200, headers=known))["timeEntry"]["user"]["name"] == "Mo Other"
    await send(member, "PUT", "/api/user/profile", 200, {"name": "Mo Member"})
    assert made["user"] == {"id": str(member.id), "name": "Mo Member", "avatar": None}
    assert (made["workedOn"], made["minutes"], made["note"]) == ("2026-03-02", 90, "Looked for the leak")
    assert (await send(member, "GET", address, 200))["timeEntry"] == made
    changed = (await send(member, "PATCH", address, 200, {"minutes": 60, "note": None}))["timeEntry"]
    assert (changed["workedOn"], changed["minutes"], changed["note"], changed["version"]) == ("2026-03-02", 60, "", 2)
    assert (await send(member, "PATCH", address, 200, {"minutes": 60}))["timeEntry"]["version"] == 2
    stale = {"headers": {"If-Match": '"1"'}}
    assert await refused(member, "PATCH", address, {"minutes": 5}, **stale) == (412, "precondition_failed")
    assert (await send(member, "GET", path(task), 200))["task"]["counts"]["minutesLogged"] == 60
    await send(member, "DELETE", address, 204)
    for method, sent in (("GET", None), ("PATCH", {"minutes": 1}), ("DELETE", None)):
        assert await refused(member, method, address, sent) == (404, "time_entry_not_found")
    assert (await activity_of(member, task))[1:] == ["time_entry_created", "time_entry_updated", "time_entry_deleted"]


async def test_a_task_tells_its_sums_on_every_page(site: Site) -> None:
    member, _, task = await of_member(site)
    for minutes in (10, 20, 30):
        await log(member, task, minutes)
    await log(site.owner, task, 100)
    address = path(task, "/time-entries")
    rows = await pages(member, address, "timeEntries", limit=3)
    assert [one["minutes"] for one in rows] == [10, 20, 30, 100]
    first = await send(member, "GET", address, 200, params={"limit": 1})
    assert first["totalMinutes"] == 160
    assert [(one["user"]["name"], one["minutes"]) for one in first["people"]] == [
        ("Olga Owner", 100),
        ("Mo Member", 60),
    ]


async def test_who_may(site: Site, client: httpx.AsyncClient) -> None:
    member, project, task = await of_member(site)
    made = await log(member, task, 30)
    address = path(task, f"/time-entries/{made['id']}")
    body = {"workedOn": "2026-03-02", "minutes": 5}
    for method, where, sent, viewer in (
        ("POST", path(task, "/time-entries"), body, 403),
        ("GET", path(task, "/time-entries"), None, 200),
        ("GET", address, None, 200),
        ("PATCH", address, {"minutes": 5}, 403),
        ("DELETE", address, None, 403),
    ):
        await check_gates(site, method, where, sent, viewer=viewer, anonymous=client)
    other = await site.person(Role.MEMBER)
    await log(other, task, 5)
    assert await refused(other, "PATCH", address, {"minutes": 5}) == (403, "forbidden")
    assert await refused(other, "DELETE", address) == (403, "forbidden")
    await send(site.owner, "PATCH", address, 200, {"minutes": 31})
    await site.archive(project)
    assert await refused(member, "POST", path(task, "/time-entries"), body) == (409, "project_archived")
    assert await refused(member, "DELETE", address) == (409, "project_archived")


BAD: Final[list[Json]] = [
    {"minutes": 30},
    {"workedOn": "2026-03-02"},
    {"workedOn": "2026-03-02", "minutes": 0},
    {"workedOn": "2026-03-02", "minutes": 1441},
    {"workedOn": "2026-03-02", "minutes": 1.5},
    {"workedOn": "2026-03-02", "minutes": "30"},
    {"workedOn": "2026-03-02T10:00:00Z", "minutes": 30},
    {"workedOn": "2026-02-30", "minutes": 30},
    {"workedOn": 1772409600, "minutes": 30},
    {"workedOn": "2026-03-02", "minutes": 30, "note": "a\x00b"},
    {"workedOn": "2026-03-02", "minutes": 30, "note": "x" * 2001},
    {"workedOn": "2026-03-02", "minutes": 30, "userId": "somebody else"},
]


async def test_bad_bodies(site: Site) -> None:
    member, _, task = await of_member(site)
    for body in BAD:
        assert await refused(member, "POST", path(task, "/time-entries"), body) == (422, "validation_failed"), body


async def test_work_is_not_entered_for_a_day_that_has_begun_nowhere(site: Site, clock: MovableClock) -> None:
    member, _, task = await of_member(site)
    today = clock.now().date()
    made = await log(member, task, 5, str(today + timedelta(days=1)))
    address = path(task, "/time-entries")
    for day in (str(today + timedelta(days=2)), "1999-12-31"):
        assert await refused(member, "POST", address, {"workedOn": day, "minutes": 5}) == (422, "invalid_work_date")
        assert await refused(member, "PATCH", f"{address}/{made['id']}", {"workedOn": day}) == (
            422,
            "invalid_work_date",
        )


# --- over the workspace ----------------------------------------------------------------------------------------


async def test_the_report_sums_by_person_and_day(site: Site) -> None:
    member, project, task = await of_member(site)
    other_project = await site.project(name="Other")
    elsewhere = await a_task(site.owner, other_project)
    for who, on, minutes, day in (
        (member, task, 30, "2026-03-03"),
        (member, task, 15, "2026-03-02"),
        (member, elsewhere, 20, "2026-03-03"),
        (site.owner, task, 60, "2026-03-03"),
        (member, task, 7, "2026-02-28"),
    ):
        await log(who, on, minutes, day)
    found = await report(site.owner, site)
    assert [(one["workedOn"], one["minutes"]) for one in found["timeEntries"]] == [
        ("2026-03-02", 15),
        ("2026-03-03", 30),
        ("2026-03-03", 20),
        ("2026-03-03", 60),
    ]
    assert (found["from"], found["to"], found["totalMinutes"]) == ("2026-03-01", "2026-03-31", 125)
    sums = {(one["user"]["name"], one["workedOn"]): one["minutes"] for one in found["totals"]}
    assert sums == {
        ("Mo Member", "2026-03-02"): 15,
        ("Mo Member", "2026-03-03"): 50,
        ("Olga Owner", "2026-03-03"): 60,
    }
    assert (await report(site.owner, site, projectId=project["id"]))["totalMinutes"] == 105
    assert (await report(site.owner, site, userId=str(member.id)))["totalMinutes"] == 65
    assert (await report(site.owner, site, **{"from": "2026-02-01"}))["totalMinutes"] == 132
    first = await report(site.owner, site, limit=3)
    later = await report(site.owner, site, limit=3, cursor=first["nextCursor"])
    assert (len(first["timeEntries"]), len(later["timeEntries"])) == (3, 1)
    assert (later["totals"], later["totalMinutes"], later["nextCursor"]) == (None, None, None)


async def test_the_report_is_of_what_somebody_sees(site: Site) -> None:
    """A private project, a deleted task, a deleted project: neither rows nor sums."""
    member, _, task = await of_member(site)
    private = await site.project(isPrivate=True, name="Private")
    gone = await site.project(name="Gone")
    hidden, doomed = await a_task(site.owner, private), await a_task(site.owner, gone)
    deleted = await a_task(member, await site.project(name="Third"))
    for on, minutes in ((task, 1), (hidden, 10), (doomed, 100), (deleted, 1000)):
        await log(site.owner, on, minutes)
    assert (await report(site.owner, site))["totalMinutes"] == 1111
    assert (await report(member, site))["totalMinutes"] == 1101
    assert await refused(
        member, "GET", "/api/time-entries", params={"workspaceId": site.id, "projectId": private["id"]}
    ) == (404, "not_found")
    guest = await site.person(Role.GUEST)
    assert (await report(guest, site))["totalMinutes"] == 0
    await site.put(private, guest, "VIEWER")
    found = await report(guest, site)
    assert (found["totalMinutes"], len(found["timeEntries"])) == (10, 1)
    await site.delete_project(gone)
    answer = await member.client.delete(path(deleted))
    assert answer.status_code in (200, 204)
    assert (await report(site.owner, site))["totalMinutes"] == 11
    assert (await report(member, site))["totalMinutes"] == 1


async def test_the_gates_of_the_report(site: Site, client: httpx.AsyncClient) -> None:
    where = {"workspaceId": site.id}
    assert (await client.get("/api/time-entries", params=where)).status_code == 401
    stranger = await site.new_person()
    assert await refused(stranger, "GET", "/api/time-entries", params=where) == (404, "workspace_not_found")
    assert await refused(site.owner, "GET", "/api/time-entries") == (422, "validation_failed")
    for days in (
        {"from": "2026-03-02", "to": "2026-03-01"},
        {"from": "2026-01-01", "to": "2026-04-03"},
    ):
        assert await refused(site.owner, "GET", "/api/time-entries", params=where | days) == (422, "invalid_period")
    assert await refused(site.owner, "GET", "/api/time-entries", params=where | {"from": "soon"}) == (
        422,
        "validation_failed",
    )
    found = await send(site.owner, "GET", "/api/time-entries", 200, params=where | {"from": "2026-01-01"})
    assert found["to"] == "2026-01-31"
    assert (await send(site.owner, "GET", "/api/time-entries", 200, params=where))["timeEntries"] == []
