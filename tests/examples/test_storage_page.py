"""The lines of docs/storage.md work as they stand there, for the demo person, against a server on a real socket."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Final

import pytest

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.seed import seed
from tests.support.server import serve

PAGE: Final = Path(__file__).parents[2] / "docs" / "storage.md"
TOOLS: Final = ("bash", "curl", "python3", "base64", "head", "tail", "sed", "tr", "grep", "mktemp")
NOTES: Final = "Freeze the copy on Friday.\n"


def lines() -> str:
    [block] = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(block)


@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="needs bash, curl, python3 and the usual tools")
async def test_the_lines_work_as_pasted(fresh_platform: Platform, tmp_path: Path) -> None:
    await seed(fresh_platform, None)
    async with serve(create_app(fresh_platform.settings, fresh_platform)) as address:
        fresh_platform.settings.public_url = address
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-e", "-o", "pipefail", "-c", lines()),
            env={
                "API": f"{address}/api",
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "no_proxy": "127.0.0.1",
                "TMPDIR": str(tmp_path),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        told, wrong = await shell.communicate()
    assert shell.returncode == 0, wrong.decode() + told.decode()
    text = told.decode()
    uploaded, end = json.JSONDecoder().raw_decode(text)
    assert uploaded["receipt"]["fileSize"] == len(NOTES)
    assert (uploaded["file"]["uploadStatus"], uploaded["file"]["mimeType"]) == ("COMPLETED", "text/plain")
    rest = text[end:].strip()
    whole, _, rest = rest.partition("\n")
    part, _, rest = rest.partition("\n")
    linked, _, rest = rest.partition("\n")
    assert (whole, part, linked) == (NOTES.strip(), NOTES[:6], NOTES.strip())
    first, second, picture, usage = rest.split("\n", 3)
    assert [one.partition(":")[2].strip() for one in (first, second)] == ["1000000", "3000000"]
    assert picture == "200 image/webp"
    counted = json.loads(usage)["usage"]
    # The pieces are put together by a job; until then they are what is reserved.
    assert counted["totalUsed"] + counted["reserved"] >= len(NOTES) + 3_000_000
