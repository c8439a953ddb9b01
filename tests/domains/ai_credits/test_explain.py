"""`/explain`: why a line is as it is; and the history as a file."""

import csv
import io
import tracemalloc
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind, CreditScope, UserScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import explaining, history_export
from pm_api.domains.ai_credits.book import By, LotDraft
from pm_api.domains.ai_credits.commands import ClawBack, Demand, Reverse, Spend
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.models.ledger import CreditAccount
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.schemas.insight import ExportFormat
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.ai_credits.story import CHAT, Story, tell
from tests.identity.teams import join, make_workspace

OPERATOR_NAME: Final = "Somebody outside the account"


async def explained(person: Person, entry_id: object) -> dict[str, Any]:
    answer = await person.client.get(f"/api/credits/entries/{entry_id}/explain")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["explanation"]
    assert found["text"] == " ".join(found["sentences"])
    assert found["balance"]["after"] - found["balance"]["before"] == found["entry"]["amount"]
    assert sum(lot["amount"] for lot in found["lots"]) == found["entry"]["amount"]
    assert [lot["place"] for lot in found["lots"]] == list(range(1, len(found["lots"]) + 1))
    return found


async def ids_of(story: Story, where: str = "true") -> list[UUID]:
    return await story.column(f"SELECT id FROM credit_entries WHERE account_id = :account AND {where} ORDER BY seq")


async def id_of(story: Story, seq: int) -> UUID:
    [found] = await ids_of(story, f"seq = {seq}")
    return found


