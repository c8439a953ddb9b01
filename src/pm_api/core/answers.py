"""Answers that are made before the framework sees them: what a flow settles with, and keeps with its key."""

from fastapi import Response
from pydantic import BaseModel

from pm_api.core.http import entity_tag

__all__ = ["Response", "answer_with", "no_content"]


def answer_with(
    content: BaseModel, *, status: int = 200, location: str | None = None, version: int | None = None
) -> Response:
    """The content as JSON, written as routes write it; `version` becomes the ETag."""
    headers = {}
    if location is not None:
        headers["Location"] = location
    if version is not None:
        headers["ETag"] = entity_tag(version)
    return Response(content.model_dump_json(), status_code=status, headers=headers, media_type="application/json")


def no_content() -> Response:
    return Response(status_code=204)
