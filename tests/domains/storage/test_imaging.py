"""Pictures made smaller: what comes out, and what is refused before it does harm."""

import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import Image

from pm_api.domains.storage import imaging
from pm_api.domains.storage.imaging import (
    BROKEN,
    NOT_A_PICTURE,
    TOO_LARGE,
    Fit,
    NotInTime,
    Rendering,
    Studio,
    Unreadable,
    dimensions,
)
from pm_api.domains.storage.measuring import looked_at
from tests.domains.storage.painting import (
    SECRET,
    alpha,
    bomb,
    encoded,
    near,
    opened,
    painted,
    photograph,
    png,
    text_bomb,
)

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255)


@contextmanager
def file_of(content: bytes) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file


async def rendered(content: bytes, sizes: Sequence[int] = (64,), fit: Fit = Fit.INSIDE) -> Rendering:
    with file_of(content) as source:
        return await Studio().render(source, sizes, fit)


async def refusal(content: bytes) -> str:
    with pytest.raises(Unreadable) as refused:
        await rendered(content)
    return refused.value.reason


# --- what comes out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
async def test_every_format_becomes_webp_of_the_size_asked_for(format: str) -> None:
    made = await rendered(encoded(painted(400, 200), format), [100, 50])
    assert (made.width, made.height) == (400, 200)
    assert [(one.size, one.width, one.height) for one in made.sizes] == [(100, 100, 50), (50, 50, 25)]
    small = opened(made.sizes[0].content)
    assert small.format == "WEBP"
    assert small.size == (100, 50)
    pixels = small.convert("RGB")
    assert near(pixels.getpixel((5, 5)), RED)
    assert near(pixels.getpixel((95, 45)), GREEN)
    assert near(pixels.getpixel((50, 25)), BLUE)


async def test_a_square_is_cut_out_of_the_middle_or_holds_all_of_it() -> None:
    wide = encoded(painted(400, 200))
    cut = opened((await rendered(wide, [100], Fit.COVER)).sizes[0].content).convert("RGB")
    assert cut.size == (100, 100)
    assert near(cut.getpixel((50, 50)), BLUE)
    assert near(cut.getpixel((5, 5)), RED) is False  # it lies left of the middle
    held = opened((await rendered(wide, [100], Fit.CONTAIN)).sizes[0].content)
    assert held.size == (100, 100)
    assert held.mode == "RGBA"
    assert alpha(held, (50, 5)) == 0  # nothing is above it
    assert near(held.getpixel((5, 30)), (*RED, 255))


async def test_what_is_small_is_not_blown_up() -> None:
    tiny = encoded(painted(40, 20))
    for fit, size in ((Fit.INSIDE, (40, 20)), (Fit.COVER, (20, 20)), (Fit.CONTAIN, (40, 40))):
        [made] = (await rendered(tiny, [512], fit)).sizes
        assert (made.width, made.height) == size == opened(made.content).size


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_it_is_turned_the_way_the_camera_was_held_and_tells_nothing_else(orientation: int) -> None:
    content = photograph(120, 80, orientation)
    assert SECRET.encode() in content
    made = await rendered(content, [60])
    [small] = made.sizes
    turned = orientation >= 5
    assert (made.width, made.height) == ((80, 120) if turned else (120, 80))
    assert (small.width, small.height) == ((40, 60) if turned else (60, 40))
    assert SECRET.encode() not in small.content
    image = opened(small.content)
    assert not image.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment"} & image.info.keys()
    right, bottom = small.width - 4, small.height - 4
    # Where the first row and the first column of what is stored are looked at (Exif 2.32, 4.6.4).
    first_row = {1: "top", 2: "top", 3: "bottom", 4: "bottom", 5: "left", 6: "right", 7: "right", 8: "left"}
    first_column = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}
    sides = {first_row[orientation], first_column[orientation]}
    red_is_at = (right if "right" in sides else 3, bottom if "bottom" in sides else 3)
    assert near(image.convert("RGB").getpixel(red_is_at), RED), orientation


