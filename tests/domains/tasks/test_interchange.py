"""Out as a file and in again: the same tasks, exactly, whatever is written in them; and a bad file does nothing."""

import csv
import io
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event

from pm_api.domains.tasks import importing, table
from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.tasks.sites import Json, Site, path_of, refusal

HOSTILE = (
    '=HYPERLINK("http://evil")',
    "+1+1",
    "-2",
    "@SUM(A1)",
    "'=already quoted",
    "''=twice",
    "' only a quote",
    "<script>alert(1)</script>",
    "\u202eright to left",
    'quotes " and, commas; and\nnew\r\nlines',
    "😀 emoji, \u0000"[:-1],
)
COMPARED = (
    *("title", "description", "status", "priority", "startOn", "startAt", "dueOn", "dueAt", "timeZone"),
    *("estimateMinutes", "fields", "depth"),
)


async def exported(person: Person, **query: Any) -> httpx.Response:
    return await person.client.get("/api/tasks/export", params=query)


async def imported(
    person: Person, project: Json, content: bytes | str, kind: str = "text/csv", key: str | None = None, **query: Any
) -> httpx.Response:
    headers = {"Content-Type": kind, **({"Idempotency-Key": key} if key else {})}
    query = {"projectId": project["id"], **{name: str(value).lower() for name, value in query.items()}}
    body = content.encode() if isinstance(content, str) else content
    return await person.client.post("/api/tasks/import", params=query, content=body, headers=headers)


async def checklist_of(site: Site, task: Json) -> list[tuple[str, bool]]:
    answer = await site.owner.client.get(path_of(task, "/checklist"))
    assert answer.status_code == 200, answer.text
    return [(one["content"], one["isDone"]) for one in answer.json()["items"]]


async def story(site: Site) -> Json:
    """A project with all that a file can hold."""
    project = await site.project()
    ann = await site.person(Role.MEMBER)
    bug, odd = await site.label(project, "Bug"), await site.label(project, 'odd, "label"')
    top = await site.task(
        project, "Top", description=HOSTILE[0], labelIds=[bug, odd], assigneeIds=[str(ann.id), str(site.owner.id)],
        dueAt="2026-05-01T10:30:00Z", timeZone="Europe/Berlin", estimateMinutes=0, priority="URGENT",
    )  # fmt: skip
    below = await site.task(project, "Below", parentId=top["id"], startOn="2026-04-01", status="DONE")
    await site.owner.client.post(path_of(below, "/checklist"), json={"content": "=first"})
    blocked = await site.task(project, "Blocked", parentId=below["id"])
    answer = await site.owner.client.post(
        path_of(top, "/dependencies"), json={"otherTaskId": blocked["id"], "kind": "BLOCKS"}
    )
    assert answer.status_code == 201, answer.text
    for text in HOSTILE:
        await site.task(project, text.strip() or "blank", description=text)
    return project


def comparable(tasks: list[Json]) -> list[Json]:
    by_id = {one["id"]: one["title"] for one in tasks}
    return [
        {
            **{name: one[name] for name in COMPARED},
            "assignees": sorted(person["id"] for person in one["assignees"]),
            "labels": sorted(label["name"] for label in one["labels"]),
            "parent": by_id.get(one["parentId"]),
            "isBlocked": one["isBlocked"],
            "checklist": one["counts"]["checklist"],
        }
        for one in tasks
    ]


@pytest.mark.parametrize(("format", "kind"), [("csv", "text/csv"), ("json", "application/json")])
async def test_the_same_file_into_a_second_project_gives_the_same_tasks(site: Site, format: str, kind: str) -> None:
    first, second = await story(site), await site.project(name="Second")
    file = await exported(site.owner, projectId=first["id"], format=format)
    assert file.status_code == 200, file.text
    assert file.headers["content-type"].startswith(kind)
    refused = await imported(site.owner, second, file.content, kind)
    assert refusal(refused) == (422, "invalid_import"), "its labels are not there"
    done = await imported(site.owner, second, file.content, kind, createLabels=True)
    assert done.status_code == 200, done.text
    report = done.json()["report"]
    assert report["labelsCreated"] == ["Bug", 'odd, "label"']
    old = await site.listed(projectId=first["id"], sort="number", order="asc")
    new = await site.listed(projectId=second["id"], sort="number", order="asc")
    assert report["created"] == len(old) == len(new) == len(HOSTILE) + 3
    assert comparable(new) == comparable(old)
    assert await checklist_of(site, new[1]) == await checklist_of(site, old[1]) == [("=first", False)]


