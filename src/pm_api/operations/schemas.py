"""Shapes of the operator's routes."""

from typing import Any

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp


class Health(ApiModel):
    status: str = Field(description="`ok`.", examples=["ok"])


class Readiness(ApiModel):
    status: str = Field(description="`ok` or `failing`.", examples=["ok"])
    checks: dict[str, str] = Field(
        description="Each part and how it is.", examples=[{"database": "ok", "migrations": "ok", "queue": "ok"}]
    )


class PublicConfig(ApiModel):
    """What the single-page app needs before anybody signs in."""

    environment: str = Field(description="development, test or production.", examples=["development"])
    api_url: str = Field(description="Where this API is reached.", examples=["http://127.0.0.1:8000"])
    site_url: str = Field(description="Where the single-page app is.", examples=["http://localhost:3000"])
    stripe_publishable_key: str | None = Field(description="For Stripe.js; null when payments are not set up.")


class PublicConfigAnswer(ApiModel):
    config: PublicConfig = Field(description="What a client needs to know of this installation.")


class HeldJob(ApiModel):
    id: int = Field(description="Queue id.", examples=[42])
    name: str = Field(description="The job's permanent name.", examples=["webhooks.drain_stripe"])
    payload: dict[str, Any] | None = Field(description="What the job was asked to do.")
    created_at: Timestamp = Field(description="When it was enqueued.")
    attempts: int = Field(description="How often it was tried again.", examples=[8])


class HeldJobs(ApiModel):
    jobs: list[HeldJob] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class ReleasedJob(ApiModel):
    """A job that will run again."""

    id: int = Field(description="The job that was put back into the queue.", examples=[42])


class ReleasedJobAnswer(ApiModel):
    job: ReleasedJob = Field(description="The job that waits for a worker again.")


class ClockMove(ApiRequest):
    """Exactly one of the two."""

    now: Timestamp | None = Field(None, description="Set business time to this moment: now, or later.")
    advance_s: float | None = Field(
        None,
        strict=True,
        ge=-315_360_000,
        le=315_360_000,
        description="Move business time by so many seconds; a negative number goes back, at most to the present.",
    )


class ClockState(ApiModel):
    """Where business time stands."""

    now: Timestamp = Field(description="Business time.")
    offset_s: float = Field(description="How far it is ahead of the wall clock, in seconds.", examples=[0.0])
    sweeps: list[str] = Field(description="Sweeps that ran because of the move; none when the clock is only read.")


class ClockAnswer(ApiModel):
    clock: ClockState = Field(description="Business time after the move.")
