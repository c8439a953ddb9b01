"""Notifications by mail: once each, to whom they concern, while they want them; and how they say that they do not."""

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pm_api.core.crypto import decode_url, encode_url
from pm_api.core.jobs import PERIODICS, Worker, run_sweep
from pm_api.domains.notifications import mails
from pm_api.domains.notifications.enums import REQUIRED, Category
from pm_api.identity.permissions import Role
from tests.conftest import client_of
from tests.core.test_jobs import until
from tests.domains.ai_credits import holding
from tests.domains.notifications.house import PREFERENCES, House, choose
from tests.domains.notifications.telling import changes_of, listed, tell, titles, unread
from tests.identity.teams import join, make_workspace
from tests.support.clock import MovableClock
from tests.support.mail import send_due
from tests.support.settings import ADMIN_KEY

# --- what is sent ----------------------------------------------------------------------------------------------


async def test_a_notification_is_a_mail_too(house: House) -> None:
    ann = await house.person(name="Ann <script>alert(1)</script>")
    await tell(house.platform, [ann.id], title="Zoë’s gift 🎁", body="Take it.", link="/credits?tab=gifts#top")
    assert house.arrived(ann) == [], "not in the transaction of what happened"
    [mail] = await house.mails(ann)
    message = mail.message()
    assert message["subject"] == "Zoë’s gift 🎁"
    assert message["to"].addresses[0].display_name == "Ann <script>alert(1)</script>"
    assert message["from"].addresses[0].display_name == "Acme"
    for form in ("plain", "html"):
        assert "Take it." in mail.part(form)
        assert "The credits are yours." in mail.part(form)
        assert "http://site.local/credits?tab=gifts#top" in mail.part(form)
        assert "http://site.local/settings/notifications" in mail.part(form)
    assert await titles(ann) == ["Zoë’s gift 🎁"]


async def test_one_mail_a_notification_however_often_it_is_told(house: House) -> None:
    ann = await house.person()
    for _ in range(3):
        await tell(house.platform, [ann.id], dedup_key="same")
        await send_due(house.platform)
    assert len(await house.mails(ann)) == 1
    await asyncio.gather(*(tell(house.platform, [ann.id], dedup_key="at once") for _ in range(5)))
    assert len(await house.mails(ann)) == 2


async def test_only_who_is_told_gets_mail(house: House) -> None:
    owner, member, stranger = [await house.person() for _ in range(3)]
    place = await make_workspace(owner)
    await join(house.platform, place["id"], member, Role.MEMBER)
    everybody = [owner.id, member.id, stranger.id]
    assert await tell(house.platform, everybody, workspace_id=UUID(place["id"]), actor_user_id=owner.id) == 1
    assert len(await house.mails(member)) == 1
    assert await house.mails(owner) == await house.mails(stranger) == []


async def test_who_may_not_see_it_any_more_when_it_is_sent_gets_none(house: House) -> None:
    owner, member = await house.person(), await house.person()
    place = await make_workspace(owner)
    await join(house.platform, place["id"], member, Role.MEMBER)
    await tell(house.platform, [member.id], workspace_id=UUID(place["id"]))
    async with house.platform.database.transaction() as session:
        await session.execute(text("DELETE FROM workspace_members WHERE user_id = :id"), {"id": member.id})
    assert await house.mails(member) == []
    assert await house.outcomes(member) == [("DROPPED", "out_of_sight")]


async def test_it_goes_to_the_address_they_have_when_it_is_sent(house: House) -> None:
    ann = await house.person()
    house.post.fail("transient")
    await tell(house.platform, [ann.id])
    await send_due(house.platform)
    moved = f"new-{uuid4().hex[:8]}@example.com"
    async with house.platform.database.transaction() as session:
        await session.execute(text("UPDATE users SET email = :new WHERE id = :id"), {"new": moved, "id": ann.id})
    assert isinstance(house.platform.clock, MovableClock)
    house.platform.clock.advance(minutes=1)
    await send_due(house.platform)
    assert (len(house.post.to(moved)), house.arrived(ann)) == (1, [])


