"""The API under load: the product's application with four routes more, served as `pm-api serve` serves it."""

import cProfile
import os
import signal
import sys
from typing import Annotated

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request
from sqlalchemy import text

from benchmarks import baseline
from benchmarks.ground import CALLERS, PROFILE, read_callers
from pm_api.app import create_app
from pm_api.core import telemetry
from pm_api.core.actor import AccountScope, Actor, ActorKind, UserScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import ApiModel
from pm_api.core.settings import load_settings
from pm_api.domains.ai_credits import service
from pm_api.domains.ai_credits.router.ledger import IdempotencyHeader
from pm_api.domains.ai_credits.schemas.ledger import EntryAnswer, SpendRequest
from pm_api.identity.guards import CACHE_S, SessionCache, require_account

SpendScope = Annotated[AccountScope, Depends(require_account("credits.spend"))]

router = api_router(tag="benchmarks", prefix="/bench")
plain = APIRouter(prefix="/bench")
"""Without the route class that keeps answers under their Idempotency-Key: the baseline has its own record."""


class Nothing(ApiModel):
    ok: bool = True


@router.post("/noop")
async def do_nothing(_scope: SpendScope, _body: SpendRequest, _idempotency_key: IdempotencyHeader = None) -> Nothing:
    """What every spend pays before it does anything: server, limits, guard, parsing; and a short answer."""
    return Nothing()


@plain.post("/spend-orm")
async def spend_by_orm(
    scope: SpendScope,
    platform: PlatformDep,
    session: SessionDep,
    body: SpendRequest,
    idempotency_key: IdempotencyHeader = None,
) -> EntryAnswer:
    assert isinstance(scope, UserScope)
    key = service.ledger_key(idempotency_key, body.idempotency_key)
    return await baseline.spend(session, platform, scope, body, key)


@plain.post("/one-row")
async def insert_one_row(request: Request, platform: PlatformDep) -> Nothing:
    """What an event's acknowledgement is measured against: the body into one row, and COMMIT."""
    body = await request.body()
    async with platform.database.transaction() as session:
        await session.execute(
            text("INSERT INTO bench_rows (id, body) VALUES (:id, :body)"),
            {"id": platform.randomness.uuid(), "body": body.decode()},
        )
    return Nothing()


@plain.post("/sessions")
async def set_sessions(platform: PlatformDep, *, cached: bool) -> Nothing:
    """Have every caller's session checked already, as it is for 5 s after a caller's request; or nobody's."""
    cache = platform.part(SessionCache)
    cache.clear()
    for one in read_callers(os.environ[CALLERS]).people[1:] if cached else ():
        cache.put(one.token, Actor(ActorKind.USER, one.user_id, one.session_id), CACHE_S)
    return Nothing()


def application() -> FastAPI:
    settings = load_settings()
    telemetry.configure_logging(level=settings.log_level, as_json=settings.is_production)
    app = create_app(settings)
    app.router.routes.extend([*router.routes, *plain.routes])
    return app


def main() -> None:
    settings = load_settings()
    uvicorn.run(
        "benchmarks.server:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    if PROFILE in os.environ:
        # uvicorn raises the signal once more when it has shut down; the profile is still to be written then.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        profiler = cProfile.Profile()
        try:
            profiler.runcall(main)
        finally:
            profiler.dump_stats(os.environ[PROFILE])
    else:
        main()
