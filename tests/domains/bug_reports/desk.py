"""A workspace with an owner, a member and a viewer, and the calls of bug reports."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import update

from pm_api.core.platform import Platform
from pm_api.identity.guards import SessionCache
from pm_api.identity.models.people import User
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.identity.teams import join, make_workspace

PATH = "/api/bug-reports"


@dataclass
class Desk:
    """One workspace's people. `operator` runs the installation, `stranger` belongs elsewhere."""

    platform: Platform
    workspace_id: str
    owner: Person
    admin: Person
    member: Person
    viewer: Person
    operator: Person
    stranger: Person
    made: list[str] = field(default_factory=list)

    @property
    def people(self) -> dict[str, Person]:
        return {name: getattr(self, name) for name in ("owner", "admin", "member", "viewer", "operator", "stranger")}

    async def report(self, person: Person, title: str = "It breaks", **fields: Any) -> dict[str, Any]:
        """A report on the workspace; `workspaceId=None` makes it one on the product."""
        body = {"title": title, "workspaceId": self.workspace_id, **fields}
        answer = await person.client.post(PATH, json=body)
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"] == f"{PATH}/{answer.json()['bugReport']['id']}"
        made: dict[str, Any] = answer.json()["bugReport"]
        return made

    async def triage(
        self, person: Person, report: dict[str, Any], expected: int = 200, **fields: Any
    ) -> dict[str, Any]:
        answer = await person.client.post(f"{PATH}/{report['id']}/triage", json=fields)
        assert answer.status_code == expected, answer.text
        content: dict[str, Any] = answer.json()
        return content["bugReport"] if expected == 200 else content

    async def seen(self, person: Person, **parameters: Any) -> set[str]:
        """Ids of all that somebody's list holds."""
        answer = await person.client.get(PATH, params={"limit": 200, **parameters})
        assert answer.status_code == 200, answer.text
        return {one["id"] for one in answer.json()["bugReports"]} & set(self.made)


async def open_desk(platform: Platform, new_person: NewPerson) -> Desk:
    people = {name: await new_person(name=name.title()) for name in ("owner", "admin", "member", "viewer")}
    workspace_id = (await make_workspace(people["owner"]))["id"]
    for name, role in (("admin", Role.ADMIN), ("member", Role.MEMBER), ("viewer", Role.VIEWER)):
        await join(platform, workspace_id, people[name], role)
    operator, stranger = await new_person(name="Operator"), await new_person(name="Stranger")
    await make_workspace(stranger)
    async with platform.database.transaction() as session:
        await session.execute(update(User).where(User.id == operator.id).values(is_admin=True))
    platform.part(SessionCache).clear()
    return Desk(
        platform,
        workspace_id,
        owner=people["owner"],
        admin=people["admin"],
        member=people["member"],
        viewer=people["viewer"],
        operator=operator,
        stranger=stranger,
    )
