"""Who sees a file: everything that another tenant, or a project one does not see, holds is not there. In every way
there is to ask.
"""

import io
import zipfile
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.storage.boxes import uploaded
from tests.domains.storage.painting import encoded, painted
from tests.domains.storage.tus_client import VERSION, create, send
from tests.domains.tasks.sites import Site, open_site, refusal
from tests.identity.teams import join
from tests.support.soak import rounds

Json = dict[str, Any]
NOT_FOUND = (404, "file_not_found")


@pytest.fixture
async def site(platform: Platform, new_person: NewPerson) -> Site:
    return await open_site(platform, new_person)


def path_of(file: Json, rest: str = "") -> str:
    return f"/api/storage/files/{file['id']}{rest}"


async def ways(person: Person, site: Site, file: Json) -> dict[str, bool]:
    """Each way to come to know of a file, and whether this person does by it."""
    client, found = person.client, {}
    for name, method, rest in (
        ("file", "GET", ""),
        ("content", "GET", "/content"),
        ("head", "HEAD", "/content"),
        ("versions", "GET", "/versions"),
        ("version", "GET", "/versions/1/content"),
        ("links", "GET", "/links"),
    ):
        found[name] = _seen(await client.request(method, path_of(file, rest)))
    found["link"] = _seen(await client.post(path_of(file, "/link"), json={}))
    in_all = {"workspaceId": site.id}
    zipped = await client.post("/api/storage/files:zip", params=in_all, json={"fileIds": [file["id"]]})
    found["zip"] = zipped.status_code == 200 and len(zipfile.ZipFile(io.BytesIO(zipped.content)).namelist()) == 1
    for name, query in (
        ("list", {}),
        ("list by name", {"q": "secret"}),
        ("list of its task", {"taskId": file["taskId"]} if file["taskId"] else {}),
        ("list of its project", {"projectId": file["projectId"]} if file["projectId"] else {}),
    ):
        answer = await client.get("/api/storage/files", params={**in_all, **query})
        found[name] = answer.status_code == 200 and file["id"] in [one["id"] for one in answer.json()["files"]]
    told = await client.get("/api/changes", params={**in_all, "limit": 200})
    found["changes"] = told.status_code == 200 and file["id"] in [one["entityId"] for one in told.json()["changes"]]
    asked = await client.get("/api/search", params={**in_all, "q": "secret"})
    found["search"] = asked.status_code == 200 and file["id"] in [one["id"] for one in asked.json()["results"]]
    usage = await client.get("/api/storage/usage", params=in_all)
    found["usage"] = file["id"] in usage.text
    return found


def _seen(answer: httpx.Response) -> bool:
    assert answer.status_code in (200, 201, 404), answer.text
    return answer.status_code != 404


async def is_nowhere(person: Person, site: Site, file: Json) -> None:
    assert [way for way, seen in (await ways(person, site, file)).items() if seen] == []
    for method, rest in (("PATCH", ""), ("DELETE", ""), ("POST", "/restore"), ("POST", "/versions/1/restore")):
        body = {"originalName": "mine.txt"} if method == "PATCH" else None
        assert refusal(await person.client.request(method, path_of(file, rest), json=body)) == NOT_FOUND
    answer = await person.client.post(
        "/api/storage/uploads", params={"fileId": file["id"]}, files={"file": ("a.txt", b"mine", "text/plain")}
    )
    assert answer.status_code == 404, answer.text


async def is_seen(person: Person, site: Site, file: Json, but: tuple[str, ...] = ()) -> None:
    assert [way for way, seen in (await ways(person, site, file)).items() if not seen and way not in but] == []


async def test_what_a_private_project_holds(site: Site, new_person: NewPerson) -> None:
    inside, outside, viewer = (
        await site.person(Role.MEMBER),
        await site.person(Role.MEMBER),
        await site.person(Role.VIEWER),
    )
    guest, stranger = await site.person(Role.GUEST), await new_person()
    project = await site.project(isPrivate=True)
    await site.put(project, inside, "MEMBER")
    asset = {"fileType": "PROJECT_ASSET", "projectId": project["id"]}
    file = await uploaded(inside, b"what nobody else may know", "secret.txt", **asset)
    await is_seen(inside, site, file)
    for person in (outside, viewer, guest, stranger):
        await is_nowhere(person, site, file)
    await site.put(project, guest, "VIEWER")
    await is_seen(guest, site, file, but=("usage",))


