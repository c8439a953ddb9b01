"""Shapes of the account's routes."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from pm_api.core.recurrence import zone
from pm_api.core.recurrence.errors import ZoneUnknown
from pm_api.core.schema import ApiModel, ApiRequest, Text
from pm_api.identity.schemas.people import Email, Password, PersonName
from pm_api.identity.users import DEFAULT_LOCALE, DEFAULT_TIME_ZONE


def _known_zone(name: str) -> str:
    try:
        return zone(name).key
    except ZoneUnknown:
        raise ValueError("is not an IANA time zone") from None


Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_known_zone)]


class Registration(ApiRequest):
    email: Email
    password: Password
    name: PersonName = Field(description="Name shown to others.", examples=["Ann Archer"])
    locale: Locale = Field(DEFAULT_LOCALE, description="BCP 47 language tag.", examples=["en"])
    time_zone: TimeZone = Field(DEFAULT_TIME_ZONE, description="IANA time zone.", examples=["Europe/Berlin"])
    referral_code: Text | None = Field(
        None,
        max_length=200,
        description="Who brought the person here. An unknown or expired code never fails a registration; none are"
        " issued by this installation yet.",
    )
    lead_token: Text | None = Field(
        None,
        max_length=2000,
        description="What `POST /api/leads` gave before: what is left of its credits moves to the new wallet, once."
        " An unknown, used or expired token never fails a registration.",
    )
    invitation_token: Text | None = Field(
        None,
        max_length=200,
        description="Of the link in an invitation to this address: the person joins the workspace at once."
        " One that is unknown, used, expired or for another address never fails a registration, nor does a workspace"
        " without a free seat.",
    )


class IdempotencyOutcome(ApiModel):
    """What became of a request whose answer was lost."""

    key: str = Field(description="The Idempotency-Key.", examples=["7d9f6f0e"])
    route: str = Field(description="The operation it was sent to.", examples=["spendCredits"])
    status_code: int = Field(description="The HTTP status of the answer.", examples=[200])
    body: Any = Field(description="The body of the answer, as it was or would have been received.")


class IdempotencyOutcomeAnswer(ApiModel):
    outcome: IdempotencyOutcome = Field(description="How the request under the key ended.")
