"""Settings of the virus scanner."""

from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

DEFAULT_PORT: Final = 3310


class ClamdSettings(BaseModel):
    """`PM_CLAMD_*`. Without a URL files are not scanned, and say so."""

    url: str = Field(
        "", description="clamd, as tcp://host:3310 or unix:/run/clamav/clamd.ctl; unset = files are not scanned."
    )
    max_bytes: int = Field(
        26_214_400,
        ge=1,
        description="Largest file clamd looks at: the least of its StreamMaxLength, MaxFileSize and MaxScanSize."
        " Of larger ones it may say OK without having read them: they are not sent, and never count as clean.",
    )
    serve_unscanned: bool = Field(
        False,
        description="Serve files that are too large for clamd, and without PM_CLAMD_URL those that still wait for it;"
        " they are never called scanned.",
    )
    timeout_s: float = Field(120.0, gt=0, le=600, description="How long clamd may be silent while it scans a file.")
    connect_timeout_s: float = Field(5.0, gt=0, le=60, description="Time limit of connecting to clamd.")

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and address_of(value) is None:
            raise ValueError("is written as tcp://host:port or unix:/path/of/the/socket")
        return value


def address_of(url: str) -> tuple[str, int] | str | None:
    """Host and port, or the path of a socket; None when it is neither."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "tcp" and parts.hostname and parts.path in ("", "/") and parts.port != 0:
            return parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        return None
    if parts.scheme == "unix" and not parts.netloc and PurePosixPath(parts.path).is_absolute():
        return parts.path
    return None