async def test_a_spend_across_four_lots_says_why_each_had_its_turn(
    new_person: NewPerson, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    ann = await new_person(name="Ann Archer")
    story = Story(platform, ann.id)
    await story.grant(
        story.lot(LotKind.PURCHASE, 100),
        story.lot(LotKind.PURCHASE, 5, service=CHAT),
        story.lot(LotKind.GIFT, 4, days=300),
    )
    seq = await story.spend(22, service=CHAT, quantity=11, price_version=1, description="Launch plan")
    back = await story.do(Reverse, entry_seq=seq, amount=2, description="One answer was empty")
    found = await explained(ann, await id_of(story, seq))
    with capsys.disabled():
        print(f"\n{found['text']}\n")  # noqa: T201  what a person reads, for whoever runs this test alone
    assert [(lot["kind"], lot["service"], lot["amount"], lot["leftAfter"]) for lot in found["lots"]] == [
        ("PURCHASE", CHAT, -5, 0),
        ("FREE_TIER", None, -10, 0),
        ("GIFT", None, -4, 0),
        ("PURCHASE", None, -3, 97),
    ]
    assert [lot["because"] for lot in found["lots"]] == [
        "credits for one service only go before those for any",
        "FREE_TIER credits go before GIFT credits: what runs out by itself is used before what lasts",
        "GIFT credits go before PURCHASE credits: what runs out by itself is used before what lasts",
        "they were next in line",
    ]
    assert found["price"] == {"service": CHAT, "version": 1, "unitCost": 2, "quantity": 11, "total": 22}
    assert (found["actor"]["name"], found["requestId"]) == ("Ann Archer", "request-of-the-story")
    assert (found["balance"], found["debt"]) == ({"before": 119, "after": 97}, {"before": 0, "after": 0})
    assert [(one["seq"], one["amount"]) for one in found["reversals"]] == [(back.entries[0].seq, 2)]
    for part in ("Ann Archer spent 22 credits", "2 × 11 = 22", "four lots", "2 credits of it came back"):
        assert part in found["text"]


@pytest.mark.parametrize(
    ("first", "second", "because"),
    [
        ({"days": 5}, {"days": 9}, "they run out earlier than the next ones"),
        ({"days": 5}, {}, "they run out one day, the next ones never do"),
    ],
)
async def test_the_nearer_end_is_a_reason(
    person: Person, platform: Platform, first: dict[str, Any], second: dict[str, Any], because: str
) -> None:
    story = Story(platform, person.id)
    await story.spend(10)
    await story.grant(story.lot(LotKind.GIFT, 5, **second), story.lot(LotKind.GIFT, 5, **first))
    found = await explained(person, await id_of(story, await story.spend(8)))
    assert found["lots"][0]["because"].startswith(because)
    assert [lot["amount"] for lot in found["lots"]] == [-5, -3]


async def test_older_credits_go_first(person: Person, platform: Platform) -> None:
    story = Story(platform, person.id)
    await story.spend(10)
    await story.grant(story.lot(LotKind.GIFT, 5))
    story.advance(hours=1)
    await story.grant(story.lot(LotKind.REFERRAL, 5))
    found = await explained(person, await id_of(story, await story.spend(6)))
    assert found["lots"][0]["because"].startswith("they are older than the next ones")
    assert [lot["kind"] for lot in found["lots"]] == ["GIFT", "REFERRAL"]


async def test_what_was_free_goes_before_what_was_paid(person: Person, platform: Platform) -> None:
    story = Story(platform, person.id)
    await story.spend(10)
    ends = story.clock.now() + timedelta(days=3)
    lots = [
        LotDraft(kind, 5, "story", kind, expires_at=ends) for kind in (LotKind.SUBSCRIPTION_GRANT, LotKind.FREE_TIER)
    ]
    await story.grant(*lots)
    found = await explained(person, await id_of(story, await story.spend(6)))
    assert found["lots"][0]["because"] == "what was given for free goes before what was paid for"
    assert [lot["kind"] for lot in found["lots"]] == ["FREE_TIER", "SUBSCRIPTION_GRANT"]


async def test_every_kind_of_line_is_explained(person: Person, platform: Platform) -> None:
    story = await tell(Story(platform, person.id))
    told: dict[str, dict[str, Any]] = {}
    history = (await person.client.get("/api/credits/history", params={"limit": 200})).json()["entries"]
    for entry_id, listed in zip(await ids_of(story), reversed(history), strict=True):
        found = await explained(person, entry_id)
        assert found["entry"] == listed
        told.setdefault(found["entry"]["type"], found)
    assert {one["holdId"] is not None for one in history} == {True, False}
    assert max(one["debtAfter"] for one in history) > 0
    assert len(told) == 9 + 8
    assert "brought" in told["PURCHASE"]["text"]
    assert "the credits of a new plan period replaced them" in told["EXPIRY"]["text"]
    assert "paid back to the buyer" in told["CLAWBACK"]["text"]
    assert told["CLAWBACK"]["debt"]["after"] > told["CLAWBACK"]["debt"]["before"]
    assert "they had just come" in told["DEBT_PAYMENT"]["text"]
    assert "The debt went from" in told["DEBT_PAYMENT"]["text"]
    assert told["REVERSAL"]["reverses"]["seq"] == story.seqs["chat"]
    assert told["TRANSFER_IN"]["reverses"]["seq"] == story.seqs["gift"]
    captured = await explained(person, await id_of(story, story.seqs["captured"]))
    assert (captured["hold"]["amount"], captured["hold"]["captured"], captured["hold"]["status"]) == (
        10,
        6,
        "CAPTURED",
    )
    assert "4 credits of a hold of 10 were captured" in captured["text"]
    assert (captured["price"]["quantity"], captured["price"]["total"]) == (2, 4)
    expiries = [
        await explained(person, one) for one in await ids_of(story, "type = 'EXPIRY' AND actor_kind = 'system'")
    ]
    assert any("they ran out on" in one["text"] for one in expiries)


async def test_what_a_lot_had_left_is_counted_from_the_nearer_end_or_not_at_all(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = await tell(Story(platform, person.id))
    ids = await ids_of(story)

    async def left() -> list[list[int | None]]:
        return [[lot["leftAfter"] for lot in (await explained(person, one))["lots"]] for one in ids]

    counted = await left()
    assert all(figure is not None and figure >= 0 for line in counted for figure in line)
    running: dict[str, int] = {}
    for one, figures in zip(ids, counted, strict=True):
        for lot, figure in zip((await explained(person, one))["lots"], figures, strict=True):
            running[lot["lotId"]] = running.get(lot["lotId"], 0) + lot["amount"]
            assert figure == running[lot["lotId"]]
    monkeypatch.setattr(explaining, "COUNTED_BACK", 3)
    few = await left()
    assert few[:3] == counted[:3]
    assert few[-3:] == counted[-3:]
    assert all(figure is None for figure in few[len(few) // 2])


async def test_what_is_spent_meanwhile_is_no_part_of_what_a_lot_had_left(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    story, account = Story(platform, person.id), repository.account
    entry_id = await id_of(story, await story.spend(4))

    async def account_after_a_spend(session: AsyncSession, scope: CreditScope) -> CreditAccount | None:
        await story.spend(3)
        return await account(session, scope)

    monkeypatch.setattr(repository, "account", account_after_a_spend)
    assert [lot["leftAfter"] for lot in (await explained(person, entry_id))["lots"]] == [6]


async def test_a_debt_without_credits_to_take_is_explained(person: Person, platform: Platform) -> None:
    story = Story(platform, person.id)
    await story.grant(LotDraft(LotKind.PURCHASE, 5, "story", "bought"))
    await story.spend(15)
    taken = await story.do(
        ClawBack, source_type="story", demands=(Demand("bought", 5),), description="Refunded by Stripe"
    )
    found = await explained(person, taken.entries[0].id)
    assert (found["lots"], found["debt"]) == ([], {"before": 0, "after": 5})
    assert "No lot was moved: only the debt changed." in found["text"]


async def test_in_a_pool_names_roles_and_caps_are_told(platform: Platform, new_person: NewPerson) -> None:
    owner, bob = await new_person(name="Olga Owner"), await new_person(name="Bob Builder")
    workspace = await make_workspace(owner)
    await join(platform, workspace["id"], bob, Role.MEMBER)
    story = Story(platform, UUID(workspace["id"]), AccountKind.WORKSPACE)
    await story.grant(story.lot(LotKind.PURCHASE, 100), by=By("user", uuid4(), "r"))
    await story.sql(
        "INSERT INTO credit_caps (account_id, subject, cap_window, amount, created_at, updated_at)"
        " SELECT :account, subject, cap_window, amount, :now, :now FROM (VALUES"
        " ('role:MEMBER', 'DAY', 50), ('role:MEMBER', 'PERIOD', 200), ('role:OWNER', 'DAY', 1),"
        " (:own, 'DAY', 70), ('service:CHAT_ASSISTANT', 'DAY', 90), ('service:TASK_GENERATION', 'DAY', 1))"
        " AS given(subject, cap_window, amount)",
        own=f"member:{bob.id}",
        now=story.clock.now(),
    )
    seq = await story.spend(4, by=By("user", bob.id, "r"), service=CHAT, quantity=2, price_version=1, role="MEMBER")
    spent = await id_of(story, seq)
    for reader in (owner, bob):
        found = await explained(reader, spent)
        assert found["actor"]["name"] == "Bob Builder"
        assert [(cap["subject"], cap["window"], cap["limit"]) for cap in found["caps"]] == [
            (f"member:{bob.id}", "DAY", 70),
            ("role:MEMBER", "PERIOD", 200),
            ("service:CHAT_ASSISTANT", "DAY", 90),
        ]
        assert "as they are set now" in found["text"]
    granted = await explained(bob, await id_of(story, 1))
    assert (granted["actor"]["name"], granted["caps"]) == (OPERATOR_NAME, [])


async def test_nobody_else_is_told(person: Person, new_person: NewPerson, client: httpx.AsyncClient) -> None:
    [entry] = (await person.client.get("/api/credits/history")).json()["entries"]
    path = f"/api/credits/entries/{entry['id']}/explain"
    stranger = await new_person()
    assert (await client.get(path)).status_code == 401
    assert (await stranger.client.get(path)).status_code == 404
    assert (await person.client.get(f"/api/credits/entries/{uuid4()}/explain")).status_code == 404
    assert (await person.client.get("/api/credits/entries/nowhere/explain")).status_code in (404, 422)


# --- the history as a file ---------------------------------------------------------------------------------------


async def export(person: Person, format: str, **query: str) -> httpx.Response:
    answer = await person.client.get("/api/credits/history/export", params={"format": format, **query})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture
async def story(person: Person, platform: Platform) -> Story:
    return await tell(Story(platform, person.id))


async def test_the_whole_history_leaves_in_both_forms(
    story: Story, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, cursor = [], None
    while True:
        query: dict[str, str] = {"cursor": cursor} if cursor else {}
        page = (await person.client.get("/api/credits/history", params={"limit": "7", **query})).json()
        listed += page["entries"]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    for stretch in (500, 7, 1, len(listed)):
        monkeypatch.setattr(history_export, "STRETCH", stretch)
        as_json = await export(person, "json")
        assert as_json.json() == {"entries": listed}
        as_csv = await export(person, "csv")
        assert as_csv.headers["content-type"] == "text/csv; charset=utf-8"
        assert as_csv.headers["content-disposition"] == 'attachment; filename="credit-history.csv"'
        rows = list(csv.DictReader(io.StringIO(as_csv.text)))
        assert [(row["seq"], row["id"], row["amount"]) for row in rows] == [
            (str(one["seq"]), one["id"], str(one["amount"])) for one in listed
        ]
        assert [(row["holdId"], row["reversesSeq"], row["debtAfter"]) for row in rows] == [
            (one["holdId"] or "", str(one["reversesSeq"] or ""), str(one["debtAfter"])) for one in listed
        ]


async def test_the_filters_are_those_of_the_history(story: Story, person: Person) -> None:
    middle = (await person.client.get("/api/credits/history")).json()["entries"][-8]["createdAt"]
    for query in (
        {"type": "USAGE"},
        {"service": CHAT},
        {"from": middle},
        {"to": middle},
        {"memberId": str(person.id)},
        {"memberId": str(uuid4())},
        {"type": "USAGE", "service": CHAT, "from": middle},
    ):
        listed = (await person.client.get("/api/credits/history", params={"limit": "200", **query})).json()["entries"]
        assert (await export(person, "json", **query)).json()["entries"] == listed
        rows = list(csv.DictReader(io.StringIO((await export(person, "csv", **query)).text)))
        assert [row["id"] for row in rows] == [one["id"] for one in listed]
    bad = await person.client.get("/api/credits/history/export", params={"format": "xls"})
    none = await person.client.get("/api/credits/history/export")
    assert (bad.status_code, none.status_code) == (422, 422)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
async def test_no_cell_is_a_formula(person: Person, platform: Platform, start: str) -> None:
    story = Story(platform, person.id)
    text = f'{start}cmd|" /C calc"!A0, "quoted"\nsecond line'
    await story.do(Spend, amount=1, description=text)
    await story.do(Spend, amount=2, description="plain")
    answer = await export(person, "csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["description"] for row in rows[:2]] == ["plain", f"'{text}"]
    assert [row["amount"] for row in rows[:2]] == ["-2", "-1"]
    assert (await export(person, "json")).json()["entries"][1]["description"] == text


async def test_a_file_of_any_length_takes_the_same_memory_and_holds_no_connection(
    person: Person, platform: Platform
) -> None:
    story = Story(platform, person.id)
    await story.sql(
        "INSERT INTO credit_entries (account_id, seq, id, type, amount, balance_after, actor_kind, description,"
        " metadata, command_key, request_id, created_at, hash)"
        " SELECT :account, number, gen_random_uuid(), 'USAGE', -1, 0, 'user', repeat('x', 400), '{}', 'k', 'r', :now,"
        " '\\x00' FROM generate_series(2, 20001) AS number",
        now=story.clock.now(),
    )
    scope = UserScope(Actor(ActorKind.USER, person.id), person.id)
    tracemalloc.start()
    total = 0
    async for chunk in await history_export.export(platform, scope, history_export.Filters(), ExportFormat.JSON):
        total += len(chunk)
        assert platform.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    await story.sql("DELETE FROM credit_entries WHERE account_id = :account AND seq > 1")  # for whoever sweeps here
    assert total > 10_000_000
    assert peak < total / 2
