"""Projects over HTTP."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.projects.router import fields, labels, members, projects, statuses, steps

ROUTERS: Final[tuple[APIRouter, ...]] = (
    projects.router,
    steps.router,
    members.router,
    statuses.router,
    labels.router,
    fields.router,
)
