"""The demo's projects: there once, and never again where people have changed them."""

import pytest
from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.seed import seed


@pytest.mark.parametrize("change", ["", "UPDATE projects SET key = 'NEW' WHERE key = 'WEB'", "DELETE FROM projects"])
async def test_demo_projects_are_made_once(fresh_platform: Platform, change: str) -> None:
    await seed(fresh_platform, None)
    async with fresh_platform.database.transaction() as session:
        rows = await session.execute(
            text(
                "SELECT p.key, p.status, p.is_template, count(m.user_id) FROM projects p"
                " LEFT JOIN scope_members m ON m.scope_id = p.scope_id GROUP BY p.id ORDER BY p.key"
            )
        )
        assert [tuple(row) for row in rows] == [
            ("APP", "PLANNED", False, 1),
            ("TPL", "PLANNED", True, 1),
            ("WEB", "ACTIVE", False, 4),
        ]
        if change:
            await session.execute(text(change))
    await seed(fresh_platform, None)
    async with fresh_platform.database.reading() as session:
        keys = list(await session.scalars(text("SELECT key FROM projects ORDER BY key")))
    expected = {"": ["APP", "TPL", "WEB"], "DELETE FROM projects": ["APP", "TPL", "WEB"]}
    assert keys == expected.get(change, ["APP", "NEW", "TPL"])
