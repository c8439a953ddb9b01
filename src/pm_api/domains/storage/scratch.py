"""Room on this machine's own disk, for a picture while it is looked at."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import structlog

from pm_api.integrations.blobs import StorageUnavailable

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

_log = structlog.get_logger(__name__)


@contextmanager
def scratch() -> Iterator[BinaryIO]:
    """A file that is gone at the end. Raises StorageUnavailable when the disk is full."""
    try:
        with tempfile.TemporaryFile() as file:
            yield file
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _log.error("no_room_on_disk", folder=tempfile.gettempdir())
        raise StorageUnavailable from error
