"""A new user's first hour, over HTTP. Run it beside `make run`: `.venv/bin/python examples/first_project.py`.

A workspace and a project, thirty tasks with subtasks, labels and dependencies, a board dragged into another order,
comments that mention a colleague, a bulk edit tried out and then done, all of it taken back, a saved view, and the
tasks as CSV into a second project. Each step says what it did; a step that did not do it stops the script.
"""

import argparse
import csv
import io
import itertools
import secrets
from dataclasses import dataclass
from typing import Any, Final

import httpx

ADDRESS: Final = "http://127.0.0.1:8000"
PASSWORD: Final = "a fine long password of mine"
THEMES: Final = ("Design", "Texts", "Pages", "Search", "Launch")
STEPS: Final = ("Plan it", "Draft it", "Build it", "Review it", "Show it")

Json = dict[str, Any]


class Surprise(Exception):
    """Something else came back than the story tells."""


@dataclass
class Caller:
    """A person with a token."""

    http: httpx.Client
    user: Json

    @classmethod
    def register(cls, http: httpx.Client, name: str) -> "Caller":
        body = {"email": f"{name.lower()}-{secrets.token_hex(4)}@example.com", "password": PASSWORD, "name": name}
        content = _content(http.post("/api/auth/register", json=body))
        http.headers["Authorization"] = f"Bearer {content['accessToken']}"
        http.cookies.clear()
        return cls(http, content["user"])

    def get(self, path: str, **query: Any) -> Json:
        return _content(self.http.get(f"/api{path}", params=query))

    def post(self, path: str, **body: Any) -> Json:
        return _content(self.http.post(f"/api{path}", json=body, headers={"Idempotency-Key": secrets.token_hex(16)}))

    def patch(self, path: str, **body: Any) -> Json:
        return _content(self.http.patch(f"/api{path}", json=body))


def _content(answer: httpx.Response) -> Json:
    if answer.is_error:
        raise Surprise(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}")
    content: Json = answer.json() if answer.content else {}
    return content


def expect(what: str, is_so: bool) -> None:
    if not is_so:
        raise Surprise(f"not so: {what}")
    print(f"  {what}")


def main(address: str = ADDRESS) -> None:
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as http:
        first_hour(Caller.register(http, "Ann"))


def first_hour(ann: Caller) -> None:
    print("Ann opens a workspace and a project.")
    workspace = ann.post("/workspaces", name="Acme")["workspace"]
    project = ann.post("/projects", workspaceId=workspace["id"], name="Website relaunch", key="WEB")["project"]
    tasks = plan(ann, project)
    link(ann, tasks)
    drag(ann, project, tasks)
    talk(ann, tasks)
    edit_together(ann, project, tasks)
    view(ann, project)
    copy_by_csv(ann, workspace, project)


def plan(ann: Caller, project: Json) -> list[Json]:
    """Five themes with five steps each: thirty tasks."""
    labels = [
        ann.post(f"/projects/{project['id']}/labels", name=name, color=color)["label"]["id"]
        for name, color in (("urgent", "#d73a4a"), ("writing", "#1f6feb"))
    ]
    tasks: list[Json] = []
    for number, theme in enumerate(THEMES):
        parent = ann.post("/tasks", projectId=project["id"], title=theme, dueOn=f"2027-03-{10 + number}")["task"]
        tasks.append(parent)
        for place, step in enumerate(STEPS):
            tasks.append(
                ann.post(
                    "/tasks",
                    projectId=project["id"],
                    title=f"{theme}: {step}",
                    parentId=parent["key"],
                    labelIds=[labels[place % 2]],
                    estimateMinutes=30 * (place + 1),
                    assigneeIds=[ann.user["id"]],
                )["task"]
            )
    keys = [task["key"] for task in tasks]
    expect(f"thirty tasks, {keys[0]} to {keys[-1]}", keys == [f"WEB-{number}" for number in range(1, 31)])
    top = ann.get(f"/tasks/{tasks[0]['id']}")["task"]
    expect("five subtasks below each theme", top["counts"]["subtasks"] == len(STEPS))
    return tasks


def link(ann: Caller, tasks: list[Json]) -> None:
    """Each step waits for the one before; a circle is refused."""
    design = tasks[1:6]
    for before, after in itertools.pairwise(design):
        ann.post(f"/tasks/{before['id']}/dependencies", otherTaskId=after["id"], kind="BLOCKS")
    expect("a step is blocked by the one before", ann.get(f"/tasks/{design[1]['id']}")["task"]["isBlocked"])
    circle = ann.http.post(
        f"/api/tasks/{design[-1]['id']}/dependencies", json={"otherTaskId": design[0]["id"], "kind": "BLOCKS"}
    )
    expect("a circle is refused, and shown", circle.json()["code"] == "dependency_cycle")


