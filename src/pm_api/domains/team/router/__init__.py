"""Routes of the team."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.team.router import answering, inviting, members, together

ROUTERS: Final[tuple[APIRouter, ...]] = (
    members.router,
    inviting.router,
    answering.router,
    together.router,
)