async def test_what_can_be_looked_through_stays_so() -> None:
    for format in ("PNG", "WEBP", "AVIF"):
        image = opened((await rendered(encoded(painted(100, 100, "RGBA"), format), [50])).sizes[0].content)
        assert image.mode == "RGBA"
        assert alpha(image, (40, 10)) < 20
        assert alpha(image, (25, 25)) > 235
    palette = painted(100, 100).quantize(8)
    palette.info["transparency"] = palette.getpixel((50, 2))
    image = opened(
        (await rendered(encoded(palette, "PNG", transparency=palette.info["transparency"]))).sizes[0].content
    )
    assert alpha(image, (32, 2)) == 0


async def test_of_what_moves_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (50, 50), colour) for colour in ("red", "green", "blue")]
    for format in ("GIF", "WEBP", "AVIF", "PNG"):
        moving = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
        image = opened((await rendered(moving)).sizes[0].content)
        assert getattr(image, "n_frames", 1) == 1
        assert near(image.convert("RGB").getpixel((25, 25)), RED), format


async def test_rare_colours_become_plain_ones() -> None:
    for mode, colour in (("CMYK", (0, 255, 255, 0)), ("L", 76), ("1", 0), ("I;16", 0x8000), ("LA", (76, 255))):
        content = encoded(Image.new(mode, (30, 30), colour), "JPEG" if mode == "CMYK" else "PNG")
        image = opened((await rendered(content)).sizes[0].content)
        assert image.mode in ("RGB", "RGBA")
        if mode == "CMYK":
            assert near(image.convert("RGB").getpixel((15, 15)), RED)
        if mode == "I;16":
            assert near(image.convert("RGB").getpixel((15, 15)), (128, 128, 128), by=4)


async def test_nothing_that_stood_behind_the_picture_comes_along() -> None:
    polyglot = encoded(painted()) + b"<script>alert(1)</script>PK\x03\x04"
    assert b"script" not in (await rendered(polyglot)).sizes[0].content


# --- what is refused -----------------------------------------------------------------------------------------------


def alone(content: bytes) -> tuple[bytes, float, int]:
    """(answer, seconds, peak memory in KB) of the process that looks at a picture."""
    with file_of(content) as source:
        os.lseek(source.fileno(), 0, os.SEEK_SET)
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-I", imaging.__file__, '{"sizes": [64], "fit": "COVER"}'],
            stdin=source,
            stdout=subprocess.PIPE,
            env={},
        )
        assert process.stdout is not None
        answer = process.stdout.read()
        process.stdout.close()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    return answer, time.perf_counter() - began, used.ru_maxrss


def test_a_bomb_is_refused_within_a_second_and_a_hundred_megabytes() -> None:
    whole = bomb()
    assert len(whole) < 200_000
    answer, _, usual = alone(encoded(painted(8, 8)))
    assert answer.startswith(b'{"width": 8')
    answer, seconds, peak = alone(whole)
    assert answer == b'{"refused": "TOO_LARGE"}\n'
    assert seconds < 1, f"{seconds:.2f} s"
    assert peak - usual < 100_000, f"{peak - usual} KB more than a picture of eight pixels"


async def test_looking_at_a_bomb_takes_nothing_of_this_process() -> None:
    whole = bomb()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert await refusal(whole) == TOO_LARGE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


