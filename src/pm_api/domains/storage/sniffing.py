"""What a file is, by what is inside it. What somebody says it is decides only between kinds of plain text, and
between old office documents, which look the same from outside. Pure.
"""

import re
from typing import Final

import puremagic

from pm_api.domains.storage.naming import extension

UNKNOWN: Final = "application/octet-stream"
PLAIN: Final = "text/plain"
HTML, SVG, XML = "text/html", "image/svg+xml", "application/xml"
ZIP: Final = "application/zip"
SCRIPT: Final = "text/x-script"
HEAD_BYTES: Final = 16 * 1024
TAIL_BYTES: Final = 16 * 1024

INLINE: Final = frozenset(
    {
        *("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"),
        *("audio/mpeg", "audio/ogg", "audio/wav"),
        *("video/mp4", "video/webm", PLAIN),
    }
)
"""What a browser may show by itself: nothing that runs, nothing that asks for more."""

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")

_BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"(\xb5/\xfd", "application/zstd"),
    (b"\x7fELF", "application/x-executable"),
    (b"\xca\xfe\xba\xbe", "application/x-executable"),
    (b"\xfe\xed\xfa\xce", "application/x-executable"),
    (b"\xfe\xed\xfa\xcf", "application/x-executable"),
    (b"\xcf\xfa\xed\xfe", "application/x-executable"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"\x00asm", "application/wasm"),
    (b"{\\rtf", "application/rtf"),
    (b"%!PS", "application/postscript"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
)
_BRANDS: Final = {
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "image/heic"),
    **dict.fromkeys((b"M4A ", b"M4B "), "audio/mp4"),
    b"qt  ": "video/quicktime",
}
_IN_ZIP: Final = (
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    (b"META-INF/MANIFEST.MF", "application/java-archive"),
    (b"AndroidManifest.xml", "application/vnd.android.package-archive"),
)
_NAMED_IN_ZIP: Final = frozenset(
    {
        "application/epub+zip",
        *(f"application/vnd.oasis.opendocument.{one}" for one in ("text", "spreadsheet", "presentation", "graphics")),
    }
)
_COMPOUND: Final = {
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "msi": "application/x-msi",
    "msg": "application/vnd.ms-outlook",
}
_TEXTS: Final = {
    "csv": "text/csv",
    "ics": "text/calendar",
    "json": "application/json",
    "md": "text/markdown",
    "markdown": "text/markdown",
    "tsv": "text/tab-separated-values",
    **dict.fromkeys(("txt", "log"), PLAIN),
    "vcf": "text/vcard",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    **dict.fromkeys(("js", "mjs", "cjs"), "text/javascript"),
    "css": "text/css",
    "html": HTML,
    "htm": HTML,
    "xhtml": HTML,
    "svg": SVG,
    "xml": XML,
}
"""What text may be by its name. None of them is shown in place but plain text, so a name can only take that away."""
_HTML_BEGINS: Final = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|script|iframe|object|embed|style|title|meta|link|base|form|input|img|table|div"
    rb"|font|h[1-6]|br|p|a|b|i|span|video|audio|math|template|frameset|noscript|center|marquee)(?=[\s/>])",
    re.IGNORECASE,
)
_HTML_INSIDE: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body|script|iframe)(?=[\s/>])", re.IGNORECASE)
_SVG_ROOT: Final = re.compile(rb"<(?:[a-z0-9_-]{1,32}:)?svg(?=[\s/>])", re.IGNORECASE)
_PREFACES: Final = ((b"<!--", b"-->"), (b"<?", b"?>"))
_CONTROLS: Final = frozenset({*range(0x20), 0x7F} - {0x09, 0x0A, 0x0C, 0x0D, 0x1B})
_BY_MAGIC_NEVER: Final = INLINE | {HTML, SVG, XML, ZIP}
"""What is told by rules of our own alone, so that no looser rule of a library lets something be shown in place."""


def detect(head: bytes, tail: bytes, *, name: str, declared: str | None) -> str:
    """The media type by the first and last bytes. `name` and `declared` never make something out of it that a browser
    shows in place, and never hide that it is HTML, SVG, a document or a program.
    """
    if not head:
        return UNKNOWN
    return (
        _of_binary(head, tail, extension(name))
        or _of_text(head, extension(name), declared)
        or _of_library(head, tail)
        or UNKNOWN
    )


def declared_type(raw: str | None) -> str | None:
    """A declared type without its parameters; None for what is no media type."""
    said = (raw or "").partition(";")[0].strip().lower()
    return said if _MEDIA_TYPE.fullmatch(said) else None


