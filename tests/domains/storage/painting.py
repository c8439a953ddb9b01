"""Pictures for tests, made on the spot: plain ones, large ones, and ones that mean harm."""

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageDraw

SECRET = "Hidden Valley"


def painted(width: int = 120, height: int = 80, mode: str = "RGB") -> Image.Image:
    """White, with a red top left corner, a green bottom right one and a blue disc in the middle."""
    image = Image.new(mode, (width, height), "white" if mode == "RGB" else (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width // 4, height // 4), fill="red")
    pen.rectangle((width - width // 4, height - height // 4, width, height), fill="green")
    side = min(width, height) // 5
    pen.ellipse((width // 2 - side, height // 2 - side, width // 2 + side, height // 2 + side), fill="blue")
    return image


def encoded(image: Image.Image, format: str = "PNG", **arguments: Any) -> bytes:
    into = io.BytesIO()
    image.save(into, format, **arguments)
    return into.getvalue()


def photograph(width: int = 120, height: int = 80, orientation: int = 1) -> bytes:
    """A JPEG that says where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = SECRET
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    return encoded(painted(width, height), "JPEG", exif=exif, quality=95, comment=SECRET.encode())


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of some kilobytes with as many pixels as that: every row is there, and all of them are black."""
    packer = zlib.compressobj(9)
    row = bytes(1 + width // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return png(width, height, rows, depth=1, colour=0)


def png(width: int, height: int, rows: bytes, *, depth: int = 8, colour: int = 2, before: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    end = _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + before + _chunk(b"IDAT", rows) + end


def text_bomb() -> bytes:
    """A small PNG with a comment that unpacks to 200 MB."""
    comment = _chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(200 << 20), 9))
    return png(1, 1, zlib.compress(bytes(4)), before=comment)


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def alpha(image: Image.Image, at: tuple[int, int]) -> int:
    """How opaque a pixel is."""
    pixel = image.getpixel(at)
    assert isinstance(pixel, tuple)
    return int(pixel[3])


def near(found: Any, wanted: tuple[int, ...], by: int = 40) -> bool:
    """Whether a pixel has about this colour."""
    return all(abs(one - other) <= by for one, other in zip(found, wanted, strict=True))