async def test_headers_that_claim_too_much_are_refused_before_anything_is_decoded() -> None:
    rows = b""
    assert await refusal(png(30_001, 1, rows)) == TOO_LARGE
    assert await refusal(png(5001, 5001, rows)) == TOO_LARGE
    assert await refusal(png(0xFFFFFFFF, 0xFFFFFFFF, rows)) == TOO_LARGE
    webp = encoded(painted(), "WEBP")
    claims = b"RIFF" + webp[4:12] + b"VP8X" + (10).to_bytes(4, "little") + b"\x10\0\0\0"
    assert await refusal(claims + b"\xfe\x3f\x00" * 2 + webp[12:]) == TOO_LARGE
    gif = bytearray(encoded(painted(), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    assert await refusal(bytes(gif)) == TOO_LARGE


async def test_a_frame_that_is_larger_than_its_header_said_is_refused() -> None:
    gif = bytearray(encoded(painted(), "GIF"))
    frame = gif.index(b"\x2c", 13)
    gif[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    assert await refusal(bytes(gif)) in (TOO_LARGE, BROKEN)


async def test_a_large_photograph_is_read_in_steps_and_a_progressive_one_is_not() -> None:
    large = Image.new("RGB", (9000, 6000), "red")
    made = await rendered(encoded(large, "JPEG", quality=30), [256], Fit.COVER)
    assert (made.width, made.height) == (9000, 6000)
    assert near(opened(made.sizes[0].content).getpixel((128, 128)), RED)
    assert await refusal(encoded(large, "JPEG", quality=30, progressive=True)) == TOO_LARGE
    assert await refusal(encoded(large, "PNG")) == TOO_LARGE


async def test_a_comment_that_unpacks_to_much_more_is_refused() -> None:
    content = text_bomb()
    assert len(content) < 300_000
    assert await refusal(content) in (BROKEN, NOT_A_PICTURE, TOO_LARGE)


async def test_what_is_no_picture_is_refused() -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    for content in (b"", b"\x00" * 100, b"<html><script>", svg, b"%PDF-1.7\n", b"GIF89a", b"\x89PNG\r\n\x1a\n"):
        assert await refusal(content) in (NOT_A_PICTURE, BROKEN), content
    for format in ("TIFF", "BMP", "ICO", "PPM", "TGA"):  # readable, and not among what is read here
        assert await refusal(encoded(painted(32, 32), format)) == NOT_A_PICTURE


async def test_what_is_cut_off_is_refused() -> None:
    for format in ("PNG", "JPEG", "WEBP", "AVIF"):
        content = encoded(painted(300, 300), format)
        assert await refusal(content[: len(content) // 2]) in (BROKEN, NOT_A_PICTURE), format


async def test_a_decoder_that_does_not_come_back_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that waits stands in its place: what matters is that nobody waits with it."""
    waits = tmp_path / "waits.py"
    waits.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(imaging, "__file__", str(waits))
    began = time.perf_counter()
    with file_of(b"") as source, pytest.raises(NotInTime):
        await Studio(wall_s=0.5).render(source, [64], Fit.COVER)
    assert time.perf_counter() - began < 10


async def test_a_decoder_that_is_killed_from_outside_says_nothing_of_the_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What ends itself by a limit of its own ends by another signal."""
    dies = tmp_path / "dies.py"
    monkeypatch.setattr(imaging, "__file__", str(dies))
    for signal, expected in (("SIGKILL", NotInTime), ("SIGXCPU", Unreadable)):
        dies.write_text(f"import os, signal\nos.kill(os.getpid(), signal.{signal})\n")
        with file_of(b"") as source, pytest.raises(expected):
            await Studio().render(source, [64], Fit.COVER)


def test_the_process_has_no_more_memory_than_it_is_given() -> None:
    """By the kernel: a decoder that wants everything gets nothing."""
    code = (
        f"import runpy, sys; house = runpy.run_path({imaging.__file__!r}); house['_confine']()\n"
        "try:\n    bytearray(2 << 30)\nexcept MemoryError:\n    sys.exit(7)"
    )
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == imaging.OUT_OF_MEMORY


async def test_sizes_have_a_limit() -> None:
    for sizes in ([], [0], [-1], [2049]):
        with pytest.raises(ValueError, match="between"):
            await rendered(encoded(painted()), sizes)


# --- headers -------------------------------------------------------------------------------------------------------


def test_headers_tell_their_size_without_a_decoder() -> None:
    image = painted(123, 45)
    for format, arguments in (
        *(("PNG", {}), ("GIF", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {})),
        *(("WEBP", {"lossless": True}), ("WEBP", {"exif": b"Exif\0\0"})),
    ):
        assert dimensions(encoded(image, format, **arguments)[:4096]) == (123, 45), (format, arguments)
    assert dimensions(photograph(120, 80)) == (120, 80)
    content = encoded(image)
    assert [dimensions(content[:length]) for length in (0, 10, 20)] == [None, None, None]
    assert dimensions(b"<svg/>") is None


async def test_a_spooled_upload_is_read_from_its_beginning() -> None:
    with tempfile.SpooledTemporaryFile(max_size=1 << 20) as source:
        source.write(encoded(painted(64, 64)))
        made = await Studio().render(source, [32], Fit.COVER)  # type: ignore[arg-type]
    assert opened(made.sizes[0].content).size == (32, 32)
    assert io.BytesIO(made.sizes[0].content).read(4) == b"RIFF"


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_the_first_bytes_tell_how_a_photograph_is_looked_at(orientation: int) -> None:
    photo = photograph(120, 80, orientation)
    made = await rendered(photo)
    assert looked_at(photo[:16384]) == (made.width, made.height)


def turned(format: str, orientation: int, width: int = 120, height: int = 80) -> bytes:
    """A picture of another kind that says how the camera was held."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if format == "PNG" and orientation % 2:  # it may stand behind the pixels too
        whole = encoded(painted(width, height), "PNG", exif=exif)
        at = whole.index(b"eXIf") - 4
        end = at + 12 + int.from_bytes(whole[at : at + 4], "big")
        return whole[:at] + whole[end:-12] + whole[at:end] + whole[-12:]
    return encoded(painted(width, height), format, exif=exif, **({"lossless": True} if format == "WEBP" else {}))


def ends(content: bytes, kept: int) -> tuple[bytes, bytes, int]:
    return content[:kept], content[-kept:], len(content)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
async def test_first_and_last_bytes_tell_how_a_png_and_a_webp_are_looked_at(format: str) -> None:
    for orientation in range(1, 9):
        content = turned(format, orientation)
        wanted = (80, 120) if orientation >= 5 else (120, 80)
        assert looked_at(content) == looked_at(*ends(content, 160)) == wanted, orientation
    for orientation in (6, 7):  # and this is how they come out
        made = await rendered(turned(format, orientation))
        assert (made.width, made.height) == (80, 120)


def test_what_stands_between_first_and_last_bytes_is_not_guessed() -> None:
    """One that moves has pixels in many pieces, so where its EXIF begins is not known."""
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.effect_noise((60, 40), 90).convert("RGB") for _ in range(4)]
    moving = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], exif=exif, lossless=True)
    assert looked_at(moving) == (40, 60)
    assert looked_at(*ends(moving, 200)) is None
    assert looked_at(*ends(turned("WEBP", 6) + b"behind the end", 160)) == (80, 120)


def test_a_png_full_of_names_is_not_looked_through() -> None:
    many = encoded(painted(120, 80))[:-12] + (b"\x00\x00\xff\xffeXIf" * 8192)
    began = time.process_time()
    assert looked_at(*ends(many, 65_536)) == (120, 80)
    assert time.process_time() - began < 0.1


def test_first_bytes_that_lie_or_end_early_measure_nothing() -> None:
    photo, picture = photograph(120, 80, 6), encoded(painted(120, 80))
    assert looked_at(picture) == (120, 80)
    for whole in (photo, picture, turned("WEBP", 6), turned("PNG", 6), turned("PNG", 7)):
        for length in range(len(whole[:2000])):
            assert looked_at(whole[:length]) in (None, (80, 120), (120, 80))
            assert looked_at(whole, whole[-length:], length) in (None, (80, 120), (120, 80))
    for width, height in ((0, 5), (5, 0), (2**32 - 1, 5), (1_000_001, 5)):
        assert looked_at(png(width, height, b"")) is None
    assert looked_at(b"\xff\xd8" + b"\xff\xe1\x00\x00" * 5000) is None
    assert looked_at(b"text") is None