def drag(ann: Caller, project: Json, tasks: list[Json]) -> None:
    """The themes in reverse order, by drag and drop; one is under way."""
    themes = [task for task in tasks if task["parentId"] is None]
    for first, theme in itertools.pairwise(themes):
        ann.post(f"/tasks/{theme['id']}/move", before=first["id"])
    board = ann.get("/tasks/board", projectId=project["id"])["board"]
    column = next(one for one in board["columns"] if one["status"] == "TODO")
    order = [task["title"] for task in column["tasks"] if task["parentId"] is None]
    expect("the board has the new order", order == list(reversed(THEMES)))
    moved = ann.post(f"/tasks/{themes[0]['id']}/move", status="IN_PROGRESS")["task"]
    expect("a card was dragged into another column", moved["statusCategory"] == "IN_PROGRESS")


def talk(ann: Caller, tasks: list[Json]) -> None:
    """A comment with a mention, an answer and a reaction."""
    body = f"Shall we begin, @[Ann](user:{ann.user['id']})?"
    comment = ann.post(f"/tasks/{tasks[0]['id']}/comments", body=body)["comment"]
    ann.post(f"/tasks/{tasks[0]['id']}/comments", body="Yes.", parentId=comment["id"])
    expect("the mention was understood", [one["name"] for one in comment["mentions"]] == ["Ann"])
    expect("two comments are counted", ann.get(f"/tasks/{tasks[0]['id']}")["task"]["counts"]["comments"] == 2)


def edit_together(ann: Caller, project: Json, tasks: list[Json]) -> None:
    """Ten tasks get a priority: tried out, done, and taken back."""
    chosen = [task["id"] for task in tasks if task["parentId"] is not None][:10]
    edit: Json = {"projectId": project["id"], "taskIds": chosen, "action": "update", "change": {"priority": "HIGH"}}
    tried = ann.post("/tasks/bulk", **edit, dryRun=True)
    expect("the dry run tells of ten changes", tried["changed"] == len(chosen))
    untouched = ann.get("/tasks", projectId=project["id"], filter="priority = HIGH")["tasks"]
    expect("and made none", untouched == [])
    done = ann.post("/tasks/bulk", **edit)
    urgent = ann.get("/tasks", projectId=project["id"], filter="priority = HIGH")["tasks"]
    expect("the edit made them", {task["id"] for task in urgent} == set(chosen))
    ann.post("/tasks/undo", undoToken=done["undoToken"])
    again = ann.get("/tasks", projectId=project["id"], filter="priority = HIGH")["tasks"]
    expect("one call took all of it back", again == [])


def view(ann: Caller, project: Json) -> None:
    query = {"filter": 'assignee = me and label = "writing"', "sort": "number", "columns": ["title", "due"]}
    saved = ann.post("/saved-views", projectId=project["id"], name="What I write", query=query)["savedView"]
    shown = ann.get("/tasks", projectId=project["id"], view=saved["id"], limit=100)["tasks"]
    expect(
        f"the saved view shows {len(shown)} tasks",
        len(shown) == 10 and all(label["name"] == "writing" for task in shown for label in task["labels"]),
    )


def copy_by_csv(ann: Caller, workspace: Json, project: Json) -> None:
    """The same tasks in a second project."""
    file = _csv(ann, project)
    second = ann.post("/projects", workspaceId=workspace["id"], name="Second site", key="TWO")["project"]
    report = _content(
        ann.http.post(
            "/api/tasks/import",
            params={"projectId": second["id"], "createLabels": "true"},
            content=file,
            headers={"Content-Type": "text/csv", "Idempotency-Key": secrets.token_hex(16)},
        )
    )["report"]
    expect("thirty rows became tasks", (report["created"], report["failed"]) == (30, 0))
    expect("the same tasks, title by title", _told(_csv(ann, second)) == _told(file))


def _csv(ann: Caller, project: Json) -> bytes:
    answer = ann.http.get("/api/tasks/export", params={"projectId": project["id"], "format": "csv"})
    if answer.is_error:
        raise Surprise(answer.text)
    return answer.content


def _told(file: bytes) -> list[Json]:
    """What a file says of its tasks, without what is its project's: keys begin with that one's."""
    rows = list(csv.DictReader(io.StringIO(file.decode("utf-8-sig"), newline="")))
    own = {row["key"]: row["key"].partition("-")[2] for row in rows}
    names = ("title", "description", "status", "priority", "assignees", "labels", "dueOn", "estimateMinutes")
    return [
        {name: row[name] for name in names}
        | {"key": own[row["key"]], "parent": own.get(row["parent"]), "blocks": own.get(row["blocks"])}
        for row in rows
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default=ADDRESS, help="where the API answers")
    main(parser.parse_args().address)
    print("That was the first hour.")
