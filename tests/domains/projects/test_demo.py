"""The demo's projects: there once, and never again where people have changed them."""

from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.seed import seed


async def test_demo_projects_are_made_once(fresh_platform: Platform) -> None:
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
    for change, expected in (
        ("", ["APP", "TPL", "WEB"]),
        ("UPDATE projects SET key = 'NEW' WHERE key = 'WEB'", ["APP", "NEW", "TPL"]),
        ("DELETE FROM projects", ["APP", "TPL", "WEB"]),
    ):
        async with fresh_platform.database.transaction() as session:
            await session.execute(text(change or "SELECT 1"))
        await seed(fresh_platform, None)
        async with fresh_platform.database.reading() as session:
            keys = list(await session.scalars(text("SELECT key FROM projects ORDER BY key")))
        assert keys == expected, change
