"""Routes of the operator, and what anybody may see of the installation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pm_api.core.actor import AdminScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.http import content_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep, get_platform
from pm_api.core.problem import problem_page
from pm_api.identity.guards import operator
from pm_api.migrate import head
from pm_api.operations import service
from pm_api.operations.schemas import (
    ClockAnswer,
    ClockMove,
    Health,
    HeldJobs,
    PublicConfig,
    PublicConfigAnswer,
    Readiness,
    ReleasedJob,
    ReleasedJobAnswer,
)
from pm_api.operations.service import ClockMoveInvalid, Probe

PUBLIC_CACHE = "public, max-age=300"

probes = APIRouter(tags=["operations"])
pages = api_router(tag="operations", prefix="")
router = api_router(tag="operations")
development = api_router(tag="development")

_HEAD = head()


@probes.get("/healthz", operation_id="getHealth")
async def get_health() -> Health:
    """The process is alive."""
    return Health(status="ok")


@probes.get("/readyz", operation_id="getReadiness", responses={503: {"model": Readiness}})
async def get_readiness(platform: PlatformDep, response: Response) -> Readiness:
    """A request could be served: database, migrations, queue and signals are as they should be. Asked at most once a
    second.
    """
    found = await platform.part(Probe).ask(platform, _HEAD)
    if found.status != "ok":
        response.status_code = 503
    return found


async def head_of_health(_request: Request) -> Response:
    """As the GET, for monitors that ask for no body; it is no operation of its own."""
    return Response()


async def head_of_readiness(request: Request) -> Response:
    """The same of the other probe."""
    platform = get_platform(request)
    found = await platform.part(Probe).ask(platform, _HEAD)
    return Response(status_code=200 if found.status == "ok" else 503)


probes.add_route("/healthz", head_of_health, methods=["HEAD"], include_in_schema=False)
probes.add_route("/readyz", head_of_readiness, methods=["HEAD"], include_in_schema=False)


@probes.get("/metrics", operation_id="getMetrics", response_class=Response, include_in_schema=False)
async def get_metrics() -> Response:
    """Prometheus metrics of this process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@pages.get(
    "/problems/{code}",
    operation_id="getProblem",
    response_class=HTMLResponse,
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_problem(
    code: Annotated[str, Path(description="The problem's `code`.", examples=["not_found"])],
) -> HTMLResponse:
    """What an error code means, for a person."""
    page = problem_page(code)
    if page is None:
        raise NotFound("No problem has this code.")
    return HTMLResponse(page, headers={"Cache-Control": PUBLIC_CACHE, "ETag": content_tag(page)})


@router.get("/config", operation_id="getConfig", responses={200: ETAG_HEADER})
async def get_config(platform: PlatformDep, response: Response) -> PublicConfigAnswer:
    """What the single-page app needs before anybody signs in."""
    settings = platform.settings
    answer = PublicConfigAnswer(
        config=PublicConfig(
            environment=settings.env,
            api_url=settings.public_url,
            site_url=settings.site_url,
            stripe_publishable_key=settings.stripe.publishable_key or None,
        )
    )
    response.headers["Cache-Control"] = PUBLIC_CACHE
    response.headers["ETag"] = content_tag(answer.model_dump_json())
    return answer


@router.get("/admin/jobs", operation_id="listHeldJobs", openapi_extra=raises(InvalidCursor))
async def list_held_jobs(
    _scope: Annotated[AdminScope, Depends(operator)],
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
) -> HeldJobs:
    """Jobs that failed for good and wait for a person, newest first."""
    return await service.list_held_jobs(session, platform, page)


@router.post("/admin/jobs/{job_id}/release", operation_id="releaseHeldJob", openapi_extra=raises(NotFound))
async def release_held_job(
    scope: Annotated[AdminScope, Depends(operator)],
    session: SessionDep,
    platform: PlatformDep,
    job_id: Annotated[int, Path(description="Queue id of the held job.")],
) -> ReleasedJobAnswer:
    """Put a held job back into the queue, with its attempts forgotten."""
    await service.release_held_job(session, platform, scope.actor, job_id)
    return ReleasedJobAnswer(job=ReleasedJob(id=job_id))


@development.get("/dev/clock", operation_id="getClock")
async def get_clock(
    _scope: Annotated[AdminScope, Depends(operator)], session: SessionDep, platform: PlatformDep
) -> ClockAnswer:
    """Where business time stands. This route does not exist in production."""
    return ClockAnswer(clock=await service.clock_state(session, platform))


@development.post("/dev/clock", operation_id="moveClock", openapi_extra=raises(ClockMoveInvalid))
async def move_clock(
    _scope: Annotated[AdminScope, Depends(operator)], platform: PlatformDep, move: ClockMove
) -> ClockAnswer:
    """Move business time and run what became due. This route does not exist in production.

    Business time never lies before the wall clock, so back means back to the present: `advanceS` of minus
    `offsetS`. Going back undoes nothing: a wallet that was renewed in the future stays renewed, and its next
    renewal is the one after.
    """
    return ClockAnswer(clock=await service.move_clock(platform, move))
