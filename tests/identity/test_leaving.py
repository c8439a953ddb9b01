"""A person who goes: what is written down of it, and what is taken out of what was written down before."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from pm_api.core import personal
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.personal import DELETED_USER, Leaving, marks
from pm_api.core.platform import Platform
from pm_api.identity import leaving, recovery
from pm_api.identity.devices import Device
from pm_api.identity.email_tokens import Purpose, tokens_of
from pm_api.identity.models.people import AuditEntry, User, Workspace
from pm_api.identity.models.sign_in import EmailToken, SecurityEvent
from pm_api.identity.permissions import Role
from pm_api.identity.repository import leaving as leaving_rows
from tests.conftest import PASSWORD, NewPerson, Person
from tests.identity.teams import audit_of, join, make_workspace
from tests.support.clock import MovableClock

DEVICE = Device("Firefox", "127.0.0.1")


async def depart(platform: Platform, person: Person) -> Leaving:
    async with platform.database.transaction() as session:
        user = await leaving.lock(session, person.id)
        assert user is not None
        return await leaving.depart(session, platform, user)


async def move_to(platform: Platform, person: Person, email: str) -> None:
    """The whole way: asked for, and the link opened."""
    asked = await person.client.post("/api/auth/change-email", json={"email": email, "password": PASSWORD})
    assert asked.status_code == 204, asked.text
    async with platform.database.reading() as session:
        row = await session.scalar(
            select(EmailToken).where(
                EmailToken.user_id == person.id, EmailToken.purpose == Purpose.CHANGE_EMAIL, EmailToken.email == email
            )
        )
    assert row is not None
    await recovery.verify_email(platform, tokens_of(platform.keys, row.id)[0], DEVICE)


async def test_leaving_a_deleted_workspace_is_written_down(platform: Platform, new_person: NewPerson) -> None:
    """Whoever restores it finds a member less, and asks why."""
    owner, member = await new_person(), await new_person()
    workspace_id = (await make_workspace(owner))["id"]
    member_id = await join(platform, workspace_id, member, Role.MEMBER)
    assert (await owner.client.delete(f"/api/workspaces/{workspace_id}")).status_code == 204
    await depart(platform, member)
    last = (await audit_of(platform, workspace_id))[-1]
    assert (last.action, last.subject_id) == ("member.removed", str(member_id))
    assert (last.actor_user_id, last.details["user_id"], last.details["role"]) == (None, str(member.id), "MEMBER")
    async with platform.database.reading() as session:
        told = await session.scalars(
            text(
                "SELECT convert_from(payload, 'UTF8')::json->>'action' FROM pgqueuer WHERE entrypoint LIKE :name"
                " AND convert_from(payload, 'UTF8')::json->>'member_id' = :id ORDER BY id"
            ),
            {"name": "member.changed>changes.%", "id": str(member_id)},
        )
        assert told.all() == ["added", "removed"]


async def test_so_is_the_end_of_the_last_membership(platform: Platform, person: Person) -> None:
    workspace_id = (await make_workspace(person))["id"]
    await depart(platform, person)
    entries = await audit_of(platform, workspace_id)
    assert [one.action for one in entries][-2:] == ["workspace.deleted", "member.removed"]
    assert entries[-1].details["user_id"] == str(person.id)


async def test_a_workspace_that_goes_with_its_person_is_nobodys(platform: Platform, person: Person) -> None:
    made = await make_workspace(person, name="Ann Archer's", description="What Ann does.")
    async with platform.database.transaction() as session:
        row = await session.get_one(Workspace, UUID(made["id"]))
        row.logo = "/api/storage/pictures/of-ann"
    await depart(platform, person)
    async with platform.database.reading() as session:
        row = await session.get_one(Workspace, UUID(made["id"]))
    assert (row.name, row.slug) == ("Deleted workspace", f"deleted-{row.id.hex}")
    assert (row.description, row.logo) == (None, None)


async def test_addresses_from_before_are_known_after_their_links_are_forgotten(
    platform: Platform, person: Person, clock: MovableClock
) -> None:
    """Links live for days, what happened at the door for a year."""
    first, second, third = person.email, *(f"{uuid4().hex[:12]}@example.com" for _ in range(2))
    await move_to(platform, person, second)
    await move_to(platform, person, third)
    clock.advance(days=8)
    await run_sweep(platform, PERIODICS["identity.forget_sign_ins"])
    async with platform.database.reading() as session:
        assert await session.scalar(select(EmailToken.id).where(EmailToken.user_id == person.id)) is None
        assert set(await leaving_rows.former_addresses(session, person.id)) == {first, second, third}
    gone = await depart(platform, person)
    assert (gone.email, set(gone.former)) == (third, {first, second})
    await personal.erase_marked(platform, gone)
    async with platform.database.reading() as session:
        assert (await session.scalars(select(SecurityEvent).where(SecurityEvent.user_id == person.id))).all() == []
        assert await leaving_rows.former_addresses(session, person.id) == []


async def test_an_address_somebody_only_asked_for_is_not_theirs(platform: Platform, person: Person) -> None:
    """It may be another's, whose texts are not to be struck."""
    wanted = f"{uuid4().hex[:12]}@example.com"
    asked = await person.client.post("/api/auth/change-email", json={"email": wanted, "password": PASSWORD})
    assert asked.status_code == 204
    async with platform.database.transaction() as session:
        await session.execute(text("DELETE FROM email_tokens WHERE user_id = :id"), {"id": person.id})
    async with platform.database.reading() as session:
        assert await leaving_rows.former_addresses(session, person.id) == []


class Died(BaseException):
    """The process is gone."""


async def test_the_log_is_struck_in_pieces_that_may_be_cut_off_anywhere(
    platform: Platform, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction holds a whole workspace's log, and what one has done stays done."""
    workspace_id, name = UUID((await make_workspace(person))["id"]), f"Zoe {uuid4().hex[:8]}"
    now = platform.clock.now()
    async with platform.database.transaction() as session:
        for number in range(7):
            session.add(
                AuditEntry(
                    id=platform.randomness.uuid(),
                    workspace_id=workspace_id,
                    actor_kind="SYSTEM",
                    action="tests.told",
                    subject_type="test",
                    subject_id=str(number),
                    details={"said": f"{name} did {number}"},
                    request_id="",
                    created_at=now + timedelta(seconds=number),
                )
            )
    monkeypatch.setattr(marks, "ROWS_AT_A_TIME", 3)
    gone = Leaving(person.id, person.email, name, left=(workspace_id,))

    async def said() -> list[str]:
        async with platform.database.reading() as session:
            rows = await session.scalars(
                select(AuditEntry.details["said"].as_string())
                .where(AuditEntry.workspace_id == workspace_id, AuditEntry.action == "tests.told")
                .order_by(AuditEntry.created_at)
            )
            return list(rows)

    opened = 0
    transaction = platform.database.transaction

    def dying() -> object:
        nonlocal opened
        opened += 1
        if opened == 3:
            raise Died
        return transaction()

    with monkeypatch.context() as patched:
        patched.setattr(platform.database, "transaction", dying)
        with pytest.raises(Died):
            await leaving.strike_the_log(platform, gone)
    struck = [one.startswith(DELETED_USER) for one in await said()]
    assert struck == [True] * 6 + [False]
    for _ in range(2):
        await leaving.strike_the_log(platform, gone)
        assert await said() == [f"{DELETED_USER} did {number}" for number in range(7)]
    async with platform.database.reading() as session:
        assert await session.get(User, person.id) is not None
