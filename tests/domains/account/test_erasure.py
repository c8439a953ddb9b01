"""Nothing is left of who has gone but their lines in the books; and the walk there may be cut off anywhere."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from pm_api.core import personal
from pm_api.core.personal import Leaving, going
from pm_api.core.platform import Platform
from pm_api.domains.account import erasure
from pm_api.entitlements.enums import AccountType
from pm_api.identity.permissions import Role
from pm_api.integrations.stripe import customers as stripe_customers
from tests.conftest import PASSWORD, register
from tests.domains.account.leavers import (
    ACCOUNT,
    EXPORT,
    Leaver,
    build_export,
    found_anywhere,
    hear_everything,
    new_leaver,
    sweep,
    use_everything,
    use_what_opens_doors,
)
from tests.domains.billing.subscribing import Shop, open_shop
from tests.identity.teams import join, make_workspace

DUE, LATE = "account.erase_due", "account.tidy_up"


class Died(BaseException):
    """The process is gone."""


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


async def ask_to_go(shop: Shop, leaver: Leaver) -> None:
    answer = await leaver.person.client.request("DELETE", ACCOUNT, json={"password": PASSWORD})
    assert answer.status_code == 202, answer.text


async def status_of(shop: Shop, leaver: Leaver) -> str:
    [(status,)] = await shop.rows("SELECT status FROM account_deletions WHERE user_id = :id", id=leaver.person.id)
    return str(status)


async def bills(shop: Shop, *accounts: UUID) -> list[tuple[Any, ...]]:
    """Every invoice of these accounts with what its lines add up to."""
    return await shop.rows(
        "SELECT i.id, i.number, i.status, i.subtotal_minor, i.total_minor, i.paid_minor,"
        " (SELECT sum(l.amount_minor) FROM invoice_lines l WHERE l.invoice_id = i.id)"
        " FROM invoices i WHERE i.account_id = ANY(:ids) ORDER BY i.id",
        ids=list(accounts),
    )


async def test_nothing_of_a_person_who_used_everything_is_left_and_the_books_still_prove(shop: Shop) -> None:
    platform = shop.till.platform
    friend = await shop.person()
    leaver = await new_leaver(shop)
    person = leaver.person
    await use_everything(shop, leaver, friend)
    await use_what_opens_doors(shop, leaver, friend)
    made = await shop.done(person, "POST", EXPORT, 201)
    await build_export(platform, made["export"]["id"])
    own, shared = UUID(leaver.own), UUID(leaver.shared)
    before = await bills(shop, person.id, own)
    lines = await shop.rows("SELECT count(*) FROM credit_entries WHERE account_id = ANY(:ids)", ids=[person.id, own])
    assert len(before) >= 3
    everywhere = await found_anywhere(platform, leaver.words)
    holding = {one.split(":")[0] for one in everywhere}
    assert holding >= {
        f"public.{name}"
        for name in (
            *("users", "sessions", "workspaces", "notifications", "inbox_events", "flows"),
            *("credit_gifts", "credit_holds", "credit_pool_requests", "credit_commands"),
            *("api_keys", "security_events", "webhook_endpoints", "invitations"),
        )
    }, "the search finds what there is"

    await ask_to_go(shop, leaver)
    await shop.move(days=7, minutes=1)
    await hear_everything(shop)
    await sweep(platform, DUE)
    assert await status_of(shop, leaver) == "ERASED"
    assert sorted(await found_anywhere(platform, leaver.words)) == [], await found_anywhere(platform, leaver.words)

    # At Stripe: nobody is charged any more, and nothing there tells of them; the team's bills go to who is left.
    for account_id in (person.id, own):
        [(customer_id,)] = await shop.rows(
            "SELECT stripe_customer_id FROM stripe_customers WHERE account_id = :id", id=account_id
        )
        assert (await stripe_customers.retrieve(shop.door, customer_id)).is_deleted
    live = await shop.rows(
        "SELECT id FROM subscriptions WHERE account_id = ANY(:ids) AND status <> 'CANCELED'", ids=[person.id, own]
    )
    assert live == []
    [(going_on,)] = await shop.rows(
        "SELECT stripe_customer_id FROM stripe_customers WHERE account_id = :id", id=shared
    )
    assert (await stripe_customers.retrieve(shop.door, going_on)).email == friend.email

    # Nothing opens anything any more.
    for headers in ({"Authorization": f"Bearer {leaver.extra['key']}"}, dict(person.client.headers)):
        answer = await shop.till.client.get("/api/credits/balance", headers=headers)
        assert answer.status_code == 401, answer.text

    # The books: every line is there and proves, nothing can be spent, and nothing comes any more.
    assert await bills(shop, person.id, own) == before
    assert all(subtotal == added for *_, subtotal, _, _, added in before)
    assert await shop.installation.credits(AccountType.USER, person.id) == 0
    assert await shop.installation.credits(AccountType.WORKSPACE, own) == 0
    after = await shop.rows("SELECT count(*) FROM credit_entries WHERE account_id = ANY(:ids)", ids=[person.id, own])
    assert after > lines
    held = await shop.rows("SELECT held, balance FROM credit_accounts WHERE id = ANY(:ids)", ids=[person.id, own])
    assert held == [(0, 0), (0, 0)]
    assert await shop.installation.credits(AccountType.USER, friend.id) >= 9, "what was given stays given"

    # What Stripe tells afterwards is put away too, a month later there are no free credits, and nothing is undone.
    await hear_everything(shop)
    assert await found_anywhere(platform, leaver.words) != [], "the late events do tell of them"
    await shop.move(minutes=11)
    await sweep(platform, LATE)
    assert sorted(await found_anywhere(platform, leaver.words)) == [], await found_anywhere(platform, leaver.words)
    await shop.move(days=31)
    await shop.installation.sweep()
    assert await shop.installation.credits(AccountType.USER, person.id) == 0


async def test_whoever_is_gone_is_signed_out_everywhere_and_their_address_is_free(shop: Shop) -> None:
    friend, leaver = await shop.person(), await new_leaver(shop)
    workspace = (await make_workspace(friend))["id"]
    await join(shop.till.platform, workspace, leaver.person, Role.MEMBER)
    await ask_to_go(shop, leaver)
    await shop.move(days=7, minutes=1)
    await sweep(shop.till.platform, DUE)
    assert (await leaver.person.client.get("/api/auth/me")).status_code == 401
    tried = {"email": leaver.person.email, "password": PASSWORD}
    assert (await shop.till.client.post("/api/auth/login", json=tried)).status_code == 401
    members = (await friend.client.get("/api/team/members", params={"workspaceId": workspace})).json()["members"]
    assert [one["userId"] for one in members] == [str(friend.id)]
    anew = await register(shop.till.app, email=leaver.person.email)
    shop.people.append(anew)
    assert anew.id != leaver.person.id


async def test_an_address_they_had_before_goes_too(shop: Shop) -> None:
    """A team's bills were addressed to it, and an invitation that nobody has answered."""
    friend, leaver = await shop.person(), await new_leaver(shop)
    person = leaver.person
    asked = {"emails": [person.email], "workspaceId": (await make_workspace(friend))["id"]}
    await shop.done(friend, "POST", "/api/team/invite", 200, **asked)
    team = (await make_workspace(person))["id"]
    await shop.card(AccountType.WORKSPACE, team)
    await join(shop.till.platform, team, friend, Role.OWNER)
    await hear_everything(shop)
    await shop.installation.execute(
        "INSERT INTO email_tokens (id, user_id, purpose, email, previous_email, token_hash, created_at, expires_at,"
        " used_at) SELECT gen_random_uuid(), id, 'CHANGE_EMAIL', 'new-' || email, email, '\\x00', created_at,"
        " created_at + interval '1 day', created_at FROM users WHERE id = :id",
        id=person.id,
    )
    await shop.installation.execute(
        "UPDATE users SET email = :email, name = 'Renamed' WHERE id = :id",
        id=person.id,
        email=f"other-{uuid4().hex}@example.com",
    )
    await ask_to_go(shop, leaver)
    await shop.move(days=7, minutes=1)
    await sweep(shop.till.platform, DUE)
    [(customer_id,)] = await shop.rows(
        "SELECT stripe_customer_id FROM stripe_customers WHERE account_id = :id", id=UUID(team)
    )
    assert (await stripe_customers.retrieve(shop.door, customer_id)).email == friend.email
    assert await found_anywhere(shop.till.platform, [f"{leaver.mark}@example.com"]) == []


