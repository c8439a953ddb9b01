"""Shapes of outgoing webhooks on the wire."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.webhooks_out.enums import DeliveryStatus, DisabledReason
from pm_api.domains.webhooks_out.rules import EVERYTHING, FILTER, told_kinds
from pm_api.identity.schemas.people import not_null

MOST_EVENTS: Final = 50
LONGEST_EVENT: Final = 100
LONGEST_OVERLAP_H: Final = 168

_ENTITIES: Final = f"Entities: {', '.join(f'`{one}`' for one in told_kinds())}."


def _filters(events: list[str]) -> list[str]:
    """In the order they were sent, each once."""
    for one in events:
        if len(one) > LONGEST_EVENT or not FILTER.fullmatch(one):
            raise ValueError("each is *, an entity with all its actions (task.*), or one action (task.created)")
        if one != EVERYTHING and one.partition(".")[0] not in told_kinds():
            raise ValueError(f"there is no entity {one.partition('.')[0]}; there are {', '.join(told_kinds())}")
    return list(dict.fromkeys(events))


Url = Annotated[Text, Field(min_length=1, max_length=2000)]
Description = Annotated[Text, Field(max_length=500)]
Events = Annotated[
    list[str],
    Field(min_length=1, max_length=MOST_EVENTS, examples=[["member.*", "task.created"]]),
    AfterValidator(_filters),
]


class WebhookEndpointCreate(ApiRequest):
    """Where changes of a workspace are told."""

    workspace_id: UUID = Field(description="The workspace whose changes are told.")
    url: Url = Field(description="https:// address that takes POST requests.", examples=["https://example.com/hooks"])
    events: Events = Field(
        default=[EVERYTHING],
        description="Which changes: `*` for all, `task.*` for all of an entity, `task.created` for one action."
        f" {_ENTITIES}",
    )
    description: Description = Field("", description="What it is for.", examples=["Our warehouse"])


class WebhookEndpointUpdate(ApiRequest):
    """Only the fields sent are changed."""

    url: Annotated[Url | None, BeforeValidator(not_null)] = Field(
        None, description="New address.", examples=["https://example.com/hooks"]
    )
    events: Annotated[Events | None, BeforeValidator(not_null)] = Field(
        None, description=f"Which changes from now on; what waits to be sent is sent anyway. {_ENTITIES}"
    )
    description: Description | None = Field(None, description="What it is for; null clears it.")
    enabled: Annotated[StrictBool | None, BeforeValidator(not_null)] = Field(
        None, description="False sends nothing more; true begins again.", examples=[True]
    )
    catch_up: StrictBool = Field(
        False,
        description="With `enabled: true` on a disabled endpoint: go on where it stopped, as far as changes are kept"
        " (30 days). Otherwise it begins with what changes from now on, and what waited is SKIPPED.",
        examples=[False],
    )


class SecretRotate(ApiRequest):
    overlap_h: int = Field(
        24,
        ge=0,
        le=LONGEST_OVERLAP_H,
        description="For so many hours everything is signed with the old secret too. 0 ends it at once.",
    )


class WebhookEndpointRead(ApiModel):
    """Where changes of a workspace are told. Its secret is shown when it is made and when it is rotated, and never
    again.
    """

    id: UUID = Field(description="The endpoint's id.")
    workspace_id: UUID = Field(description="The workspace whose changes are told.")
    url: str = Field(description="Where they are sent.", examples=["https://example.com/hooks"])
    events: list[str] = Field(description="Which changes are sent.", examples=[["member.*", "task.created"]])
    description: str = Field(description="What it is for; may be empty.", examples=["Our warehouse"])
    enabled: bool = Field(description="Whether anything is sent.", examples=[True])
    disabled_at: Timestamp | None = Field(description="When it was disabled; null while it is enabled.")
    disabled_reason: DisabledReason | None = Field(
        description="BY_MEMBER: somebody did. GONE: the receiver answered 410. FAILING: nothing has arrived for five"
        " days. Null while it is enabled."
    )
    failing_since: Timestamp | None = Field(
        description="Since when nothing has arrived, although it was tried; null when all is well."
    )
    last_delivered_at: Timestamp | None = Field(description="When something last arrived; null before.")
    previous_secret_until: Timestamp | None = Field(
        description="Until when the secret before this one signs too, in real time; null when none does."
    )
    created_by_user_id: UUID = Field(description="Who made it.")
    version: int = Field(description="Counts changes.", examples=[1])
    created_at: Timestamp = Field(description="When it was made.")
    updated_at: Timestamp = Field(description="When it last changed.")


class WebhookEndpointAnswer(ApiModel):
    webhook_endpoint: WebhookEndpointRead = Field(description="The endpoint as it is now.")


class WebhookEndpointSecretAnswer(ApiModel):
    webhook_endpoint: WebhookEndpointRead = Field(description="The endpoint as it is now.")
    secret: str = Field(
        description="What its webhooks are signed with from now on. Keep it: it is not shown again.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw7kq3yO2+Y1s="],
    )


class WebhookEndpointsAnswer(ApiModel):
    webhook_endpoints: list[WebhookEndpointRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class WebhookAttemptRead(ApiModel):
    """One try."""

    number: int = Field(description="The first is 1.", examples=[1])
    tried_at: Timestamp = Field(description="When, in business time.")
    status_code: int | None = Field(description="The receiver's status; null when nobody answered.", examples=[503])
    duration_ms: int | None = Field(description="How long it took, in milliseconds; null without an answer.")
    error: str | None = Field(description="Why it failed; null when it arrived.", examples=["status 503"])
    answer: str | None = Field(
        description="The first 1024 bytes of the answer's body; null without an answer.", examples=["Be right back"]
    )


class WebhookDeliveryRead(ApiModel):
    """One change on its way to one endpoint."""

    id: UUID = Field(description="The delivery's id: the `webhook-id` of every try, replays included.")
    webhook_endpoint_id: UUID = Field(description="Where it goes.")
    type: str = Field(description="What is told.", examples=["task.created"])
    entity: str = Field(description="What kind of thing changed.", examples=["task"])
    entity_id: UUID = Field(description="Which one.")
    entity_version: int = Field(description="The thing's `version` after it.", examples=[3])
    position: int | None = Field(description="Its place in the workspace's feed; null for a test.", examples=[1042])
    status: DeliveryStatus = Field(
        description="PENDING is tried, or waits for an earlier change of the same thing; DELIVERED was taken by the"
        " receiver; GIVEN_UP was tried for three days, or answered 410; SKIPPED waited when the endpoint began anew."
    )
    attempts: int = Field(description="How often it was tried.", examples=[1])
    outcome: str | None = Field(
        description="Why the last try failed; null before, and when it arrived.", examples=["status 503"]
    )
    due_at: Timestamp | None = Field(description="Not tried before then, in business time; null at its end.")
    occurred_at: Timestamp = Field(description="When it happened, in business time.")
    created_at: Timestamp = Field(description="When it was put into the log.")
    finished_at: Timestamp | None = Field(description="When it came to its end; null before.")


class WebhookDeliveryWithAttempts(WebhookDeliveryRead):
    """The same with every try that is known."""

    tries: list[WebhookAttemptRead] = Field(description="The latest 100, oldest first.")


class WebhookDeliveryAnswer(ApiModel):
    webhook_delivery: WebhookDeliveryWithAttempts = Field(description="The delivery as it is now.")


class WebhookDeliveryListed(WebhookDeliveryRead):
    """The same with its last try."""

    last_try: WebhookAttemptRead | None = Field(description="The latest try; null before the first.")


class WebhookDeliveriesAnswer(ApiModel):
    webhook_deliveries: list[WebhookDeliveryListed] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
