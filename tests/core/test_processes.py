"""What tests see of the processes they start."""

import asyncio
from pathlib import Path

from tests.support.processes import Process


async def test_what_was_said_first_is_looked_through_too(tmp_path: Path) -> None:
    """A secret may be in any line; to see why a process failed its last lines will do."""
    log = tmp_path / "process.log"
    log.write_text("the secret\n" + "x" * 100_000 + "\nthe end\n")
    process = Process(await asyncio.create_subprocess_exec("true"), "", str(log))
    assert "the secret" in process.said()
    assert "the end" in process.last_said()
    assert len(process.last_said()) < 5_000
    assert await process.handle.wait() == 0
