"""What a file is, is found in it: no name and no claim makes a browser show what it should not."""

import io
import struct
import time
import wave
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pm_api.domains.storage import sniffing
from pm_api.domains.storage.sniffing import HEAD_BYTES, INLINE, TAIL_BYTES, declared_type, detect, may_be_shown


def told(content: bytes, name: str = "file", declared: str | None = None) -> str:
    return detect(content[:HEAD_BYTES], content[-TAIL_BYTES:], name=name, declared=declared)


def picture(kind: str) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(written, kind)
    return written.getvalue()


def archive(*names: str, first: bytes | None = None) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as opened:
        if first is not None:
            opened.writestr("mimetype", first)
        for name in names:
            opened.writestr(name, "something " * 3000)
    return written.getvalue()


def sound() -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(8000)
        opened.writeframes(bytes(400))
    return written.getvalue()


def mp3() -> bytes:
    frame = b"\xff\xfb\x90\x00" + bytes(413)  # MPEG 1, layer III, 128 kbit/s, 44.1 kHz: 417 bytes
    return frame * 3


OOXML = "application/vnd.openxmlformats-officedocument"


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (picture("PNG"), "image/png"),
        (picture("JPEG"), "image/jpeg"),
        (picture("GIF"), "image/gif"),
        (picture("WEBP"), "image/webp"),
        (picture("AVIF"), "image/avif"),
        (picture("TIFF"), "image/tiff"),
        (sound(), "audio/wav"),
        (mp3(), "audio/mpeg"),
        (b"ID3\x04\x00" + bytes(40), "audio/mpeg"),
        (b"OggS" + bytes(60), "audio/ogg"),
        (b"OggS" + bytes(24) + b"\x80theora" + bytes(40), "video/ogg"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(60), "video/mp4"),
        (b"\x00\x00\x00\x20ftypqt  " + bytes(60), "video/quicktime"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\x82\x84webm", "video/webm"),
        (b"%PDF-1.7\n", "application/pdf"),
        (archive("a.txt"), "application/zip"),
        (archive("[Content_Types].xml", "word/document.xml"), f"{OOXML}.wordprocessingml.document"),
        (archive("[Content_Types].xml", "xl/workbook.xml"), f"{OOXML}.spreadsheetml.sheet"),
        (
            archive("content.xml", first=b"application/vnd.oasis.opendocument.text"),
            "application/vnd.oasis.opendocument.text",
        ),
        (archive("evil", first=b"text/html"), "application/zip"),
        (b"\x7fELF\x02\x01" + bytes(60), "application/x-executable"),
        (b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\x00\x00", "application/vnd.microsoft.portable-executable"),
        (b"#!/bin/sh\nrm -rf /\n", "text/x-script"),
        (b"\x1f\x8b\x08" + bytes(20), "application/gzip"),
        (b"", "application/octet-stream"),
        (b"\x00\x01\x02\x03" * 8, "application/octet-stream"),
    ],
)
def test_what_is_in_it_decides(content: bytes, media_type: str) -> None:
    for name in ("file", "a.png", "a.html", "a.txt"):
        assert told(content, name, "image/png") == media_type, name


@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        (b"a,b\n1,2\n", "table.csv", "text/csv"),
        (b'{"a": 1}', "a.json", "application/json"),
        (b"# Title\n\n<div>in the middle</div>\n", "a.md", "text/markdown"),
        (b"just words", "a.txt", "text/plain"),
        (b"just words", "a.png", "text/plain"),
        (b"alert(1)", "a.js", "text/javascript"),
        (b"just words", "a.html", "text/html"),
        (b"just words", "a.svg", "image/svg+xml"),
        ("Grüße".encode("utf-16"), "a.txt", "text/plain"),
        ("Grüße und Küsse".encode("latin-1"), "a.txt", "text/plain"),
        (b"x" * (HEAD_BYTES - 1) + "é".encode(), "a.txt", "text/plain"),
    ],
)
def test_text_is_what_its_name_says_as_far_as_that_is_harmless(content: bytes, name: str, media_type: str) -> None:
    assert told(content, name) == media_type


