"""What clocks were taken to do when times were worked out."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base


class CalendarZoneTable(Base):
    """The changes of clocks of one zone by one release of the zone tables: `[second since 1970, offset in seconds]`
    each, the first from the beginning on. A new release takes the place of the old one on disk, so this is all that
    is known of what it said.
    """

    __tablename__ = "calendar_zone_tables"

    zone: Mapped[str] = mapped_column(primary_key=True)
    tzdata_version: Mapped[str] = mapped_column(primary_key=True)
    offsets: Mapped[list[Any]]
    noted_at: Mapped[datetime]
