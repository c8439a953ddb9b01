"""People who talk: places, projects and messages for tests, over HTTP wherever there is a route."""

from typing import Any
from uuid import UUID, uuid4

import httpx

from pm_api.core.platform import Platform
from pm_api.domains.projects.models import Project
from pm_api.identity.permissions import Role
from pm_api.identity.repository import circles
from tests.conftest import NewPerson, Person
from tests.domains.team.inviting import a_team
from tests.identity.teams import join

Json = dict[str, Any]
NOWHERE = UUID(int=1)


async def a_place(platform: Platform, owner: Person, *others: Person, role: Role = Role.MEMBER) -> str:
    """A workspace of the first, with the others in this role."""
    workspace_id = await a_team(platform, owner)
    for one in others:
        await join(platform, workspace_id, one, role)
    return workspace_id


async def some_people(new_person: NewPerson, *names: str) -> list[Person]:
    return [await new_person(name=name) for name in names]


async def a_project(
    platform: Platform,
    workspace_id: str,
    creator: Person,
    *members: Person,
    is_open: bool = False,
    role: str = "MEMBER",
) -> Project:
    """A project with the creator as its admin and these people in it."""
    now, scope_id = platform.clock.now(), uuid4()
    project = Project(
        id=uuid4(),
        workspace_id=UUID(workspace_id),
        scope_id=scope_id,
        key=f"P{uuid4().hex[:6].upper()}",
        name="Launch",
        description="",
        status="ACTIVE",
        colour="#336699",
        icon="",
        created_by_user_id=creator.id,
        created_at=now,
        updated_at=now,
    )
    async with platform.database.transaction() as session:
        await circles.insert_circle(session, scope_id, UUID(workspace_id), is_open=is_open)
        await circles.put_companion(session, scope_id, creator.id, "ADMIN", now)
        for one in members:
            await circles.put_companion(session, scope_id, one.id, role, now)
        session.add(project)
    return project


async def create(person: Person, workspace_id: str, kind: str = "GROUP", **fields: Any) -> Json:
    body = {"workspaceId": workspace_id, "kind": kind, "name": "Launch", **fields}
    answer = await person.client.post("/api/conversations", json=body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()["conversation"]
    assert answer.headers["location"] == f"/api/conversations/{made['id']}"
    return made


async def a_group(person: Person, workspace_id: str, *others: Person, name: str = "Launch") -> Json:
    return await create(person, workspace_id, name=name, memberIds=[str(one.id) for one in others])


async def direct(person: Person, workspace_id: str, other: Person) -> Json:
    answer = await ask_direct(person, workspace_id, other.id)
    assert answer.status_code in (200, 201), answer.text
    found: Json = answer.json()["conversation"]
    return found


async def ask_direct(person: Person, workspace_id: str, other_id: UUID) -> httpx.Response:
    body = {"workspaceId": workspace_id, "userId": str(other_id)}
    return await person.client.post("/api/conversations/direct", json=body)


async def try_to_say(person: Person, conversation: Json, text: str = "Ready?", **fields: Any) -> httpx.Response:
    body = {"conversationId": conversation["id"], "body": text, **fields}
    return await person.client.post("/api/messages", json=body)


async def say(person: Person, conversation: Json, text: str = "Ready?", **fields: Any) -> Json:
    answer = await try_to_say(person, conversation, text, **fields)
    assert answer.status_code == 201, answer.text
    said: Json = answer.json()["message"]
    assert answer.headers["location"] == f"/api/messages/{said['id']}"
    assert answer.headers["etag"] == f'"{said["version"]}"'
    return said


async def listed(person: Person, conversation: Json, **query: Any) -> Json:
    params = {"conversationId": conversation["id"], **query}
    answer = await person.client.get("/api/messages", params=params)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def bodies(person: Person, conversation: Json, **query: Any) -> list[str]:
    return [one["body"] for one in (await listed(person, conversation, **query))["messages"]]


async def got(person: Person, conversation: Json) -> Json:
    answer = await person.client.get(f"/api/conversations/{conversation['id']}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["conversation"]
    return found


async def read(person: Person, conversation: Json, message: Json) -> Json:
    path = f"/api/conversations/{conversation['id']}/read"
    answer = await person.client.post(path, json={"upToMessageId": message["id"]})
    assert answer.status_code == 200, answer.text
    state: Json = answer.json()["readState"]
    return state


async def unread(person: Person, workspace_id: str) -> Json:
    answer = await person.client.get("/api/conversations/unread", params={"workspaceId": workspace_id})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def conversations_of(person: Person, workspace_id: str, **query: Any) -> list[Json]:
    answer = await person.client.get("/api/conversations", params={"workspaceId": workspace_id, **query})
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["conversations"]
    return found


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def message_path(message: Json, step: str = "") -> str:
    return f"/api/messages/{message['id']}{step}"


def path_of(conversation: Json, step: str = "") -> str:
    return f"/api/conversations/{conversation['id']}{step}"
