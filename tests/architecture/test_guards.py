"""Every route has one gate, in front of its session, and its exceptions are written down."""

import inspect
from collections.abc import Iterator
from typing import Final

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from pm_api.app import api_routes, create_app, guard_of, guards_of
from pm_api.core.db import request_session
from pm_api.core.idempotency import ApiRoute
from pm_api.core.settings import Settings
from pm_api.domains.changes.router import subscribe
from pm_api.identity.guards import Guard
from pm_api.routers import KEY_EXEMPT, PUBLIC
from tests.support.settings import ADMIN_KEY, SECRET_KEYS

WITHOUT_A_SESSION: Final = {
    "spendCredits": "the ledger's writer commits",
    "grantCredits": "the ledger's writer commits",
    "sendGift": "a refusal is committed with its key before it is raised",
    "createGiftCodes": "a refusal is committed with its key before it is raised",
    "refundCredits": "the ledger's writer commits",
    "adjustCredits": "the ledger's writer commits",
    "voidGrant": "the ledger's writer commits",
    "exportCreditHistory": "each stretch is read on a short session of its own, while the client takes its time",
    "exportAuditEntries": "the same",
    "exportTasks": "the same",
    "exportEvents": "the same",
    "exportTeam": "the same; that it was taken is written before",
    "spendCreditsBatch": "the ledger's writer commits",
    "placeHold": "the ledger's writer commits",
    "captureHold": "the ledger's writer commits",
    "releaseHold": "the ledger's writer commits",
    "extendHold": "the ledger's writer commits",
    "estimateCredits": "reads on a connection of its own, in one moment, and writes nothing",
    "useCredits": "the ledger's writer commits, before and after the work",
    "streamCredits": "the ledger's writer commits, before and after the work",
    "createCheckoutSession": "a flow commits",
    "purchaseCredits": "a flow commits",
    "getPortalLink": "a flow commits",
    "createPortalLink": "a flow commits",
    "createSetupIntent": "a flow commits",
    "attachPaymentMethod": "a flow commits",
    "updatePaymentMethod": "a flow commits",
    "removePaymentMethod": "a flow commits",
    "createPaymentRefund": "a flow commits",
    "getInvoicePdf": "a stream: read before Stripe is asked",
    "getPromotionCode": "asks Stripe, and writes nothing",
    "getTopUpConfirmation": "asks Stripe, and writes nothing",
    "changePassword": "nothing is held while passwords are hashed",
    "changeEmail": "nothing is held while the password is hashed",
    "linkProvider": "the provider is asked first",
    "deleteAccount": "nothing is held while the password is hashed",
    "downloadExport": "each part is read on a short session of its own, while the client takes its time",
    "getFileContent": "read on a short session of its own, before the bytes go",
    "headFileContent": "the same",
    "getFileVersionContent": "the same",
    "headFileVersionContent": "the same",
    "zipFiles": "the same",
    "getBugReportScreenshot": "the same",
    "moveClock": "the clock moves first, then sweeps run in transactions of their own",
    "openStream": "nothing is held while a stream is open",
    "createSubscription": "a flow: committed before and after Stripe is asked",
    "changeSubscription": "a flow: committed before and after Stripe is asked",
    "cancelSubscription": "a flow: committed before and after Stripe is asked",
    "resumeSubscription": "a flow: committed before and after Stripe is asked",
    "syncPrices": "asks Stripe first, then a transaction of its own, which a dry run rolls back",
    "previewRecurrence": "reads and writes nothing",
    "previewSubscriptionChange": "reads, then asks Stripe, and writes nothing",
    "createTusUpload": "the bytes stream in; each chunk is counted in a short transaction of its own",
    "updateTusUpload": "the same",
    "getTusUpload": "waits for whoever sends to let go, with nothing in hand",
    "deleteTusUpload": "the same",
    "createUpload": "the file streams in between short transactions: room first, then the bytes, then the row",
    "createPresignedUpload": "room is promised first, then the store is asked with nothing in hand",
    "cancelUpload": "an account's uploads end one after the other, and whoever waits for that has nothing in hand",
    "completeUpload": "the store is asked between short transactions of its own",
    "uploadAvatar": "the picture is made anew and stored between short transactions, as any upload",
    "uploadWorkspaceLogo": "the same",
    "getThumbnail": "reads in short transactions: what is not there is made with nothing in hand",
    "headThumbnail": "the same",
}
"""Guarded operations that work without the request's session, and who commits instead."""

PLAIN_ROUTES: Final = {"getHealth", "getReadiness", "getMetrics", "getDocs"}
"""Probes, and the page of the document: no JSON API, so not of our route class."""


