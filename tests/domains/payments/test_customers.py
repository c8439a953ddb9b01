"""One customer at Stripe for each account: in a race, after a crash, after it was deleted there."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from pm_api.core.errors import NotFound
from pm_api.core.jobs import JobContext
from pm_api.domains.payments import customers
from pm_api.domains.payments.customers import CREATE_CUSTOMER, CreateCustomer
from pm_api.domains.payments.repository import customers as repository
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import PaymentProviderUnavailable, StripeCustomer, StripeDoor
from pm_api.integrations.stripe import customers as at_stripe
from pm_api.operations.jobs import sweep_flows
from tests.conftest import Person, register
from tests.identity.teams import make_workspace
from tests.support.clock import MovableClock
from tests.support.stripe import Till, clone, open_till, sandbox_stripe

CUSTOMERS = "/v1/customers"


class Died(BaseException):
    """The process is gone."""


@pytest.fixture(scope="module")
async def till() -> AsyncIterator[Till]:
    async with clone() as database, sandbox_stripe() as stripe, open_till(database, stripe) as opened:
        yield opened


@pytest.fixture
async def person(till: Till) -> AsyncIterator[Person]:
    made = await register(till.app, name="Ada Archer")
    yield made
    await made.client.aclose()
    await till.stripe.heal()
    clock_of(till).reset()


def clock_of(till: Till) -> MovableClock:
    assert isinstance(till.platform.clock, MovableClock)
    return till.platform.clock


async def with_address(till: Till, email: str) -> list[StripeCustomer]:
    return list((await at_stripe.list_with_email(till.platform.part(StripeDoor), email)).items)


async def rows(till: Till, account_id: UUID) -> list[str]:
    found = await till.query(
        "SELECT stripe_customer_id FROM stripe_customers WHERE account_id = :id AND deleted_at IS NULL", id=account_id
    )
    return [row["stripe_customer_id"] for row in found]


async def test_a_race_of_twenty_makes_one_customer(till: Till, person: Person) -> None:
    asked = (customers.ensure(till.platform, AccountType.USER, person.id) for _ in range(20))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    [there] = await with_address(till, person.email)
    # On a slow machine some give up waiting for the one that makes it.
    assert {one for one in answers if not isinstance(one, PaymentProviderUnavailable)} == {there.id}
    assert set(await rows(till, person.id)) == {there.id}
    assert await customers.ensure(till.platform, AccountType.USER, person.id) == there.id


async def test_one_made_between_two_looks_leads_to_no_second(till: Till, person: Person) -> None:
    """What names the flow is read after a look that found nobody: one made since must not move it."""
    account = (AccountType.USER, person.id)

    async def deleted() -> int:
        async with till.platform.database.reading() as session:
            return await repository.count_deleted(session, account)

    assert await deleted() == 0
    made = await customers.ensure(till.platform, *account)
    assert await deleted() == 0
    async with till.platform.database.transaction() as session:
        await customers.forget(session, till.platform, made)
    assert await deleted() == 1


async def test_it_carries_its_account_and_its_owner(till: Till, person: Person) -> None:
    workspace = await make_workspace(person)
    workspace_id = UUID(workspace["id"])
    mine = await customers.ensure(till.platform, AccountType.USER, person.id)
    ours = await customers.ensure(till.platform, AccountType.WORKSPACE, workspace_id)
    there = {one.id: one for one in await with_address(till, person.email)}
    assert set(there) == {mine, ours}
    assert (there[ours].name, there[mine].name) == (workspace["name"], "Ada Archer"), "invoices are addressed to them"
    assert there[ours].metadata["accountType"] == "WORKSPACE"
    assert there[ours].metadata["accountId"] == str(workspace_id)
    assert UUID(there[ours].metadata["flow"])
    async with till.platform.database.reading() as session:
        assert await customers.owner_of(session, ours) == (AccountType.WORKSPACE, workspace_id)
        assert await customers.owner_of(session, mine) == (AccountType.USER, person.id)
        assert await customers.owner_of(session, "cus_stranger") is None
        assert await customers.known(session, AccountType.WORKSPACE, workspace_id) == ours
        assert await customers.known(session, AccountType.USER, workspace_id) is None


@pytest.mark.parametrize("ended_by", ["the sweep", "the next one who needs it"])
async def test_a_death_between_stripes_answer_and_the_commit_leaves_one(
    till: Till, person: Person, ended_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A death within the process: nothing of the flow runs on, its lease runs out."""
    whole = CreateCustomer.act

    async def dies(self: CreateCustomer, *arguments: object) -> StripeCustomer:
        await whole(self, *arguments)  # type: ignore[arg-type]  # what it was called with
        raise Died

    monkeypatch.setattr(CreateCustomer, "act", dies)
    with pytest.raises(Died):
        await customers.ensure(till.platform, AccountType.USER, person.id)
    monkeypatch.undo()
    assert await rows(till, person.id) == []
    clock_of(till).advance(seconds=3)
    if ended_by == "the sweep":
        await sweep_flows(JobContext(till.platform, "test"))
        assert len(await rows(till, person.id)) == 1
    made = await asyncio.gather(*(customers.ensure(till.platform, AccountType.USER, person.id) for _ in range(5)))
    [there] = await with_address(till, person.email)
    assert set(made) == {there.id} == set(await rows(till, person.id))


async def test_a_failure_that_made_one_all_the_same_is_found(till: Till, person: Person) -> None:
    await till.stripe.fail(pathPrefix=CUSTOMERS, method="POST", status=500, actThenFail=True, times=1)
    with pytest.raises(PaymentProviderUnavailable):
        await customers.ensure(till.platform, AccountType.USER, person.id)
    made = await customers.ensure(till.platform, AccountType.USER, person.id)
    assert [one.id for one in await with_address(till, person.email)] == [made]


async def test_a_deleted_customer_is_followed_by_a_new_one(till: Till, person: Person) -> None:
    first = await customers.ensure(till.platform, AccountType.USER, person.id)
    async with till.platform.database.transaction() as session:
        await customers.forget(session, till.platform, first)
        await customers.forget(session, till.platform, first)
    made = await asyncio.gather(*(customers.ensure(till.platform, AccountType.USER, person.id) for _ in range(5)))
    assert len(set(made)) == 1
    assert first not in made
    assert await rows(till, person.id) == [made[0]]
    async with till.platform.database.reading() as session:
        assert await customers.owner_of(session, first) == (AccountType.USER, person.id), "events may still name it"


async def test_nobody_has_no_customer(till: Till) -> None:
    for kind in AccountType:
        with pytest.raises(NotFound):
            await customers.ensure(till.platform, kind, uuid4())
    assert (
        await till.query("SELECT 1 AS one FROM flows WHERE kind = :k AND status = 'OPEN'", k=CREATE_CUSTOMER.name)
        == []
    )
