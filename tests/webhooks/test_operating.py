"""The operator's sight of the inbox: found by what it is about, shown without secrets, sent round again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pm_api.sandbox.stripe.objects.common import new_id
from tests.domains.billing.accounts import OPERATOR
from tests.support.stripe import Json, Till, clone, event_about, open_till, sandbox_stripe

LIST = "/api/admin/webhooks"


@pytest.fixture(scope="module")
async def till() -> AsyncIterator[Till]:
    async with clone() as database, sandbox_stripe() as stripe, open_till(database, stripe) as opened:
        yield opened


async def listed(till: Till, **filters: str) -> list[Json]:
    answer = await till.client.get(LIST, params=filters, headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["events"]
    return found


async def told(till: Till, kind: str = "coupon.created", **about: Any) -> Json:
    event = event_about(kind, {"id": new_id("co"), "object": "coupon", **about})
    await till.tell(event)
    return event


async def test_the_list_is_narrowed_by_each_filter_and_by_all(till: Till) -> None:
    customer = new_id("cus")
    first = await told(till, customer=customer)
    second = await told(till, "coupon.updated", customer=customer)
    object_id = second["data"]["object"]["id"]
    assert [one["eventId"] for one in await listed(till, subject=customer)] == [second["id"], first["id"]]
    assert [one["eventId"] for one in await listed(till, objectId=object_id)] == [second["id"]]
    assert [one["eventId"] for one in await listed(till, eventId=first["id"])] == [first["id"]]
    assert {one["type"] for one in await listed(till, type="coupon.updated")} == {"coupon.updated"}
    assert await listed(till, subject=customer, type="coupon.deleted") == []
    assert await listed(till, subject=customer, status="HELD") == []
    assert len(await listed(till, subject=customer, status="IGNORED", type="coupon.created")) == 1


async def test_a_cursor_belongs_to_its_filters(till: Till) -> None:
    customer = new_id("cus")
    events = [await told(till, customer=customer) for _ in range(3)]
    answer = await till.client.get(LIST, params={"subject": customer, "limit": "2"}, headers=OPERATOR)
    page = answer.json()
    assert [one["eventId"] for one in page["events"]] == [events[2]["id"], events[1]["id"]]
    query = {"subject": customer, "limit": "2", "cursor": page["nextCursor"]}
    rest = (await till.client.get(LIST, params=query, headers=OPERATOR)).json()
    assert ([one["eventId"] for one in rest["events"]], rest["nextCursor"]) == ([events[0]["id"]], None)
    other = await till.client.get(LIST, params=query | {"subject": "cus_other"}, headers=OPERATOR)
    assert (other.status_code, other.json()["code"]) == (422, "invalid_cursor")


@pytest.mark.parametrize("query", [{"type": ""}, {"subject": "x" * 256}, {"objectId": "a\0b"}, {"status": "LOST"}])
async def test_a_filter_that_cannot_be_is_refused(till: Till, query: dict[str, str]) -> None:
    answer = await till.client.get(LIST, params=query, headers=OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_one_event_is_shown_with_its_body_and_without_its_secrets(till: Till) -> None:
    event = await told(
        till,
        client_secret="pi_1_secret_2",
        confirmation_secret={"client_secret": "pi_3_secret_4"},
        nested=[{"url": "https://checkout.example/pay", "hosted_invoice_url": None, "amount": 5}],
        number="0001",
    )
    [row] = await listed(till, eventId=event["id"])
    assert "body" not in row
    kept = (await till.stored(event["id"]))["body"]
    assert "_secret_" not in kept
    assert "checkout.example" not in kept
    answer = await till.client.get(f"{LIST}/{row['id']}", headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    shown = answer.json()["event"]
    assert {name: shown[name] for name in row} == row
    about = shown["body"]["data"]["object"]
    assert about["client_secret"] == about["confirmation_secret"] == "(not shown)"
    assert about["nested"] == [{"url": "(not shown)", "hosted_invoice_url": None, "amount": 5}]
    assert (about["number"], shown["body"]["id"]) == ("0001", event["id"])
    assert "secret_" not in answer.text.replace("client_secret", "").replace("confirmation_secret", "")
    assert "checkout.example" not in answer.text


async def test_replaying_works_it_off_again(till: Till) -> None:
    event = event_about("price.updated", {"id": new_id("price"), "object": "price"})
    await till.tell(event)
    subject = event["data"]["object"]["id"]
    await till.drain(subject)
    [row] = await listed(till, eventId=event["id"])
    assert (row["status"], row["attempts"], row["outcome"]) == ("HANDLED", 1, "nothing to do: the price is gone")
    answer = await till.client.post(f"{LIST}/{row['id']}/replay", headers=OPERATOR)
    assert (answer.status_code, answer.json()["event"]["status"]) == (200, "PENDING")
    await till.drain(subject)
    [row] = await listed(till, eventId=event["id"])
    assert (row["status"], row["attempts"]) == ("HANDLED", 2)


async def test_what_is_ignored_cannot_be_replayed(till: Till) -> None:
    event = await told(till)
    [row] = await listed(till, eventId=event["id"])
    answer = await till.client.post(f"{LIST}/{row['id']}/replay", headers=OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (409, "event_not_replayable")
