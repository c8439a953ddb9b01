"""The lines of docs/calendar.md work as they stand there, for the demo person, against a server on a real socket."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.seed import seed
from tests.support.server import serve

PAGE: Final = Path(__file__).parents[2] / "docs" / "calendar.md"


def lines() -> str:
    [block] = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(block)


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl", "python3"))), reason="needs bash, curl and python3")
async def test_the_lines_work_as_pasted(fresh_platform: Platform) -> None:
    await seed(fresh_platform, None)
    async with serve(create_app(fresh_platform.settings, fresh_platform)) as address:
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-e", "-o", "pipefail", "-c", lines()),
            env={"API": f"{address}/api", "PATH": "/usr/local/bin:/usr/bin:/bin", "no_proxy": "127.0.0.1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        told, wrong = await shell.communicate()
    assert shell.returncode == 0, wrong.decode()
    answers, file = documents(told.decode())
    previewed, moved, month, agenda = answers
    assert [one["code"] for one in previewed["warnings"]] == ["DST_GAP"]
    assert len(previewed["occurrences"]) == 3
    assert moved["event"]["isException"] is True
    reviews = [one["startTime"] for one in month["events"] if one["title"] == "Review"]
    assert reviews == [
        "2027-03-01T14:00:00.000Z",
        "2027-03-08T14:00:00.000Z",
        "2027-03-16T19:00:00.000Z",
        "2027-03-22T13:00:00.000Z",
    ]
    assert [one["startTime"] for one in agenda["items"] if one["title"] == "Review"] == reviews
    assert file.startswith("BEGIN:VCALENDAR")
    assert "RECURRENCE-ID;TZID=America/New_York:20270315T090000" in file


def documents(text: str) -> tuple[list[Any], str]:
    """JSON documents one after the other, and what follows them."""
    found, at = [], 0
    while text[at:].lstrip().startswith("{"):
        at += len(text[at:]) - len(text[at:].lstrip())
        one, end = json.JSONDecoder().raw_decode(text[at:])
        found.append(one)
        at += end
    return found, text[at:].lstrip()