async def test_no_cell_is_a_formula(site: Site) -> None:
    project = await story(site)
    file = await exported(site.owner, projectId=project["id"])
    cells = [cell for row in csv.reader(io.StringIO(file.text, newline="")) for cell in row]
    assert len(cells) > 100
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


row_texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=40)


@given(row_texts, st.lists(row_texts.map(str.strip).filter(bool), max_size=4))
def test_whatever_is_written_reads_back(text: str, labels: list[str]) -> None:
    row = {**dict.fromkeys(table.COLUMNS), "title": "T", "description": text, "labels": labels, "fields": {"A": text}}
    (found,) = table.read_csv((table.HEADER_LINE + table.csv_lines([row])).encode())
    assert found.wrong == []
    assert found.values.get("description", "") == text
    assert found.values.get("labels", []) == labels
    assert found.values["fields"] == {"A": text}


async def test_a_dry_run_tells_all_and_writes_nothing(site: Site) -> None:
    project = await site.project()
    file = (
        "key,parent,title,status,assignees,dueOn,labels,blocks\r\n"
        "A,,Fine,,,,New,\r\n"
        "B,A,,NOWHERE,nobody@example.com,31.12.2026,,\r\n"
        "C,D,Round,,,,,C\r\n"
        "D,C,Round,,,,,Z\r\n"
    )
    answer = await imported(site.owner, project, file, dryRun=True, createLabels=True)
    assert answer.status_code == 200, answer.text
    report = answer.json()["report"]
    assert report["labelsCreated"] == ["New"]
    assert (report["created"], report["failed"], report["dryRun"]) == (0, 3, True)
    columns = [sorted({one["column"] for one in row["errors"]}) for row in report["rows"]]
    assert columns == [[], ["assignees", "dueOn", "status", "title"], ["blocks", "parent"], ["blocks"]]
    assert refusal(await imported(site.owner, project, file, createLabels=True)) == (422, "invalid_import")
    assert await site.listed(projectId=project["id"]) == []
    labels = await site.owner.client.get(f"/api/projects/{project['id']}/labels")
    assert labels.json()["labels"] == []


