"""GET /api/search: who may, what fits, in which order, and how it is shown."""

from uuid import UUID, uuid4

import httpx
import pytest

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.search import service
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.search.shelf import Shelf, ask, found, search, walk
from tests.identity.teams import join, make_workspace

# --- who may ---------------------------------------------------------------------------------------------------


async def test_without_a_token_nobody_comes_in(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/search", params={"q": "plan"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_a_workspace_that_is_not_ones_own_is_not_there(shelf: Shelf, new_person: NewPerson) -> None:
    await shelf.put("Launch plan")
    stranger = await new_person()
    answer = await ask(stranger, "launch", workspaceId=str(shelf.workspace_id))
    assert (answer.status_code, answer.json()["code"]) == (404, "workspace_not_found")
    assert await found(stranger, "launch") == []


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"q": ""},
        {"q": "x" * 201},
        {"q": "ab\x00c"},
        {"q": "plan", "kinds": "sermon"},
        {"q": "plan", "projectId": "none"},
        {"q": "plan", "workspaceId": "none"},
        {"q": "plan", "limit": "0"},
    ],
)
async def test_a_bad_question_is_refused(owner: Person, parameters: dict[str, str]) -> None:
    answer = await owner.client.get("/api/search", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_a_cursor_is_good_for_its_own_question_alone(shelf: Shelf, owner: Person) -> None:
    for _ in range(2):
        await shelf.put("Launch plan")
    cursor = (await ask(owner, "launch", limit=1)).json()["nextCursor"]
    for q, cursor_sent in (("plan", cursor), ("launch", cursor[:-2] + "xx")):
        answer = await ask(owner, q, limit=1, cursor=cursor_sent)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_a_key_finds_what_it_may_read(shelf: Shelf, owner: Person) -> None:
    task = await shelf.put("Launch plan")
    message = await shelf.put("", "Launch when?", kind="message", parent_id=uuid4())

    async def with_key(*scopes: str) -> httpx.Response:
        body = {"name": "Robot", "scopes": scopes, "workspaceId": str(shelf.workspace_id)}
        made = await owner.client.post("/api/api-keys", json=body)
        assert made.status_code == 201, made.text
        headers = {"Authorization": f"Bearer {made.json()['token']}"}
        parameters = {"q": "launch", "workspaceId": str(shelf.workspace_id)}
        answer = await owner.client.get("/api/search", params=parameters, headers=headers)
        await owner.client.delete(f"/api/api-keys/{made.json()['apiKey']['id']}")  # the plan holds two
        return answer

    refused = await with_key("task:read")
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    answer = await with_key("search:read", "task:read")
    assert [one["id"] for one in answer.json()["results"]] == [str(task)]
    answer = await with_key("search:read", "message:read", "project:read")
    assert [one["id"] for one in answer.json()["results"]] == [str(message)]
    assert (await with_key("search:read")).json() == {"results": [], "nextCursor": None}


# --- what fits -------------------------------------------------------------------------------------------------


async def test_what_is_found_says_what_it_is(shelf: Shelf, owner: Person) -> None:
    project_id = uuid4()
    await shelf.put("Website", kind="project", entity_id=project_id, project_id=project_id, key="WEB")
    task = await shelf.put("Write the launch plan", "All of it.", project_id=project_id, number=42)
    [result] = await search(owner, "launch pla")
    assert result | {"score": 0, "updatedAt": ""} == {
        "kind": "task",
        "id": str(task),
        "key": "WEB-42",
        "title": "Write the launch plan",
        "highlights": [{"field": "title", "text": "Write the <mark>launch</mark> <mark>plan</mark>"}],
        "workspaceId": str(shelf.workspace_id),
        "projectId": str(project_id),
        "parentId": None,
        "url": f"/tasks/{task}",
        "updatedAt": "",
        "score": 0,
    }
    assert result["score"] > 0


@pytest.mark.parametrize(
    ("q", "fits"),
    [
        ("rocket", True),
        ("ROCKET engine", True),
        ("rocket motor", False),
        ("engine rocket", True),
        ('"rocket engine"', True),
        ('"engine rocket"', False),
        ("rocket -engine", False),
        ("rocket -motor", True),
        ("motor or rocket", True),
        ("motor or wings", False),
        ("eng", True),
        ("engi rocket", False),
        ("eng ", False),
        ("en", False),
        ("uber", True),
        ("ÜBER", True),
        ("東京", True),
        ("京東", False),
        ("京", True),
        ("bob@example.com", True),
        ("example.com", True),
        ("alice@example.com", False),
        ("snake", True),
        ("हिन्दी", True),
        ("straße", True),
        ("STRASSE", True),
    ],
)
async def test_words_fit(shelf: Shelf, owner: Person, q: str, fits: bool) -> None:
    document = await shelf.put("The Rocket Engine", "über dem Berg; 東京都 snake_case bob@example.com हिन्दी Straße")
    assert await found(owner, q) == ([document] if fits else [])


async def test_filters_leave_the_rest_out(shelf: Shelf, owner: Person) -> None:
    one, other = uuid4(), uuid4()
    task = await shelf.put("launch", project_id=one)
    elsewhere = await shelf.put("launch", project_id=other)
    comment = await shelf.put("", "launch", kind="comment", project_id=one, parent_id=task)
    assert set(await found(owner, "launch")) == {task, elsewhere, comment}
    assert set(await found(owner, "launch", projectId=str(one))) == {task, comment}
    assert await found(owner, "launch", kinds="comment") == [comment]
    assert set(await found(owner, "launch", kinds=["comment", "task"], projectId=str(one))) == {task, comment}
    assert await found(owner, "launch", kinds="message") == []
    assert await found(owner, "launch", projectId=str(uuid4())) == []


async def test_a_task_is_found_by_its_key(shelf: Shelf, owner: Person, new_person: NewPerson) -> None:
    project_id = uuid4()
    await shelf.put("Website", kind="project", entity_id=project_id, project_id=project_id, key="WEB")
    hidden = await shelf.circle()
    mentioning = await shelf.put("as in WEB-42", project_id=project_id, number=7)
    named = await shelf.put("Something else", project_id=project_id, number=42)
    unseen = await shelf.put("Unseen", scope_id=hidden, project_id=project_id, number=43)
    assert await found(owner, "web-42") == [named, mentioning]
    assert await found(owner, "WEB-42", limit=1) == [named]
    assert [one["id"] for one in await walk(owner, "WEB-42", limit=1)] == [str(named), str(mentioning)]
    assert await found(owner, "WEB-43") == []
    assert unseen not in await found(await new_person(), "WEB-43")
    await shelf.put("Website", kind="project", entity_id=project_id, project_id=project_id, key="SITE")
    assert await found(owner, "SITE-42") == [named]


async def test_of_several_tasks_with_one_key_each_is_found_once(shelf: Shelf, owner: Person) -> None:
    """Workspaces name their projects alike; a page may be shorter than there are such tasks."""
    wanted = []
    for place in (shelf, *[await another_shelf(shelf, owner) for _ in range(2)]):
        project_id = uuid4()
        await place.put("Website", kind="project", entity_id=project_id, project_id=project_id, key="TWIN")
        wanted.append(await place.put("Something", project_id=project_id, number=42))
    mentioning = await shelf.put("as in TWIN-42")
    for limit in (1, 2, 3, 4):
        shown = [UUID(one["id"]) for one in await walk(owner, "TWIN-42", limit=limit)]
        assert shown == [*reversed(wanted), mentioning], limit


async def another_shelf(shelf: Shelf, owner: Person) -> Shelf:
    return Shelf(shelf.platform, UUID((await make_workspace(owner))["id"]))


async def test_all_workspaces_of_the_caller_are_searched(
    platform: Platform, shelf: Shelf, owner: Person, new_person: NewPerson
) -> None:
    other_owner = await new_person()
    made = await other_owner.client.post("/api/workspaces", json={"name": "Two", "slug": f"s-{uuid4().hex[:12]}"})
    other = Shelf(platform, UUID(made.json()["workspace"]["id"]))
    here, there = await shelf.put("launch"), await other.put("launch")
    assert await found(owner, "launch") == [here]
    await join(platform, other.workspace_id, owner, Role.VIEWER)
    assert set(await found(owner, "launch")) == {here, there}
    assert await found(owner, "launch", workspaceId=str(other.workspace_id)) == [there]
    deleted = await other_owner.client.delete(f"/api/workspaces/{other.workspace_id}")
    assert deleted.status_code in (200, 204), deleted.text
    assert await found(owner, "launch") == [here]


# --- how documents live ----------------------------------------------------------------------------------------


async def test_a_document_follows_its_thing(platform: Platform, shelf: Shelf, owner: Person) -> None:
    task = await shelf.put("launch")
    await shelf.put("landing", entity_id=task)
    assert await found(owner, "launch") == []
    assert await found(owner, "landing") == [task]
    await shelf.drop(task)
    assert await found(owner, "landing") == []


async def test_comments_go_and_come_with_their_task(shelf: Shelf, owner: Person) -> None:
    task = await shelf.put("a task")
    comment = await shelf.put("", "launch", kind="comment", parent_id=task)
    assert await found(owner, "launch") == [comment]
    await shelf.drop(task)
    assert await found(owner, "launch") == []
    await shelf.put("a task", entity_id=task)
    assert await found(owner, "launch") == [comment]
    await shelf.drop(task, with_children=True)
    await shelf.put("a task", entity_id=task)
    assert await found(owner, "launch") == []


async def test_a_deleted_project_hides_what_is_in_it(platform: Platform, shelf: Shelf, owner: Person) -> None:
    project_id = uuid4()
    project = await shelf.put("launch", kind="project", entity_id=project_id, project_id=project_id, key="WEB")
    task = await shelf.put("launch", project_id=project_id, number=1)
    outside = await shelf.put("launch")
    async with platform.database.transaction() as session:
        await service.hide_project(session, project_id)
        await service.hide_project(session, project_id)
    late = await shelf.put("launch", project_id=project_id)
    assert await found(owner, "launch") == [outside]
    assert await found(owner, "WEB-1") == []
    async with platform.database.transaction() as session:
        await service.show_project(session, project_id)
    assert set(await found(owner, "launch")) == {project, task, outside, late}
    async with platform.database.transaction() as session:
        assert await service.drop_project(session, project_id, limit=2) == 2
        assert await service.drop_project(session, project_id, limit=2) == 1
        assert await service.drop_project(session, project_id, limit=2) == 0
    assert await found(owner, "launch") == [outside]


# --- order -----------------------------------------------------------------------------------------------------


async def test_the_best_come_first(shelf: Shelf, owner: Person) -> None:
    text = "somewhere the launch is named among many other words of this text"
    in_body = await shelf.put("Other things", text)
    often = await shelf.put("Launch of the launch pad", "launch")
    in_title = await shelf.put("The launch")
    in_body_later = await shelf.put(
        "Other things", "somewhere the launch is named among many other words of this text"
    )
    order = await found(owner, "launch")
    assert order[0] in (often, in_title)
    assert order[2:] == [in_body_later, in_body], "of equals the newer"
    scores = [one["score"] for one in await search(owner, "launch")]
    assert scores == sorted(scores, reverse=True)


async def test_a_walk_ends_while_others_write(shelf: Shelf, owner: Person) -> None:
    """Nothing that stays as it is is missed, nothing comes twice, and what is written meanwhile stays outside."""
    standing = {await shelf.put(f"launch {'pad ' * (n % 5)}") for n in range(23)}
    falling = {await shelf.put("launch at night") for _ in range(4)}
    seen: list[str] = []
    cursor = None
    while True:
        answer = await ask(owner, "launch", limit=5, **({"cursor": cursor} if cursor else {}))
        seen += [one["id"] for one in answer.json()["results"]]
        await shelf.put("launch launch launch")
        if falling:
            await shelf.drop(falling.pop())
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert {str(one) for one in standing} <= set(seen)
    assert len(seen) <= 27


async def test_behind_the_newest_that_are_ranked_come_those_before(
    shelf: Shelf, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranked together are some: a better one further back comes after them, and none is left out."""
    monkeypatch.setattr("pm_api.domains.search.finding.RANKED", 6)
    best = await shelf.put("launch")
    others = [await shelf.put("Something", f"with a launch and more words, {n}") for n in range(14)]
    results = await walk(owner, "launch", limit=4)
    ids = [one["id"] for one in results]
    assert sorted(ids) == sorted(str(one) for one in (best, *others))
    assert ids.index(str(best)) >= 12, "the newest six, the six before, then the rest"


# --- what others use -------------------------------------------------------------------------------------------


async def test_ids_for_other_slices(platform: Platform, shelf: Shelf, owner: Person) -> None:
    from_title = await shelf.put("launch")
    task = await shelf.put("a task")
    await shelf.put("", "about the launch", kind="comment", parent_id=task)
    await shelf.put("", "about the launch", kind="comment", parent_id=task)
    await shelf.put("launch", kind="message", parent_id=uuid4())
    scope = WorkspaceScope(Actor(ActorKind.USER, owner.id), shelf.workspace_id, owner.id, "OWNER")
    async with platform.database.reading() as session:
        assert await service.ids_matching(session, scope, "launch") == [from_title, task]
        assert await service.ids_matching(session, scope, "launch", limit=1) == [from_title]
        assert await service.ids_matching(session, scope, "...") == []