async def test_a_low_balance_is_told_by_mail_once(house: House) -> None:
    ann = await house.person()
    await holding.grant(ann.client, 90, userId=str(ann.id))
    worker = Worker(house.platform)
    await worker.start()
    try:
        assert (await holding.post(ann, "credits/spend", amount=82)).status_code == 200
        await until(lambda: house.arrived(ann), "the alert's mail")
    finally:
        await worker.stop()
    for name in ("ai_credits.deliver_alerts", "outbox.send_due"):
        await run_sweep(house.platform, PERIODICS[name])
    [mail] = house.arrived(ann)
    assert mail.subject == "At most 20 % of the credits are left"
    assert "18 credits are left of 100 after the last grant. The SMALL pack brings 100 credits." in mail.part("plain")
    assert ">18</strong> of 100 credits left" in mail.part("html")
    assert "http://site.local/credits" in mail.part("html")


async def test_expiring_lots_and_gifts_are_told_by_mail(house: House) -> None:
    ann, ben = await house.person(), await house.person(name="Ben")
    ends = house.platform.clock.now() + timedelta(days=5)
    body = {"userId": str(ann.id), "amount": 40, "reason": "t", "expiresAt": ends.isoformat(), "idempotencyKey": "k"}
    answer = await ann.client.post("/api/credits/grant", headers={"x-admin-key": ADMIN_KEY}, json=body)
    assert answer.status_code == 200, answer.text
    for name in ("ai_credits.alert_expiring", "ai_credits.deliver_alerts"):
        await run_sweep(house.platform, PERIODICS[name])
    [mail] = await house.mails(ann)
    assert mail.subject == "40 credits expire within 7 days"
    assert "Credits: 40" in mail.part("plain")
    await holding.grant(ben.client, 50, userId=str(ben.id))
    sent = await holding.post(ben, "credits/gifts", recipientEmail=ann.email, amount=5)
    assert sent.status_code == 201, sent.text
    assert [one.subject for one in await house.mails(ann)][1:] == ["Ben gave you 5 credits"]


async def test_what_is_about_payments_is_a_receipt_and_offers_no_way_out(house: House) -> None:
    ann = await house.person()
    await tell(
        house.platform,
        [ann.id],
        category=Category.BILLING,
        type="billing.renewed",
        title="Your plan was renewed",
        data={"plan": "TEAM_STANDARD", "amount": 9999, "currency": "USD", "nextPaymentAt": "2026-12-21T00:00:00Z"},
        link="/billing",
    )
    [mail] = await house.mails(ann)
    assert mail.message()["list-unsubscribe"] is None
    assert "unsubscribe" not in mail.part("html")
    for wanted in ("Team Standard", "99.99 USD", "21 December 2026", "See your billing"):
        assert wanted in mail.part("html")


async def test_a_payment_that_failed_is_paid_by_the_button(house: House) -> None:
    """The notice in the app leads to the bills; the mail to Stripe's page for the invoice itself."""
    ann = await house.person()
    await tell(
        house.platform,
        [ann.id],
        category=Category.BILLING,
        type="billing.payment_failed",
        data={"hostedUrl": "https://invoice.stripe.test/i/1", "action": "Pay the invoice"},
        link="/dashboard/billing",
    )
    [mail] = await house.mails(ann)
    assert 'href="https://invoice.stripe.test/i/1"' in mail.part("html")
    assert "Pay the invoice" in mail.part("html")
    assert "/dashboard/billing" not in mail.part("html")


# --- what one chooses ------------------------------------------------------------------------------------------


async def test_everything_is_on_until_somebody_chooses(house: House) -> None:
    ann = await house.person()
    answer = await ann.client.get(PREFERENCES)
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"0"')
    assert answer.json()["preferences"]["version"] == 0
    assert answer.json()["preferences"]["categories"] == [
        {
            "category": one.value,
            "inApp": True,
            "mail": True,
            "webhook": False,
            "delivery": "INSTANT",
            "isRequired": one in REQUIRED,
        }
        for one in Category
    ]
    rest = {name: value for name, value in answer.json()["preferences"].items() if name != "categories"}
    assert rest == {
        "quietHours": None,
        "digestHour": 8,
        "digestWeekday": "MONDAY",
        "inactivityReminder": None,
        "version": 0,
    }