async def test_a_crash_after_any_step_costs_nothing_but_another_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, every step is done and then the process dies before that is known."""
    platform = shop.till.platform
    friend, leaver = await shop.person(), await new_leaver(shop)
    await use_everything(shop, leaver, friend)
    await ask_to_go(shop, leaver)
    await shop.move(days=7, minutes=1)
    [(deletion_id,)] = await shop.rows("SELECT id FROM account_deletions")
    steps = personal.endings()
    assert len(steps) > 6
    ran: list[str] = []

    def dying(run: Callable[[Platform, Leaving], Awaitable[None]], name: str) -> Any:
        async def step(platform: Platform, leaving: Leaving) -> None:
            await run(platform, leaving)
            if name not in ran:
                ran.append(name)
                raise Died(name)

        return step

    for one in steps:
        monkeypatch.setitem(
            going._ENDINGS, one.name, going.Ending(one.name, one.order, dying(one.run, one.name), one.again)
        )
    for one in steps:
        with pytest.raises(Died, match=one.name):
            await erasure.erase(platform, deletion_id)
        assert await status_of(shop, leaver) == "ERASING"
    await erasure.erase(platform, deletion_id)
    assert await status_of(shop, leaver) == "ERASED"
    assert sorted(await found_anywhere(platform, leaver.words)) == [], await found_anywhere(platform, leaver.words)
    for kind, account_id in ((AccountType.USER, leaver.person.id), (AccountType.WORKSPACE, UUID(leaver.own))):
        assert await shop.installation.credits(kind, account_id) == 0
    await erasure.erase(platform, deletion_id)
    assert await status_of(shop, leaver) == "ERASED"


async def test_while_stripe_is_away_the_erasure_waits_where_it_is(shop: Shop) -> None:
    platform = shop.till.platform
    leaver = await new_leaver(shop)
    await shop.active(leaver.person)
    await ask_to_go(shop, leaver)
    await shop.move(days=7, minutes=1)
    await shop.till.stripe.fail(status=503, times=1000, pathPrefix="/v1/")
    await sweep(platform, DUE)
    assert await status_of(shop, leaver) == "ERASING"
    [(email,)] = await shop.rows("SELECT email FROM users WHERE id = :id", id=leaver.person.id)
    assert leaver.mark not in email, "who they were is forgotten first of all"
    await shop.till.stripe.heal()
    await sweep(platform, DUE)
    assert await status_of(shop, leaver) == "ERASED"
    assert await shop.rows("SELECT id FROM subscriptions WHERE status <> 'CANCELED'") == []


async def test_what_comes_in_the_way_during_the_grace_delays_it_and_is_told(shop: Shop) -> None:
    platform = shop.till.platform
    friend, leaver = await shop.person(), await new_leaver(shop)
    workspace = (await make_workspace(leaver.person, name="Common"))["id"]
    await ask_to_go(shop, leaver)
    await join(platform, workspace, friend, Role.MEMBER)
    await shop.move(days=7, minutes=1)
    await sweep(platform, DUE)
    assert await status_of(shop, leaver) == "PENDING"
    [told] = await shop.notices(leaver.person, "account.deletion_delayed")
    assert "Common" in told["body"]
    await sweep(platform, DUE)
    assert len(await shop.notices(leaver.person, "account.deletion_delayed")) == 1, "once a day"
    await shop.installation.execute("UPDATE workspace_members SET role = 'OWNER' WHERE user_id = :id", id=friend.id)
    await shop.move(days=1, minutes=1)
    await sweep(platform, DUE)
    assert await status_of(shop, leaver) == "ERASED"


async def test_two_workers_erase_one_person_once(shop: Shop) -> None:
    leaver = await new_leaver(shop)
    await shop.active(leaver.person)
    await ask_to_go(shop, leaver)
    await shop.move(days=7, minutes=1)
    platform = shop.till.platform
    await asyncio.gather(*(sweep(platform, DUE) for _ in range(4)))
    assert await status_of(shop, leaver) == "ERASED"
    assert sorted(await found_anywhere(platform, leaver.words)) == [], await found_anywhere(platform, leaver.words)
    assert await shop.installation.credits(AccountType.USER, leaver.person.id) == 0
    voided = await shop.rows(
        "SELECT count(*) FROM audit_entries WHERE action = 'user.erased' AND subject_id = :id",
        id=str(leaver.person.id),
    )
    assert voided == [(1,)]
