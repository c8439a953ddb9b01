"""A team and its files, from the first picture to the last byte: what people of all kinds see on the way."""

import hashlib
from typing import Any

from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.storage.boxes import uploaded
from tests.domains.storage.painting import encoded, opened, painted, photograph
from tests.domains.team.inviting import a_team
from tests.identity.teams import join
from tests.support.clock import MovableClock

Json = dict[str, Any]


async def call(person: Person, method: str, path: str, status: int = 200, **arguments: Any) -> Json:
    answer = await person.client.request(method, path, **arguments)
    assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
    found: Json = answer.json() if answer.content else {}
    return found


async def used(person: Person, workspace_id: str) -> Json:
    usage: Json = (await call(person, "GET", "/api/storage/usage", params={"workspaceId": workspace_id}))["usage"]
    return usage


async def test_a_team_and_its_files(new_person: NewPerson, platform: Platform, clock: MovableClock) -> None:
    maya, tom, vera = [await new_person(name=name) for name in ("Maya Lind", "Tom Reed", "Vera Wolf")]
    workspace_id = await a_team(platform, maya)
    await join(platform, workspace_id, tom, Role.MEMBER)
    await join(platform, workspace_id, vera, Role.VIEWER)

    # Maya puts on a picture that was taken upright, and the team gets a mark.
    picture = (
        await call(maya, "POST", "/api/user/avatar", 201, files={"file": ("me.jpg", photograph(300, 200, 6))})
    )["picture"]
    await call(
        maya, "POST", f"/api/workspaces/{workspace_id}/logo", 201, files={"file": ("a.png", encoded(painted()))}
    )

    # Tom uploads notes before he knows where they belong. Nobody else sees them.
    project = (await call(maya, "POST", "/api/projects", 201, json={"workspaceId": workspace_id, "name": "Launch"}))[
        "project"
    ]
    task = (await call(tom, "POST", "/api/tasks", 201, json={"projectId": project["id"], "title": "Write"}))["task"]
    notes = await uploaded(tom, b"first draft", "notes.txt", workspaceId=workspace_id)
    assert notes["isTemporary"] is True
    await call(maya, "GET", f"/api/storage/files/{notes['id']}", 404)

    # He attaches them to the task: now all who see it read them, Vera too, who may only read.
    attached = (await call(tom, "POST", f"/api/tasks/{task['id']}/attachments", 201, json={"fileId": notes["id"]}))[
        "attachment"
    ]
    assert attached["isTemporary"] is False
    [seen] = (await call(vera, "GET", f"/api/tasks/{task['id']}/attachments"))["attachments"]
    assert (seen["uploadedBy"]["name"], seen["checksumSha256"]) == (
        "Tom Reed",
        hashlib.sha256(b"first draft").hexdigest(),
    )
    content = await vera.client.get(f"/api/storage/files/{notes['id']}/content")
    assert (content.content, content.headers["x-content-type-options"]) == (b"first draft", "nosniff")
    await call(vera, "DELETE", f"/api/tasks/{task['id']}/attachments/{notes['id']}", 403)

    # The next draft is a new version; the first one stays, and counts as an old one.
    await uploaded(tom, b"second draft", "notes.txt", fileId=notes["id"])
    assert (await vera.client.get(f"/api/storage/files/{notes['id']}/content")).content == b"second draft"
    versions = (await call(vera, "GET", f"/api/storage/files/{notes['id']}/versions"))["versions"]
    assert sorted(one["number"] for one in versions) == [1, 2]

    # Maya adds a sketch to the project and Tom the very same to his task: it takes up its room once.
    sketch = encoded(painted(400, 300))
    before = (await used(maya, workspace_id))["totalUsed"]
    asset = await uploaded(maya, sketch, "sketch.png", projectId=project["id"], fileType="PROJECT_ASSET")
    await uploaded(tom, sketch, "copy.png", taskId=task["id"], fileType="TASK_ATTACHMENT")
    assert (await used(maya, workspace_id))["totalUsed"] == before + len(sketch)
    small = await vera.client.get(f"/api/storage/files/{asset['id']}/thumbnail", params={"size": 128})
    assert opened(small.content).size == (128, 96)
    counts = (await call(vera, "GET", f"/api/tasks/{task['id']}"))["task"]
    assert counts["counts"]["attachments"] == 2

    # A link takes the sketch to a customer, who has no account, until Maya takes it back.
    link = (await call(maya, "POST", f"/api/storage/files/{asset['id']}/link", 201, json={"expiresIn": 300}))["link"]
    stranger = await new_person()
    given = await stranger.client.get(link["url"], headers={"Authorization": ""})
    assert given.content == sketch
    await call(maya, "DELETE", f"/api/storage/files/{asset['id']}/links/{link['id']}", 204)
    assert (await stranger.client.get(link["url"], headers={"Authorization": ""})).status_code == 404

    # The task is deleted by mistake and comes back with what hangs on it.
    await call(tom, "DELETE", f"/api/tasks/{task['id']}")
    await call(vera, "GET", f"/api/storage/files/{notes['id']}", 404)
    await call(tom, "POST", f"/api/tasks/{task['id']}/restore")
    assert len((await call(vera, "GET", f"/api/tasks/{task['id']}/attachments"))["attachments"]) == 2

    # Tom throws the notes away. They count as trash, with both drafts, until they are gone.
    await call(tom, "DELETE", f"/api/tasks/{task['id']}/attachments/{notes['id']}", 204)
    drafts = len(b"first draft") + len(b"second draft")
    full = (await used(maya, workspace_id))["totalUsed"]
    clock.advance_business(days=31)
    await run_sweep(platform, PERIODICS["storage.purge_trash"])
    assert (await used(maya, workspace_id))["totalUsed"] == full - drafts
    await call(tom, "GET", f"/api/storage/files/{notes['id']}", 404)

    # Maya's picture is where it was, for whoever has its address, and tells nothing of where it was taken.
    looked_at = await stranger.client.get(picture["url"], headers={"Authorization": ""})
    assert opened(looked_at.content).size == (200, 200)
    assert not opened(looked_at.content).getexif()
