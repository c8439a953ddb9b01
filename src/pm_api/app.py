"""The ASGI application."""

import asyncio
import gc
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.staticfiles import StaticFiles

from pm_api import __version__
from pm_api.bootstrap import build_platform, running
from pm_api.core import telemetry
from pm_api.core.errors import ApiError, Forbidden, NotFound, Unauthorized
from pm_api.core.flows import flow_key
from pm_api.core.http import RequestContextMiddleware, conditional
from pm_api.core.idempotency import IdempotencyInProgress, IdempotencyKeyReused, InvalidIdempotencyKey
from pm_api.core.openapi import Addition, WrittenDocument, build_openapi
from pm_api.core.platform import Platform
from pm_api.core.problem import install_error_handlers
from pm_api.core.ratelimit import Policy
from pm_api.core.settings import Settings, load_settings
from pm_api.domains.changes.hub import StreamHub
from pm_api.domains.storage import tus_edge
from pm_api.domains.storage.leases import Leases
from pm_api.identity.errors.credentials import ApiKeyNotAllowed, InsufficientScope
from pm_api.identity.errors.people import RegistrationRequired, WorkspaceNotFound
from pm_api.identity.guards import Guard, Operator, Require, RequireAccount, RequireAccountOf, SignedIn
from pm_api.identity.permissions import scope_of_permission
from pm_api.routers import DEVELOPMENT_ROUTERS, FILE_BYTES, KEY_EXEMPT, ROUTERS, TAGS

DESCRIPTION = (
    "Workspaces, projects and AI credits for teams. Bodies are JSON in camelCase, times are RFC 3339 in UTC, money "
    "is integer minor units with a currency, credits are integers. Errors are RFC 9457 problems with a `code`. "
    "Lists are paged by `cursor`. Send an `Idempotency-Key` with every POST you may have to retry."
)
DOCUMENT_PATH: Final = "/api/openapi.json"
EXPOSED_HEADERS = (
    "Content-Disposition",
    "ETag",
    "Location",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "X-Request-ID",
    "Idempotent-Replayed",
)


def _including(routers: Iterable[APIRouter]) -> APIRouter:
    """FastAPI works a router's routes out once for each place that includes it: all applications of a process share
    one.
    """
    whole = APIRouter(redirect_slashes=False)
    for router in routers:
        whole.include_router(router)
    return whole


_EVERYWHERE: Final = _including(ROUTERS)
_NOT_IN_PRODUCTION: Final = _including(DEVELOPMENT_ROUTERS)


def from_environment() -> FastAPI:
    """What `pm-api serve` runs: settings and logging from the environment."""
    settings = load_settings()
    telemetry.configure_logging(level=settings.log_level, as_json=settings.is_production)
    return create_app(settings)


def create_app(settings: Settings, platform: Platform | None = None, *, connect: bool = True) -> FastAPI:
    """The application over a platform, which is connected when the application starts unless somebody else does."""
    parts = platform or build_platform(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if not connect:
            yield
            return
        async with running(parts):
            ends = (parts.part(StreamHub).end_all, parts.part(Leases).end_all)
            with streams_end_on_signal(*ends), _what_stays_spared():
                yield

    app = FastAPI(
        title="pm_api",
        version=__version__,
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        separate_input_output_schemas=False,
        redirect_slashes=False,
        openapi_tags=TAGS,
    )
    app.state.platform = parts
    app.router.routes += (
        _EVERYWHERE.routes if settings.is_production else (*_EVERYWHERE.routes, *_NOT_IN_PRODUCTION.routes)
    )
    app.state.keyed_operations = {route.operation_id for route in api_routes(app) if _takes_key(route)}
    _add_docs(app)
    install_error_handlers(app)
    app.add_middleware(tus_edge.TusVersionGate)
    app.add_middleware(
        RequestContextMiddleware,
        randomness=parts.randomness,
        limiter=parts.limiter,
        policy=Policy("address", settings.rate_limit_address),
        max_body_bytes=settings.max_body_bytes,
        hsts=settings.is_production,
        file_bytes=FILE_BYTES,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_credentials=True,
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["*"],
        expose_headers=[*EXPOSED_HEADERS, *tus_edge.EXPOSED],
        max_age=600,
    )
    app.add_middleware(tus_edge.TusManners)
    telemetry.configure_tracing(dict(os.environ), app, parts.database.engine)
    _describe(app)
    return app


def _takes_key(route: APIRoute) -> bool:
    """Every POST may have an Idempotency-Key; other methods have one when they run a flow."""
    return "POST" in (route.methods or ()) or any(one.call is flow_key for one in route.dependant.dependencies)


def _add_docs(app: FastAPI) -> None:
    """Swagger UI from our own disk: the page works on a laptop without a network."""
    folder = find_spec("fastapi_offline")
    assert folder is not None
    assert folder.submodule_search_locations
    assets = Path(folder.submodule_search_locations[0]) / "static"
    app.mount("/docs/assets", StaticFiles(directory=assets), name="docs-assets")
    app.add_route(DOCUMENT_PATH, conditional(WrittenDocument(app).answer), include_in_schema=False)

    @app.get("/docs", operation_id="getDocs", include_in_schema=False)
    async def get_docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=DOCUMENT_PATH,
            title="pm_api",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon.png",
            swagger_ui_parameters={
                "persistAuthorization": True,
                "displayRequestDuration": True,
                "tagsSorter": "alpha",
            },
        )


