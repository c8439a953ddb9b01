"""Shapes of rooms on the wire."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Name, Text, Timestamp
from pm_api.domains.calendar.schemas.events import Location, ZoneName
from pm_api.identity.schemas.people import not_null

ResourceName = Annotated[Name, Field(max_length=200)]
ResourceDescription = Annotated[Text, Field(max_length=2000)]
Capacity = Annotated[StrictInt, Field(ge=1, le=100_000)]

_CAPACITY = "How many people fit in: told, never enforced. Null: nobody said."
_ZONE = "IANA zone of the room: an all-day event takes the day there. Left out: that of the caller's settings."
_ACTIVE = "Whether events may take it. What is booked stays booked."


class ResourceCreate(ApiRequest):
    """A room, or a thing, that one event at a time may take up."""

    workspace_id: UUID = Field(description="The workspace it belongs to.")
    name: ResourceName = Field(description="Its name, once in a workspace.", examples=["Room 4"])
    description: ResourceDescription = Field("", description="What it is, and what is in it.", examples=["Beamer"])
    location: Location = Field("", description="Where it is.", examples=["Second floor, left"])
    capacity: Capacity | None = Field(None, description=_CAPACITY, examples=[12])
    time_zone: ZoneName | None = Field(None, description=_ZONE, examples=["Europe/Berlin"])
    is_active: StrictBool = Field(True, description=_ACTIVE, examples=[True])


class ResourceUpdate(ApiRequest):
    """Only the fields sent are changed."""

    name: Annotated[ResourceName | None, BeforeValidator(not_null)] = Field(
        None, description="Its name, once in a workspace.", examples=["Room 5"]
    )
    description: Annotated[ResourceDescription | None, BeforeValidator(not_null)] = Field(
        None, description="What it is, and what is in it."
    )
    location: Annotated[Location | None, BeforeValidator(not_null)] = Field(None, description="Where it is.")
    capacity: Capacity | None = Field(None, description=_CAPACITY, examples=[8])
    time_zone: Annotated[ZoneName | None, BeforeValidator(not_null)] = Field(
        None, description="IANA zone of the room.", examples=["Europe/Berlin"]
    )
    is_active: Annotated[StrictBool | None, BeforeValidator(not_null)] = Field(
        None, description=_ACTIVE, examples=[False]
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name a field to change")
        return self


class ResourceRead(ApiModel):
    """A room, or a thing, that one event at a time may take up."""

    id: UUID = Field(description="The room's id.")
    workspace_id: UUID = Field(description="The workspace it belongs to.")
    name: str = Field(description="Its name.", examples=["Room 4"])
    description: str = Field(description="What it is, and what is in it.", examples=["Beamer"])
    location: str = Field(description="Where it is.", examples=["Second floor, left"])
    capacity: int | None = Field(description=_CAPACITY, examples=[12])
    time_zone: str = Field(description="IANA zone of the room.", examples=["Europe/Berlin"])
    is_active: bool = Field(description=_ACTIVE)
    version: int = Field(description="Counts changes; the ETag.", examples=[1])
    created_at: Timestamp = Field(description="When it was made.")
    updated_at: Timestamp = Field(description="When it last changed.")


class ResourceAnswer(ApiModel):
    resource: ResourceRead = Field(description="The room.")


class ResourceList(ApiModel):
    resources: list[ResourceRead] = Field(description="Rooms, oldest first.")
    next_cursor: str | None = Field(description="For the next page; null on the last.")
