"""Parameters that several addresses of bytes take."""

from typing import Annotated

from fastapi import Header, Path, Query

from pm_api.domains.storage.enums import Disposition

InPlace = Annotated[
    Disposition,
    Query(description="`inline` shows in place what is safe to show; everything else is saved all the same."),
]
Range = Annotated[
    str | None,
    Header(alias="Range", description="One range, such as `bytes=0-1023`; of several the whole file is the answer."),
]
IfRange = Annotated[
    str | None, Header(alias="If-Range", description="ETag that the range is of; of other bytes you get them all.")
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="ETag of the bytes you have; 304 when it is these.")
]
VersionNumber = Annotated[
    int, Path(alias="number", ge=1, le=2_147_483_647, description="The version's number.", examples=[1])
]
