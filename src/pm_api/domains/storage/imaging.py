"""Pictures made smaller, in a process of their own.

A decoder is the part of a service that strangers feed. So it runs apart: with an upper limit on memory and time set
by the kernel, no environment, and nothing but the picture at its hand. This file is both ends: imported, it starts
the process and reads its answer; run as a program, it is that process, and needs nothing but Pillow.

What comes out is pixels alone, encoded anew as WebP: turned the way the camera was held, in sRGB, the first frame of
what moves, transparency kept; no EXIF, no colour profile, no text, nothing that stood behind the picture's end.
"""

import asyncio
import contextlib
import io
import json
import os
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, BinaryIO, Final

from PIL import Image, ImageCms, ImageFile, ImageOps, PngImagePlugin

if sys.platform != "win32":
    import resource

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "AVIF")
MOST_PIXELS: Final = 25_000_000
"""Of what has to be decoded whole: four bytes each is 100 MB."""
MOST_PIXELS_IN_STEPS: Final = 120_000_000
"""Of a JPEG that is stored row by row: it is decoded at an eighth of its size, and only some rows at a time."""
LONGEST_SIDE: Final = 30_000
LARGEST_SIZE: Final = 2048
MEMORY_BYTES: Final = 1 << 30
"""Address space of the process, its programs and libraries included."""
CPU_S: Final = 10
WALL_S: Final = 20.0
AT_ONCE: Final = 2
KILLED: Final = -9
"""How a process ends that was killed from outside: none of its own limits does that."""
LARGEST_ANSWER: Final = 32 << 20
QUALITY: Final = 82
TEXT_BYTES: Final = 256 * 1024


class Fit(StrEnum):
    """How a picture becomes its sizes."""

    COVER = "COVER"
    """A square cut out of the middle: of people."""
    CONTAIN = "CONTAIN"
    """A square that holds all of it, transparent around: of workspaces' marks."""
    INSIDE = "INSIDE"
    """As it is, no side longer than the size: of attachments."""


class Unreadable(Exception):
    """Not a picture that is read here; `reason` is one of NOT_A_PICTURE, TOO_LARGE, BROKEN."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


NOT_A_PICTURE, TOO_LARGE, BROKEN = "NOT_A_PICTURE", "TOO_LARGE", "BROKEN"


class NotInTime(Exception):
    """The machine was too busy, or ended the process: nothing is known of the picture, it can be tried again."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One size of a picture as WebP. `size` is what was asked for; a smaller picture is not blown up."""

    size: int
    width: int
    height: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Rendering:
    """The picture's own width and height, as it is looked at, and its sizes in the order they were asked for."""

    width: int
    height: int
    sizes: tuple[Rendered, ...]


# --- this end -----------------------------------------------------------------------------------------------------


class Studio:
    """Makes pictures smaller, a few at a time."""

    def __init__(self, *, at_once: int = AT_ONCE, wall_s: float = WALL_S) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._wall_s = wall_s

    async def render(self, source: BinaryIO, sizes: Sequence[int], fit: Fit) -> Rendering:
        """`source` is a real file, which the process reads from its beginning. Raises Unreadable and NotInTime."""
        if not sizes or not all(0 < one <= LARGEST_SIZE for one in sizes):
            raise ValueError("sizes are between 1 and 2048")
        async with self._turns:
            number = source.fileno()  # what was kept in memory so far becomes a file by this
            source.flush()
            # Shared with the process, which starts to read wherever we have stopped.
            os.lseek(number, 0, os.SEEK_SET)
            answer = await self._asked(source, json.dumps({"sizes": list(sizes), "fit": fit}))
        return _read(answer, sizes)

    async def _asked(self, source: BinaryIO, wanted: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", __file__, wanted),
            stdin=source,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            limit=1 << 20,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self._wall_s):
                answer = await _all_of(process.stdout)
                await process.wait()
        except TimeoutError:
            # What takes long to decode is ended by its limit of processor time before: this one was given none.
            raise NotInTime from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.returncode == KILLED:
            raise NotInTime  # by a system that is short of memory, or by an operator
        if process.returncode != 0:
            # It was ended by a limit of its own, or its decoder fell over.
            raise Unreadable(TOO_LARGE if process.returncode == OUT_OF_MEMORY else BROKEN)
        return answer


async def _all_of(stream: asyncio.StreamReader) -> bytes:
    pieces, length = [], 0
    while piece := await stream.read(1 << 16):
        length += len(piece)
        if length > LARGEST_ANSWER:
            raise Unreadable(BROKEN)
        pieces.append(piece)
    return b"".join(pieces)


def _read(answer: bytes, sizes: Sequence[int]) -> Rendering:
    """A line that says what follows, and then the sizes one behind the other."""
    head, _, rest = answer.partition(b"\n")
    try:
        told: dict[str, Any] = json.loads(head)
    except ValueError:
        raise Unreadable(BROKEN) from None
    if "refused" in told:
        raise Unreadable(str(told["refused"]))
    made, start = [], 0
    for size, (width, height, length) in zip(sizes, told["sizes"], strict=True):
        made.append(Rendered(size, width, height, rest[start : start + length]))
        start += length
    if start != len(rest):
        raise Unreadable(BROKEN)
    return Rendering(told["width"], told["height"], tuple(made))


def dimensions(head: bytes) -> tuple[int, int] | None:
    """Width and height that a picture's first bytes claim, without a decoder; None for what does not say. Of a JPEG
    as it is stored, before it is turned.
    """
    try:
        return _claimed(head)
    except (struct.error, IndexError):
        return None


