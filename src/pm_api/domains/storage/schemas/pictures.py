"""Shapes of pictures."""

from enum import IntEnum

from pydantic import Field

from pm_api.core.schema import ApiModel


class PictureSize(IntEnum):
    """The side of a square, in pixels."""

    TINY = 32
    SMALL = 64
    MEDIUM = 128
    LARGE = 256
    WHOLE = 512


class ThumbnailSize(IntEnum):
    """The longer side, in pixels."""

    SMALL = 128
    MEDIUM = 256
    LARGE = 512
    HUGE = 1024


class PictureRead(ApiModel):
    """A picture that is worn: somebody's, or a workspace's."""

    url: str = Field(
        description="Its address, which everybody can read who has it: WebP, a square of 256 pixels, or with `?size=`"
        " 32, 64, 128 or 512. It never changes what it shows; another picture has another address.",
        examples=["http://127.0.0.1:8000/api/storage/pictures/vN3kq0l9XyZ2dJ8mB4tR6w"],
    )
    width: int = Field(description="Of the largest square, in pixels.", examples=[512])
    height: int = Field(description="The same.", examples=[512])


class PictureAnswer(ApiModel):
    picture: PictureRead = Field(description="The picture as it is shown from now on.")