def may_be_shown(media_type: str | None) -> bool:
    """Whether a browser may show it in place."""
    return media_type in INLINE


def _of_binary(head: bytes, tail: bytes, ending: str) -> str | None:
    # A reader of PDF looks for its mark within the first kilobyte, whatever stands before.
    if b"%PDF-" in head[:1024]:
        return "application/pdf"
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _of_zip(head, tail)
    if head[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        return _COMPOUND.get(ending, "application/x-ole-storage")
    begun = next((media_type for beginning, media_type in _BEGINNINGS if head.startswith(beginning)), None)
    return begun or _of_container(head) or ("audio/mpeg" if _is_mpeg_audio(head) else None)


def _of_container(head: bytes) -> str | None:
    """What says further in which of its kinds it is."""
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head[:4] == b"OggS":
        return "video/ogg" if b"\x80theora" in head[:4096] else "audio/ogg"
    if head[:2] == b"MZ" and (b"PE\x00\x00" in head[:1024] or b"DOS mode" in head[:1024]):
        return "application/vnd.microsoft.portable-executable"
    return None


def _of_zip(head: bytes, tail: bytes) -> str:
    if head[30:38] == b"mimetype":
        said = head[38:128].split(b"PK", 1)[0].decode("ascii", "ignore")
        if said in _NAMED_IN_ZIP:
            return said
    inside = head + tail
    for mark, media_type in _IN_ZIP:
        if mark in inside and (not mark.endswith(b"/") or b"[Content_Types].xml" in inside):
            return media_type
    return ZIP


def _is_mpeg_audio(head: bytes) -> bool:
    """Two frame headers, the second where the first says: one alone is two bytes that anything may begin with."""
    length = _frame_bytes(head[:4])
    return length is not None and _frame_bytes(head[length : length + 4]) is not None


def _frame_bytes(header: bytes) -> int | None:
    """The length of a frame of MPEG 1 or 2, layer III."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, rate, frequency = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate in (0, 15) or frequency == 3:
        return None
    is_first = version == 3
    rates = (
        (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
        if is_first
        else (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    )
    hertz = (44100, 48000, 32000)[frequency] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if is_first else 72) * rates[rate - 1] * 1000 // hertz + (header[2] >> 1 & 1)


def _of_text(head: bytes, ending: str, declared: str | None) -> str | None:
    text = _as_text(head)
    if text is None:
        return None
    said = _TEXTS.get(ending) or declared_type(declared)
    named = said if said in _TEXTS.values() else None
    return _of_markup(text.lstrip(), named) or named or PLAIN


def _of_markup(text: bytes, named: str | None) -> str | None:
    """What a browser would run if it were let. What has a name of its own (a script, a page of Markdown) may speak of
    such things further down, but not begin with them.
    """
    html = _HTML_BEGINS.match(_without_preface(text))
    inside = _HTML_INSIDE.search(text) if named in (None, PLAIN) else None
    if html is None and text.startswith(b"<"):
        root = _SVG_ROOT.search(text)
        if root is not None and (inside is None or root.start() < inside.start()):
            return SVG
    if html is not None or inside is not None:
        return HTML
    if text[:5].lower() == b"<?xml":
        return XML
    return SCRIPT if text.startswith(b"#!") else None


def _without_preface(text: bytes) -> bytes:
    """Behind the comments and instructions that a page may begin with. Walked, not matched: an expression for it
    would try every way to divide a thousand comments.
    """
    place = 0
    while True:
        end = next(
            (text.find(last, place) + len(last) for first, last in _PREFACES if text.startswith(first, place)), 0
        )
        if end <= place:
            return text[place:]
        place = end
        while text[place : place + 1].isspace():
            place += 1


def _as_text(head: bytes) -> bytes | None:
    """The same as UTF-8, if it is text; None if it is not. A piece of a letter may be missing at the end."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            read = head[len(mark) :].decode(encoding, "ignore").encode("utf-8", "ignore")
            return read if not _CONTROLS & set(read) else None
    if _CONTROLS & set(head):
        return None
    for cut in range(4):
        try:
            head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            continue
        return head
    # Not UTF-8, and without controls: an older encoding of ours or a short binary. Only what reads as one is text.
    return head if sum(one >= 0x80 for one in head) * 4 <= len(head) else None


def _of_library(head: bytes, tail: bytes) -> str | None:
    """What nobody shows in place may be told by a library that knows a thousand kinds."""
    try:
        found: str = puremagic.from_string(head + tail, mime=True)
    except (puremagic.PureError, ValueError, LookupError, OSError):
        return None
    said = declared_type(found)
    return None if said is None or said in _BY_MAGIC_NEVER or said.startswith("text/") else said
