"""Refusals of pictures."""

from pm_api.core.errors import NotFound, PayloadTooLarge, Unprocessable


class NotAPicture(Unprocessable):
    """This is not a picture that is read here: send PNG, JPEG, WebP, GIF or AVIF.

    What counts is what is in the file, not what it is called. Of a moving picture the first frame is taken.
    """

    code = "not_a_picture"


class PictureTooLarge(PayloadTooLarge):
    """The picture is too large: at most 10 MB, 25 million pixels and 30,000 of them a side are read.

    Of a JPEG that is not progressive at most 120 million pixels. When it has too many bytes, `limit` says how many
    are read.
    """

    code = "picture_too_large"


class PictureBroken(Unprocessable):
    """The picture cannot be decoded: something in it is missing or wrong."""

    code = "picture_broken"


class PictureNotFound(NotFound):
    """There is no such picture, or another one has taken its place."""

    code = "picture_not_found"


class NoThumbnail(NotFound):
    """There is no small picture of this file.

    It is no picture that is read here, it is too large or broken, or it is not complete.
    """

    code = "no_thumbnail"
