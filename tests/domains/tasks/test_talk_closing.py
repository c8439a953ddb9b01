"""Somebody who goes: what they said of tasks is taken back, and nobody's name stands where others named them."""

from uuid import UUID

from sqlalchemy import text

from pm_api.core import personal
from pm_api.core.personal import Leaving
from pm_api.domains.account.contributors import CONTRIBUTORS
from pm_api.domains.tasks import closing, mentioning
from pm_api.identity.permissions import Role
from tests.domains.tasks.sites import Site
from tests.domains.tasks.talking import comment, comments_of, of_member, path, send

assert CONTRIBUTORS


async def test_words_go_and_places_stay(site: Site) -> None:
    ann, _, task = await of_member(site)
    bob = await site.person(Role.MEMBER, name="Bob")
    answered = await comment(ann, task, "quetzal said this")
    await comment(ann, task, "quetzal said that")
    reply = await comment(
        bob, task, f"@[Mo quetzal](user:{ann.id}) and @[Bob](user:{bob.id})", parentId=answered["id"]
    )
    await send(ann, "PUT", path(task, f"/comments/{reply['id']}/reactions/%F0%9F%91%8D"), 200)
    leaving = Leaving(ann.id, ann.email, "Mo Member")
    for _ in range(2):
        await closing.fall_silent(site.platform, leaving)
        await personal.erase_marked(site.platform, leaving)
        place, kept = await comments_of(bob, task)
        assert (place["id"], place["isDeleted"], place["body"], place["version"]) == (answered["id"], True, "", 2)
        assert kept["body"] == f"@[Deleted user](user:{ann.id}) and @[Bob](user:{bob.id})"
        assert [one["name"] for one in kept["mentions"]] == ["Bob"]
        assert kept["reactions"] == []
    found = await send(bob, "GET", "/api/search", 200, params={"q": "quetzal", "workspaceId": site.id})
    assert found["results"] == []
    async with site.platform.database.reading() as session:
        left = await session.scalar(
            text("SELECT count(*) FROM task_comments WHERE body ILIKE '%quetzal%' AND workspace_id = :id"),
            {"id": site.id},
        )
    assert left == 0


async def test_a_workspace_that_goes_takes_what_all_said_in_it(site: Site) -> None:
    _, _, task = await of_member(site)
    await comment(site.owner, task, "Words")
    ann = await site.new_person()
    await closing.fall_silent(site.platform, Leaving(ann.id, "", "", closed=(UUID(site.id),)))
    assert await comments_of(site.owner, task) == []


def test_what_somebody_has_is_handed_to_them() -> None:
    files = {one.name for one in personal.files()}
    assert {
        "tasks/comments.json",
        "tasks/mentions.json",
        "tasks/reactions.json",
        "tasks/dependencies.json",
        "tasks/time-entries.json",
    } <= files


def test_mentions_are_read_by_their_ids() -> None:
    one, other = "0199a0b0-0000-7000-8000-000000000001", "0199a0b0-0000-7000-8000-000000000002"
    body = rf"@[A \] b](user:{one}) @[C](user:{other}) @[D](user:{one}) @[](user:{one}) @[E](user:me) [F](user:{one})"
    assert [str(found) for found in mentioning.mentioned(body)] == [one, other]
    assert mentioning.as_read(body).startswith("@A ] b @C @D @[](user:")
    assert "\n" in mentioning.as_read(f"@[a\nb](user:{one})"), "a name has one line"