async def test_mail_that_is_switched_off_is_not_sent_and_still_shown(house: House) -> None:
    ann = await house.person()
    chosen = await choose(ann, {"category": "CREDITS", "mail": False})
    assert (chosen.status_code, chosen.headers["ETag"]) == (200, '"1"')
    [credits] = [one for one in chosen.json()["preferences"]["categories"] if one["category"] == "CREDITS"]
    assert (credits["inApp"], credits["mail"], credits["isRequired"]) == (True, False, False)
    await tell(house.platform, [ann.id], title="a")
    await tell(house.platform, [ann.id], title="b", category=Category.WORKSPACE)
    assert [one.subject for one in await house.mails(ann)] == ["b"]
    assert await house.outcomes(ann) == [("DROPPED", "switched_off"), ("SENT", None)]
    assert await titles(ann) == ["b", "a"]
    await choose(ann)
    await tell(house.platform, [ann.id], title="c")
    assert [one.subject for one in await house.mails(ann)] == ["b", "c"]


async def test_a_mail_that_waits_asks_again(house: House) -> None:
    ann = await house.person()
    await tell(house.platform, [ann.id])
    await choose(ann, {"category": "CREDITS", "mail": False})
    assert await house.mails(ann) == []


async def test_what_is_switched_off_in_the_app_is_put_away_and_mailed(house: House) -> None:
    ann = await house.person()
    await choose(ann, {"category": "CREDITS", "inApp": False})
    before = len(await changes_of(ann))
    assert await tell(house.platform, [ann.id], title="quiet") == 1
    assert await titles(ann) == []
    assert await unread(ann) == 0
    assert len(await changes_of(ann)) == before, "nobody's screen is asked to look"
    [put_away] = await listed(ann, archived=True)
    assert (put_away["title"], put_away["readAt"]) == ("quiet", None)
    assert [one.subject for one in await house.mails(ann)] == ["quiet"]
    assert await tell(house.platform, [ann.id], title="loud", category=Category.BILLING) == 1
    assert await titles(ann) == ["loud"]


@pytest.mark.parametrize("category", sorted(REQUIRED))
@pytest.mark.parametrize("channel", ["inApp", "mail"])
async def test_payments_and_security_cannot_be_switched_off(house: House, category: str, channel: str) -> None:
    ann = await house.person()
    refused = await choose(ann, {"category": category, channel: False})
    assert (refused.status_code, refused.json()["code"]) == (422, "channel_required")
    await tell(house.platform, [ann.id], category=Category(category), type="billing.payment_failed")
    assert len(await house.mails(ann)) == 1


