"""A new user's first hour, as the script in `examples/` goes through it, against a server on a real socket."""

import asyncio

import pytest
from fastapi import FastAPI

from examples import first_project
from tests.support.server import serve


async def test_the_first_hour_goes_as_told(app: FastAPI, capsys: pytest.CaptureFixture[str]) -> None:
    async with serve(app) as address:
        await asyncio.to_thread(first_project.main, address)
    told = capsys.readouterr().out
    assert "thirty tasks, WEB-1 to WEB-30" in told
    assert "the same tasks, title by title" in told


async def test_a_step_that_did_not_happen_stops_the_story() -> None:
    with pytest.raises(first_project.Surprise):
        first_project.expect("water flows up", False)