@contextmanager
def streams_end_on_signal(*ends: Callable[[], None]) -> Iterator[None]:
    """End event streams and uploads under way as soon as the process is asked to stop: the server waits for open
    connections first, and they would keep it waiting.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        for end in ends:
            loop.call_soon_threadsafe(end)
        following = before[signal.Signals(number)]
        if callable(following):
            following(number, frame)

    in_main_thread = threading.current_thread() is threading.main_thread()
    for number in before if in_main_thread else ():
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items() if in_main_thread else ():
            signal.signal(number, handler)


@contextmanager
def _what_stays_spared() -> Iterator[None]:
    """What is loaded by now lives as long as the application: to look through it for garbage again and again would
    stop all requests for a tenth of a second each time. A process may outlive the application (tests do).
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _describe(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            additions = {route.operation_id: _addition(route) for route in api_routes(app) if route.operation_id}
            app.openapi_schema = build_openapi(app, additions)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _addition(route: APIRoute) -> Addition:
    """What the document says about a route that only its guard and its class know."""
    guard = guard_of(route)
    if guard is None:
        return Addition()
    keeps_key = route.methods == {"POST"} and route.operation_id not in KEY_EXEMPT
    key_problems = (IdempotencyInProgress, IdempotencyKeyReused, InvalidIdempotencyKey) if keeps_key else ()
    id_problems = (NotFound,) if "{" in route.path else ()
    return Addition([*_guard_problems(guard), *id_problems, *key_problems], _security(guard), keeps_key)


def _guard_problems(guard: Guard) -> list[type[ApiError]]:
    refused: list[type[ApiError]] = [Unauthorized, InsufficientScope if _takes_api_keys(guard) else ApiKeyNotAllowed]
    if not (isinstance(guard, RequireAccount | RequireAccountOf) and guard.leads):
        refused.append(RegistrationRequired)
    if isinstance(guard, SignedIn) and guard.area is not None:
        refused.append(NotFound)
    if isinstance(guard, Operator):
        refused.append(Forbidden)
    if isinstance(guard, Require | RequireAccount | RequireAccountOf):
        refused += [Forbidden, WorkspaceNotFound if guard.table == "workspaces" else NotFound]
    return refused


def _takes_api_keys(guard: Guard) -> bool:
    if isinstance(guard, SignedIn):
        return guard.area is not None
    return guard.permission is not None and scope_of_permission(guard.permission) is not None


def _security(guard: Guard) -> list[dict[str, list[str]]]:
    return [{"bearer": []}, {"adminKey": []}] if isinstance(guard, Operator) else [{"bearer": []}]


def api_routes(app: FastAPI) -> list[APIRoute]:
    """Every route, those of included routers too (FastAPI keeps those behind one entry a router)."""
    found = (context.original_route for context in iter_route_contexts(app.routes))
    return [route for route in found if isinstance(route, APIRoute)]


def guards_of(route: APIRoute) -> list[Guard]:
    """Every guard among a route's dependencies, nested ones included."""
    found: list[Guard] = []

    def walk(dependant: Dependant) -> None:
        for one in dependant.dependencies:
            call: object = one.call
            if isinstance(call, Guard):
                found.append(call)
            walk(one)

    walk(route.dependant)
    return found


def guard_of(route: APIRoute) -> Guard | None:
    guards = guards_of(route)
    return guards[0] if guards else None