async def test_what_a_task_holds_goes_out_of_sight_with_it(site: Site) -> None:
    member = await site.person(Role.MEMBER)
    project = await site.project()
    task = await site.task(project)
    place = {"fileType": "TASK_ATTACHMENT", "taskId": task["id"]}
    file = await uploaded(site.owner, b"of the task", "secret.txt", **place)
    await is_seen(member, site, file, but=("usage",))
    assert (await site.owner.client.delete(f"/api/tasks/{task['id']}")).status_code in (200, 204)
    seen = await ways(member, site, file)
    assert [way for way in seen if seen[way] and way != "changes"] == []
    assert (await site.owner.client.post(f"/api/tasks/{task['id']}/restore")).status_code == 200
    await is_seen(member, site, file, but=("usage",))
    await site.delete_project(project)
    seen = await ways(member, site, file)
    assert [way for way in seen if seen[way] and way != "changes"] == []


async def test_what_has_no_place_is_its_uploaders_alone(site: Site) -> None:
    member, admin = await site.person(Role.MEMBER), await site.person(Role.ADMIN)
    file = await uploaded(member, b"a draft", "secret.txt", workspaceId=site.id)
    for person in (site.owner, admin):
        await is_nowhere(person, site, file)
    await is_seen(member, site, file, but=("changes", "search"))


async def test_what_is_on_its_way_is_seen_by_who_sends_it(site: Site) -> None:
    sender = await site.person(Role.MEMBER)
    project = await site.project()
    begun = await sender.client.post(
        "/api/storage/tus",
        params={"fileType": "PROJECT_ASSET", "projectId": project["id"]},
        headers={"Tus-Resumable": "1.0.0", "Upload-Length": "10"},
    )
    assert begun.status_code == 201, begun.text
    mine = (await sender.client.get("/api/storage/files", params={"workspaceId": site.id})).json()["files"]
    assert [one["uploadStatus"] for one in mine] == ["UPLOADING"]
    assert refusal(await sender.client.get(path_of(mine[0], "/content"))) == (409, "file_not_ready")
    await is_nowhere(site.owner, site, mine[0])


async def test_who_leaves_sees_nothing_any_more_and_not_even_their_own(site: Site) -> None:
    member = await site.person(Role.MEMBER)
    project = await site.project()
    asset = {"fileType": "PROJECT_ASSET", "projectId": project["id"]}
    file = await uploaded(member, b"theirs", "secret.txt", **asset)
    draft = await uploaded(member, b"a draft", "secret.txt", workspaceId=site.id)
    own = await uploaded(member, b"own", "own.txt")
    removed = await site.owner.client.delete(f"/api/team/members/{site.member_ids[member.id]}")
    assert removed.status_code in (200, 204), removed.text
    await is_nowhere(member, site, file)
    await is_nowhere(member, site, draft)
    assert (await member.client.get(path_of(own))).status_code == 200
    await is_seen(site.owner, site, file)


async def test_another_workspace_of_the_same_person_is_another_account(
    site: Site, platform: Platform, new_person: NewPerson
) -> None:
    other = await open_site(platform, new_person)
    project = await site.project()
    file = await uploaded(site.owner, b"here", "secret.txt", fileType="PROJECT_ASSET", projectId=project["id"])
    zipped = await site.owner.client.post("/api/storage/files:zip", json={"fileIds": [file["id"]]})
    assert refusal(zipped) == NOT_FOUND, "not among one's own"
    await is_nowhere(other.owner, site, file)
    foreign = await other.owner.client.post(
        "/api/storage/files:zip", params={"workspaceId": other.id}, json={"fileIds": [file["id"]]}
    )
    assert refusal(foreign) == NOT_FOUND