async def test_choices_are_checked_and_versioned(house: House) -> None:
    ann, ben = await house.person(), await house.person()
    off = {"category": "CREDITS", "mail": False}
    for bad in ([off, off], [{"category": "WEATHER"}], [{"category": "CREDITS", "sms": True}], [off] * 50, "all"):
        answer = await ann.client.put(PREFERENCES, json={"categories": bad})
        assert answer.status_code == 422, answer.text
    assert (await choose(ann, off, headers={"If-Match": '"0"'})).headers["ETag"] == '"1"'
    stale = await choose(ann, headers={"If-Match": '"0"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (await choose(ann, off)).headers["ETag"] == '"1"', "the same again is no change"
    assert (await ann.client.get(PREFERENCES, headers={"If-None-Match": '"1"'})).status_code == 304
    assert (await ben.client.get(PREFERENCES)).json()["preferences"]["version"] == 0
    async with client_of(house.app) as nobody:
        assert (await nobody.get(PREFERENCES)).status_code == 401
        assert (await nobody.put(PREFERENCES, json={"categories": []})).status_code == 401


async def test_two_who_choose_at_once_do_not_undo_each_other(house: House) -> None:
    ann = await house.person()
    answers = await asyncio.gather(
        *(choose(ann, {"category": "CREDITS", "mail": False}, headers={"If-Match": '"0"'}) for _ in range(6))
    )
    assert sorted(one.status_code for one in answers) == [200, 412, 412, 412, 412, 412]


# --- the link in a mail ----------------------------------------------------------------------------------------


async def test_the_link_in_a_mail_stops_its_category_and_nothing_else(house: House) -> None:
    ann = await house.person()
    await choose(ann, {"category": "WORKSPACE", "mail": False})
    await tell(house.platform, [ann.id])
    [mail] = await house.mails(ann)
    address = mail.message()["list-unsubscribe"].strip("<>")
    assert mail.message()["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert address in mail.part("plain")
    assert address.startswith("http://test.local/api/notifications/unsubscribe?token=")
    async with client_of(house.app) as nobody:
        page = await nobody.get(address)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert '<form method="post">' in page.text
        assert (await ann.client.get(PREFERENCES)).json()["preferences"]["version"] == 1, "looking changes nothing"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for _ in range(2):
            stopped = await nobody.post(address, content="List-Unsubscribe=One-Click", headers=form)
            assert stopped.status_code == 200, stopped.text
            assert "no more mails about your credits" in stopped.text
    found = (await ann.client.get(PREFERENCES)).json()["preferences"]
    assert found["version"] == 2
    assert {one["category"]: one["mail"] for one in found["categories"]} == {
        "CREDITS": False,
        "BILLING": True,
        "WORKSPACE": False,
        "SECURITY": True,
        "REMINDERS": True,
        "TASKS": True,
        "MESSAGES": True,
        "CALENDAR": True,
        "FILES": True,
    }
    await tell(house.platform, [ann.id])
    assert len(await house.mails(ann)) == 1


async def test_a_link_nobody_made_does_nothing(house: House) -> None:
    ann, ben = await house.person(), await house.person()
    good = parse_qs(urlsplit(mails.unsubscribe_url(house.platform, ann.id, Category.CREDITS)).query)["token"][0]
    forged = encode_url(decode_url(good)[:32] + ben.id.bytes + b"CREDITS")
    required = mails.token_of(house.platform, ann.id, Category.BILLING)
    async with client_of(house.app) as nobody:
        for token, status in (
            ("x", 404),
            (good[:-2], 404),
            (forged, 404),
            ("é\x00", 404),
            ("", 422),
            (required, 422),
        ):
            answer = await nobody.post("/api/notifications/unsubscribe", params={"token": token})
            assert answer.status_code == status, (token, answer.text)
    for person in (ann, ben):
        assert (await person.client.get(PREFERENCES)).json()["preferences"]["version"] == 0


# --- the operator's list ---------------------------------------------------------------------------------------


async def test_the_operator_sees_what_did_not_arrive(house: House) -> None:
    ann, ben = await house.person(), await house.person()
    house.post.fail("permanent", recipient=ann.email)
    for person in (ann, ben, ben):
        await tell(house.platform, [person.id])
    await send_due(house.platform)
    key = {"x-admin-key": ADMIN_KEY}
    async with client_of(house.app) as operator:
        refused = await operator.get("/api/admin/mails", params={"status": "REFUSED"}, headers=key)
        [only] = refused.json()["mails"]
        assert (only["userId"], only["outcome"], only["kind"]) == (str(ann.id), "550 5.1.1", "notification")
        assert ann.email not in refused.text
        seen: list[str] = []
        page: dict[str, Any] = {"userId": str(ben.id), "limit": 1}
        while True:
            answer = (await operator.get("/api/admin/mails", params=page, headers=key)).json()
            seen += [one["id"] for one in answer["mails"]]
            if answer["nextCursor"] is None:
                break
            page["cursor"] = answer["nextCursor"]
        assert len(seen) == 2 + house.welcomed[ben.email]
        assert seen == sorted(seen, reverse=True)
        assert (await operator.get("/api/admin/mails")).status_code == 401
    assert (await ann.client.get("/api/admin/mails")).status_code == 403