async def test_an_import_costs_the_same_however_long_and_is_told_once_and_taken_back(site: Site) -> None:
    project, labels = await site.project(), "Bug"
    await site.label(project, labels)
    ann = await site.person(Role.MEMBER)
    address = (await ann.client.get("/api/auth/me")).json()["user"]["email"]
    tokens, statements = [], []
    engine = site.platform.database.engine.sync_engine
    counted: list[str] = []

    def note(_connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        counted.append(statement)

    for length in (4, 40):
        rows = (f"{n},{n - 1 if n % 2 else ''},Import {n},{address},Bug\r\n" for n in range(length))
        counted.clear()
        event.listen(engine, "before_cursor_execute", note)
        try:
            answer = await imported(site.owner, project, "key,parent,title,assignees,labels\r\n" + "".join(rows))
        finally:
            event.remove(engine, "before_cursor_execute", note)
        assert answer.status_code == 200, answer.text
        statements.append(len(counted))
        tokens.append(answer.json()["undoToken"])
    assert statements[0] == statements[1] < 50, "not so many for each row"

    made = await site.listed(projectId=project["id"], sort="board")
    assert [one["number"] for one in made] == list(range(1, 45)), "in the file's order"
    assert {(one["depth"], len(one["assignees"]), len(one["labels"])) for one in made} == {(0, 1, 1), (1, 1, 1)}
    assert made[5]["parentId"] == made[4]["id"]
    watching = await site.owner.client.get(path_of(made[5], "/watchers"))
    assert {one["id"] for one in watching.json()["watchers"]} == {str(ann.id), str(site.owner.id)}
    log = (await ann.client.get(path_of(made[5], "/activity"))).json()["activity"]
    assert [(one["action"], [change["field"] for change in one["changes"]]) for one in log] == [
        ("created", ["title", "status", "assigneeIds"])
    ]
    hits = await ann.client.get("/api/search", params={"workspaceId": site.id, "q": '"import 39"'})
    assert [one["key"] for one in hits.json()["results"]] == [f"{project['key']}-44"]
    told = (await ann.client.get("/api/notifications", params={"type": "task.assigned"})).json()["notifications"]
    assert [(one["title"], one["body"]) for one in told] == [
        ("Olga Owner assigned 40 tasks to you", "Import 0, Import 1, Import 2 and 37 more"),
        ("Olga Owner assigned 4 tasks to you", "Import 0, Import 1, Import 2 and 1 more"),
    ]
    back = await site.owner.client.post("/api/tasks/undo", json={"undoToken": tokens[0]})
    assert back.status_code == 200, back.text
    assert len(await site.listed(projectId=project["id"])) == 40
    dry = await imported(site.owner, project, "title\r\nOne\r\n", dryRun=True)
    assert dry.json()["undoToken"] is None


async def test_a_person_in_a_field_sees_the_project(site: Site) -> None:
    project = await site.project(isPrivate=True)
    answer = await site.owner.client.post(
        f"/api/projects/{project['id']}/fields", json={"name": "Tester", "kind": "USER"}
    )
    assert answer.status_code == 201, answer.text
    key, ann = answer.json()["field"]["key"], await site.person(Role.MEMBER)
    people = [{"title": "One", "fields": {key: str(one.id)}} for one in (site.owner, ann)]
    told = await imported(site.owner, project, json.dumps({"tasks": people}), "application/json", dryRun=True)
    wrong = [[one["column"] for one in row["errors"]] for row in told.json()["report"]["rows"]]
    assert wrong == [[], [f"fields/{key}"]]
    done = await imported(site.owner, project, json.dumps({"tasks": people[:1]}), "application/json")
    assert done.status_code == 200, done.text
    assert [one["fields"] for one in await site.listed(projectId=project["id"])] == [{key: str(site.owner.id)}]


async def test_a_file_sent_twice_is_imported_once(site: Site) -> None:
    project = await site.project()
    key = uuid4().hex
    first = await imported(site.owner, project, "title\r\nOne\r\n", key=key)
    second = await imported(site.owner, project, "title\r\nOne\r\n", key=key)
    assert first.json() == second.json()
    assert len(await site.listed(projectId=project["id"])) == 1
    assert refusal(await imported(site.owner, project, "title\r\nTwo\r\n", key=key)) == (
        422,
        "idempotency_key_reused",
    )


async def test_dependencies_that_go_round_undo_all_of_it(site: Site) -> None:
    project = await site.project()
    file = "key,title,blocks\r\nA,One,B\r\nB,Two,A\r\n"
    assert refusal(await imported(site.owner, project, file))[0] == 409
    assert await site.listed(projectId=project["id"]) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"description\r\nno title\r\n",
        b"title,nonsense\r\nOne,Two\r\n",
        b"title,title\r\nOne,Two\r\n",
        b'title\r\n"never closed\r\n',
        b"title\r\nOne,Two\r\n",
        b"title\r\nnul \x00\r\n",
        b"title\r\n" + b"x\r\n" * 5001,
        b"title\r\n" + b"x" * 400 + b"\r\n",
        b"title,fields\r\nOne,{\r\n",
        b"title,estimateMinutes\r\nOne,many\r\n",
        b'title,fields\r\nOne,"{""NONE"": 1}"\r\n',
        b"title,checklist\r\nOne,[1]\r\n",
    ],
)
async def test_a_file_that_is_none_is_refused(site: Site, content: bytes) -> None:
    project = await site.project()
    assert refusal(await imported(site.owner, project, content)) == (422, "invalid_import")


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"tasks": 1}', '{"tasks": [1]}', '{"tasks": [{"title": 1}]}', '{"tasks": [{"title": "\\ud800"}]}'],
)
async def test_json_that_is_no_file_is_refused(site: Site, content: str) -> None:
    project = await site.project()
    answer = await imported(site.owner, project, content, "application/json")
    assert refusal(answer) == (422, "invalid_import")


async def test_what_is_too_large_or_of_another_kind_is_refused(site: Site) -> None:
    project = await site.project()
    large = b"title,description\r\n" + b"One," + b"x" * (5 * 1024 * 1024)
    assert refusal(await imported(site.owner, project, large))[0] == 413
    wide = b"title,description\r\n" + (b"One," + b"x" * 30_000 + b"\r\n") * 60
    assert (await imported(site.owner, project, wide, dryRun=True)).status_code == 200, "more than other bodies may"
    assert refusal(await imported(site.owner, project, "title\r\nOne\r\n", "text/plain"))[0] == 415