async def test_the_same_bytes_elsewhere_tell_nothing(site: Site, new_person: NewPerson) -> None:
    """Who guesses a content gets an object of their own, not another tenant's."""
    stranger = await new_person()
    secret = await uploaded(site.owner, b"the same bytes", "secret.txt", workspaceId=site.id)
    same = await uploaded(stranger, b"the same bytes", "secret.txt")
    assert same["id"] != secret["id"]
    assert same["createdAt"] >= secret["createdAt"]
    await is_nowhere(stranger, site, secret)


async def test_an_upload_shows_its_file_no_longer_to_who_does_not_see_it(site: Site) -> None:
    member = await site.person(Role.MEMBER)
    project, private = await site.project(), await site.project(isPrivate=True)
    file = await uploaded(member, b"mine for now", "plan.txt", fileType="PROJECT_ASSET", projectId=project["id"])
    sent = await member.client.post(
        "/api/storage/uploads",
        params={"fileId": file["id"]},
        files={"file": ("plan.txt", b"mine, anew", "text/plain")},
    )
    address = f"/api/storage/uploads/{sent.json()['receipt']['uploadId']}"
    seen = await member.client.get(address)
    assert seen.json()["upload"]["file"]["id"] == file["id"]
    known = {"If-None-Match": seen.headers["etag"]}
    assert (await member.client.get(address, headers=known)).status_code == 304
    moved = await site.owner.client.patch(
        path_of(file), json={"fileType": "PROJECT_ASSET", "projectId": private["id"], "originalName": "secret.txt"}
    )
    assert moved.status_code == 200, moved.text
    assert (await member.client.get(path_of(file))).status_code == 404
    shown = (await member.client.get(address, headers=known)).json()["upload"]
    assert (shown["state"], shown["file"]) == ("COMPLETED", None)
    assert "secret.txt" not in str(shown)


async def test_who_is_put_out_of_a_project_brings_nothing_into_it_any_more(site: Site) -> None:
    member, guest = await site.person(Role.MEMBER), await site.person(Role.GUEST)
    project = await site.project(isPrivate=True)
    place = {"fileType": "PROJECT_ASSET", "projectId": project["id"]}
    for person in (member, guest):
        await site.put(project, person, "MEMBER")
        begun = await create(person, 6, **place)
        assert begun.status_code == 201, begun.text
        address = begun.headers["location"]
        first = await send(person, address, 0, b"one")
        assert (first.status_code, first.headers.get("upload-offset")) == (204, "3"), first.text
        out = await site.owner.client.delete(f"/api/projects/{project['id']}/members/{person.id}")
        assert out.status_code in (200, 204), out.text
        second = await send(person, address, 3, b"two")
        assert second.status_code == 404, second.text
        assert (await person.client.head(address, headers=VERSION)).status_code == 404
    listed = await site.owner.client.get("/api/storage/files", params={"workspaceId": site.id})
    assert listed.json()["files"] == []


# --- random memberships --------------------------------------------------------------------------------------------

OTHERS: Final = {"admin": Role.ADMIN, "member": Role.MEMBER, "viewer": Role.VIEWER, "guest": Role.GUEST}
EVERYBODY: Final = ("owner", *OTHERS, "stranger")
UPLOADERS: Final = ("owner", "admin", "member", "guest", "stranger")
PLACES: Final = ("own", "none", "project", "task", "task")
FATES: Final = ("stays", "stays", "moves", "under way", "trashed", "its task goes", "its project goes")
WAYS: Final = ("/content", "/versions", "/versions/1/content", "/links", "/thumbnail", "/link", ":zip")
PROJECTS: Final = (0, 1)
BOTH: Final = st.tuples(st.booleans(), st.booleans())
CIRCLES: Final = st.tuples(st.sets(st.sampled_from(sorted(OTHERS))), st.sets(st.sampled_from(sorted(OTHERS))))


@dataclass
class Held:
    """One file, and the little that the naive rule knows of it."""

    id: str
    uploader: str
    place: str
    project: int
    fate: str
    link: str | None = None
    told_in: set[int] = field(default_factory=set)

    @property
    def is_served(self) -> bool:
        return self.fate not in ("under way", "trashed")


