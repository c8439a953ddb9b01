"""The base of people on the wire."""

from pydantic import ConfigDict, Field

from pm_api.core.schema import ApiModel


class Pictured(ApiModel):
    """Somebody with a place for their picture. It is put in (`identity.pictures.put_in`) when all people of an answer
    are known, with one query; so this shape alone is not frozen.
    """

    model_config = ConfigDict(frozen=False)

    avatar: str | None = Field(None, description="Address of their picture; null without one.")
