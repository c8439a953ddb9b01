"""Chunks are joined behind the answer to their last byte."""

from typing import Final

from pm_api.core.errors import Unavailable
from pm_api.core.jobs import JobContext, TryAgain, implements
from pm_api.domains.storage import joining

AWAY_S: Final = 30.0


@implements(joining.JOIN)
async def join(context: JobContext, payload: joining.JoinUpload) -> None:
    """Make one upload a file. A store that does not answer is waited for."""
    try:
        await joining.join(context.platform, payload.upload_id)
    except Unavailable:
        raise TryAgain("the store does not answer, or other uploads are not done yet", delay_s=AWAY_S) from None
