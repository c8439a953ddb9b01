"""Several who write to one calendar at the same moment: nothing is lost, and nothing is left half done."""

import asyncio
from collections import Counter

import pytest

from pm_api.core.platform import Platform
from tests.conftest import NewPerson
from tests.domains.calendar.diaries import Diary, key, open_diary, path_of
from tests.domains.projects import sites

SECOND = "20260309T130000Z"


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def test_of_two_who_change_what_they_read_one_does(diary: Diary) -> None:
    event = await diary.event()
    for version in range(1, 6):
        answers = await asyncio.gather(
            *(
                diary.owner.client.patch(
                    path_of(event["id"]), json={"title": f"{version}-{n}"}, headers={"If-Match": f'"{version}"'}
                )
                for n in range(2)
            )
        )
        assert sorted(one.status_code for one in answers) == [200, 412]
    assert (await diary.read(event["id"]))["version"] == 6


async def test_changes_of_single_occurrences_at_once_are_all_there(diary: Diary) -> None:
    series = await diary.series()
    shown = await diary.shown("2026-03-01", "2026-06-01")
    answers = await asyncio.gather(
        *(diary.owner.client.patch(path_of(one["id"]), json={"title": f"No. {n}"}) for n, one in enumerate(shown))
    )
    assert [one.status_code for one in answers] == [200] * 10
    assert [one["title"] for one in await diary.shown("2026-03-01", "2026-06-01")] == [f"No. {n}" for n in range(10)]
    assert (await diary.read(series["id"]))["version"] == 11


async def test_deleting_against_changing_ends_in_one_of_both(diary: Diary) -> None:
    for _ in range(10):
        event = await diary.series()
        one = key(event["id"], SECOND)
        answers = await asyncio.gather(
            diary.owner.client.patch(path_of(one), json={"title": "Changed"}),
            diary.owner.client.delete(path_of(event["id"])),
            diary.owner.client.delete(path_of(one)),
        )
        assert {answer.status_code for answer in answers} <= {200, 204, 404}, [answer.text for answer in answers]
        assert answers[1].status_code == 204
        assert (await diary.owner.client.get(path_of(event["id"]))).status_code == 404
        assert await diary.shown("2026-03-01", "2026-06-01") == []


async def test_the_first_events_of_a_workspace_share_one_home(diary: Diary) -> None:
    answers = await asyncio.gather(*(diary.post(title=f"No. {n}") for n in range(8)))
    assert Counter(one.status_code for one in answers) == {201: 8}
    assert len(await diary.shown("2026-03-01", "2026-04-01")) == 8


async def test_a_project_that_is_deleted_meanwhile_takes_its_events_with_it(diary: Diary) -> None:
    for _ in range(5):
        project = await diary.project()
        event = await diary.event(projectId=project["id"])
        answers = await asyncio.gather(
            diary.owner.client.delete(sites.path_of(project)),
            diary.owner.client.patch(path_of(event["id"]), json={"title": "Changed"}),
            diary.post(projectId=project["id"]),
        )
        assert answers[0].status_code in (200, 204)
        assert answers[1].status_code in (200, 404), answers[1].text
        assert answers[2].status_code in (201, 404), answers[2].text
        assert await diary.shown("2026-03-01", "2026-04-01") == []