def _claimed(head: bytes) -> tuple[int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return struct.unpack(">II", head[16:24])
    if head.startswith((b"GIF87a", b"GIF89a")):
        return struct.unpack("<HH", head[6:10])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _claimed_by_webp(head)
    if head.startswith(b"\xff\xd8\xff"):
        return _claimed_by_jpeg(head)
    return None


def _claimed_by_webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X" and len(head) >= 30:
        return (int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return (width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return ((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1)
    return None


def _claimed_by_jpeg(head: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return (width, height)
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


# --- that end -----------------------------------------------------------------------------------------------------

OUT_OF_MEMORY: Final = 7


def _confine() -> None:
    """The kernel's limits on this process. Where there is none of them, time is limited by who waits."""
    if sys.platform == "win32":
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # With a second between them it ends by a signal of its own, not by the one of whoever ends it from outside.
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_ANSWER, LARGEST_ANSWER))


def _opened(source: BinaryIO) -> Image.Image:
    """Its header alone; nothing is decoded. Raises Unreadable."""
    head = source.read(64 * 1024)
    source.seek(0)
    claimed = dimensions(head)
    if claimed is not None:
        # Before any library looks: some make room for the whole canvas as soon as they open it.
        _ensure_bearable(*claimed, most=MOST_PIXELS_IN_STEPS)
    try:
        image = Image.open(source, formats=FORMATS)
    except Image.DecompressionBombError:
        raise Unreadable(TOO_LARGE) from None
    except MemoryError:
        raise
    except Exception as failure:
        raise Unreadable(NOT_A_PICTURE) from failure
    in_steps = image.format == "JPEG" and not (image.info.get("progressive") or image.info.get("progression"))
    _ensure_bearable(*image.size, most=MOST_PIXELS_IN_STEPS if in_steps else MOST_PIXELS)
    return image


def _ensure_bearable(width: int, height: int, *, most: int) -> None:
    if width <= 0 or height <= 0:
        raise Unreadable(BROKEN)
    if max(width, height) > LONGEST_SIDE or width * height > most:
        raise Unreadable(TOO_LARGE)


def _decoded(image: Image.Image, largest: int) -> tuple[Image.Image, tuple[int, int]]:
    """The first frame as RGB or RGBA, the right way up, and how large it is looked at. Raises Unreadable."""
    whole = image.size
    try:
        if image.format == "JPEG":
            # Twice the size that is wanted is enough to make it from.
            image.draft("RGB", (2 * largest, 2 * largest))
        image.load()
        if image.size != whole and image.format != "JPEG":  # a frame that is larger than its header said
            _ensure_bearable(*image.size, most=MOST_PIXELS)
        turned = ImageOps.exif_transpose(image)
    except (MemoryError, Unreadable):
        raise
    except Exception as failure:
        raise Unreadable(BROKEN) from failure
    if (turned.width > turned.height) != (image.width > image.height):
        whole = (whole[1], whole[0])
    return _in_plain_colours(turned), whole


def _in_plain_colours(image: Image.Image) -> Image.Image:
    """sRGB with eight bits a channel; with transparency where there is some."""
    if image.mode.startswith("I"):  # grey with sixteen bits
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    profile = image.info.get("icc_profile")
    transparent = image.has_transparency_data
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "L"):
        with contextlib.suppress(ImageCms.PyCMSError, ValueError, TypeError, OSError):
            # A profile that cannot be read is as good as none.
            found = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGBA" if image.mode == "RGBA" else "RGB",
            )
            image = found or image
    return image.convert("RGBA" if transparent else "RGB")


def _sized(image: Image.Image, size: int, fit: Fit) -> Image.Image:
    if fit is Fit.INSIDE:
        return image if max(image.size) <= size else ImageOps.contain(image, (size, size), Image.Resampling.LANCZOS)
    if fit is Fit.COVER:
        side = min(size, *image.size)
        return ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    side = min(size, max(image.size))
    within = image.convert("RGBA")
    if within.size == (side, side):
        return within
    return ImageOps.pad(within, (side, side), Image.Resampling.LANCZOS, color=(0, 0, 0, 0))


def _encoded(image: Image.Image) -> bytes:
    # A new picture of these pixels: what the old one carried in `info` would be written along.
    plain = Image.frombytes(image.mode, image.size, image.tobytes())
    into = io.BytesIO()
    plain.save(into, "WEBP", quality=QUALITY, method=4)
    return into.getvalue()


def _answer(source: BinaryIO, sizes: Sequence[int], fit: Fit) -> tuple[dict[str, Any], list[bytes]]:
    with _opened(source) as image:
        decoded, (width, height) = _decoded(image, max(sizes))
    made, contents = [], []
    for size in sizes:
        small = _sized(decoded, size, fit)
        contents.append(_encoded(small))
        made.append([small.width, small.height, len(contents[-1])])
    return {"width": width, "height": height, "sizes": made}, contents


def _main() -> int:
    _confine()
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS_IN_STEPS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    PngImagePlugin.MAX_TEXT_CHUNK = TEXT_BYTES
    PngImagePlugin.MAX_TEXT_MEMORY = 2 * TEXT_BYTES
    wanted = json.loads(sys.argv[1])
    contents: list[bytes] = []
    try:
        told, contents = _answer(sys.stdin.buffer, wanted["sizes"], Fit(wanted["fit"]))
    except Unreadable as refusal:
        told = {"refused": refusal.reason}
    except MemoryError:
        return OUT_OF_MEMORY
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
    for content in contents:
        sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(_main())
