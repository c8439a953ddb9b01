"""Tasks over HTTP, and what hangs on them, for the tests of it."""

from typing import Any, Final
from uuid import uuid4

import httpx

from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.projects.sites import Site

Json = dict[str, Any]
NOWHERE: Final = str(uuid4())


async def a_task(by: Person, project: Json, **fields: Any) -> Json:
    body = {"projectId": project["id"], "title": "Write the release notes", **fields}
    answer = await by.client.post("/api/tasks", json=body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()["task"]
    return made


async def of_member(site: Site, **fields: Any) -> tuple[Person, Json, Json]:
    """A member with a task of theirs in an open project: (member, project, task)."""
    project = await site.project()
    member = await site.person(Role.MEMBER, name="Mo Member")
    return member, project, await a_task(member, project, **fields)


def path(task: Json, rest: str = "") -> str:
    return f"/api/tasks/{task['id']}{rest}"


async def send(who: Person, method: str, address: str, status: int, body: Any = None, **more: Any) -> Json:
    """One call that must be answered so."""
    answer = await who.client.request(method, address, json=body, **more)
    assert answer.status_code == status, f"{method} {address}: {answer.status_code} {answer.text}"
    found: Json = answer.json() if answer.content else {}
    return found


async def refused(who: Person, method: str, address: str, body: Any = None, **more: Any) -> tuple[int, str]:
    """The status and the code of a refusal."""
    return refusal(await who.client.request(method, address, json=body, **more))


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.status_code >= 400, answer.text
    return answer.status_code, answer.json()["code"]


async def comment(who: Person, task: Json, body: str, **fields: Any) -> Json:
    found: Json = (await send(who, "POST", path(task, "/comments"), 201, {"body": body, **fields}))["comment"]
    return found


async def comments_of(who: Person, task: Json, **query: Any) -> list[Json]:
    """All pages."""
    return await pages(who, path(task, "/comments"), "comments", **query)


async def pages(who: Person, address: str, name: str, **query: Any) -> list[Json]:
    rows: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await who.client.get(address, params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        rows += answer.json()[name]
        if answer.json()["nextCursor"] is None:
            return rows
        cursor = {"cursor": answer.json()["nextCursor"]}


async def told(who: Person) -> list[tuple[str, str]]:
    """(type, title) of what somebody was told of tasks, oldest first."""
    rows = await pages(who, "/api/notifications", "notifications", category="TASKS")
    return [(one["type"], one["title"]) for one in reversed(rows)]


async def activity_of(who: Person, task: Json) -> list[str]:
    return [one["action"] for one in await pages(who, path(task, "/activity"), "activity")]


async def archive(site: Site, project: Json) -> None:
    await send(site.owner, "POST", f"/api/projects/{project['id']}/archive", 200, {})


async def check_gates(
    site: Site, method: str, address: str, body: Any = None, *, viewer: int = 403, anonymous: httpx.AsyncClient
) -> None:
    """401 without a token, 404 for another tenant and for an id of nobody, 403 for who may only read."""
    answer = await anonymous.request(method, address, json=body)
    assert answer.status_code == 401, answer.text
    stranger = await site.new_person()
    assert (await stranger.client.request(method, address, json=body)).status_code == 404
    parts = address.split("/")
    parts[3] = NOWHERE
    assert (await site.owner.client.request(method, "/".join(parts), json=body)).status_code == 404
    parts[3] = "WEB-nonsense"
    assert (await site.owner.client.request(method, "/".join(parts), json=body)).status_code == 404
    reader = await site.person(Role.VIEWER)
    answer = await reader.client.request(method, address, json=body)
    assert answer.status_code == viewer, answer.text
