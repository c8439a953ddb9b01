"""Taking a person's name out of texts: out of words alone, whatever people are called."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Table, select

from pm_api.core import personal
from pm_api.core.platform import Platform
from pm_api.identity.models.people import AuditEntry

TOLD: dict[str, Any] = {
    "count": 1,
    "isBig": True,
    "nothing": None,
    "said": ["1, true and null met", {"role": "They wrote:\nTrue wanted 1."}],
}


async def struck(platform: Platform, content: dict[str, Any], *words: str) -> dict[str, Any]:
    table = AuditEntry.__table__
    assert isinstance(table, Table)
    row = AuditEntry(
        id=uuid4(),
        actor_kind="SYSTEM",
        action="tests.told",
        subject_type="test",
        subject_id="1",
        details=content,
        request_id="",
        created_at=datetime.now(UTC),
    )
    async with platform.database.transaction() as session:
        session.add(row)
        await session.flush()
        await personal.strike(session, table, ["details"], AuditEntry.id == row.id, words)
    async with platform.database.reading() as session:
        found: dict[str, Any] | None = await session.scalar(select(AuditEntry.details).where(AuditEntry.id == row.id))
        assert found is not None
        return found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("1", ["Deleted user, true and null met", {"role": "They wrote:\nTrue wanted Deleted user."}]),
        ("true", ["1, Deleted user and null met", {"role": "They wrote:\nDeleted user wanted 1."}]),
        ("null", ["1, true and Deleted user met", {"role": "They wrote:\nTrue wanted 1."}]),
        ("role", TOLD["said"]),
    ],
)
async def test_a_name_that_means_something_in_json_is_taken_out_of_its_texts_alone(
    platform: Platform, name: str, said: list[Any]
) -> None:
    assert await struck(platform, TOLD, name) == {**TOLD, "said": said}


async def test_longer_words_go_first_and_what_stands_for_them_stays(platform: Platform) -> None:
    told = {"said": 'Ann "user" Archer (ann@acme.dev), Annabel and user'}
    words = ("ann@acme.dev", 'Ann "user" Archer', "user")
    assert await struck(platform, told, *words) == {
        "said": "Deleted user (Deleted user), Annabel and Deleted user",
    }