async def test_an_export_holds_what_its_reader_sees(site: Site) -> None:
    open_project, private = await site.project(), await site.project(name="Private", isPrivate=True)
    ann = await site.person(Role.MEMBER)
    await site.task(open_project, "Seen")
    await site.task(private, "Hidden")
    file = await exported(ann, workspaceId=site.id, format="json")
    assert [one["title"] for one in file.json()["tasks"]] == ["Seen"]
    mine = await exported(site.owner, workspaceId=site.id, format="json", filter='title contains "hid"')
    assert [one["title"] for one in mine.json()["tasks"]] == ["Hidden"]


async def test_an_export_is_written_in_stretches(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pm_api.domains.tasks.exporting.STRETCH", 3)
    project = await site.project()
    titles = [f"Task {number}" for number in range(7)]
    for title in titles:
        await site.task(project, title)
    for format in ("csv", "json"):
        file = await exported(site.owner, projectId=project["id"], format=format)
        found = file.json()["tasks"] if format == "json" else list(csv.DictReader(io.StringIO(file.text)))
        assert [one["title"] for one in found] == titles


async def test_refusals_of_the_routes(site: Site, client: httpx.AsyncClient, new_person: Any) -> None:
    stranger = await new_person()
    viewer = await site.person(Role.VIEWER)
    project = await site.project()
    query = {"projectId": project["id"]}
    assert (await client.get("/api/tasks/export", params=query)).status_code == 401
    assert (await exported(stranger, **query)).status_code == 404
    assert (await exported(stranger, workspaceId=site.id)).status_code == 404
    assert (await exported(viewer, **query)).status_code == 200
    assert (await exported(site.owner)).status_code == 422
    assert refusal(await exported(site.owner, **query, filter="due <")) == (422, "invalid_filter")
    assert (await exported(site.owner, **query, format="xml")).status_code == 422
    kind = {"Content-Type": "text/csv"}
    assert (await client.post("/api/tasks/import", params=query, content=b"title", headers=kind)).status_code == 401
    assert (await imported(viewer, project, "title\r\nOne\r\n")).status_code == 403
    assert (await imported(stranger, project, "title\r\nOne\r\n")).status_code == 404
    assert (await site.owner.client.post("/api/tasks/import", content=b"title", headers=kind)).status_code == 422
    await site.archive(project)
    assert refusal(await imported(site.owner, project, "title\r\nOne\r\n")) == (409, "project_archived")


async def test_the_longest_names_and_lists_come_in_again(site: Site) -> None:
    project, other = await site.project(), await site.project()
    label = await site.label(project, "L" * 60)
    task = await site.task(project, labelIds=[label])
    for number in range(101):
        added = await site.owner.client.post(path_of(task, "/checklist"), json={"content": f"Item {number}"})
        assert added.status_code == 201, added.text
    file = (await exported(site.owner, projectId=project["id"])).content
    answer = await imported(site.owner, other, file, createLabels=True)
    assert answer.status_code == 200, answer.text
    [copy] = await site.listed(projectId=other["id"])
    assert [one["name"] for one in copy["labels"]] == ["L" * 60]
    assert copy["counts"]["checklist"] == 101


@pytest.mark.parametrize("name", ["two\nlines", "L" * 61])
async def test_a_label_that_could_not_be_made_is_refused(site: Site, name: str) -> None:
    project = await site.project()
    content = json.dumps({"tasks": [{"title": "Write it", "labels": [name]}]})
    answer = await imported(site.owner, project, content, "application/json", createLabels=True)
    assert refusal(answer) == (422, "invalid_import")


async def test_an_empty_label_is_none(site: Site) -> None:
    project = await site.project()
    content = json.dumps({"tasks": [{"title": "Write it", "labels": ["", "  ", " Bug "]}]})
    answer = await imported(site.owner, project, content, "application/json", createLabels=True)
    assert answer.status_code == 200, answer.text
    [task] = await site.listed(projectId=project["id"])
    assert [one["name"] for one in task["labels"]] == ["Bug"]


def test_a_long_chain_is_followed_once() -> None:
    """Whether a row was met on the way up is looked up, not compared with every row of the way."""
    compared = 0

    class Counting(table.Row):
        __slots__ = ()
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return self is other

    rows = [Counting(n, {"key": str(n), "title": "t", "parent": str(n + 1)}) for n in range(1, 500)]
    rows.append(Counting(500, {"key": "500", "title": "t"}))
    importing._in_order(importing._File(UUID(int=1), [*rows], {str(one.number): one for one in rows}))
    assert compared == 0