HTML = [
    b"<html>",
    b"<!DOCTYPE html><p>hi",
    b"  \n\t<script>alert(1)</script>",
    b"<!-- a comment --><script>alert(1)</script>",
    b"\xef\xbb\xbf<html><body>",
    b"<img src=x onerror=alert(1)>",
    b"<iframe src=//evil>",
    "<html><script>alert(1)</script>".encode("utf-16"),
    b"some words first <script>alert(1)</script>",
    b"<ScRiPt >alert(1)</ScRiPt>",
    b"<body/onload=alert(1)>",
]
SVG = [
    b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    b'<!-- x --><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x"><svg/>',
    b'<s:svg xmlns:s="http://www.w3.org/2000/svg"><s:script>alert(1)</s:script></s:svg>',
]


@pytest.mark.parametrize("content", HTML)
@pytest.mark.parametrize(("name", "declared"), [("a.png", "image/png"), ("file", None), ("a.txt", "text/plain")])
def test_html_is_html_whatever_it_is_called(content: bytes, name: str, declared: str | None) -> None:
    assert told(content, name, declared) == "text/html"


@pytest.mark.parametrize("content", SVG)
@pytest.mark.parametrize(("name", "declared"), [("a.png", "image/png"), ("file", None), ("a.txt", "text/plain")])
def test_svg_is_svg_whatever_it_is_called(content: bytes, name: str, declared: str | None) -> None:
    assert told(content, name, declared) == "image/svg+xml"


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (picture("GIF") + b"<script>alert(1)</script>", "image/gif"),
        (b"GIF89a/*" + b"<script>alert(1)</script>*/=1;", "image/gif"),
        (picture("JPEG") + archive("a.html"), "image/jpeg"),
        (b"<html>%PDF-1.4", "application/pdf"),
        (b"\x00" * 1000 + b"%PDF-1.4", "application/pdf"),
        (b"PK\x03\x04%PDF-1.4", "application/pdf"),
    ],
)
def test_what_is_two_things_is_served_as_the_one_it_begins_as(content: bytes, media_type: str) -> None:
    assert told(content, "a.html", "text/html") == media_type


@given(
    st.binary(max_size=400),
    st.sampled_from(["a", "a.png", "a.txt", "a.jpg", "a.mp4"]),
    st.sampled_from([*INLINE, None]),
)
def test_nothing_that_begins_as_markup_is_ever_shown(noise: bytes, name: str, declared: str | None) -> None:
    for begun in (b"<html>", b"<script>", b"<svg>"):
        assert not may_be_shown(told(begun + noise, name, declared)) or sniffing._as_text(begun + noise) is None


@given(st.binary(max_size=2000), st.text(max_size=20), st.text(max_size=40))
def test_any_bytes_are_something(content: bytes, name: str, declared: str) -> None:
    found = told(content, name, declared)
    assert declared_type(found) == found


@pytest.mark.parametrize(
    "content",
    [b"<!---->" * 2300, b"<!-- " * 3200, b"<?x ?>" * 2700, b"<" * 16000, b"<!--" + b"-->" * 5000, b"<s:" * 5000],
    ids=["comments", "never closed", "instructions", "brackets", "ends", "prefixes"],
)
def test_no_text_takes_long_to_look_at(content: bytes) -> None:
    began = time.process_time()
    told(content)
    assert time.process_time() - began < 0.5


def test_a_declared_type_is_one_or_none() -> None:
    assert declared_type("Text/HTML; charset=utf-8") == "text/html"
    for raw in (None, "", "html", "text/html\r\nX: y", "a/b/c", "text/" + "x" * 300, "téxt/html"):
        assert declared_type(raw) is None
