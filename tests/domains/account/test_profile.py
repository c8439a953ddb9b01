"""What people say of themselves, and how they are spoken to."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.conftest import NewPerson, Person

PROFILE, SETTINGS = "/api/user/profile", "/api/user/settings"
PREFERENCES = "/api/notifications/preferences"


async def shown(person: Person, path: str) -> dict[str, Any]:
    answer = await person.client.get(path)
    assert answer.status_code == 200, answer.text
    [found] = answer.json().values()
    assert answer.headers["ETag"] == f'"{found["version"]}"'
    body: dict[str, Any] = found
    return body


async def test_without_a_token_it_is_nobodys(client: httpx.AsyncClient) -> None:
    for method, path in (("GET", PROFILE), ("PUT", PROFILE), ("GET", SETTINGS), ("PATCH", SETTINGS)):
        answer = await client.request(method, path, json={} if method != "GET" else None)
        assert answer.status_code == 401, (method, path)


async def test_a_profile_is_written_whole(new_person: NewPerson) -> None:
    ann = await new_person(name="Ann")
    before = await shown(ann, PROFILE)
    assert (before["name"], before["email"], before["jobTitle"], before["about"]) == ("Ann", ann.email, None, None)
    wanted = {"name": " Ann Archer ", "jobTitle": "Designer", "about": "I draw."}
    answer = await ann.client.put(PROFILE, json=wanted)
    assert answer.status_code == 200, answer.text
    after = answer.json()["profile"]
    assert (after["name"], after["jobTitle"], after["about"]) == ("Ann Archer", "Designer", "I draw.")
    assert after == await shown(ann, PROFILE)
    assert (await ann.client.get("/api/auth/me")).json()["user"]["name"] == "Ann Archer"
    again = await ann.client.put(PROFILE, json=wanted)
    assert again.json()["profile"]["version"] == after["version"], "nothing changed"
    emptied = (await ann.client.put(PROFILE, json={"name": "Ann", "about": "  "})).json()["profile"]
    assert (emptied["jobTitle"], emptied["about"]) == (None, None), "what is left out is empty"


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        (PROFILE, {}, "/name"),
        (PROFILE, {"name": "  "}, "/name"),
        (PROFILE, {"name": "x" * 101}, "/name"),
        (PROFILE, {"name": "Ann", "email": "other@example.com"}, "/email"),
        (PROFILE, {"name": "Ann", "about": "nul\x00"}, "/about"),
        (SETTINGS, {"timeZone": "Europe/Nowhere"}, "/timeZone"),
        (SETTINGS, {"timeZone": None}, "/timeZone"),
        (SETTINGS, {"locale": "not a tag"}, "/locale"),
        (SETTINGS, {"theme": "PINK"}, "/theme"),
        (SETTINGS, {"colour": "PINK"}, "/colour"),
        (SETTINGS, {"notifications": {"quietHours": {"from": "25:00", "to": "07:00"}}}, "/notifications"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    new_person: NewPerson, path: str, body: dict[str, Any], pointer: str
) -> None:
    ann = await new_person()
    before = await shown(ann, path)
    answer = await ann.client.request("PUT" if path == PROFILE else "PATCH", path, json=body)
    assert answer.status_code == 422, answer.text
    assert any(one["pointer"].startswith(pointer) for one in answer.json()["details"]), answer.text
    assert await shown(ann, path) == before


async def test_a_stale_profile_is_not_written_over(new_person: NewPerson) -> None:
    ann = await new_person(name="Ann")
    tag = f'"{(await shown(ann, PROFILE))["version"]}"'
    answers = await asyncio.gather(
        *(ann.client.put(PROFILE, json={"name": f"Ann {number}"}, headers={"If-Match": tag}) for number in range(5))
    )
    assert sorted(one.status_code for one in answers) == [200, 412, 412, 412, 412]
    unchanged = await ann.client.get(
        PROFILE, headers={"If-None-Match": next(a for a in answers if a.is_success).headers["ETag"]}
    )
    assert unchanged.status_code == 304


async def test_settings_change_field_by_field_and_hand_on_what_is_for_notifications(new_person: NewPerson) -> None:
    ann = await new_person(locale="de", timeZone="Europe/Berlin")
    before = await shown(ann, SETTINGS)
    assert (before["locale"], before["timeZone"], before["theme"]) == ("de", "Europe/Berlin", "SYSTEM")
    quiet = {"from": "22:00", "to": "07:00"}
    body = {
        "theme": "DARK",
        "notifications": {"quietHours": quiet, "categories": [{"category": "CREDITS", "mail": False}]},
    }
    answer = await ann.client.patch(SETTINGS, json=body)
    assert answer.status_code == 200, answer.text
    after = answer.json()["settings"]
    assert (after["locale"], after["timeZone"], after["theme"]) == ("de", "Europe/Berlin", "DARK")
    assert after["version"] > before["version"]
    assert after["notifications"] == await shown(ann, PREFERENCES)
    assert after["notifications"]["quietHours"] == quiet
    kept = await ann.client.patch(SETTINGS, json={"timeZone": "Asia/Tokyo"})
    assert kept.json()["settings"]["notifications"] == after["notifications"]
    assert kept.json()["settings"]["theme"] == "DARK"


async def test_settings_are_stale_when_either_half_has_changed(new_person: NewPerson) -> None:
    ann = await new_person()
    tag = f'"{(await shown(ann, SETTINGS))["version"]}"'
    await ann.client.put(PREFERENCES, json={"categories": [{"category": "CREDITS", "mail": False}]})
    answer = await ann.client.patch(SETTINGS, json={"theme": "DARK"}, headers={"If-Match": tag})
    assert answer.status_code == 412, answer.text
    answer = await ann.client.patch(
        SETTINGS, json={"theme": "DARK", "notifications": {"categories": [{"category": "BILLING", "mail": False}]}}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "channel_required")
    assert (await shown(ann, SETTINGS))["theme"] == "SYSTEM", "all or nothing"


async def test_one_sees_ones_own_alone(new_person: NewPerson) -> None:
    ann, bob = await new_person(name="Ann"), await new_person(name="Bob")
    await ann.client.put(PROFILE, json={"name": "Ann", "about": "mine"})
    assert (await shown(bob, PROFILE))["about"] is None
    assert (await shown(bob, PROFILE))["id"] == str(bob.id)
