"""Messages over HTTP."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.messages.router import conversations, messages

ROUTERS: Final[tuple[APIRouter, ...]] = (conversations.router, messages.router)
