"""How large a picture is looked at, told from the first and last bytes of its file, without a decoder.

A camera that was held sideways says so in EXIF: of a JPEG that stands in front, of a PNG before or behind its pixels,
of a WebP behind them. What lies between first and last bytes is not fetched for it: a picture that keeps its EXIF
there is measured with its first small picture.
"""

import struct
import zlib
from typing import Final

from pm_api.domains.storage.imaging import dimensions

MOST_CLAIMED: Final = 1_000_000
"""Of one side: more than any format's pictures have that are not made to deceive."""
ORIENTATION: Final = (0x0112, 3)
"""Tag and kind of the entry of EXIF that says how the camera was held."""
UPRIGHT, LYING_DOWN, MOST_TURNED = 1, 5, 8
MOST_TAGS: Final = 1000
MOST_FOUND: Final = 16
"""How often EXIF's name may stand in a PNG by chance, or to keep us busy."""
EXIF_MARK: Final = b"Exif\0\0"
WEBP_HAS_EXIF: Final = 0x08
"""Of the flags of a WebP with extensions (RFC 9649, 2.7)."""


def looked_at(head: bytes, tail: bytes = b"", size_bytes: int = 0) -> tuple[int, int] | None:
    """Width and height, the way the camera was held, from a file's beginning and its end; None for what these do not
    tell, and for what no picture can measure.
    """
    claimed = dimensions(head)
    if claimed is None or not all(0 < one <= MOST_CLAIMED for one in claimed):
        return None
    orientation: int | None = UPRIGHT
    try:
        if head.startswith(b"\xff\xd8\xff"):
            orientation = _of_jpeg(head)
        elif head.startswith(b"\x89PNG"):
            orientation = _of_png(head, tail)
        elif head.startswith(b"RIFF"):
            orientation = _of_webp(head, tail, max(size_bytes, len(head)))
    except (struct.error, IndexError):
        orientation = UPRIGHT
    if orientation is None:
        return None
    return (claimed[1], claimed[0]) if orientation >= LYING_DOWN else claimed


def _of_jpeg(head: bytes) -> int:
    """What the EXIF of a JPEG says of how the camera was held; upright, without a word of it."""
    at = 2
    while head[at] == 0xFF and head[at + 1] not in (0xDA, 0xD9):
        length = int.from_bytes(head[at + 2 : at + 4], "big")
        if head[at + 1] == 0xE1 and head[at + 4 : at + 10] == EXIF_MARK:
            return _of_tiff(head[at + 10 : at + 2 + length])
        at += 2 + max(length, 2)
    return UPRIGHT


def _of_png(head: bytes, tail: bytes) -> int:
    """Its pixels come in many pieces, so what stands behind them is found by its name and its checksum."""
    for piece in (head, tail):
        at = 0
        for _ in range(MOST_FOUND):
            at = piece.find(b"eXIf", at) + 4
            if at < 8:
                break
            (length,) = struct.unpack_from(">I", piece, at - 8)
            end = at + length
            if piece[end : end + 4] == zlib.crc32(piece[at - 4 : end]).to_bytes(4, "big"):
                return _of_tiff(piece[at:end])
    return UPRIGHT


def _of_webp(head: bytes, tail: bytes, size_bytes: int) -> int | None:
    """Piece by piece, each of which says where the next one begins; None when one begins between head and tail."""
    if head[12:16] != b"VP8X" or not head[20] & WEBP_HAS_EXIF:
        return UPRIGHT
    at, tail_at = 12, size_bytes - len(tail)
    while at + 8 <= size_bytes:
        piece, start = (tail, at - tail_at) if at >= tail_at else (head, at)
        if start + 8 > len(piece):
            return None
        (length,) = struct.unpack_from("<I", piece, start + 4)
        if piece[start : start + 4] == b"EXIF":
            return _of_tiff(piece[start + 8 : start + 8 + length].removeprefix(EXIF_MARK))
        at += 8 + length + length % 2
    return UPRIGHT


def _of_tiff(block: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return UPRIGHT
    (first,) = struct.unpack_from(f"{order}I", block, 4)
    (count,) = struct.unpack_from(f"{order}H", block, first)
    for at in range(first + 2, first + 2 + 12 * min(count, MOST_TAGS), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, at)
        if (tag, kind) == ORIENTATION:
            return int(value) if UPRIGHT <= value <= MOST_TURNED else UPRIGHT
    return UPRIGHT
