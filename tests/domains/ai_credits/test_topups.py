"""Auto top-up: its settings over HTTP, and the rules of buying as pure functions."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import topups
from pm_api.domains.ai_credits.catalogue import NewOffer, put_offer
from pm_api.domains.ai_credits.topups import (
    BACKOFF,
    Settings,
    State,
    after_failure,
    after_success,
    count,
    due,
    month_of,
    month_to_count,
    rearm_by_new_card,
    spent_this_month,
    uncount,
    why_disarmed,
    with_payment_method,
    without_payment_method,
)
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, open_platform, register
from tests.domains.ai_credits.pooling import NOON, team
from tests.support.clock import MovableClock
from tests.support.settings import settings_for

SETTINGS = Settings(enabled=True, threshold=50, monthly_cap_minor=1000, price_minor=400)
CARD = State(payment_method_ready=True)
MAY, JUNE = date(2031, 5, 1), date(2031, 6, 1)
WANTED = {"enabled": True, "threshold": 50, "pack": "MEDIUM", "monthlyCap": 5000, "currency": "USD"}


async def put(
    person: Person, match: str | None = None, *, workspace_id: str | None = None, **changed: Any
) -> httpx.Response:
    return await person.client.put(
        "/api/credits/auto-topup",
        params={"workspaceId": workspace_id} if workspace_id else {},
        headers={"If-Match": match} if match else {},
        json={**WANTED, **changed},
    )


async def read(person: Person, workspace_id: str | None = None) -> dict[str, Any]:
    answer = await person.client.get(
        "/api/credits/auto-topup", params={"workspaceId": workspace_id} if workspace_id else {}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["autoTopUp"]
    return found


# --- rules -----------------------------------------------------------------------------------------------------


def test_due_when_below_the_threshold_and_nothing_stands_against_it() -> None:
    assert due(SETTINGS, CARD, 49, NOON)
    assert not due(SETTINGS, CARD, 50, NOON)
    assert not due(replace(SETTINGS, enabled=False), CARD, 0, NOON)
    assert not due(SETTINGS, replace(CARD, disarmed_reason="card_declined"), 0, NOON)
    waiting = replace(CARD, next_attempt_at=NOON)
    assert not due(SETTINGS, waiting, 0, NOON - timedelta(seconds=1))
    assert due(SETTINGS, waiting, 0, NOON)


def test_nothing_is_bought_without_something_to_charge() -> None:
    assert not due(SETTINGS, State(), 0, NOON)
    assert why_disarmed(State()) == "NO_PAYMENT_METHOD"
    armed = rearm_by_new_card(State())
    assert (due(SETTINGS, armed, 0, NOON), why_disarmed(armed)) == (True, None)
    removed = without_payment_method(armed)
    assert (due(SETTINGS, removed, 0, NOON), why_disarmed(removed)) == (False, "NO_PAYMENT_METHOD")
    declined = replace(removed, disarmed_reason="card_declined")
    assert why_disarmed(declined) == "card_declined", "any payment method would not do"


def test_the_monthly_cap_counts_this_purchase_and_this_utc_month() -> None:
    state = CARD
    for bought in range(2):
        assert due(SETTINGS, state, 0, NOON)
        state = after_success(count(state, 400, MAY))
        assert spent_this_month(state, NOON) == 400 * (bought + 1)
    assert not due(SETTINGS, state, 0, NOON)
    assert due(replace(SETTINGS, monthly_cap_minor=1200), state, 0, NOON)
    assert not due(SETTINGS, state, 0, datetime(2031, 5, 31, 23, 59, 59, tzinfo=UTC))
    june = datetime(2031, 6, 1, tzinfo=UTC)
    assert due(SETTINGS, state, 0, june)
    assert spent_this_month(state, june) == 0
    assert count(state, 400, month_to_count(state, june)) == replace(state, spent_month=JUNE, spent_minor=400)
    east = datetime(2031, 6, 1, 1, tzinfo=UTC).astimezone()
    assert spent_this_month(state, east) == 0


def test_what_is_reserved_and_not_charged_is_let_go() -> None:
    reserved = count(count(CARD, 400, MAY), 400, MAY)
    assert not due(SETTINGS, reserved, 0, NOON)
    assert uncount(reserved, 400, MAY).spent_minor == 400
    in_june = count(reserved, 400, JUNE)
    assert (in_june.spent_month, in_june.spent_minor) == (JUNE, 400)
    assert uncount(in_june, 400, MAY) == in_june, "what was let go of counted in another month"
    assert count(in_june, 400, MAY) == in_june, "a late payment of a month that is over limits nothing"


def test_a_month_that_has_begun_elsewhere_has_begun() -> None:
    """Two processes whose clocks differ by a second, at midnight: what the one counts, the other sees."""
    may = datetime(2031, 5, 31, 23, 59, 59, tzinfo=UTC)
    state = count(CARD, 800, JUNE)
    assert spent_this_month(state, may) == 800
    assert not due(SETTINGS, state, 0, may)
    assert month_to_count(state, may) == JUNE


def test_a_card_that_was_tried_before_arms_nothing_again() -> None:
    disarmed = replace(without_payment_method(CARD), failures=4, disarmed_reason="card_declined")
    assert why_disarmed(with_payment_method(disarmed)) == "card_declined"
    assert why_disarmed(with_payment_method(State())) is None


def test_each_decline_waits_longer_and_the_fourth_disarms() -> None:
    state, now = CARD, NOON
    for number, wait in enumerate(BACKOFF, 1):
        state = after_failure(state, now)
        assert (state.failures, state.last_failure_at, state.disarmed_reason) == (number, now, None)
        assert state.next_attempt_at == now + wait
        assert not due(SETTINGS, state, 0, now + wait - timedelta(seconds=1))
        now += wait
        assert due(SETTINGS, state, 0, now)
    state = after_failure(state, now)
    assert (state.failures, state.next_attempt_at, state.disarmed_reason) == (4, None, "card_declined")
    assert not due(SETTINGS, state, 0, now + timedelta(days=400))
    assert list(BACKOFF) == sorted(BACKOFF)


def test_a_success_forgets_declines_and_only_a_new_card_arms_again() -> None:
    failed = after_failure(after_failure(count(CARD, 400, MAY), NOON), NOON)
    assert after_success(failed).failures == 0
    assert after_success(failed).next_attempt_at is None
    disarmed = after_failure(after_failure(failed, NOON), NOON)
    assert disarmed.disarmed_reason is not None
    assert after_success(disarmed).disarmed_reason is not None, "a late answer for the old card"
    armed = rearm_by_new_card(disarmed)
    assert (armed.failures, armed.disarmed_reason, armed.next_attempt_at) == (0, None, None)
    assert due(SETTINGS, armed, 0, NOON)
    assert armed.spent_minor == 400, "a new card is no new month"


# --- settings --------------------------------------------------------------------------------------------------


async def test_settings_of_a_wallet(person: Person) -> None:
    nothing = await read(person)
    assert (nothing["enabled"], nothing["pack"], nothing["threshold"], nothing["version"]) == (False, None, None, 0)
    assert (nothing["state"]["armed"], nothing["state"]["disarmedReason"]) == (False, "NO_PAYMENT_METHOD")
    answer = await put(person)
    assert answer.status_code == 200, answer.text
    found = await read(person)
    assert found == answer.json()["autoTopUp"]
    assert {name: found[name] for name in WANTED} == WANTED
    assert found["version"] == 1
    assert found["state"] == {
        "armed": False,
        "failures": 0,
        "lastFailureAt": None,
        "nextAttemptAt": None,
        "spentThisMonth": 0,
        "disarmedReason": "NO_PAYMENT_METHOD",
    }
    assert (await put(person, '"0"')).status_code == 412
    off = await put(person, answer.headers["ETag"], enabled=False)
    assert (off.status_code, off.json()["autoTopUp"]["state"]["armed"]) == (200, False)
    assert (await put(person, answer.headers["ETag"])).status_code == 412


async def test_armed_while_a_payment_method_is_known(person: Person, platform: Platform) -> None:
    """What billing tells of payment methods; nothing that a person sets arms anything."""
    assert (await put(person)).json()["autoTopUp"]["state"]["armed"] is False
    for change, armed, reason in (
        (rearm_by_new_card, True, None),
        (without_payment_method, False, "NO_PAYMENT_METHOD"),
    ):
        async with platform.database.transaction() as session:
            await topups.change_state(session, platform, person.id, change)
        for found in (await read(person), (await put(person)).json()["autoTopUp"]):
            assert (found["state"]["armed"], found["state"]["disarmedReason"]) == (armed, reason)
    async with platform.database.transaction() as session:
        await topups.change_state(session, platform, person.id, rearm_by_new_card)
    off = (await put(person, enabled=False)).json()["autoTopUp"]
    assert (off["state"]["armed"], off["state"]["disarmedReason"]) == (False, None)


async def test_settings_of_a_pool_are_its_managers(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [member] = await team(new_person, platform, Role.MEMBER)
    assert (await put(member, workspace_id=pool)).status_code == 403
    assert (await put(await new_person(), workspace_id=pool)).status_code == 404
    assert (await put(owner, workspace_id=pool)).status_code == 200
    assert (await read(member, pool))["pack"] == "MEDIUM"
    assert (await read(owner))["pack"] is None, "the owner's wallet is another account"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"pack": "HUGE"}, 422, "unknown_pack"),
        ({"pack": "SMALL\u0000"}, 422, "validation_failed"),
        ({"monthlyCap": 898}, 422, "monthly_cap_too_low"),
        ({"currency": "EUR"}, 422, "topup_currency_differs"),
        ({"currency": "usd"}, 422, "validation_failed"),
        ({"threshold": -1}, 422, "validation_failed"),
        ({"threshold": 1.5}, 422, "validation_failed"),
        ({"enabled": 1}, 422, "validation_failed"),
        ({"armed": True}, 422, "validation_failed"),
    ],
)
async def test_what_cannot_be_set(person: Person, changed: dict[str, Any], status: int, code: str) -> None:
    answer = await put(person, **changed)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await read(person))["version"] == 0


async def test_an_offer_that_is_over_cannot_be_chosen(fresh_database: str) -> None:
    settings = settings_for(fresh_database)
    async with open_platform(settings, MovableClock()) as platform:
        app = create_app(settings, platform)
        person = await register(app)
        ended = platform.clock.now() - timedelta(days=1)
        async with platform.database.transaction() as session:
            await put_offer(session, platform, NewOffer("SPRING", 100, 0, 99, "USD", valid_until=ended))
        answer = await put(person, pack="SPRING")
        assert (answer.status_code, answer.json()["code"]) == (410, "offer_expired")
        await person.client.aclose()


async def test_what_happened_is_kept_and_no_setting_arms_again(person: Person, platform: Platform) -> None:
    assert (await put(person)).status_code == 200
    now = platform.clock.now()
    for change in (partial(count, price_minor=899, month=month_of(now)), *[partial(after_failure, now=now)] * 4):
        async with platform.database.transaction() as session:
            assert await topups.change_state(session, platform, person.id, change) is not None
    state = (await read(person))["state"]
    assert (state["armed"], state["failures"], state["disarmedReason"]) == (False, 4, "card_declined")
    assert state["spentThisMonth"] == 899
    await put(person, enabled=False)
    again = (await put(person, enabled=True)).json()["autoTopUp"]
    assert (again["enabled"], again["state"]["armed"]) == (True, False)
    async with platform.database.transaction() as session:
        await topups.change_state(session, platform, person.id, rearm_by_new_card)
    assert (await read(person))["state"]["armed"] is True
    async with platform.database.reading() as session:
        noted = await session.scalar(
            text(
                "SELECT count(*) FROM audit_entries WHERE subject_id = :id AND action = 'credits.auto_topup_changed'"
            ),
            {"id": str(person.id)},
        )
    assert noted == 3


async def test_an_account_without_settings_has_no_state_to_change(person: Person, platform: Platform) -> None:
    async with platform.database.transaction() as session:
        assert await topups.change_state(session, platform, person.id, rearm_by_new_card) is None