def application(env: str) -> FastAPI:
    settings = Settings(
        env=env,
        database_url="postgresql://nowhere/none",
        secret_keys=SECRET_KEYS,
        admin_key=f"{ADMIN_KEY}-long-enough-for-production",
        stripe={"secret_key": "sk_live_tests", "webhook_secret": "whsec_tests"},
        public_url="https://api.example.com",
        site_url="https://example.com",
    )
    return create_app(settings)


@pytest.fixture(scope="module", params=["development", "production"])
def routes(request: pytest.FixtureRequest) -> list[APIRoute]:
    return api_routes(application(request.param))


@pytest.fixture(scope="module")
def operations() -> dict[str, APIRoute]:
    """All operations there are: those of development too."""
    return {route.operation_id or route.name: route for route in api_routes(application("development"))}


def calls_in_order(dependant: Dependant) -> Iterator[object]:
    """What FastAPI calls before the route's function, in the order it does."""
    for one in dependant.dependencies:
        yield from calls_in_order(one)
        yield one.call


def has_session(route: APIRoute) -> bool:
    return request_session in list(calls_in_order(route.dependant))


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def test_production_has_every_route_but_the_developers_own(operations: dict[str, APIRoute]) -> None:
    production = {route.operation_id for route in api_routes(application("production"))}
    assert set(operations) - production == {"getClock", "moveClock"}
    assert production < set(operations)


def test_every_route_has_one_guard_or_is_public(routes: list[APIRoute]) -> None:
    assert len(routes) > 40
    for route in routes:
        public = route.operation_id in PUBLIC
        assert len(guards_of(route)) == (0 if public else 1), route.operation_id


def test_the_lists_of_exceptions_name_nothing_that_is_gone(operations: dict[str, APIRoute]) -> None:
    assert set(operations) >= PUBLIC
    assert set(KEY_EXEMPT) <= {name for name, route in operations.items() if route.methods == {"POST"}}
    assert set(operations) >= set(WITHOUT_A_SESSION)
    assert set(operations) >= PLAIN_ROUTES
    assert all(KEY_EXEMPT.values()), "an exemption says why"


def test_the_guard_comes_before_everything_else(routes: list[APIRoute]) -> None:
    """Who may not come in costs no connection, and learns nothing from a 422."""
    for route in routes:
        if guard_of(route) is None:
            continue
        calls = list(calls_in_order(route.dependant))
        place = next(number for number, call in enumerate(calls) if isinstance(call, Guard))
        assert calls[:place] == [], route.operation_id


def test_a_route_uses_the_session_or_something_that_commits_by_itself(routes: list[APIRoute]) -> None:
    for route in routes:
        if guard_of(route) is None:
            assert not has_session(route), f"{route.operation_id}: nobody opens a transaction without a guard"
        else:
            assert has_session(route) != (route.operation_id in WITHOUT_A_SESSION), route.operation_id


def test_the_session_commits_before_the_answer_leaves(routes: list[APIRoute]) -> None:
    """With FastAPI's default scope a failed COMMIT would still answer 200."""

    def sessions(dependant: Dependant) -> Iterator[Dependant]:
        for one in dependant.dependencies:
            if one.call is request_session:
                yield one
            yield from sessions(one)

    found = [one for route in routes for one in sessions(route.dependant)]
    assert len(found) > 20
    assert {one.scope for one in found} == {"function"}


def test_only_streams_hold_something_until_its_answer_has_ended(routes: list[APIRoute]) -> None:
    def lasting(dependant: Dependant) -> Iterator[object]:
        for one in dependant.dependencies:
            lasts = inspect.isgeneratorfunction(one.call) or inspect.isasyncgenfunction(one.call)
            if lasts and one.scope != "function":
                yield one.call
            yield from lasting(one)

    found = {getattr(call, "__name__", "") for route in routes for call in lasting(route.dependant)}
    assert found == {subscribe.__name__, "charged_stream_work"}


def test_every_post_keeps_its_key_or_says_why_not(routes: list[APIRoute]) -> None:
    for route in routes:
        if route.methods != {"POST"}:
            continue
        kept = isinstance(route, ApiRoute) and guard_of(route) is not None and has_session(route)
        assert kept != (route.operation_id in KEY_EXEMPT), route.operation_id


def test_operation_ids_are_the_functions_names(operations: dict[str, APIRoute], routes: list[APIRoute]) -> None:
    assert len({route.operation_id for route in routes}) == len(routes)
    for name, route in operations.items():
        assert name == camel(route.endpoint.__name__)


def test_one_method_one_route(routes: list[APIRoute]) -> None:
    seen = [(route.path_format, method) for route in routes for method in route.methods or ()]
    assert len(seen) == len(set(seen)) == len(routes)


def test_every_route_is_of_our_class(routes: list[APIRoute]) -> None:
    for route in routes:
        assert (type(route) is ApiRoute) != (route.operation_id in PLAIN_ROUTES), route.operation_id