@dataclass
class Rule:
    """Who sees what, over plain sets."""

    roles: dict[str, Role]
    is_private: list[bool]
    inside: list[set[str]] = field(default_factory=lambda: [{"owner"}, {"owner"}])
    gone_projects: set[int] = field(default_factory=set)
    gone_tasks: set[int] = field(default_factory=set)

    def in_circle(self, who: str, project: int) -> bool:
        role = self.roles.get(who)
        if role is None:
            return False
        return who in self.inside[project] or (role is not Role.GUEST and not self.is_private[project])

    def sees(self, who: str, file: Held) -> bool:
        if file.place == "own":
            return who == file.uploader
        if who not in self.roles or (file.fate == "under way" and who != file.uploader):
            return False
        if file.place == "none":
            return who == file.uploader
        return not self.is_gone(file) and self.in_circle(who, file.project)

    def is_gone(self, file: Held) -> bool:
        gone = self.gone_projects | (self.gone_tasks if file.place == "task" else set())
        return file.place in ("project", "task") and file.project in gone


@dataclass
class Town:
    """A workspace with two projects, and people who come to know of its files, or not."""

    site: Site
    people: dict[str, Person]
    rule: Rule
    projects: list[Json] = field(default_factory=list)
    tasks: list[Json] = field(default_factory=list)
    files: list[Held] = field(default_factory=list)

    @classmethod
    async def open(cls, platform: Platform, new_person: NewPerson, others: dict[str, Person], private: Any) -> "Town":
        site = await open_site(platform, new_person)
        for name, role in OTHERS.items():
            site.member_ids[others[name].id] = await join(platform, site.id, others[name], role)
        town = cls(site, {"owner": site.owner, **others}, Rule({"owner": Role.OWNER, **OTHERS}, list(private)))
        for project in PROJECTS:
            town.projects.append(await site.project(isPrivate=private[project]))
            town.tasks.append(await site.task(town.projects[project]))
        return town

    async def bring(self, file: Held, content: bytes) -> None:
        """The file, by somebody who may at that moment. What becomes of it comes later."""
        person, number = self.people[file.uploader], file.project
        query = {
            "own": {},
            "none": {"workspaceId": self.site.id},
            "project": {"fileType": "PROJECT_ASSET", "projectId": self.projects[number]["id"]},
            "task": {"fileType": "TASK_ATTACHMENT", "taskId": self.tasks[number]["id"]},
        }[file.place]
        if file.place in ("project", "task"):
            await self.circle(number, self.rule.inside[number] | {file.uploader}, "MEMBER")
        if file.fate == "under way":
            begun = await create(person, len(content), **query)
            assert begun.status_code == 201, begun.text
            upload = await person.client.get(f"/api/storage/uploads/{begun.headers['location'].rpartition('/')[2]}")
            file.id = upload.json()["upload"]["fileId"]
        else:
            file.id = (await uploaded(person, content, "secret.png", **query))["id"]
            made = await person.client.post(f"/api/storage/files/{file.id}/link", json={})
            file.link = made.json()["link"]["url"]
            file.told_in = {number} if file.place in ("project", "task") else set()
        self.files.append(file)

    async def circle(self, project: int, wanted: set[str], role: str = "VIEWER") -> None:
        """Those who are in a project from now on."""
        inside, wanted = self.rule.inside[project], wanted | {"owner"}
        for name in sorted(wanted - inside):
            await self.site.put(self.projects[project], self.people[name], role)
        for name in sorted(inside - wanted):
            address = f"/api/projects/{self.projects[project]['id']}/members/{self.people[name].id}"
            assert (await self.site.owner.client.delete(address)).status_code in (200, 204)
        self.rule.inside[project] = wanted

    async def go_on(self, private: Any, circles: Any, leaver: str | None) -> None:
        """Files move and go, people come and go, and so do the places."""
        owner = self.site.owner.client
        for file in self.files:
            if file.fate == "trashed":
                answer = await self.people[file.uploader].client.delete(f"/api/storage/files/{file.id}")
                assert answer.status_code in (200, 204), answer.text
            elif file.fate == "moves" and file.place in ("project", "task"):
                file.project, file.place = 1 - file.project, "project"
                file.told_in.add(file.project)
                body = {"fileType": "PROJECT_ASSET", "projectId": self.projects[file.project]["id"]}
                answer = await owner.patch(f"/api/storage/files/{file.id}", json=body)
                assert answer.status_code == 200, answer.text
        for project in PROJECTS:
            await self.circle(project, circles[project])
            if private[project] != self.rule.is_private[project]:
                self.rule.is_private[project] = private[project]
                await self.site.change_project(self.projects[project], isPrivate=private[project])
        if leaver is not None:
            member_id = self.site.member_ids[self.people[leaver].id]
            assert (await owner.delete(f"/api/team/members/{member_id}")).status_code in (200, 204)
            del self.rule.roles[leaver]
            for inside in self.rule.inside:
                inside.discard(leaver)
        await self.close_places()

    async def close_places(self) -> None:
        closing = [one for one in self.files if one.place in ("project", "task")]
        for project in sorted({one.project for one in closing if one.fate == "its task goes"}):
            answer = await self.site.owner.client.delete(f"/api/tasks/{self.tasks[project]['id']}")
            assert answer.status_code in (200, 204), answer.text
            self.rule.gone_tasks.add(project)
        for project in sorted({one.project for one in closing if one.fate == "its project goes"}):
            await self.site.delete_project(self.projects[project])
            self.rule.gone_projects.add(project)

    # --- looking ----------------------------------------------------------------------------------------------

    async def check(self, who: str, ways: list[str]) -> None:
        """All there is to ask, and of each file one more of the ways."""
        seen = [one for one in self.files if self.rule.sees(who, one)]
        here = [one for one in seen if one.place != "own"]
        placed = [one for one in here if one.place != "none"]
        untouched = {one.id for one in self.files if not one.told_in & self.rule.gone_projects}
        found = {
            "list": await self.listed(who, workspaceId=self.site.id),
            "own": await self.listed(who),
            "trash": await self.listed(who, workspaceId=self.site.id, trashed="true"),
            "search": await self.ids(who, "/api/search", "results", "id", q="secret", kinds="file"),
            "changes": await self.ids(who, "/api/changes", "changes", "entityId", limit="200") & untouched,
            "usage": await self.largest(who),
        }
        assert found == {
            "list": {one.id for one in here if one.fate != "trashed"},
            "own": {one.id for one in seen if one.place == "own" and one.fate != "trashed"},
            "trash": {one.id for one in here if one.fate == "trashed"},
            "search": {one.id for one in placed if one.is_served},
            "changes": {
                one.id
                for one in self.files
                if one.id in untouched and any(self.rule.in_circle(who, project) for project in one.told_in)
            },
            "usage": {one.id for one in here if one.fate != "under way"},
        }, who
        for project in PROJECTS:
            await self.check_task(who, project)
        for file, way in zip(self.files, ways, strict=False):
            assert await self.knows(who, file, "") == (file in seen), (who, file)
            if way == "/thumbnail" and not file.is_served:
                continue
            if way == ":zip" and file.place == "own":
                continue
            assert await self.knows(who, file, way) == (file in seen), (who, file, way)

    async def check_task(self, who: str, project: int) -> None:
        """Who sees the task counts what they see of it."""
        at, here = f"/api/tasks/{self.tasks[project]['id']}", self.people[who].client
        is_seen = project not in self.rule.gone_tasks | self.rule.gone_projects and self.rule.in_circle(who, project)
        task, attached = await here.get(at), await here.get(f"{at}/attachments")
        of_it = await here.get("/api/storage/files", params={"taskId": self.tasks[project]["id"]})
        assert {one.status_code for one in (task, attached)} == {200 if is_seen else 404}, (who, project)
        if not is_seen:
            assert not of_it.json().get("files"), (who, project)
            return
        wanted = [one for one in self.files if (one.place, one.project) == ("task", project)]
        wanted = [one for one in wanted if one.fate != "trashed" and self.rule.sees(who, one)]
        assert task.json()["task"]["counts"]["attachments"] == len([one for one in wanted if one.is_served])
        for listed in (attached.json()["attachments"], of_it.json()["files"]):
            assert {one["id"] for one in listed} == {one.id for one in wanted}, (who, project)

    async def knows(self, who: str, file: Held, way: str) -> bool:
        client, at = self.people[who].client, f"/api/storage/files/{file.id}"
        if way == ":zip":
            query, body = {"workspaceId": self.site.id}, {"fileIds": [file.id]}
            answer = await client.post("/api/storage/files:zip", params=query, json=body)
        elif way == "/link":
            answer = await client.post(at + way, json={})
        else:
            answer = await client.get(at + way)
        if way == "/versions/1/content" and file.fate == "under way":
            assert answer.status_code == 404  # there is none
            return self.rule.sees(who, file)
        assert answer.status_code in (200, 201, 404, 409), answer.text
        assert answer.status_code < 300 or not (file.is_served and self.rule.sees(who, file)), (who, file, way)
        return answer.status_code != 404

    async def check_links(self) -> None:
        """A link shows what its maker sees now."""
        for file in self.files:
            if file.link is not None:
                answer = await self.people["stranger"].client.get(file.link)
                wanted = file.is_served and self.rule.sees(file.uploader, file)
                assert answer.status_code == (200 if wanted else 404), (file, answer.text[:200])

    async def listed(self, who: str, **query: str) -> set[str]:
        mine = {one.id for one in self.files}
        return mine & await self.ids(who, "/api/storage/files", "files", "id", {}, **query)

    async def ids(self, who: str, path: str, name: str, key: str, at: Json | None = None, **query: str) -> set[str]:
        params = {**({"workspaceId": self.site.id} if at is None else at), **query}
        answer = await self.people[who].client.get(path, params=params)
        if answer.status_code == 404 and who not in self.rule.roles:
            return set()
        assert answer.status_code == 200, answer.text
        return {one[key] for one in answer.json()[name] if one.get("entity", "file") == "file"}

    async def largest(self, who: str) -> set[str]:
        answer = await self.people[who].client.get("/api/storage/usage", params={"workspaceId": self.site.id})
        if answer.status_code == 404 and who not in self.rule.roles:
            return set()
        return {one["id"] for one in answer.json()["usage"]["largestFiles"]}


