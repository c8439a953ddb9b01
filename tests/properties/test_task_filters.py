"""Filters of tasks: PostgreSQL finds what a naive reading of the filter finds, and what is printed reads back."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.domains.projects.models import Project, ProjectLabel, ProjectStatus
from pm_api.domains.tasks.filtering import (
    And,
    Condition,
    Field,
    Filter,
    Kind,
    Me,
    Not,
    Op,
    Or,
    Relative,
    field_named,
    json_form,
    parse,
    printed,
    resolve,
)
from pm_api.domains.tasks.filtering.terms import FIELDS, PRIORITIES, Base, Unit, together
from pm_api.domains.tasks.models import Task, TaskAssignee, TaskDependency, TaskLabel, TaskWatcher
from pm_api.domains.tasks.repository.filtering import Asker, where
from pm_api.identity.models.people import Member, Scope, User, Workspace
from tests.support.soak import rounds

NOW: Final = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
"""Half an hour before the clocks of Berlin go forward."""
ZONES: Final = ("Europe/Berlin", "America/New_York", "Pacific/Auckland")
STATUSES: Final = {"TODO": "TODO", "DOING": "IN_PROGRESS", "CHECK": "IN_PROGRESS", "DONE": "DONE", "OFF": "CANCELED"}
LABELS: Final = ("Bug", 'quo"ted', "back\\slash")
TITLES: Final = ("Alpha", "alphabet", "100% of it_", "back\\slash", "'; DROP TABLE tasks; --")
PEOPLE: Final = [UUID(int=(7 << 76) | (0b10 << 62) | number) for number in range(1, 4)]
ME: Final = PEOPLE[0]
DAYS: Final = [date(2026, 3, 26) + timedelta(days=number) for number in range(8)]
MOMENTS: Final = [datetime(2026, 3, 27, tzinfo=UTC) + timedelta(minutes=90 * number) for number in range(60)]
TEXTS: Final = ("gold", "Goldfish", "2026-03-29", str(ME), "5", "")


class Row:
    """A task as plain values."""

    def __init__(self, chance: random.Random, number: int) -> None:
        self.id = uuid4()
        self.number = number
        self.title = chance.choice(TITLES)
        self.description = chance.choice(("", "alpha and omega", "GOLD"))
        self.status = chance.choice(list(STATUSES))
        self.priority = chance.randrange(5)
        self.start = chance.choice([None, *DAYS, *MOMENTS[:8]])
        self.due = chance.choice([None, *DAYS, *MOMENTS[8:16]])
        self.created = chance.choice(MOMENTS)
        self.updated = chance.choice(MOMENTS)
        self.completed = chance.choice([None, *MOMENTS])
        self.estimate = chance.choice([None, 0, 5, 60])
        self.creator = chance.choice(PEOPLE)
        self.assignees = {one for one in PEOPLE if chance.random() < 0.4}
        self.watchers = {one for one in PEOPLE if chance.random() < 0.3}
        self.labels = {one for one in LABELS if chance.random() < 0.4}
        self.fields = {
            key: chance.choice([*TEXTS, 5, -1.5, 10**6, True, False, None])
            for key in ("TIER", "SCORE")
            if chance.random() < 0.8
        }
        self.deleted = False
        self.parent: Row | None = None
        self.blockers: list[Row] = []

    @property
    def is_blocked(self) -> bool:
        return any(not one.deleted and STATUSES[one.status] in ("TODO", "IN_PROGRESS") for one in self.blockers)


def rows_of(chance: random.Random, count: int) -> list[Row]:
    rows = [Row(chance, number) for number in range(1, count + 1)]
    for place, row in enumerate(rows):
        if place and chance.random() < 0.3:
            row.parent = chance.choice(rows[:place])
        if place and chance.random() < 0.4:
            row.blockers = chance.sample(rows[:place], k=min(place, chance.randrange(1, 3)))
        row.deleted = chance.random() < 0.1
    return rows


# --- the naive reading -----------------------------------------------------------------------------------------


def holds(node: Filter, row: Row, zone: ZoneInfo) -> bool:
    if isinstance(node, Not):
        return not holds(node.part, row, zone)
    if isinstance(node, And | Or):
        parts = [holds(one, row, zone) for one in node.parts]
        return all(parts) if isinstance(node, And) else any(parts)
    if node.op in (Op.IS_NULL, Op.IS_NOT_NULL):
        return bool(value_of(node.field, row)) is (node.op is Op.IS_NOT_NULL)
    if node.op in (Op.IN, Op.UNEQUAL):
        is_one = any(compared(node.field, Op.EQUAL, one, row, zone) for one in node.values)
        return is_one is (node.op is Op.IN)
    return compared(node.field, node.op, node.value, row, zone)


def value_of(field: Field, row: Row) -> Any:
    """Something that is true when it is there."""
    name = field.name
    if name.startswith("fields."):
        value = row.fields.get(name.removeprefix("fields."))
        return value is not None and value != ""
    if name == "estimate":
        return row.estimate is not None
    return getattr(row, {"assignee": "assignees", "watcher": "watchers", "label": "labels"}.get(name, name))


def compared(field: Field, op: Op, value: Any, row: Row, zone: ZoneInfo) -> bool:
    name = field.name
    if name.startswith("fields."):
        return custom(row.fields.get(name.removeprefix("fields.")), op, value, zone)
    if field.kind is Kind.DATE:
        return dated(getattr(row, name), op, resolve(value, NOW, zone), zone)
    if field.kind is Kind.NUMBER:
        mine = getattr(row, name)
        return mine is not None and ordered(mine, op, value)
    if name == "priority":
        return ordered(row.priority, op, PRIORITIES.index(value))
    if op is Op.CONTAINS:
        texts = [row.title] if name == "title" else [row.title, row.description]
        return any(value.lower() in one.lower() for one in texts)
    return equal(name, row, str(ME) if isinstance(value, Me) else value)


def equal(name: str, row: Row, value: Any) -> bool:
    parent = row.parent
    same: dict[str, Any] = {
        "title": [row.title],
        "label": [one.lower() for one in row.labels],
        "parent": [str(parent.id), f"WEB-{parent.number}"] if parent is not None else [],
        "status": [row.status],
        "statusCategory": [STATUSES[row.status]],
        "isBlocked": [row.is_blocked],
        "creator": [str(row.creator)],
        "assignee": [str(one) for one in row.assignees],
        "watcher": [str(one) for one in row.watchers],
    }
    return (value.lower() if name == "label" else value) in same[name]


def dated(mine: date | datetime | None, op: Op, value: date | datetime, zone: ZoneInfo) -> bool:
    if mine is None:
        return False
    if isinstance(mine, datetime) and isinstance(value, datetime):
        return ordered(mine, op, value)
    return ordered(day_of(mine, zone), op, day_of(value, zone))


def day_of(value: date | datetime, zone: ZoneInfo) -> date:
    return value.astimezone(zone).date() if isinstance(value, datetime) else value


def custom(mine: Any, op: Op, value: Any, zone: ZoneInfo) -> bool:
    if isinstance(value, Me):
        value = str(ME)
    if isinstance(value, date | Relative):
        value = day_of(resolve(value, NOW, zone), zone).isoformat()
    if op is Op.CONTAINS:
        return isinstance(mine, str) and value.lower() in mine.lower()
    if isinstance(value, bool) or isinstance(mine, bool):
        return isinstance(value, bool) and isinstance(mine, bool) and mine is value
    if isinstance(value, Decimal):
        return isinstance(mine, int | float) and ordered(Decimal(str(mine)), op, value)
    return isinstance(mine, str) and ordered(mine, op, value)


def ordered(mine: Any, op: Op, value: Any) -> bool:
    return bool(
        {
            Op.EQUAL: mine == value,
            Op.LESS: mine < value,
            Op.AT_MOST: mine <= value,
            Op.MORE: mine > value,
            Op.AT_LEAST: mine >= value,
        }[op]
    )


# --- filters ---------------------------------------------------------------------------------------------------

relatives = st.builds(
    lambda base, amount, unit: Relative(base, amount, unit) if amount else Relative(base),
    st.sampled_from(Base),
    st.integers(-9, 9),
    st.sampled_from(Unit),
)
dates: st.SearchStrategy[Any] = st.one_of(st.sampled_from(DAYS), st.sampled_from(MOMENTS), relatives)
people: st.SearchStrategy[Any] = st.one_of(st.just(Me()), st.sampled_from([str(one) for one in PEOPLE]))
decimals = st.sampled_from([Decimal(5), Decimal("-1.5"), Decimal(10**6), Decimal("0.25")])


def values_of(field: Field, op: Op, rows: list[Row]) -> st.SearchStrategy[Any]:
    if op is Op.CONTAINS:
        return st.sampled_from(["alpha", "GOLD", "%", "_", "\\", "'", "slash", "2026"])
    return {
        Kind.DATE: dates,
        Kind.PERSON: people,
        Kind.FLAG: st.booleans(),
        Kind.NUMBER: st.sampled_from([Decimal(number) for number in (0, 3, 5, 20, 60)]),
        Kind.WORD: st.sampled_from(field.words or tuple(STATUSES)),
        Kind.LABEL: st.sampled_from([*LABELS, "bug", "none of them"]),
        Kind.TEXT: st.sampled_from([*TITLES, "alpha"]),
        Kind.TASK: st.sampled_from([*(str(one.id) for one in rows[:5]), "WEB-1", "WEB-2", "WEB-3", "APP-1"]),
        Kind.CUSTOM: st.one_of(
            st.sampled_from([one for one in TEXTS if one]), decimals, st.booleans(), people, dates
        ),
    }[field.kind]


@st.composite
def conditions(draw: st.DrawFn, rows: list[Row]) -> Filter:
    name = draw(st.sampled_from([*FIELDS, "fields.TIER", "fields.SCORE"]))
    field = field_named(name)
    assert field is not None
    op = draw(st.sampled_from(sorted(field.ops)))
    if op in (Op.IS_NULL, Op.IS_NOT_NULL):
        return Condition(field, op)
    chosen = values_of(field, op, rows)
    if field.kind is Kind.CUSTOM and op not in (Op.EQUAL, Op.UNEQUAL, Op.IN, Op.CONTAINS):
        chosen = chosen.filter(lambda one: not isinstance(one, bool | Me))
    many = draw(st.lists(chosen, min_size=1, max_size=3 if op is Op.IN else 1))
    return Condition(field, op, tuple(many))


def filters(rows: list[Row]) -> st.SearchStrategy[Filter]:
    def deeper(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
        parts = st.lists(inner, min_size=2, max_size=3)
        return st.one_of(
            st.builds(Not, inner),
            st.builds(lambda found: together(And, found), parts),
            st.builds(lambda found: together(Or, found), parts),
        )

    return st.recursive(conditions(rows), deeper, max_leaves=6)


# --- the proofs ------------------------------------------------------------------------------------------------


async def store(session: AsyncSession, rows: list[Row]) -> UUID:
    """One open project with these tasks, and everybody a member of its workspace; returns the workspace."""
    workspace_id, scope_id, project_id = uuid4(), uuid4(), uuid4()
    times = {"created_at": NOW, "updated_at": NOW}
    for place, user_id in enumerate(PEOPLE):
        session.add(
            User(
                id=user_id,
                email=f"{uuid4().hex}@example.com",
                name=f"P{place}",
                locale="en",
                time_zone="UTC",
                **times,
            )
        )
    await session.flush()
    session.add(Workspace(id=workspace_id, name="W", slug=workspace_id.hex, **times))
    await session.flush()
    for user_id in PEOPLE:
        session.add(Member(id=uuid4(), workspace_id=workspace_id, user_id=user_id, role="MEMBER", joined_at=NOW))
    session.add(Scope(id=scope_id, workspace_id=workspace_id, is_open=True))
    await session.flush()
    inside = {"workspace_id": workspace_id, "scope_id": scope_id}
    session.add(
        Project(
            id=project_id, key="WEB", name="Web", description="", status="ACTIVE", colour="#000000", icon="",
            created_by_user_id=ME, **inside, **times,
        )
    )  # fmt: skip
    await session.flush()
    for place, (key, category) in enumerate(STATUSES.items()):
        session.add(
            ProjectStatus(
                id=uuid4(), project_id=project_id, key=key, name=key, category=category, colour="", position=place,
                **inside,
            )
        )  # fmt: skip
    labels = {name: uuid4() for name in LABELS}
    for name, label_id in labels.items():
        session.add(ProjectLabel(id=label_id, project_id=project_id, name=name, colour="#000000", **inside))
    await session.flush()
    for row in rows:
        session.add(stored(row, project_id, inside))
        await session.flush()
        hanging = {"task_id": row.id, "workspace_id": workspace_id}
        session.add_all([TaskAssignee(user_id=one, assigned_at=NOW, **hanging) for one in row.assignees])
        session.add_all([TaskWatcher(user_id=one, **hanging) for one in row.watchers])
        session.add_all([TaskLabel(label_id=labels[one], **hanging) for one in row.labels])
        for blocker in row.blockers:
            session.add(
                TaskDependency(
                    id=uuid4(), task_id=blocker.id, other_task_id=row.id, kind="BLOCKS", created_by_user_id=ME,
                    created_at=NOW, **inside,
                )
            )  # fmt: skip
    await session.flush()
    return workspace_id


def stored(row: Row, project_id: UUID, inside: dict[str, Any]) -> Task:
    spans = {}
    for name, value in (("start", row.start), ("due", row.due)):
        spans[f"{name}_at" if isinstance(value, datetime) else f"{name}_on"] = value
    return Task(
        id=row.id,
        project_id=project_id,
        number=row.number,
        title=row.title,
        description=row.description,
        status=row.status,
        priority=row.priority,
        board_key="a0",
        estimate_minutes=row.estimate,
        parent_id=row.parent.id if row.parent else None,
        fields=row.fields,
        created_by_user_id=row.creator,
        completed_at=row.completed,
        deleted_at=NOW if row.deleted else None,
        created_at=row.created,
        updated_at=row.updated,
        **spans,
        **inside,
    )


@pytest.mark.parametrize("zone", ZONES)
async def test_the_database_finds_what_a_naive_reading_finds(session: AsyncSession, zone: str) -> None:
    rows = rows_of(random.Random(zone), 80)
    workspace_id = await store(session, rows)
    me = WorkspaceScope(Actor(ActorKind.USER, ME), workspace_id, ME, "MEMBER")
    asker = Asker(me, NOW, ZoneInfo(zone))
    drawn = examples(filters(rows))
    telling = 0
    for node in drawn:
        wanted = select(Task.number).where(Task.workspace_id == workspace_id, where(node, asker))
        found = set(await session.scalars(wanted))
        assert found == {row.number for row in rows if holds(node, row, asker.zone)}, printed(node)
        telling += 0 < len(found) < len(rows)
    assert telling > len(drawn) / 4, "filters that find nothing or everything prove little"


def examples(strategy: st.SearchStrategy[Filter]) -> list[Filter]:
    """Drawn first and asked later: a session belongs to one loop, and hypothesis has none."""
    drawn: list[Filter] = []

    @settings(
        max_examples=rounds(short=60, long=5000),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(node: Filter) -> None:
        drawn.append(node)

    draw()
    return drawn


@settings(max_examples=rounds(short=100, long=20_000), deadline=None)
@given(filters(rows_of(random.Random(1), 8)))
def test_what_is_printed_reads_back(node: Filter) -> None:
    assert parse(printed(node)) == node
    assert parse(json_form(node)) == node
