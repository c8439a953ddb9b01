"""The duplicate hint: titles that share most of their words, of one project, in sight, and bounded."""

from typing import Any

import httpx
import pytest

from pm_api.domains.tasks.duplicates import likeness
from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.tasks.sites import Json, Site, path_of


async def alike(person: Person, project: Json, title: Any) -> httpx.Response:
    return await person.client.post("/api/tasks/duplicates", json={"projectId": project["id"], "title": title})


@pytest.mark.parametrize(
    ("one", "other", "is_alike"),
    [
        ("Login fails on Safari", "Safari: login fails", True),
        ("Login fails", "LOGIN FAILS!", True),
        ("Crash when uploading files", "Crash when uploading a file", True),
        ("Write the release notes", "Book the venue", False),
        ("A", "B", False),
        ("!!!", "???", False),
        ("Größe ändern", "größe ändern", True),
    ],
)
def test_likeness(one: str, other: str, is_alike: bool) -> None:
    assert (likeness(one, other) >= 0.5) is is_alike
    assert likeness(one, other) == pytest.approx(likeness(other, one))


async def test_the_most_alike_come_first(site: Site) -> None:
    project, elsewhere = await site.project(), await site.project(name="Elsewhere")
    for title in ("Login fails on Safari", "Login button fails on old Safari versions", "Book the venue", "100% _"):
        await site.task(project, title)
    await site.task(elsewhere, "Login fails on Safari")
    gone = await site.task(project, "Login fails on Safari today")
    await site.owner.client.delete(path_of(gone))
    found = (await alike(site.owner, project, "login fails on safari")).json()["possibleDuplicates"]
    assert [one["task"]["title"] for one in found] == [
        "Login fails on Safari",
        "Login button fails on old Safari versions",
    ]
    assert found[0]["likeness"] == 1
    assert (await alike(site.owner, project, "'; DROP TABLE tasks; --")).json() == {"possibleDuplicates": []}
    assert (await alike(site.owner, project, "%")).json() == {"possibleDuplicates": []}


async def test_at_most_five(site: Site) -> None:
    project = await site.project()
    for _ in range(7):
        await site.task(project, "Same again")
    found = (await alike(site.owner, project, "Same again")).json()["possibleDuplicates"]
    assert [one["task"]["number"] for one in found] == [1, 2, 3, 4, 5]


async def test_refusals(site: Site, client: httpx.AsyncClient, new_person: Any) -> None:
    project, private = await site.project(), await site.project(isPrivate=True)
    ann, stranger = await site.person(Role.MEMBER), await new_person()
    body = {"projectId": project["id"], "title": "x"}
    assert (await client.post("/api/tasks/duplicates", json=body)).status_code == 401
    assert (await alike(stranger, project, "x")).status_code == 404
    assert (await alike(ann, private, "x")).status_code == 404
    for wrong in ("", " ", None, 1, "x" * 301, "nul \x00"):
        assert (await alike(site.owner, project, wrong)).status_code == 422, wrong