@pytest.fixture
async def others(new_person: NewPerson) -> dict[str, Person]:
    """They come into one workspace after the other."""
    return {name: await new_person(name=name.title()) for name in EVERYBODY if name != "owner"}


@settings(
    max_examples=rounds(5, 100),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # to shrink what takes a second to try would take minutes
    print_blob=True,
)
@given(
    drawn=st.lists(
        st.tuples(*(st.sampled_from(one) for one in (UPLOADERS, PLACES, PROJECTS, FATES))), min_size=2, max_size=4
    ),
    private=st.tuples(BOTH, BOTH),
    circles=CIRCLES,
    leaver=st.sampled_from((None, *OTHERS)),
    data=st.data(),
)
async def test_everybody_sees_the_same_files_wherever_they_look(
    platform: Platform,
    new_person: NewPerson,
    others: dict[str, Person],
    drawn: Any,
    private: Any,
    circles: Any,
    leaver: str | None,
    data: Any,
) -> None:
    town = await Town.open(platform, new_person, others, private[0])
    for number, (uploader, place, project, fate) in enumerate(drawn):
        may = {"stranger": "own", "guest": "project" if place == "none" else place}.get(uploader, place)
        await town.bring(Held("", uploader, may, project, fate), encoded(painted(20 + number, 20)))
    await town.go_on(private[1], circles, leaver)
    for who in data.draw(st.permutations(EVERYBODY))[: rounds(4, len(EVERYBODY))]:
        await town.check(who, data.draw(st.lists(st.sampled_from(WAYS), min_size=len(drawn), max_size=len(drawn))))
    await town.check_links()
