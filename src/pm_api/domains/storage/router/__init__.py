"""Storage over HTTP."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.storage.router import (
    archive,
    arrivals,
    content,
    files,
    links,
    pictures,
    tus,
    uploads,
    usage,
    versions,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    uploads.router,
    arrivals.router,
    tus.router,
    pictures.router,
    archive.router,
    files.router,
    content.router,
    links.router,
    versions.router,
    usage.router,
)
